//! Which of the keys that a load adds may be read already: those before the first that isn't answered for.

use std::collections::BTreeSet;

/// Keys added while a load runs.
#[derive(Debug)]
pub(crate) struct Inserts {
    next: u64,
    /// Asked for and not acknowledged; one that failed stays here for good.
    open: BTreeSet<u64>,
}

impl Inserts {
    /// So many keys are there at first.
    pub(crate) fn new(key_count: u64) -> Self {
        Self { next: key_count, open: BTreeSet::new() }
    }

    /// All keys below this are there.
    pub(crate) fn readable(&self) -> u64 {
        self.open.first().copied().unwrap_or(self.next)
    }

    /// The number of a new key.
    pub(crate) fn begin(&mut self) -> u64 {
        self.open.insert(self.next);
        self.next += 1;
        self.next - 1
    }

    /// It has been acknowledged.
    pub(crate) fn acknowledge(&mut self, number: u64) {
        self.open.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::Inserts;

    #[test]
    fn a_key_is_readable_when_all_before_it_are_acknowledged() {
        let mut inserts = Inserts::new(10);
        let numbers = [inserts.begin(), inserts.begin(), inserts.begin()];
        assert_eq!((numbers, inserts.readable()), ([10, 11, 12], 10));
        inserts.acknowledge(11);
        assert_eq!(inserts.readable(), 10);
        inserts.acknowledge(10);
        assert_eq!(inserts.readable(), 12);
        inserts.acknowledge(12);
        assert_eq!((inserts.readable(), inserts.begin()), (13, 13));
    }
}
