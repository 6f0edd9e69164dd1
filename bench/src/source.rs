//! Which operation on which key comes next: from a seed, so that the same load can be asked for again.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::arguments::{Arguments, Workload};
use crate::distribution::Draw;
use crate::inserts::Inserts;
use crate::listing::Listing;
use crate::operation::{Job, Operation, Step};
use crate::shares::Shares;

/// Where jobs come from.
#[derive(Debug)]
pub(crate) struct Source {
    random: StdRng,
    seed: u64,
    operations: Shares<Operation>,
    sizes: Shares<u64>,
    first: u64,
    order: Order,
}

#[derive(Debug)]
enum Order {
    /// One request that makes the bucket.
    Bucket { made: bool },
    /// Any of the keys that are there, for ever.
    Drawn(Draw),
    /// Each of so many keys once.
    Each { next: u64, key_count: u64 },
}

impl Source {
    /// Makes the bucket.
    pub(crate) fn bucket(arguments: &Arguments) -> Self {
        Self::new(arguments, Shares::one(Operation::Put), Order::Bucket { made: false })
    }

    /// Puts every key once.
    pub(crate) fn preparation(arguments: &Arguments) -> Self {
        let order = Order::Each { next: 0, key_count: arguments.keys.get() };
        Self::new(arguments, Shares::one(Operation::Put), order)
    }

    /// The load that was asked for.
    pub(crate) fn load(arguments: &Arguments) -> Self {
        let key_count = if arguments.workload == Workload::ListAll {
            arguments.concurrency as u64
        } else {
            arguments.keys.get()
        };
        let order = if arguments.sequential {
            Order::Each { next: 0, key_count }
        } else {
            Order::Drawn(Draw::new(arguments.distribution, key_count))
        };
        Self::new(arguments, arguments.operations(), order)
    }

    fn new(arguments: &Arguments, operations: Shares<Operation>, order: Order) -> Self {
        Self {
            random: StdRng::seed_from_u64(arguments.seed),
            seed: arguments.seed,
            operations,
            sizes: arguments.size.clone(),
            first: arguments.first,
            order,
        }
    }

    /// The next job; `None` after the last. What it inserts is noted in `inserts`.
    pub(crate) fn next(&mut self, inserts: &mut Inserts) -> Option<Job> {
        let number = match &mut self.order {
            Order::Bucket { made } if *made => return None,
            Order::Bucket { made } => {
                *made = true;
                return Some(Job {
                    operation: Operation::Put,
                    number: 0,
                    size: 0,
                    step: Step::Bucket,
                });
            }
            Order::Drawn(draw) => draw.next(&mut self.random, inserts.readable()),
            Order::Each { next, key_count } if next == key_count => return None,
            Order::Each { next, .. } => {
                *next += 1;
                *next - 1
            }
        };
        let operation = *self.operations.draw(self.random.random());
        let number = if operation == Operation::Insert { inserts.begin() } else { number };
        let number = self.first + number;
        let step = match operation {
            Operation::Multipart => Step::Create,
            Operation::ListAll => Step::Page(Listing::default()),
            Operation::Put
            | Operation::Insert
            | Operation::Get
            | Operation::Head
            | Operation::Delete
            | Operation::List => Step::Only,
        };
        Some(Job { operation, number, size: self.size_of(number), step })
    }

    /// A key keeps its size, so that what a GET returns can be told right or wrong.
    fn size_of(&self, number: u64) -> u64 {
        *self.sizes.draw(xxh3_64_with_seed(&number.to_le_bytes(), self.seed))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser as _;

    use super::{Arguments, Inserts, Source};
    use crate::operation::Operation;

    fn arguments(line: &str) -> Arguments {
        Arguments::parse_from(line.split(' '))
    }

    #[test]
    fn keys_in_order_come_once_each() {
        let mut source = Source::load(&arguments("bench delete --sequential --keys 3"));
        let jobs: Vec<_> = std::iter::from_fn(|| source.next(&mut Inserts::new(3))).collect();
        let numbers: Vec<u64> = jobs.iter().map(|job| job.number).collect();
        assert_eq!(numbers, [0, 1, 2]);
        assert!(jobs.iter().all(|job| job.operation == Operation::Delete));
        let mut bucket = Source::bucket(&arguments("bench put"));
        assert_eq!(std::iter::from_fn(|| bucket.next(&mut Inserts::new(1))).count(), 1);
    }

    #[test]
    fn a_mixed_load_follows_its_weights_and_a_key_keeps_its_size() {
        let line = "bench mixed --mix get=3,put=1 --keys 50 --size 1=1,2=1";
        let mut source = Source::load(&arguments(line));
        let (mut counts, mut sizes) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..4000 {
            let job = source.next(&mut Inserts::new(50)).unwrap();
            *counts.entry(job.operation).or_insert(0_u32) += 1;
            assert_eq!(*sizes.entry(job.number).or_insert(job.size), job.size);
        }
        assert!((2850..3150).contains(&counts[&Operation::Get]), "{counts:?}");
        assert_eq!(sizes.len(), 50);
        assert!(sizes.values().any(|size| *size == 1) && sizes.values().any(|size| *size == 2));
    }

    #[test]
    fn a_seed_gives_the_same_load_again() {
        let draw = |seed: &str| {
            let mut source = Source::load(&arguments(&format!("bench mixed --seed {seed}")));
            (0..20)
                .map(|_| source.next(&mut Inserts::new(1000)).unwrap().number)
                .collect::<Vec<_>>()
        };
        assert_eq!(draw("7"), draw("7"));
        assert_ne!(draw("7"), draw("8"));
    }

    #[test]
    fn inserted_keys_are_new_and_read_once_acknowledged() {
        let line = "bench mixed --mix get=1,insert=1 --distribution latest --keys 5 --first 100";
        let (mut source, mut inserts) = (Source::load(&arguments(line)), Inserts::new(5));
        let (mut read_max, mut inserted) = (0, Vec::new());
        for _ in 0..200 {
            let job = source.next(&mut inserts).unwrap();
            if job.operation == Operation::Insert {
                inserted.push(job.number);
                inserts.acknowledge(job.number - 100);
            } else {
                assert!((100..100 + inserts.readable()).contains(&job.number));
                read_max = read_max.max(job.number);
            }
        }
        assert!(inserted.iter().copied().eq(105..105 + inserted.len() as u64));
        assert!(read_max > 150, "the newest are read: {read_max}");
    }
}
