//! What all tasks of one index share, and the one place where its list of tables changes.
//!
//! Only [`Shared::commit`] changes the list, after the manifest's edit is durable and without an await in between.
//! Tables that left the list are *retired*: their files go, and the bytes that they referred to die, when no view
//! and no reader holds them any more, in the order in which they left. So whatever a view can see stays readable.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use bytes::Bytes;
use futures::lock::Mutex;

use crate::{
    budget::CacheBudget,
    device::Directory,
    error::Error,
    index::{
        cache::{Cache, File},
        levels::{Hidden, Placed, Version},
        manifest::{Manifest, edit::Edit},
        memtable::{HANDLED_AT_ONCE, Memtable},
        notify::{Notify, give_way},
        options::{IndexOptions, LEVEL_COUNT},
        ranges::Ranges,
        table::{reader::Table, table_name},
    },
    reserve::Reserve,
    scrub::finding::Finding,
    segment::{Extent, Segments},
};

pub(crate) struct Shared<D: Directory> {
    pub(crate) options: IndexOptions,
    pub(crate) directory: D,
    pub(crate) segments: Segments<D>,
    pub(crate) cache: Rc<Cache>,
    pub(crate) reserve: Option<Reserve<D>>,
    pub(crate) state: RefCell<State<D>>,
    manifest: Mutex<Manifest<D>>,
    /// Held by a flush.
    pub(crate) flushing: Mutex<()>,
    /// Held by a compaction.
    pub(crate) compacting: Mutex<()>,
    releasing: Mutex<()>,
    /// Moves when a memtable fills or empties, the tables change, a view goes, or the index stops.
    pub(crate) moved: Notify,
    /// Moves when space came back, or upkeep has nothing to do any more.
    pub(crate) eased: Notify,
    /// Who waits for a flush to be wanted was told so.
    pub(crate) flush_asked: Cell<bool>,
    /// Upkeep is at work.
    pub(crate) tidying: Cell<bool>,
    /// Flushes that wait for compaction to get on.
    pub(crate) awaited: Cell<usize>,
    /// Compaction stops where it is and doesn't begin: a range is being removed from the tables.
    pub(crate) halted: Cell<bool>,
    pub(crate) counters: Counters,
}

pub(crate) struct State<D: Directory> {
    pub(crate) active: Memtable,
    /// Being flushed, oldest first.
    pub(crate) frozen: VecDeque<Rc<Memtable>>,
    pub(crate) version: Rc<Version<D>>,
    pub(crate) retired: VecDeque<Retired<D>>,
    pub(crate) next_table: u32,
    /// How often the active memtable was frozen, and up to which of these everything is flushed.
    pub(crate) freezes: u64,
    pub(crate) flushed: u64,
    /// Per level the key after which the next compaction chooses its table.
    pub(crate) turns: Vec<Bytes>,
    /// Segments with extents that could not be read: not reclaimed.
    pub(crate) damaged: BTreeSet<u32>,
    /// Damage of tables that was met and that nobody was told of yet.
    pub(crate) untold: Vec<Error>,
    /// What the tombstones of a flushed table let go of, in bytes, by table.
    pub(crate) released: BTreeMap<u32, u64>,
    /// What was ever written to segments when the active memtable was begun, in bytes.
    pub(crate) written_before: u64,
    /// The same of classes that aren't the shard's own.
    pub(crate) class_written_before: u64,
    pub(crate) stopping: bool,
    failure: Option<Error>,
}

/// Tables that left the list together, and the bytes that die with them.
pub(crate) struct Retired<D: Directory> {
    tables: Vec<Rc<Table<D>>>,
    freed: BTreeMap<u32, i64>,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) flushes: Cell<u64>,
    pub(crate) flushed_bytes: Cell<u64>,
    pub(crate) compactions: Cell<u64>,
    pub(crate) compacted_bytes: Cell<u64>,
    pub(crate) relocated_bytes: Cell<u64>,
    /// Entries that compactions took in, and their bytes.
    pub(crate) merged_entries: Cell<u64>,
    pub(crate) merged_bytes: Cell<u64>,
}

/// A change of the list of tables.
pub(crate) struct Install<D: Directory> {
    pub(crate) added: Vec<Placed<D>>,
    pub(crate) removed: Vec<Rc<Table<D>>>,
    /// The oldest frozen memtable is what was added.
    pub(crate) flushed: bool,
    /// Goes from all tables that are there. The caller holds the lock on compaction, unless it is empty.
    pub(crate) struck: Ranges,
}

impl<D: Directory> Shared<D> {
    pub(crate) fn new(
        directory: D,
        options: IndexOptions,
        segments: Segments<D>,
        manifest: Manifest<D>,
        version: Version<D>,
    ) -> Self {
        let next_table = manifest.state().next_table;
        let budget = CacheBudget::new(options.block_cache_bytes_max, options.chunk_cache_bytes_max);
        Self {
            cache: Cache::new(budget),
            options,
            directory,
            segments,
            reserve: None,
            state: RefCell::new(State {
                active: Memtable::default(),
                frozen: VecDeque::new(),
                version: Rc::new(version),
                retired: VecDeque::new(),
                next_table,
                freezes: 0,
                flushed: 0,
                turns: vec![Bytes::new(); LEVEL_COUNT],
                damaged: BTreeSet::new(),
                untold: Vec::new(),
                released: BTreeMap::new(),
                written_before: 0,
                class_written_before: 0,
                stopping: false,
                failure: None,
            }),
            manifest: Mutex::new(manifest),
            flushing: Mutex::new(()),
            compacting: Mutex::new(()),
            releasing: Mutex::new(()),
            moved: Notify::default(),
            eased: Notify::default(),
            flush_asked: Cell::new(false),
            tidying: Cell::new(false),
            awaited: Cell::new(0),
            halted: Cell::new(false),
            counters: Counters::default(),
        }
    }

    /// [`Error::Stopped`] after a failed write.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.state.borrow().failure.is_some() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// What stopped the index, where `error` says no more than that it has stopped.
    pub(crate) fn cause(&self, error: Error) -> Error {
        if error != Error::Stopped {
            return error;
        }
        self.state.borrow().failure.clone().unwrap_or(error)
    }

    /// After a failed write or flush the index writes no more; a full volume and damage found by a read don't stop it.
    pub(crate) fn note(&self, error: Error) -> Error {
        match &error {
            Error::NoSpace { .. }
            | Error::ClassFull { .. }
            | Error::ClassFailed { .. }
            | Error::Corrupt { .. } => {}
            Error::Device { .. }
            | Error::Absent { .. }
            | Error::Exists { .. }
            | Error::Version { .. }
            | Error::Limit { .. }
            | Error::Stopped => {
                self.state.borrow_mut().failure.get_or_insert_with(|| error.clone());
                self.moved.notify();
            }
        }
        error
    }

    /// Gives up the reserve for what frees space; false where there is none, or no more.
    pub(crate) async fn give_reserve(&self) -> Result<bool, Error> {
        match &self.reserve {
            Some(reserve) => reserve.give().await,
            None => Ok(false),
        }
    }

    /// Whether the volume has so little space left that writes wait or are refused.
    pub(crate) fn is_short(&self) -> bool {
        self.reserve.as_ref().is_some_and(Reserve::is_short)
    }

    /// Whether the volume has so little space left that all that is dead is worth getting at.
    pub(crate) fn is_tight(&self) -> bool {
        self.reserve.as_ref().is_some_and(Reserve::is_tight)
    }

    /// Whether there is so little space anywhere, on the volume or for a class, that dead bytes are worth getting at.
    pub(crate) fn wants_space(&self) -> bool {
        self.is_tight() || self.segments.has_full_class()
    }

    pub(crate) fn take_table_id(&self) -> u32 {
        let mut state = self.state.borrow_mut();
        let id = state.next_table;
        state.next_table = id.checked_add(1).expect("four thousand million tables are enough");
        id
    }

    /// Makes a change of the list of tables durable, then visible.
    pub(crate) async fn commit(&self, mut install: Install<D>) -> Result<(), Error> {
        let mut manifest = self.manifest.lock().await;
        self.check()?;
        let (covered, hidden) = self.state.borrow().version.struck(&install.struck);
        install.removed.extend(covered);
        let edit = Edit {
            next_table: self.state.borrow().next_table,
            next_segment: self.segments.next_segment(),
            removed: install.removed.iter().map(|table| table.meta.id).collect(),
            added: install
                .added
                .iter()
                .map(|(level, table)| {
                    (u8::try_from(*level).expect("a handful of levels"), table.meta.clone())
                })
                .collect(),
            hidden: hidden.clone(),
        };
        manifest.commit(&self.directory, &edit).await.map_err(|error| self.note(error))?;
        // No await from here on: memory follows the manifest in one step.
        let flushed = self.install(install, &hidden);
        drop(manifest);
        self.moved.notify();
        if let Some(memtable) = flushed {
            self.let_go(memtable).await;
        }
        Ok(())
    }

    /// Ends the pins of a memtable that tables stand for, and frees it.
    async fn let_go(&self, memtable: Rc<Memtable>) {
        for (count, pin) in memtable.pins().enumerate() {
            if count % HANDLED_AT_ONCE == HANDLED_AT_ONCE - 1 {
                give_way().await;
            }
            if let Some(extent) = pin {
                self.segments.unpin(extent);
            }
        }
        // Segments may be thin or free from here on.
        self.moved.notify();
        // Where a scan still reads it, its memory goes with the scan.
        if let Some(memtable) = Rc::into_inner(memtable) {
            memtable.dissolve().await;
        }
    }

    /// Ends pins of extents that a commit has given to tables.
    pub(crate) async fn unpin_all(&self, extents: &[Extent]) {
        for lot in extents.chunks(HANDLED_AT_ONCE) {
            for extent in lot {
                self.segments.unpin(*extent);
            }
            give_way().await;
        }
    }

    /// Compares the manifest on the device with what was committed; commits wait.
    pub(crate) async fn verify_manifest(&self) -> Result<(u64, Vec<Finding>), Error> {
        let manifest = self.manifest.lock().await;
        manifest.verify(&self.directory).await
    }

    /// Returns the memtable that the tables stand for from now on.
    fn install(&self, install: Install<D>, hidden: &Hidden) -> Option<Rc<Memtable>> {
        let mut state = self.state.borrow_mut();
        let removed: BTreeSet<u32> = install.removed.iter().map(|table| table.meta.id).collect();
        state.version = Rc::new(state.version.changed(&removed, &install.added, hidden));
        // A table that only changes its level is in both lists: nothing is gained, nothing retires.
        let added: BTreeSet<u32> = install.added.iter().map(|(_, table)| table.meta.id).collect();
        let gained: Vec<_> = install
            .added
            .iter()
            .map(|(_, table)| table)
            .filter(|table| !removed.contains(&table.meta.id))
            .collect();
        self.segments.apply(&sum(&gained, 1));
        let tables: Vec<_> =
            install.removed.into_iter().filter(|table| !added.contains(&table.meta.id)).collect();
        if !tables.is_empty() {
            let freed = sum(&tables.iter().collect::<Vec<_>>(), -1);
            for table in &tables {
                state.released.remove(&table.meta.id);
            }
            state.retired.push_back(Retired { tables, freed });
        }
        if !install.flushed {
            return None;
        }
        let memtable = state.frozen.pop_front().expect("the flushed memtable is still frozen");
        if memtable.released_bytes > 0 {
            state.released.extend(added.iter().map(|id| (*id, memtable.released_bytes)));
        }
        Some(memtable)
    }

    /// Removes retired tables that nobody holds, then the segments that nothing refers to.
    pub(crate) async fn release(&self) -> Result<(), Error> {
        let guard = self.releasing.lock().await;
        self.check()?;
        while let Some(retired) = self.take_released() {
            let gone = |table: &Rc<Table<D>>| (table.meta.id, table.is_missing());
            let ids: Vec<_> = retired.tables.iter().map(gone).collect();
            drop(retired.tables);
            for (id, was_missing) in ids {
                self.cache.forget(File::Table(id));
                match self.directory.remove(&table_name(id)).await {
                    Ok(()) => {}
                    Err(Error::Absent { .. }) if was_missing => {}
                    Err(error) => return Err(self.note(error)),
                }
            }
            self.segments.apply(&retired.freed);
        }
        let swept = self.segments.sweep().await.map_err(|error| self.note(error));
        drop(guard);
        self.eased.notify();
        for segment in swept? {
            self.cache.forget(File::Segment(segment));
        }
        Ok(())
    }

    /// In order: an older view may see what later tables let go of.
    fn take_released(&self) -> Option<Retired<D>> {
        let mut state = self.state.borrow_mut();
        let oldest = state.retired.front()?;
        if oldest.tables.iter().all(|table| Rc::strong_count(table) == 1) {
            state.retired.pop_front()
        } else {
            None
        }
    }

    /// Leaves the table that `error` is about out of all later jobs; false where it is none of `tables`.
    pub(crate) fn leave_out(&self, tables: &[Rc<Table<D>>], error: &Error) -> bool {
        let Some(table) = tables.iter().find(|table| table.is_meant_by(error)) else {
            return false;
        };
        let mut state = self.state.borrow_mut();
        if !state.version.damaged.contains(&table.meta.id) {
            state.version = Rc::new(state.version.without(table.meta.id));
            state.untold.push(error.clone());
        }
        drop(state);
        // Who tells of it may be waiting.
        self.moved.notify();
        true
    }

    /// Removes the files of tables that were not committed; what can't be removed goes at the next start.
    pub(crate) async fn discard(&self, tables: &[u32], extents: &[Extent]) {
        self.unpin_all(extents).await;
        for id in tables {
            self.cache.forget(File::Table(*id));
            drop(self.directory.remove(&table_name(*id)).await);
        }
    }
}

fn sum<D: Directory>(tables: &[&Rc<Table<D>>], sign: i64) -> BTreeMap<u32, i64> {
    let mut deltas = BTreeMap::new();
    for table in tables {
        for (segment, bytes) in table.meta.references.iter() {
            let bytes = i64::try_from(*bytes).expect("a segment is far below 8 EiB");
            *deltas.entry(*segment).or_default() += sign * bytes;
        }
    }
    deltas
}
