//! The block cache: verified block contents, on one side of a budget that it shares with the cache of chunks.
//!
//! Filters and block indexes live here too, so the memory of an index doesn't grow with its tables; and short payloads
//! that lie in data segments, so that small objects that are hot cost no device read. What is kept is
//! decided by the use that brought it in, so that no use can push out all of another. While there is room everything
//! stays; then each line has its part of what the cache may hold:
//!
//! - *metadata*, filters and block indexes: every read of a table needs them. They go last, and only above 3/4;
//! - *proven*, the blocks and payloads of single keys that were used more than once, or again soon after they had been let go: what
//!   the others leave;
//! - *trial*, those that were used once: above 1/8 they push out each other, and what walks have too much of;
//! - *scans*, the blocks of walks: above 1/8 they push out each other, and nothing else. The block that a single key is then read from goes on trial; a walk changes
//!   nothing of a block that is kept for single keys or of metadata.
//!
//! So neither a listing of everything nor a pass over many cold objects pushes out what is hot. Each line evicts by
//! second chance.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use bytes::Bytes;

use crate::{
    budget::{CacheBudget, Ghosts, GivesWay, Side},
    index::ahead::{ReadAhead, WINDOW_BYTES},
    segment::Extent,
};

mod slots;

use slots::{Line, Slot, Slots};

/// File and offset of a block or a payload.
pub(crate) type Place = (File, u64);

/// A file that blocks or payloads are of. No number is used twice in a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum File {
    Table(u32),
    Segment(u32),
}

/// What a block is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Metadata,
    Point,
    Scan,
    Payload,
}

const USE_COUNT: usize = 4;

/// Uses of a kind that found their block or payload in the cache, and that did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// Found.
    pub hit_count: u64,
    /// Not found.
    pub miss_count: u64,
}

#[derive(Debug)]
pub(crate) struct Cache {
    budget: Rc<CacheBudget>,
    slots: RefCell<Slots>,
    /// What went that was kept for single keys, or as metadata.
    ghosts: RefCell<Ghosts<Place>>,
    figures: [Cell<CacheFigures>; USE_COUNT],
    /// The walks that go through it.
    pub(crate) ahead: ReadAhead,
    pub(crate) reads: Cell<u64>,
    pub(crate) filter_checks: Cell<u64>,
    pub(crate) filter_skips: Cell<u64>,
}

impl Cache {
    /// An empty cache, which joins `budget`.
    pub(crate) fn new(budget: Rc<CacheBudget>) -> Rc<Self> {
        let cache = Rc::new(Self {
            slots: RefCell::default(),
            ghosts: RefCell::new(Ghosts::new(budget.ghost_bytes())),
            budget,
            figures: Default::default(),
            ahead: ReadAhead::default(),
            reads: Cell::new(0),
            filter_checks: Cell::new(0),
            filter_skips: Cell::new(0),
        });
        let joining = Rc::downgrade(&cache);
        cache.budget.join(Side::Blocks, joining);
        cache
    }

    pub(crate) fn budget(&self) -> &Rc<CacheBudget> {
        &self.budget
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
        let line = match kind {
            Use::Metadata => Line::Metadata,
            Use::Point | Use::Payload => Line::Trial,
            Use::Scan => Line::Scan,
        };
        if kind == Use::Scan {
            return self.keep(place, Slot::new(content, line));
        }
        let regretted = self.ghosts.borrow_mut().take(place);
        if let Some(bytes) = regretted {
            self.budget.regret(Side::Blocks, bytes);
        }
        let line = if regretted.is_some() && line == Line::Trial { Line::Proven } else { line };
        self.keep(place, Slot::new(content, line));
    }

    /// Keeps a block that a walk will come to.
    pub(crate) fn insert_ahead(&self, place: Place, content: Bytes) {
        self.keep(place, Slot::awaited(content));
    }

    /// The payload at `extent`, if it is that of `key`: whose bytes are where is checked here as it is in segments.
    pub(crate) fn payload(&self, extent: Extent, key: &[u8]) -> Option<Bytes> {
        let content = self.get(payload_place(extent), Use::Payload)?;
        let rest = content.strip_prefix(&extent.encode())?.strip_prefix(key)?;
        (rest.len() == extent.data_bytes as usize).then(|| content.slice_ref(rest))
    }

    /// Keeps a whole payload, behind its extent and key, in memory of its own: a read's buffer is longer, and of the device's memory.
    pub(crate) fn insert_payload(&self, extent: Extent, key: &[u8], data: &Bytes) {
        let content = [extent.encode().as_slice(), key, data].concat();
        self.insert(payload_place(extent), Bytes::from(content), Use::Payload);
    }

    /// The most that a walk may read at once, in bytes: a part of what walks may keep, as there may be several.
    pub(crate) fn window_bytes_max(&self) -> u64 {
        WINDOW_BYTES.min((self.part(Line::Scan) / 4) as u64)
    }

    /// Forgets a removed file.
    pub(crate) fn forget(&self, file: File) {
        let slots = &mut *self.slots.borrow_mut();
        slots.forget(file);
        self.budget.hold(Side::Blocks, slots.bytes());
        self.ghosts.borrow_mut().forget((file, 0), (file, u64::MAX));
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.borrow().bytes()
    }

    pub(crate) fn figures(&self, kind: Use) -> CacheFigures {
        self.figures[kind as usize].get()
    }

    fn keep(&self, place: Place, slot: Slot) {
        let (line, cost) = (slot.line(), slot.cost());
        let most = if line == Line::Scan { self.part(line) } else { self.limit() };
        let slots = &mut *self.slots.borrow_mut();
        if cost > most || slots.contains(place) {
            return;
        }
        while let Some(victim) = self.victim(slots, line, cost) {
            self.evict(slots, victim);
        }
        if self.budget.make_room(Side::Blocks, cost) {
            slots.insert(place, slot);
            self.budget.hold(Side::Blocks, slots.bytes());
        }
    }

    /// Whose block has to go before one of `line` that costs this much comes in; none where there is room, or where
    /// chunks are to give way.
    fn victim(&self, slots: &Slots, line: Line, cost: usize) -> Option<Line> {
        let is_over = slots.bytes() + cost > self.limit();
        if !is_over && !self.budget.is_short_of(cost) {
            return None;
        }
        let after = |of: Line| slots.bytes_of(of) + if of == line { cost } else { 0 };
        let exceeds = |of: Line| slots.bytes_of(of) > 0 && after(of) > self.part(of);
        // What may turn out cold takes nothing from chunks while something colder has more than its part.
        let colder: &[Line] = match line {
            Line::Scan => &[Line::Scan],
            Line::Trial => &[Line::Scan, Line::Trial],
            Line::Metadata | Line::Proven => &[],
        };
        if let Some(of) = colder.iter().find(|of| exceeds(**of)) {
            return Some(*of);
        }
        if is_over { slots.first_to_go(exceeds) } else { None }
    }

    fn evict(&self, slots: &mut Slots, line: Line) {
        let (place, bytes) = slots.evict(line);
        // What walks leave behind says nothing of what more memory would be worth.
        if line != Line::Scan {
            self.ghosts.borrow_mut().add(place, bytes);
        }
        self.budget.hold(Side::Blocks, slots.bytes());
    }

    fn limit(&self) -> usize {
        self.budget.limit(Side::Blocks)
    }

    /// What a line may have of a full cache, in bytes.
    fn part(&self, line: Line) -> usize {
        match line {
            Line::Metadata => self.limit() / 4 * 3,
            Line::Proven => self.limit(),
            Line::Trial | Line::Scan => self.limit() / 8,
        }
    }
}

fn payload_place(extent: Extent) -> Place {
    (File::Segment(extent.segment), u64::from(extent.offset))
}

impl GivesWay for Cache {
    fn give_way(&self, bytes: usize) {
        let slots = &mut *self.slots.borrow_mut();
        let target = slots.bytes().saturating_sub(bytes);
        while slots.bytes() > target {
            let exceeds = |of: Line| slots.bytes_of(of) > self.part(of);
            let Some(line) = slots.first_to_go(exceeds) else { return };
            self.evict(slots, line);
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.budget.hold(Side::Blocks, 0);
    }
}

#[cfg(test)]
mod tests;
