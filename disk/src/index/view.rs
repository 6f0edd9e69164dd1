//! Reading tables as they were at one moment.

use std::{fmt, ops::Range, rc::Rc};

use bytes::Bytes;
use futures::future::try_join_all;

use crate::{
    device::Directory,
    error::Error,
    index::{
        cache::Cache,
        entry::{Entry, detach},
        filter,
        levels::Version,
        merge::{Merge, Source},
        notify::give_way,
        packed::Packed,
        payload::read_payload,
        ranges::Ranges,
        shared::Shared,
        table::{
            reader::Reading,
            run::{Hiding, RunCursor, Walk},
        },
    },
};

/// Keys that one scan looks at, tombstones included, before it returns what it has.
pub(crate) const SCAN_KEYS_MAX: usize = 65_536;
/// After this many keys a scan lets other tasks run.
const SCAN_KEYS_AT_ONCE: usize = 1024;

/// How much one page may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanLimit {
    /// Entries, at least 1.
    pub entries: usize,
    /// Bytes of keys, values and inline payloads; the first entry is returned whatever its length.
    pub bytes: usize,
}

/// A part of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In key order.
    pub entries: Vec<(Bytes, Entry)>,
    /// Where the next page starts; none at the end of the range. A page may be short, even empty, and have a next:
    /// a scan looks at a bounded number of keys.
    pub next: Option<Bytes>,
}

/// What a scan reads besides tables: changes still in memory.
pub(crate) struct Newer<D: Directory> {
    /// Newest first.
    pub(crate) sources: Vec<Source<D>>,
    /// The key from which on they are not complete.
    pub(crate) cutoff: Option<Bytes>,
    /// What they have removed from all tables.
    pub(crate) removed: Ranges,
}

impl<D: Directory> Default for Newer<D> {
    fn default() -> Self {
        Self { sources: Vec::new(), cutoff: None, removed: Ranges::default() }
    }
}

/// The durable state of the index after a flush: consistent, and readable for as long as it is held. Tables and
/// segments that compaction leaves behind keep their space for that long.
pub struct View<D: Directory> {
    pub(crate) version: Rc<Version<D>>,
    pub(crate) shared: Rc<Shared<D>>,
}

impl<D: Directory> View<D> {
    /// The tables as they are now.
    pub(crate) fn now(shared: &Rc<Shared<D>>) -> Self {
        Self { version: Rc::clone(&shared.state.borrow().version), shared: Rc::clone(shared) }
    }

    /// What a key holds. Damage is [`Error::Corrupt`] with file and offset.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        let hash = filter::key_hash(key);
        for table in self.version.candidates(key) {
            if let Some(change) = table.get(key, hash, &self.shared.cache).await? {
                return Ok(change.as_ref().map(detach));
            }
        }
        Ok(None)
    }

    /// The entries from `range.start` to before `range.end`, in order, without their payloads.
    pub async fn scan(&self, range: Range<Bytes>, limit: ScanLimit) -> Result<Page, Error> {
        self.scan_with(Newer::default(), &range, limit).await
    }

    /// Reads `range` of an entry's payload, given in bytes from its start.
    pub async fn payload(
        &self,
        key: &[u8],
        entry: &Entry,
        range: Range<u32>,
    ) -> Result<Bytes, Error> {
        read_payload(&self.shared.segments, key, &entry.payload, range).await
    }

    /// Scans `newer` sources before the tables.
    pub(crate) async fn scan_with(
        &self,
        newer: Newer<D>,
        range: &Range<Bytes>,
        limit: ScanLimit,
    ) -> Result<Page, Error> {
        if range.start >= range.end {
            return Ok(Page::default());
        }
        let Newer { mut sources, cutoff, removed } = newer;
        let seeks = self.version.runs(&range.start, &range.end).into_iter().map(|tables| {
            let hiding = Hiding::of(&self.version, removed.clone());
            let walk = Walk { tables, hiding, reading: Reading::Cached };
            RunCursor::seek(walk, &range.start, &self.shared.cache)
        });
        let runs = try_join_all(seeks).await?;
        sources.extend(runs.into_iter().map(|cursor| Source::Run(Box::new(cursor))));
        let end = cutoff.as_ref().unwrap_or(&range.end);
        let mut page = collect(&mut Merge::new(sources), end, limit, &self.shared.cache).await?;
        if page.next.is_none() {
            page.next = cutoff;
        }
        Ok(page)
    }
}

async fn collect<D: Directory>(
    merge: &mut Merge<D>,
    end: &Bytes,
    limit: ScanLimit,
    cache: &Cache,
) -> Result<Page, Error> {
    let (mut page, mut packed) = (Page::default(), Packed::default());
    let mut bytes = 0_usize;
    let mut seen = 0;
    while let Some(key) = merge.key() {
        if key >= end.as_ref() {
            break;
        }
        if seen == SCAN_KEYS_MAX {
            page.next = Some(Bytes::copy_from_slice(key));
            break;
        }
        seen += 1;
        if seen % SCAN_KEYS_AT_ONCE == 0 {
            give_way().await;
        }
        let stored = match merge.stored() {
            // What comes ahead of damage is served; who asks for the next page is told.
            Err(_damage) if !page.entries.is_empty() => {
                page.next = Some(Bytes::copy_from_slice(key));
                break;
            }
            other => other?,
        };
        if let Some(stored) = stored {
            bytes = bytes.saturating_add(key.len() + stored.held_bytes());
            let full = page.entries.len() >= limit.entries.max(1) || bytes > limit.bytes;
            if full && !page.entries.is_empty() {
                page.next = Some(Bytes::copy_from_slice(key));
                break;
            }
            page.entries.push((packed.keep(key), packed.keep_entry(&stored)));
        }
        merge.advance(cache).await?;
    }
    Ok(page)
}

impl<D: Directory> Clone for View<D> {
    fn clone(&self) -> Self {
        Self { version: Rc::clone(&self.version), shared: Rc::clone(&self.shared) }
    }
}

impl<D: Directory> Drop for View<D> {
    fn drop(&mut self) {
        // The last holder of retired tables makes their release possible. The current tables are not retired.
        let waited_for = self.shared.state.try_borrow().is_ok_and(|state| {
            !state.retired.is_empty() && !Rc::ptr_eq(&state.version, &self.version)
        });
        if waited_for {
            self.shared.moved.notify();
        }
    }
}

impl<D: Directory> fmt::Debug for View<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("tables", &self.version.tables().count())
            .finish_non_exhaustive()
    }
}
