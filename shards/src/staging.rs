//! Chunks on their way: written to data segments, and named by no applied command yet.
//!
//! A chunk is *staged* (written, its extent pinned, known here alone), then *settled* (flushed, and recorded in the
//! shard's local log before the command that names it is proposed), then *claimed* (a command that names its body was
//! applied: the pin goes over to the index, with the entry), *absorbed* (claimed, and not needed: the command has
//! the same content in another chunk), or *discarded*. The WAL keeps the order of submission,
//! so a command is never durable without the records of its chunks: a restart finds them, and replays the command.
//!
//! A claimed chunk keeps its record and its bytes until the index has flushed the entry, for a crash before that brings
//! the command's replay, also where later commands removed the chunk: a replay that refused the command would decide
//! the commands behind it in another way. So whoever flushes the index takes a [`Mark`] before, and gives it back to
//! [`Staging::after_flush`]: all that was claimed before the mark is in the flushed state (a claim and its write into
//! the index are one step, with no await between), everything else is recorded again before the records are purged.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
    rc::Rc,
};

use anode_disk::{
    Directory, Error,
    segment::{Class, Extent},
    storage::Storage,
    wal::{self, GroupId, LOCAL, Record},
};
use bytes::Bytes;
use tracing::warn;

use crate::{
    limits::STAGED_CHUNKS_MAX,
    object::{BodyId, ContentId},
    state::keys,
};

use record::StagedRecord;

mod record;
#[cfg(test)]
mod tests;

const READ_BYTES: usize = 1 << 20;

/// A chunk to be staged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its number in its body, from 0.
    pub number: u32,
    /// The name of its bytes.
    pub content: ContentId,
    /// The class of segments to put it in.
    pub class: Class,
    /// Its bytes.
    pub data: Bytes,
}

/// What the local log says of a chunk that was settled: whose it is, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledChunk {
    /// The group of its body.
    pub group: GroupId,
    /// Its body.
    pub body: BodyId,
    /// Where it lies.
    pub extent: Extent,
}

impl SettledChunk {
    /// Reads a record of the local log.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] where it is none of a chunk.
    pub fn of(record: &Record) -> Result<Self, Error> {
        let found = StagedRecord::decode(&record.head);
        let found = found.map_err(|finding| damaged(record.index, &finding))?;
        let StagedRecord { group, body, extent, .. } = found;
        Ok(Self { group, body, extent })
    }
}

type ChunkName = (GroupId, BodyId, u32);

/// A moment before a flush of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "give it to after_flush"]
pub struct Mark {
    claims: u64,
    records: u64,
}

/// What is staged on a shard, of all its groups.
pub struct Staging<D: Directory> {
    storage: Rc<Storage<D>>,
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    staged: BTreeMap<ChunkName, Staged>,
    claimed: BTreeMap<ChunkName, Claimed>,
    /// How many claims there were.
    claims: u64,
    /// The index of the next record in the local log.
    next_index: u64,
}

#[derive(Clone, Copy, Debug)]
struct Staged {
    extent: Extent,
    content: ContentId,
    /// Its newest record in the local log.
    index: Option<u64>,
    /// It was staged before the last start.
    recovered: bool,
}

#[derive(Clone, Copy, Debug)]
struct Claimed {
    extent: Extent,
    content: ContentId,
    index: Option<u64>,
    claim: u64,
}

impl<D: Directory> Staging<D> {
    /// Finds what was staged and settled before the last stop, and pins it: before the segments are swept for the
    /// first time.
    pub async fn open(storage: Rc<Storage<D>>) -> Result<Rc<Self>, Error> {
        let mut records = Vec::new();
        if let Some((first, last)) = storage.wal.range(LOCAL) {
            let mut from = first;
            while from <= last {
                let read = storage.wal.read(LOCAL, from..last + 1, READ_BYTES).await?;
                from += u64::try_from(read.len()).expect("a count fits in 64 bits");
                if read.is_empty() {
                    return Err(damaged(from, "a record is missing"));
                }
                // Without the bytes beside it, which they share the memory of.
                records.extend(
                    read.into_iter().map(|record| Record {
                        head: Bytes::copy_from_slice(&record.head),
                        ..record
                    }),
                );
            }
        }
        Self::of_records(storage, records)
    }

    /// The same of records that were read elsewhere: those that are left of a damaged log.
    pub fn of_records(storage: Rc<Storage<D>>, records: Vec<Record>) -> Result<Rc<Self>, Error> {
        let mut inner = Inner { next_index: purged(&storage)? + 1, ..Inner::default() };
        for record in records {
            let index = record.index;
            inner.next_index = index + 1;
            let found =
                StagedRecord::decode(&record.head).map_err(|finding| damaged(index, &finding))?;
            let StagedRecord { extent, content, .. } = found;
            let staged = Staged { extent, content, index: Some(index), recovered: true };
            inner.staged.insert((found.group, found.body, found.chunk), staged);
        }
        let segments = storage.index.segments();
        for staged in inner.staged.values().filter(|staged| !segments.pin(staged.extent)) {
            // A record outlives its purge only by a crash; then the chunk may have been reclaimed, segment and all. But
            // then no command that claims it is applied again: for one that is, the segment is lost, and what was
            // acknowledged is refused when it is read, not forgotten.
            segments.check_class(staged.extent.segment)?;
            segments.miss(staged.extent);
        }
        Ok(Rc::new(Self { storage, inner: RefCell::new(inner) }))
    }

    /// What is staged and claimed by nothing: per body of a group, its chunks.
    pub fn unclaimed(&self) -> BTreeMap<(GroupId, BodyId), Vec<u32>> {
        let mut found: BTreeMap<_, Vec<u32>> = BTreeMap::new();
        for (group, body, chunk) in self.inner.borrow().staged.keys() {
            found.entry((*group, *body)).or_default().push(*chunk);
        }
        found
    }

    /// The bytes of a chunk that is staged.
    ///
    /// # Errors
    ///
    /// [`Error::Absent`] where it is not; those of a read.
    pub async fn bytes(&self, group: GroupId, body: BodyId, chunk: u32) -> Result<Bytes, Error> {
        let absent = || Error::Absent { name: format!("chunk {chunk} of {body}") };
        let (extent, content) = self.find(group, body, chunk).ok_or_else(absent)?;
        let key = keys::content(group, content);
        self.storage.index.segments().read(extent, &key, 0..extent.data_bytes).await
    }

    /// Writes a chunk of a body. Not durable before [`Self::settle`].
    ///
    /// [`Error::Limit`] where too much is staged already; [`Error::NoSpace`] where the volume is full,
    /// [`Error::ClassFull`] and [`Error::ClassFailed`] where its class takes nothing.
    pub async fn stage(&self, group: GroupId, body: BodyId, chunk: Cut) -> Result<(), Error> {
        let Cut { number, content, class, data } = chunk;
        let count = self.inner.borrow().staged.len();
        if count >= STAGED_CHUNKS_MAX {
            let count = |count: usize| u64::try_from(count).expect("a count fits in 64 bits");
            let (found, limit) =
                (count(self.inner.borrow().staged.len()), count(STAGED_CHUNKS_MAX));
            return Err(Error::Limit { what: "count of staged chunks", found, limit });
        }
        let key = keys::content(group, content);
        let extents = self.storage.index.segments().append_to(class, vec![(key, data)]).await?;
        let extent = extents.first().copied().expect("one item makes one extent");
        let staged = Staged { extent, content, index: None, recovered: false };
        let before = self.inner.borrow_mut().staged.insert((group, body, number), staged);
        if let Some(before) = before {
            self.storage.index.segments().unpin(before.extent);
        }
        Ok(())
    }

    /// Makes every staged chunk of a body durable, and has it recorded before all that is submitted to the WAL from
    /// now on. To be awaited before the command that names the body is proposed.
    pub async fn settle(&self, group: GroupId, body: BodyId) -> Result<(), Error> {
        let names = self.names(group, body);
        for class in self.classes(&names) {
            self.storage.index.segments().sync_class(class).await?;
        }
        self.record(&names);
        Ok(())
    }

    /// Forgets what is staged of a body.
    ///
    /// Only where no command that names it can still be applied: none was proposed, or the proposal was *refused*. A
    /// proposal whose outcome is unknown keeps its chunks; they go at the next start if nothing claimed them.
    pub fn discard(&self, group: GroupId, body: BodyId) {
        for name in self.names(group, body) {
            let staged = self.inner.borrow_mut().staged.remove(&name);
            if let Some(staged) = staged {
                self.storage.index.segments().unpin(staged.extent);
            }
        }
    }

    /// Forgets what was staged before the last start and claimed by nothing: after every group of the shard has applied
    /// its whole log. Returns how many chunks that was.
    pub fn drop_unclaimed(&self) -> usize {
        let names: Vec<ChunkName> = {
            let inner = self.inner.borrow();
            let old = inner.staged.iter().filter(|(_, staged)| staged.recovered);
            old.map(|(name, _)| *name).collect()
        };
        for name in &names {
            let staged = self.inner.borrow_mut().staged.remove(name);
            if let Some(staged) = staged {
                self.storage.index.segments().unpin(staged.extent);
            }
        }
        names.len()
    }

    /// To be taken before a flush of the index begins.
    pub fn mark(&self) -> Mark {
        let inner = self.inner.borrow();
        Mark { claims: inner.claims, records: inner.next_index }
    }

    /// To be called once a flush of the index that began after `mark` is done: purges the records from before it, and
    /// records again what of them is still needed.
    pub async fn after_flush(&self, mark: Mark) -> Result<(), Error> {
        let (upto, kept) = {
            let mut inner = self.inner.borrow_mut();
            let segments = self.storage.index.segments();
            inner.claimed.retain(|_, claimed| {
                let kept = claimed.claim >= mark.claims;
                if !kept {
                    segments.let_go(claimed.extent);
                }
                kept
            });
            let old = |index: Option<u64>| index.is_some_and(|index| index < mark.records);
            let staged = inner.staged.iter().filter(|(_, staged)| old(staged.index));
            let claimed = inner.claimed.iter().filter(|(_, claimed)| old(claimed.index));
            let kept: Vec<ChunkName> =
                staged.map(|(name, _)| *name).chain(claimed.map(|(name, _)| *name)).collect();
            (mark.records.saturating_sub(1), kept)
        };
        self.storage.index.look_after_space();
        let Some((first, _)) = self.storage.wal.range(LOCAL) else { return Ok(()) };
        if upto < first {
            return Ok(());
        }
        // The WAL keeps this order: the new records are durable before the old ones are gone.
        self.record(&kept);
        let value = Bytes::copy_from_slice(&upto.to_le_bytes());
        wal::flushed(|done| self.storage.wal.purge(LOCAL, upto, value, done)).await
    }

    /// How many chunks are staged and claimed by nothing.
    pub fn count(&self) -> usize {
        self.inner.borrow().staged.len()
    }

    /// Whether the segment of a staged chunk is lost.
    pub(crate) fn is_lost(&self, group: GroupId, body: BodyId, chunk: u32) -> bool {
        let found = self.find(group, body, chunk);
        found.is_some_and(|(extent, _)| !self.storage.index.segments().holds(extent))
    }

    /// Where a staged chunk is, and what it holds.
    pub(crate) fn find(
        &self,
        group: GroupId,
        body: BodyId,
        chunk: u32,
    ) -> Option<(Extent, ContentId)> {
        let inner = self.inner.borrow();
        inner.staged.get(&(group, body, chunk)).map(|staged| (staged.extent, staged.content))
    }

    /// Claims a staged chunk whose content the same command brings in another chunk: one copy is enough. Its segment stays as long as a
    /// crash would have the command decided again, which finds the chunk staged as it was.
    pub(crate) fn absorb(&self, group: GroupId, body: BodyId, chunk: u32) {
        if let Some(extent) = self.claim(group, body, chunk) {
            self.storage.index.segments().unpin(extent);
            self.storage.index.look_after_space();
        }
    }

    /// Gives a staged chunk to the index, with its pin: what is returned is written to the index before anything else
    /// happens.
    pub(crate) fn claim(&self, group: GroupId, body: BodyId, chunk: u32) -> Option<Extent> {
        let mut inner = self.inner.borrow_mut();
        let name = (group, body, chunk);
        let staged = inner.staged.remove(&name)?;
        let claim = inner.claims;
        inner.claims += 1;
        if staged.index.is_none() {
            warn!(%body, chunk, "a chunk was claimed before it was settled");
        }
        let claimed =
            Claimed { extent: staged.extent, content: staged.content, index: staged.index, claim };
        self.storage.index.segments().keep(staged.extent);
        if let Some(before) = inner.claimed.insert(name, claimed) {
            self.storage.index.segments().let_go(before.extent);
        }
        Some(staged.extent)
    }

    /// The classes that these chunks were written to.
    fn classes(&self, names: &[ChunkName]) -> BTreeSet<Class> {
        let inner = self.inner.borrow();
        let staged = names.iter().filter_map(|name| inner.staged.get(name));
        staged.map(|staged| staged.extent.class()).collect()
    }

    fn names(&self, group: GroupId, body: BodyId) -> Vec<ChunkName> {
        let range = (Bound::Included((group, body, 0)), Bound::Included((group, body, u32::MAX)));
        self.inner.borrow().staged.range(range).map(|(name, _)| *name).collect()
    }

    /// Submits records of these chunks, for the batch of what comes next: the command that names them. Nobody waits for the
    /// flush: an error of it stops the WAL, and with it all that is submitted later.
    fn record(&self, names: &[ChunkName]) {
        let mut records = Vec::with_capacity(names.len());
        {
            let mut guard = self.inner.borrow_mut();
            let inner = &mut *guard;
            for name in names {
                let index = inner.next_index;
                let (extent, content) = if let Some(staged) = inner.staged.get_mut(name) {
                    staged.index = Some(index);
                    (staged.extent, staged.content)
                } else if let Some(claimed) = inner.claimed.get_mut(name) {
                    claimed.index = Some(index);
                    (claimed.extent, claimed.content)
                } else {
                    continue;
                };
                inner.next_index += 1;
                let (group, body, chunk) = *name;
                let head = StagedRecord { group, body, chunk, extent, content }.encode();
                records.push(Record { index, head, body: Bytes::new() });
            }
        }
        if !records.is_empty() {
            let _refused = self.storage.wal.append_lazy(LOCAL, records);
        }
    }
}

impl<D: Directory> fmt::Debug for Staging<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staging").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// The last local record that was ever purged; 0 for none.
fn purged<D: Directory>(storage: &Storage<D>) -> Result<u64, Error> {
    match storage.wal.slot(LOCAL, wal::Slot::Purged) {
        None => Ok(0),
        Some(value) => <[u8; 8]>::try_from(value.as_ref())
            .map(u64::from_le_bytes)
            .map_err(|error| damaged(0, &format!("the purged index: {error}"))),
    }
}

fn damaged(index: u64, finding: &str) -> Error {
    Error::Corrupt {
        location: format!("local record {index} of the wal"),
        finding: finding.to_owned(),
    }
}
