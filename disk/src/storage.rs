//! What one shard stores with: its WAL and its index, whose payloads lie in data segments, under one memory budget.
//!
//! Three directories, so that nothing in one can be taken for something of another. Opening recovers; what the shard
//! must run afterwards are [`Wal::run`] and [`Index::maintain`].

use std::{fmt, rc::Rc};

use crate::{
    device::{Capacity, Directory, Durability, Fill},
    error::Error,
    index::{Index, IndexOptions},
    reserve::{Reserve, ReserveFigures, ReserveOptions},
    segment::{Class, Places, SegmentOptions},
    wal::{Kept, Salvage, Wal, WalOptions},
};

/// The least memory that a shard's storage works with, in bytes.
pub const MEMORY_BYTES_MIN: u64 = 8 << 20;

/// The reserve of a shard is one part in so many of its volume.
const RESERVE_SHARE: u64 = 64;
/// But no more than so many data segments.
const RESERVE_SEGMENTS_MAX: u64 = 6;
/// And no less: one to rewrite thin segments into, one for the log, flushes and merges meanwhile.
const RESERVE_SEGMENTS_MIN: u64 = 2;

const WAL_DIRECTORY: &str = "wal";
const TABLES_DIRECTORY: &str = "tables";
pub(crate) const SEGMENTS_DIRECTORY: &str = "segments";

/// Lies there while damage is being set aside: what refers to what is gone may be there still.
pub(crate) const UNFINISHED_NAME: &str = "set-aside-unfinished";

/// The directories of a shard.
pub(crate) const DIRECTORIES: [&str; 3] = [WAL_DIRECTORY, TABLES_DIRECTORY, SEGMENTS_DIRECTORY];

/// Everything one shard keeps on its volume.
pub struct Storage<D: Directory> {
    /// The log of all groups of the shard.
    pub wal: Wal<D>,
    /// The state of all groups of the shard, and its data segments.
    pub index: Index<D>,
    directory: Rc<D>,
    identity: u64,
    reserve: Reserve<D>,
}

/// The sizes of a shard's storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageOptions {
    /// What caches, memtables and queues may take together, in bytes: at least [`MEMORY_BYTES_MIN`].
    pub memory_bytes: u64,
    /// What the caller's cache of chunks brings into the budget that it shares with the block cache, in bytes, beside
    /// `memory_bytes`. It joins [`Index::cache_budget`].
    pub chunk_cache_bytes: u64,
    /// The length of a WAL segment, in bytes.
    pub wal_segment_bytes: u64,
    /// The length of a data segment, in bytes.
    pub segment_bytes: u64,
    /// What the WAL's batches carry ([`crate::volume::Volume::wal_identity`]); the same at each opening.
    pub wal_identity: u64,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            chunk_cache_bytes: 0,
            wal_segment_bytes: WalOptions::default().segment_bytes,
            segment_bytes: SegmentOptions::default().segment_bytes,
            wal_identity: 0,
        }
    }
}

impl<D: Directory> Storage<D> {
    /// Opens a shard's directories, that on its volume and those of other classes, and recovers what is in them; an empty
    /// directory is an empty storage.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] for a memory budget below [`MEMORY_BYTES_MIN`]; [`Error::Corrupt`] where something durable is
    /// damaged, or setting damage aside was begun and not ended; [`Error::Version`] where another release wrote it.
    pub async fn open(
        directories: impl Into<Places<D>>,
        options: StorageOptions,
    ) -> Result<Rc<Self>, Error> {
        let directories = directories.into();
        match unfinished(&directories.own).await? {
            Some(error) => Err(error),
            None => Self::open_with(directories, options, None).await,
        }
    }

    /// As [`Self::open`], for who sets damage aside, also where that was begun already.
    ///
    /// # Errors
    ///
    /// Those of [`Self::open`] but that one.
    pub async fn open_to_mend(
        directories: impl Into<Places<D>>,
        options: StorageOptions,
    ) -> Result<Rc<Self>, Error> {
        Self::open_with(directories.into(), options, None).await
    }

    /// Comes before anything is taken out: from here on nobody else opens the shard. Durable when it returns.
    ///
    /// # Errors
    ///
    /// Those of the device.
    pub async fn begin_mending(&self) -> Result<(), Error> {
        let made = self.directory.create(UNFINISHED_NAME, Fill::Empty, Durability::EachWrite).await;
        match made {
            Ok(_) | Err(Error::Exists { .. }) => self.directory.sync().await,
            Err(error) => Err(error),
        }
    }

    /// Comes after everything that referred to it is taken out, too, and that is durable.
    ///
    /// # Errors
    ///
    /// Those of the device.
    pub async fn end_mending(&self) -> Result<(), Error> {
        match self.directory.remove(UNFINISHED_NAME).await {
            Ok(()) | Err(Error::Absent { .. }) => self.directory.sync().await,
            Err(error) => Err(error),
        }
    }

    /// Reads what can be read of a log that [`Self::open`] finds damaged.
    ///
    /// # Errors
    ///
    /// Those of [`Salvage::open`].
    pub async fn salvage(directory: &D, wal_identity: u64) -> Result<Salvage<D>, Error> {
        let options = WalOptions { identity: wal_identity, ..WalOptions::default() };
        Salvage::open(directory.directory(WAL_DIRECTORY).await?, options).await
    }

    /// As [`Self::open`], with what is kept of a damaged log instead of a log: to be read, and not written.
    ///
    /// # Errors
    ///
    /// Those of [`Self::open`].
    pub async fn open_salvaged(
        directories: impl Into<Places<D>>,
        options: StorageOptions,
        (salvage, kept): (&Salvage<D>, &[Kept]),
    ) -> Result<Rc<Self>, Error> {
        let directories = directories.into();
        let wal = salvage.wal(directories.own.directory(WAL_DIRECTORY).await?, kept);
        Self::open_with(directories, options, Some(wal)).await
    }

    async fn open_with(
        Places { own: directory, classes }: Places<D>,
        options: StorageOptions,
        salvaged: Option<Wal<D>>,
    ) -> Result<Rc<Self>, Error> {
        let budget = Budget::split(options.memory_bytes)?;
        let wal_options = WalOptions {
            segment_bytes: options.wal_segment_bytes,
            cache_bytes_max: budget.wal_cache_bytes,
            queue_bytes_max: budget.wal_queue_bytes,
            identity: options.wal_identity,
            ..WalOptions::default()
        };
        let index_options = IndexOptions {
            memtable_bytes_max: budget.memtable_bytes,
            block_cache_bytes_max: budget.block_cache_bytes,
            chunk_cache_bytes_max: usize::try_from(options.chunk_cache_bytes).unwrap_or(usize::MAX),
            ..IndexOptions::default()
        };
        let segment_options = SegmentOptions {
            segment_bytes: options.segment_bytes,
            write_bytes_max: budget.segment_write_bytes,
            ..SegmentOptions::default()
        };
        let directory = Rc::new(directory);
        let reserve_options =
            reserve_options(directory.capacity().await?, &options, budget.memtable_bytes as u64);
        // First: what opens next may need the space of it.
        let reserve = Reserve::open(Rc::clone(&directory), reserve_options).await?;
        let wal = if let Some(wal) = salvaged {
            wal
        } else {
            let wal = directory.directory(WAL_DIRECTORY).await?;
            Wal::open_with(wal, wal_options, Some(reserve.clone())).await?
        };
        let tables = directory.directory(TABLES_DIRECTORY).await?;
        let segments = segment_places(&*directory, &classes, SEGMENTS_DIRECTORY).await?;
        let spare = Some(reserve.clone());
        let index =
            Index::open_with(tables, segments, index_options, segment_options, spare).await?;
        Ok(Rc::new(Self { wal, index, directory, identity: options.wal_identity, reserve }))
    }

    /// Whether writes are to be refused, so that what frees space still finds some.
    pub fn is_short_of_space(&self) -> bool {
        self.reserve.is_short() || self.wal.is_short()
    }

    /// Looks at the space of the volume, and wakes upkeep while it is short. The owner calls it every now and then: sooner
    /// than [`ReserveFigures::needed_bytes`] can be written. An error is a failure of the volume.
    pub async fn tend_space(&self) -> Result<(), Error> {
        self.reserve.tend(self.index.segments().room_bytes()).await?;
        self.index.segments().look_at_classes().await;
        self.index.look_after_space();
        Ok(())
    }

    /// What is free on the volume, and what of it is kept back.
    pub fn reserve(&self) -> ReserveFigures {
        ReserveFigures { is_short: self.is_short_of_space(), ..self.reserve.figures() }
    }

    /// The shard's own directory: scrub keeps its progress there.
    pub(crate) fn directory(&self) -> &D {
        &self.directory
    }

    /// What tells the shard's files from those of another.
    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }
}

/// The directories of segments, in those of a shard.
pub(crate) async fn segment_places<D: Directory>(
    own: &D,
    classes: &[(Class, D)],
    name: &str,
) -> Result<Places<D>, Error> {
    let mut places = Places { own: own.directory(name).await?, classes: Vec::new() };
    for (class, directory) in classes {
        places.classes.push((*class, directory.directory(name).await?));
    }
    Ok(places)
}

/// Why a shard isn't opened where setting aside was cut off: a chunk that is gone and is written again would go with the
/// objects that still refer to the old one.
pub(crate) async fn unfinished<D: Directory>(directory: &D) -> Result<Option<Error>, Error> {
    let is_there = directory.list().await?.iter().any(|name| name == UNFINISHED_NAME);
    Ok(is_there.then(|| Error::Corrupt {
        location: format!("{}/{UNFINISHED_NAME}", directory.path()),
        finding: "damage was being set aside and that was cut off: run `anode volume check --set-aside` again"
            .to_owned(),
    }))
}

impl<D: Directory> fmt::Debug for Storage<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage")
            .field("wal", &self.wal.figures())
            .field("index", &self.index.figures())
            .finish_non_exhaustive()
    }
}

/// How much of a volume a shard keeps back. The margin is for what was taken before anybody looked again: all that memory
/// holds and must flush, and the next files. The reserve is for merging tables and rewriting a segment, more of it on a
/// larger volume, where levels are larger, too.
fn reserve_options(
    capacity: Capacity,
    options: &StorageOptions,
    memtable_bytes: u64,
) -> ReserveOptions {
    let segment_bytes = options.segment_bytes;
    let share = capacity.total_bytes / RESERVE_SHARE;
    let (least, most) =
        (RESERVE_SEGMENTS_MIN * segment_bytes, RESERVE_SEGMENTS_MAX * segment_bytes);
    ReserveOptions {
        reserve_bytes: share.clamp(least, most),
        margin_bytes: memtable_bytes + segment_bytes + 2 * options.wal_segment_bytes,
        // Not much: where a rewrite took the last free segment, what it gave back must end the shortage again.
        ease_bytes: segment_bytes / 4,
    }
}

/// How the memory of a shard's storage is shared out, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Budget {
    /// The active and the frozen memtables: what writes need.
    memtable_bytes: usize,
    /// Blocks of tables: what reads need. More or less than that, as the chunks beside them are used.
    block_cache_bytes: usize,
    /// Recent records, that followers and the apply step read back.
    wal_cache_bytes: usize,
    /// Records on their way to the device.
    wal_queue_bytes: usize,
    /// One write to data segments; several are in flight.
    segment_write_bytes: usize,
}

impl Budget {
    /// Gives 5/16 to memtables, 5/16 to the block cache, 1/8 to each of the WAL's two; the last 1/8 is for what comes and
    /// goes: writes in flight, tables being merged.
    fn split(memory_bytes: u64) -> Result<Self, Error> {
        if memory_bytes < MEMORY_BYTES_MIN {
            return Err(Error::Limit {
                what: "the memory of a shard's storage, in bytes (at least),",
                found: memory_bytes,
                limit: MEMORY_BYTES_MIN,
            });
        }
        let part = |sixteenths: u64, most: u64| {
            let bytes = (memory_bytes / 16).saturating_mul(sixteenths).min(most);
            usize::try_from(bytes).unwrap_or(usize::MAX)
        };
        Ok(Self {
            memtable_bytes: part(5, 256 << 20),
            block_cache_bytes: part(5, u64::MAX),
            wal_cache_bytes: part(2, 64 << 20),
            wal_queue_bytes: part(2, 16 << 20),
            segment_write_bytes: (part(1, 8 << 20) / 4).max(256 << 10),
        })
    }
}

#[cfg(test)]
mod tests;
