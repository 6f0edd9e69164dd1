//! A seed runs the same in every process.

#![expect(clippy::tests_outside_test_module, reason = "the whole file is a test")]

use std::process::Command;

#[test]
fn equal_seeds_give_equal_traces_in_two_processes() {
    let run = || {
        let output =
            Command::new(env!("CARGO_BIN_EXE_sim")).args(["--seed", "5", "--count", "3"]).output();
        let output = output.expect("the simulation's command starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("the command prints text")
    };
    let first = run();
    assert_eq!(first.lines().filter(|line| line.contains(" trace ")).count(), 3, "{first}");
    assert_eq!(first, run());
}
