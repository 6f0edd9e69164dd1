//! Upkeep leaves the core to others: no step of it is long, and it rests as long as nothing presses.

use std::{cell::RefCell, future::ready, time::Duration};

use bytes::Bytes;
use futures::future::LocalBoxFuture;

use super::{open, options, rig};
use crate::{
    Error,
    index::{
        Batch, Entry, Index, Payload, Surroundings,
        pace::{STEP_BYTES_MAX, STEP_ENTRIES_MAX},
    },
    testing::{Fault, Random, SimDirectory, block_on},
};

/// Remembers what it was asked for.
#[derive(Default)]
struct Noted {
    rests: RefCell<Vec<Duration>>,
    damage: RefCell<Vec<Error>>,
}

impl Surroundings for Noted {
    fn rest(&self, pause: Duration) -> LocalBoxFuture<'_, ()> {
        self.rests.borrow_mut().push(pause);
        Box::pin(ready(()))
    }

    fn damaged(&self, error: &Error) {
        self.damage.borrow_mut().push(error.clone());
    }
}

fn put(numbers: impl Iterator<Item = u64>, random: &mut Random, value_bytes: usize) -> Batch {
    let mut batch = Batch::default();
    for number in numbers {
        let value = Bytes::from(random.bytes(value_bytes));
        let key = Bytes::from(format!("key/{number:08}"));
        batch.put(key, Entry { value, payload: Payload::None });
    }
    batch
}

/// Runs upkeep until it waits for something to do; looks at what each poll of it did.
async fn settle(index: &Index<SimDirectory>, noted: &Noted, mut poll: impl FnMut()) {
    let stopper = index.clone();
    let mut upkeep = Box::pin(index.maintain_in(noted));
    loop {
        let done = futures::poll!(&mut upkeep).is_ready();
        poll();
        if done {
            return;
        }
        if !index.0.tidying.get() {
            stopper.stop();
        }
    }
}

#[test]
fn no_step_handles_more_than_its_share_of_entries_and_bytes() {
    let longest = 3000;
    for (value_bytes, count) in [(0, 5000), (40, 5000), (longest, 500)] {
        block_on(async {
            let (disk, mut random) = rig(1);
            let index = open(disk.root()).await.unwrap();
            for _ in 0..options().level_zero_tables {
                index.write(put(0..count, &mut random, value_bytes));
                index.flush().await.unwrap();
            }
            let counters = &index.0.counters;
            let merged = || (counters.merged_entries.get(), counters.merged_bytes.get());
            let mut before = merged();
            let mut polls = 0;
            settle(&index, &Noted::default(), || {
                let after = merged();
                assert!(after.0 - before.0 <= STEP_ENTRIES_MAX);
                assert!(after.1 - before.1 < STEP_BYTES_MAX + longest as u64 + 20);
                before = after;
                polls += 1;
            })
            .await;
            assert!(before.0 >= count, "all was merged");
            assert!(polls > 2 * before.0 / STEP_ENTRIES_MAX / 3, "{polls} polls for {before:?}");
        });
    }
}

#[test]
fn it_rests_by_its_bytes_without_debt_and_never_near_the_limits() {
    for (table_count, rests) in [(3, true), (4, false)] {
        block_on(async {
            let (disk, mut random) = rig(2);
            let index = open(disk.root()).await.unwrap();
            for _ in 0..table_count {
                index.write(put(0..2000, &mut random, 1000));
                index.flush().await.unwrap();
            }
            let noted = Noted::default();
            // The first compaction alone: it leaves level one far beyond its tiny limit.
            index.upkeep(&noted).await.unwrap();
            let rested: Duration = noted.rests.borrow().iter().sum();
            let bytes = index.0.counters.merged_bytes.get();
            let expected = Duration::from_nanos((bytes * 1_000_000_000) >> 24);
            assert!(bytes > 1 << 20);
            if rests {
                assert!(rested <= expected && 5 * rested > 4 * expected, "{rested:?} for {bytes}");
            } else {
                assert_eq!(rested, Duration::ZERO);
            }
        });
    }
}

#[test]
fn a_damaged_table_is_told_of_once_and_the_others_are_compacted_all_the_same() {
    // In level zero, and so deep that nothing of level zero has to wait for it.
    for (table_count, waiting) in [(1, 6), (3, 0)] {
        for unreadable in [Unreadable::Flipped, Unreadable::BadSector] {
            block_on(damage(table_count, waiting, unreadable));
        }
    }
}

#[derive(Clone, Copy)]
enum Unreadable {
    Flipped,
    BadSector,
}

async fn damage(table_count: usize, waiting: usize, unreadable: Unreadable) {
    let (disk, mut random) = rig(3);
    let index = open(disk.root()).await.unwrap();
    let noted = Noted::default();
    for _ in 0..table_count {
        index.write(put(0..400, &mut random, 50));
        index.flush().await.unwrap();
    }
    while index.upkeep(&noted).await.unwrap() {}
    let damaged = disk.files().into_iter().find(|(path, _)| path.contains("table-")).unwrap().0;
    match unreadable {
        Unreadable::Flipped => disk.flip(&damaged, 100, 1),
        Unreadable::BadSector => disk.fail_within(&damaged, 0, Fault::ReadError),
    }
    for _ in 0..5 {
        for (numbers, value_bytes) in [(1000..1400, 50), (0..400, 10), (2000..2400, 50)] {
            index.write(put(numbers, &mut random, value_bytes));
            index.flush().await.unwrap();
        }
    }
    settle(&index, &noted, || {}).await;
    let told = noted.damage.take();
    let [Error::Corrupt { location, .. } | Error::Device { attempted: location, .. }] =
        told.as_slice()
    else {
        unreachable!("once: {told:?}")
    };
    assert!(location.contains(damaged.rsplit('/').next().unwrap()), "{location}");
    let figures = index.figures();
    assert_eq!(figures.damaged_tables.len(), 1);
    assert_eq!(figures.level_tables[0], waiting, "what lies over the damage waits, no other");
    // What is newer than the damage is served.
    assert!(index.get(b"key/00000001").await.unwrap().is_some());
    // A range that takes the table along ends the damage.
    index.remove_range(&(Bytes::from_static(b"key/0000")..Bytes::from_static(b"key/00001")));
    drop(index.flush().await.unwrap());
    assert!(index.figures().damaged_tables.is_empty());
}
