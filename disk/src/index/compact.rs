//! Compaction: several tables become fewer, with each key once and without tombstones that hide nothing; and
//! reclaim: a table is rewritten with the extents of a thin segment moved elsewhere.
//!
//! It streams: a window of each input, one lot of entries and one table being written are in memory. How fast is
//! `pace.rs`'s. A table that can't be read is left out of all later jobs, so that the others go on.

use std::{collections::BTreeSet, rc::Rc};

use bytes::Bytes;

use crate::{
    device::Directory,
    error::Error,
    index::{
        entry::Stored,
        levels::{Job, Placed, Version},
        merge::{Merge, Source},
        pace::{Pace, STEP_BYTES_MAX, STEP_ENTRIES_MAX, Surroundings},
        payload::{Lot, in_segment, move_extents},
        ranges::Ranges,
        shared::{Install, Shared},
        space,
        table::{
            reader::{Reading, Table},
            run::{Hiding, RunCursor, Walk},
            writer::TableWriter,
        },
    },
    planted::{self, Bug},
    segment::{Class, Extent},
};

/// Payload bytes moved in one step, unless one alone has more: each is read, summed and copied.
pub(super) const MOVE_BYTES_MAX: u64 = 256 << 10;

/// Does the most urgent piece of upkeep; false where there is none.
pub(crate) async fn step<D: Directory>(
    shared: &Shared<D>,
    surroundings: &dyn Surroundings,
) -> Result<bool, Error> {
    let guard = shared.compacting.lock().await;
    if shared.halted.get() {
        return Ok(false);
    }
    // Classes whose segments can't be rewritten now.
    let mut barred = BTreeSet::new();
    let job = loop {
        let Some(job) = next_job(shared, &barred) else {
            return Ok(false);
        };
        // Jobs of every other kind come before those that rewrite a segment.
        let Some(class) = job.relocate.map(Class::of_segment) else { break job };
        if space::may_rewrite(shared, class).await? {
            break job;
        }
        barred.insert(class);
    };
    let done = compact(shared, job, &mut Pace::new(surroundings)).await;
    drop(guard);
    done.map(|()| true)
}

/// Runs one job. The caller holds the lock on compaction. Where the index stops midway, or a table can't be read,
/// nothing changes.
pub(crate) async fn compact<D: Directory>(
    shared: &Shared<D>,
    job: Job<D>,
    pace: &mut Pace<'_>,
) -> Result<(), Error> {
    let removed: Vec<_> = job.tables().cloned().collect();
    let is_move = job.is_move(&shared.state.borrow().version.hidden);
    if let Some(table) = removed.first()
        && is_move
    {
        let added = vec![(job.level, Rc::clone(table))];
        return shared.commit(replacing(removed, added)).await;
    }
    let mut output = Output::default();
    let result = match rewrite(shared, &job, &mut output, pace).await {
        Err(error) if shared.leave_out(&removed, &error) => Ok(false),
        Ok(true) => {
            let added = std::mem::take(&mut output.tables)
                .into_iter()
                .map(|table| (job.level, table))
                .collect();
            remember_turn(shared, &job);
            // The job's hold on its tables would keep them from being released.
            drop(job);
            shared.commit(replacing(removed, added)).await.map(|()| true)
        }
        other => other.map_err(|error| shared.note(error)),
    };
    match result {
        Ok(true) => {
            shared.unpin_all(&output.moved).await;
            count(shared, output.bytes);
            Ok(())
        }
        Ok(false) => {
            shared.discard(&output.ids, &output.moved).await;
            Ok(())
        }
        Err(error) => {
            // In doubt after a failed commit, the tables must stay.
            let changed_nothing = matches!(
                error,
                Error::NoSpace { .. }
                    | Error::ClassFull { .. }
                    | Error::ClassFailed { .. }
                    | Error::Corrupt { .. }
            );
            if changed_nothing {
                shared.discard(&output.ids, &output.moved).await;
            }
            Err(error)
        }
    }
}

fn replacing<D: Directory>(removed: Vec<Rc<Table<D>>>, added: Vec<Placed<D>>) -> Install<D> {
    Install { added, removed, flushed: false, struck: Ranges::default() }
}

/// What a job has made so far.
struct Output<D: Directory> {
    writer: Option<TableWriter<D>>,
    tables: Vec<Rc<Table<D>>>,
    ids: Vec<u32>,
    moved: Vec<Extent>,
    bytes: u64,
}

impl<D: Directory> Default for Output<D> {
    fn default() -> Self {
        Self { writer: None, tables: Vec::new(), ids: Vec::new(), moved: Vec::new(), bytes: 0 }
    }
}

impl<D: Directory> Output<D> {
    async fn add(&mut self, shared: &Shared<D>, lot: &Lot) -> Result<(), Error> {
        for (key, change) in lot {
            if self
                .writer
                .as_ref()
                .is_some_and(|writer| writer.bytes() >= shared.options.table_bytes_max)
            {
                self.close(shared).await?;
            }
            if self.writer.is_none() {
                let id = shared.take_table_id();
                self.ids.push(id);
                let block_bytes = shared.options.block_bytes;
                self.writer = Some(TableWriter::create(&shared.directory, id, block_bytes).await?);
            }
            let writer = self.writer.as_mut().expect("it was just made");
            writer.add(key, change).await?;
        }
        Ok(())
    }

    async fn close(&mut self, shared: &Shared<D>) -> Result<(), Error> {
        if let Some(writer) = self.writer.take() {
            let written = writer.finish(&shared.cache).await?;
            self.bytes += written.meta.bytes;
            self.tables.push(Rc::new(Table::new(&shared.directory, written)));
        }
        Ok(())
    }
}

fn next_job<D: Directory>(shared: &Shared<D>, barred: &BTreeSet<Class>) -> Option<Job<D>> {
    let state = shared.state.borrow();
    if let Some(job) = state.version.wanted(&shared.options, &state.turns) {
        return Some(job);
    }
    if space::level_zero_frees(shared, &state)
        && let Some(job) = state.version.flushed_job(None)
    {
        return Some(job);
    }
    if shared.wants_space()
        && let Some(job) = state.version.last_tombstones_job()
    {
        return Some(job);
    }
    let mut excluded = state.damaged.clone();
    let pressing = space::thinness_of_full(shared);
    for class in shared.segments.full_classes().filter(|class| !barred.contains(class)) {
        while let Some(thin) = shared.segments.thin_in(class, pressing, &excluded) {
            if let Some(job) = state.version.relocation(thin) {
                return Some(job);
            }
            excluded.insert(thin);
        }
    }
    let thinness = space::thinness(shared, &state);
    loop {
        let thin = shared.segments.thin(thinness, &excluded)?;
        if barred.contains(&Class::of_segment(thin)) {
            excluded.insert(thin);
            continue;
        }
        if let Some(job) = state.version.relocation(thin) {
            return Some(job);
        }
        // Only tables refer to it that can't be read.
        excluded.insert(thin);
    }
}

/// The next compaction of that level goes on behind this one.
fn remember_turn<D: Directory>(shared: &Shared<D>, job: &Job<D>) {
    let largest =
        job.inputs.first().and_then(|run| run.last()).map(|table| table.meta.largest.clone());
    if let (Some(turn), Some(largest)) =
        (shared.state.borrow_mut().turns.get_mut(job.level - 1), largest)
    {
        *turn = largest;
    }
}

/// Writes the merged inputs; false where the index stops meanwhile.
async fn rewrite<D: Directory>(
    shared: &Shared<D>,
    job: &Job<D>,
    output: &mut Output<D>,
    pace: &mut Pace<'_>,
) -> Result<bool, Error> {
    // Only compaction changes the deeper levels, and there is one at a time.
    let version = Rc::clone(&shared.state.borrow().version);
    let mut sources = Vec::new();
    for run in &job.inputs {
        let hiding = Hiding::of(&version, Ranges::default());
        let walk = Walk { tables: run.clone(), hiding, reading: Reading::Streamed(None) };
        let cursor = RunCursor::seek(walk, &[], &shared.cache).await?;
        sources.push(Source::Run(Box::new(cursor)));
    }
    let mut merge = Merge::new(sources);
    while let Some((mut lot, bytes)) = next_lot(shared, &mut merge, job, &version).await? {
        if let Some(segment) = job.relocate {
            relocate(shared, &mut lot, segment, output).await?;
        }
        output.add(shared, &lot).await?;
        pace.step(shared, bytes).await;
        if shared.state.borrow().stopping || shared.halted.get() {
            return Ok(false);
        }
    }
    if !output.moved.is_empty() {
        let classes: BTreeSet<Class> = output.moved.iter().map(|extent| extent.class()).collect();
        for class in classes {
            shared.segments.sync_class(class).await?;
        }
    }
    output.close(shared).await?;
    shared.directory.sync().await?;
    Ok(true)
}

async fn relocate<D: Directory>(
    shared: &Shared<D>,
    lot: &mut Lot,
    segment: u32,
    output: &mut Output<D>,
) -> Result<(), Error> {
    let before = output.moved.len();
    if !move_extents(&shared.segments, lot, segment, &mut output.moved).await? {
        shared.state.borrow_mut().damaged.insert(segment);
    }
    let bytes: u64 =
        output.moved.iter().skip(before).map(|extent| u64::from(extent.data_bytes)).sum();
    shared.counters.relocated_bytes.set(shared.counters.relocated_bytes.get() + bytes);
    Ok(())
}

/// What one step merges, with its bytes; nothing at the end. It may be empty: what is dropped is work, too.
async fn next_lot<D: Directory>(
    shared: &Shared<D>,
    merge: &mut Merge<D>,
    job: &Job<D>,
    version: &Version<D>,
) -> Result<Option<(Lot, u64)>, Error> {
    let mut lot = Lot::new();
    let (mut entries, mut bytes, mut moving_bytes) = (0, 0, 0);
    while entries < STEP_ENTRIES_MAX && bytes < STEP_BYTES_MAX && moving_bytes < MOVE_BYTES_MAX {
        let Some(key) = merge.key().map(Bytes::copy_from_slice) else { break };
        let change = merge.change()?;
        merge.advance(&shared.cache).await?;
        entries += 1;
        bytes += key.len() as u64
            + change.as_ref().map_or(0, |entry| Stored::from(entry).held_bytes() as u64);
        let hides = version.deeper_may_hold(job.level, &key);
        if change.is_none() && (!hides || planted::is(Bug::TombstoneDroppedEarly)) {
            continue;
        }
        let moving = job.relocate.and_then(|segment| in_segment(&change, segment));
        moving_bytes += moving.map_or(0, |extent| u64::from(extent.data_bytes));
        lot.push((key, change));
    }
    let counters = &shared.counters;
    counters.merged_entries.set(counters.merged_entries.get() + entries);
    counters.merged_bytes.set(counters.merged_bytes.get() + bytes);
    Ok((entries > 0).then_some((lot, bytes + moving_bytes)))
}

fn count<D: Directory>(shared: &Shared<D>, bytes: u64) {
    let counters = &shared.counters;
    counters.compactions.set(counters.compactions.get() + 1);
    counters.compacted_bytes.set(counters.compacted_bytes.get() + bytes);
}
