//! The block cache: verified block contents under a byte budget, evicted by second chance.
//!
//! Filters and block indexes live here too, so the memory of an index doesn't grow with its tables.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
};

use bytes::Bytes;

/// What a slot costs beyond its content.
const SLOT_OVERHEAD_BYTES: usize = 128;

/// Table id and offset of a block.
pub(crate) type Place = (u32, u64);

#[derive(Debug)]
pub(crate) struct Cache {
    bytes_max: usize,
    slots: RefCell<Slots>,
    pub(crate) hits: Cell<u64>,
    pub(crate) reads: Cell<u64>,
    pub(crate) filter_skips: Cell<u64>,
}

#[derive(Debug, Default)]
struct Slots {
    map: BTreeMap<Place, Slot>,
    queue: VecDeque<Place>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    content: Bytes,
    used: bool,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            slots: RefCell::default(),
            hits: Cell::new(0),
            reads: Cell::new(0),
            filter_skips: Cell::new(0),
        }
    }

    pub(crate) fn get(&self, place: Place) -> Option<Bytes> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.map.get_mut(&place)?;
        slot.used = true;
        self.hits.set(self.hits.get() + 1);
        Some(slot.content.clone())
    }

    /// Keeps `content`, unless it alone is beyond the budget.
    pub(crate) fn insert(&self, place: Place, content: Bytes) {
        let cost = content.len() + SLOT_OVERHEAD_BYTES;
        if cost > self.bytes_max {
            return;
        }
        let slots = &mut *self.slots.borrow_mut();
        if slots.map.contains_key(&place) {
            return;
        }
        slots.evict(self.bytes_max - cost);
        slots.bytes += cost;
        slots.map.insert(place, Slot { content, used: false });
        slots.queue.push_back(place);
    }

    /// Forgets a removed table.
    pub(crate) fn forget(&self, table: u32) {
        let slots = &mut *self.slots.borrow_mut();
        slots.queue.retain(|place| place.0 != table);
        let places: Vec<Place> =
            slots.map.range((table, 0)..=(table, u64::MAX)).map(|(place, _)| *place).collect();
        for place in places {
            slots.remove(place);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.borrow().bytes
    }
}

impl Slots {
    fn evict(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let place = self.queue.pop_front().expect("every slot is queued");
            let slot = self.map.get_mut(&place).expect("every queued slot is there");
            if std::mem::take(&mut slot.used) {
                self.queue.push_back(place);
            } else {
                self.remove(place);
            }
        }
    }

    fn remove(&mut self, place: Place) {
        if let Some(slot) = self.map.remove(&place) {
            self.bytes -= slot.content.len() + SLOT_OVERHEAD_BYTES;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Cache, SLOT_OVERHEAD_BYTES};

    #[test]
    fn it_keeps_to_its_budget_and_prefers_what_is_used() {
        let cost = 100 + SLOT_OVERHEAD_BYTES;
        let cache = Cache::new(10 * cost);
        for offset in 0..10 {
            cache.insert((1, offset), Bytes::from(vec![0; 100]));
        }
        assert!(cache.get((1, 0)).is_some());
        cache.insert((2, 0), Bytes::from(vec![0; 100]));
        assert_eq!(cache.bytes(), 10 * cost);
        assert!(cache.get((1, 0)).is_some(), "it was used");
        assert!(cache.get((1, 1)).is_none(), "it was not");
        cache.insert((3, 0), Bytes::from(vec![0; 10 * cost]));
        assert!(cache.get((3, 0)).is_none(), "beyond the budget by itself");
        cache.forget(1);
        assert_eq!(cache.bytes(), cost);
        cache.forget(2);
        assert_eq!(cache.bytes(), 0);
    }
}
