//! Without faults: engine and model agree after every operation, whatever came before.

use super::{Bench, Replay, SEQUENCE_LENGTH_MAX, random_operations, sequences};
use crate::testing::Random;

#[test]
fn engine_and_model_agree_after_each_operation_of_every_short_sequence() {
    let mut count = 0;
    for operations in sequences(SEQUENCE_LENGTH_MAX) {
        let _replay = Replay(format!("stages::sequences of {operations:?}"));
        let mut bench = Bench::new(count);
        bench.compares = true;
        bench.run(&operations).expect("nothing fails");
        bench.assert_tidy();
        count += 1;
    }
    eprintln!("{count} sequences");
}

#[test]
fn engine_and_model_agree_along_random_sequences() {
    for seed in 0..20 {
        long(seed);
    }
}

/// One long random sequence, one operation at a time.
pub(super) fn long(seed: u64) {
    let _replay = Replay(format!("stages::sequences::long({seed})"));
    let mut random = Random::new(seed);
    let mut bench = Bench::new(seed);
    bench.compares = true;
    bench.run(&random_operations(&mut random, 250)).expect("nothing fails");
    bench.assert_tidy();
}
