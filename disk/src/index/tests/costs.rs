//! What reads and writes cost, counted on the simulated disk: tables and device reads a GET, false positives of
//! filters, bytes written a byte of an object, and what a listing leaves of the cache.
//!
//! The sizes are a sixty-fourth of the defaults with a sixty-fourth of the objects, so that as many levels fill.

use bytes::Bytes;
use futures::future::join_all;

use super::{all, beside_upkeep, page_of, rig};
use crate::{
    device::Directory,
    index::{Batch, Entry, Index, IndexOptions, Payload, pace::FlatOut},
    segment::SegmentOptions,
    testing::{Random, SimDirectory, SimDisk, block_on},
    wal::{LOCAL, Record, Wal, WalOptions, flushed},
};

const OBJECT_COUNT: u64 = 24_000;
const OBJECT_BYTES: usize = 1024;
/// About what the record of an object takes.
const VALUE_BYTES: usize = 100;
const CLIENT_COUNT: u64 = 64;

fn scaled(block_cache_bytes_max: usize) -> IndexOptions {
    IndexOptions {
        memtable_bytes_max: 1 << 20,
        block_cache_bytes_max,
        table_bytes_max: 512 << 10,
        level_one_bytes: 1 << 20,
        ..IndexOptions::default()
    }
}

async fn open(disk: &SimDisk, cache_bytes: usize) -> Index<SimDirectory> {
    let root = disk.reopen();
    let tables = root.directory("tables").await.unwrap();
    let segments = root.directory("segments").await.unwrap();
    let options = SegmentOptions { segment_bytes: 4 << 20, ..SegmentOptions::default() };
    Index::open(tables, segments, scaled(cache_bytes), options).await.unwrap()
}

/// Object keys in the order of their numbers, as a group's index keys look.
fn key(number: u64) -> Bytes {
    Bytes::from(format!("\0\0\0\u{1}\u{3}bucket--prefix/object-{number:010}\0\u{1}version-"))
}

/// Writes every object once, in random order: each batch through the WAL, then to the index, as commands are.
async fn fill(
    index: &Index<SimDirectory>,
    wal: &Wal<SimDirectory>,
    random: &mut Random,
    payload_bytes: usize,
) {
    let mut numbers: Vec<u64> = (0..OBJECT_COUNT).collect();
    for position in (1..numbers.len()).rev() {
        let other = usize::try_from(random.below(position as u64 + 1)).unwrap();
        numbers.swap(position, other);
    }
    let mut log_index = 0;
    for chunk in numbers.chunks(usize::try_from(CLIENT_COUNT).unwrap()) {
        let puts: Vec<_> = chunk
            .iter()
            .map(|number| {
                log_index += 1;
                let value = Bytes::from(random.bytes(VALUE_BYTES));
                let body = Bytes::from(random.bytes(payload_bytes));
                (log_index, key(*number), value, body)
            })
            .collect();
        let appends = puts.iter().map(|(log_index, key, value, body)| {
            let head = Bytes::from([key.as_ref(), value.as_ref()].concat());
            let record = Record { index: *log_index, head, body: body.clone() };
            flushed(|done| wal.append(LOCAL, vec![record], done))
        });
        assert!(join_all(appends).await.iter().all(Result::is_ok));
        let mut batch = Batch::default();
        for (_, key, value, body) in puts {
            batch.put(key, Entry { value, payload: Payload::Inline(body) });
        }
        index.write(batch);
        if index.wants_flush() {
            index.flush().await.unwrap();
            wal.purge(LOCAL, log_index, Bytes::new(), Box::new(|_| {}));
        }
    }
    index.flush().await.unwrap();
    wal.stop();
}

/// A disk with all objects, settled, and how many bytes were written for them.
async fn filled(seed: u64, payload_bytes: usize) -> (SimDisk, Random, u64) {
    let (disk, mut random) = rig(seed);
    let index = open(&disk, 1 << 20).await;
    let directory = disk.root().directory("wal").await.unwrap();
    let wal = Wal::open(directory, WalOptions::default()).await.unwrap();
    let before = disk.written_bytes();
    let work = Box::pin(async {
        let filling = fill(&index, &wal, &mut random, payload_bytes);
        let ((), ran) = futures::join!(filling, wal.run());
        ran.unwrap();
    });
    beside_upkeep(&index, work).await.1.unwrap();
    // That index is stopped; what compaction it left is done, and counted, after a restart.
    let index = open(&disk, 1 << 20).await;
    while index.upkeep(&FlatOut).await.unwrap() {}
    let written = disk.written_bytes() - before;
    (disk, random, written)
}

#[test]
fn a_byte_of_a_1_kib_object_costs_at_most_three_written_compaction_and_wal_included() {
    block_on(async {
        let (disk, _, written) = filled(1, OBJECT_BYTES).await;
        let index = open(&disk, 1 << 20).await;
        let deep = index.figures().level_tables.iter().skip(1).filter(|count| **count > 0).count();
        assert!(deep >= 2, "compaction went on to level two: {:?}", index.figures().level_tables);
        let user = OBJECT_COUNT * OBJECT_BYTES as u64;
        assert!(written <= 3 * user, "{written} bytes written for {user}");
    });
}

#[test]
fn a_get_asks_one_table_a_level_reads_one_block_and_one_extent_and_filters_err_below_one_percent() {
    block_on(async {
        let (disk, mut random, _) = filled(2, OBJECT_BYTES).await;
        // Room for filters and block indexes, and for nearly no blocks.
        let index = open(&disk, 256 << 10).await;
        let levels = index.figures().level_tables.iter().filter(|count| **count > 0).count();
        let flushed = index.figures().level_tables[0];
        for number in 0..OBJECT_COUNT / 100 {
            index.get(&key(number * 100)).await.unwrap().unwrap();
        }
        let (before, io_before) = (index.figures(), disk.io_count());
        let get_count = 2000;
        for _ in 0..get_count {
            let key = key(random.below(OBJECT_COUNT));
            let entry = index.get(&key).await.unwrap().expect("it was put");
            let body = index.payload(&key, &entry, 0..1024).await.unwrap();
            assert_eq!(body.len(), OBJECT_BYTES);
        }
        let after = index.figures();
        let checks = after.filter_checks - before.filter_checks;
        let reads = disk.io_count() - io_before;
        let tables_max = (levels + flushed) as u64;
        assert!(checks <= get_count * tables_max, "{checks} tables for {get_count} GETs");
        assert!(reads <= get_count * 2, "{reads} device reads for {get_count} GETs");
        absent_keys(&index, &mut random).await;
    });
}

#[test]
fn a_short_payload_that_was_read_costs_no_read_until_its_segment_is_gone() {
    block_on(async {
        let (disk, mut random) = rig(4);
        let index = open(&disk, 1 << 20).await;
        let mut batch = Batch::default();
        for number in 0..100 {
            let body = Payload::Inline(Bytes::from(random.bytes(OBJECT_BYTES)));
            batch.put(key(number), Entry { value: Bytes::from_static(b"first"), payload: body });
        }
        index.write(batch);
        index.flush().await.unwrap();
        let mut reads = Vec::new();
        let mut bodies = Vec::new();
        for number in (0..100).chain(0..100) {
            let before = disk.io_count();
            let entry = index.get(&key(number)).await.unwrap().unwrap();
            bodies.push(index.payload(&key(number), &entry, 0..1024).await.unwrap());
            reads.push(disk.io_count() - before);
        }
        assert!(reads[..100].iter().all(|reads| *reads >= 1), "{reads:?}");
        assert!(reads[100..].iter().all(|reads| *reads == 0), "{reads:?}");
        assert_eq!(bodies[..100], bodies[100..]);
        let figures = index.figures().payload_cache;
        assert_eq!((figures.hit_count, figures.miss_count), (100, 100));
        // A part of a payload is read past the cache: it has whole ones.
        let entry = index.get(&key(3)).await.unwrap().unwrap();
        let part = index.payload(&key(3), &entry, 10..20).await.unwrap();
        assert_eq!(part, bodies[3].slice(10..20));
        assert_eq!(index.figures().payload_cache, figures);
        // What is overwritten is not answered from there.
        let mut batch = Batch::default();
        let body = Payload::Inline(Bytes::from(vec![9; OBJECT_BYTES]));
        batch.put(key(3), Entry { value: Bytes::from_static(b"second"), payload: body });
        index.write(batch);
        index.flush().await.unwrap();
        let entry = index.get(&key(3)).await.unwrap().unwrap();
        let body = index.payload(&key(3), &entry, 0..1024).await.unwrap();
        assert_eq!(body, vec![9; OBJECT_BYTES]);
    });
}

/// Keys that are not there, between those that are.
async fn absent_keys(index: &Index<SimDirectory>, random: &mut Random) {
    let before = index.figures();
    for _ in 0..10_000 {
        let absent = [key(random.below(OBJECT_COUNT)).as_ref(), b"x"].concat();
        assert_eq!(index.get(&absent).await.unwrap(), None);
    }
    let after = index.figures();
    let checks = after.filter_checks - before.filter_checks;
    let errors = checks - (after.filter_skips - before.filter_skips);
    assert!(checks > 5000, "filters were asked");
    assert!(errors * 100 <= checks, "{errors} false positives of {checks}");
}

#[test]
fn a_listing_of_everything_leaves_points_filters_and_block_indexes_in_the_cache() {
    block_on(async {
        let (disk, mut random, _) = filled(3, 128).await;
        let index = open(&disk, 1 << 20).await;
        let hot: Vec<Bytes> = (0..24).map(|_| key(random.below(OBJECT_COUNT))).collect();
        for key in hot.iter().chain(&hot) {
            index.get(key).await.unwrap().unwrap();
        }
        let read_of = |index: &Index<SimDirectory>| index.figures().table_reads;
        let before = read_of(&index);
        let mut range = all();
        let mut found = 0;
        loop {
            let page = index.scan(range.clone(), page_of(1000)).await.unwrap();
            found += page.entries.len() as u64;
            let Some(next) = page.next else { break };
            range.start = next;
        }
        assert_eq!(found, OBJECT_COUNT);
        let bytes: u64 = index.figures().level_bytes.iter().sum();
        assert!(bytes > 3 << 20, "the listing read several times what the cache holds: {bytes}");
        let listed = read_of(&index);
        assert!(listed > before);
        let points = index.figures().point_cache;
        for key in &hot {
            index.get(key).await.unwrap().unwrap();
        }
        assert_eq!(read_of(&index), listed, "no read of a table for any hot key");
        assert_eq!(index.figures().point_cache.miss_count, points.miss_count);
    });
}
