use std::collections::BTreeSet;

use super::{Fault, Random, SimDisk, block_on};
use crate::{
    device::{Device, Directory, Durability, Fill, SECTOR_BYTES},
    error::Error,
};

const SECTOR: u64 = SECTOR_BYTES as u64;

/// What became of one sector that was ones, then written with twos, at a crash.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Old,
    New,
    Torn,
}

fn outcome(bytes: &[u8]) -> Outcome {
    match (bytes.iter().all(|byte| *byte == 1), bytes.iter().all(|byte| *byte == 2)) {
        (true, _) => Outcome::Old,
        (_, true) => Outcome::New,
        _ => Outcome::Torn,
    }
}

async fn ones(disk: &SimDisk, durability: Durability) -> super::SimDevice {
    let root = disk.root();
    let device = root.create("file", Fill::Zeros(2 * SECTOR), durability).await.unwrap();
    device.write(0, vec![1; 2 * SECTOR_BYTES]).await.unwrap();
    device.sync().await.unwrap();
    root.sync().await.unwrap();
    device
}

#[test]
fn an_unsynced_write_is_lost_kept_or_torn_each_sector_for_itself() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        block_on(async {
            let device = ones(&disk, Durability::AtSync).await;
            device.write(0, vec![2; SECTOR_BYTES]).await.unwrap();
            device.write(SECTOR, vec![2; SECTOR_BYTES]).await.unwrap();
            disk.crash();
            assert_eq!(device.read(0, SECTOR_BYTES).await, Err(Error::Stopped));
            let device = disk.reopen().open("file", Durability::AtSync).await.unwrap();
            let bytes = device.read(0, 2 * SECTOR_BYTES).await.unwrap();
            seen.insert((outcome(&bytes[..SECTOR_BYTES]), outcome(&bytes[SECTOR_BYTES..])));
        });
    }
    assert_eq!(seen.len(), 9, "every combination, so every order, occurs: {seen:?}");
}

#[test]
fn what_completed_before_a_sync_survives_every_crash() {
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        block_on(async {
            let device = ones(&disk, Durability::AtSync).await;
            device.write(0, vec![2; SECTOR_BYTES]).await.unwrap();
            let late = async {
                device.write(SECTOR, vec![2; SECTOR_BYTES]).await.unwrap();
            };
            futures::join!(device.sync(), late).0.unwrap();
            disk.crash();
            let device = disk.reopen().open("file", Durability::AtSync).await.unwrap();
            let bytes = device.read(0, SECTOR_BYTES).await.unwrap();
            assert_eq!(outcome(&bytes), Outcome::New, "seed {seed}");
        });
    }
}

#[test]
fn each_write_is_durable_when_it_completes_and_open_until_then() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        block_on(async {
            let device = ones(&disk, Durability::EachWrite).await;
            device.write(0, vec![2; SECTOR_BYTES]).await.unwrap();
            disk.crash_at(disk.io_count());
            let refused = device.write(SECTOR, vec![2; SECTOR_BYTES]).await;
            assert_eq!(refused, Err(Error::Stopped));
            let device = disk.reopen().open("file", Durability::EachWrite).await.unwrap();
            let bytes = device.read(0, 2 * SECTOR_BYTES).await.unwrap();
            assert_eq!(outcome(&bytes[..SECTOR_BYTES]), Outcome::New, "seed {seed}");
            seen.insert(outcome(&bytes[SECTOR_BYTES..]));
        });
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn names_are_durable_after_the_directory_sync_only() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        block_on(async {
            drop(ones(&disk, Durability::AtSync).await);
            let root = disk.root();
            drop(root.create("other", Fill::Empty, Durability::AtSync).await.unwrap());
            root.rename("file", "renamed").await.unwrap();
            root.remove("renamed").await.unwrap();
            disk.crash();
            let names = disk.reopen().list().await.unwrap();
            assert!(!names.contains(&"file".to_owned()) || !names.contains(&"renamed".to_owned()));
            seen.insert(names);
        });
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[test]
fn growth_is_lost_or_kept() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        block_on(async {
            let root = disk.root();
            let device = root.create("file", Fill::Empty, Durability::AtSync).await.unwrap();
            root.sync().await.unwrap();
            device.write(0, vec![1; 2 * SECTOR_BYTES]).await.unwrap();
            assert_eq!(device.size(), 2 * SECTOR);
            disk.crash();
            let device = disk.reopen().open("file", Durability::AtSync).await.unwrap();
            seen.insert(device.size());
        });
    }
    assert_eq!(seen, BTreeSet::from([0, SECTOR, 2 * SECTOR]));
}

#[test]
fn planned_faults_strike_the_operation_they_fit() {
    let disk = SimDisk::new(1);
    block_on(async {
        let device = ones(&disk, Durability::AtSync).await;
        disk.fail_at(0, Fault::NoSpace, true);
        device.read(0, SECTOR_BYTES).await.unwrap();
        let refused = device.write(0, vec![2; SECTOR_BYTES]).await;
        assert!(matches!(refused, Err(Error::NoSpace { .. })));
        assert_eq!(outcome(&device.read(0, SECTOR_BYTES).await.unwrap()), Outcome::Old);
        device.write(0, vec![2; SECTOR_BYTES]).await.unwrap();
        disk.fail_at(disk.io_count(), Fault::SyncError, true);
        assert!(matches!(device.sync().await, Err(Error::Device { .. })));
        device.sync().await.unwrap();
        disk.fail_at(disk.io_count(), Fault::Io, false);
        device.read(0, SECTOR_BYTES).await.unwrap_err();
        disk.root().list().await.unwrap_err();
        disk.heal();
        disk.root().list().await.unwrap();
    });
}

#[test]
fn a_failed_sync_may_take_the_data_back() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        block_on(async {
            let device = ones(&disk, Durability::AtSync).await;
            device.write(0, vec![2; SECTOR_BYTES]).await.unwrap();
            disk.fail_at(disk.io_count(), Fault::SyncError, true);
            device.sync().await.unwrap_err();
            device.sync().await.unwrap();
            seen.insert(outcome(&device.read(0, SECTOR_BYTES).await.unwrap()));
        });
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn a_dropped_write_may_land_and_the_same_seed_gives_the_same_trace() {
    let run = |seed| {
        let disk = SimDisk::new(seed);
        block_on(async {
            let device = ones(&disk, Durability::AtSync).await;
            let mut write = Box::pin(device.write(0, vec![2; SECTOR_BYTES]));
            assert!(futures::poll!(&mut write).is_pending());
            drop(write);
            (outcome(&device.read(0, SECTOR_BYTES).await.unwrap()), disk.trace())
        })
    };
    let seen: BTreeSet<Outcome> = (0..50).map(|seed| run(seed).0).collect();
    assert_eq!(seen, BTreeSet::from([Outcome::Old, Outcome::New]));
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).1, run(8).1);
}

#[test]
fn flips_are_durable_and_exact() {
    let disk = SimDisk::new(3);
    block_on(async {
        let inner = disk.root().directory("inner").await.unwrap();
        let device = inner.create("file", Fill::Zeros(SECTOR), Durability::AtSync).await.unwrap();
        inner.sync().await.unwrap();
        device.write(0, Random::new(1).bytes(SECTOR_BYTES)).await.unwrap();
        device.sync().await.unwrap();
        let before = disk.bytes("inner/file");
        disk.flip("inner/file", 77, 0x10);
        disk.crash();
        let after = disk.bytes("inner/file");
        let changed: Vec<usize> =
            (0..before.len()).filter(|at| before[*at] != after[*at]).collect();
        assert_eq!(changed, [77]);
        assert_eq!(before[77] ^ after[77], 0x10);
        assert_eq!(disk.files(), [("inner/file".to_owned(), SECTOR)]);
    });
}
