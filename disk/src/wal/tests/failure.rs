//! Operations that fail: a failed write stops the WAL for good, a full volume only where a segment is needed.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use futures::future::join;

use super::{SimWal, append, record, session, small, turn};
use crate::{
    error::Error,
    testing::{Fault, SimDisk, block_on},
    wal::{Slot, Wal, flushed},
};

/// What completions were told.
type Told = Rc<RefCell<Vec<Result<(), Error>>>>;

#[test]
fn a_failed_write_reaches_every_completion_and_nothing_is_written_after_it() {
    for fault in [Fault::Io, Fault::ShortWrite] {
        let disk = SimDisk::new(1);
        let told: Told = Rc::default();
        let result = session(&disk, small(), async |wal: &SimWal| {
            append(wal, 1, vec![record(1, 10)]).await.unwrap();
            for _ in 0..50 {
                turn().await;
            }
            disk.fail_at(disk.io_count(), fault, true);
            for index in 2..30 {
                let told = Rc::clone(&told);
                let done = Box::new(move |result| told.borrow_mut().push(result));
                wal.append(1, vec![record(index, 2000)], done);
            }
            while told.borrow().len() < 28 {
                turn().await;
            }
            assert_eq!(append(wal, 1, vec![record(30, 1)]).await, Err(Error::Stopped));
            assert_eq!(wal.read(1, 0..9, 1).await, Err(Error::Stopped));
            wal.room().await;
        });
        assert!(matches!(result, Err(Error::Device { .. })), "{result:?}");
        assert!(told.borrow().iter().all(|told| *told == result), "{told:?}");
        // What was acknowledged is there; what was not is there or not, but without holes.
        session(&disk, small(), async |wal| {
            let (first, last) = wal.range(1).unwrap();
            assert!(first == 1 && last < 30);
        })
        .unwrap();
    }
}

/// Every operation in turn, from opening an empty directory on.
#[test]
fn whatever_fails_what_was_acknowledged_is_there() {
    for nth_io in 0..60 {
        for fault in [Fault::Io, Fault::NoSpace, Fault::ShortWrite, Fault::SyncError] {
            let disk = SimDisk::new(nth_io);
            disk.fail_at(nth_io, fault, false);
            let mut acknowledged = 0;
            let failed = session(&disk, small(), async |wal| {
                while acknowledged < 30
                    && append(wal, 1, vec![record(acknowledged + 1, 3000)]).await.is_ok()
                {
                    acknowledged += 1;
                }
            });
            disk.crash();
            disk.heal();
            let last = session(&disk, small(), async |wal| wal.range(1).map_or(0, |range| range.1))
                .unwrap();
            assert!(last >= acknowledged, "{fault:?} at {nth_io}: {last} < {acknowledged}");
            assert!(failed.is_err() || acknowledged == 30, "{fault:?} at {nth_io}");
        }
    }
}

#[test]
fn a_full_volume_is_told_a_segment_ahead_and_forgotten_when_there_is_space() {
    let disk = SimDisk::new(3);
    session(&disk, small(), async |wal| {
        append(wal, 1, vec![record(1, 10)]).await.unwrap();
        for _ in 0..100 {
            turn().await;
        }
        assert_eq!(wal.figures().spare_count, 1);
        for index in 2..=16 {
            append(wal, 1, vec![record(index, 3000)]).await.unwrap();
        }
        // The next batch is written to the second segment; beside it the third is made.
        disk.fail_at(disk.io_count() + 1, Fault::NoSpace, true);
        append(wal, 1, vec![record(17, 3000)]).await.unwrap();
        for _ in 0..100 {
            turn().await;
        }
        assert!(wal.is_short());
        // There is a whole segment to free others with.
        flushed(|done| wal.purge(1, 17, Bytes::new(), done)).await.unwrap();
        for _ in 0..100 {
            turn().await;
        }
        assert!(!wal.is_short(), "the purged segment is used again");
        assert_eq!(disk.files().len(), 2);
    })
    .unwrap();
}

#[test]
fn a_batch_that_finds_no_segment_says_that_the_volume_is_full() {
    let disk = SimDisk::new(4);
    disk.fail_at(0, Fault::NoSpace, false);
    let result = session(&disk, small(), async |wal| append(wal, 1, vec![record(1, 10)]).await);
    assert!(matches!(result, Err(Error::NoSpace { .. })), "{result:?}");
    assert_eq!(disk.files(), [], "nothing of the segment is left behind");
    disk.heal();
    session(&disk, small(), async |wal| append(wal, 1, vec![record(1, 10)]).await.unwrap())
        .unwrap();
}

/// A crash in the middle of making a segment leaves a file that was never used.
#[test]
fn a_crash_at_each_operation_of_the_first_start_leaves_an_openable_log() {
    for nth_io in 0..12 {
        for seed in 0..8 {
            let disk = SimDisk::new(seed);
            disk.crash_at(nth_io);
            let mut acknowledged = false;
            let result = session(&disk, small(), async |wal| {
                let put = flushed(|done| wal.put(1, Slot::Vote, Bytes::from_static(b"v"), done));
                acknowledged = put.await.is_ok();
            });
            disk.heal();
            let value = session(&disk, small(), async |wal| wal.slot(1, Slot::Vote)).unwrap();
            assert!(value.is_some() || !acknowledged, "crash at {nth_io}, seed {seed}: {result:?}");
        }
    }
}

#[test]
fn a_completion_may_call_the_wal() {
    let disk = SimDisk::new(5);
    block_on(async {
        let wal = Wal::open(disk.root(), small()).await.unwrap();
        let inner = wal.clone();
        let done = move |result: Result<(), Error>| {
            result.unwrap();
            let last = inner.clone();
            inner.append(1, vec![record(2, 10)], Box::new(move |_| last.stop()));
        };
        wal.append(1, vec![record(1, 10)], Box::new(done));
        let (run, ()) = join(wal.run(), async {}).await;
        run.unwrap();
        assert_eq!(wal.range(1), Some((1, 2)));
    });
}
