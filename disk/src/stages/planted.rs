//! Each stage catches the bugs that it is there for: a bug is planted, the stage runs, and it must fail.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Operation, crash, faults, rot, sequences};
use crate::{
    planted::{Bug, plant},
    testing::Fault,
};

/// Seeds that a stage gets to catch a bug; without one, its own test passes on all of these.
const SEEDS: u64 = 100;

/// Runs a stage with a bug until it fails; says with which seed.
fn caught(bug: Bug, stage: &str, run: impl Fn(u64)) {
    caught_within(SEEDS, bug, stage, run);
}

fn caught_within(seeds: u64, bug: Bug, stage: &str, run: impl Fn(u64)) {
    let planted = plant(bug);
    let seed = (0..seeds).find(|seed| catch_unwind(AssertUnwindSafe(|| run(*seed))).is_err());
    drop(planted);
    let seed =
        seed.unwrap_or_else(|| unreachable!("{bug:?} went through {seeds} seeds of {stage}"));
    eprintln!("{bug:?} is caught by {stage}, seed {seed}");
}

#[test]
fn crashes_catch_what_is_not_durable_in_time() {
    for bug in [
        Bug::AcknowledgeBeforeFlush,
        Bug::VoteNotFlushed,
        Bug::StaleBatchAccepted,
        Bug::WalNameNotSynced,
        Bug::SegmentNameNotSynced,
        Bug::TableNameNotSynced,
        Bug::TableNotSynced,
        Bug::PayloadNotSynced,
        Bug::SegmentRemovedWhilePinned,
        Bug::SegmentNumberReused,
        Bug::PurgePastState,
    ] {
        caught(bug, "crash", |seed| {
            crash::long(seed);
        });
    }
}

#[test]
fn torn_writes_catch_a_record_whose_checksum_is_not_looked_at() {
    let put = [Operation::Put { key: 1, body_bytes: 700 }];
    caught(Bug::RecordChecksumSkipped, "crash", |seed| {
        for nth_io in 0..30 {
            crash::image(&put, seed, nth_io);
        }
    });
}

#[test]
fn the_model_catches_what_is_wrong_without_any_fault() {
    for bug in [Bug::TombstoneDroppedEarly, Bug::TruncateOffByOne] {
        caught(bug, "sequences", sequences::long);
    }
}

#[test]
fn failing_operations_catch_an_ignored_error() {
    caught(Bug::FlushErrorIgnored, "faults", |seed| {
        let chunk = [Operation::Chunk { key: 1, body_bytes: 5000 }];
        for nth_io in 0..40 {
            faults::one(&chunk, seed, (nth_io, Fault::SyncError, true));
        }
    });
}

#[test]
fn rot_catches_a_check_that_is_missing() {
    caught_within(1, Bug::BlockChecksumSkipped, "rot", |_| rot::flip_all("segments/"));
    caught_within(1, Bug::DamageTakenForTail, "rot", |_| rot::flip_all("wal/"));
    caught_within(1, Bug::FrameIdentityIgnored, "rot", |_| rot::misplaced());
}
