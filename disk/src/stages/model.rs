//! The reference model of a shard's storage: what was asked for, in order, and how much of it was acknowledged.
//!
//! It has the engine's interface as its owner sees it: changes are asked for, acknowledged in order, and after a
//! restart the state is settled against what was found. There is no disk in it: a crash loses a suffix that nobody was
//! told of, and that is all it can do.

use std::collections::{BTreeMap, BTreeSet};

use super::violation;

/// What a key holds: a value that is never used twice, and how many bytes of a body that follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) nonce: u64,
    pub(super) body_bytes: u64,
}

/// One change: durable as a whole or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The key holds this, from now on.
    Put(u8, Held),
    /// The key holds nothing.
    Delete(u8),
    /// No key from the first to before the second holds anything.
    Clear(u8, u8),
    /// Raft's vote.
    Vote(u64),
    /// A log entry of this index and term behind the last one.
    Append(u64, u64),
    /// No log entry of this index or above.
    Truncate(u64),
}

/// A state at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) held: BTreeMap<u8, Held>,
    pub(super) vote: u64,
    /// Term by index.
    pub(super) log: BTreeMap<u64, u64>,
}

impl State {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Put(key, held) => {
                self.held.insert(key, held);
            }
            Change::Delete(key) => {
                self.held.remove(&key);
            }
            Change::Clear(from, to) => self.held.retain(|key, _| !(from..to).contains(key)),
            Change::Vote(vote) => self.vote = vote,
            Change::Append(index, term) => {
                self.log.insert(index, term);
            }
            Change::Truncate(from) => {
                drop(self.log.split_off(&from));
            }
        }
    }
}

/// One shard's storage, over all its lives.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    /// What is certainly there: everything before the list.
    base: State,
    asked: Vec<Change>,
    acknowledged: usize,
    /// The state after the whole list.
    now: State,
    nonce: u64,
    /// Segment and offset of each extent that an acknowledged change names.
    places: BTreeSet<(u32, u32)>,
    takes_over: bool,
}

impl Model {
    /// A model of a store that somebody else has written: it takes over whatever is found.
    pub(super) fn unknown() -> Self {
        Self { takes_over: true, ..Self::default() }
    }

    /// A number that was never given before.
    pub(super) fn fresh(&mut self) -> u64 {
        self.nonce += 1;
        self.nonce
    }

    /// The state after all that was asked for.
    pub(super) fn now(&self) -> &State {
        &self.now
    }

    /// Takes a change that goes to the engine at this moment; its number is for [`Self::acknowledge`].
    pub(super) fn ask(&mut self, change: Change) -> usize {
        self.now.apply(change);
        self.asked.push(change);
        self.asked.len()
    }

    /// An extent lies there, for good; false where another one ever did.
    pub(super) fn occupy(&mut self, segment: u32, offset: u32) -> bool {
        self.places.insert((segment, offset))
    }

    /// The engine said that the change of this number is durable: so is everything before it.
    pub(super) fn acknowledge(&mut self, number: usize) {
        if number < self.acknowledged {
            violation("completions came out of order");
        }
        self.acknowledged = number;
    }

    /// After a clean stop nothing is open.
    pub(super) fn assert_all_acknowledged(&self) {
        if self.acknowledged != self.asked.len() {
            violation("a clean stop left changes without an answer");
        }
    }

    /// The engine was opened and this was found: it must be the state after some prefix of what was asked for, with
    /// all that was acknowledged. From now on that is certain.
    pub(super) fn settle(&mut self, found: &State) {
        let mut state = self.base.clone();
        let mut fits = None;
        for number in 0..=self.asked.len() {
            if number >= self.acknowledged && state == *found {
                // The longest one: a change may have been taken back by the next.
                fits = Some(number);
            }
            if let Some(change) = self.asked.get(number) {
                state.apply(*change);
            }
        }
        if fits.is_none() && !std::mem::take(&mut self.takes_over) {
            violation(&format!(
                "found {found:?}, which is no prefix of {:?} with {} acknowledged on {:?}",
                self.asked, self.acknowledged, self.base
            ));
        }
        self.base = found.clone();
        self.now = found.clone();
        self.asked.clear();
        self.acknowledged = 0;
    }
}
