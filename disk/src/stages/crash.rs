//! Every I/O is a crash point: unflushed writes are lost, torn and reordered (`testing`), and recovery is crashed again.
//!
//! An *image* is what one crash left, recovered and checked. `ANODE_CRASH_IMAGES` says how many there should be, about;
//! with 1,000,000 every crash point of every short sequence is met with several seeds.

use super::{Bench, Operation, Replay, SEQUENCE_LENGTH_MAX, asked, random_operations, sequences};
use crate::{
    error::Error,
    testing::{Random, mix},
};

/// How many images there are without the environment's word.
const IMAGES: u64 = 24_000;
/// Every how many images it is checked that nothing is left over.
const TIDY_INTERVAL: u64 = 8;

#[test]
fn after_a_crash_at_any_point_of_a_short_sequence_the_state_is_a_prefix() {
    let wanted = asked("ANODE_CRASH_IMAGES", IMAGES) * 3 / 4;
    let all: Vec<_> = sequences(SEQUENCE_LENGTH_MAX).collect();
    let share = wanted.div_ceil(all.len() as u64);
    let mut images = 0;
    for (number, operations) in (0_u64..).zip(&all) {
        let span = Bench::measure(operations, 0);
        // Of the shortest sequences every point, whatever was asked for.
        let points = if operations.len() <= 2 { share.max(span + 1) } else { share };
        for point in 0..points {
            images += image(operations, mix(number) ^ point, point_of(point, points, span));
        }
    }
    eprintln!("{images} crash images of {} short sequences", all.len());
    assert!(images >= wanted, "{images} of {wanted}");
}

#[test]
fn after_crashes_along_random_sequences_the_state_is_a_prefix() {
    let wanted = asked("ANODE_CRASH_IMAGES", IMAGES) / 4;
    let (mut images, mut seed) = (0, 0);
    while images < wanted {
        images += long(seed);
        seed += 1;
    }
    eprintln!("{images} crash images of {seed} random sequences");
}

/// Spread over the whole run: the first is the first I/O, the last a loss of power after the end.
fn point_of(point: u64, points: u64, span: u64) -> u64 {
    if points > span { point % (span + 1) } else { mix(point ^ span) % (span + 1) }
}

/// Crashes at one I/O of a sequence, then while recovering, by the seed; says how many images that were.
pub(super) fn image(operations: &[Operation], seed: u64, nth_io: u64) -> u64 {
    let _replay = Replay(format!("stages::crash::image(&{operations:?}, {seed}, {nth_io})"));
    let mut random = Random::new(!seed);
    let mut bench = Bench::new(seed);
    bench.width = 1 + usize::from(random.coin());
    bench.disk.crash_at(nth_io);
    match bench.run(operations) {
        Err(Error::Stopped) => {}
        Ok(()) => bench.disk.crash(),
        Err(error) => super::violation(&format!("a crash looks like {error}")),
    }
    let images = 1 + bench.recover(&mut random, seed % 4 / 2);
    if seed.is_multiple_of(TIDY_INTERVAL) {
        bench.assert_tidy();
    }
    images
}

/// Several lives of many operations at a time, each ended by a crash; says how many images that were.
pub(super) fn long(seed: u64) -> u64 {
    let _replay = Replay(format!("stages::crash::long({seed})"));
    let mut random = Random::new(!seed);
    let mut bench = Bench::new(seed);
    let mut images = 0;
    for _ in 0..6 {
        bench.width = 1 + usize::try_from(random.below(6)).expect("below 6");
        let operations = random_operations(&mut random, 60);
        bench.disk.crash_at(bench.disk.io_count() + random.below(250));
        match bench.run(&operations) {
            Err(Error::Stopped) => images += 1,
            Ok(()) => {
                bench.disk.crash();
                images += 1;
            }
            Err(error) => super::violation(&format!("a crash looks like {error}")),
        }
        let again = random.below(3);
        images += bench.recover(&mut random, again);
    }
    bench.assert_tidy();
    images
}
