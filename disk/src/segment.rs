//! Data segments: append-only files that hold the bytes of chunks and of objects that left the index.
//!
//! An *extent* is one owner's bytes, behind a header that names the owner, the place and a checksum of every 4 KiB
//! (`header`). Extents are written to the *active* segment; a full one is *sealed* and never written again. Space
//! comes back a whole segment at a time: [`Segments::sweep`] removes sealed segments that nothing refers to, and
//! [`Segments::thin`] names the one whose few live extents are worth a rewrite.
//!
//! Invariants:
//!
//! - a segment's number is never used again while anything may remember it; appends after a restart go to a new one;
//! - an extent is durable after a [`Segments::sync`] that was called after its append returned;
//! - a segment is removed only when no table refers to it, nobody pins or keeps it, no write to it is in flight and no
//!   [`Hold`] is older than the last of these;
//! - a failed write or flush stops everything here for good, and one in the directory of another class the writes to that
//!   class (`area`); a full device does not.

mod append;
mod area;
mod class;
mod extent;
mod figures;
mod files;
mod flush;
mod header;
mod layout;
mod ledger;
mod read;
mod scan;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    rc::Rc,
};

use bytes::Bytes;

pub use class::Class;
pub use extent::Extent;
pub use figures::{ClassFigures, SegmentFigures};
pub use header::{EXTENT_DATA_BYTES_MAX, EXTENT_KEY_BYTES_MAX};
pub use ledger::{Hold, Thinness};

use self::{
    area::{Area, Writer},
    ledger::Ledger,
};
use crate::{
    device::{Directory, SECTOR_BYTES},
    error::Error,
    owner::Owner,
    signal::Signal,
};

/// The sizes of data segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentOptions {
    /// The length of a new segment, in bytes: whole sectors, at most 2 GiB.
    pub segment_bytes: u64,
    /// What one write to the device carries at most, in bytes, unless one extent is larger.
    pub write_bytes_max: usize,
    /// How many sealed segments are kept open for reading.
    pub open_count_max: usize,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, write_bytes_max: 2 << 20, open_count_max: 512 }
    }
}

/// The directories of a shard's segments.
#[derive(Debug)]
pub struct Places<D> {
    /// On its volume.
    pub own: D,
    /// Those of other classes, each once.
    pub classes: Vec<(Class, D)>,
}

impl<D> From<D> for Places<D> {
    fn from(own: D) -> Self {
        Self { own, classes: Vec::new() }
    }
}

/// A shard's data segments, shared by its clones.
pub struct Segments<D: Directory>(Rc<Shared<D>>);

impl<D: Directory> Clone for Segments<D> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

struct Shared<D: Directory> {
    options: SegmentOptions,
    ledger: Rc<RefCell<Ledger>>,
    own: Area<D>,
    /// Of the other classes that have directories.
    classes: BTreeMap<Class, Area<D>>,
    counts: Counts,
    /// The first failed write or flush; it ended everything here.
    failure: RefCell<Option<Error>>,
    failing: Signal,
}

/// What [`SegmentFigures`] counts.
#[derive(Debug, Default)]
struct Counts {
    reads: Cell<u64>,
    read_bytes: Cell<u64>,
    writes: Cell<u64>,
    write_bytes: Cell<u64>,
    /// What of it went to other classes than the shard's own.
    class_bytes: Cell<u64>,
}

impl<D: Directory> Segments<D> {
    /// Opens the segments of a shard's directories. `live` says for each segment how many bytes the tables refer to;
    /// `next_segment` is what [`Self::next_segment`] said when that was written down.
    ///
    /// Pin what else must survive, then [`Self::sweep`]. A segment that tables refer to and that isn't there is no error
    /// yet: whoever reads something of it meets it ([`Self::missing`]).
    ///
    /// # Errors
    ///
    /// [`Error::Absent`] where tables refer to segments of a class that has no directory here; [`Error::Corrupt`] where one
    /// has segments of another class.
    pub async fn open(
        places: impl Into<Places<D>>,
        options: SegmentOptions,
        live: &BTreeMap<u32, u64>,
        next_segment: u32,
    ) -> Result<Self, Error> {
        assert!(
            options.segment_bytes.is_multiple_of(SECTOR_BYTES as u64)
                && (1..=2 << 30).contains(&options.segment_bytes),
            "segments are whole sectors, at most 2 GiB"
        );
        let Places { own, classes } = places.into();
        let open_count_max = options.open_count_max;
        let area = |(class, directory)| (class, Area::new(class, directory, open_count_max));
        let own = Area::new(Class::OWN, own, open_count_max);
        let classes: BTreeMap<Class, Area<D>> = classes.into_iter().map(area).collect();
        assert!(!classes.contains_key(&Class::OWN), "the shard's own directory is named once");
        let mut found = BTreeSet::new();
        for area in classes.values().chain([&own]) {
            found.extend(found_in(area).await?);
        }
        let ledger = Ledger::new(&found, live, next_segment);
        let segments = Self(Rc::new(Shared {
            options,
            ledger: Rc::new(RefCell::new(ledger)),
            own,
            classes,
            counts: Counts::default(),
            failure: RefCell::default(),
            failing: Signal::default(),
        }));
        let referred = live.iter().filter(|(_, bytes)| **bytes > 0);
        referred.map(|(segment, _)| *segment).try_for_each(|it| segments.check_class(it))?;
        Ok(segments)
    }

    /// Whether the directory of a segment's class is known here.
    ///
    /// # Errors
    ///
    /// [`Error::Absent`] where it isn't.
    pub fn check_class(&self, segment: u32) -> Result<(), Error> {
        let class = Class::of_segment(segment);
        self.0.area(class).map(drop)
    }

    /// The classes that have directories, beside the shard's own.
    pub fn classes(&self) -> impl Iterator<Item = Class> {
        self.0.classes.keys().copied()
    }

    /// Writes each item, an owner's key and its data, and says where. The extents come back in the order of the
    /// items, each pinned once; they are durable after [`Self::sync`]. Any number of calls may be in flight.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] for a key outside 1..=[`EXTENT_KEY_BYTES_MAX`] or data above [`EXTENT_DATA_BYTES_MAX`];
    /// [`Error::NoSpace`]; [`Error::Device`], which stops everything here.
    pub async fn append(&self, items: Vec<(Bytes, Bytes)>) -> Result<Vec<Extent>, Error> {
        self.append_to(Class::OWN, items).await
    }

    /// As [`Self::append`], in the directory of a class; they are durable after [`Self::sync_class`], and nothing is to
    /// refer to them before.
    ///
    /// # Errors
    ///
    /// Of another class than the shard's own also [`Error::Absent`] where it has no directory, [`Error::ClassFull`] and
    /// [`Error::ClassFailed`].
    pub async fn append_to(
        &self,
        class: Class,
        items: Vec<(Bytes, Bytes)>,
    ) -> Result<Vec<Extent>, Error> {
        self.write(class, Writer::Owner, &items).await
    }

    /// As [`Self::append_to`], for bytes that are moved so that others can go.
    pub(crate) async fn move_to(
        &self,
        class: Class,
        items: Vec<(Bytes, Bytes)>,
    ) -> Result<Vec<Extent>, Error> {
        self.write(class, Writer::Upkeep, &items).await
    }

    async fn write(
        &self,
        class: Class,
        writer: Writer,
        items: &[(Bytes, Bytes)],
    ) -> Result<Vec<Extent>, Error> {
        self.0.running()?;
        let area = self.0.area(class)?;
        area.running()?;
        let result = area.noted(self.0.append((area, writer), items).await);
        self.0.noted(result)
    }

    /// Makes everything that was appended to the shard's own directory before this call durable. Callers share flushes.
    ///
    /// # Errors
    ///
    /// Any failure stops everything here: a flush is never tried again.
    pub async fn sync(&self) -> Result<(), Error> {
        self.sync_class(Class::OWN).await
    }

    /// As [`Self::sync`], of the directory of a class.
    ///
    /// # Errors
    ///
    /// Of another class than the shard's own [`Error::ClassFailed`]: it takes no more writes.
    pub async fn sync_class(&self, class: Class) -> Result<(), Error> {
        self.0.running()?;
        let area = self.0.area(class)?;
        area.running()?;
        let result = area.noted(area.flusher.sync(&area.directory).await);
        if class != Class::OWN {
            return result;
        }
        if let Err(error) = &result {
            self.0.fail(error);
        }
        result
    }

    /// Why a class takes no writes any more, where a write or flush of it has failed.
    pub fn class_failure(&self, class: Class) -> Option<Error> {
        self.0.classes.get(&class)?.failure()
    }

    /// Waits for the failure that stops everything here, and says what it was. The shard's upkeep waits for it: who was
    /// refused need not come again, and nobody else would notice.
    pub(crate) async fn failed(&self) -> Error {
        self.0.failing.until(|| self.0.failure.borrow().clone()).await
    }

    /// Reads `range` of the data of an extent that belongs to `key`: the covered blocks are verified.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] where the bytes are not what was appended; [`Error::Absent`] where the segment was removed
    /// since the extent was looked up (look it up again, or take a [`Hold`] before), and [`Error::Corrupt`] where it was
    /// missing at the start; [`Error::Limit`] for a range beyond the data.
    pub async fn read(
        &self,
        extent: Extent,
        key: &[u8],
        range: Range<u32>,
    ) -> Result<Bytes, Error> {
        self.0.running()?;
        self.0.read(extent, key, range).await
    }

    /// Reads all data of an extent that belongs to `key`, and asks the owner of the keys whether it is that.
    ///
    /// # Errors
    ///
    /// As [`Self::read`]; [`Error::Corrupt`] also where the owner knows better.
    pub async fn read_whole(
        &self,
        extent: Extent,
        key: &[u8],
        owner: &dyn Owner,
    ) -> Result<Bytes, Error> {
        let data = self.read(extent, key, 0..extent.data_bytes).await?;
        if owner.fits(key, &data) {
            return Ok(data);
        }
        Err(Error::Corrupt {
            location: format!("{} at {}", self.0.location(extent.segment), extent.offset),
            finding: "the bytes are not those that their key names, though their checksums match"
                .to_owned(),
        })
    }

    /// Walks a segment: every extent whose header is whole, with its owner's key, in the order of their offsets.
    /// Damage and holes left by a crash are stepped over. An owner must be asked whether it still refers to it.
    pub async fn scan(&self, segment: u32) -> Result<Vec<(Bytes, Extent)>, Error> {
        self.0.running()?;
        self.0.scan(segment).await
    }

    /// What is wrong where something refers to a segment that isn't there.
    pub(crate) fn missing(&self, segment: u32) -> Option<Error> {
        let is_there = self.0.ledger.borrow().contains(segment);
        (!is_there).then(|| missing(self.0.location(segment)))
    }

    /// The same of all that tables refer to.
    pub(crate) fn all_missing(&self) -> Vec<Error> {
        let segments = self.0.ledger.borrow().missing();
        segments.into_iter().map(|segment| missing(self.0.location(segment))).collect()
    }

    /// For who remembers an extent whose segment isn't there, and lets the index have it all the same: reads of it are
    /// refused as damage, instead of the whole shard.
    pub fn miss(&self, extent: Extent) {
        self.0.ledger.borrow_mut().miss(extent.segment);
    }

    /// Whether the segment of an extent is there.
    pub fn holds(&self, extent: Extent) -> bool {
        self.0.ledger.borrow().contains(extent.segment)
    }

    /// Keeps an extent for a holder in memory. False where its segment is gone, as happens for a record from
    /// before a restart whose extent was let go since.
    pub fn pin(&self, extent: Extent) -> bool {
        self.0.ledger.borrow_mut().pin(extent)
    }

    /// Ends a pin, also one that found nothing.
    pub fn unpin(&self, extent: Extent) {
        self.0.ledger.borrow_mut().unpin(extent);
    }

    /// Keeps the segment of a pinned extent although nothing needs the extent any more: for who may have to take it up
    /// again after a crash. Unlike a pin it counts as no need for space, and a segment that is thin otherwise is
    /// rewritten all the same.
    pub fn keep(&self, extent: Extent) {
        self.0.ledger.borrow_mut().keep(extent);
    }

    /// Ends a [`Self::keep`].
    pub fn let_go(&self, extent: Extent) {
        self.0.ledger.borrow_mut().let_go(extent);
    }

    /// Keeps every segment of now from being removed while the hold exists: for readers that look extents up
    /// and read them later, such as a view of the tables.
    pub fn hold(&self) -> Hold {
        Hold::new(&self.0.ledger)
    }

    /// Takes over what a commit of the table manifest changed: for each segment by how many bytes
    /// ([`Extent::total_bytes`]) the tables refer to more or less.
    pub fn apply(&self, deltas: &BTreeMap<u32, i64>) {
        self.0.ledger.borrow_mut().apply(deltas);
    }

    /// Removes sealed segments that nothing refers to; says which. To be called after a
    /// commit of the table manifest, and once after recovery when everything is pinned that must be.
    pub async fn sweep(&self) -> Result<Vec<u32>, Error> {
        self.0.running()?;
        let swept = self.0.ledger.borrow_mut().sweep();
        for segment in &swept {
            let area = self.0.area(Class::of_segment(*segment))?;
            area.files.forget(*segment);
            if area.has_failed() {
                // It is there at the next start, and swept then.
                continue;
            }
            let removed = area.noted(area.directory.remove(&files::name(*segment)).await);
            match removed {
                Err(Error::ClassFailed { .. }) => {}
                other => self.0.noted(other)?,
            }
        }
        Ok(swept)
    }

    /// Looks whether classes that were full have space again.
    pub(crate) async fn look_at_classes(&self) {
        for area in self.0.classes.values() {
            // Who can't be asked is asked again, or tells by its next write.
            let _unknown: Result<(), Error> = area.look(self.0.options.segment_bytes).await;
        }
    }

    /// The classes whose dead bytes are worth getting at, for they have no space for new ones.
    pub(crate) fn full_classes(&self) -> impl Iterator<Item = Class> {
        self.0.classes.values().filter(|area| area.is_full()).map(|area| area.class)
    }

    /// Whether there is one of them.
    pub(crate) fn has_full_class(&self) -> bool {
        self.full_classes().next().is_some()
    }

    /// Whether a segment of a class that isn't the shard's own may be rewritten: it takes a new one before it gives one
    /// back.
    pub(crate) async fn may_rewrite(&self, class: Class) -> bool {
        match self.0.area(class) {
            Ok(area) => area.may_rewrite(self.0.options.segment_bytes).await,
            Err(_unknown) => false,
        }
    }

    /// The sealed segment that is most worth a rewrite, if there is one that is thin enough, has live bytes and no pinned
    /// ones. Never one of `excluded`.
    pub fn thin(&self, thinness: Thinness, excluded: &BTreeSet<u32>) -> Option<u32> {
        let rewritable = |segment| {
            let area = self.0.area(Class::of_segment(segment));
            !excluded.contains(&segment) && area.is_ok_and(|area| !area.has_failed())
        };
        self.0.ledger.borrow().thin(thinness, self.0.options.segment_bytes, rewritable)
    }

    /// The same of one class.
    pub(crate) fn thin_in(
        &self,
        class: Class,
        thinness: Thinness,
        excluded: &BTreeSet<u32>,
    ) -> Option<u32> {
        let rewritable =
            |segment| Class::of_segment(segment) == class && !excluded.contains(&segment);
        self.0.ledger.borrow().thin(thinness, self.0.options.segment_bytes, rewritable)
    }

    /// Whether a segment has become free since the last call, so that a [`Self::sweep`] has something to do.
    pub fn take_freed(&self) -> bool {
        self.0.ledger.borrow_mut().take_freed()
    }

    /// Bytes written since the start.
    pub fn written_bytes(&self) -> u64 {
        self.0.counts.write_bytes.get()
    }

    /// What of them went to other classes than the shard's own.
    pub(crate) fn class_written_bytes(&self) -> u64 {
        self.0.counts.class_bytes.get()
    }

    /// What segments take on the device, in bytes.
    pub fn held_bytes(&self) -> u64 {
        self.0.ledger.borrow().segment_count() * self.0.options.segment_bytes
    }

    /// What fits into the active one of the shard's own directory, in bytes.
    pub(crate) fn room_bytes(&self) -> u64 {
        self.0.active_room(&self.0.own)
    }

    /// What fits into the active ones of all classes, in bytes.
    pub(crate) fn all_room_bytes(&self) -> u64 {
        let rooms = self.0.classes.values().map(|area| self.0.active_room(area));
        self.room_bytes() + rooms.sum::<u64>()
    }

    /// What tables refer to, in bytes.
    pub fn live_bytes(&self) -> u64 {
        self.0.ledger.borrow().live_bytes()
    }

    /// What memory refers to, in bytes.
    pub fn pinned_bytes(&self) -> u64 {
        self.0.ledger.borrow().pinned_bytes()
    }

    /// The length of a segment, in bytes.
    pub fn segment_bytes(&self) -> u64 {
        self.0.options.segment_bytes
    }

    /// A number above that of every segment so far: to be written down with the live bytes.
    pub fn next_segment(&self) -> u32 {
        self.0.ledger.borrow().next_segment()
    }
}

impl<D: Directory> fmt::Debug for Segments<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Segments").field(&self.figures()).finish()
    }
}

/// The segments of a directory.
async fn found_in<D: Directory>(area: &Area<D>) -> Result<Vec<u32>, Error> {
    let names = area.directory.list().await?;
    let found: Vec<u32> = names.iter().filter_map(|name| files::number(name)).collect();
    match found.iter().find(|segment| Class::of_segment(**segment) != area.class) {
        None => Ok(found),
        Some(stranger) => Err(Error::Corrupt {
            location: format!("{}/{}", area.directory.path(), files::name(*stranger)),
            finding: format!("it is a segment of class {}", Class::of_segment(*stranger)),
        }),
    }
}

fn missing(location: String) -> Error {
    Error::Corrupt { location, finding: "it is referred to and it is missing".to_owned() }
}

impl<D: Directory> Shared<D> {
    /// All of them, the shard's own first.
    fn areas(&self) -> impl Iterator<Item = &Area<D>> {
        std::iter::once(&self.own).chain(self.classes.values())
    }

    /// Where the segments of a class lie.
    fn area(&self, class: Class) -> Result<&Area<D>, Error> {
        if class == Class::OWN {
            return Ok(&self.own);
        }
        self.classes.get(&class).ok_or_else(|| Error::Absent {
            name: format!("a directory for class {class} of {}", self.own.directory.path()),
        })
    }

    fn running(&self) -> Result<(), Error> {
        if self.failure.borrow().is_some() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// Stops everything if a write or a change of names failed for another reason than a full device.
    fn noted<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error @ (Error::Device { .. } | Error::Stopped)) = &result {
            self.fail(error);
        }
        result
    }

    fn fail(&self, error: &Error) {
        self.failure.borrow_mut().get_or_insert_with(|| error.clone());
        self.failing.notify();
    }
}

#[cfg(test)]
mod tests;
