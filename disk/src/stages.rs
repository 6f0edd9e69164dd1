//! The stages of tests over the whole of a shard's storage: WAL, index and data segments as one engine.
//!
//! A small shard (`shard`) drives the real engine over the simulated disk and a reference model (`model`) at the same
//! time. What must hold is one sentence: after any crash or failed I/O the state is that of some prefix of what was
//! asked for, and that prefix has everything that was acknowledged.
//!
//! - `sequences`: without faults, engine and model agree after every operation;
//! - `crash`: every I/O is a crash point, recovery's own included;
//! - `faults`: the N-th I/O fails, once or from then on, for every N;
//! - `rot`: every byte of a small store is flipped, one at a time; a valid block lies in the wrong place;
//! - `golden`: what this release writes is checked in, and is read by all later ones;
//! - `parsers`: any bytes in the place of any file, by the targets that `fuzz/` has, too;
//! - `planted`: each stage catches the bugs that it is there for.
//!
//! A violation panics with a message that begins with "violation" and says how to replay it.

mod crash;
mod faults;
mod golden;
mod model;
mod parsers;
mod planted;
mod rot;
mod sequences;
mod shard;

use std::{cell::RefCell, rc::Rc};

use self::{
    model::Model,
    shard::{Operation, Shard},
};
use crate::{
    error::Error,
    testing::{Random, SimDisk, block_on},
};

/// How many operations the exhaustive stages put behind each other at most.
const SEQUENCE_LENGTH_MAX: usize = 4;

/// The small alphabet: with keys this few, every operation meets what the others left.
const ALPHABET: [Operation; 9] = [
    Operation::Put { key: 0, body_bytes: 0 },
    Operation::Put { key: 1, body_bytes: 700 },
    Operation::Chunk { key: 0, body_bytes: 5000 },
    Operation::Delete { key: 0 },
    Operation::Clear { from: 0, to: 1 },
    Operation::Vote,
    Operation::Rewrite,
    Operation::Flush,
    Operation::Restart,
];

/// Every sequence of 1 to `length_max` operations of the alphabet, the short ones first.
fn sequences(length_max: usize) -> impl Iterator<Item = Vec<Operation>> {
    (1..=length_max).flat_map(|length| {
        let count = ALPHABET.len().pow(u32::try_from(length).expect("a few operations"));
        (0..count).map(move |number| {
            let mut rest = number;
            let mut letters = Vec::new();
            for _ in 0..length {
                letters.push(ALPHABET[rest % ALPHABET.len()]);
                rest /= ALPHABET.len();
            }
            letters
        })
    })
}

/// `count` operations that a generator chooses, over more keys and sizes than the alphabet has.
fn random_operations(random: &mut Random, count: u64) -> Vec<Operation> {
    (0..count)
        .map(|_| {
            let key = u8::try_from(random.below(24)).expect("below 24");
            match random.below(100) {
                0..30 => Operation::Put { key, body_bytes: random.below(250) },
                30..45 => Operation::Put { key, body_bytes: 256 + random.below(5000) },
                45..53 => Operation::Chunk { key, body_bytes: 1 + random.below(15_000) },
                53..60 => Operation::Apart { key, body_bytes: 1 + random.below(15_000) },
                60..69 => Operation::Delete { key },
                69..72 => Operation::Clear { from: key, to: key + 6 },
                72..77 => Operation::Vote,
                77..83 => Operation::Rewrite,
                83..93 => Operation::Flush,
                93..98 => Operation::Idle,
                _ => Operation::Restart,
            }
        })
        .collect()
}

/// One simulated disk and what must be on it, over all its lives.
struct Bench {
    disk: SimDisk,
    model: Rc<RefCell<Model>>,
    /// How many operations are under way at the same time.
    width: usize,
    /// Whether engine and model are compared after each operation.
    compares: bool,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let model = Rc::new(RefCell::new(Model::default()));
        Self { disk: SimDisk::new(seed), model, width: 1, compares: false }
    }

    /// How many I/Os a workload takes.
    fn measure(operations: &[Operation], seed: u64) -> u64 {
        let bench = Self::new(seed);
        bench.run(operations).expect("nothing fails");
        bench.disk.io_count()
    }

    /// Performs the operations, in as many lives as there are restarts; ends at the first error that ends a node.
    fn run(&self, operations: &[Operation]) -> Result<(), Error> {
        let mut lives = operations.split(|operation| *operation == Operation::Restart);
        lives.try_for_each(|life| block_on(Box::pin(self.live(life))))
    }

    /// One life: recovery, which must find what it should, the operations, a clean stop.
    async fn live(&self, operations: &[Operation]) -> Result<(), Error> {
        let shard = Shard::open(self.disk.reopen(), Rc::clone(&self.model)).await?;
        let work = async {
            let mut result = Ok(());
            for together in operations.chunks(self.width) {
                let all = together.iter().map(|operation| shard.perform(*operation));
                for ended in futures::future::join_all(all).await {
                    result = result.and(ended);
                }
                if result.is_err() {
                    break;
                }
                if self.compares {
                    shard.compare().await?;
                }
            }
            shard.stop();
            result
        };
        let (worked, ran, maintained) =
            futures::join!(work, shard.wal.run(), shard.index.maintain());
        if ran.is_ok() && worked.is_ok() {
            self.model.borrow().assert_all_acknowledged();
        }
        worked.and(ran).and(maintained)
    }

    /// Recovers after a crash, crashing `again` times in the midst of that, and checks what is there.
    fn recover(&self, random: &mut Random, again: u64) -> u64 {
        let mut crashes = 0;
        for _ in 0..again {
            self.disk.crash_at(self.disk.io_count() + random.below(40));
            // Flushing what recovery found is the first thing that an owner does.
            match self.run(&[Operation::Flush]) {
                Err(Error::Stopped) => crashes += 1,
                Ok(()) => {}
                Err(error) => violation(&format!("recovery refused: {error}")),
            }
        }
        self.disk.heal();
        if let Err(error) = self.run(&[]) {
            violation(&format!("recovery refused: {error}"));
        }
        crashes
    }

    /// After everything is flushed nothing is left over: no pin, no table that nothing names, no record.
    fn assert_tidy(&self) {
        let flushed = self.run(&[Operation::Flush, Operation::Idle]);
        if let Err(error) = flushed {
            violation(&format!("a healthy disk refused: {error}"));
        }
        let shard = block_on(Shard::open(self.disk.reopen(), Rc::clone(&self.model)))
            .expect("it was opened a moment ago");
        shard.assert_tidy(&self.disk);
    }
}

/// Ends a stage: what must never be has been seen.
#[track_caller]
fn violation(what: &str) -> ! {
    std::panic::panic_any(format!("violation: {what}"))
}

/// How many images or seeds a stage checks; a run by hand asks for more through the environment.
fn asked(name: &str, otherwise: u64) -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "a run of the tests by hand has no configuration"
    )]
    let value = std::env::var(name);
    value.ok().map_or(otherwise, |value| value.parse().expect("a number"))
}

/// Says how to replay what panics while it exists.
struct Replay(String);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay: {}", self.0);
        }
    }
}
