//! Targets for fuzzing: each takes any bytes for a file of a volume, opens it by the ordinary way and reads all of it.
//!
//! Whatever the bytes are, the outcome is a value or an [`Error`]: no panic, no unbounded memory or time. A checksum
//! would stop nearly all input at the door; so where the first byte is odd, `repair` makes the checksums right first.
//! `stages::parsers` runs the corpora with seeded mutations as an ordinary test, `fuzz/` has the same functions for
//! cargo-fuzz.

mod repair;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{SimDirectory, SimDisk, block_on};
use crate::{
    device::{Device, Directory, Durability, Fill, SECTOR_BYTES},
    error::Error,
    index::{Index, IndexOptions, ScanLimit},
    segment::{SegmentOptions, Segments},
    volume::Volume,
    wal::{Wal, WalOptions},
};

/// No input is longer than this, in bytes: rotten files of other lengths are no news.
pub const INPUT_BYTES_MAX: usize = 256 << 10;

/// What one file's target does with it.
type Open = fn(&[u8]) -> Result<(), Error>;

/// A target by its name.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// As in `fuzz/`.
    pub name: &'static str,
    open: Open,
    repair: fn(&mut [u8]),
}

/// All targets.
pub const TARGETS: [Target; 5] = [
    Target { name: "superblock", open: superblock, repair: repair::superblock },
    Target { name: "wal", open: wal, repair: repair::wal },
    Target { name: "manifest", open: manifest, repair: repair::manifest },
    Target { name: "table", open: table, repair: repair::table },
    Target { name: "segment", open: segment, repair: repair::segment },
];

impl Target {
    /// Runs the target on the bytes behind the first one; says whether they were taken for whole.
    pub fn run(&self, input: &[u8]) -> bool {
        let Some((&first, bytes)) = input.split_first() else { return false };
        let mut bytes = bytes[..bytes.len().min(INPUT_BYTES_MAX)].to_vec();
        bytes.resize(bytes.len().next_multiple_of(SECTOR_BYTES), 0);
        if first & 1 == 1 {
            (self.repair)(&mut bytes);
        }
        (self.open)(&bytes).is_ok()
    }
}

/// Runs the target of this name, for `fuzz/`. Whether the bytes were whole is no matter there.
///
/// # Panics
/// If there is no such target, and where the target finds a bug.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a known target");
    let _whole: bool = target.run(input);
}

/// A disk with one file: its folder (none for the topmost directory) and its name.
async fn disk_with(folder: &str, name: &str, bytes: &[u8]) -> Result<SimDirectory, Error> {
    let disk = SimDisk::new(1);
    let directory =
        if folder.is_empty() { disk.root() } else { disk.root().directory(folder).await? };
    put(&directory, name, bytes).await?;
    Ok(disk.root())
}

async fn put(directory: &SimDirectory, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let file = directory.create(name, Fill::Empty, Durability::EachWrite).await?;
    if !bytes.is_empty() {
        file.write(0, bytes.to_vec()).await?;
    }
    directory.sync().await
}

fn superblock(bytes: &[u8]) -> Result<(), Error> {
    block_on(async {
        let root = disk_with("", "superblock", bytes).await?;
        Volume::open(root).await.map(drop)
    })
}

fn wal(bytes: &[u8]) -> Result<(), Error> {
    block_on(async {
        let root = disk_with("", "wal-00000001", bytes).await?;
        let options = WalOptions { segment_bytes: 16 << 10, identity: 7, ..WalOptions::default() };
        let wal = Wal::open(root, options).await?;
        for group in wal.groups() {
            let mut next = 0;
            while let Some((_, last)) = wal.range(group)
                && next <= last
            {
                let records = wal.read(group, next..u64::MAX, 4096).await?;
                let Some(record) = records.last() else { break };
                next = record.index + 1;
            }
        }
        Ok(())
    })
}

fn manifest(bytes: &[u8]) -> Result<(), Error> {
    block_on(async {
        let id = repair::word(bytes, 16);
        let root = disk_with("tables", &format!("manifest-{id:08x}"), bytes).await?;
        read_index(&root).await
    })
}

fn table(bytes: &[u8]) -> Result<(), Error> {
    block_on(async {
        let id = repair::word(bytes, bytes.len().saturating_sub(SECTOR_BYTES) + 16);
        let root = disk_with("tables", &format!("table-{id:08x}"), bytes).await?;
        let manifest = repair::manifest_of(bytes);
        put(&root.directory("tables").await?, "manifest-00000001", &manifest).await?;
        read_index(&root).await
    })
}

async fn read_index(root: &SimDirectory) -> Result<(), Error> {
    let tables = root.directory("tables").await?;
    let segments = root.directory("segments").await?;
    let options = IndexOptions { manifest_bytes: 16 << 10, ..IndexOptions::default() };
    let index = Index::open(tables, segments, options, SegmentOptions::default()).await?;
    let mut range = Bytes::new()..Bytes::from_static(&[0xff; 8]);
    loop {
        let page = index.scan(range.clone(), ScanLimit { entries: 100, bytes: 1 << 20 }).await?;
        for (key, entry) in page.entries {
            drop(index.get(&key).await?);
            let length = u32::try_from(entry.payload.length()).unwrap_or(u32::MAX);
            drop(index.payload(&key, &entry, 0..length).await);
        }
        match page.next {
            Some(next) if next > range.start => range.start = next,
            Some(_) | None => return Ok(()),
        }
    }
}

fn segment(bytes: &[u8]) -> Result<(), Error> {
    block_on(async {
        let id = repair::word(bytes, 12);
        let root = disk_with("", &format!("segment-{id:08x}"), bytes).await?;
        let live = BTreeMap::from([(id, 1)]);
        let segments = Segments::open(root, SegmentOptions::default(), &live, 0).await?;
        for (key, extent) in segments.scan(id).await? {
            drop(segments.read(extent, &key, 0..extent.data_bytes).await?);
        }
        Ok(())
    })
}
