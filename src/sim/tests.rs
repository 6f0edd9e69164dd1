//! Seeds of the simulation. How many is `ANODE_TEST_SEEDS`.

use super::scenario::{Sabotage, replay, run, run_sabotaged};

/// Seeds of one CI run.
const SEED_COUNT_DEFAULT: u64 = 200;
/// Tests that share them, to run side by side.
const LANE_COUNT: u64 = 4;

#[expect(
    clippy::disallowed_methods,
    reason = "how long a test runs is no configuration of the node"
)]
fn seed_count() -> u64 {
    let given = std::env::var("ANODE_TEST_SEEDS").ok();
    given.map_or(SEED_COUNT_DEFAULT, |given| given.parse().expect("ANODE_TEST_SEEDS is a number"))
}

/// Says which seed it was where the product itself panics.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", replay(self.0));
        }
    }
}

fn run_lane(lane: u64) {
    for seed in (0..seed_count()).filter(|seed| seed % LANE_COUNT == lane) {
        let replay = Replay(seed);
        let violation = run(seed).err().map(|violation| violation.to_string());
        assert_eq!(violation, None);
        drop(replay);
    }
}

#[test]
fn acknowledged_writes_survive_crashes_lane_0() {
    run_lane(0);
}

#[test]
fn acknowledged_writes_survive_crashes_lane_1() {
    run_lane(1);
}

#[test]
fn acknowledged_writes_survive_crashes_lane_2() {
    run_lane(2);
}

#[test]
fn acknowledged_writes_survive_crashes_lane_3() {
    run_lane(3);
}

#[test]
fn equal_seeds_give_equal_traces() {
    let reports = [3, 3, 4].map(|seed| run(seed).unwrap());
    assert_eq!(reports[0], reports[1]);
    assert_ne!(reports[0].trace, reports[2].trace);
}

#[test]
fn a_disk_that_forgets_is_found_out_and_the_seed_is_told() {
    let violation = run_sabotaged(1, Sabotage::EmptyDisk).unwrap_err();
    assert!(!violation.findings.is_empty());
    assert!(violation.to_string().contains("cargo sim --seed 1"), "{violation}");
}
