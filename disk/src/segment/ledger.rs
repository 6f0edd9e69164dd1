//! Who refers to which segment: live bytes of tables, pins of memory, writes in flight, holds. Pure bookkeeping.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    Class, Extent,
    class::{SEQUENCE_END, sequence},
};
use crate::planted::{self, Bug};

/// Keeps the segments that existed when it was made from being removed; ends when dropped.
#[derive(Debug)]
pub struct Hold {
    ledger: Rc<RefCell<Ledger>>,
    ticket: u64,
}

impl Hold {
    pub(super) fn new(ledger: &Rc<RefCell<Ledger>>) -> Self {
        let ticket = {
            let mut ledger = ledger.borrow_mut();
            ledger.ticket += 1;
            let ticket = ledger.ticket;
            ledger.holds.insert(ticket);
            ticket
        };
        Self { ledger: Rc::clone(ledger), ticket }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.ledger.borrow_mut().holds.remove(&self.ticket);
    }
}

/// What refers to one segment.
#[derive(Debug, Default)]
struct Account {
    live_bytes: u64,
    pin_count: u64,
    pinned_bytes: u64,
    keep_count: u64,
    writer_count: u64,
    sealed: bool,
    /// The newest hold when something last let go of the segment.
    released_at: u64,
}

impl Account {
    fn is_removable(&self, oldest_hold: u64) -> bool {
        self.sealed
            && self.live_bytes == 0
            && (self.pin_count == 0 || planted::is(Bug::SegmentRemovedWhilePinned))
            && self.keep_count == 0
            && self.writer_count == 0
            && oldest_hold > self.released_at
    }
}

/// The accounts of all segments.
#[derive(Debug)]
pub(super) struct Ledger {
    accounts: BTreeMap<u32, Account>,
    /// Segments whose files are gone, and what tables refer to in them.
    missing: BTreeMap<u32, u64>,
    /// Above what tells every segment so far from the others, whatever its class.
    next_segment: u32,
    ticket: u64,
    holds: BTreeSet<u64>,
    /// Sums over all accounts.
    live_bytes: u64,
    pinned_bytes: u64,
    /// The last reference to a sealed segment has gone since somebody asked.
    freed: bool,
}

/// Which segments are worth a rewrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinness {
    /// Those with a smaller share of live bytes than this, in percent: first where the most space comes back for what is
    /// moved, weighed by age (what is left in an old segment is likely to stay, what is left in a young one may yet die).
    Calm(u32),
    /// Those with a smaller share of live bytes than this, in percent: the thinnest first.
    Pressing(u32),
}

impl Ledger {
    /// The segments found at start, all of them sealed. Of one that isn't there the ledger knows what tables refer to,
    /// and nobody can pin anything in it.
    pub(super) fn new(found: &BTreeSet<u32>, live: &BTreeMap<u32, u64>, next_segment: u32) -> Self {
        let is_missing = |(segment, bytes): &(&u32, &u64)| **bytes > 0 && !found.contains(segment);
        let missing: BTreeMap<u32, u64> =
            live.iter().filter(is_missing).map(|(segment, bytes)| (*segment, *bytes)).collect();
        let account = |segment: &u32| {
            let live_bytes = live.get(segment).copied().unwrap_or(0);
            (*segment, Account { live_bytes, sealed: true, ..Account::default() })
        };
        let last = found.iter().chain(missing.keys()).map(|segment| sequence(*segment)).max();
        let above = last.map_or(0, |last| last.saturating_add(1));
        Self {
            accounts: found.iter().map(account).collect(),
            missing,
            next_segment: if planted::is(Bug::SegmentNumberReused) {
                above
            } else {
                next_segment.max(above)
            },
            ticket: 0,
            holds: BTreeSet::new(),
            live_bytes: found.iter().filter_map(|segment| live.get(segment)).sum(),
            pinned_bytes: 0,
            freed: false,
        }
    }

    /// Takes the number for a new segment of a class; `None` when all were used.
    pub(super) fn take_number(&mut self, class: Class) -> Option<u32> {
        let number = self.next_segment;
        if number >= SEQUENCE_END {
            return None;
        }
        self.next_segment = number + 1;
        Some(class.segment(number))
    }

    /// Adds a segment that can be written.
    pub(super) fn add(&mut self, segment: u32) {
        let before = self.accounts.insert(segment, Account::default());
        assert!(before.is_none(), "segment {segment} was made twice");
    }

    pub(super) fn seal(&mut self, segment: u32) {
        self.account(segment).sealed = true;
        self.note_freed(segment);
    }

    pub(super) fn contains(&self, segment: u32) -> bool {
        self.accounts.contains_key(&segment)
    }

    /// Whether a segment that tables refer to isn't there, or one that somebody has missed.
    pub(super) fn is_missing(&self, segment: u32) -> bool {
        self.missing.contains_key(&segment)
    }

    /// The missing segments that tables refer to.
    pub(super) fn missing(&self) -> Vec<u32> {
        let referred = self.missing.iter().filter(|(_, live_bytes)| **live_bytes > 0);
        referred.map(|(segment, _)| *segment).collect()
    }

    /// Has a segment that isn't there known as missing: tables will refer to it.
    pub(super) fn miss(&mut self, segment: u32) {
        if !self.accounts.contains_key(&segment) {
            self.missing.entry(segment).or_default();
        }
    }

    pub(super) fn start_write(&mut self, segment: u32) {
        self.account(segment).writer_count += 1;
    }

    pub(super) fn end_write(&mut self, segment: u32) {
        let account = self.account(segment);
        assert!(account.writer_count > 0, "a write to segment {segment} ended twice");
        account.writer_count -= 1;
        self.note_freed(segment);
    }

    pub(super) fn pin(&mut self, extent: Extent) -> bool {
        // A number that somebody remembers is not given to another segment.
        if !planted::is(Bug::SegmentNumberReused) {
            self.next_segment = self.next_segment.max(sequence(extent.segment) + 1);
        }
        let Some(account) = self.accounts.get_mut(&extent.segment) else { return false };
        account.pin_count += 1;
        account.pinned_bytes += extent.total_bytes();
        self.pinned_bytes += extent.total_bytes();
        true
    }

    pub(super) fn unpin(&mut self, extent: Extent) {
        let ticket = self.ticket;
        let Some(account) = self.accounts.get_mut(&extent.segment) else { return };
        assert!(account.pin_count > 0, "{extent:?} was unpinned more often than pinned");
        account.pin_count -= 1;
        account.pinned_bytes = account
            .pinned_bytes
            .checked_sub(extent.total_bytes())
            .expect("an extent is unpinned with the lengths it was pinned with");
        account.released_at = ticket;
        self.pinned_bytes -= extent.total_bytes();
        self.note_freed(extent.segment);
    }

    pub(super) fn keep(&mut self, extent: Extent) {
        if self.is_missing(extent.segment) {
            return;
        }
        self.account(extent.segment).keep_count += 1;
    }

    pub(super) fn let_go(&mut self, extent: Extent) {
        if self.is_missing(extent.segment) {
            return;
        }
        let ticket = self.ticket;
        let account = self.account(extent.segment);
        assert!(account.keep_count > 0, "{extent:?} was let go more often than kept");
        account.keep_count -= 1;
        account.released_at = ticket;
        self.note_freed(extent.segment);
    }

    pub(super) fn apply(&mut self, deltas: &BTreeMap<u32, i64>) {
        let ticket = self.ticket;
        for (segment, delta) in deltas.iter().filter(|(_, delta)| **delta != 0) {
            // A table that is written again refers to a missing segment as before.
            if let Some(live_bytes) = self.missing.get_mut(segment) {
                let sum = live_bytes.checked_add_signed(*delta);
                *live_bytes = sum.expect("tables let go of no more than they referred to");
                continue;
            }
            let account = self.account(*segment);
            account.live_bytes = account
                .live_bytes
                .checked_add_signed(*delta)
                .expect("tables let go of no more than they referred to");
            if *delta < 0 {
                account.released_at = ticket;
            }
            let sum = self.live_bytes.checked_add_signed(*delta);
            self.live_bytes = sum.expect("the sum is that of the accounts");
        }
    }

    /// Takes the segments out that can be removed.
    pub(super) fn sweep(&mut self) -> Vec<u32> {
        let oldest_hold = self.holds.first().copied().unwrap_or(u64::MAX);
        let swept: Vec<u32> = self
            .accounts
            .iter()
            .filter(|(_, account)| account.is_removable(oldest_hold))
            .map(|(segment, _)| *segment)
            .collect();
        for segment in &swept {
            self.accounts.remove(segment);
        }
        swept
    }

    pub(super) fn thin(
        &self,
        thinness: Thinness,
        segment_bytes: u64,
        rewritable: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let (Thinness::Calm(percent) | Thinness::Pressing(percent)) = thinness;
        let below_bytes = segment_bytes * u64::from(percent) / 100;
        let thin = self
            .accounts
            .iter()
            .filter(|(_, account)| account.sealed && account.pin_count == 0)
            .filter(|(_, account)| (1..below_bytes).contains(&account.live_bytes))
            .filter(|(segment, _)| rewritable(**segment));
        let chosen = match thinness {
            Thinness::Pressing(_) => thin.min_by_key(|(_, account)| account.live_bytes),
            Thinness::Calm(_) => thin.max_by(|one, other| {
                let (gain, cost) = self.worth(*one.0, one.1, segment_bytes);
                let (other_gain, other_cost) = self.worth(*other.0, other.1, segment_bytes);
                (gain * other_cost).cmp(&(other_gain * cost))
            }),
        };
        chosen.map(|(segment, _)| *segment)
    }

    /// What a rewrite of a segment frees, times its age, and what is read and written for it.
    fn worth(&self, segment: u32, account: &Account, segment_bytes: u64) -> (u128, u128) {
        let age = u128::from(self.next_segment.saturating_sub(sequence(segment))).max(1);
        let freed = segment_bytes.saturating_sub(account.live_bytes);
        (u128::from(freed) * age, u128::from(segment_bytes + account.live_bytes))
    }

    /// Whether a segment has become free since the last call.
    pub(super) fn take_freed(&mut self) -> bool {
        std::mem::take(&mut self.freed)
    }

    fn note_freed(&mut self, segment: u32) {
        let oldest_hold = self.holds.first().copied().unwrap_or(u64::MAX);
        let freed = self.accounts.get(&segment).is_some_and(|it| it.is_removable(oldest_hold));
        self.freed |= freed;
    }

    pub(super) fn next_segment(&self) -> u32 {
        self.next_segment
    }

    pub(super) fn segment_count(&self) -> u64 {
        u64::try_from(self.accounts.len()).expect("fewer than 2^32")
    }

    /// How many segments of a class there are, and what tables refer to in them, in bytes.
    pub(super) fn of_class(&self, class: Class) -> (u64, u64) {
        let first = class.segment(0);
        let accounts = self.accounts.range(first..=class.segment(SEQUENCE_END - 1));
        accounts.fold((0, 0), |(count, live_bytes), (_, account)| {
            (count + 1, live_bytes + account.live_bytes)
        })
    }

    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    pub(super) fn pinned_bytes(&self) -> u64 {
        self.pinned_bytes
    }

    fn account(&mut self, segment: u32) -> &mut Account {
        let account = self.accounts.get_mut(&segment);
        account.unwrap_or_else(|| unreachable!("segment {segment} is referred to and not there"))
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

    use super::{Hold, Ledger, Thinness};
    use crate::segment::{Class, Extent};

    const EXTENT: Extent = Extent { segment: 3, offset: 0, header_bytes: 40, data_bytes: 60 };

    fn one_segment(live_bytes: u64) -> Ledger {
        Ledger::new(&[3].into(), &BTreeMap::from([(3, live_bytes)]), 2)
    }

    #[test]
    fn each_reference_alone_keeps_a_segment() {
        assert_eq!(one_segment(0).sweep(), [3]);
        assert_eq!(one_segment(1).sweep(), []);
        let mut ledger = one_segment(0);
        assert!(ledger.pin(EXTENT));
        assert_eq!(ledger.sweep(), []);
        ledger.start_write(3);
        ledger.unpin(EXTENT);
        assert_eq!(ledger.sweep(), []);
        ledger.end_write(3);
        assert_eq!(ledger.sweep(), [3]);
        ledger.add(4);
        assert_eq!(ledger.sweep(), []);
        ledger.seal(4);
        assert_eq!(ledger.sweep(), [4]);
    }

    #[test]
    fn a_hold_keeps_what_was_let_go_after_it_and_only_that() {
        let ledger = Rc::new(RefCell::new(one_segment(100)));
        let older = Hold::new(&ledger);
        ledger.borrow_mut().apply(&BTreeMap::from([(3, -100)]));
        let newer = Hold::new(&ledger);
        assert_eq!(ledger.borrow_mut().sweep(), []);
        drop(older);
        assert_eq!(ledger.borrow_mut().sweep(), [3]);
        drop(newer);
    }

    #[test]
    fn a_number_that_is_remembered_is_not_used_again() {
        let mut ledger = one_segment(0);
        assert_eq!(ledger.next_segment(), 4);
        assert!(!ledger.pin(Extent { segment: 9, ..EXTENT }));
        assert_eq!(ledger.take_number(Class::OWN), Some(10));
        ledger.unpin(Extent { segment: 9, ..EXTENT });
    }

    #[test]
    fn a_missing_segment_is_known_until_nothing_refers_to_it_and_its_number_is_not_used_again() {
        let mut ledger = Ledger::new(&[3].into(), &BTreeMap::from([(5, 100), (6, 0)]), 0);
        assert!(ledger.is_missing(5) && !ledger.contains(5) && !ledger.is_missing(6));
        assert_eq!(ledger.missing(), [5]);
        assert_eq!((ledger.live_bytes(), ledger.segment_count(), ledger.next_segment()), (0, 1, 6));
        let lost = Extent { segment: 5, ..EXTENT };
        assert!(!ledger.pin(lost));
        ledger.unpin(lost);
        ledger.keep(lost);
        ledger.let_go(lost);
        // A table is written again, then the old one goes.
        ledger.apply(&BTreeMap::from([(5, 100)]));
        ledger.apply(&BTreeMap::from([(5, -100)]));
        assert_eq!((ledger.missing(), ledger.sweep()), (vec![5], vec![3]));
        ledger.apply(&BTreeMap::from([(5, -100)]));
        assert_eq!((ledger.missing(), ledger.next_segment()), (vec![], 6));
        // One that only the log knows of, until its command is applied.
        ledger.miss(7);
        ledger.apply(&BTreeMap::from([(7, 10)]));
        assert_eq!(ledger.missing(), [7]);
    }

    #[test]
    fn the_thinnest_sealed_and_unpinned_segment_is_named_under_pressure() {
        let live = BTreeMap::from([(1, 50), (2, 20), (3, 0), (4, 10)]);
        let mut ledger = Ledger::new(&[1, 2, 3, 4].into(), &live, 5);
        assert_eq!(ledger.thin(Thinness::Pressing(100), 100, |_| true), Some(4));
        ledger.pin(Extent { segment: 4, ..EXTENT });
        assert_eq!(ledger.thin(Thinness::Pressing(100), 100, |_| true), Some(2));
        assert_eq!(ledger.thin(Thinness::Pressing(20), 100, |_| true), None);
        assert_eq!(ledger.thin(Thinness::Pressing(100), 100, |segment| segment != 2), Some(1));
    }

    #[test]
    fn in_calm_an_old_segment_is_worth_more_than_a_young_one_that_is_a_little_thinner() {
        let live = BTreeMap::from([(1, 30), (8, 25), (9, 0)]);
        let ledger = Ledger::new(&[1, 8, 9].into(), &live, 10);
        assert_eq!(ledger.thin(Thinness::Calm(50), 100, |_| true), Some(1));
        assert_eq!(ledger.thin(Thinness::Pressing(50), 100, |_| true), Some(8));
        assert_eq!(ledger.thin(Thinness::Calm(25), 100, |_| true), None);
    }

    #[test]
    fn what_is_kept_stays_and_counts_as_nothing() {
        let mut ledger = one_segment(0);
        ledger.keep(EXTENT);
        assert_eq!((ledger.sweep(), ledger.pinned_bytes()), (vec![], 0));
        ledger.let_go(EXTENT);
        assert!(ledger.take_freed());
        assert_eq!(ledger.sweep(), [3]);
    }

    #[test]
    fn the_last_reference_that_goes_is_told_once() {
        let mut ledger = one_segment(0);
        assert!(ledger.pin(EXTENT) && ledger.pin(EXTENT));
        ledger.unpin(EXTENT);
        assert!(!ledger.take_freed());
        ledger.unpin(EXTENT);
        assert!(ledger.take_freed() && !ledger.take_freed());
    }
}
