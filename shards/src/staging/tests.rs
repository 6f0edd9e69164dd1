use anode_disk::{
    segment::{Class, Extent, Places},
    storage::StorageOptions,
    testing::{SimDirectory, SimDisk, block_on},
};
use futures::future::join;

use super::*;

const BODY: BodyId = BodyId(7);
const CONTENT: ContentId = ContentId([3; 32]);

fn run(disk: &SimDisk, scenario: impl AsyncFnOnce(&Staging<SimDirectory>)) {
    block_on(async {
        let storage = Storage::open(disk.reopen(), StorageOptions::default()).await.unwrap();
        let main = async {
            let staging = Staging::open(Rc::clone(&storage)).await.unwrap();
            scenario(&staging).await;
            storage.wal.stop();
        };
        join(storage.wal.run(), main).await.0.unwrap();
    });
}

async fn stage(staging: &Staging<SimDirectory>, body: BodyId, chunk: u32) {
    let cut =
        Cut { number: chunk, content: CONTENT, class: Class::OWN, data: Bytes::from(vec![9; 100]) };
    staging.stage(1, body, cut).await.unwrap();
}

/// Has all that was submitted to the WAL so far made durable.
async fn flushed(staging: &Staging<SimDirectory>) {
    let record = Record { index: 1, head: Bytes::new(), body: Bytes::new() };
    wal::flushed(|done| staging.storage.wal.append(5, vec![record], done)).await.unwrap();
}

#[test]
fn only_what_was_settled_survives_a_crash() {
    let disk = SimDisk::new(1);
    run(&disk, async |staging| {
        stage(staging, BODY, 0).await;
        stage(staging, BODY, 1).await;
        staging.settle(1, BODY).await.unwrap();
        stage(staging, BodyId(8), 0).await;
        flushed(staging).await;
    });
    disk.crash();
    run(&disk, async |staging| {
        assert_eq!(staging.count(), 2);
        let (extent, content) = staging.find(1, BODY, 1).unwrap();
        assert_eq!(content, CONTENT);
        let key = keys::content(1, CONTENT);
        let read = staging.storage.index.segments().read(extent, &key, 0..100).await.unwrap();
        assert_eq!(read, [9; 100].as_slice());
        stage(staging, BodyId(9), 0).await;
        assert_eq!(staging.drop_unclaimed(), 2);
        assert_eq!(staging.count(), 1, "what was staged since the start stays");
    });
}

#[test]
fn a_claim_after_the_mark_outlives_the_flush_and_one_before_it_does_not() {
    let disk = SimDisk::new(2);
    run(&disk, async |staging| {
        for body in [1, 2, 3] {
            stage(staging, BodyId(body), 0).await;
            staging.settle(1, BodyId(body)).await.unwrap();
        }
        staging.claim(1, BodyId(1), 0).unwrap();
        let mark = staging.mark();
        staging.claim(1, BodyId(2), 0).unwrap();
        staging.after_flush(mark).await.unwrap();
        assert_eq!(staging.claim(1, BodyId(1), 0), None);
    });
    disk.crash();
    run(&disk, async |staging| {
        let found: Vec<_> = staging.inner.borrow().staged.keys().map(|name| name.1.0).collect();
        assert_eq!(found, [2, 3]);
        // Numbers go on after what was purged.
        let mark = staging.mark();
        staging.drop_unclaimed();
        staging.after_flush(mark).await.unwrap();
    });
    disk.crash();
    run(&disk, async |staging| {
        assert_eq!(staging.count(), 0);
        stage(staging, BODY, 0).await;
        staging.settle(1, BODY).await.unwrap();
        flushed(staging).await;
    });
    disk.crash();
    run(&disk, async |staging| assert_eq!(staging.count(), 1));
}

#[test]
fn a_chunk_that_is_staged_twice_is_the_newer_one_and_frees_the_older() {
    run(&SimDisk::new(3), async |staging| {
        stage(staging, BODY, 0).await;
        let first = staging.find(1, BODY, 0).unwrap();
        stage(staging, BODY, 0).await;
        assert_ne!(staging.find(1, BODY, 0).unwrap(), first);
        staging.discard(2, BODY);
        assert_eq!(staging.count(), 1, "another group's body was discarded");
        staging.discard(1, BODY);
        assert_eq!(staging.count(), 0);
        assert_eq!(staging.storage.index.segments().figures().pinned_bytes, 0);
    });
}

#[test]
fn a_record_has_its_written_form_and_damage_is_refused() {
    let extent = Extent { segment: 1, offset: 2, header_bytes: 3, data_bytes: 4 };
    let record = StagedRecord { group: 5, body: BodyId(6), chunk: 7, extent, content: CONTENT };
    let bytes = record.encode();
    let mut golden = vec![2, 5, 0, 0, 0, 6];
    golden.extend([0; 15]);
    golden.extend([7, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0]);
    golden.extend([3; 32]);
    assert_eq!(bytes.as_ref(), golden);
    assert_eq!(StagedRecord::decode(&bytes), Ok(record));
    for length in 0..bytes.len() {
        StagedRecord::decode(&bytes[..length]).unwrap_err();
    }
    golden.push(0);
    StagedRecord::decode(&golden).unwrap_err();
    golden.pop();
    golden[0] = 1;
    StagedRecord::decode(&golden).unwrap_err();
}

/// Opens the shard's directory on one disk and that of a class on another.
fn run_with_class(
    (own, other): (&SimDisk, &SimDisk),
    scenario: impl AsyncFnOnce(&Staging<SimDirectory>),
) {
    block_on(async {
        let classes = vec![(Class::new(2).unwrap(), other.reopen())];
        let places = Places { own: own.reopen(), classes };
        let storage = Storage::open(places, StorageOptions::default()).await.unwrap();
        let main = async {
            let staging = Staging::open(Rc::clone(&storage)).await.unwrap();
            scenario(&staging).await;
            storage.wal.stop();
        };
        join(storage.wal.run(), main).await.0.unwrap();
    });
}

#[test]
fn what_was_settled_in_a_class_survives_a_crash_of_both_devices() {
    for seed in 0..20 {
        let (own, other) = (SimDisk::new(seed), SimDisk::new(seed + 100));
        run_with_class((&own, &other), async |staging| {
            let class = Class::new(2).unwrap();
            let data = Bytes::from(vec![9; 100_000]);
            let cut = Cut { number: 0, content: CONTENT, class, data };
            staging.stage(1, BODY, cut).await.unwrap();
            staging.settle(1, BODY).await.unwrap();
            flushed(staging).await;
        });
        own.crash();
        other.crash();
        run_with_class((&own, &other), async |staging| {
            let (extent, _) = staging.find(1, BODY, 0).unwrap();
            assert_eq!(extent.class().number(), 2);
            assert_eq!(staging.bytes(1, BODY, 0).await.unwrap().len(), 100_000, "seed {seed}");
        });
        // Without its directory the shard doesn't open: what it has would be taken for lost.
        block_on(async {
            let storage = Storage::open(own.reopen(), StorageOptions::default()).await.unwrap();
            let opened = Staging::open(storage).await;
            assert!(matches!(opened.unwrap_err(), Error::Absent { .. }));
        });
    }
}
