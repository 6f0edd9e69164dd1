//! Every byte of a small store is flipped, one at a time: each time it is detected, or nothing ever reads the byte.
//!
//! Which bytes count is read from the raw files by the tables of `docs/formats.md`, not by the engine's own code: a
//! byte that the format gives a meaning must be missed, and every other one is harmless by one of these names:
//!
//! - *padding*: zeros behind a batch, an edit, a mark, a footer or an extent, up to the next sector;
//! - *free space*: what no batch, edit or extent was written to yet; extents and WAL segments that were given up;
//! - *the closing mark*: the empty batch of a clean stop, which says only that the batch before it was durable;
//! - *one mark of two*: the other one says enough, as long as no edit is damaged, too.
//!
//! The table manifest is there twice: a byte of one of the files is told by a check and mended by an opening, and only the
//! same byte of both is missed.

use std::{cell::RefCell, ops::Range, rc::Rc};

use super::{
    Bench, Operation, Replay, asked,
    shard::{Shard, apart},
    violation,
};
use crate::{
    device::Directory,
    error::Error,
    index::Inspection,
    segment::{Class, Places, SegmentOptions},
    testing::{Random, SimDisk, block_on},
    volume::{Volume, VolumeIdentity},
};

const SECTOR: usize = 4096;

/// What the store is made of: every kind of file and record, and some of the log not yet purged.
const STORE: [Operation; 15] = [
    Operation::Put { key: 1, body_bytes: 700 },
    Operation::Put { key: 2, body_bytes: 100 },
    Operation::Chunk { key: 3, body_bytes: 9000 },
    Operation::Flush,
    Operation::Put { key: 4, body_bytes: 0 },
    Operation::Chunk { key: 5, body_bytes: 5000 },
    Operation::Apart { key: 8, body_bytes: 6000 },
    Operation::Delete { key: 2 },
    Operation::Flush,
    Operation::Vote,
    Operation::Rewrite,
    Operation::Put { key: 6, body_bytes: 5000 },
    Operation::Put { key: 7, body_bytes: 10 },
    Operation::Vote,
    Operation::Delete { key: 4 },
];

#[test]
fn each_flipped_byte_of_the_wal_is_detected() {
    flip_all("wal/");
}

#[test]
fn each_flipped_byte_of_tables_and_manifest_is_detected() {
    flip_all("tables/");
}

#[test]
fn each_flipped_byte_of_data_segments_is_detected() {
    flip_all("segments/");
}

#[test]
fn each_flipped_byte_of_segments_of_another_class_is_detected() {
    flip_all("apart/");
}

/// Every `ANODE_ROT_STRIDE`-th byte of free space (97th without its word, for there is much of it), all others.
pub(super) fn flip_all(folder: &str) {
    let bench = store(folder);
    let (live, oldest) = (live(&bench), oldest(&bench));
    let (mut detected, mut harmless) = (0, 0);
    for (path, length) in bench.disk.files() {
        if !path.starts_with(folder) {
            continue;
        }
        let bytes = bench.disk.bytes(&path);
        let mut counts = regions(&path, &bytes, &live);
        if path.contains("/wal-") && generation(&path) < oldest {
            counts.clear();
        }
        let stride = asked("ANODE_ROT_STRIDE", 97);
        let mut random = Random::new(length);
        for offset in 0..length {
            let at = usize::try_from(offset).expect("files are small");
            let counted = counts.iter().any(|region| region.contains(&at));
            let empty = bytes[at / SECTOR * SECTOR..][..SECTOR].iter().all(|byte| *byte == 0);
            if empty && !counted && !offset.is_multiple_of(stride) {
                continue;
            }
            let mask = 1 << random.below(8);
            let _replay = Replay(format!("stages::rot: {path} at {offset}, mask {mask:#x}"));
            let mut disk = bench.disk.copy(offset);
            disk.flip(&path, offset, mask);
            if path.contains("/manifest-") {
                // What one file has lost the other one has: the opening mends it, and a check tells of it before.
                let told = flaws(&disk);
                match (open(&bench, &disk), counted) {
                    (Ok(()), true) if told == 1 && flaws(&disk) == 0 => detected += 1,
                    // A file that had but one mark is told to have none.
                    (Ok(()), false) if told == 0 || (told == 1 && at < 3 * SECTOR) => harmless += 1,
                    (opened, _) => violation(&format!("{told} flaws were told, then: {opened:?}")),
                }
                if path.contains("-copy-") {
                    continue;
                }
                disk = bench.disk.copy(offset);
                disk.flip(&path, offset, mask);
                disk.flip(&path.replace("/manifest-", "/manifest-copy-"), offset, mask);
            }
            match (open(&bench, &disk), counted) {
                (Err(Error::Corrupt { .. } | Error::Version { .. }), true) => detected += 1,
                (Ok(()), false) => harmless += 1,
                (Err(error), true) => violation(&format!("damage looks like {error}")),
                (Ok(()), true) => violation("a byte that counts was not missed"),
                (Err(error), false) => violation(&format!("nothing should read it, but: {error}")),
            }
        }
    }
    eprintln!("{folder}: {detected} flips detected, {harmless} harmless");
    assert!(detected > 500, "the store has less than it should");
}

#[test]
fn a_valid_block_at_the_place_of_another_is_detected() {
    misplaced();
}

/// A data block of a table, where it lies.
struct Block {
    path: String,
    offset: u64,
    bytes: Vec<u8>,
}

/// Puts each data block of a table over every other one of the same length, in its own table and in others.
pub(super) fn misplaced() {
    let bench = Bench::new(5);
    let many: Vec<Operation> = (0..200)
        .map(|key| Operation::Put { key, body_bytes: 0 })
        .chain([Operation::Flush])
        .collect();
    bench.run(&many).expect("nothing fails");
    let mut blocks = Vec::new();
    for (path, _) in bench.disk.files().iter().filter(|(path, _)| path.contains("/table-")) {
        let bytes = bench.disk.bytes(path);
        for frame in frames(&bytes) {
            if word(&bytes, frame.start + 12) == 1 {
                let offset = frame.start as u64;
                blocks.push(Block { path: path.clone(), offset, bytes: bytes[frame].to_vec() });
            }
        }
    }
    let mut count = 0;
    for own in &blocks {
        let others = blocks
            .iter()
            .filter(|other| other.bytes.len() == own.bytes.len() && other.bytes != own.bytes);
        for other in others {
            let disk = bench.disk.copy(count);
            disk.patch(&own.path, own.offset, &other.bytes);
            match open(&bench, &disk) {
                Err(Error::Corrupt { .. }) => count += 1,
                other => violation(&format!("a block of another place passed: {other:?}")),
            }
        }
    }
    assert!(count > 0, "no two of {} blocks have the same length", blocks.len());
}

#[test]
fn each_flipped_byte_of_one_superblock_is_healed_from_the_other() {
    let disk = SimDisk::new(1);
    let identity = VolumeIdentity {
        cluster: 1,
        volume: 2,
        created_ms: 3,
        group_count: 4,
        node_shard_count: 2,
        volume_count: 1,
        volume_index: 0,
        placement: 0,
        shards: vec![5, 6],
        class: Class::OWN,
        classes: [apart()].into(),
    };
    block_on(Volume::format(&disk.root(), &identity)).expect("a new disk");
    let before = disk.bytes("superblock");
    for offset in 0..before.len() as u64 {
        let damaged = disk.copy(offset);
        damaged.flip("superblock", offset, 1 << (offset % 8));
        let volume = block_on(Volume::open(damaged.root())).expect("the other copy is whole");
        assert_eq!(volume.identity(), &identity, "byte {offset}");
        assert_eq!(damaged.bytes("superblock"), before, "byte {offset} was not healed");
    }
}

/// The store that a folder's bytes are flipped in.
fn store(folder: &str) -> Bench {
    let bench = Bench::new(3);
    bench.run(&STORE).expect("nothing fails");
    // As a clean stop leaves it, the log goes on in the midst of a segment. For the tables there is a start more: it
    // removes those that compaction left behind, and the upkeep has nothing left to do.
    if folder == "tables/" {
        bench.run(&[Operation::Idle; 4]).expect("nothing fails");
    }
    bench
}

/// The extents that count: where they begin in which file.
fn live(bench: &Bench) -> Vec<(String, usize)> {
    let disk = bench.disk.copy(0);
    let model = Rc::new(RefCell::new(bench.model.borrow().clone()));
    let shard = block_on(Shard::open(disk.root(), model)).expect("it is whole");
    let extents = block_on(shard.extents()).expect("it is whole");
    extents
        .iter()
        .map(|extent| {
            let folder = if extent.class() == apart() { "apart" } else { "segments" };
            (format!("{folder}/segment-{:08x}", extent.segment), extent.offset as usize)
        })
        .collect()
}

/// Opens and reads everything; what differs from the model is a violation.
fn open(bench: &Bench, disk: &SimDisk) -> Result<(), Error> {
    let model = Rc::new(RefCell::new(bench.model.borrow().clone()));
    block_on(Box::pin(Shard::open(disk.root(), model))).map(drop)
}

/// How many of the manifest's two files are told to be damaged.
fn flaws(disk: &SimDisk) -> usize {
    block_on(async {
        let root = disk.reopen();
        let [tables, own, beside] =
            ["tables", "segments", "apart"].map(|name| root.directory(name));
        let classes = vec![(apart(), beside.await?)];
        let places = Places { own: own.await?, classes };
        let found = Inspection::open(tables.await?, places, SegmentOptions::default()).await?;
        Ok::<_, Error>(found.manifest_flaws().len())
    })
    .expect("the other one is whole")
}

/// The bytes of a file that mean something.
fn regions(path: &str, bytes: &[u8], live: &[(String, usize)]) -> Vec<Range<usize>> {
    if path.contains("/wal-") {
        batches(path, bytes)
    } else if path.contains("/manifest-") {
        std::iter::once(0..32).chain(edits(bytes)).collect()
    } else if path.contains("/table-") {
        let footer = bytes.len() - SECTOR;
        frames(bytes).into_iter().chain(std::iter::once(footer..footer + 64)).collect()
    } else {
        let here = live.iter().filter(|(name, _)| name == path);
        here.map(|(_, at)| *at..at + word(bytes, at + 20) + word(bytes, at + 24)).collect()
    }
}

/// Header and records of each batch, but the closing mark.
fn batches(path: &str, bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = batches_of(path, bytes);
    found.retain(|batch| word(bytes, batch.start + 52) > 0);
    found
}

/// Header and records of each batch of this life of the file.
fn batches_of(path: &str, bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len()
        && bytes[at..].starts_with(b"ANODEWAL")
        && word(bytes, at + 12) == generation(path)
    {
        let length = word(bytes, at + 48);
        found.push(at..at + length);
        at += length.next_multiple_of(SECTOR);
    }
    found
}

/// The oldest segment that the last batch needs.
fn oldest(bench: &Bench) -> usize {
    let batches = bench.disk.files().into_iter().filter(|(path, _)| path.contains("/wal-"));
    batches
        .flat_map(|(path, _)| {
            let bytes = bench.disk.bytes(&path);
            let found = batches_of(&path, &bytes);
            found
                .into_iter()
                .map(move |batch| (word(&bytes, batch.start + 16), word(&bytes, batch.start + 32)))
        })
        .max()
        .map_or(0, |(_, oldest)| oldest)
}

fn generation(path: &str) -> usize {
    usize::from_str_radix(&path[path.len() - 8..], 16).expect("a segment's name")
}

fn edits(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 3 * SECTOR;
    while at < bytes.len() && bytes[at + 4..].starts_with(b"EDIT") {
        let length = 32 + word(bytes, at + 12);
        found.push(at..at + length);
        at += length.next_multiple_of(SECTOR);
    }
    found
}

/// Data, filter and index frames; the index frame is the last.
fn frames(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let end = at + 24 + word(bytes, at + 4);
        found.push(at..end);
        if word(bytes, at + 12) == 3 {
            return found;
        }
        at = end;
    }
}

fn word(bytes: &[u8], at: usize) -> usize {
    let word = u32::from_le_bytes(*bytes[at..].first_chunk().expect("within the file"));
    usize::try_from(word).expect("32 bits fit")
}
