//! Chunks that were read whole lately, within a budget of bytes.
//!
//! A chunk's bytes never change (a body's id is never used twice), so nothing here is ever stale; a reclaimed body is
//! just never asked for again. A chunk enters *on trial* and is kept for good from its second use on, so that one
//! pass over much data pushes out no more than the trial's share.

use std::collections::BTreeMap;

use anode_disk::wal::GroupId;
use anode_shards::object::BodyId;
use bytes::Bytes;

/// Names a chunk on its shard.
type Name = (GroupId, BodyId, u32);

/// Of four parts of the budget, one is for chunks on trial.
const TRIAL_SHARE: usize = 4;

/// The cache of one shard.
#[derive(Debug)]
pub(crate) struct ChunkCache {
    bytes_max: usize,
    entries: BTreeMap<Name, Entry>,
    trial: Queue,
    kept: Queue,
    ticks: u64,
    hits: u64,
    misses: u64,
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

impl Queue {
    fn add(&mut self, used: u64, name: Name, bytes: usize) {
        self.order.insert(used, name);
        self.bytes += bytes;
    }

    fn remove(&mut self, used: u64, bytes: usize) {
        self.order.remove(&used);
        self.bytes -= bytes;
    }
}

impl ChunkCache {
    /// An empty cache of at most `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            entries: BTreeMap::new(),
            trial: Queue::default(),
            kept: Queue::default(),
            ticks: 0,
            hits: 0,
            misses: 0,
        }
    }

    /// The whole chunk, where it is here.
    pub(crate) fn get(&mut self, name: Name) -> Option<Bytes> {
        let Some(entry) = self.entries.get_mut(&name) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        self.ticks += 1;
        let queue = if entry.is_kept { &mut self.kept } else { &mut self.trial };
        queue.remove(entry.used, entry.data.len());
        (entry.used, entry.is_kept) = (self.ticks, true);
        self.kept.add(entry.used, name, entry.data.len());
        let data = entry.data.clone();
        self.shrink();
        Some(data)
    }

    /// Takes a whole chunk in, on trial.
    pub(crate) fn insert(&mut self, name: Name, data: Bytes) {
        if data.len() > self.bytes_max / TRIAL_SHARE || self.entries.contains_key(&name) {
            return;
        }
        self.ticks += 1;
        self.trial.add(self.ticks, name, data.len());
        self.entries.insert(name, Entry { data, used: self.ticks, is_kept: false });
        self.shrink();
    }

    /// Uses that found their chunk here, and uses that did not.
    pub(crate) fn figures(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    /// Bytes of the chunks that are here.
    pub(crate) fn bytes(&self) -> usize {
        self.trial.bytes + self.kept.bytes
    }

    fn shrink(&mut self) {
        let trial_max = self.bytes_max / TRIAL_SHARE;
        while self.trial.bytes > trial_max {
            self.evict(false);
        }
        while self.kept.bytes > self.bytes_max - trial_max {
            self.evict(true);
        }
    }

    fn evict(&mut self, is_kept: bool) {
        let queue = if is_kept { &mut self.kept } else { &mut self.trial };
        let Some((_, name)) = queue.order.pop_first() else { return };
        if let Some(entry) = self.entries.remove(&name) {
            queue.bytes -= entry.data.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> Name {
        (1, BodyId(7), number)
    }

    fn chunk() -> Bytes {
        Bytes::from(vec![0; 100])
    }

    #[test]
    fn the_budget_holds_and_the_least_recently_used_goes() {
        let mut cache = ChunkCache::new(1600);
        for number in 0..4 {
            cache.insert(name(number), chunk());
            assert!(cache.get(name(number)).is_some());
        }
        for number in 4..100 {
            cache.insert(name(number), chunk());
            assert!(cache.get(name(number)).is_some());
            assert!(cache.get(name(0)).is_some(), "what is used stays");
            assert!((1..=1600).contains(&cache.bytes()));
        }
        assert!(cache.get(name(1)).is_none());
    }

    #[test]
    fn one_pass_over_much_data_leaves_what_was_used_twice() {
        let mut cache = ChunkCache::new(1600);
        for number in 0..12 {
            cache.insert(name(number), chunk());
            assert!(cache.get(name(number)).is_some());
        }
        for number in 1000..2000 {
            cache.insert(name(number), chunk());
        }
        assert!((0..12).all(|number| cache.get(name(number)).is_some()));
        assert_eq!(cache.figures(), (24, 0));
    }
}
