//! The write-ahead log of a shard: one physical log in a directory of its own, shared by all groups.
//!
//! Records that arrive while a write is in flight go out together in the next *batch* (group commit): one write in
//! flight, one copy of each record into the write buffer, one checksum over each byte. A completion is called once
//! its records are durable. Segment files are filled with zeros before use, written with `O_DSYNC` and used again.
//!
//! Recovery (`recover`): each batch has a sequence and says which sequence was durable before it. The log ends at the
//! first batch that isn't valid. If anything later shows that what is missing there was durable, that is damage: it is
//! reported with file and offset and nothing is dropped. Otherwise it is a torn tail, which nobody was told of. What
//! cannot be told apart is damage to the very last batch: so a stop ends the log with an empty batch.
//! Writing goes on in another segment: the remains of a torn batch can't be mistaken for later ones.
//!
//! What is needed: entries until they are truncated or purged, and each slot's last value. The oldest segments are given
//! up in order as soon as no entry in them is needed; slot values move to the newest. So one group that never purges
//! holds all segments behind it: the owner watches [`Wal::bytes_held`].

mod batch;
mod cache;
mod commit;
mod format;
mod log;
mod options;
mod prepare;
mod queue;
mod read;
mod recover;
mod salvage;
mod segments;
mod state;
#[cfg(test)]
mod tests;
mod verify;
mod walk;

use std::{cell::RefCell, fmt, ops::Range, rc::Rc};

use bytes::Bytes;
use futures::channel::oneshot;

pub use self::options::{RECORD_BYTES_MAX, SLOT_BYTES_MAX, WalOptions};
pub use self::salvage::{Kept, Lost, Salvage};
use self::state::{Phase, State};
pub(crate) use self::verify::WalCursor;
use crate::{
    device::Directory,
    error::Error,
    planted::{self, Bug},
    reserve::Reserve,
    signal::Signal,
};

/// Names a group; each has its own records and slots.
pub type GroupId = u32;

/// The shard's own log, of no Raft group.
pub const LOCAL: GroupId = u32::MAX;

/// Called once, after the flush or with why there was none. It may call the WAL, but must not block.
pub type Completion = Box<dyn FnOnce(Result<(), Error>)>;

/// One entry of a group's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// One above the index before it, below 2^64 - 1.
    pub index: u64,
    /// The first part of its bytes.
    pub head: Bytes,
    /// The second part: kept apart so that the owner needn't copy it behind the head.
    pub body: Bytes,
}

/// A small state of a group of which the last value counts. Carried forward when its segment is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// Raft's vote.
    Vote = 0,
    /// How far the group's log is known to be committed.
    Committed = 1,
    /// What the last purge left: an encoded log id.
    Purged = 2,
}

/// What a WAL holds, what it has done since it was opened and what recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WalFigures {
    /// Bytes of the segment files in use.
    pub bytes_held: u64,
    /// Segment files in use.
    pub segment_count: usize,
    /// Files that wait to be used again, with the one that is ready to be next.
    pub spare_count: usize,
    /// Batches written; each was one write.
    pub batches_written: u64,
    /// Records in them.
    pub records_written: u64,
    /// Bytes of them on disk.
    pub bytes_written: u64,
    /// Reads from disk since recovery.
    pub reads: u64,
    /// Bytes of records that wait for a batch.
    pub queue_bytes: usize,
    /// Bytes of recent records in memory.
    pub cache_bytes: usize,
    /// What recovery found.
    pub recovery: Recovery,
}

/// What was found when the WAL was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments with batches that are needed.
    pub segment_count: usize,
    /// Valid batches in them.
    pub batch_count: u64,
    /// Records in those.
    pub record_count: u64,
    /// Where a batch that was not durable at the end was dropped: file and offset.
    pub torn_tail: Option<String>,
}

/// A shard's write-ahead log. Clones are the same log.
pub struct Wal<D: Directory>(Rc<Shared<D>>);

struct Shared<D: Directory> {
    directory: D,
    reserve: Option<Reserve<D>>,
    segment_bytes: u64,
    state: RefCell<State<D::Device>>,
    /// For the committer: records, a prepared segment, a failure.
    work: Signal,
    /// For the preparer: a segment was taken, given up or is wanted.
    upkeep: Signal,
    /// For those who wait until the queue is shorter.
    space: Signal,
}

/// Waits for what `submit` asks of the WAL to be durable.
pub async fn flushed(submit: impl FnOnce(Completion)) -> Result<(), Error> {
    let (sender, receiver) = oneshot::channel();
    submit(Box::new(move |result| {
        // An error here: nobody waits any more.
        drop(sender.send(result));
    }));
    receiver.await.unwrap_or(Err(Error::Stopped))
}

impl<D: Directory> Wal<D> {
    /// Opens the log in `directory`, which holds nothing else, and recovers what it has. A torn tail is dropped;
    /// damage is [`Error::Corrupt`] with file and offset, and changes nothing on disk.
    pub async fn open(directory: D, options: WalOptions) -> Result<Self, Error> {
        Self::open_with(directory, options, None).await
    }

    /// As [`Self::open`]; where there is no space for a segment, it takes the reserve.
    pub(crate) async fn open_with(
        directory: D,
        options: WalOptions,
        reserve: Option<Reserve<D>>,
    ) -> Result<Self, Error> {
        options.check()?;
        let recovered = recover::recover(&directory, &options).await?;
        Ok(Self(Rc::new(Shared {
            directory,
            reserve,
            segment_bytes: options.segment_bytes,
            state: RefCell::new(State::new(options, recovered)),
            work: Signal::default(),
            upkeep: Signal::default(),
            space: Signal::default(),
        })))
    }

    /// Writes what is submitted. The caller runs this beside everything else, to its end; nothing becomes durable
    /// without. `Ok` after [`Self::stop`]; else the first failure, which every completion still open gets too, and
    /// [`Error::Stopped`] is the answer to all later calls.
    pub async fn run(&self) -> Result<(), Error> {
        let (committed, prepared) = futures::future::join(self.commit(), self.prepare()).await;
        committed.and(prepared)
    }

    /// Takes no more records; [`Self::run`] writes those that wait, then ends. Reading goes on.
    pub fn stop(&self) {
        let mut state = self.0.state.borrow_mut();
        if state.phase == Phase::Open {
            state.phase = Phase::Stopping;
        }
        drop(state);
        self.wake_all();
    }

    /// Adds records behind the group's last one; an empty group goes on anywhere. They can be read at once.
    /// A record above [`RECORD_BYTES_MAX`] (or half a segment) is [`Error::Limit`], and none is added.
    ///
    /// # Panics
    /// If the records leave a hole: the owner's log is broken.
    pub fn append(&self, group: GroupId, records: Vec<Record>, done: Completion) {
        self.submit(done, |state| state.append(group, records));
    }

    /// As [`Self::append`], without a write for their sake: they go with the batch of what is submitted next, or before
    /// it, or with the last one at a stop. Nobody is told: a failure of theirs is the failure of all that comes later.
    ///
    /// # Panics
    /// If the records leave a hole: the owner's log is broken.
    pub fn append_lazy(&self, group: GroupId, records: Vec<Record>) -> Result<(), Error> {
        let mut state = self.0.state.borrow_mut();
        state.append(group, records)?;
        let asks = state.queue.asks(state.options.batch_bytes_max());
        drop(state);
        if asks {
            self.0.work.notify();
        }
        Ok(())
    }

    /// Drops the group's records of `from_index` and above.
    pub fn truncate(&self, group: GroupId, from_index: u64, done: Completion) {
        self.submit(done, |state| state.truncate(group, from_index));
    }

    /// Drops the group's records up to `upto_index`; `value` becomes its [`Slot::Purged`].
    pub fn purge(&self, group: GroupId, upto_index: u64, value: Bytes, done: Completion) {
        self.submit(done, |state| state.purge(group, upto_index, value));
    }

    /// Sets a slot. A value above [`SLOT_BYTES_MAX`] is [`Error::Limit`].
    pub fn put(&self, group: GroupId, slot: Slot, value: Bytes, done: Completion) {
        if planted::is(Bug::VoteNotFlushed) && slot == Slot::Vote {
            return done(self.put_lazy(group, slot, value));
        }
        self.submit(done, |state| state.put(group, slot, value));
    }

    /// Sets a slot without a write for its sake: it goes with a later batch, or with the last one at a stop, and never
    /// becomes durable before what was submitted earlier. A crash may leave an older value.
    pub fn put_lazy(&self, group: GroupId, slot: Slot, value: Bytes) -> Result<(), Error> {
        self.0.state.borrow_mut().put_lazy(group, slot, value)
    }

    /// Forgets a group: its records and its slots.
    pub fn remove_group(&self, group: GroupId, done: Completion) {
        self.submit(done, |state| state.remove(group));
    }

    /// The value of a slot as last submitted.
    pub fn slot(&self, group: GroupId, slot: Slot) -> Option<Bytes> {
        self.0.state.borrow().logs.get(&group)?.slot(slot)
    }

    /// First and last index submitted and not dropped.
    pub fn range(&self, group: GroupId) -> Option<(u64, u64)> {
        self.0.state.borrow().logs.get(&group)?.range()
    }

    /// The groups that have records or slots, in order.
    pub fn groups(&self) -> Vec<GroupId> {
        self.0.state.borrow().logs.keys().copied().collect()
    }

    /// The records of `range` that the group has, from the first on, as many as fit into `bytes_max` bytes of heads and
    /// bodies, but at least one. From memory or from disk, verified: else [`Error::Corrupt`]. What comes from disk
    /// shares the memory of one read of up to 256 KiB.
    pub async fn read(
        &self,
        group: GroupId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Record>, Error> {
        self.read_records(group, range, bytes_max).await
    }

    /// Whether the segment after the one being filled could not be made.
    pub fn is_short(&self) -> bool {
        self.0.state.borrow().segments.is_short()
    }

    /// What the WAL holds and has done.
    pub fn figures(&self) -> WalFigures {
        self.0.state.borrow().figures()
    }

    /// Bytes of the segment files in use. When this gets high, something must be purged.
    pub fn bytes_held(&self) -> u64 {
        self.0.state.borrow().segments.held().1
    }

    /// Waits while more bytes wait to be written than the options allow; returns at once when the WAL has stopped.
    pub async fn room(&self) {
        self.0
            .space
            .until(|| {
                let state = self.0.state.borrow();
                let over = state.queue.bytes() > state.options.queue_bytes_max;
                let ended = matches!(state.phase, Phase::Stopped | Phase::Failed(_));
                (ended || !over).then_some(())
            })
            .await;
    }

    fn submit(
        &self,
        done: Completion,
        submit: impl FnOnce(&mut State<D::Device>) -> Result<(), Error>,
    ) {
        let mut state = self.0.state.borrow_mut();
        if let Err(error) = submit(&mut state) {
            drop(state);
            return done(Err(error));
        }
        state.queue.push_completion(done);
        drop(state);
        self.0.work.notify();
    }

    fn wake_all(&self) {
        self.0.work.notify();
        self.0.upkeep.notify();
        self.0.space.notify();
    }
}

impl<D: Directory> Clone for Wal<D> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<D: Directory> fmt::Debug for Wal<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wal").field("directory", &self.0.directory.path()).finish_non_exhaustive()
    }
}
