//! A group's log on the shard's write-ahead log.
//!
//! - **Durable**: a vote is on disk before `save_vote` returns; an entry's completion fires from the WAL's flush, never
//!   before it. The WAL writes one group's records in the order they were given, so a vote can't overtake entries (H2).
//! - **No holes**: an append that doesn't continue the log is refused (H3), as is a read that finds one.
//! - **Committed** rides with the next append: it is not worth a write of its own, and never durable before the entries it
//!   covers.
//! - **Damage** found by a read becomes an [`io::Error`]; openraft then stops this group, and no other.

use std::{
    cell::RefCell,
    fmt::{self, Debug},
    io,
    ops::{Bound, Range, RangeBounds},
    rc::Rc,
};

use anode_disk::{
    device::Directory,
    error::Error,
    wal::{self, GroupId, Slot, Wal},
};
use futures::{Stream, stream};
use openraft::{
    OptionalSend, RaftLogReader,
    storage::{IOFlushed, LogState, RaftLogStorage},
};
use tokio::sync::Notify;

use super::{
    codec::{self, CodecError},
    types::{Entry, LogId, Types, Vote},
};

/// At most this many bytes of entries are read at a time while they are applied or sent.
const READ_BYTES_MAX: usize = 1 << 20;

/// The log of one group. A clone is the same log.
pub struct LogStore<D: Directory>(Rc<Inner<D>>);

struct Inner<D: Directory> {
    group: GroupId,
    wal: Wal<D>,
    /// Whoever bounds the WAL.
    appended: RefCell<Option<Rc<Notify>>>,
}

impl<D: Directory> LogStore<D> {
    /// The log of `group` in `wal`.
    pub fn new(group: GroupId, wal: Wal<D>) -> Self {
        Self(Rc::new(Inner { group, wal, appended: RefCell::new(None) }))
    }

    /// Tells `notify` of every append from now on.
    pub fn notify_of_appends(&self, notify: Rc<Notify>) {
        drop(self.0.appended.replace(Some(notify)));
    }

    /// Whether this log has never held anything.
    pub fn is_pristine(&self) -> bool {
        let Inner { group, wal, .. } = &*self.0;
        wal.range(*group).is_none()
            && wal.slot(*group, Slot::Vote).is_none()
            && wal.slot(*group, Slot::Purged).is_none()
    }

    /// The last entry purged.
    pub fn purged(&self) -> io::Result<Option<LogId>> {
        self.log_id(Slot::Purged)
    }

    /// Index of the last entry, purged or not.
    pub fn last_index(&self) -> io::Result<Option<u64>> {
        if let Some((_, last)) = self.0.wal.range(self.0.group) {
            return Ok(Some(last));
        }
        Ok(self.purged()?.map(|purged| purged.index()))
    }

    fn log_id(&self, slot: Slot) -> io::Result<Option<LogId>> {
        match self.0.wal.slot(self.0.group, slot) {
            Some(bytes) => codec::decode_log_id(&bytes).map(Some).map_err(unreadable),
            None => Ok(None),
        }
    }

    /// Reads from the start of `range`: at least one entry if it has any, at most about `bytes_max`.
    async fn read_some(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let Inner { group, wal, .. } = &*self.0;
        let expected = range.start;
        let records = wal.read(*group, range, bytes_max).await.map_err(refused)?;
        let mut entries = Vec::with_capacity(records.len());
        for (record, index) in records.into_iter().zip(expected..) {
            if record.index != index {
                let finding = format!("group {group} has no entry {index} before {}", record.index);
                return Err(io::Error::new(io::ErrorKind::InvalidData, finding));
            }
            entries.push(codec::decode_entry(record).map_err(unreadable)?);
        }
        Ok(entries)
    }

    /// The part of `range` that the log holds.
    fn held(&self, range: &impl RangeBounds<u64>) -> Range<u64> {
        let Some((first, last)) = self.0.wal.range(self.0.group) else {
            return 0..0;
        };
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        start.max(first)..end.min(last + 1)
    }
}

impl<D: Directory> RaftLogReader<Types> for LogStore<D> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let mut range = self.held(&range);
        let mut entries = Vec::new();
        while range.start < range.end {
            let mut some = self.read_some(range.clone(), READ_BYTES_MAX).await?;
            range.start = match some.last() {
                Some(last) => last.log_id.index() + 1,
                None => return Err(hole(range.start)),
            };
            entries.append(&mut some);
        }
        Ok(entries)
    }

    async fn entries_stream<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend {
        let range = self.held(&range);
        let start = (self.clone(), range, Vec::new().into_iter());
        stream::try_unfold(start, |(log, mut range, mut read)| async move {
            loop {
                if let Some(entry) = read.next() {
                    return Ok(Some((entry, (log, range, read))));
                }
                if range.is_empty() {
                    return Ok(None);
                }
                let some = log.read_some(range.clone(), READ_BYTES_MAX).await?;
                range.start = match some.last() {
                    Some(last) => last.log_id.index() + 1,
                    None => return Err(hole(range.start)),
                };
                read = some.into_iter();
            }
        })
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read_some(self.held(&(start..end)), READ_BYTES_MAX).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        match self.0.wal.slot(self.0.group, Slot::Vote) {
            Some(bytes) => codec::decode_vote(&bytes).map(Some).map_err(unreadable),
            None => Ok(None),
        }
    }
}

impl<D: Directory> RaftLogStorage<Types> for LogStore<D> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let last_purged_log_id = self.purged()?;
        let last_log_id = match self.0.wal.range(self.0.group) {
            Some((_, last)) => {
                let group = self.0.group;
                let records = self.0.wal.read(group, last..last + 1, 1).await;
                let record = records.map_err(refused)?.pop();
                let record = record.ok_or_else(|| hole(last))?;
                Some(codec::decode_entry_log_id(&record).map_err(unreadable)?)
            }
            None => last_purged_log_id,
        };
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let Inner { group, wal, .. } = &*self.0;
        let value = codec::encode_vote(vote);
        wal::flushed(|done| wal.put(*group, Slot::Vote, value, done)).await.map_err(refused)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let Some(committed) = committed else {
            return Ok(());
        };
        let Inner { group, wal, .. } = &*self.0;
        wal.put_lazy(*group, Slot::Committed, codec::encode_log_id(&committed)).map_err(refused)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.log_id(Slot::Committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let Inner { group, wal, .. } = &*self.0;
        wal.room().await;
        let records: Vec<_> =
            entries.into_iter().map(|entry| codec::encode_entry(&entry)).collect();
        let mut next = self.last_index()?.map(|last| last + 1);
        for record in &records {
            if next.is_some_and(|next| next != record.index) {
                let finding = format!(
                    "group {group}: entry {} doesn't continue the log, whose next is {next:?}",
                    record.index
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, finding));
            }
            next = Some(record.index + 1);
        }
        let done = move |result: Result<(), Error>| callback.io_completed(result.map_err(refused));
        wal.append(*group, records, Box::new(done));
        if let Some(appended) = &*self.0.appended.borrow() {
            appended.notify_one();
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let Inner { group, wal, .. } = &*self.0;
        let from = last_log_id.map_or(0, |last| last.index() + 1);
        wal::flushed(|done| wal.truncate(*group, from, done)).await.map_err(refused)
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let Inner { group, wal, .. } = &*self.0;
        let state = codec::encode_log_id(&log_id);
        wal::flushed(|done| wal.purge(*group, log_id.index(), state, done)).await.map_err(refused)
    }
}

impl<D: Directory> Clone for LogStore<D> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<D: Directory> Debug for LogStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogStore({})", self.0.group)
    }
}

/// What openraft is told when storage refuses: every kind stops the group, and the message says which it was.
pub(crate) fn refused(error: Error) -> io::Error {
    let kind = match &error {
        Error::Corrupt { .. } | Error::Version { .. } => io::ErrorKind::InvalidData,
        Error::NoSpace { .. } | Error::ClassFull { .. } => io::ErrorKind::StorageFull,
        Error::Absent { .. } => io::ErrorKind::NotFound,
        Error::Device { .. }
        | Error::ClassFailed { .. }
        | Error::Exists { .. }
        | Error::Limit { .. }
        | Error::Stopped => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// What openraft is told when verified bytes make no sense.
pub(crate) fn unreadable(error: CodecError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn hole(index: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the log has no entry {index}, but later ones"),
    )
}
