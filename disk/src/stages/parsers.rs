//! Any bytes in the place of any file: a value or an error, never a panic, within bounds.
//!
//! The corpora are the golden files and what once failed (`fuzz/corpus/<target>`). Every input of them runs, then
//! `ANODE_FUZZ_RUNS` mutations of it (10,000 without its word), each drawn from the corpus's position and its number.

#![expect(clippy::disallowed_methods, reason = "corpora lie beside the sources")]

use std::{fs, path::PathBuf};

use super::{Replay, asked};
use crate::testing::{
    Random, mix,
    targets::{INPUT_BYTES_MAX, TARGETS, Target},
};

const RUNS: u64 = 10_000;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What a target starts from, in the order of the names.
fn corpus(target: Target) -> Vec<Vec<u8>> {
    let golden = root().join("tests/golden/1");
    let own = root().join("../fuzz/corpus").join(target.name);
    let wanted = |name: &str| match target.name {
        "superblock" => name == "superblock",
        "wal" => name.starts_with("wal."),
        prefix @ ("manifest" | "table") => name.starts_with(&format!("tables.{prefix}-")),
        _ => name.starts_with("segments."),
    };
    let list = |folder: &PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let mut found: Vec<Vec<u8>> = list(&golden)
        .iter()
        .filter(|name| wanted(name))
        .map(|name| [vec![0], fs::read(golden.join(name)).expect("readable")].concat())
        .collect();
    found.extend(list(&own).iter().map(|name| fs::read(own.join(name)).expect("readable")));
    found
}

/// Some bytes changed, cut, doubled or set to what lengths and counts dislike; half of them with right checksums.
fn mutate(input: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = place(bytes.len(), random);
        match random.below(8) {
            0..3 => bytes[at] ^= 1 << random.below(8),
            3..5 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][place(5, random)],
            5 => {
                let word = [0, 1, 0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX][place(6, random)];
                for (target, byte) in bytes[at..].iter_mut().zip(word.to_le_bytes()) {
                    *target = byte;
                }
            }
            6 => bytes.truncate(at.max(1)),
            _ => {
                let from = place(bytes.len(), random);
                let length = place(300, random).min(bytes.len() - from.max(at));
                bytes.copy_within(from..from + length, at);
            }
        }
    }
    bytes[0] = u8::from(random.coin());
    bytes
}

/// A position, more often near the beginning or in the last sector, where the fields are.
fn place(length: usize, random: &mut Random) -> usize {
    let bound = match random.below(4) {
        0 => length.min(200),
        1 => return length - 1 - below(length.min(4096), random),
        _ => length,
    };
    below(bound, random)
}

fn below(bound: usize, random: &mut Random) -> usize {
    usize::try_from(random.below(bound as u64)).expect("below a length")
}

#[test]
fn any_bytes_in_the_place_of_a_file_are_a_value_or_an_error() {
    let runs = asked("ANODE_FUZZ_RUNS", RUNS);
    for target in TARGETS {
        let corpus = corpus(target);
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        let (mut whole, mut refused) = (0, 0);
        for (position, input) in corpus.iter().enumerate() {
            assert!(input.len() <= INPUT_BYTES_MAX, "the corpus is small");
            let _whole: bool = target.run(input);
            for number in 0..runs {
                if one(target, (position, input), number) {
                    whole += 1;
                } else {
                    refused += 1;
                }
            }
        }
        eprintln!("{}: {whole} mutations taken for whole, {refused} refused", target.name);
        assert!(refused > 0, "a target that refuses nothing reads nothing");
    }
}

/// Runs one mutation of one input of the corpus.
fn one(target: Target, (position, input): (usize, &[u8]), number: u64) -> bool {
    let _replay = Replay(format!("stages::parsers: {} {position} {number}", target.name));
    let mut random = Random::new(mix(position as u64) ^ number);
    target.run(&mutate(input, &mut random))
}

/// Found by the mutations: a table that the manifest has with a length of no whole sectors, checksums right, was read at
/// an offset that direct I/O refuses.
#[test]
fn a_table_whose_length_is_no_whole_sectors_is_refused() {
    let table = TARGETS.iter().find(|target| target.name == "table").expect("there is one");
    let mut input = corpus(*table).swap_remove(0);
    input[0] = 1;
    let bytes_at = (input.len() - 1) / 4096 * 4096 + 1 + 56;
    input.resize(bytes_at + 8, 0);
    let whole = u64::from_le_bytes(*input[bytes_at..].first_chunk().expect("a footer"));
    for less in [1, 3000, 4095] {
        input[bytes_at..].copy_from_slice(&(whole - less).to_le_bytes());
        assert!(!table.run(&input), "{less} bytes less");
    }
}
