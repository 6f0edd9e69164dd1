//! The newest changes, in memory, in key order.
//!
//! Keys, values and inline payloads are copied in, so that the byte count is true: what is handed over is often a
//! small part of a large network or WAL buffer.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;

use crate::{
    index::entry::{Change, Payload, detach},
    segment::Extent,
};

/// What an entry costs beyond its bytes: the tree's slot and three shared buffers.
const ENTRY_OVERHEAD_BYTES: usize = 192;

#[derive(Debug, Default)]
pub(crate) struct Memtable {
    entries: BTreeMap<Bytes, Change>,
    bytes: usize,
    /// Payload bytes that only older memtables and tables refer to, and that its tombstones let go of.
    pub(crate) released_bytes: u64,
}

impl Memtable {
    /// Sets or deletes a key. Returns the extent whose pin the replaced entry held.
    pub(crate) fn insert(&mut self, key: &Bytes, change: &Change) -> Option<Extent> {
        let owned = change.as_ref().map(detach);
        self.bytes += cost(key, &owned);
        let Some(slot) = self.entries.get_mut(key) else {
            self.entries.insert(Bytes::copy_from_slice(key), owned);
            return None;
        };
        let replaced = std::mem::replace(slot, owned);
        self.bytes -= cost(key, &replaced);
        extent_of(&replaced)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Change> {
        self.entries.get(key)
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The changes from `start` to before `end`.
    pub(crate) fn range<'a>(
        &'a self,
        start: Bound<&'a [u8]>,
        end: Bound<&'a [u8]>,
    ) -> Option<impl Iterator<Item = (&'a Bytes, &'a Change)>> {
        // BTreeMap panics on a range that is upside down.
        let empty = match (start, end) {
            (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high)) => low >= high,
            (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high)) => low > high,
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        };
        (!empty).then(|| self.entries.range::<[u8], _>((start, end)))
    }

    /// Every extent that it holds a pin of.
    pub(crate) fn extents(&self) -> impl Iterator<Item = Extent> {
        self.entries.values().filter_map(extent_of)
    }
}

/// The extent that a change refers to.
pub(crate) fn extent_of(change: &Change) -> Option<Extent> {
    match change.as_ref()?.payload {
        Payload::Extent(extent) => Some(extent),
        Payload::None | Payload::Inline(_) => None,
    }
}

fn cost(key: &Bytes, change: &Change) -> usize {
    let held = match change {
        None => 0,
        Some(entry) => {
            entry.value.len()
                + match &entry.payload {
                    Payload::Inline(bytes) => bytes.len(),
                    Payload::None | Payload::Extent(_) => 0,
                }
        }
    };
    ENTRY_OVERHEAD_BYTES + key.len() + held
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use bytes::Bytes;

    use super::{ENTRY_OVERHEAD_BYTES, Memtable};
    use crate::{
        index::entry::{Entry, Payload},
        segment::Extent,
    };

    #[test]
    fn a_replaced_extent_is_handed_back_and_bytes_stay_true() {
        let extent = Extent { segment: 1, offset: 0, header_bytes: 40, data_bytes: 10 };
        let key = Bytes::from_static(b"key");
        let mut memtable = Memtable::default();
        let put =
            Some(Entry { value: Bytes::from_static(b"12345"), payload: Payload::Extent(extent) });
        assert_eq!(memtable.insert(&key, &put), None);
        assert_eq!(memtable.bytes(), ENTRY_OVERHEAD_BYTES + 8);
        assert_eq!(memtable.insert(&key, &None), Some(extent));
        assert_eq!(memtable.bytes(), ENTRY_OVERHEAD_BYTES + 3);
        assert_eq!(memtable.insert(&key, &None), None);
        assert_eq!(memtable.get(b"key"), Some(&None));
    }

    #[test]
    fn an_upside_down_range_is_empty() {
        let memtable = Memtable::default();
        assert!(memtable.range(Bound::Excluded(b"b"), Bound::Excluded(b"b")).is_none());
        assert!(memtable.range(Bound::Included(b"c"), Bound::Excluded(b"b")).is_none());
        assert!(memtable.range(Bound::Included(b"a"), Bound::Excluded(b"b")).is_some());
    }
}
