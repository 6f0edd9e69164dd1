//! What waits for the next batch, in the order it was asked for.

use std::collections::{BTreeMap, VecDeque};

use super::{
    Completion, GroupId, Slot,
    format::{HEADER_BYTES, Item, Kind},
};
use crate::error::Error;

/// Records and completions that no batch has yet.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    lazy: BTreeMap<(GroupId, Slot), Item>,
    /// How many completions wait.
    completion_count: usize,
    bytes: usize,
    pushed: u64,
    taken: u64,
}

enum Waiting {
    Item(Item),
    /// To be called once everything before it is durable.
    Done(Completion),
}

/// What one batch holds; the committer uses the same one again and again.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    pub(super) completions: Vec<Completion>,
    /// Whether the batch holds everything that waited.
    pub(super) drains: bool,
}

impl Queue {
    /// Adds a record and gives its stamp. Where it is a slot's value it replaces one that waits for company.
    pub(super) fn push(&mut self, item: Item) -> u64 {
        if let Some(slot) = slot_of(item.kind) {
            self.lazy.remove(&(item.group, slot));
        }
        if item.kind == Kind::Remove {
            self.lazy.retain(|(group, _), _| *group != item.group);
        }
        self.bytes += item.bytes();
        self.waiting.push_back(Waiting::Item(item));
        self.pushed += 1;
        self.pushed
    }

    /// The stamp of the last record that is in a batch.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Adds a slot's value that goes with the next batch but asks for none.
    pub(super) fn push_lazy(&mut self, slot: Slot, item: Item) {
        self.lazy.insert((item.group, slot), item);
    }

    /// Adds a completion for all that was pushed before.
    pub(super) fn push_completion(&mut self, done: Completion) {
        self.waiting.push_back(Waiting::Done(done));
        self.completion_count += 1;
    }

    /// Bytes of the records that wait, without the lazy ones.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a slot's value waits for company.
    pub(super) fn has_lazy(&self) -> bool {
        !self.lazy.is_empty()
    }

    /// Whether nothing waits but lazy values.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether somebody waits for a batch, or records without a completion are enough for a batch of their own.
    pub(super) fn asks(&self, batch_bytes_max: usize) -> bool {
        self.completion_count > 0 || self.bytes >= batch_bytes_max
    }

    /// Bytes of header and records that [`Self::take`] would give; at least one record, else up to `bytes_max`.
    pub(super) fn plan(&self, bytes_max: usize) -> usize {
        let mut bytes = HEADER_BYTES;
        for waiting in &self.waiting {
            let Waiting::Item(item) = waiting else { continue };
            if bytes > HEADER_BYTES && bytes + item.bytes() > bytes_max {
                break;
            }
            bytes += item.bytes();
        }
        bytes
    }

    /// Takes the completions that have no record before them.
    pub(super) fn take_done(&mut self) -> Vec<Completion> {
        let mut done = Vec::new();
        loop {
            match self.waiting.pop_front() {
                Some(Waiting::Done(completion)) => {
                    self.completion_count -= 1;
                    done.push(completion);
                }
                Some(waiting @ Waiting::Item(_)) => {
                    self.waiting.push_front(waiting);
                    return done;
                }
                None => return done,
            }
        }
    }

    /// Moves the next records and the completions behind them into `batch`.
    pub(super) fn take(&mut self, bytes_max: usize, batch: &mut Batch) {
        let mut bytes = HEADER_BYTES;
        while let Some(waiting) = self.waiting.pop_front() {
            match waiting {
                Waiting::Item(item) if bytes > HEADER_BYTES && bytes + item.bytes() > bytes_max => {
                    self.waiting.push_front(Waiting::Item(item));
                    break;
                }
                Waiting::Item(item) => {
                    bytes += item.bytes();
                    self.bytes -= item.bytes();
                    self.taken += 1;
                    batch.items.push(item);
                }
                Waiting::Done(done) => {
                    self.completion_count -= 1;
                    batch.completions.push(done);
                }
            }
        }
        batch.drains = self.waiting.is_empty();
    }

    /// Moves the lazy values into a batch that holds everything else, as far as `room` bytes allow.
    ///
    /// Only such a batch: a lazy value must not overtake what was asked for before it.
    pub(super) fn take_lazy(&mut self, mut room: usize, batch: &mut Batch) {
        while batch.drains
            && let Some(entry) = self.lazy.first_entry()
            && entry.get().bytes() <= room
        {
            let item = entry.remove();
            room -= item.bytes();
            batch.items.push(item);
        }
    }

    /// Empties the queue: the completions are to be told of the failure.
    pub(super) fn abandon(&mut self) -> Vec<Completion> {
        self.lazy.clear();
        self.completion_count = 0;
        self.bytes = 0;
        self.waiting
            .drain(..)
            .filter_map(|waiting| match waiting {
                Waiting::Done(done) => Some(done),
                Waiting::Item(_) => None,
            })
            .collect()
    }
}

/// Tells each completion the same.
pub(super) fn complete(
    completions: impl IntoIterator<Item = Completion>,
    result: &Result<(), Error>,
) {
    for done in completions {
        done(result.clone());
    }
}

fn slot_of(kind: Kind) -> Option<Slot> {
    match kind {
        Kind::Vote => Some(Slot::Vote),
        Kind::Committed => Some(Slot::Committed),
        Kind::Purge | Kind::Purged => Some(Slot::Purged),
        Kind::Entry | Kind::Truncate | Kind::Remove => None,
    }
}
