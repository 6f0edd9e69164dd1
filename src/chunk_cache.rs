//! Chunks that were read whole lately, on one side of the budget that they share with the block cache.
//!
//! A chunk's bytes never change (a body's id is never used twice), so nothing here is ever stale; a reclaimed body is
//! just never asked for again. A chunk enters *on trial* and is kept for good from its second use on, or when it is
//! read again soon after it was let go. So one pass over much data pushes out no more than the trial's part.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use anode_disk::{
    budget::{CacheBudget, Ghosts, GivesWay, Side},
    wal::GroupId,
};
use anode_shards::object::BodyId;
use bytes::Bytes;

/// Names a chunk on its shard.
type Name = (GroupId, BodyId, u32);

/// Of four parts of what the cache may hold, one is for chunks on trial; one chunk may always be.
const TRIAL_PART: usize = 4;
/// What a chunk costs beyond its bytes: they share the memory of the read, which has the header and whole sectors.
const ENTRY_OVERHEAD_BYTES: usize = 8 << 10;

/// The cache of one shard.
#[derive(Debug)]
pub(crate) struct ChunkCache {
    budget: Rc<CacheBudget>,
    chunks: RefCell<Chunks>,
    ghosts: RefCell<Ghosts<Name>>,
    hits: Cell<u64>,
    misses: Cell<u64>,
}

#[derive(Debug, Default)]
struct Chunks {
    entries: BTreeMap<Name, Entry>,
    trial: Queue,
    kept: Queue,
    ticks: u64,
}

#[derive(Debug)]
struct Entry {
    data: Bytes,
    used: u64,
    is_kept: bool,
}

/// Chunks by their last use, the oldest first.
#[derive(Debug, Default)]
struct Queue {
    order: BTreeMap<u64, Name>,
    bytes: usize,
}

impl ChunkCache {
    /// An empty cache, which joins `budget`.
    pub(crate) fn new(budget: Rc<CacheBudget>) -> Rc<Self> {
        let cache = Rc::new(Self {
            ghosts: RefCell::new(Ghosts::new(budget.ghost_bytes())),
            budget,
            chunks: RefCell::default(),
            hits: Cell::new(0),
            misses: Cell::new(0),
        });
        let joining = Rc::downgrade(&cache);
        cache.budget.join(Side::Chunks, joining);
        cache
    }

    /// The whole chunk, where it is here.
    pub(crate) fn get(&self, name: Name) -> Option<Bytes> {
        let found = self.chunks.borrow_mut().get(name);
        let count = if found.is_some() { &self.hits } else { &self.misses };
        count.set(count.get() + 1);
        found
    }

    /// Takes a whole chunk in, on trial unless it was here lately.
    pub(crate) fn insert(&self, name: Name, data: Bytes) {
        let cost = data.len() + ENTRY_OVERHEAD_BYTES;
        let chunks = &mut *self.chunks.borrow_mut();
        if chunks.entries.contains_key(&name) {
            return;
        }
        let regretted = self.ghosts.borrow_mut().take(name);
        if let Some(bytes) = regretted {
            self.budget.regret(Side::Chunks, bytes);
        }
        if cost > self.limit() {
            // A share of less than a chunk grows back if this one is read again.
            self.ghosts.borrow_mut().add(name, cost);
            return;
        }
        let is_kept = regretted.is_some();
        while self.must_evict(chunks, cost, is_kept) {
            self.evict(chunks, if is_kept { 0 } else { cost });
        }
        if self.budget.make_room(Side::Chunks, cost) {
            chunks.insert(name, Entry { data, used: 0, is_kept });
            self.budget.hold(Side::Chunks, chunks.bytes());
        }
    }

    /// Uses that found their chunk here, and uses that did not.
    pub(crate) fn figures(&self) -> (u64, u64) {
        (self.hits.get(), self.misses.get())
    }

    /// What the chunks that are here take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.borrow().bytes()
    }

    fn limit(&self) -> usize {
        self.budget.limit(Side::Chunks)
    }

    /// Whether a chunk has to go before one that costs this much comes in; where blocks can give way, only one on trial
    /// for another.
    fn must_evict(&self, chunks: &Chunks, cost: usize, is_kept: bool) -> bool {
        if chunks.bytes() + cost > self.limit() {
            return true;
        }
        !is_kept && self.budget.is_short_of(cost) && self.trial_exceeds(chunks, cost)
    }

    fn trial_exceeds(&self, chunks: &Chunks, cost: usize) -> bool {
        chunks.trial.bytes > 0 && chunks.trial.bytes + cost > self.limit() / TRIAL_PART
    }

    /// Lets one chunk go: on trial, where those and `trial_cost` more exceed their part.
    fn evict(&self, chunks: &mut Chunks, trial_cost: usize) {
        let is_kept = !self.trial_exceeds(chunks, trial_cost);
        let evicted = chunks.evict(is_kept).or_else(|| chunks.evict(!is_kept));
        if let Some((name, bytes)) = evicted {
            self.ghosts.borrow_mut().add(name, bytes);
        }
        self.budget.hold(Side::Chunks, chunks.bytes());
    }
}

impl GivesWay for ChunkCache {
    fn give_way(&self, bytes: usize) {
        let chunks = &mut *self.chunks.borrow_mut();
        let target = chunks.bytes().saturating_sub(bytes);
        while chunks.bytes() > target {
            self.evict(chunks, 0);
        }
    }
}

impl Drop for ChunkCache {
    fn drop(&mut self) {
        self.budget.hold(Side::Chunks, 0);
    }
}

impl Chunks {
    fn bytes(&self) -> usize {
        self.trial.bytes + self.kept.bytes
    }

    fn get(&mut self, name: Name) -> Option<Bytes> {
        let mut entry = self.entries.remove(&name)?;
        self.queue(entry.is_kept).remove(&entry);
        let data = entry.data.clone();
        entry.is_kept = true;
        self.insert(name, entry);
        Some(data)
    }

    fn insert(&mut self, name: Name, mut entry: Entry) {
        self.ticks += 1;
        entry.used = self.ticks;
        self.queue(entry.is_kept).add(name, &entry);
        self.entries.insert(name, entry);
    }

    /// Removes the least recently used chunk of those that are kept, or of those on trial; and what it cost.
    fn evict(&mut self, is_kept: bool) -> Option<(Name, usize)> {
        let name = *self.queue(is_kept).order.first_key_value()?.1;
        let entry = self.entries.remove(&name).expect("every chunk in a queue is there");
        self.queue(is_kept).remove(&entry);
        Some((name, entry.cost()))
    }

    fn queue(&mut self, is_kept: bool) -> &mut Queue {
        if is_kept { &mut self.kept } else { &mut self.trial }
    }
}

impl Entry {
    fn cost(&self) -> usize {
        self.data.len() + ENTRY_OVERHEAD_BYTES
    }
}

impl Queue {
    fn add(&mut self, name: Name, entry: &Entry) {
        self.order.insert(entry.used, name);
        self.bytes += entry.cost();
    }

    fn remove(&mut self, entry: &Entry) {
        self.order.remove(&entry.used);
        self.bytes -= entry.cost();
    }
}

#[cfg(test)]
mod tests;
