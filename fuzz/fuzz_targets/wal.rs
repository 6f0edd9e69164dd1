//! `cargo +nightly fuzz run wal`: see `disk/src/testing/targets.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    anode_disk::testing::targets::run("wal", input);
});
