//! One simulated file: what programs see, what is durable, and what lies between the two.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    content::{Content, SECTOR, Sectors, cut, patch_sectors},
    random::Random,
};
use crate::device::{Durability, SECTOR_BYTES};

/// A change that is not durable yet: bytes, a growth, or both.
#[derive(Clone, Debug)]
struct Change {
    sectors: Sectors,
    grown: Option<u64>,
}

/// How hard a crash is: most images mix, some are extreme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Loses,
    Keeps,
    Mixes,
}

/// A file's three states.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) current: Content,
    durable: Content,
    /// Completed changes, by the order of their completion.
    pending: BTreeMap<u64, Change>,
    /// Submitted writes that have not completed.
    in_flight: BTreeMap<u64, Change>,
    next_change: u64,
}

impl File {
    /// A file whose fill is being written: `length` bytes of zeros, all of which a crash may still lose.
    pub(super) fn filling(length: u64) -> Self {
        let mut file = Self::default();
        file.current.grow(length);
        if length > 0 {
            file.push_pending(Change { sectors: Sectors::new(), grown: Some(length) });
        }
        file
    }

    /// The same file on another disk, everything it has durable.
    pub(super) fn copy(&self) -> Self {
        let (current, durable) = (self.current.clone(), self.current.clone());
        Self { current, durable, ..Self::default() }
    }

    /// Starts a write; its bytes are seen by no one until [`Self::complete`].
    pub(super) fn submit(&mut self, offset: u64, source: &Bytes) -> u64 {
        let end = offset + u64::try_from(source.len()).expect("a buffer's length fits");
        let grown = (end > self.current.length).then_some(end);
        let ticket = self.ticket();
        self.in_flight.insert(ticket, Change { sectors: cut(offset, source), grown });
        ticket
    }

    /// Ends a write well.
    pub(super) fn complete(&mut self, ticket: u64, durability: Durability) {
        let change = self.in_flight.remove(&ticket).expect("completed once, before any crash");
        self.see(&change);
        match durability {
            Durability::EachWrite => {
                self.supersede(&change);
                self.durable.apply(&change.sectors);
                self.durable.grow(change.grown.unwrap_or(0));
            }
            Durability::AtSync => self.push_pending(change),
        }
    }

    /// Ends a write with an error: some of it may be seen, none of it is durable.
    pub(super) fn fail(&mut self, ticket: u64, random: &mut Random) {
        let change = self.in_flight.remove(&ticket).expect("completed once, before any crash");
        let sectors = torn(&change.sectors, &self.current, random);
        let change = Change { sectors, grown: change.grown };
        self.see(&change);
        self.push_pending(change);
    }

    /// Ends a write that nobody waits for any more: it lands, without a promise, or it doesn't.
    pub(super) fn abandon(&mut self, ticket: u64, random: &mut Random) {
        if !self.in_flight.contains_key(&ticket) {
            return; // a crash was first
        }
        if random.coin() {
            self.complete(ticket, Durability::AtSync);
        } else {
            self.withdraw(ticket);
        }
    }

    /// Forgets a write that never reached the device.
    pub(super) fn withdraw(&mut self, ticket: u64) {
        self.in_flight.remove(&ticket);
    }

    /// What a sync that starts now will make durable.
    pub(super) fn sync_mark(&self) -> u64 {
        self.next_change
    }

    /// Ends a sync well: everything completed before its mark is durable.
    pub(super) fn synced(&mut self, mark: u64) {
        let later = self.pending.split_off(&mark);
        for change in std::mem::replace(&mut self.pending, later).into_values() {
            self.durable.apply(&change.sectors);
            self.durable.grow(change.grown.unwrap_or(0));
        }
    }

    /// Ends a sync with an error: pending bytes go back or become durable, and no later sync tells.
    pub(super) fn sync_failed(&mut self, random: &mut Random) {
        let waiting = std::mem::take(&mut self.in_flight);
        self.crash(Mood::Mixes, random);
        self.in_flight = waiting;
    }

    /// Loses power: what is left is durable and is what programs will see.
    pub(super) fn crash(&mut self, mood: Mood, random: &mut Random) {
        let pending = std::mem::take(&mut self.pending);
        let in_flight = std::mem::take(&mut self.in_flight);
        for change in pending.into_values().chain(in_flight.into_values()) {
            self.settle(&change, mood, random);
        }
        self.durable.trim();
        self.current = self.durable.clone();
    }

    /// Changes one byte everywhere it is kept.
    pub(super) fn patch(&mut self, position: u64, byte: u8) {
        self.current.patch(position, &[byte]);
        self.durable.patch(position, &[byte]);
        for change in self.pending.values_mut() {
            patch_sectors(&mut change.sectors, position, byte, false);
        }
    }

    /// Makes the current state durable at once, as [`crate::device::Fill::Zeros`] promises.
    pub(super) fn settle_all(&mut self) {
        self.synced(u64::MAX);
    }

    fn settle(&mut self, change: &Change, mood: Mood, random: &mut Random) {
        let outcome = match mood {
            Mood::Loses => 0,
            Mood::Keeps => 1,
            Mood::Mixes => random.below(3),
        };
        match outcome {
            0 => {}
            1 => self.durable.apply(&change.sectors),
            _ => {
                let sectors = torn(&change.sectors, &self.durable, random);
                self.durable.apply(&sectors);
            }
        }
        let Some(grown) = change.grown else { return };
        match (mood, random.below(3)) {
            (Mood::Keeps, _) | (Mood::Mixes, 1) => self.durable.grow(grown),
            (Mood::Loses, _) | (Mood::Mixes, 0) => {}
            (Mood::Mixes, _) => {
                let sectors = random.below(grown / SECTOR + 1);
                self.durable.grow(sectors * SECTOR);
            }
        }
    }

    /// Takes what a durable write replaces out of the older changes, so that no crash brings it back.
    fn supersede(&mut self, newer: &Change) {
        for change in self.pending.values_mut() {
            change.sectors.retain(|number, _| !newer.sectors.contains_key(number));
        }
    }

    fn see(&mut self, change: &Change) {
        self.current.apply(&change.sectors);
        self.current.grow(change.grown.unwrap_or(0));
    }

    fn push_pending(&mut self, change: Change) {
        let ticket = self.ticket();
        self.pending.insert(ticket, change);
    }

    fn ticket(&mut self) -> u64 {
        self.next_change += 1;
        self.next_change - 1
    }
}

/// Some units of a write over what was there before.
fn torn(sectors: &Sectors, base: &Content, random: &mut Random) -> Sectors {
    let unit_bytes = if random.coin() { 512 } else { SECTOR_BYTES };
    let units_per_sector = SECTOR_BYTES / unit_bytes;
    let unit_count = u64::try_from(sectors.len() * units_per_sector).expect("few sectors");
    let prefix = random.coin().then(|| random.below(unit_count + 1));
    let mut unit_index = 0;
    let mut result = Sectors::new();
    for (number, source) in sectors {
        let mut bytes = base.sector(*number).to_vec();
        for (target, piece) in bytes.chunks_mut(unit_bytes).zip(source.chunks(unit_bytes)) {
            let kept = prefix.map_or_else(|| random.coin(), |prefix| unit_index < prefix);
            if kept {
                target.copy_from_slice(piece);
            }
            unit_index += 1;
        }
        result.insert(*number, bytes.into());
    }
    result
}
