use bytes::Bytes;

use super::{Budget, MEMORY_BYTES_MIN, Storage, StorageOptions};
use crate::{
    device::Directory,
    error::Error,
    index::{Batch, Entry, Payload},
    testing::{SimDisk, block_on},
    wal::{LOCAL, Record, flushed},
};

fn small() -> StorageOptions {
    StorageOptions {
        memory_bytes: MEMORY_BYTES_MIN,
        chunk_cache_bytes: 0,
        wal_segment_bytes: 1 << 20,
        segment_bytes: 16 << 20,
        wal_identity: 7,
    }
}

#[test]
fn the_parts_of_the_budget_fit_into_it() {
    for memory_bytes in [MEMORY_BYTES_MIN, 64 << 20, 1 << 30, 1 << 40] {
        let budget = Budget::split(memory_bytes).unwrap();
        let sum = budget.memtable_bytes
            + budget.block_cache_bytes
            + budget.wal_cache_bytes
            + budget.wal_queue_bytes
            + 2 * budget.segment_write_bytes;
        assert!(u64::try_from(sum).unwrap() <= memory_bytes, "{budget:?}");
        assert!(budget.memtable_bytes >= 2 << 20);
    }
    assert!(matches!(Budget::split(MEMORY_BYTES_MIN - 1), Err(Error::Limit { .. })));
}

#[test]
fn what_was_flushed_in_each_part_is_there_after_a_crash() {
    for seed in 0..20 {
        let disk = SimDisk::new(seed);
        let payload = Bytes::from(vec![5; 100_000]);
        block_on(async {
            let storage = Storage::open(disk.root(), small()).await.unwrap();
            let record = Record {
                index: 1,
                head: Bytes::from_static(b"head"),
                body: Bytes::from_static(b"body"),
            };
            let work = async {
                flushed(|done| storage.wal.append(LOCAL, vec![record.clone()], done))
                    .await
                    .unwrap();
                let mut batch = Batch::default();
                let entry = Entry {
                    value: Bytes::from_static(b"value"),
                    payload: Payload::Inline(payload.clone()),
                };
                batch.put(Bytes::from_static(b"key"), entry);
                storage.index.write(batch);
                drop(storage.index.flush().await.unwrap());
                storage.wal.stop();
            };
            futures::join!(work, async { storage.wal.run().await.unwrap() });
            disk.crash();
            let names = disk.reopen().list().await.unwrap();
            assert_eq!(names, ["reserve", "segments", "tables", "wal"]);
            let storage = Storage::open(disk.reopen(), small()).await.unwrap();
            assert_eq!(storage.wal.read(LOCAL, 1..2, 1 << 20).await.unwrap(), [record]);
            let entry = storage.index.get(b"key").await.unwrap().unwrap();
            assert_eq!(entry.value, "value", "seed {seed}");
            let read = storage.index.payload(b"key", &entry, 10..50_000).await.unwrap();
            assert_eq!(read, payload.slice(10..50_000), "seed {seed}");
        });
    }
}
mod class_full;
mod full;
