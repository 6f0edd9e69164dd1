//! A volume that runs full: writes are refused in time, deletes bring the space back, and no state is a dead end.

use bytes::Bytes;
use futures::future::{Either, select};

use crate::{
    device::{Device, Directory, Durability, Fill, SECTOR_BYTES},
    error::Error,
    index::{Batch, Entry, Payload},
    storage::{MEMORY_BYTES_MIN, Storage, StorageOptions},
    testing::{Random, SimDirectory, SimDisk, block_on},
};

const CAPACITY_BYTES: u64 = 48 << 20;
const PAYLOAD_BYTES: usize = 100_000;
/// Nothing moves in so many turns: longer than any step of upkeep takes.
const STILL_TURNS: u32 = 2_000;

type Sim = std::rc::Rc<Storage<SimDirectory>>;

fn options() -> StorageOptions {
    StorageOptions {
        memory_bytes: MEMORY_BYTES_MIN,
        wal_segment_bytes: 64 << 10,
        segment_bytes: 2 << 20,
        chunk_cache_bytes: 0,
        wal_identity: 7,
    }
}

fn key(number: u32) -> Bytes {
    Bytes::from(format!("key-{number:08}"))
}

fn payload(number: u32) -> Bytes {
    let mut random = Random::new(u64::from(number));
    let word = random.below(u64::MAX).to_le_bytes();
    Bytes::from(word.repeat(PAYLOAD_BYTES / 8))
}

fn put(storage: &Sim, number: u32) {
    let mut batch = Batch::default();
    let value = Bytes::copy_from_slice(&number.to_le_bytes());
    batch.put(key(number), Entry { value, payload: Payload::Inline(payload(number)) });
    storage.index.write(batch);
}

fn delete(storage: &Sim, number: u32) {
    let mut batch = Batch::default();
    batch.delete(key(number));
    storage.index.write(batch);
}

/// Deletes all but every tenth key below `count`, and flushes now and then.
async fn delete_most(storage: &Sim, count: u32) {
    for number in (0..count).filter(|number| number % 10 > 0) {
        delete(storage, number);
        if number % 16 == 0 {
            flush(storage).await;
        }
    }
}

/// Runs `work` beside what an owner runs, but the keeper: flushes are the work's.
async fn beside_upkeep<T>(storage: &Sim, work: impl Future<Output = T>) -> T {
    let upkeep = async {
        let (logged, kept) = futures::join!(storage.wal.run(), storage.index.maintain());
        unreachable!("upkeep ended: {logged:?}, {kept:?}");
    };
    match select(Box::pin(work), Box::pin(upkeep)).await {
        Either::Left((done, _)) => done,
        Either::Right(((), _)) => unreachable!("it panics"),
    }
}

/// Flushes, as the keeper does: a full volume is asked again later.
async fn flush(storage: &Sim) {
    let flushed = storage.index.flush().await.map(drop);
    assert!(matches!(flushed, Ok(()) | Err(Error::NoSpace { .. })), "{flushed:?}");
}

/// Puts from `first` on until the shard is short of space; returns the number behind the last one.
async fn fill(storage: &Sim, first: u32) -> u32 {
    for number in first.. {
        storage.tend_space().await.unwrap();
        if storage.is_short_of_space() {
            return number;
        }
        put(storage, number);
        if storage.index.wants_flush() {
            flush(storage).await;
        }
        storage.index.room().await.unwrap();
    }
    unreachable!("a volume has an end")
}

/// Lets upkeep go on until there is space and no more comes back; fails where none does.
async fn wait_for_space(storage: &Sim) {
    let (mut free_bytes, mut still) = (0, 0);
    for _ in 0..60_000 {
        storage.tend_space().await.unwrap();
        if storage.index.holds_unflushed() {
            flush(storage).await;
        }
        crate::index::notify::give_way().await;
        let now = storage.reserve().capacity.free_bytes;
        still = if now == free_bytes { still + 1 } else { 0 };
        free_bytes = now;
        if !storage.is_short_of_space() && still > STILL_TURNS {
            return;
        }
    }
    let (space, reserve) = (storage.index.space(), storage.reserve());
    unreachable!("no space came back: {space:?}, {reserve:?}, {storage:?}");
}

async fn check(storage: &Sim, is_there: impl Fn(u32) -> bool, count: u32) {
    for number in 0..count {
        let found = storage.index.get(&key(number)).await.unwrap();
        assert_eq!(found.is_some(), is_there(number), "key {number}");
        if let Some(entry) = found {
            let length = u32::try_from(PAYLOAD_BYTES).unwrap();
            let read = storage.index.payload(&key(number), &entry, 0..length).await.unwrap();
            assert_eq!(read, payload(number), "key {number}");
        }
    }
}

/// Another program's file, that takes all that is free but so much.
async fn hog(disk: &SimDisk, free_bytes: u64) {
    let bytes = disk.capacity().free_bytes - free_bytes;
    let bytes = bytes / SECTOR_BYTES as u64 * SECTOR_BYTES as u64;
    let file = disk.reopen().create("hog", Fill::Reserved(bytes), Durability::AtSync).await;
    assert_eq!(file.unwrap().size(), bytes);
}

/// Runs `test` with some seeds, each with a small disk of its own and the storage on it.
fn on_a_small_disk(test: &impl AsyncFn(&SimDisk, Sim)) {
    for seed in 0..5 {
        // Shown where a test fails.
        eprintln!("seed {seed}");
        let disk = SimDisk::new(seed);
        disk.set_capacity(Some(CAPACITY_BYTES));
        block_on(async {
            let storage = Storage::open(disk.root(), options()).await.unwrap();
            test(&disk, storage).await;
        });
    }
}

#[test]
fn what_is_deleted_on_a_full_volume_comes_back_again_and_again() {
    on_a_small_disk(&async |_disk, storage| {
        beside_upkeep(&storage, async {
            let mut count = 0;
            let mut gone = std::collections::BTreeSet::new();
            for round in 0..4 {
                let first = count;
                count = fill(&storage, first).await;
                assert!(count > first + 30, "round {round}: {first} to {count}");
                // Every other one: no segment goes by itself.
                let every_other = (0..count).filter(|number| number % 2 == round % 2);
                every_other.clone().for_each(|number| delete(&storage, number));
                gone.extend(every_other);
                wait_for_space(&storage).await;
            }
            check(&storage, |number| !gone.contains(&number), count).await;
        })
        .await;
    });
}

/// Each time a quarter stays, here and there: what ends a shortage is room in segments that were rewritten.
#[test]
fn a_volume_takes_writes_until_most_of_it_is_needed() {
    on_a_small_disk(&async |_disk, storage| {
        beside_upkeep(&storage, async {
            let (mut count, mut kept_count, mut most) = (0, 0, 0);
            while kept_count <= most * 17 / 20 {
                let first = count;
                count = fill(&storage, first).await;
                most = most.max(kept_count + count - first);
                (first..count)
                    .filter(|number| number % 4 > 0)
                    .for_each(|number| delete(&storage, number));
                kept_count = count.div_ceil(4);
                wait_for_space(&storage).await;
            }
            check(&storage, |number| number % 4 == 0, count).await;
        })
        .await;
    });
}

#[test]
fn a_volume_that_others_have_filled_serves_deletes_from_the_reserve() {
    on_a_small_disk(&async |disk, storage| {
        beside_upkeep(&storage, async {
            let count = fill(&storage, 0).await;
            hog(disk, 0).await;
            delete_most(&storage, count).await;
            wait_for_space(&storage).await;
            assert!(storage.reserve().given_count > 0, "there was nothing else to write in");
            check(&storage, |number| number % 10 == 0, count).await;
        })
        .await;
    });
}

#[test]
fn a_full_volume_is_started_on_and_can_be_emptied() {
    on_a_small_disk(&async |disk, storage| {
        let count = beside_upkeep(&storage, async {
            let count = fill(&storage, 0).await;
            flush(&storage).await;
            count
        })
        .await;
        drop(storage);
        // Power is cut once; after that the process alone dies. Removals that a cut undoes have their space still.
        disk.crash();
        hog(disk, 0).await;
        for _life in 0..4 {
            let storage = Storage::open(disk.reopen(), options()).await.unwrap();
            assert!(storage.is_short_of_space());
            beside_upkeep(&storage, check(&storage, |_| true, count)).await;
        }
        let storage = Storage::open(disk.reopen(), options()).await.unwrap();
        beside_upkeep(&storage, async {
            (0..count).for_each(|number| delete(&storage, number));
            wait_for_space(&storage).await;
            check(&storage, |_| false, count).await;
        })
        .await;
    });
}
