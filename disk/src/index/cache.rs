//! The block cache: verified block contents under a byte budget.
//!
//! Filters and block indexes live here too, so the memory of an index doesn't grow with its tables. What is kept is
//! decided by the use that brought it in, so that no use can push out all of another:
//!
//! - *metadata*, filters and block indexes: every read of a table needs them. They go last, and only above 3/4 of the
//!   budget;
//! - *points*, the blocks of single keys: what metadata and scans leave;
//! - *scans*, the blocks of walks: above 1/8 of the budget they push out each other, and nothing else. The block that
//!   a single key is then read from becomes a point; a walk changes nothing of a point or of metadata.
//!
//! Each of the three evicts by second chance.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
};

use bytes::Bytes;

use crate::index::ahead::{ReadAhead, WINDOW_BYTES};

/// What a slot costs beyond its content.
const SLOT_OVERHEAD_BYTES: usize = 128;

/// Table id and offset of a block.
pub(crate) type Place = (u32, u64);

/// What a block is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Metadata,
    Point,
    Scan,
}

const USE_COUNT: usize = 3;

/// Uses of a kind that found their block in the cache, and that did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// Found.
    pub hit_count: u64,
    /// Not found.
    pub miss_count: u64,
}

#[derive(Debug)]
pub(crate) struct Cache {
    bytes_max: usize,
    slots: RefCell<Slots>,
    figures: [Cell<CacheFigures>; USE_COUNT],
    /// The walks that go through it.
    pub(crate) ahead: ReadAhead,
    pub(crate) reads: Cell<u64>,
    pub(crate) filter_checks: Cell<u64>,
    pub(crate) filter_skips: Cell<u64>,
}

#[derive(Debug, Default)]
struct Slots {
    map: BTreeMap<Place, Slot>,
    queues: [Queue; USE_COUNT],
}

/// The blocks of one use, the next to go first.
#[derive(Debug, Default)]
struct Queue {
    places: VecDeque<Place>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    content: Bytes,
    kind: Use,
    /// It was read ahead and no walk has come to it: when one does, that is its first use and not a second.
    awaited: bool,
    used: bool,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            slots: RefCell::default(),
            figures: Default::default(),
            ahead: ReadAhead::default(),
            reads: Cell::new(0),
            filter_checks: Cell::new(0),
            filter_skips: Cell::new(0),
        }
    }

    pub(crate) fn get(&self, place: Place, kind: Use) -> Option<Bytes> {
        let found = self.slots.borrow_mut().get(place, kind);
        let figures = &self.figures[kind as usize];
        let mut counted = figures.get();
        match found {
            Some(_) => counted.hit_count += 1,
            None => counted.miss_count += 1,
        }
        figures.set(counted);
        found
    }

    /// Keeps `content`, unless it alone is beyond what its use may have.
    pub(crate) fn insert(&self, place: Place, content: Bytes, kind: Use) {
        self.keep(place, Slot { content, kind, awaited: false, used: false });
    }

    /// Keeps a block that a walk will come to.
    pub(crate) fn insert_ahead(&self, place: Place, content: Bytes) {
        self.keep(place, Slot { content, kind: Use::Scan, awaited: true, used: false });
    }

    /// The most that a walk may read at once, in bytes: a part of the share of walks, as there may be several.
    pub(crate) fn window_bytes_max(&self) -> u64 {
        WINDOW_BYTES.min((self.scan_bytes_max() / 4) as u64)
    }

    fn keep(&self, place: Place, slot: Slot) {
        let (kind, content) = (slot.kind, &slot.content);
        let cost = content.len() + SLOT_OVERHEAD_BYTES;
        let share = match kind {
            Use::Scan => self.scan_bytes_max(),
            Use::Metadata | Use::Point => self.bytes_max,
        };
        let slots = &mut *self.slots.borrow_mut();
        if cost > share || slots.map.contains_key(&place) {
            return;
        }
        while let Some(victim) = self.victim(slots, kind, cost) {
            slots.evict(victim);
        }
        slots.queues[kind as usize].places.push_back(place);
        slots.queues[kind as usize].bytes += cost;
        slots.map.insert(place, slot);
    }

    /// Forgets a removed table.
    pub(crate) fn forget(&self, table: u32) {
        let slots = &mut *self.slots.borrow_mut();
        let places: Vec<Place> =
            slots.map.range((table, 0)..=(table, u64::MAX)).map(|(place, _)| *place).collect();
        for place in places {
            slots.remove(place);
        }
        for queue in &mut slots.queues {
            queue.places.retain(|place| place.0 != table);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.borrow().bytes()
    }

    pub(crate) fn figures(&self, kind: Use) -> CacheFigures {
        self.figures[kind as usize].get()
    }

    /// Whose block has to go before one of `kind` that costs this much comes in.
    fn victim(&self, slots: &Slots, kind: Use, cost: usize) -> Option<Use> {
        let after = |of: Use| slots.queues[of as usize].bytes + if of == kind { cost } else { 0 };
        if kind == Use::Scan && after(Use::Scan) > self.scan_bytes_max() {
            return Some(Use::Scan);
        }
        if slots.bytes() + cost <= self.bytes_max {
            return None;
        }
        let has = |of: Use| !slots.queues[of as usize].places.is_empty();
        if has(Use::Metadata) && after(Use::Metadata) > self.bytes_max / 4 * 3 {
            return Some(Use::Metadata);
        }
        [Use::Point, Use::Scan, Use::Metadata].into_iter().find(|of| has(*of))
    }

    fn scan_bytes_max(&self) -> usize {
        self.bytes_max / 8
    }
}

impl Slots {
    fn bytes(&self) -> usize {
        self.queues.iter().map(|queue| queue.bytes).sum()
    }

    fn get(&mut self, place: Place, kind: Use) -> Option<Bytes> {
        let slot = self.map.get_mut(&place)?;
        // A walk over a block that is kept for single keys says nothing of those.
        let again = slot.kind == Use::Scan && !std::mem::take(&mut slot.awaited);
        slot.used |= kind != Use::Scan || again;
        let content = slot.content.clone();
        if kind == Use::Point && slot.kind == Use::Scan {
            slot.kind = Use::Point;
            let cost = content.len() + SLOT_OVERHEAD_BYTES;
            let scans = &mut self.queues[Use::Scan as usize];
            scans.bytes -= cost;
            scans.places.retain(|other| *other != place);
            let points = &mut self.queues[Use::Point as usize];
            points.bytes += cost;
            points.places.push_back(place);
        }
        Some(content)
    }

    /// Removes one block of a use that has any.
    fn evict(&mut self, kind: Use) {
        loop {
            let queue = &mut self.queues[kind as usize];
            let place = queue.places.pop_front().expect("only a use that has blocks is chosen");
            let slot = self.map.get_mut(&place).expect("every queued slot is there");
            if std::mem::take(&mut slot.used) {
                queue.places.push_back(place);
            } else {
                self.remove(place);
                return;
            }
        }
    }

    /// Takes a slot whose place is no longer queued, or soon won't be.
    fn remove(&mut self, place: Place) {
        if let Some(slot) = self.map.remove(&place) {
            self.queues[slot.kind as usize].bytes -= slot.content.len() + SLOT_OVERHEAD_BYTES;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Cache, SLOT_OVERHEAD_BYTES, Use};

    const COST: usize = 100 + SLOT_OVERHEAD_BYTES;

    fn block() -> Bytes {
        Bytes::from(vec![0; 100])
    }

    #[test]
    fn it_keeps_to_its_budget_and_prefers_what_is_used() {
        let cache = Cache::new(10 * COST);
        for offset in 0..10 {
            cache.insert((1, offset), block(), Use::Point);
        }
        assert!(cache.get((1, 0), Use::Point).is_some());
        cache.insert((2, 0), block(), Use::Point);
        assert_eq!(cache.bytes(), 10 * COST);
        assert!(cache.get((1, 0), Use::Point).is_some(), "it was used");
        assert!(cache.get((1, 1), Use::Point).is_none(), "it was not");
        cache.insert((3, 0), Bytes::from(vec![0; 10 * COST]), Use::Point);
        assert!(cache.get((3, 0), Use::Point).is_none(), "beyond the budget by itself");
        let figures = cache.figures(Use::Point);
        assert_eq!((figures.hit_count, figures.miss_count), (2, 2));
        cache.forget(1);
        assert_eq!(cache.bytes(), COST);
        cache.forget(2);
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn walks_push_out_neither_points_nor_metadata_and_points_no_metadata() {
        let cache = Cache::new(32 * COST);
        for offset in 0..8 {
            cache.insert((1, offset), block(), Use::Metadata);
        }
        for offset in 0..20 {
            cache.insert((2, offset), block(), Use::Point);
        }
        for offset in 0..1000 {
            cache.insert((3, offset), block(), Use::Scan);
            assert!(cache.get((3, offset), Use::Scan).is_some(), "the last of a walk is there");
        }
        assert!((0..20).all(|offset| cache.get((2, offset), Use::Point).is_some()));
        for offset in 0..1000 {
            cache.insert((4, offset), block(), Use::Point);
        }
        assert!((0..8).all(|offset| cache.get((1, offset), Use::Metadata).is_some()));
        assert_eq!(cache.bytes(), 32 * COST);
    }

    #[test]
    fn a_walk_takes_its_share_of_a_full_cache_and_no_more() {
        let cache = Cache::new(16 * COST);
        for offset in 0..16 {
            cache.insert((1, offset), block(), Use::Point);
        }
        for offset in 0..100 {
            cache.insert((2, offset), block(), Use::Scan);
        }
        let kept = (0..16).filter(|offset| cache.get((1, *offset), Use::Point).is_some()).count();
        assert_eq!(kept, 14);
        assert!(cache.get((2, 99), Use::Scan).is_some());
    }

    #[test]
    fn metadata_leaves_a_quarter_and_a_block_used_by_a_point_outlives_the_walk() {
        let cache = Cache::new(16 * COST);
        for offset in 0..4 {
            cache.insert((1, offset), block(), Use::Point);
        }
        for offset in 0..100 {
            cache.insert((2, offset), block(), Use::Metadata);
        }
        assert!((0..4).all(|offset| cache.get((1, offset), Use::Point).is_some()));
        cache.forget(2);
        cache.insert((3, 0), block(), Use::Scan);
        assert!(cache.get((3, 0), Use::Point).is_some());
        for offset in 1..100 {
            cache.insert((3, offset), block(), Use::Scan);
        }
        assert!(cache.get((3, 0), Use::Point).is_some());
    }
}
