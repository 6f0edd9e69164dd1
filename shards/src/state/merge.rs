//! Merges the listings of several groups into one, in order, each common prefix once.
//!
//! Pull-based: [`Merge::wants`] says of which groups a page is needed to go on, [`Merge::feed`] takes it. An entry goes
//! out when no group can still have anything before it. Keys are spread over the groups by their hash: so a group is asked
//! for its share of what is missing and a little more, and for twice as much each time it runs out first. Whenever the caller stops, what [`Merge::finish`] returns is
//! complete up to its `next`.

use std::collections::VecDeque;

use super::page::{ListEntry, ListPage, Listed, Position};

/// A page that is needed of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Which group, by its place, from 0.
    pub place: usize,
    /// Where its page begins.
    pub start: Position,
    /// How many entries it need have at most.
    pub entries_max: usize,
}

/// A listing of several groups in the making.
#[derive(Debug)]
pub struct Merge<T> {
    sources: Vec<Source<T>>,
    entries: Vec<ListEntry<T>>,
    entries_max: usize,
    start: Position,
    /// There is something behind the last entry that fits.
    more: bool,
}

#[derive(Debug)]
struct Source<T> {
    entries: VecDeque<ListEntry<T>>,
    /// Where its next page begins; none where there is none.
    next: Option<Position>,
    /// How many pages it gave.
    page_count: u32,
}

impl<T> Merge<T> {
    /// A listing of this many groups from `start`, of up to `entries_max` entries.
    pub fn new(sources: usize, start: &Position, entries_max: usize) -> Self {
        let source =
            || Source { entries: VecDeque::new(), next: Some(start.clone()), page_count: 0 };
        Self {
            sources: std::iter::repeat_with(source).take(sources).collect(),
            entries: Vec::new(),
            entries_max,
            start: start.clone(),
            more: false,
        }
    }

    /// Of which groups a page is needed. Empty: it is done.
    pub fn wants(&self) -> Vec<Want> {
        if self.more || self.entries_max == 0 {
            return Vec::new();
        }
        let starved = self.sources.iter().enumerate().filter(|(_, source)| source.is_starved());
        let want = |(place, source): (usize, &Source<T>)| {
            let start = source.next.clone()?;
            Some(Want { place, start, entries_max: self.entries_wanted(source) })
        };
        starved.filter_map(want).collect()
    }

    /// Where all groups have as many keys, one has more than its share and three standard deviations once in a thousand
    /// pages. Where one has nearly all, doubling gets there in a few pages.
    fn entries_wanted(&self, source: &Source<T>) -> usize {
        let missing = (self.entries_max - self.entries.len()).max(1);
        let share = missing.div_ceil(self.sources.len().max(1));
        let first = share + 3 * share.isqrt() + 2;
        first.checked_shl(source.page_count).unwrap_or(missing).clamp(1, missing)
    }

    /// Takes the page that was wanted of a group.
    ///
    /// # Panics
    ///
    /// Where there is no such group.
    pub fn feed(&mut self, place: usize, page: ListPage<T>) {
        let source = self.sources.get_mut(place).expect("a page is of a group that was asked");
        source.entries.extend(page.entries);
        source.next = page.next;
        source.page_count += 1;
        self.advance();
    }

    /// The page so far. It has a `next` where there is more, or where wanted pages were not fed.
    pub fn finish(self) -> ListPage<T> {
        if self.entries_max == 0 {
            return ListPage { entries: Vec::new(), next: None };
        }
        let last = self.entries.last().map_or(self.start, |entry| entry.end.clone());
        let next = if self.more {
            Some(last)
        } else {
            let starved = self.sources.iter().filter(|source| source.is_starved());
            starved.filter_map(|source| source.next.clone()).min().map(|known| known.max(last))
        };
        ListPage { entries: self.entries, next }
    }

    fn advance(&mut self) {
        while let Some(place) = self.first() {
            if self.entries.len() == self.entries_max {
                self.more = true;
                return;
            }
            let source = self.sources.get_mut(place).expect("it was found a moment ago");
            let entry = source.entries.pop_front().expect("it was found a moment ago");
            if matches!(entry.listed, Listed::Prefix(_)) {
                self.skip(&entry.end);
            }
            self.entries.push(entry);
        }
    }

    /// The group whose first entry is the next one, where that is certain.
    fn first(&self) -> Option<usize> {
        let fronts = self.sources.iter().enumerate();
        let fronts = fronts.filter_map(|(place, source)| Some((source.entries.front()?, place)));
        let (entry, place) = fronts.min_by(|(one, _), (other, _)| one.end.cmp(&other.end))?;
        let mut starved = self.sources.iter().filter(|source| source.is_starved()).peekable();
        if starved.peek().is_none() {
            return Some(place);
        }
        let start = entry.start();
        let certain = starved.all(|source| source.next.as_ref().is_none_or(|next| start <= *next));
        certain.then_some(place)
    }

    /// Passes over what a common prefix stands for, in every group.
    fn skip(&mut self, end: &Position) {
        for source in &mut self.sources {
            while source.entries.front().is_some_and(|entry| entry.end <= *end) {
                source.entries.pop_front();
            }
            if let Some(next) = &mut source.next
                && *next < *end
            {
                next.clone_from(end);
            }
        }
    }
}

impl<T> Source<T> {
    fn is_starved(&self) -> bool {
        self.entries.is_empty() && self.next.is_some()
    }
}

#[cfg(test)]
mod tests;
