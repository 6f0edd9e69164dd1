//! What the WAL promises, on a simulated disk. `model` asks for all of it at random, `damage` breaks bytes, `failure`
//! breaks operations; here is the rest.

mod damage;
mod failure;
mod model;
mod salvage;

use std::task::Poll;

use bytes::Bytes;
use futures::future::join;

use super::{Record, Slot, Wal, WalFigures, WalOptions, flushed, segments::SPARE_MAX};
use crate::{
    device::{Directory, Durability, Fill, SECTOR_BYTES},
    error::Error,
    testing::{SimDirectory, SimDisk, block_on},
};

type SimWal = Wal<SimDirectory>;

/// Small segments and caches: a few records fill them.
fn small() -> WalOptions {
    WalOptions {
        segment_bytes: 64 << 10,
        batch_bytes_max: 16 << 10,
        cache_bytes_max: 4 << 10,
        queue_bytes_max: 16 << 10,
        identity: 77,
    }
}

/// Opens the WAL of a disk, runs it beside `scenario` and stops it after that.
fn session<T>(
    disk: &SimDisk,
    options: WalOptions,
    scenario: impl AsyncFnOnce(&SimWal) -> T,
) -> Result<T, Error> {
    block_on(async {
        let wal = Wal::open(disk.reopen(), options).await?;
        let scenario = async {
            let result = scenario(&wal).await;
            wal.stop();
            result
        };
        let (run, result) = join(wal.run(), scenario).await;
        run.map(|()| result)
    })
}

fn record(index: u64, bytes: usize) -> Record {
    let fill = u8::try_from(index % 251).unwrap();
    Record {
        index,
        head: Bytes::from(format!("head of {index}")),
        body: Bytes::from(vec![fill; bytes]),
    }
}

async fn append(wal: &SimWal, group: u32, records: Vec<Record>) -> Result<(), Error> {
    flushed(|done| wal.append(group, records, done)).await
}

async fn turn() {
    let mut turned = false;
    std::future::poll_fn(|context| {
        if turned {
            return Poll::Ready(());
        }
        turned = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn one_append_is_one_write_and_what_comes_meanwhile_shares_the_next() {
    let disk = SimDisk::new(1);
    session(&disk, small(), async |wal| {
        append(wal, 1, vec![record(1, 100)]).await.unwrap();
        assert_eq!(wal.figures().batches_written, 1);
        assert_eq!(wal.figures().bytes_written, SECTOR_BYTES as u64);
        let first = append(wal, 1, vec![record(2, 100)]);
        let others = async {
            turn().await;
            let appends = (3..50).map(|index| append(wal, 1, vec![record(index, 100)]));
            futures::future::try_join_all(appends).await
        };
        let (first, others) = join(first, others).await;
        first.unwrap();
        others.unwrap();
        assert_eq!(wal.figures().batches_written, 3);
        assert_eq!(wal.figures().records_written, 49);
    })
    .unwrap();
}

#[test]
fn a_lazy_append_shares_the_batch_of_the_next_or_is_written_at_a_stop() {
    let disk = SimDisk::new(1);
    session(&disk, small(), async |wal| {
        wal.append_lazy(1, vec![record(1, 100)]).unwrap();
        for _ in 0..20 {
            turn().await;
        }
        assert_eq!(wal.figures().batches_written, 0, "nobody asks for it");
        append(wal, 2, vec![record(1, 100)]).await.unwrap();
        assert_eq!((wal.figures().batches_written, wal.figures().records_written), (1, 2));
        // More than a batch of them doesn't wait.
        let many = (2..12).map(|index| record(index, 2000)).collect();
        wal.append_lazy(1, many).unwrap();
        wal.room().await;
        for _ in 0..20 {
            turn().await;
        }
        assert!(wal.figures().batches_written > 1);
        wal.append_lazy(1, vec![record(12, 100)]).unwrap();
    })
    .unwrap();
    session(&disk, small(), async |wal| {
        assert_eq!(wal.range(1), Some((1, 12)), "also what came last");
        assert!(wal.append_lazy(1, vec![record(13, 40_000)]).is_err(), "too long");
        assert_eq!(wal.range(1), Some((1, 12)));
    })
    .unwrap();
}

#[test]
fn a_record_is_read_before_and_after_it_is_durable_and_after_a_restart() {
    let disk = SimDisk::new(2);
    let all: Vec<Record> = (5..40).map(|index| record(index, 900)).collect();
    let read = async |wal: &SimWal| wal.read(9, 0..u64::MAX, usize::MAX).await.unwrap();
    session(&disk, small(), async |wal| {
        let appended = append(wal, 9, all.clone());
        futures::pin_mut!(appended);
        assert!(futures::poll!(&mut appended).is_pending());
        assert_eq!(wal.range(9), Some((5, 39)));
        assert_eq!(read(wal).await, all);
        assert_eq!(wal.figures().reads, 0);
        appended.await.unwrap();
        assert_eq!(read(wal).await, all);
        assert!(wal.figures().reads > 0, "the cache has not room for all");
        assert!(wal.figures().cache_bytes <= small().cache_bytes_max);
    })
    .unwrap();
    session(&disk, small(), async |wal| {
        assert_eq!(read(wal).await, all);
        assert_eq!(wal.read(9, 7..9, usize::MAX).await.unwrap(), all[2..4]);
        assert_eq!(wal.read(9, 7..39, 1).await.unwrap(), all[2..3], "at least one");
        assert_eq!(wal.read(9, 7..39, 2000).await.unwrap(), all[2..4]);
        assert_eq!(wal.read(9, 40..99, 2000).await.unwrap(), []);
        assert_eq!(wal.read(8, 0..99, 2000).await.unwrap(), []);
        assert_eq!(wal.groups(), [9]);
    })
    .unwrap();
}

#[test]
fn records_after_a_truncation_replace_those_before() {
    let disk = SimDisk::new(3);
    session(&disk, small(), async |wal| {
        append(wal, 1, (1..=20).map(|index| record(index, 2000)).collect()).await.unwrap();
        wal.truncate(1, 11, Box::new(|result| result.unwrap()));
        append(wal, 1, (11..=13).map(|index| record(index, 7)).collect()).await.unwrap();
    })
    .unwrap();
    session(&disk, small(), async |wal| {
        assert_eq!(wal.range(1), Some((1, 13)));
        let expected: Vec<Record> = (1..=10)
            .map(|index| record(index, 2000))
            .chain((11..=13).map(|index| record(index, 7)))
            .collect();
        assert_eq!(wal.read(1, 0..99, usize::MAX).await.unwrap(), expected);
    })
    .unwrap();
}

/// While a read is under way, its records are dropped, replaced, and their segment is used again.
#[test]
fn a_read_never_sees_what_was_dropped_meanwhile() {
    for turns in 0..400 {
        let disk = SimDisk::new(turns);
        session(&disk, small(), async |wal| {
            append(wal, 1, (1..=16).map(|index| record(index, 3000)).collect()).await.unwrap();
            let read = wal.read(1, 2..4, usize::MAX);
            futures::pin_mut!(read);
            assert!(futures::poll!(&mut read).is_pending(), "it comes from disk");
            wal.truncate(1, 3, Box::new(drop));
            wal.append(1, vec![record(3, 5)], Box::new(drop));
            let change = async {
                for _ in 0..turns % 20 {
                    turn().await;
                }
                wal.purge(1, 2, Bytes::new(), Box::new(drop));
                append(wal, 1, (4..=40).map(|index| record(index, 3000)).collect()).await.unwrap();
            };
            let (read, ()) = join(read, change).await;
            let read = read.unwrap();
            let old_and_new = [record(2, 3000), record(3, 5)];
            assert!(
                read == old_and_new || read == old_and_new[1..] || read == old_and_new[..1],
                "replay with {turns} turns: {:?}",
                read.iter().map(|record| (record.index, record.body.len())).collect::<Vec<_>>()
            );
        })
        .unwrap();
    }
}

#[test]
fn segments_are_used_again_and_slots_move_along() {
    let disk = SimDisk::new(4);
    let figures = session(&disk, small(), async |wal| {
        for group in [1, 2, u32::MAX] {
            flushed(|done| wal.put(group, Slot::Vote, Bytes::from(format!("vote {group}")), done))
                .await
                .unwrap();
        }
        for index in 1..=400 {
            append(wal, 1, vec![record(index, 3000)]).await.unwrap();
            if index % 20 == 0 {
                let state = Bytes::from(format!("purged {index}"));
                flushed(|done| wal.purge(1, index - 10, state, done)).await.unwrap();
            }
        }
        wal.figures()
    })
    .unwrap();
    assert!(figures.bytes_written > 40 * small().segment_bytes / 2, "{figures:?}");
    // 30 records of a sector each are held at most, 16 sectors are a segment: 3, and the ends of two.
    assert!(figures.segment_count <= 4, "{figures:?}");
    assert!(disk.files().len() <= 4 + SPARE_MAX + 2, "{:?}", disk.files());
    session(&disk, small(), async |wal| {
        assert_eq!(wal.range(1), Some((391, 400)));
        assert_eq!(wal.slot(1, Slot::Purged).unwrap(), "purged 400");
        for group in [1, 2, u32::MAX] {
            assert_eq!(wal.slot(group, Slot::Vote).unwrap(), format!("vote {group}"));
        }
        assert_eq!(wal.slot(3, Slot::Vote), None);
        let records = wal.read(1, 0..u64::MAX, usize::MAX).await.unwrap();
        assert_eq!(records, (391..=400).map(|index| record(index, 3000)).collect::<Vec<_>>());
    })
    .unwrap();
}

#[test]
fn restarts_without_records_do_not_use_up_segments() {
    let disk = SimDisk::new(5);
    for round in 1..30 {
        let figures = session(&disk, small(), async |wal| {
            let value = Bytes::from(format!("vote {round}"));
            flushed(|done| wal.put(1, Slot::Vote, value, done)).await.unwrap();
            wal.figures()
        });
        assert_eq!(figures.unwrap().segment_count, 1, "the one before is given up at once");
    }
    assert!(disk.files().len() <= SPARE_MAX + 3, "{:?}", disk.files());
}

#[test]
fn a_large_record_has_a_batch_of_its_own_and_a_larger_one_is_refused() {
    let disk = SimDisk::new(6);
    let options = WalOptions { identity: 77, ..WalOptions::default() };
    let large = Record { head: Bytes::new(), ..record(1, super::RECORD_BYTES_MAX - 92) };
    session(&disk, options.clone(), async |wal| {
        append(wal, 1, vec![large.clone(), record(2, 10)]).await.unwrap();
        let refused = append(wal, 1, vec![record(3, 10), record(4, super::RECORD_BYTES_MAX)]).await;
        assert!(matches!(refused, Err(Error::Limit { .. })), "{refused:?}");
        assert_eq!(wal.range(1), Some((1, 2)));
        let refused =
            flushed(|done| wal.put(1, Slot::Vote, Bytes::from(vec![0; 4097]), done)).await;
        assert!(matches!(refused, Err(Error::Limit { .. })), "{refused:?}");
    })
    .unwrap();
    session(&disk, options, async |wal| {
        assert_eq!(wal.read(1, 0..9, usize::MAX).await.unwrap(), [large, record(2, 10)]);
    })
    .unwrap();
}

#[test]
fn a_lazy_value_waits_for_company() {
    let disk = SimDisk::new(7);
    let lazy = |wal: &SimWal, value: &'static str| {
        wal.put_lazy(1, Slot::Committed, Bytes::from_static(value.as_bytes())).unwrap();
    };
    session(&disk, small(), async |wal| {
        append(wal, 1, vec![record(1, 10)]).await.unwrap();
        lazy(wal, "one");
        for _ in 0..100 {
            turn().await;
        }
        assert_eq!(wal.slot(1, Slot::Committed).unwrap(), "one");
        assert_eq!(wal.figures().batches_written, 1);
        lazy(wal, "two");
        append(wal, 1, vec![record(2, 10)]).await.unwrap();
        assert_eq!(wal.figures().records_written, 3, "two of three values came to nothing");
        disk.crash();
    })
    .unwrap_err();
    session(&disk, small(), async |wal| {
        assert_eq!(wal.slot(1, Slot::Committed).unwrap(), "two");
        lazy(wal, "stale");
        let put = flushed(|done| wal.put(1, Slot::Committed, Bytes::from_static(b"now"), done));
        put.await.unwrap();
    })
    .unwrap();
    session(&disk, small(), async |wal| {
        assert_eq!(wal.slot(1, Slot::Committed).unwrap(), "now", "the later value counts");
        lazy(wal, "three");
    })
    .unwrap();
    session(&disk, small(), async |wal| {
        assert_eq!(wal.slot(1, Slot::Committed).unwrap(), "three");
    })
    .unwrap();
}

#[test]
fn a_removed_group_is_gone() {
    let disk = SimDisk::new(8);
    session(&disk, small(), async |wal| {
        append(wal, 1, vec![record(1, 10)]).await.unwrap();
        append(wal, 2, vec![record(1, 10)]).await.unwrap();
        flushed(|done| wal.put(1, Slot::Vote, Bytes::from_static(b"v"), done)).await.unwrap();
        wal.put_lazy(1, Slot::Committed, Bytes::from_static(b"c")).unwrap();
        flushed(|done| wal.remove_group(1, done)).await.unwrap();
        assert_eq!(wal.groups(), [2]);
    })
    .unwrap();
    session(&disk, small(), async |wal| assert_eq!(wal.groups(), [2])).unwrap();
}

#[test]
fn room_waits_while_the_queue_is_long() {
    let disk = SimDisk::new(9);
    session(&disk, small(), async |wal| {
        wal.room().await;
        let all = (1..=20).map(|index| record(index, 2000)).collect();
        let appended = append(wal, 1, all);
        futures::pin_mut!(appended);
        assert!(futures::poll!(&mut appended).is_pending());
        let room = wal.room();
        futures::pin_mut!(room);
        assert!(futures::poll!(&mut room).is_pending());
        room.await;
        assert!(wal.figures().queue_bytes <= small().queue_bytes_max);
        appended.await.unwrap();
    })
    .unwrap();
}

#[test]
fn a_stopped_wal_takes_nothing_more_but_can_be_read() {
    let disk = SimDisk::new(10);
    session(&disk, small(), async |wal| {
        let appended = append(wal, 1, vec![record(1, 10)]);
        futures::pin_mut!(appended);
        assert!(futures::poll!(&mut appended).is_pending());
        wal.stop();
        assert_eq!(append(wal, 1, vec![record(2, 10)]).await, Err(Error::Stopped));
        assert_eq!(appended.await, Ok(()), "what waited is written");
        assert_eq!(wal.read(1, 0..9, 99).await.unwrap().len(), 1);
    })
    .unwrap();
}

#[test]
fn options_that_the_format_cannot_have_are_refused() {
    for segment_bytes in [0, 4096, 65_537, 2 << 30] {
        let options = WalOptions { segment_bytes, ..small() };
        let refused = session(&SimDisk::new(0), options, async |wal| wal.figures());
        assert!(matches!(refused, Err(Error::Limit { .. })), "{segment_bytes}");
    }
}

#[test]
fn a_new_wal_is_empty() {
    let figures = session(&SimDisk::new(0), small(), async |wal| wal.figures()).unwrap();
    assert_eq!(WalFigures { spare_count: 0, ..figures }, WalFigures::default());
}

#[test]
fn a_segment_that_was_being_made_at_a_kill_keeps_its_records_over_a_power_cut() {
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        block_on(async {
            // All of its length is there, and nothing of it durable: the maker was killed.
            let (directory, fill) = (disk.root(), Fill::Zeros(small().segment_bytes));
            let made = directory.create("wal-00000001", fill, Durability::EachWrite);
            futures::pin_mut!(made);
            assert!(futures::poll!(&mut made).is_pending());
        });
        let ended = block_on(async {
            let wal = Wal::open(disk.root(), small()).await.unwrap();
            let scenario = async {
                append(&wal, 1, (1..20).map(|index| record(index, 900)).collect()).await.unwrap();
                disk.crash();
                wal.stop();
            };
            join(wal.run(), scenario).await.0
        });
        assert!(matches!(ended, Err(Error::Stopped)), "seed {seed}: {ended:?}");
        let range = session(&disk, small(), async |wal| wal.range(1)).unwrap();
        assert_eq!(range, Some((1, 19)), "seed {seed}");
    }
}
