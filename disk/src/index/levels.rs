//! Which tables there are, newest first, as one immutable list; and what to compact next.
//!
//! Level zero holds flushed tables, newest first, with ranges that overlap. Each deeper level is a run: ranges
//! ascend and are disjoint. For any key, a higher level (and in level zero, a higher id) is newer. So one key has
//! its newest change in the first table that knows it, and a tombstone may go where no deeper table may hold the key.

use std::{collections::BTreeSet, rc::Rc};

use bytes::Bytes;

use crate::{
    device::Directory,
    index::{
        options::{IndexOptions, LEVEL_COUNT},
        table::reader::Table,
    },
};

/// Tombstones are pushed down when there is one for this many entries below them: the dead stay below this share.
const TOMBSTONE_SHARE: u64 = 8;

/// A table and its level.
pub(crate) type Placed<D> = (usize, Rc<Table<D>>);

/// Tables of one level.
pub(crate) type Run<D> = Vec<Rc<Table<D>>>;

pub(crate) struct Version<D: Directory> {
    pub(crate) levels: Vec<Run<D>>,
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

    /// A single table without tombstones that nothing below overlaps only changes its level.
    pub(crate) fn is_move(&self) -> bool {
        let mut tables = self.tables();
        self.relocate.is_none()
            && tables.next().is_some_and(|table| table.meta.tombstones == 0)
            && tables.next().is_none()
    }
}

impl<D: Directory> Version<D> {
    pub(crate) fn empty() -> Self {
        Self { levels: vec![Vec::new(); LEVEL_COUNT] }
    }

    /// The list without `removed` and with `added` at their levels.
    pub(crate) fn changed(&self, removed: &BTreeSet<u32>, added: &[Placed<D>]) -> Self {
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
        let mut version = Self { levels };
        version.sort();
        assert!(version.is_ordered(), "the tables of a level are disjoint");
        version
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
        flushed.chain(self.levels[1..].iter().filter_map(move |level| find(level, key)))
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
        let mut urgent: Option<(u64, usize)> = None;
        for level in 0..LEVEL_COUNT - 1 {
            let score = self.score(level, options);
            if score >= 100 && urgent.is_none_or(|(most, _)| score > most) {
                urgent = Some((score, level));
            }
        }
        match urgent {
            Some((_, 0)) => Some(self.flushed_job(None)),
            Some((_, level)) => self.next_table(level, turns).map(|table| self.job(level, &table)),
            None => self.tombstone_job(),
        }
    }

    /// All of level zero into level one.
    pub(crate) fn flushed_job(&self, relocate: Option<u32>) -> Job<D> {
        let below = self.below(0, &self.levels[0]);
        let mut inputs: Vec<_> =
            self.levels[0].iter().map(|table| vec![Rc::clone(table)]).collect();
        if !below.is_empty() {
            inputs.push(below);
        }
        Job { inputs, level: 1, relocate }
    }

    /// A job that moves the extents of `segment` out of one of the tables that refer to it.
    pub(crate) fn relocation(&self, segment: u32) -> Option<Job<D>> {
        if self.levels[0].iter().any(|table| table.meta.refers_to(segment)) {
            return Some(self.flushed_job(Some(segment)));
        }
        self.levels.iter().enumerate().skip(1).find_map(|(level, tables)| {
            let table = tables.iter().find(|table| table.meta.refers_to(segment))?;
            Some(Job { inputs: vec![vec![Rc::clone(table)]], level, relocate: Some(segment) })
        })
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

    fn next_table(&self, level: usize, turns: &[Bytes]) -> Option<Rc<Table<D>>> {
        let tables = &self.levels[level];
        let position = tables.partition_point(|table| table.meta.smallest <= turns[level]);
        tables.get(position).or_else(|| tables.first()).cloned()
    }

    fn job(&self, level: usize, table: &Rc<Table<D>>) -> Job<D> {
        let own = vec![Rc::clone(table)];
        let below = self.below(level, &own);
        let inputs = if below.is_empty() { vec![own] } else { vec![own, below] };
        Job { inputs, level: level + 1, relocate: None }
    }

    fn tombstone_job(&self) -> Option<Job<D>> {
        if self.tombstones_weigh(0, &self.levels[0]) {
            return Some(self.flushed_job(None));
        }
        (1..LEVEL_COUNT - 1).find_map(|level| {
            let heavy =
                |table: &&Rc<Table<D>>| self.tombstones_weigh(level, std::slice::from_ref(table));
            self.levels[level].iter().find(heavy).map(|table| self.job(level, table))
        })
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
