//! An index that is only looked at: its manifest is read, nothing is opened for writing, and damage doesn't end the walk.
//!
//! Every frame of every table is read once and verified, and so are the entries in it: their order, their count, and
//! that the bytes they refer to are as many as the manifest says. What can't be read is reported with the keys that it
//! takes along.

use std::{collections::BTreeMap, rc::Rc};

use bytes::Bytes;

use crate::{
    budget::CacheBudget,
    device::Directory,
    error::Error,
    index::{
        Entry, Payload,
        cache::{Cache, File},
        filter,
        manifest::{self, Known, TableState},
        payload::read_payload,
        table::{TableMeta, reader::Table},
        walk::{Sight, walk_blocks, walk_frames},
    },
    owner::Owner,
    segment::{Extent, Places, SegmentOptions, Segments},
};

/// Block indexes and filters that are kept while a table is walked, in bytes.
const CACHE_BYTES_MAX: usize = 4 << 20;

/// The tables of a shard, and the segments that they refer to.
pub struct Inspection<D: Directory> {
    directory: D,
    state: TableState,
    manifest_flaws: Vec<Error>,
    segments: Segments<D>,
    cache: Rc<Cache>,
}

/// What the manifest says of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFacts {
    /// Its id, which its file name has.
    pub id: u32,
    /// Its level; 0 is the newest.
    pub level: u8,
    /// Length of the file.
    pub bytes: u64,
    /// Entries, tombstones among them.
    pub entry_count: u64,
    /// Tombstones.
    pub tombstone_count: u64,
    /// The first key.
    pub smallest: Bytes,
    /// The last key.
    pub largest: Bytes,
}

impl<D: Directory> Inspection<D> {
    /// Reads the manifest. A segment that is missing is no error here: what refers to it is found damaged.
    pub async fn open(
        directory: D,
        segments_directories: Places<D>,
        options: SegmentOptions,
    ) -> Result<Self, Error> {
        let Known { state, flaws, .. } = manifest::newest(&directory).await?;
        let nothing = BTreeMap::new();
        let segments =
            Segments::open(segments_directories, options, &nothing, state.next_segment).await?;
        let live = state.live();
        live.keys().try_for_each(|segment| segments.check_class(*segment))?;
        Ok(Self {
            directory,
            state,
            manifest_flaws: flaws,
            segments,
            cache: Cache::new(CacheBudget::new(CACHE_BYTES_MAX, 0)),
        })
    }

    /// The tables, newest level first and newest table first.
    pub fn tables(&self) -> Vec<TableFacts> {
        let facts = |(level, meta): &(u8, TableMeta)| TableFacts {
            id: meta.id,
            level: *level,
            bytes: meta.bytes,
            entry_count: meta.entries,
            tombstone_count: meta.tombstones,
            smallest: meta.smallest.clone(),
            largest: meta.largest.clone(),
        };
        let mut tables: Vec<_> = self.state.tables.values().map(facts).collect();
        tables.sort_by_key(|table| (table.level, std::cmp::Reverse(table.id)));
        tables
    }

    /// What is wrong with one of the manifest's two files: the other one has it, and the next opening writes both anew.
    pub fn manifest_flaws(&self) -> &[Error] {
        &self.manifest_flaws
    }

    /// Per segment that tables refer to, how many bytes.
    pub fn live(&self) -> BTreeMap<u32, u64> {
        self.state.live()
    }

    /// Bytes of an entry's payload, verified.
    pub async fn payload(&self, key: &[u8], entry: &Entry) -> Result<Bytes, Error> {
        let length = u32::try_from(entry.payload.length()).unwrap_or(u32::MAX);
        read_payload(&self.segments, key, &entry.payload, 0..length).await
    }

    /// Verifies all bytes of an extent that belongs to `key`.
    pub async fn verify(&self, extent: Extent, key: &[u8], owner: &dyn Owner) -> Result<(), Error> {
        self.segments.read_whole(extent, key, owner).await.map(drop)
    }

    /// What is wrong with a segment that isn't there.
    pub fn missing_segment(&self, segment: u32) -> Option<Error> {
        self.segments.missing(segment)
    }

    /// The segments that tables refer to and that are missing.
    pub fn missing_segments(&self) -> BTreeMap<u32, Error> {
        let live = self.state.live();
        let missing = |segment: &u32| Some((*segment, self.segments.missing(*segment)?));
        live.keys().filter_map(missing).collect()
    }

    /// What a look-up of `key` leads to, in the tables alone.
    pub async fn current(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        let hash = filter::key_hash(key);
        for table in self.tables() {
            let (_, meta) = &self.state.tables[&table.id];
            let hidden = self.state.hidden.get(&table.id);
            let hides = hidden.is_some_and(|ranges| ranges.end_of(key).is_some());
            if hides || !meta.overlaps(key, key) {
                continue;
            }
            let opened = Table::open(&self.directory, meta.clone()).await?;
            if let Some(change) = opened.get(key, hash, &self.cache).await? {
                return Ok(change);
            }
        }
        Ok(None)
    }

    /// Whether a look-up of `key` leads to this extent. Also true where damage hides what is newer.
    pub async fn is_current(&self, key: &[u8], extent: Extent) -> bool {
        match self.current(key).await {
            Ok(entry) => entry.is_some_and(|entry| entry.payload == Payload::Extent(extent)),
            Err(_damage) => true,
        }
    }

    /// Walks through a table of [`Self::tables`].
    pub async fn walk(&self, table: &TableFacts, mut visit: impl FnMut(Sight)) {
        let (_, meta) = &self.state.tables[&table.id];
        let whole = |error| Sight::Damage { error, after: None, upto: meta.largest.clone() };
        let opened = match Table::open(&self.directory, meta.clone()).await {
            Ok(opened) => opened,
            Err(error) => return visit(Sight::Unopened(error)),
        };
        // Every look-up asks footer and filter first: without them no key of the table is found.
        if let Err(error) = opened.check_filter(&self.cache).await {
            visit(whole(error));
        }
        match opened.index(&self.cache).await {
            Ok(index) => walk_blocks(&opened, index, &self.cache, &mut visit).await,
            Err(error) => {
                if opened.damage().is_none() {
                    visit(whole(error));
                }
                // What is hit can be named all the same, as far as the blocks themselves are whole.
                if !opened.is_missing() {
                    walk_frames(&opened, &self.cache, &mut visit).await;
                }
            }
        }
        self.cache.forget(File::Table(table.id));
    }
}

impl<D: Directory> std::fmt::Debug for Inspection<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspection")
            .field("tables", &self.state.tables.len())
            .finish_non_exhaustive()
    }
}
