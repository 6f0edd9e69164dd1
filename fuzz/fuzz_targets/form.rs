//! `cargo +nightly fuzz run form`: see `net/src/testing/form.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    anode_net::testing::form::run(input);
});
