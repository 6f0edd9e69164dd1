//! Encrypted objects are longer where they are stored than clients see them.

use anode_disk::testing::SimDisk;

use super::rig::{Rig, run};
use crate::{
    command::{
        AbortUpload, Command, CompleteUpload, CreateUpload, DeleteObject, NamedPart, Refusal,
        Reply, WriteCondition,
    },
    encryption::{CHUNK_FRAMES, Encryption, FRAME_DATA_BYTES, stored_bytes},
    limits::CHUNK_BYTES_MAX,
    object::{MasterKey, Object, Part, Secret, Upload, UploadId},
};

/// One frame and a byte more than a chunk holds: two chunks, though a client sees less than one and a half.
const SIZE: u64 = CHUNK_FRAMES * FRAME_DATA_BYTES + 1;

fn stored() -> Vec<u8> {
    vec![7; usize::try_from(stored_bytes(SIZE)).unwrap()]
}

fn encryption() -> Encryption {
    Encryption { key: "one".to_owned(), ..Encryption::default() }
}

async fn put(rig: &Rig, bytes: &[u8], id: u64, change: impl FnOnce(&mut Object)) -> Reply {
    let mut command = rig.put((1, "k"), bytes, WriteCondition::default(), id).await;
    let Command::PutObject(put) = &mut command else { unreachable!() };
    change(&mut put.object);
    rig.propose(&command).await
}

async fn part(rig: &Rig, upload: UploadId, id: u64, change: impl FnOnce(&mut Part)) -> Reply {
    let mut command = rig.part((1, "k", upload), 1, &stored(), id).await;
    let Command::PutPart(put) = &mut command else { unreachable!() };
    change(&mut put.part);
    rig.propose(&command).await
}

fn is_malformed(reply: &Reply) -> bool {
    matches!(reply, Reply::Refused(Refusal::Malformed(_)))
}

#[test]
fn all_that_is_stored_of_an_object_is_there_and_goes_with_it() {
    run(&SimDisk::new(1), async |rig| {
        let encrypted = |object: &mut Object| {
            (object.size, object.encryption) = (SIZE, Some(Box::new(encryption())));
        };
        assert!(matches!(put(rig, &stored(), 1, encrypted).await, Reply::Stored(_)));
        let object = rig.state.object(1, "k").await.unwrap().unwrap();
        assert_eq!((object.size, object.stored_bytes()), (SIZE, CHUNK_BYTES_MAX + 17));
        assert_eq!(rig.read(1, "k").await, stored());
        // What is encrypted without saying so has a chunk too many.
        let silent = |object: &mut Object| object.size = SIZE;
        assert!(is_malformed(&put(rig, &stored(), 2, silent).await));
        let inline = |object: &mut Object| {
            (object.size, object.encryption) = (3, Some(Box::new(encryption())));
        };
        assert!(matches!(put(rig, &[7; 19], 3, inline).await, Reply::Stored(_)));
        assert_eq!(rig.read(1, "k").await, [7; 19]);
        assert!(is_malformed(&put(rig, &[7; 20], 4, inline).await));
        let key = "k".to_owned();
        let delete = DeleteObject { bucket: 1, key, now_ms: 5, ..DeleteObject::default() };
        rig.propose(&Command::DeleteObject(delete)).await;
        rig.reclaim().await;
        assert_eq!(rig.left_over().await, 0);
    });
}

#[test]
fn parts_are_encrypted_as_their_upload_is() {
    run(&SimDisk::new(2), async |rig| {
        for (upload, id) in [(UploadId(8), 10), (UploadId(9), 20)] {
            let (key, encryption) = ("k".to_owned(), Some(Box::new(encryption())));
            let record = Upload { encryption, ..Upload::default() };
            let create = CreateUpload { bucket: 1, key, upload, record };
            rig.propose(&Command::CreateUpload(Box::new(create))).await;
            assert!(is_malformed(&part(rig, upload, id, |part| part.size = SIZE).await));
            for again in 1..3 {
                let encrypted = |part: &mut Part| (part.size, part.is_encrypted) = (SIZE, true);
                let put = part(rig, upload, id + again, encrypted).await;
                assert!(matches!(put, Reply::Stored(_)), "{put:?}");
            }
        }
        let abort = AbortUpload { bucket: 1, key: "k".to_owned(), upload: UploadId(8), now_ms: 30 };
        rig.propose(&Command::AbortUpload(abort)).await;
        let parts = vec![NamedPart { number: 1, etag: "part-22".to_owned(), checksum: None }];
        let (key, upload) = ("k".to_owned(), UploadId(9));
        let complete =
            CompleteUpload { bucket: 1, key, upload, parts, ..CompleteUpload::default() };
        rig.propose(&Command::CompleteUpload(Box::new(complete))).await;
        let object = rig.state.object(1, "k").await.unwrap().unwrap();
        assert_eq!((object.size, object.encryption), (SIZE, Some(Box::new(encryption()))));
        assert_eq!(rig.read(1, "k").await, stored());
        rig.reclaim().await;
        // Of each chunk there is one, and of the four bodies one is left.
        assert_eq!(rig.references().await.values().sum::<u64>(), 2);
        let delete =
            DeleteObject { bucket: 1, key: "k".to_owned(), now_ms: 40, ..DeleteObject::default() };
        rig.propose(&Command::DeleteObject(delete)).await;
        rig.reclaim().await;
        assert_eq!(rig.left_over().await, 0);
    });
}

#[test]
fn a_master_key_stays() {
    run(&SimDisk::new(3), async |rig| {
        assert_eq!(rig.state.master_key().await.unwrap(), None);
        for key in ["first", "second"] {
            let key = MasterKey { key: Secret(key.to_owned()), created_ms: 4 };
            assert_eq!(rig.propose(&Command::PutMasterKey(key)).await, Reply::Done);
        }
        assert_eq!(rig.state.master_key().await.unwrap().unwrap().key.0, "first");
    });
}
