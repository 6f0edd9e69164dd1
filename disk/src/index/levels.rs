//! Which tables there are, newest first, as one immutable list; and what to compact next.
//!
//! Level zero holds flushed tables, newest first, with ranges that overlap. Each deeper level is a run: ranges
//! ascend and are disjoint. For any key, a higher level (and in level zero, a higher id) is newer. So one key has
//! its newest change in the first table that knows it, and a tombstone may go where no deeper table may hold the key.
//!
//! A range that was removed is *hidden* in the tables that had been there: a table that lies in it leaves the list,
//! unread, and of one that reaches out of it the list says which keys count no more, until it is rewritten without
//! them. A table that was found *damaged* is part of no job any more, and neither is what can't pass it without
//! getting out of order: a newer table that overlaps it in level zero, and one above that would be merged into it.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use bytes::Bytes;

use crate::{
    device::Directory,
    index::{
        options::{IndexOptions, LEVEL_COUNT},
        ranges::Ranges,
        table::reader::Table,
    },
};

/// Tombstones are pushed down when there is one for this many entries below them: the dead stay below this share.
const TOMBSTONE_SHARE: u64 = 8;

/// By table, the keys in it that count no more.
pub(crate) type Hidden = BTreeMap<u32, Rc<Ranges>>;

/// A table and its level.
pub(crate) type Placed<D> = (usize, Rc<Table<D>>);

/// Tables of one level.
pub(crate) type Run<D> = Vec<Rc<Table<D>>>;

pub(crate) struct Version<D: Directory> {
    pub(crate) levels: Vec<Run<D>>,
    pub(crate) hidden: Rc<Hidden>,
    /// Tables that could not be opened whole, or that compaction could not read.
    pub(crate) damaged: BTreeSet<u32>,
}

/// One piece of compaction.
pub(crate) struct Job<D: Directory> {
    /// Runs, newest first.
    pub(crate) inputs: Vec<Run<D>>,
    pub(crate) level: usize,
    /// Move the extents of this segment elsewhere on the way.
    pub(crate) relocate: Option<u32>,
}

impl<D: Directory> Job<D> {
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Rc<Table<D>>> {
        self.inputs.iter().flatten()
    }

    /// A single table without tombstones or hidden keys that nothing below overlaps only changes its level.
    pub(crate) fn is_move(&self, hidden: &Hidden) -> bool {
        let mut tables = self.tables();
        self.relocate.is_none()
            && tables.next().is_some_and(|table| {
                table.meta.tombstones == 0 && !hidden.contains_key(&table.meta.id)
            })
            && tables.next().is_none()
    }
}

impl<D: Directory> Version<D> {
    pub(crate) fn empty() -> Self {
        Self {
            levels: vec![Vec::new(); LEVEL_COUNT],
            hidden: Rc::default(),
            damaged: BTreeSet::new(),
        }
    }

    /// The list without `removed`, with `added` at their levels, and with these tables' hidden keys as given.
    pub(crate) fn changed(
        &self,
        removed: &BTreeSet<u32>,
        added: &[Placed<D>],
        hidden: &Hidden,
    ) -> Self {
        let mut levels: Vec<Run<D>> = self
            .levels
            .iter()
            .map(|level| {
                level.iter().filter(|table| !removed.contains(&table.meta.id)).cloned().collect()
            })
            .collect();
        for (level, table) in added {
            levels[*level].push(Rc::clone(table));
        }
        let mut all = Hidden::clone(&self.hidden);
        all.extend(hidden.iter().map(|(id, ranges)| (*id, Rc::clone(ranges))));
        all.retain(|id, _| !removed.contains(id));
        let damaged = self.damaged.difference(removed).copied().collect();
        let mut version = Self { levels, hidden: Rc::new(all), damaged };
        version.sort();
        assert!(version.is_ordered(), "the tables of a level are disjoint");
        version
    }

    /// The same list, with this table out of all jobs.
    pub(crate) fn without(&self, damaged: u32) -> Self {
        let mut all = self.damaged.clone();
        all.insert(damaged);
        Self { levels: self.levels.clone(), hidden: Rc::clone(&self.hidden), damaged: all }
    }

    /// What a removal of `ranges` does to the tables: which of them go, and what is hidden in others from then on.
    pub(crate) fn struck(&self, ranges: &Ranges) -> (Run<D>, Hidden) {
        let mut covered = Vec::new();
        let mut hidden = Hidden::new();
        for table in self.tables() {
            let (smallest, largest) = (&table.meta.smallest, &table.meta.largest);
            let mut own = ranges.within(smallest, largest);
            if own.is_empty() {
                continue;
            }
            if let Some(before) = self.hidden.get(&table.meta.id) {
                own.unite(before);
            }
            if own.covers(smallest, largest) {
                covered.push(Rc::clone(table));
            } else {
                hidden.insert(table.meta.id, Rc::new(own));
            }
        }
        (covered, hidden)
    }

    /// Whether what the table says of `key` counts no more.
    pub(crate) fn hides(&self, table: &Table<D>, key: &[u8]) -> bool {
        self.hidden.get(&table.meta.id).is_some_and(|ranges| ranges.end_of(key).is_some())
    }

    /// Puts each level in its order.
    pub(crate) fn sort(&mut self) {
        for (depth, level) in self.levels.iter_mut().enumerate() {
            if depth == 0 {
                level.sort_by_key(|table| std::cmp::Reverse(table.meta.id));
            } else {
                level.sort_by(|left, right| left.meta.smallest.cmp(&right.meta.smallest));
            }
        }
    }

    /// Whether the tables of each deeper level are disjoint.
    pub(crate) fn is_ordered(&self) -> bool {
        self.levels[1..]
            .iter()
            .all(|level| level.windows(2).all(|pair| pair[0].meta.largest < pair[1].meta.smallest))
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = &Rc<Table<D>>> {
        self.levels.iter().flatten()
    }

    /// The tables that may hold `key`, newest first.
    pub(crate) fn candidates<'a>(
        &'a self,
        key: &'a [u8],
    ) -> impl Iterator<Item = &'a Rc<Table<D>>> {
        let flushed = self.levels[0].iter().filter(move |table| table.meta.overlaps(key, key));
        flushed
            .chain(self.levels[1..].iter().filter_map(move |level| find(level, key)))
            .filter(move |table| !self.hides(table, key))
    }

    /// Runs of the tables that overlap the range from `start` to before `end`, newest first.
    pub(crate) fn runs(&self, start: &[u8], end: &[u8]) -> Vec<Run<D>> {
        let flushed = self.levels[0].iter().filter(|table| {
            table.meta.smallest.as_ref() < end && table.meta.largest.as_ref() >= start
        });
        let flushed = flushed.map(|table| vec![Rc::clone(table)]);
        let deeper = self.levels[1..].iter().map(|level| {
            let tables = level.iter().skip(first_at(level, start));
            tables.take_while(|table| table.meta.smallest.as_ref() < end).cloned().collect()
        });
        flushed.chain(deeper).filter(|run: &Run<D>| !run.is_empty()).collect()
    }

    /// Whether a table deeper than `level` may hold `key`.
    pub(crate) fn deeper_may_hold(&self, level: usize, key: &[u8]) -> bool {
        self.levels.iter().skip(level + 1).any(|tables| find(tables, key).is_some())
    }

    /// The most urgent compaction. `turns` is, per level, the key after which to go on choosing.
    pub(crate) fn wanted(&self, options: &IndexOptions, turns: &[Bytes]) -> Option<Job<D>> {
        let mut urgent: Vec<(u64, usize)> = (0..LEVEL_COUNT - 1)
            .map(|level| (self.score(level, options), level))
            .filter(|(score, _)| *score >= 100)
            .collect();
        // The fullest first, the higher one of equals.
        urgent.sort_by_key(|(score, level)| (std::cmp::Reverse(*score), *level));
        let chosen = urgent.into_iter().find_map(|(_, level)| match level {
            0 => self.flushed_job(None),
            _ => self.next_job(level, turns),
        });
        chosen.or_else(|| self.tombstone_job()).or_else(|| self.hidden_job())
    }

    /// How near it is to making flushes wait, in percent.
    pub(crate) fn debt(&self, options: &IndexOptions) -> u64 {
        let (enough, most) = (options.level_zero_tables, options.level_zero_tables_max);
        let span = most.saturating_sub(1).saturating_sub(enough).max(1) as u64;
        let flushed = self.levels[0].len().saturating_sub(enough) as u64 * 100 / span;
        // A level three times as full as it may be is as bad.
        let deeper = (1..LEVEL_COUNT - 1).map(|level| self.score(level, options));
        let deepest = deeper.max().unwrap_or(0).saturating_sub(100) / 2;
        flushed.max(deepest)
    }

    /// Level zero into level one: all of it, but for what must stay behind a damaged table.
    pub(crate) fn flushed_job(&self, relocate: Option<u32>) -> Option<Job<D>> {
        let mut chosen: Run<D> = Vec::new();
        let mut stay: Run<D> = Vec::new();
        // From the oldest on: a newer one can't go below an older one that stays.
        for table in self.levels[0].iter().rev() {
            chosen.push(Rc::clone(table));
            let passes = |other: &Rc<Table<D>>| {
                !other.meta.overlaps(&table.meta.smallest, &table.meta.largest)
            };
            let may_go = self.damaged.is_empty()
                || (self.is_sound(table)
                    && stay.iter().all(passes)
                    && self.below(0, &chosen).iter().all(|table| self.is_sound(table)));
            if !may_go {
                chosen.pop();
                stay.push(Rc::clone(table));
            }
        }
        chosen.reverse();
        if chosen.is_empty() {
            return None;
        }
        let below = self.below(0, &chosen);
        let mut inputs: Vec<_> = chosen.into_iter().map(|table| vec![table]).collect();
        if !below.is_empty() {
            inputs.push(below);
        }
        Some(Job { inputs, level: 1, relocate })
    }

    /// The same, if one of the tables of level zero that are `meant` can go.
    fn flushed_job_of(
        &self,
        meant: impl Fn(&&Rc<Table<D>>) -> bool,
        relocate: Option<u32>,
    ) -> Option<Job<D>> {
        let ids: BTreeSet<u32> =
            self.levels[0].iter().filter(meant).map(|table| table.meta.id).collect();
        if ids.is_empty() {
            return None;
        }
        let job = self.flushed_job(relocate);
        job.filter(|job| job.tables().any(|table| ids.contains(&table.meta.id)))
    }

    /// A job that moves the extents of `segment` out of one of the tables that refer to it.
    pub(crate) fn relocation(&self, segment: u32) -> Option<Job<D>> {
        let refers = |table: &&Rc<Table<D>>| table.meta.refers_to(segment);
        if let Some(job) = self.flushed_job_of(refers, Some(segment)) {
            return Some(job);
        }
        self.levels.iter().enumerate().skip(1).find_map(|(level, tables)| {
            let table = tables.iter().find(|table| refers(table) && self.is_sound(table))?;
            Some(Job { inputs: vec![vec![Rc::clone(table)]], level, relocate: Some(segment) })
        })
    }

    fn is_sound(&self, table: &Table<D>) -> bool {
        !self.damaged.contains(&table.meta.id)
    }

    /// How full a level is, in percent.
    fn score(&self, level: usize, options: &IndexOptions) -> u64 {
        if level == 0 {
            return self.flushed_score(options);
        }
        let exponent = u32::try_from(level - 1).expect("a handful of levels");
        let limit = options
            .level_one_bytes
            .saturating_mul(options.level_ratio.saturating_pow(exponent))
            .max(1);
        let bytes = self.bytes(level);
        // The limit itself is allowed.
        bytes.saturating_sub(1).saturating_mul(100) / limit
    }

    /// Merging level zero rewrites nearly all of level one. Payloads that went to segments leave tables small: so few
    /// bytes wait for more, up to twice the tables, and a byte costs about half the writes.
    fn flushed_score(&self, options: &IndexOptions) -> u64 {
        let count = self.levels[0].len();
        let enough = options.level_zero_tables.max(1);
        let most = (2 * enough).min(options.level_zero_tables_max.saturating_sub(1));
        if count < most && 2 * self.bytes(0) < self.bytes(1) {
            return 0;
        }
        count as u64 * 100 / enough as u64
    }

    fn bytes(&self, level: usize) -> u64 {
        self.levels[level].iter().map(|table| table.meta.bytes).sum()
    }

    fn next_job(&self, level: usize, turns: &[Bytes]) -> Option<Job<D>> {
        let tables = &self.levels[level];
        let position = tables.partition_point(|table| table.meta.smallest <= turns[level]);
        let (before, behind) = tables.split_at(position);
        behind.iter().chain(before).find_map(|table| self.job(level, table))
    }

    /// A table into the next level; none where damage is in the way.
    fn job(&self, level: usize, table: &Rc<Table<D>>) -> Option<Job<D>> {
        let own = vec![Rc::clone(table)];
        let below = self.below(level, &own);
        let inputs = if below.is_empty() { vec![own] } else { vec![own, below] };
        let job = Job { inputs, level: level + 1, relocate: None };
        let is_sound = job.tables().all(|table| self.is_sound(table));
        is_sound.then_some(job)
    }

    /// Rewrites a table without the keys in it that are hidden.
    fn hidden_job(&self) -> Option<Job<D>> {
        let is_hidden = |table: &&Rc<Table<D>>| self.hidden.contains_key(&table.meta.id);
        if self.hidden.is_empty() {
            return None;
        }
        if let Some(job) = self.flushed_job_of(is_hidden, None) {
            return Some(job);
        }
        self.levels.iter().enumerate().skip(1).find_map(|(level, tables)| {
            let table = tables.iter().find(|table| is_hidden(table) && self.is_sound(table))?;
            Some(Job { inputs: vec![vec![Rc::clone(table)]], level, relocate: None })
        })
    }

    fn tombstone_job(&self) -> Option<Job<D>> {
        if self.tombstones_weigh(0, &self.levels[0]) {
            let job = self.flushed_job(None);
            if job.is_some() {
                return job;
            }
        }
        (1..LEVEL_COUNT - 1).find_map(|level| {
            let heavy =
                |table: &&Rc<Table<D>>| self.tombstones_weigh(level, std::slice::from_ref(table));
            self.levels[level].iter().filter(heavy).find_map(|table| self.job(level, table))
        })
    }

    /// Carries down the tombstones of the table that has most of them, however few: for a volume on which little is left.
    pub(crate) fn last_tombstones_job(&self) -> Option<Job<D>> {
        if self.levels[0].iter().any(|table| table.meta.tombstones > 0)
            && let Some(job) = self.flushed_job(None)
        {
            return Some(job);
        }
        let with_level = |level: usize| self.levels[level].iter().map(move |table| (level, table));
        let mut tables: Vec<_> = (1..LEVEL_COUNT - 1)
            .flat_map(with_level)
            .filter(|(_, table)| table.meta.tombstones > 0)
            .collect();
        tables.sort_by_key(|(level, table)| (std::cmp::Reverse(table.meta.tombstones), *level));
        tables.into_iter().find_map(|(level, table)| self.job(level, table))
    }

    fn tombstones_weigh(&self, level: usize, tables: &[Rc<Table<D>>]) -> bool {
        let tombstones: u64 = tables.iter().map(|table| table.meta.tombstones).sum();
        if tombstones == 0 {
            return false;
        }
        let own: u64 = tables.iter().map(|table| table.meta.entries).sum();
        let below: u64 = self.below(level, tables).iter().map(|table| table.meta.entries).sum();
        tombstones * TOMBSTONE_SHARE >= own + below
    }

    /// The tables one level deeper that overlap `tables`.
    fn below(&self, level: usize, tables: &[Rc<Table<D>>]) -> Run<D> {
        let smallest = tables.iter().map(|table| &table.meta.smallest).min();
        let largest = tables.iter().map(|table| &table.meta.largest).max();
        let (Some(smallest), Some(largest)) = (smallest, largest) else {
            return Vec::new();
        };
        let deeper = &self.levels[level + 1];
        let tables = deeper.iter().skip(first_at(deeper, smallest));
        tables.take_while(|table| table.meta.smallest <= largest).cloned().collect()
    }
}

/// The position of the first table of a run that reaches `key`.
fn first_at<D: Directory>(level: &[Rc<Table<D>>], key: &[u8]) -> usize {
    level.partition_point(|table| table.meta.largest.as_ref() < key)
}

/// The table of a run that may hold `key`.
fn find<'a, D: Directory>(level: &'a [Rc<Table<D>>], key: &[u8]) -> Option<&'a Rc<Table<D>>> {
    level.get(first_at(level, key)).filter(|table| table.meta.smallest.as_ref() <= key)
}
