//! Damage that a command would meet is met before the command is in the log.

use anode_disk::{Error, index::Payload, testing::SimDisk};

use super::rig::{GROUP, run};
use crate::{
    command::{
        Command, CompleteUpload, CreateUpload, DeleteObject, NamedPart, Reply, WriteCondition,
    },
    object::UploadId,
    state::keys,
};

const UPLOAD: UploadId = UploadId(5);
const PART_COUNT: u16 = 12;

#[test]
fn a_command_that_damage_is_in_the_way_of_is_refused_and_others_are_applied() {
    let disk = SimDisk::new(1);
    run(&disk, async |rig| {
        let (bucket, key) = (7, "big".to_owned());
        let create =
            CreateUpload { bucket, key: key.clone(), upload: UPLOAD, ..CreateUpload::default() };
        rig.propose(&Command::CreateUpload(Box::new(create))).await;
        let mut parts = Vec::new();
        for number in 1..=PART_COUNT {
            let id = 100 + u64::from(number);
            let part = rig.part((bucket, &key, UPLOAD), number, &[1; 400], id).await;
            rig.propose(&part).await;
            parts.push(NamedPart { number, etag: format!("part-{id}"), ..NamedPart::default() });
        }
        let complete = CompleteUpload {
            bucket,
            key: key.clone(),
            upload: UPLOAD,
            parts,
            ..CompleteUpload::default()
        };
        let reply = rig.propose(&Command::CompleteUpload(Box::new(complete))).await;
        assert!(matches!(reply, Reply::Stored(_)), "{reply:?}");
        let put = rig.put((bucket, &key), b"new", WriteCondition::default(), 200).await;
        let delete = DeleteObject { bucket, key: key.clone(), ..DeleteObject::default() };
        let delete = Command::DeleteObject(delete);
        rig.state.rehearse(&put).await.unwrap();
        rig.state.rehearse(&delete).await.unwrap();

        // The list of its parts lies in a segment then, and in no cache.
        rig.flush().await;
        let entry =
            rig.storage.index.get(&keys::object(GROUP, bucket, &key)).await.unwrap().unwrap();
        let Payload::Extent(extent) = entry.payload else { unreachable!("{entry:?}") };
        let path = format!("segments/segment-{:08x}", extent.segment);
        disk.flip(&path, u64::from(extent.offset) + u64::from(extent.header_bytes) + 9, 1);
        for command in [&put, &delete] {
            let refused = rig.state.rehearse(command).await;
            assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
        }
        let other = rig.put((bucket, "other"), b"new", WriteCondition::default(), 201).await;
        rig.state.rehearse(&other).await.unwrap();
        rig.propose(&other).await;
        assert_eq!(rig.read(bucket, "other").await, b"new");
    });
}
