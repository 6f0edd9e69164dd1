//! A memtable becomes a table.
//!
//! Order, so that a crash at any point leaves the state before or after: payloads appended to segments, segments
//! flushed, table written and flushed, its name flushed, the manifest's edit durable; only then the memtable and its
//! pins go. What a memtable's ranges remove from older tables goes by the same edit: no table holds a range.

use std::rc::Rc;

use crate::{
    device::Directory,
    error::Error,
    index::{
        compact,
        entry::Payload,
        memtable::Memtable,
        merge::LotCursor,
        notify::give_way,
        pace::{FlatOut, Pace},
        payload::{Lot, MOVE_BYTES_MAX, MOVE_ENTRIES_MAX, move_inline},
        ranges::Ranges,
        shared::{Install, Shared},
        table::{
            reader::Table,
            writer::{TableWriter, Written},
        },
    },
    planted::{self, Bug},
    segment::Extent,
};

/// Makes everything written before the call durable. Calls that arrive before the freeze share one flush.
pub(crate) async fn flush<D: Directory>(shared: &Shared<D>) -> Result<(), Error> {
    // The next freeze takes with it all that is written by now.
    let wanted = shared.state.borrow().freezes + 1;
    let guard = shared.flushing.lock().await;
    shared.check()?;
    if shared.state.borrow().flushed < wanted {
        make_way(shared).await?;
        // Those that a full volume refused: each attempt would add one.
        write_out_frozen(shared).await?;
        freeze(shared);
        let freezes = shared.state.borrow().freezes;
        write_out_frozen(shared).await?;
        shared.state.borrow_mut().flushed = freezes;
        shared.counters.flushes.set(shared.counters.flushes.get() + 1);
    }
    drop(guard);
    shared.release().await
}

/// With too many flushed tables, reads would slow down without bound: compaction goes first.
async fn make_way<D: Directory>(shared: &Shared<D>) -> Result<(), Error> {
    let crowded = || {
        let state = shared.state.borrow();
        !state.stopping && state.version.levels[0].len() >= shared.options.level_zero_tables_max
    };
    if crowded() {
        shared.awaited.set(shared.awaited.get() + 1);
        let guard = shared.compacting.lock().await;
        shared.awaited.set(shared.awaited.get() - 1);
        let job = shared.state.borrow().version.flushed_job(None);
        if let Some(job) = job
            && crowded()
        {
            match Box::pin(compact::compact(shared, job, &mut Pace::new(&FlatOut))).await {
                // Neither damage of old tables nor a full volume keeps new writes from becoming durable.
                Ok(())
                | Err(
                    Error::NoSpace { .. }
                    | Error::ClassFull { .. }
                    | Error::ClassFailed { .. }
                    | Error::Corrupt { .. },
                ) => {}
                Err(error) => return Err(error),
            }
        }
        drop(guard);
    }
    Ok(())
}

fn freeze<D: Directory>(shared: &Shared<D>) {
    let mut state = shared.state.borrow_mut();
    state.freezes += 1;
    state.written_before = shared.segments.written_bytes();
    state.class_written_before = shared.segments.class_written_bytes();
    if !state.active.is_empty() {
        let memtable = Rc::new(std::mem::take(&mut state.active));
        state.frozen.push_back(memtable);
    }
}

async fn write_out_frozen<D: Directory>(shared: &Shared<D>) -> Result<(), Error> {
    while let Some(memtable) = oldest(shared) {
        write_out(shared, memtable).await?;
    }
    Ok(())
}

fn oldest<D: Directory>(shared: &Shared<D>) -> Option<Rc<Memtable>> {
    shared.state.borrow().frozen.front().cloned()
}

async fn write_out<D: Directory>(shared: &Shared<D>, memtable: Rc<Memtable>) -> Result<(), Error> {
    let id = shared.take_table_id();
    let struck = memtable.removed().clone();
    let mut moved = Vec::new();
    let written = if memtable.has_keys() {
        write_table(shared, memtable, id, &mut moved).await.map(Some)
    } else {
        Ok(None)
    };
    let result = match written {
        Ok(written) => {
            let table = |written| (0, Rc::new(Table::new(&shared.directory, written)));
            let added = written.map(table).into_iter().collect();
            commit(shared, Install { added, removed: Vec::new(), flushed: true, struck }).await
        }
        Err(error) => Err(shared.note(error)),
    };
    match result {
        Ok(()) => {
            shared.unpin_all(&moved).await;
            Ok(())
        }
        Err(error) => {
            // In doubt after a failed commit, the table must stay.
            if matches!(error, Error::NoSpace { .. }) {
                shared.discard(&[id], &moved).await;
            }
            Err(error)
        }
    }
}

/// Where keys go from older tables, no compaction may be under way with them: one that is gives up.
async fn commit<D: Directory>(shared: &Shared<D>, install: Install<D>) -> Result<(), Error> {
    if install.struck.is_empty() {
        return shared.commit(install).await;
    }
    shared.halted.set(true);
    let guard = shared.compacting.lock().await;
    let done = shared.commit(install).await;
    shared.halted.set(false);
    drop(guard);
    // Upkeep may have found nothing to do meanwhile.
    shared.moved.notify();
    done
}

async fn write_table<D: Directory>(
    shared: &Shared<D>,
    memtable: Rc<Memtable>,
    id: u32,
    moved: &mut Vec<Extent>,
) -> Result<Written<D>, Error> {
    let mut writer = TableWriter::create(&shared.directory, id, shared.options.block_bytes).await?;
    let mut cursor = LotCursor::frozen(memtable, &[], None, Ranges::default());
    loop {
        let mut lot = next_lot(&mut cursor);
        if lot.is_empty() {
            break;
        }
        move_inline(&shared.segments, &mut lot, shared.options.inline_keep_bytes, moved).await?;
        for (key, change) in &lot {
            writer.add(key, change).await?;
        }
        give_way().await;
    }
    // Also for extents that were appended before they were written to the index. Those of other classes are durable:
    // nothing refers to them before.
    if !planted::is(Bug::PayloadNotSynced) {
        shared.segments.sync().await?;
    }
    let written = writer.finish(&shared.cache).await?;
    let flushed_bytes = &shared.counters.flushed_bytes;
    flushed_bytes.set(flushed_bytes.get() + written.meta.bytes);
    if !planted::is(Bug::TableNameNotSynced) {
        shared.directory.sync().await?;
    }
    Ok(written)
}

fn next_lot(cursor: &mut LotCursor) -> Lot {
    let mut lot = Lot::new();
    let mut bytes = 0;
    while lot.len() < MOVE_ENTRIES_MAX && bytes < MOVE_BYTES_MAX {
        let Some((key, change)) = cursor.next() else { break };
        if let Some(entry) = &change
            && matches!(entry.payload, Payload::Inline(_))
        {
            bytes += entry.payload.length();
        }
        lot.push((key, change));
    }
    lot
}
