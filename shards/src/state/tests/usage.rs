//! The figures of buckets: what counts, and that they are there whatever happens to their records.

use anode_disk::{
    index::{Batch, Entry, Payload},
    storage::StorageOptions,
    testing::{SimDisk, block_on},
};
use bytes::Bytes;

use super::rig::{GROUP, Rig, run};
use crate::{
    command::{
        AbortUpload, Command, CreateUpload, DeleteObject, SetVersioning, VersioningStep,
        WriteCondition,
    },
    object::UploadId,
    state::{Usage, keys},
    version::{Versioning, WantedVersion},
};

const BUCKET: u64 = 7;

fn delete(key: &str, version: WantedVersion) -> Command {
    Command::DeleteObject(DeleteObject {
        bucket: BUCKET,
        key: key.to_owned(),
        version,
        ..DeleteObject::default()
    })
}

async fn fill(rig: &Rig) {
    for (key, bytes, id) in [("a", 10, 10), ("b", 70_000, 11), ("a", 20, 12), ("c", 0, 13)] {
        let put = rig.put((BUCKET, key), &vec![1; bytes], WriteCondition::default(), id).await;
        rig.propose(&put).await;
    }
    let upload = UploadId(5);
    let (bucket, key) = (BUCKET, "u".to_owned());
    let create = CreateUpload { bucket, key, upload, ..CreateUpload::default() };
    rig.propose(&Command::CreateUpload(Box::new(create))).await;
    for (bytes, id) in [(300, 30), (400, 31)] {
        let part = rig.part((BUCKET, "u", upload), 1, &vec![2; bytes], id).await;
        rig.propose(&part).await;
    }
}

const FILLED: Usage = Usage { objects: 3, versions: 3, markers: 0, bytes: 70_020, part_bytes: 400 };

#[test]
fn each_thing_counts_where_it_belongs() {
    run(&SimDisk::new(1), async |rig| {
        let usage = async || rig.state.usage(BUCKET).await.unwrap().unwrap();
        fill(rig).await;
        assert_eq!(usage().await, FILLED);
        assert_eq!(rig.state.usage(8).await.unwrap(), Some(Usage::default()));
        let abort =
            AbortUpload { bucket: BUCKET, key: "u".to_owned(), upload: UploadId(5), now_ms: 0 };
        rig.propose(&Command::AbortUpload(abort)).await;
        rig.propose(&delete("b", WantedVersion::Current)).await;
        assert_eq!(usage().await, Usage { objects: 2, versions: 2, bytes: 20, ..Usage::default() });
        let set = SetVersioning {
            bucket: BUCKET,
            versioning: Versioning::Enabled,
            step: VersioningStep::Apply(1),
            ..SetVersioning::default()
        };
        rig.propose(&Command::SetVersioning(set)).await;
        let put = rig.put((BUCKET, "a"), &[3; 5], WriteCondition::default(), 40).await;
        rig.propose(&put).await;
        rig.propose(&delete("c", WantedVersion::Current)).await;
        let expected = Usage { objects: 1, versions: 3, markers: 1, bytes: 25, part_bytes: 0 };
        assert_eq!(usage().await, expected);
        for key in ["a", "c"] {
            rig.propose(&delete(key, WantedVersion::Null)).await;
        }
        let expected = Usage { objects: 1, versions: 1, markers: 1, bytes: 5, part_bytes: 0 };
        assert_eq!(usage().await, expected);
        rig.assert_usage().await;
    });
}

/// As it was before there were figures.
fn uncount(rig: &Rig) {
    let mut batch = Batch::default();
    batch.delete(keys::counted(GROUP));
    batch.delete(keys::usage(GROUP, BUCKET));
    rig.storage.index.write(batch);
}

#[test]
fn what_was_there_before_is_counted_by_the_next_start() {
    let disk = SimDisk::new(2);
    run(&disk, async |rig| {
        fill(rig).await;
        uncount(rig);
        rig.flush().await;
        let put = rig.put((BUCKET, "d"), &[4; 9], WriteCondition::default(), 50).await;
        rig.propose(&put).await;
    });
    block_on(async {
        let rig = Rig::start(&disk, StorageOptions::default()).await;
        let expected = Usage { objects: 4, versions: 4, bytes: 70_029, ..FILLED };
        assert_eq!(rig.state.usage(BUCKET).await.unwrap(), Some(expected));
        rig.assert_usage().await;
    });
}

#[test]
fn figures_that_cannot_be_true_are_forgotten_and_counted_again() {
    let disk = SimDisk::new(3);
    run(&disk, async |rig| {
        fill(rig).await;
        rig.state.begin_counting().await.unwrap();
        let mut batch = Batch::default();
        let value = Bytes::from(minicbor::to_vec(Usage::default()).unwrap());
        batch.put(keys::usage(GROUP, BUCKET), Entry { value, payload: Payload::None });
        rig.storage.index.write(batch);
        rig.propose(&delete("a", WantedVersion::Current)).await;
        assert_eq!(rig.state.usage(BUCKET).await.unwrap(), None);
        rig.propose(&delete("b", WantedVersion::Current)).await;
        rig.flush().await;
    });
    block_on(async {
        let rig = Rig::start(&disk, StorageOptions::default()).await;
        let expected = Usage { objects: 1, versions: 1, bytes: 0, ..FILLED };
        assert_eq!(rig.state.usage(BUCKET).await.unwrap(), Some(expected));
        rig.assert_usage().await;
        rig.state.forget_usage();
        assert_eq!(rig.state.usage(BUCKET).await.unwrap(), None);
    });
}
