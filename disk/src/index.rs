//! The index of a shard: an ordered LSM of keys in memtables and sorted tables, payloads in data segments.
//!
//! A write goes to the active memtable and is visible at once; [`Index::flush`] makes it durable (until then it is
//! in the WAL, which is the caller's). A read looks at the active memtable, the frozen ones, then the tables from
//! the newest level to the oldest; it holds on to the lists that it found at its start, so flush and compaction go on
//! beneath it unseen. [`Index::maintain`] compacts tables, level by level, and reclaims thin segments by rewriting the
//! tables that refer to them. [`Index::remove_range`] removes many keys by one record: tables that have no others go
//! unread.
//!
//! Invariants: a newer change always wins. A tombstone goes only where no older table can hold its key. The state
//! after a restart is that after the last flush, whole. Live bytes of a segment are what tables refer to, no more and
//! no less. Memory is bounded by [`IndexOptions`], whatever the number of keys.

use std::{fmt, ops::Range, rc::Rc};

use bytes::Bytes;
use futures::future::{Either, select};

use crate::{
    budget::CacheBudget,
    device::Directory,
    error::Error,
    index::{
        levels::Version,
        manifest::{Manifest, TableState},
        merge::{LotCursor, Source},
        pace::FlatOut,
        payload::{cached_extent, read_payload},
        shared::{Shared, State},
        table::{TableMeta, reader::Table, table_id, table_name},
        view::{Newer, SCAN_KEYS_MAX},
    },
    reserve::Reserve,
    segment::{Places, SegmentOptions, Segments},
};

mod ahead;
mod block;
mod cache;
mod codec;
mod compact;
mod entry;
mod excise;
mod figures;
mod filter;
mod flush;
mod inspect;
mod levels;
mod manifest;
mod memtable;
mod merge;
pub(crate) mod notify;
mod options;
mod pace;
mod packed;
mod payload;
mod ranges;
mod shared;
mod space;
mod table;
pub(crate) mod verify;
mod view;
mod walk;

#[cfg(test)]
mod tests;

pub use cache::CacheFigures;
pub use entry::{Batch, Entry, Payload};
pub use excise::{Excision, Gap};
pub use figures::IndexFigures;
pub use inspect::{Inspection, TableFacts};
pub use notify::give_way;
pub use options::{IndexOptions, KEY_BYTES_MAX, VALUE_BYTES_MAX};
pub use pace::Surroundings;
pub use space::{RESERVE_SEGMENTS, Space};
pub use view::{Page, ScanLimit, View};
pub use walk::Sight;

/// How often a payload that was relocated meanwhile is looked for again.
const PAYLOAD_ATTEMPTS_MAX: usize = 4;

/// An ordered index. Clones are the same index.
pub struct Index<D: Directory>(Rc<Shared<D>>);

impl<D: Directory> Index<D> {
    /// Recovers the index of a directory of tables, and the data segments that it refers to. An empty directory is an
    /// empty index. Nothing is swept yet: who holds extents from elsewhere pins them before the first flush and
    /// before [`Self::maintain`] runs. A segment must be able to hold the longest inline payload.
    ///
    /// [`Error::Corrupt`] where the manifest is damaged in both of its files. A table that is damaged or missing, and a
    /// data segment that is missing, is told at the first turn of [`Self::maintain_in`], and refused to whoever needs it.
    pub async fn open(
        directory: D,
        segments_directories: impl Into<Places<D>>,
        options: IndexOptions,
        segment_options: SegmentOptions,
    ) -> Result<Self, Error> {
        let segments_directories = segments_directories.into();
        Self::open_with(directory, segments_directories, options, segment_options, None).await
    }

    /// As [`Self::open`]; where there is no space for the manifest, a flush or compaction, they take the reserve, and while
    /// the shard is short of space upkeep goes after every dead byte.
    pub(crate) async fn open_with(
        directory: D,
        segments_directories: Places<D>,
        options: IndexOptions,
        segment_options: SegmentOptions,
        reserve: Option<Reserve<D>>,
    ) -> Result<Self, Error> {
        let manifest = loop {
            match (Manifest::open(&directory, options.manifest_bytes).await, &reserve) {
                // Its new files are what a start on a full volume takes space for.
                (Err(Error::NoSpace { .. }), Some(reserve)) if reserve.give().await? => {}
                (opened, _) => break opened?,
            }
        };
        let state = manifest.state();
        let next_table = remove_orphans(&directory, state).await?;
        let version = open_tables(&directory, state).await?;
        let segments = Segments::open(
            segments_directories,
            segment_options,
            &state.live(),
            state.next_segment,
        )
        .await?;
        let damaged = version.tables().filter_map(|table| table.damage().cloned());
        let untold = damaged.chain(segments.all_missing()).collect();
        let mut shared = Shared::new(directory, options, segments, manifest, version);
        shared.reserve = reserve;
        let state = shared.state.get_mut();
        (state.next_table, state.untold) = (next_table, untold);
        Ok(Self(Rc::new(shared)))
    }

    /// The budget of its block cache, for the cache of chunks to join.
    pub fn cache_budget(&self) -> &Rc<CacheBudget> {
        self.0.cache.budget()
    }

    /// The data segments that payloads are in.
    pub fn segments(&self) -> &Segments<D> {
        &self.0.segments
    }

    /// Applies a batch, atomically, in memory. Durable after [`Self::flush`].
    ///
    /// An entry with [`Payload::Extent`] brings one pin of it along (that of the append, or of `pin`); it is undone
    /// when the entry is replaced or flushed.
    pub fn write(&self, batch: Batch) {
        let mut state = self.0.state.borrow_mut();
        let mut released_bytes = batch.released_bytes;
        for (key, change) in batch.changes {
            if let Some(extent) = state.active.insert(&key, &change) {
                self.0.segments.unpin(extent);
                if change.is_none() {
                    released_bytes = released_bytes.saturating_sub(u64::from(extent.data_bytes));
                }
            }
        }
        state.active.released_bytes += released_bytes;
        drop(state);
        self.after_write();
    }

    /// Removes the keys from `range.start` to before `range.end`: by one record, whatever their number, and at once for
    /// whoever reads from now on, while views go on to see them. Durable after [`Self::flush`], with all that was written
    /// before. Then tables within the range are gone, and what payloads took in segments comes back.
    ///
    /// # Panics
    ///
    /// Both ends have up to [`KEY_BYTES_MAX`] bytes.
    pub fn remove_range(&self, range: &Range<Bytes>) {
        let length = range.start.len().max(range.end.len());
        assert!(length <= KEY_BYTES_MAX, "an end of a range of {length} bytes");
        if range.start >= range.end {
            return;
        }
        let mut state = self.0.state.borrow_mut();
        if !state.active.removed().covers(&range.start, &range.end) {
            let within =
                |meta: &TableMeta| range.start <= meta.smallest && meta.largest < range.end;
            let tables = state.version.tables().filter(|table| within(&table.meta));
            let references = tables.flat_map(|table| table.meta.references.iter());
            state.active.struck_bytes += references.map(|(_, bytes)| *bytes).sum::<u64>();
        }
        for extent in state.active.remove_range(range) {
            self.0.segments.unpin(extent);
        }
        drop(state);
        self.after_write();
    }

    /// Wakes who has something to do after a write.
    fn after_write(&self) {
        // Appends to segments can make a flush wanted, too: whether it is news is not to be seen from this write alone.
        let asks = self.wants_flush() && !self.0.flush_asked.replace(true);
        if self.0.segments.take_freed() || asks {
            self.0.moved.notify();
        }
    }

    /// Whether memtables are at their budget: writers should wait for [`Self::room`].
    pub fn is_full(&self) -> bool {
        memory(&self.0.state.borrow()) >= self.0.options.memtable_bytes_max
    }

    /// Waits while memtables are at their budget. [`Error::Stopped`] after a failure or a stop.
    pub async fn room(&self) -> Result<(), Error> {
        loop {
            let seen = self.0.moved.count();
            self.0.check()?;
            if !self.is_full() {
                return Ok(());
            }
            if self.0.state.borrow().stopping {
                return Err(Error::Stopped);
            }
            self.0.moved.moved(seen).await;
        }
    }

    /// What a key holds.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        let view = {
            let state = self.0.state.borrow();
            let frozen = state.frozen.iter().rev().find_map(|memtable| memtable.get(key));
            if let Some(change) = state.active.get(key).or(frozen) {
                return Ok(change.clone());
            }
            View { version: Rc::clone(&state.version), shared: Rc::clone(&self.0) }
        };
        view.get(key).await
    }

    /// The entries from `range.start` to before `range.end`, in order, without their payloads: a state of one moment,
    /// that of the call.
    pub async fn scan(&self, range: Range<Bytes>, limit: ScanLimit) -> Result<Page, Error> {
        if range.start >= range.end {
            return Ok(Page::default());
        }
        let (view, newer) = self.sources(&range, limit);
        view.scan_with(newer, &range, limit).await
    }

    /// Reads `range` of an entry's payload, in bytes from its start. [`Error::Absent`] where the entry was replaced or
    /// deleted since it was read and its bytes are gone: look the key up again.
    pub async fn payload(
        &self,
        key: &[u8],
        entry: &Entry,
        range: Range<u32>,
    ) -> Result<Bytes, Error> {
        let mut payload = entry.payload.clone();
        for _ in 1..PAYLOAD_ATTEMPTS_MAX {
            match self.read(key, &payload, range.clone()).await {
                Err(Error::Absent { .. }) => {}
                other => return other,
            }
            // Compaction may have moved it: the same value at the same key with another extent is the same entry.
            match self.get(key).await? {
                Some(found)
                    if found.value == entry.value && found.payload.length() == payload.length() =>
                {
                    payload = found.payload;
                }
                Some(_) | None => break,
            }
        }
        read_payload(&self.0.segments, key, &payload, range).await
    }

    /// Reads a range of a payload, through the cache where it is short and wanted whole.
    async fn read(&self, key: &[u8], payload: &Payload, range: Range<u32>) -> Result<Bytes, Error> {
        let Shared { segments, cache, .. } = &*self.0;
        let Some(extent) = cached_extent(payload, &range) else {
            return read_payload(segments, key, payload, range).await;
        };
        if let Some(found) = cache.payload(extent, key) {
            return Ok(found);
        }
        let found = read_payload(segments, key, payload, range).await?;
        cache.insert_payload(extent, key, &found);
        Ok(found)
    }

    /// Makes everything written before the call durable, and returns that state. Calls that arrive before the flush
    /// begins share it.
    ///
    /// [`Error::NoSpace`] changes nothing: what was written stays in memory and readable, and a later flush
    /// tries again. After any other error the index writes no more. The future must not be dropped before its end: it
    /// writes.
    pub async fn flush(&self) -> Result<View<D>, Error> {
        let mut done = Box::pin(flush::flush(&self.0)).await;
        while matches!(done, Err(Error::NoSpace { .. })) && self.0.give_reserve().await? {
            done = Box::pin(flush::flush(&self.0)).await;
        }
        done?;
        Ok(View::now(&self.0))
    }

    /// Whether the active memtable has its share of the budget (half, so that writes go on while it is flushed), or
    /// segments hold so much that is dead that a flush is the way to get at it.
    pub fn wants_flush(&self) -> bool {
        let state = self.0.state.borrow();
        let budget = self.0.options.memtable_bytes_max;
        state.active.bytes() >= budget / 2
            || memory(&state) >= budget
            || space::flush_frees(&self.0, &state)
    }

    /// Whether something was written that no flush has begun with.
    pub fn holds_unflushed(&self) -> bool {
        !self.0.state.borrow().active.is_empty()
    }

    /// Waits until [`Self::wants_flush`], or the index stops.
    pub async fn flush_wanted(&self) {
        loop {
            let seen = self.0.moved.count();
            // What was wanted when it was asked for may not be by now: who waits again is to be asked again.
            self.0.flush_asked.set(false);
            if self.wants_flush() || self.is_stopping() {
                return;
            }
            self.0.moved.moved(seen).await;
        }
    }

    /// The upkeep loop, to be run by the caller next to everything else: compacts, reclaims, removes what is free. Ends
    /// after [`Self::stop`], or at the first error but a full volume and damage in what it reads: neither keeps the
    /// rest from being served, and both may be over after the next flush. Like [`Self::flush`] it is never dropped
    /// midway.
    pub async fn maintain(&self) -> Result<(), Error> {
        self.maintain_in(&FlatOut).await
    }

    /// As [`Self::maintain`], but far from its limits slowly, with rests in `surroundings`; they are told of damage that
    /// it meets, too.
    pub async fn maintain_in(&self, surroundings: &dyn Surroundings) -> Result<(), Error> {
        loop {
            let seen = self.0.moved.count();
            if self.0.state.borrow().stopping {
                return Ok(());
            }
            self.0.tidying.set(true);
            let done = self.upkeep(surroundings).await;
            for error in std::mem::take(&mut self.0.state.borrow_mut().untold) {
                surroundings.damaged(&error);
            }
            if !matches!(done, Ok(true)) {
                self.0.tidying.set(false);
                self.0.eased.notify();
            }
            match done {
                Ok(true) => give_way().await,
                Err(Error::NoSpace { .. }) if self.0.give_reserve().await? => {}
                Ok(false)
                | Err(
                    Error::NoSpace { .. }
                    | Error::ClassFull { .. }
                    | Error::ClassFailed { .. }
                    | Error::Corrupt { .. },
                ) => {
                    self.moved_or_failed(seen).await?;
                }
                Err(error) => return Err(self.0.cause(error)),
            }
        }
    }

    /// Waits for the next step of upkeep; an error where the segments failed meanwhile.
    async fn moved_or_failed(&self, seen: u64) -> Result<(), Error> {
        let moved = std::pin::pin!(self.0.moved.moved(seen));
        let failed = std::pin::pin!(self.0.segments.failed());
        match select(moved, failed).await {
            Either::Left(((), _)) => Ok(()),
            Either::Right((error, _)) => Err(error),
        }
    }

    /// Ends [`Self::maintain`] at its next step and wakes who waits. A last flush is still possible.
    pub fn stop(&self) {
        self.0.state.borrow_mut().stopping = true;
        self.0.moved.notify();
    }

    fn is_stopping(&self) -> bool {
        self.0.state.borrow().stopping || self.0.check().is_err()
    }

    /// One step of upkeep; false where nothing is to do.
    async fn upkeep(&self, surroundings: &dyn Surroundings) -> Result<bool, Error> {
        self.0.release().await?;
        Box::pin(compact::step(&self.0, surroundings)).await
    }

    /// What a scan reads, as of now.
    fn sources(&self, range: &Range<Bytes>, limit: ScanLimit) -> (View<D>, Newer<D>) {
        use std::ops::Bound::{Excluded, Included};

        let state = self.0.state.borrow();
        let mut lot = Vec::new();
        let mut cutoff = None;
        let mut entry_count = 0;
        let active = state.active.range(Included(&range.start), Excluded(&range.end));
        for (key, change) in active.into_iter().flatten() {
            // That many entries of the newest source fill a page, whatever is below.
            if entry_count >= limit.entries.max(1) || lot.len() >= SCAN_KEYS_MAX {
                cutoff = Some(key.clone());
                break;
            }
            entry_count += usize::from(change.is_some());
            lot.push((key.clone(), change.clone()));
        }
        let mut sources = vec![Source::Lot(LotCursor::fixed(lot))];
        let mut removed = state.active.removed().clone();
        for memtable in state.frozen.iter().rev() {
            let (end, hidden) = (Some(range.end.clone()), removed.clone());
            let cursor = LotCursor::frozen(Rc::clone(memtable), &range.start, end, hidden);
            sources.push(Source::Lot(cursor));
            removed.unite(memtable.removed());
        }
        let view = View { version: Rc::clone(&state.version), shared: Rc::clone(&self.0) };
        (view, Newer { sources, cutoff, removed })
    }
}

/// Removes tables that no manifest names: a flush or compaction that didn't end. Returns the next free id.
async fn remove_orphans<D: Directory>(directory: &D, state: &TableState) -> Result<u32, Error> {
    let mut next_table = state.next_table;
    for id in directory.list().await?.iter().filter_map(|name| table_id(name)) {
        if !state.tables.contains_key(&id) {
            next_table = next_table.max(id.saturating_add(1));
            directory.remove(&table_name(id)).await?;
        }
    }
    Ok(next_table)
}

async fn open_tables<D: Directory>(directory: &D, state: &TableState) -> Result<Version<D>, Error> {
    let mut version = Version::empty();
    for (level, meta) in state.tables.values() {
        let table = Rc::new(Table::open(directory, meta.clone()).await?);
        version.damaged.extend(table.damage().map(|_| meta.id));
        version.levels[usize::from(*level)].push(table);
    }
    version.hidden = Rc::new(state.hidden.clone());
    version.sort();
    if version.is_ordered() {
        return Ok(version);
    }
    let finding = "the tables of a level overlap".to_owned();
    Err(Error::Corrupt { location: directory.path(), finding })
}

/// Bytes of all memtables.
fn memory<D: Directory>(state: &State<D>) -> usize {
    state.active.bytes() + state.frozen.iter().map(|memtable| memtable.bytes()).sum::<usize>()
}

impl<D: Directory> Clone for Index<D> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<D: Directory> fmt::Debug for Index<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("figures", &self.figures()).finish_non_exhaustive()
    }
}
