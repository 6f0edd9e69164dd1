//! The index against its reference model: a `BTreeMap` with the same operations.
//!
//! The options are tiny, so that a few thousand keys pass through every level, block boundary and segment.

use std::{collections::BTreeMap, rc::Rc};

use bytes::Bytes;

use crate::{
    device::Directory,
    error::Error,
    index::{Batch, Entry, Index, IndexOptions, Page, Payload, ScanLimit},
    segment::SegmentOptions,
    testing::{Random, SimDirectory, SimDisk},
};

mod costs;
mod crash;
mod excise;
mod faults;
mod model;
mod pace;
mod ranges;
mod space;
mod turns;
mod unreadable;
mod walks;

/// What a key holds: its value, and its payload where it has one.
type Held = (Vec<u8>, Option<Vec<u8>>);
type Model = BTreeMap<Vec<u8>, Held>;

const KEY_COUNT: u64 = 400;

fn options() -> IndexOptions {
    IndexOptions {
        memtable_bytes_max: 256 << 10,
        block_cache_bytes_max: 64 << 10,
        chunk_cache_bytes_max: 0,
        block_bytes: 512,
        table_bytes_max: 16 << 10,
        inline_keep_bytes: 256,
        level_zero_tables: 3,
        level_zero_tables_max: 5,
        level_one_bytes: 32 << 10,
        level_ratio: 2,
        manifest_bytes: 64 << 10,
        reclaim_percent: 50,
    }
}

fn segment_options() -> SegmentOptions {
    SegmentOptions { segment_bytes: 256 << 10, ..SegmentOptions::default() }
}

async fn open(root: SimDirectory) -> Result<Index<SimDirectory>, Error> {
    let tables = root.directory("tables").await?;
    let segments = root.directory("segments").await?;
    Index::open(tables, segments, options(), segment_options()).await
}

fn key(number: u64) -> Bytes {
    // Long shared prefixes, and keys that are prefixes of others.
    Bytes::from(format!(
        "bucket/{:03}{}",
        number / 2,
        if number.is_multiple_of(2) { "" } else { "/more" }
    ))
}

fn all() -> std::ops::Range<Bytes> {
    Bytes::new()..Bytes::from_static(&[0xff])
}

fn page_of(entries: usize) -> ScanLimit {
    ScanLimit { entries, bytes: 1 << 20 }
}

fn random_held(random: &mut Random) -> Held {
    let length = 1 + usize::try_from(random.below(60)).unwrap();
    let value = random.bytes(length);
    let payload = match random.below(4) {
        0 => None,
        1 => Some(usize::try_from(random.below(200)).unwrap()),
        2 => Some(256 + usize::try_from(random.below(1500)).unwrap()),
        _ => Some(usize::try_from(random.below(9000)).unwrap()),
    };
    (value, payload.map(|length| random.bytes(length)))
}

/// A random batch, applied to both; some payloads go to a segment first, as chunks do. Now and then a range goes, too.
async fn write(
    index: &Index<SimDirectory>,
    model: &mut Model,
    random: &mut Random,
    changes: u64,
) -> Result<(), Error> {
    let mut batch = Batch::default();
    let mut after = model.clone();
    for _ in 0..changes {
        let key = key(random.below(KEY_COUNT));
        if random.below(3) == 0 {
            after.remove(key.as_ref());
            batch.delete(key);
            continue;
        }
        let (value, body) = random_held(random);
        let payload = match &body {
            None => Payload::None,
            Some(body) if random.below(3) == 0 && !body.is_empty() => {
                let items = vec![(key.clone(), Bytes::from(body.clone()))];
                Payload::Extent(index.segments().append(items).await?[0])
            }
            Some(body) => Payload::Inline(Bytes::from(body.clone())),
        };
        after.insert(key.to_vec(), (value.clone(), body));
        batch.put(key, Entry { value: Bytes::from(value), payload });
    }
    index.write(batch);
    *model = after;
    if random.below(8) == 0 {
        let start = random.below(KEY_COUNT);
        remove(index, model, &(key(start)..key(start + random.below(60))));
    }
    Ok(())
}

/// Removes a range from both.
fn remove(index: &Index<SimDirectory>, model: &mut Model, range: &std::ops::Range<Bytes>) {
    index.remove_range(range);
    model.retain(|key, _| !range.contains(key.as_slice()));
}

async fn body_of(
    index: &Index<SimDirectory>,
    key: &[u8],
    entry: &Entry,
) -> Result<Option<Vec<u8>>, Error> {
    if entry.payload == Payload::None {
        return Ok(None);
    }
    let length = u32::try_from(entry.payload.length()).unwrap();
    Ok(Some(index.payload(key, entry, 0..length).await?.to_vec()))
}

/// Everything the index holds, page by page, bodies included.
async fn contents(index: &Index<SimDirectory>, limit: ScanLimit) -> Result<Model, Error> {
    let mut found = Model::new();
    let mut range = all();
    loop {
        let Page { entries, next } = index.scan(range.clone(), limit).await?;
        for (key, entry) in entries {
            let body = body_of(index, &key, &entry).await?;
            let before = found.insert(key.to_vec(), (entry.value.to_vec(), body));
            assert!(before.is_none(), "a key twice");
        }
        match next {
            Some(next) => range.start = next,
            None => return Ok(found),
        }
    }
}

/// Runs `work` next to the upkeep of the index, to the end of both.
async fn beside_upkeep<T>(
    index: &Index<SimDirectory>,
    work: impl Future<Output = T>,
) -> (T, Result<(), Error>) {
    let stopper = index.clone();
    let work = async move {
        let result = work.await;
        stopper.stop();
        result
    };
    futures::future::join(work, index.maintain()).await
}

/// The bytes that every entry of every table refers to are the live bytes, in the manifest and in the segments.
async fn check_live(index: &Index<SimDirectory>) {
    use crate::index::table::{
        reader::Reading,
        run::{Hiding, RunCursor, Walk},
        writer::extent_bytes,
    };
    let shared = &index.0;
    let version = Rc::clone(&shared.state.borrow().version);
    let mut live: BTreeMap<u32, u64> = BTreeMap::new();
    for table in version.tables() {
        let mut own: BTreeMap<u32, u64> = BTreeMap::new();
        let mut count = 0;
        let walk = Walk {
            tables: vec![Rc::clone(table)],
            hiding: Hiding::default(),
            reading: Reading::Streamed(None),
        };
        let mut run = RunCursor::seek(walk, &[], &shared.cache).await.unwrap();
        while run.key().is_some() {
            count += 1;
            if let Some(Entry { payload: Payload::Extent(extent), .. }) = run.change().unwrap() {
                *own.entry(extent.segment).or_default() += extent_bytes(extent);
            }
            if !run.advance_in_block().unwrap() {
                run.advance_beyond(&shared.cache).await.unwrap();
            }
        }
        assert_eq!(count, table.meta.entries);
        assert_eq!(
            own.iter().map(|(id, bytes)| (*id, *bytes)).collect::<Vec<_>>(),
            table.meta.references.to_vec()
        );
        for (segment, bytes) in own {
            *live.entry(segment).or_default() += bytes;
        }
    }
    assert_eq!(shared.state.borrow().retired.len(), 0, "nothing holds retired tables");
    assert_eq!(index.segments().figures().live_bytes, live.values().sum::<u64>());
}

fn rig(seed: u64) -> (SimDisk, Random) {
    (SimDisk::new(seed), Random::new(seed ^ 0x5eed))
}
