//! What walks read from the device, counted: all of a table in large pieces, little more than is needed of a part of it,
//! and nothing twice while several walks share what the cache has for them.

use bytes::Bytes;

use super::{page_of, rig};
use crate::{
    device::Directory,
    index::{Batch, Entry, Index, IndexOptions, Payload, ahead::WINDOW_BYTES},
    segment::SegmentOptions,
    testing::{Fault, SimDirectory, SimDisk, block_on},
};

const KEY_COUNT: u64 = 20_000;
const BLOCK_BYTES: u64 = 16 << 10;

fn key(number: u64) -> Bytes {
    Bytes::from(format!("bucket/prefix/object-{number:010}"))
}

/// A table of all keys, opened anew with that much cache, its filter and block index in it.
async fn table(disk: &SimDisk, block_cache_bytes_max: usize) -> Index<SimDirectory> {
    let options = IndexOptions {
        memtable_bytes_max: 64 << 20,
        table_bytes_max: 64 << 20,
        block_cache_bytes_max,
        ..IndexOptions::default()
    };
    let open = async || {
        let root = disk.reopen();
        let tables = root.directory("tables").await.unwrap();
        let segments = root.directory("segments").await.unwrap();
        Index::open(tables, segments, options.clone(), SegmentOptions::default()).await.unwrap()
    };
    let index = open().await;
    let mut batch = Batch::default();
    for number in 0..KEY_COUNT {
        let value = Bytes::from(vec![u8::try_from(number % 251).unwrap(); 200]);
        batch.put(key(number), Entry { value, payload: Payload::None });
    }
    index.write(batch);
    index.flush().await.unwrap();
    drop(index);
    let index = open().await;
    assert_eq!(index.figures().level_tables[0], 1);
    index.get(&key(KEY_COUNT - 1)).await.unwrap().unwrap();
    index
}

/// Reads a page; returns where the next one starts.
async fn page(index: &Index<SimDirectory>, start: Bytes, entries: usize) -> (u64, Option<Bytes>) {
    let end = Bytes::from_static(&[0xff]);
    let page = index.scan(start..end, page_of(entries)).await.unwrap();
    (page.entries.len() as u64, page.next)
}

fn table_bytes(index: &Index<SimDirectory>) -> u64 {
    index.figures().level_bytes.iter().sum()
}

#[test]
fn a_listing_of_everything_reads_windows_and_nothing_twice() {
    block_on(async {
        let (disk, _) = rig(1);
        let index = table(&disk, 4 << 20).await;
        let (reads, bytes) = disk.reads();
        let (mut next, mut found) = (Some(key(0)), 0);
        while let Some(start) = next {
            let page = page(&index, start, 1000).await;
            found += page.0;
            next = page.1;
        }
        assert_eq!(found, KEY_COUNT);
        let (reads, bytes) = (disk.reads().0 - reads, disk.reads().1 - bytes);
        let needed = table_bytes(&index);
        assert!(needed > 3 << 20, "there are windows enough: {needed} bytes");
        // Three smaller ones at the beginning, and a last one.
        let reads_max = needed / WINDOW_BYTES + 4;
        assert!(reads <= reads_max, "{reads} reads of {reads_max}");
        assert!(bytes <= needed + reads * 8192, "{bytes} bytes for {needed}, to whole sectors");
    });
}

#[test]
fn a_page_reads_at_most_twice_what_it_needs() {
    block_on(async {
        let (disk, mut random) = rig(2);
        let index = table(&disk, 4 << 20).await;
        for entries in [1, 10, 100, 1000] {
            let before = disk.reads();
            let start = random.below(KEY_COUNT - 2 * entries);
            let found = page(&index, key(start), usize::try_from(entries).unwrap()).await.0;
            assert_eq!(found, entries);
            let bytes = disk.reads().1 - before.1;
            // It may begin in the middle of a block, and so end; and it looks at one more entry.
            let needed = (entries * 200).next_multiple_of(BLOCK_BYTES) + 2 * BLOCK_BYTES;
            assert!(bytes <= 2 * needed, "{bytes} bytes for {needed}, {entries} entries");
        }
    });
}

#[test]
fn a_walk_that_leaps_reads_block_by_block() {
    block_on(async {
        let (disk, _) = rig(3);
        let index = table(&disk, 4 << 20).await;
        let before = disk.reads();
        // As a listing with a delimiter does: some entries, then behind the common prefix.
        let prefix_count = KEY_COUNT / 500;
        for prefix in 0..prefix_count {
            assert_eq!(page(&index, key(prefix * 500), 8).await.0, 8);
        }
        let (reads, bytes) = (disk.reads().0 - before.0, disk.reads().1 - before.1);
        assert!(reads <= 2 * prefix_count, "{reads} reads for {prefix_count} prefixes");
        assert!(bytes <= reads * (BLOCK_BYTES + 8192), "{bytes} bytes in {reads} reads");
    });
}

#[test]
fn more_walks_than_there_is_room_for_read_little_ahead() {
    block_on(async {
        let (disk, _) = rig(4);
        // A share for walks of 128 KiB: eight blocks, and twelve walks.
        let index = table(&disk, 1 << 20).await;
        let before = disk.reads();
        let walk_count = 12;
        let mut nexts: Vec<Bytes> =
            (0..walk_count).map(|walk| key(walk * (KEY_COUNT / walk_count))).collect();
        for _ in 0..20 {
            for next in &mut nexts {
                *next = page(&index, next.clone(), 60).await.1.unwrap();
            }
        }
        let bytes = disk.reads().1 - before.1;
        let needed = walk_count * 20 * 60 * 210;
        assert!(bytes <= 4 * needed, "{bytes} bytes for {needed}");
    });
}

#[test]
fn damage_ahead_of_a_walk_is_found_when_it_gets_there() {
    block_on(async {
        let (disk, _) = rig(5);
        let index = table(&disk, 4 << 20).await;
        let (name, length) =
            disk.files().into_iter().find(|(name, _)| name.contains("table-")).unwrap();
        disk.flip(&name, length / 2, 1);
        let (mut next, mut found) = (Some(key(0)), 0);
        let end = Bytes::from_static(&[0xff]);
        let damage = loop {
            let start = next.take().expect("the damage is found");
            match index.scan(start..end.clone(), page_of(10)).await {
                Ok(page) => {
                    found += page.entries.len() as u64;
                    next = page.next;
                }
                Err(error) => break error,
            }
        };
        assert!(matches!(damage, crate::Error::Corrupt { .. }), "{damage}");
        let share = KEY_COUNT * 9 / 20;
        assert!(found > share, "{found} of {KEY_COUNT} before the middle were listed");
    });
}

#[test]
fn a_bad_sector_ahead_of_a_walk_is_not_its_business() {
    block_on(async {
        let (disk, _) = rig(6);
        let index = table(&disk, 4 << 20).await;
        let next = page(&index, key(0), 1).await.1.unwrap();
        // The next read is of two blocks; after it the first of them is read alone.
        disk.fail_at(disk.io_count(), Fault::Io, true);
        let before = disk.reads().0;
        assert_eq!(page(&index, next, 100).await.0, 100);
        assert_eq!(disk.reads().0 - before, 2);
    });
}
