//! A set of keys as ranges: ascending, disjoint, with a gap between each two.

use std::ops::Range;

use bytes::Bytes;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<Range<Bytes>>);

impl Ranges {
    /// The set of these ranges, if they are as the set has them.
    pub(crate) fn from_sorted(ranges: Vec<Range<Bytes>>) -> Option<Self> {
        let is_sorted = ranges.iter().all(|range| range.start < range.end)
            && ranges.windows(2).all(|pair| pair[0].end < pair[1].start);
        is_sorted.then_some(Self(ranges))
    }

    /// Adds the keys from `range.start` to before `range.end`.
    pub(crate) fn add(&mut self, range: &Range<Bytes>) {
        if range.start >= range.end {
            return;
        }
        // Those that overlap it or touch it become one with it.
        let first = self.0.partition_point(|held| held.end < range.start);
        let behind = self.0.partition_point(|held| held.start <= range.end);
        let mut whole = range.clone();
        if let Some(held) = self.0[first..behind].first() {
            whole.start = whole.start.min(held.start.clone());
        }
        if let Some(held) = self.0[first..behind].last() {
            whole.end = whole.end.max(held.end.clone());
        }
        self.0.splice(first..behind, [whole]);
    }

    /// Adds all keys of `other`.
    pub(crate) fn unite(&mut self, other: &Self) {
        for range in &other.0 {
            self.add(range);
        }
    }

    /// The end of the range that `key` is in.
    pub(crate) fn end_of(&self, key: &[u8]) -> Option<&Bytes> {
        let behind = self.0.partition_point(|range| range.start.as_ref() <= key);
        let range = &self.0[behind.checked_sub(1)?];
        (key < range.end.as_ref()).then_some(&range.end)
    }

    /// Whether every key of `smallest..=largest` is in it.
    pub(crate) fn covers(&self, smallest: &[u8], largest: &[u8]) -> bool {
        self.end_of(smallest).is_some_and(|end| largest < end.as_ref())
    }

    /// The set of those ranges that have a key of `smallest..=largest`.
    pub(crate) fn within(&self, smallest: &[u8], largest: &[u8]) -> Self {
        let first = self.0.partition_point(|range| range.end.as_ref() <= smallest);
        let behind = self.0.partition_point(|range| range.start.as_ref() <= largest);
        Self(self.0.get(first..behind).unwrap_or_default().to_vec())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Range<Bytes>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;

    use super::Ranges;
    use crate::testing::Random;

    fn key(number: u64) -> Bytes {
        Bytes::from(vec![u8::try_from(number).unwrap()])
    }

    #[test]
    fn it_holds_what_a_set_of_keys_holds() {
        for seed in 0..200 {
            let (mut random, mut ranges, mut model) =
                (Random::new(seed), Ranges::default(), BTreeSet::new());
            for _ in 0..12 {
                let (start, end) = (random.below(60), random.below(60));
                ranges.add(&(key(start)..key(end)));
                model.extend(start..end);
                assert!(Ranges::from_sorted(ranges.0.clone()).is_some(), "seed {seed}: {ranges:?}");
                for number in 0..60 {
                    let end = ranges.end_of(&key(number));
                    assert_eq!(end.is_some(), model.contains(&number), "seed {seed}");
                    let free = (number..120).find(|number| !model.contains(number)).map(key);
                    assert!(end.is_none() || end == free.as_ref(), "seed {seed}");
                }
                let (low, high) = (random.below(50), random.below(10));
                let high = low + high;
                let covers = (low..=high).all(|number| model.contains(&number));
                assert_eq!(ranges.covers(&key(low), &key(high)), covers, "seed {seed}");
                let within = ranges.within(&key(low), &key(high));
                for number in low..=high {
                    let held = within.end_of(&key(number)).is_some();
                    assert_eq!(held, model.contains(&number), "seed {seed}");
                }
                assert!(within.len() <= 6, "seed {seed}: some of {ranges:?} have no such key");
            }
        }
    }

    #[test]
    fn ranges_that_are_not_in_order_are_refused() {
        let (one, two) = (key(1)..key(3), key(3)..key(5));
        assert!(Ranges::from_sorted(vec![one.clone(), two.clone()]).is_none(), "they touch");
        assert!(Ranges::from_sorted(vec![two, one]).is_none());
        assert!(Ranges::from_sorted(vec![key(2)..key(2)]).is_none(), "it is empty");
    }
}
