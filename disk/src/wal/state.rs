//! Everything the WAL knows, changed without waiting: what was asked for goes into the submitted view and the queue
//! at once; `batch` turns the queue into batches.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    GroupId, Record, Recovery, Slot, WalFigures, WalOptions,
    cache::Cache,
    format::{Item, Kind},
    log::Log,
    options::SLOT_BYTES_MAX,
    queue::Queue,
    segments::Segments,
};
use crate::{device::Device, error::Error};

/// How far the WAL is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Takes records.
    Open,
    /// Takes no more records; what is queued is still written.
    Stopping,
    /// Everything is written.
    Stopped,
    /// A write failed.
    Failed(Error),
}

/// The whole state of a WAL over files `F`.
pub(super) struct State<F> {
    pub(super) options: WalOptions,
    pub(super) phase: Phase,
    pub(super) logs: BTreeMap<GroupId, Log>,
    pub(super) queue: Queue,
    pub(super) cache: Cache,
    pub(super) segments: Segments<F>,
    pub(super) counts: Counts,
    /// Sequence of the last batch that is durable.
    pub(super) durable: u64,
    /// Whether the last batch says that all records are durable: it holds none itself.
    pub(super) marked: bool,
    recovery: Recovery,
}

/// What was done since the WAL was opened.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) batches: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) reads: u64,
}

/// What recovery found.
pub(super) struct Recovered<F> {
    pub(super) logs: BTreeMap<GroupId, Log>,
    pub(super) segments: Segments<F>,
    /// Sequence of the last batch.
    pub(super) sequence: u64,
    pub(super) facts: Recovery,
}

impl<F: Device> State<F> {
    /// The state of a WAL that was just recovered.
    pub(super) fn new(options: WalOptions, recovered: Recovered<F>) -> Self {
        Self {
            options,
            phase: Phase::Open,
            logs: recovered.logs,
            queue: Queue::default(),
            cache: Cache::default(),
            segments: recovered.segments,
            counts: Counts::default(),
            durable: recovered.sequence,
            marked: true,
            recovery: recovered.facts,
        }
    }

    /// Adds records to a group, or none of them.
    pub(super) fn append(&mut self, group: GroupId, records: Vec<Record>) -> Result<(), Error> {
        self.check_open()?;
        let limit = self.options.record_bytes_max();
        for record in &records {
            check("a record in bytes", record.head.len().saturating_add(record.body.len()), limit)?;
        }
        let log = self.logs.entry(group).or_default();
        for record in records {
            let Record { index, head, body } = record.clone();
            let stamp = self.queue.push(Item { kind: Kind::Entry, group, index, head, body });
            self.cache.added(group, log.append(record, stamp));
        }
        Ok(())
    }

    /// Drops a group's records of `from` and above.
    pub(super) fn truncate(&mut self, group: GroupId, from: u64) -> Result<(), Error> {
        self.check_open()?;
        let log = self.logs.entry(group).or_default();
        log.truncate(from, |recent| self.cache.dropped(recent));
        self.queue.push(item(Kind::Truncate, group, from, Bytes::new()));
        Ok(())
    }

    /// Drops a group's records up to `upto`.
    pub(super) fn purge(&mut self, group: GroupId, upto: u64, value: Bytes) -> Result<(), Error> {
        self.check_open()?;
        check("a slot's value in bytes", value.len(), SLOT_BYTES_MAX)?;
        let log = self.logs.entry(group).or_default();
        log.purge(upto, |recent| self.cache.dropped(recent));
        log.put(Slot::Purged, value.clone());
        self.queue.push(item(Kind::Purge, group, upto, value));
        Ok(())
    }

    /// Sets a slot; the next batch has it.
    pub(super) fn put(&mut self, group: GroupId, slot: Slot, value: Bytes) -> Result<(), Error> {
        let item = self.put_item(group, slot, value)?;
        self.queue.push(item);
        Ok(())
    }

    /// Sets a slot; a batch that is written anyway has it.
    pub(super) fn put_lazy(
        &mut self,
        group: GroupId,
        slot: Slot,
        value: Bytes,
    ) -> Result<(), Error> {
        let item = self.put_item(group, slot, value)?;
        self.queue.push_lazy(slot, item);
        Ok(())
    }

    /// Forgets a group.
    pub(super) fn remove(&mut self, group: GroupId) -> Result<(), Error> {
        self.check_open()?;
        if let Some(log) = self.logs.get_mut(&group) {
            log.clear(|recent| self.cache.dropped(recent));
            self.queue.push(item(Kind::Remove, group, 0, Bytes::new()));
        }
        Ok(())
    }

    /// What the WAL holds and has done.
    pub(super) fn figures(&self) -> WalFigures {
        let (segment_count, bytes_held) = self.segments.held();
        WalFigures {
            bytes_held,
            segment_count,
            spare_count: self.segments.spare_count(),
            batches_written: self.counts.batches,
            records_written: self.counts.records,
            bytes_written: self.counts.bytes,
            reads: self.counts.reads,
            queue_bytes: self.queue.bytes(),
            cache_bytes: self.cache.bytes(),
            recovery: self.recovery.clone(),
        }
    }

    fn put_item(&mut self, group: GroupId, slot: Slot, value: Bytes) -> Result<Item, Error> {
        self.check_open()?;
        check("a slot's value in bytes", value.len(), SLOT_BYTES_MAX)?;
        self.logs.entry(group).or_default().put(slot, value.clone());
        let kind = match slot {
            Slot::Vote => Kind::Vote,
            Slot::Committed => Kind::Committed,
            Slot::Purged => Kind::Purged,
        };
        Ok(item(kind, group, 0, value))
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.phase == Phase::Open { Ok(()) } else { Err(Error::Stopped) }
    }
}

fn item(kind: Kind, group: GroupId, index: u64, head: Bytes) -> Item {
    Item { kind, group, index, head, body: Bytes::new() }
}

fn check(what: &'static str, found: usize, limit: usize) -> Result<(), Error> {
    if found <= limit {
        return Ok(());
    }
    Err(Error::Limit { what, found: found as u64, limit: limit as u64 })
}
