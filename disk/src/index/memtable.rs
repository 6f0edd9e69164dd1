//! The newest changes, in memory, in key order.
//!
//! Keys, values and inline payloads are copied in, so that the byte count is true: what is handed over is often a
//! small part of a large network or WAL buffer.
//!
//! A range that is removed takes its keys along and stays as a range: older than every key that is in the memtable
//! then or later, newer than all that memtables and tables before it hold.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
};

use bytes::Bytes;

use crate::{
    index::{
        entry::{Change, Payload, detach},
        notify::give_way,
        ranges::Ranges,
    },
    segment::Extent,
};

/// What an entry costs beyond its bytes: the tree's slot and three shared buffers.
const ENTRY_OVERHEAD_BYTES: usize = 192;
/// Entries let go of or freed between two moments at which other tasks may run: some 100 us.
pub(crate) const HANDLED_AT_ONCE: usize = 1024;
/// What is said of a key that was removed.
const REMOVED: &Change = &None;

#[derive(Debug, Default)]
pub(crate) struct Memtable {
    entries: BTreeMap<Bytes, Change>,
    removed: Ranges,
    bytes: usize,
    /// Payload bytes that only older memtables and tables refer to, and that its tombstones let go of.
    pub(crate) released_bytes: u64,
    /// The same for its ranges; these bytes come free with its flush already.
    pub(crate) struck_bytes: u64,
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

    /// Removes the keys from `range.start` to before `range.end`. Returns the extents whose pins their entries held.
    pub(crate) fn remove_range(&mut self, range: &Range<Bytes>) -> Vec<Extent> {
        let keys: Vec<Bytes> =
            self.entries.range(range.clone()).map(|(key, _)| key.clone()).collect();
        let mut extents = Vec::new();
        for key in keys {
            if let Some(change) = self.entries.remove(&key) {
                self.bytes -= cost(&key, &change);
                extents.extend(extent_of(&change));
            }
        }
        self.removed.add(&Range {
            start: Bytes::copy_from_slice(&range.start),
            end: Bytes::copy_from_slice(&range.end),
        });
        self.bytes += ENTRY_OVERHEAD_BYTES + range.start.len() + range.end.len();
        extents
    }

    pub(crate) fn removed(&self) -> &Ranges {
        &self.removed
    }

    /// What became of a key, if it knows that.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Change> {
        self.entries.get(key).or_else(|| self.removed.end_of(key).map(|_| REMOVED))
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.has_keys() && self.removed.is_empty()
    }

    /// Whether it has anything for a table.
    pub(crate) fn has_keys(&self) -> bool {
        !self.entries.is_empty()
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

    /// Of each entry the extent that it holds a pin of, if any.
    pub(crate) fn pins(&self) -> impl Iterator<Item = Option<Extent>> {
        self.entries.values().map(extent_of)
    }

    /// Frees its memory a lot at a time: at once, a full memtable keeps the core for ten milliseconds.
    pub(crate) async fn dissolve(self) {
        let mut entries = self.entries.into_iter();
        while entries.by_ref().take(HANDLED_AT_ONCE).count() > 0 {
            give_way().await;
        }
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
    use std::{
        future::Future,
        ops::Bound,
        pin::pin,
        task::{Context, Waker},
    };

    use bytes::Bytes;

    use super::{ENTRY_OVERHEAD_BYTES, HANDLED_AT_ONCE, Memtable};
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
    fn a_range_takes_its_keys_along_and_later_ones_are_newer() {
        let entry = || Some(Entry { value: Bytes::from_static(b"12345"), payload: Payload::None });
        let key = |text: &'static str| Bytes::from_static(text.as_bytes());
        let mut memtable = Memtable::default();
        for text in ["a", "b", "c"] {
            memtable.insert(&key(text), &entry());
        }
        memtable.remove_range(&(key("b")..key("c")));
        memtable.insert(&key("bb"), &entry());
        let found = ["a", "b", "bb", "bbb", "c", "d"].map(|text| memtable.get(text.as_bytes()));
        let (held, gone) = (entry(), None);
        assert_eq!(found, [Some(&held), Some(&gone), Some(&held), Some(&gone), Some(&held), None]);
        assert_eq!(memtable.bytes(), 3 * (ENTRY_OVERHEAD_BYTES + 5) + 4 + ENTRY_OVERHEAD_BYTES + 2);
    }

    #[test]
    fn it_is_freed_a_lot_at_a_time() {
        let mut memtable = Memtable::default();
        for number in 0..3 * HANDLED_AT_ONCE {
            memtable.insert(&Bytes::from(format!("{number:06}")), &None);
        }
        let mut context = Context::from_waker(Waker::noop());
        let mut freed = pin!(memtable.dissolve());
        let rests = (0..10).take_while(|_| freed.as_mut().poll(&mut context).is_pending()).count();
        assert_eq!(rests, 3);
    }

    #[test]
    fn an_upside_down_range_is_empty() {
        let memtable = Memtable::default();
        assert!(memtable.range(Bound::Excluded(b"b"), Bound::Excluded(b"b")).is_none());
        assert!(memtable.range(Bound::Included(b"c"), Bound::Excluded(b"b")).is_none());
        assert!(memtable.range(Bound::Included(b"a"), Bound::Excluded(b"b")).is_some());
    }
}
