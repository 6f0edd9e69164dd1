//! The N-th I/O fails, for every N: with EIO, ENOSPC, a short write or a failed flush, once or from then on.
//!
//! Whatever the engine says then, a restart finds a prefix with all that was acknowledged, and no read is ever wrong.

use super::{Bench, Operation, Replay, asked, random_operations};
use crate::{
    error::Error,
    testing::{Fault, Random},
};

const FAULTS: [Fault; 4] = [Fault::Io, Fault::NoSpace, Fault::ShortWrite, Fault::SyncError];

/// A workload with everything in it: two flushes make a compaction, the chunks fill segments.
const WORKLOAD: [Operation; 20] = [
    Operation::Put { key: 1, body_bytes: 10 },
    Operation::Chunk { key: 2, body_bytes: 9000 },
    Operation::Vote,
    Operation::Put { key: 3, body_bytes: 2000 },
    Operation::Flush,
    Operation::Delete { key: 1 },
    Operation::Rewrite,
    Operation::Chunk { key: 4, body_bytes: 15_000 },
    Operation::Apart { key: 5, body_bytes: 15_000 },
    Operation::Flush,
    Operation::Restart,
    Operation::Put { key: 3, body_bytes: 3000 },
    Operation::Chunk { key: 2, body_bytes: 15_000 },
    Operation::Apart { key: 5, body_bytes: 9000 },
    Operation::Flush,
    Operation::Idle,
    Operation::Delete { key: 4 },
    Operation::Vote,
    Operation::Flush,
    Operation::Idle,
];

#[test]
fn whichever_io_fails_what_was_acknowledged_is_there() {
    let mut count = 0;
    for seed in 0..asked("ANODE_FAULT_SEEDS", 2) {
        let span = Bench::measure(&WORKLOAD, seed);
        for nth_io in 0..span {
            for fault in FAULTS {
                for once in [true, false] {
                    one(&WORKLOAD, seed, (nth_io, fault, once));
                    count += 1;
                }
            }
        }
    }
    eprintln!("{count} failed operations");
}

#[test]
fn whichever_io_fails_in_a_random_sequence_what_was_acknowledged_is_there() {
    for seed in 0..asked("ANODE_FAULT_SEEDS", 2) * 400 {
        long(seed);
    }
}

/// A random sequence, several at a time, with one fault at a random point.
pub(super) fn long(seed: u64) {
    let mut random = Random::new(!seed);
    let operations = random_operations(&mut random, 40);
    let fault = FAULTS[usize::try_from(random.below(4)).expect("below 4")];
    let point = (random.below(250), fault, random.coin());
    let _replay = Replay(format!("stages::faults::long({seed}): {point:?}"));
    one(&operations, seed, point);
}

/// Runs a workload with a fault, as a node would: the first error that isn't a full disk ends it.
pub(super) fn one(operations: &[Operation], seed: u64, (nth_io, fault, once): (u64, Fault, bool)) {
    let _replay = Replay(format!("stages::faults::one(.., {seed}, ({nth_io}, {fault:?}, {once}))"));
    let mut bench = Bench::new(seed);
    bench.width = 1 + usize::try_from(seed % 4).expect("below 4");
    bench.disk.fail_at(nth_io, fault, once);
    match bench.run(operations) {
        Ok(()) | Err(Error::Device { .. } | Error::Stopped | Error::NoSpace { .. }) => {}
        Err(error) => super::violation(&format!("a failed operation looks like {error}")),
    }
    bench.disk.heal();
    bench.disk.crash();
    bench.recover(&mut Random::new(seed), seed % 2);
    bench.assert_tidy();
}
