//! The names of what a cache let go lately, without the bytes.

use std::collections::BTreeMap;

/// The shortest content of which a name is worth its memory, in bytes: there are no more names than budget for such.
const CONTENT_BYTES_MIN: usize = 16 << 10;
/// Names that are remembered by the smallest cache.
const NAME_COUNT_MIN: usize = 16;

/// Names by when they were let go, the oldest first to be forgotten.
#[derive(Debug)]
pub struct Ghosts<N> {
    bytes_max: usize,
    bytes: usize,
    names: BTreeMap<N, Ghost>,
    order: BTreeMap<u64, N>,
    ticks: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ghost {
    bytes: usize,
    tick: u64,
}

impl<N: Ord + Copy> Ghosts<N> {
    /// Remembers the names of contents of up to `bytes_max` bytes together.
    pub fn new(bytes_max: usize) -> Self {
        let (names, order) = (BTreeMap::new(), BTreeMap::new());
        Self { bytes_max, bytes: 0, names, order, ticks: 0 }
    }

    /// A content of `bytes` was let go.
    pub fn add(&mut self, name: N, bytes: usize) {
        self.take(name);
        self.ticks += 1;
        self.names.insert(name, Ghost { bytes, tick: self.ticks });
        self.order.insert(self.ticks, name);
        self.bytes += bytes;
        let count_max = (self.bytes_max / CONTENT_BYTES_MIN).max(NAME_COUNT_MIN);
        while self.bytes > self.bytes_max || self.names.len() > count_max {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            if let Some(ghost) = self.names.remove(&oldest) {
                self.bytes -= ghost.bytes;
            }
        }
    }

    /// Forgets a name. The length of its content, where it was known.
    pub fn take(&mut self, name: N) -> Option<usize> {
        let ghost = self.names.remove(&name)?;
        self.order.remove(&ghost.tick);
        self.bytes -= ghost.bytes;
        Some(ghost.bytes)
    }

    /// Forgets the names from `first` to `last`.
    pub fn forget(&mut self, first: N, last: N) {
        let names: Vec<N> = self.names.range(first..=last).map(|(name, _)| *name).collect();
        for name in names {
            self.take(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CONTENT_BYTES_MIN, Ghosts, NAME_COUNT_MIN};

    #[test]
    fn the_oldest_is_forgotten_by_bytes_and_by_count() {
        let mut ghosts = Ghosts::new(10 * CONTENT_BYTES_MIN);
        for name in 0..20 {
            ghosts.add(name, CONTENT_BYTES_MIN);
        }
        assert_eq!(ghosts.bytes, 10 * CONTENT_BYTES_MIN);
        assert_eq!(ghosts.take(9), None);
        assert_eq!(ghosts.take(10), Some(CONTENT_BYTES_MIN));
        assert_eq!(ghosts.take(10), None, "once");
        for name in 100..200 {
            ghosts.add(name, 1);
        }
        assert_eq!(ghosts.names.len(), NAME_COUNT_MIN);
        assert_eq!(ghosts.order.len(), NAME_COUNT_MIN);
        ghosts.forget(0, 190);
        assert_eq!((ghosts.names.len(), ghosts.bytes), (9, 9));
        ghosts.add(199, 5);
        assert_eq!((ghosts.names.len(), ghosts.bytes), (9, 13), "a name counts once");
    }
}
