//! One group's part of the WAL in memory, in two views.
//!
//! The *submitted* view is what callers see: it changes as soon as they ask. The *written* view changes when a record
//! is put into a batch, in the same order, and it alone decides which segments are needed: a purge that is still
//! queued must not free a segment, for it may never reach the disk.
//!
//! Invariant: a record of the submitted view that isn't in `recent` is durable, and `written` says where it is.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    Record, Slot,
    format::{Item, Kind},
};
use crate::planted::{self, Bug};

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// The generation of its segment.
    pub(super) segment: u32,
    /// The offset in it, in bytes.
    pub(super) offset: u32,
    /// Bytes of the whole record.
    pub(super) length: u32,
}

/// A record in memory; stamps grow with each record submitted to the WAL.
#[derive(Debug)]
pub(super) struct Recent {
    pub(super) record: Record,
    pub(super) stamp: u64,
}

/// A slot's value as the disk has it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// The record that carries it forward: kind, group, index and value.
    pub(super) item: Item,
    /// The segment that holds the last copy.
    pub(super) segment: u32,
}

/// One group.
#[derive(Debug, Default)]
pub(super) struct Log {
    first: u64,
    next: u64,
    recent: VecDeque<Recent>,
    slots: [Option<Bytes>; SLOTS],
    written_first: u64,
    written: VecDeque<Location>,
    kept: [Option<Kept>; SLOTS],
}

/// How many kinds of slots there are.
pub(super) const SLOTS: usize = 3;

/// Changes to how much of the segments is needed.
pub(super) trait Needs {
    /// One more or one less entry of the segment is needed.
    fn entry(&mut self, segment: u32, needed: Need);
    /// One more or one less slot value of the segment is needed.
    fn slot(&mut self, segment: u32, needed: Need);
}

/// Whether something came to be needed or ceased to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    More,
    Less,
}

impl Log {
    /// First and last index submitted and not dropped.
    pub(super) fn range(&self) -> Option<(u64, u64)> {
        (self.first < self.next).then(|| (self.first, self.next - 1))
    }

    /// The value of a slot as last submitted.
    pub(super) fn slot(&self, slot: Slot) -> Option<Bytes> {
        self.slots[slot as usize].clone()
    }

    /// Sets a slot for those who ask.
    pub(super) fn put(&mut self, slot: Slot, value: Bytes) {
        self.slots[slot as usize] = Some(value);
    }

    /// Adds a record. It must continue the log; an empty log continues anywhere.
    pub(super) fn append(&mut self, record: Record, stamp: u64) -> &Recent {
        if self.first == self.next {
            self.first = record.index;
        } else {
            assert_eq!(record.index, self.next, "records are appended without holes");
        }
        self.next = record.index.checked_add(1).expect("an index is below 2^64 - 1");
        self.recent.push_back(Recent { record, stamp });
        self.recent.back().expect("one was just pushed")
    }

    /// Drops the records of `from` and above; `dropped` sees each that was in memory.
    pub(super) fn truncate(&mut self, from: u64, mut dropped: impl FnMut(&Recent)) {
        while self.first < self.next && self.next > from {
            self.next -= 1;
            if let Some(recent) = self.recent.pop_back() {
                dropped(&recent);
            }
        }
    }

    /// Drops the records up to `upto`; `dropped` sees each that was in memory.
    pub(super) fn purge(&mut self, upto: u64, mut dropped: impl FnMut(&Recent)) {
        while self.first < self.next && self.first <= upto {
            let recent_first = self.recent.front().map(|recent| recent.record.index);
            if recent_first == Some(self.first) {
                self.recent.pop_front().iter().for_each(&mut dropped);
            }
            self.first += 1;
        }
    }

    /// Drops all that is submitted.
    pub(super) fn clear(&mut self, dropped: impl FnMut(&Recent)) {
        self.truncate(0, dropped);
        self.slots = Default::default();
    }

    /// The record of `index`, where it is in memory.
    pub(super) fn recent(&self, index: u64) -> Option<&Recent> {
        let first = self.recent.front()?.record.index;
        self.recent.get(usize::try_from(index.checked_sub(first)?).ok()?)
    }

    /// Whether the record with this stamp is in memory.
    pub(super) fn holds(&self, stamp: u64) -> bool {
        self.recent.binary_search_by_key(&stamp, |recent| recent.stamp).is_ok()
    }

    /// The oldest record in memory.
    pub(super) fn recent_front(&self) -> Option<&Recent> {
        self.recent.front()
    }

    /// Forgets the bytes of the oldest record in memory: it is durable.
    pub(super) fn evict(&mut self) -> Option<Recent> {
        self.recent.pop_front()
    }

    /// Where the record of `index` lies.
    pub(super) fn location(&self, index: u64) -> Option<Location> {
        let at = usize::try_from(index.checked_sub(self.written_first)?).ok()?;
        self.written.get(at).copied()
    }

    /// Applies a record that is in a batch, or was found in one. Refuses an entry that leaves a hole.
    pub(super) fn write(
        &mut self,
        item: &Item,
        location: Location,
        needs: &mut impl Needs,
    ) -> Result<(), &'static str> {
        match item.kind {
            Kind::Entry => return self.write_entry(item.index, location, needs),
            Kind::Truncate => self.write_truncate(item.index, needs),
            Kind::Purge => {
                self.write_purge(item.index, needs);
                let state = Item { kind: Kind::Purged, index: 0, ..item.clone() };
                self.keep(Slot::Purged, &state, location.segment, needs);
            }
            Kind::Purged => self.keep(Slot::Purged, item, location.segment, needs),
            Kind::Vote => self.keep(Slot::Vote, item, location.segment, needs),
            Kind::Committed => self.keep(Slot::Committed, item, location.segment, needs),
            Kind::Remove => {
                self.write_truncate(0, needs);
                for kept in self.kept.iter_mut().filter_map(Option::take) {
                    needs.slot(kept.segment, Need::Less);
                }
            }
        }
        Ok(())
    }

    /// The slot values whose last copy is in `segment`.
    pub(super) fn kept_in(&self, segment: u32) -> impl Iterator<Item = &Kept> {
        self.kept.iter().flatten().filter(move |kept| kept.segment == segment)
    }

    /// After recovery: what is written is what callers see.
    pub(super) fn adopt(&mut self) {
        self.first = self.written_first;
        self.next = self.written_first + self.written.len() as u64;
        for (slot, kept) in self.slots.iter_mut().zip(&self.kept) {
            *slot = kept.as_ref().map(|kept| kept.item.head.clone());
        }
    }

    /// Whether nothing is left of the group in either view.
    pub(super) fn is_gone(&self) -> bool {
        self.first == self.next
            && self.written.is_empty()
            && self.slots.iter().all(Option::is_none)
            && self.kept.iter().all(Option::is_none)
    }

    fn write_entry(
        &mut self,
        index: u64,
        location: Location,
        needs: &mut impl Needs,
    ) -> Result<(), &'static str> {
        if index == u64::MAX {
            return Err("a record's index is out of range");
        }
        if self.written.is_empty() {
            self.written_first = index;
        } else if index != self.written_first + self.written.len() as u64 {
            return Err("a record does not continue its group's log");
        }
        self.written.push_back(location);
        needs.entry(location.segment, Need::More);
        Ok(())
    }

    fn write_truncate(&mut self, from: u64, needs: &mut impl Needs) {
        let off = u64::from(planted::is(Bug::TruncateOffByOne));
        let keep = from.saturating_sub(self.written_first) + off;
        while self.written.len() as u64 > keep {
            let location = self.written.pop_back().expect("the length is above 0");
            needs.entry(location.segment, Need::Less);
        }
    }

    fn write_purge(&mut self, upto: u64, needs: &mut impl Needs) {
        while self.written_first <= upto
            && let Some(location) = self.written.pop_front()
        {
            needs.entry(location.segment, Need::Less);
            self.written_first += 1;
        }
    }

    fn keep(&mut self, slot: Slot, item: &Item, segment: u32, needs: &mut impl Needs) {
        needs.slot(segment, Need::More);
        let kept = Kept { item: item.clone(), segment };
        if let Some(old) = self.kept[slot as usize].replace(kept) {
            needs.slot(old.segment, Need::Less);
        }
    }
}
