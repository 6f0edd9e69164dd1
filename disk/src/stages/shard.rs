//! A shard in small: it uses the engine as `shards` does, and tells the model everything it asks for.
//!
//! A change is an entry of the WAL; when that is durable it is applied to the index together with its position. A
//! chunk is appended and flushed before the entry that names it. After a flush of the index the WAL is purged up to
//! the position that the flushed state has. Opening replays the entries above the state's position.

use std::{cell::Cell, cell::RefCell, rc::Rc};

use bytes::Bytes;

use super::{
    model::{Change, Held, Model, State},
    violation,
};
use crate::{
    device::Directory,
    error::Error,
    index::{Batch, Entry, Index, IndexOptions, Payload, ScanLimit},
    planted::{self, Bug},
    segment::{Class, Extent, Places, SegmentOptions},
    testing::{Random, SimDirectory, SimDisk},
    wal::{Completion, GroupId, Record, Slot, Wal, WalOptions, flushed},
};

/// The group whose entries are applied to the index.
const DATA: GroupId = 1;
/// A group whose log and vote are all there is of it.
const RAFT: GroupId = 2;

/// Where the state says how far it is.
const APPLIED: &[u8] = b"applied";
const KEY_PREFIX: &[u8] = b"key/";

/// What can be asked of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Sets a key, its body in the log entry.
    Put {
        key: u8,
        body_bytes: u64,
    },
    /// Sets a key, its body in a data segment before the log entry.
    Chunk {
        key: u8,
        body_bytes: u64,
    },
    /// As a chunk, in a segment of another class.
    Apart {
        key: u8,
        body_bytes: u64,
    },
    Delete {
        key: u8,
    },
    /// Removes a range of keys.
    Clear {
        from: u8,
        to: u8,
    },
    Vote,
    /// Appends two entries to the Raft log, takes the second back and writes another one there.
    Rewrite,
    /// Flushes the index, then purges the WAL.
    Flush,
    /// Lets the upkeep run.
    Idle,
    /// A clean stop and a start: ends a life.
    Restart,
}

/// The engine, open.
pub(super) struct Shard {
    pub(super) wal: Wal<SimDirectory>,
    pub(super) index: Index<SimDirectory>,
    model: Rc<RefCell<Model>>,
    /// Of the next entry.
    next: Cell<u64>,
}

fn wal_options() -> WalOptions {
    WalOptions {
        segment_bytes: 16 << 10,
        batch_bytes_max: 8 << 10,
        cache_bytes_max: 2 << 10,
        queue_bytes_max: 1 << 20,
        identity: 7,
    }
}

fn index_options() -> IndexOptions {
    IndexOptions {
        memtable_bytes_max: 256 << 10,
        block_cache_bytes_max: 16 << 10,
        chunk_cache_bytes_max: 0,
        block_bytes: 512,
        table_bytes_max: 2 << 10,
        inline_keep_bytes: 256,
        level_zero_tables: 2,
        level_zero_tables_max: 3,
        level_one_bytes: 8 << 10,
        level_ratio: 2,
        manifest_bytes: 16 << 10,
        reclaim_percent: 50,
    }
}

fn segment_options() -> SegmentOptions {
    SegmentOptions { segment_bytes: 32 << 10, write_bytes_max: 16 << 10, open_count_max: 2 }
}

impl Shard {
    /// Opens what is there, replays the log and settles the model with what was found.
    pub(super) async fn open(
        directory: SimDirectory,
        model: Rc<RefCell<Model>>,
    ) -> Result<Self, Error> {
        let wal = Wal::open(directory.directory("wal").await?, wal_options()).await?;
        let tables = directory.directory("tables").await?;
        let places = Places {
            own: directory.directory("segments").await?,
            classes: vec![(apart(), directory.directory("apart").await?)],
        };
        let index = Index::open(tables, places, index_options(), segment_options()).await?;
        let shard = Self { wal, index, model, next: Cell::new(1) };
        shard.replay().await?;
        shard.index.segments().sweep().await?;
        let found = shard.observe().await?;
        shard.model.borrow_mut().settle(&found);
        Ok(shard)
    }

    pub(super) fn stop(&self) {
        self.wal.stop();
        self.index.stop();
    }

    /// Performs one operation to its end. A full disk refuses and changes nothing, and so does a class that has failed.
    pub(super) async fn perform(&self, operation: Operation) -> Result<(), Error> {
        let done = match operation {
            Operation::Put { key, body_bytes } => self.put(key, body_bytes).await,
            Operation::Chunk { key, body_bytes } => self.chunk(key, body_bytes, Class::OWN).await,
            Operation::Apart { key, body_bytes } => self.chunk(key, body_bytes, apart()).await,
            Operation::Delete { key } => self.propose(Change::Delete(key), None).await,
            Operation::Clear { from, to } => self.propose(Change::Clear(from, to), None).await,
            Operation::Vote => self.vote().await,
            Operation::Rewrite => self.rewrite().await,
            Operation::Flush => self.flush().await,
            Operation::Idle => {
                for _ in 0..40 {
                    turn().await;
                }
                Ok(())
            }
            Operation::Restart => unreachable!("it ends a life"),
        };
        match done {
            Err(Error::NoSpace { .. } | Error::ClassFull { .. } | Error::ClassFailed { .. }) => {
                Ok(())
            }
            other => other,
        }
    }

    /// Engine and model hold the same.
    pub(super) async fn compare(&self) -> Result<(), Error> {
        let found = self.observe().await?;
        let model = self.model.borrow();
        if found != *model.now() {
            violation(&format!("the engine has {found:?}, the model {:?}", model.now()));
        }
        Ok(())
    }

    /// Nothing is left over. The shard is open, flushed, and nothing is under way.
    pub(super) fn assert_tidy(&self, disk: &SimDisk) {
        let pinned_bytes = self.index.segments().figures().pinned_bytes;
        if pinned_bytes != 0 {
            violation(&format!("{pinned_bytes} bytes are pinned by nobody"));
        }
        let files = disk.files();
        let tables = files.iter().filter(|(path, _)| path.contains("/table-")).count();
        let known: usize = self.index.figures().level_tables.iter().sum();
        if tables != known {
            violation(&format!("{tables} files of tables for {known} tables"));
        }
        if self.wal.range(DATA).is_some() {
            violation("records are left behind the flushed state");
        }
    }

    async fn put(&self, key: u8, body_bytes: u64) -> Result<(), Error> {
        let nonce = self.model.borrow_mut().fresh();
        self.propose(Change::Put(key, Held { nonce, body_bytes }), None).await
    }

    async fn chunk(&self, key: u8, body_bytes: u64, class: Class) -> Result<(), Error> {
        let nonce = self.model.borrow_mut().fresh();
        let items = vec![(key_of(key), body_of(nonce, body_bytes))];
        let extent = self.index.segments().append_to(class, items).await?[0];
        let synced = self.index.segments().sync_class(class).await;
        if synced.is_err() {
            self.index.segments().unpin(extent);
        }
        synced?;
        self.propose(Change::Put(key, Held { nonce, body_bytes }), Some(extent)).await?;
        // Acknowledged, so it is remembered, and its place never belongs to anything else.
        if !self.model.borrow_mut().occupy(extent.segment, extent.offset) {
            violation(&format!("{extent:?} was somebody's place before"));
        }
        Ok(())
    }

    /// Logs a change and applies it once it is durable.
    async fn propose(&self, change: Change, extent: Option<Extent>) -> Result<(), Error> {
        let index = self.next.replace(self.next.get() + 1);
        let record = encode(index, change, extent);
        let target = self.index.clone();
        let applied = record.clone();
        self.ask(change, |done| {
            let done = Box::new(move |result: Result<(), Error>| {
                if result.is_ok() {
                    apply(&target, &applied);
                }
                done(result);
            });
            self.wal.append(DATA, vec![record], done);
        })
        .await
    }

    async fn vote(&self) -> Result<(), Error> {
        let vote = self.model.borrow_mut().fresh();
        let value = Bytes::copy_from_slice(&vote.to_le_bytes());
        self.ask(Change::Vote(vote), |done| self.wal.put(RAFT, Slot::Vote, value, done)).await
    }

    async fn rewrite(&self) -> Result<(), Error> {
        let (last, old, new) = {
            let mut model = self.model.borrow_mut();
            let last = model.now().log.keys().next_back().copied().unwrap_or(0);
            (last, model.fresh(), model.fresh())
        };
        let append = |index, term| {
            self.ask(Change::Append(index, term), move |done| {
                self.wal.append(RAFT, vec![raft_record(index, term)], done);
            })
        };
        // All in the queue at once, as they come from a new leader.
        let truncate =
            self.ask(Change::Truncate(last + 2), |done| self.wal.truncate(RAFT, last + 2, done));
        let (first, second, back, third) = futures::join!(
            append(last + 1, old),
            append(last + 2, old),
            truncate,
            append(last + 2, new)
        );
        first.and(second).and(back).and(third)
    }

    async fn flush(&self) -> Result<(), Error> {
        let view = self.index.flush().await?;
        let applied = view.get(APPLIED).await?.map_or(0, |entry| number(&entry.value));
        drop(view);
        let applied =
            if planted::is(Bug::PurgePastState) { self.applied().await? } else { applied };
        if applied == 0 {
            return Ok(());
        }
        let value = Bytes::copy_from_slice(&applied.to_le_bytes());
        flushed(|done| self.wal.purge(DATA, applied, value, done)).await
    }

    /// Gives a change to the engine by `submit`, tells the model at the same moment, and waits until it is durable.
    async fn ask(&self, change: Change, submit: impl FnOnce(Completion)) -> Result<(), Error> {
        let model = Rc::clone(&self.model);
        flushed(|done| {
            let asked = model.borrow_mut().ask(change);
            submit(Box::new(move |result: Result<(), Error>| {
                if result.is_ok() {
                    model.borrow_mut().acknowledge(asked);
                }
                done(result);
            }));
        })
        .await
    }

    /// How far the state in memory is.
    async fn applied(&self) -> Result<u64, Error> {
        Ok(self.index.get(APPLIED).await?.map_or(0, |entry| number(&entry.value)))
    }

    /// The extents that the state refers to.
    pub(super) async fn extents(&self) -> Result<Vec<Extent>, Error> {
        let range = Bytes::new()..Bytes::from_static(&[0xff]);
        let limit = ScanLimit { entries: 1000, bytes: 1 << 20 };
        let page = self.index.scan(range, limit).await?;
        let extent = |(_, entry): &(Bytes, Entry)| match entry.payload {
            Payload::Extent(extent) => Some(extent),
            Payload::None | Payload::Inline(_) => None,
        };
        Ok(page.entries.iter().filter_map(extent).collect())
    }

    async fn replay(&self) -> Result<(), Error> {
        let applied = self.applied().await?;
        let purged = self.wal.slot(DATA, Slot::Purged).map_or(0, |value| number(&value));
        let (first, last) = self.wal.range(DATA).unwrap_or((purged + 1, purged));
        if first > applied + 1 {
            violation(&format!("the log begins at {first} and the state ends at {applied}"));
        }
        if applied > last {
            violation(&format!("the state is at {applied}, ahead of the log at {last}"));
        }
        self.next.set(last + 1);
        let mut next = applied + 1;
        while next <= last {
            for record in self.wal.read(DATA, next..last + 1, 4096).await? {
                if let (_, Some(extent)) = decode(&record) {
                    // Where a later entry let go of it, its segment may be gone; what is still held is read below.
                    let _found: bool = self.index.segments().pin(extent);
                }
                apply(&self.index, &record);
                next = record.index + 1;
            }
        }
        Ok(())
    }

    /// Everything that is there, bodies included.
    async fn observe(&self) -> Result<State, Error> {
        let mut state = State::default();
        let mut range = Bytes::from_static(KEY_PREFIX)..Bytes::from_static(b"key0");
        loop {
            let limit = ScanLimit { entries: 7, bytes: 1 << 20 };
            let page = self.index.scan(range.clone(), limit).await?;
            for (key, entry) in page.entries {
                let held = self.check(&key, &entry).await?;
                state.held.insert(key[KEY_PREFIX.len()], held);
            }
            match page.next {
                Some(next) => range.start = next,
                None => break,
            }
        }
        if let Some(vote) = self.wal.slot(RAFT, Slot::Vote) {
            state.vote = number(&vote);
        }
        let mut next = 0;
        while let Some((_, last)) = self.wal.range(RAFT)
            && next <= last
        {
            for record in self.wal.read(RAFT, next..last + 1, 100).await? {
                next = record.index + 1;
                state.log.insert(record.index, number(&record.head));
            }
        }
        Ok(state)
    }

    /// What the entry says, once it was found to be what was stored: by a scan, by its key, with its body.
    async fn check(&self, key: &Bytes, entry: &Entry) -> Result<Held, Error> {
        if self.index.get(key).await?.as_ref().map(|found| &found.value) != Some(&entry.value) {
            violation(&format!("a scan and a look-up of {key:?} disagree"));
        }
        let held = Held { nonce: number(&entry.value), body_bytes: entry.payload.length() };
        let length = u32::try_from(held.body_bytes).expect("bodies are small");
        let body = self.index.payload(key, entry, 0..length).await?;
        if body != body_of(held.nonce, held.body_bytes) || entry.value != value_of(held.nonce) {
            violation(&format!("wrong bytes at {key:?}"));
        }
        Ok(held)
    }
}

/// The class that lies apart.
pub(super) fn apart() -> Class {
    Class::new(3).expect("there are eight")
}

/// Lets every other task run once.
async fn turn() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Applies a durable entry: its effect and its position become visible together.
fn apply(index: &Index<SimDirectory>, record: &Record) {
    let mut batch = Batch::default();
    match decode(record) {
        (Change::Put(key, held), extent) => {
            let payload = match extent {
                Some(extent) => Payload::Extent(extent),
                None if held.body_bytes == 0 => Payload::None,
                None => Payload::Inline(record.body.clone()),
            };
            batch.put(key_of(key), Entry { value: value_of(held.nonce), payload });
        }
        (Change::Delete(key), _) => batch.delete(key_of(key)),
        (Change::Clear(from, to), _) => index.remove_range(&(key_of(from)..key_of(to))),
        (Change::Vote(_) | Change::Append(..) | Change::Truncate(_), _) => {
            unreachable!("no entry of the data group")
        }
    }
    let value = Bytes::copy_from_slice(&record.index.to_le_bytes());
    batch.put(Bytes::from_static(APPLIED), Entry { value, payload: Payload::None });
    index.write(batch);
}

/// Kind, key, nonce, body length and extent.
fn encode(index: u64, change: Change, extent: Option<Extent>) -> Record {
    let (kind, key, held) = match change {
        Change::Put(key, held) => (1 + u8::from(extent.is_some()), key, held),
        Change::Delete(key) => (0, key, Held { nonce: 0, body_bytes: 0 }),
        Change::Clear(from, to) => (3, from, Held { nonce: to.into(), body_bytes: 0 }),
        Change::Vote(_) | Change::Append(..) | Change::Truncate(_) => {
            unreachable!("no entry of the data group")
        }
    };
    let mut head = vec![kind, key];
    head.extend_from_slice(&held.nonce.to_le_bytes());
    head.extend_from_slice(&held.body_bytes.to_le_bytes());
    head.extend(extent.iter().flat_map(|extent| extent.encode()));
    let inline = kind == 1;
    let body = if inline { body_of(held.nonce, held.body_bytes) } else { Bytes::new() };
    Record { index, head: Bytes::from(head), body }
}

fn decode(record: &Record) -> (Change, Option<Extent>) {
    let (kind, key) = (record.head[0], record.head[1]);
    let held = Held { nonce: number(&record.head[2..]), body_bytes: number(&record.head[10..]) };
    match kind {
        0 => (Change::Delete(key), None),
        1 => (Change::Put(key, held), None),
        3 => (Change::Clear(key, u8::try_from(held.nonce).expect("it is a key")), None),
        _ => {
            let extent = record.head[18..].try_into().expect("an extent is behind the rest");
            (Change::Put(key, held), Some(Extent::decode(extent)))
        }
    }
}

fn raft_record(index: u64, term: u64) -> Record {
    Record { index, head: Bytes::copy_from_slice(&term.to_le_bytes()), body: Bytes::new() }
}

fn key_of(key: u8) -> Bytes {
    Bytes::from([KEY_PREFIX, &[key]].concat())
}

/// The nonce, and some bytes behind it so that tables have several blocks.
fn value_of(nonce: u64) -> Bytes {
    let more = usize::try_from(nonce % 60).expect("below 60");
    Bytes::from([nonce.to_le_bytes().to_vec(), vec![7; more]].concat())
}

fn body_of(nonce: u64, body_bytes: u64) -> Bytes {
    Bytes::from(Random::new(nonce).bytes(usize::try_from(body_bytes).expect("bodies are small")))
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(*bytes.first_chunk().expect("a number has 8 bytes"))
}
