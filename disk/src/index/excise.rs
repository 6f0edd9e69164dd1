//! Excision: tables that hold something unreadable are written again without it, so that all that is left can be read.
//!
//! An entry whose payload can't be read becomes a tombstone in its own place: nothing older shows instead. Of a block that
//! can't be read nobody knows the keys, but the table's filter knows which it surely had not. What older tables have under
//! the others is *doubtful*, as a newer change of it may have been in the block: a tombstone in the block's place covers
//! it. Damage of a filter or a block index takes nothing along: every block says itself where it belongs.
//!
//! All new tables take the place of the old ones by one edit of the manifest. In level zero the id of a table says how new
//! it is: what is newer than a table that is written again is written again, too.

mod read;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use bytes::Bytes;

use self::read::Content;
use crate::{
    device::Directory,
    error::Error,
    index::{
        Index,
        entry::{Change, Entry, Payload},
        filter,
        levels::Version,
        ranges::Ranges,
        shared::{Install, Shared},
        table::{reader::Table, writer::TableWriter},
    },
    owner::Owner,
};

/// What an excision would take away. Nothing is changed before [`Index::excise`].
pub struct Excision<D: Directory> {
    /// What look-ups lead to, and whose payload can't be read.
    pub lost: Vec<(Bytes, Entry)>,
    /// Where keys can't be read.
    pub gaps: Vec<Gap>,
    /// What older tables have under keys that a gap may have had: whether it is the newest, nobody knows.
    pub doubtful: Vec<(Bytes, Entry)>,
    version: Rc<Version<D>>,
    /// The tables to be written again, by id.
    struck: BTreeMap<u32, Struck>,
}

/// What is wrong with one table.
#[derive(Clone, Debug, Default)]
struct Struck {
    /// What is to be a tombstone in it.
    keys: BTreeSet<Bytes>,
    /// More of them than these, once it is written, are news: nothing is taken away that was not told.
    gap_count: usize,
}

/// Keys of one table that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What is wrong, with file and offset.
    pub error: Error,
    /// The last key before it that can be read; none where it begins with the table.
    pub after: Option<Bytes>,
    /// No key in it is below this.
    pub first: Bytes,
    /// The last key that may be in it.
    pub upto: Bytes,
    /// The filter of the table; none where it can't be read either.
    filter: Option<Bytes>,
}

impl Gap {
    /// Whether a key may have been in it.
    pub fn may_hold(&self, key: &[u8]) -> bool {
        let is_behind = self.after.as_ref().is_none_or(|after| key > after);
        let is_within = is_behind && key >= self.first && key <= self.upto;
        let hash = filter::key_hash(key);
        is_within && self.filter.as_ref().is_none_or(|bits| filter::may_hold(bits, hash))
    }
}

impl<D: Directory> Excision<D> {
    /// Whether there is nothing to be done.
    pub fn is_empty(&self) -> bool {
        self.struck.is_empty()
    }
}

impl<D: Directory> Index<D> {
    /// Reads all tables, and the payloads under `suspects` and in segments that are missing, and says what can't be read. Nothing else runs meanwhile,
    /// and everything is flushed. What lasts by its owner's word is never doubtful.
    ///
    /// # Errors
    ///
    /// Damage is none; [`Error::Stopped`] after a failed write.
    pub async fn excision(
        &self,
        suspects: &BTreeSet<Bytes>,
        owner: &dyn Owner,
    ) -> Result<Excision<D>, Error> {
        let shared = &self.0;
        let version = Rc::clone(&shared.state.borrow().version);
        let mut excision = Excision {
            lost: Vec::new(),
            gaps: Vec::new(),
            doubtful: Vec::new(),
            version: Rc::clone(&version),
            struck: BTreeMap::new(),
        };
        let tables: Vec<_> = version.tables().collect();
        for position in 0..tables.len() {
            let place = Place { shared, version: &version, tables: &tables, position };
            excision.look(&place, suspects, owner).await?;
        }
        Ok(excision)
    }

    /// Writes the tables of an excision again. A crash leaves all of it, or nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NoSpace`], and [`Error::Corrupt`] where there is more damage than was told, change nothing. After any other
    /// error the index writes no more.
    pub async fn excise(&self, excision: Excision<D>) -> Result<(), Error> {
        let shared = &self.0;
        let guard = shared.compacting.lock().await;
        let Excision { version, struck, .. } = excision;
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for (level, tables) in version.levels.iter().enumerate() {
            let mut is_below = false;
            // From the oldest on.
            for table in tables.iter().rev() {
                let own = struck.get(&table.meta.id);
                if own.is_none() && !(level == 0 && is_below) {
                    continue;
                }
                is_below = true;
                let nothing = Struck::default();
                let written = write(shared, &version, (table, own.unwrap_or(&nothing))).await;
                let written = written.map_err(|error| shared.note(error))?;
                added.extend(written.map(|table| (level, Rc::new(table))));
                removed.push(Rc::clone(table));
            }
        }
        drop(version);
        shared.directory.sync().await.map_err(|error| shared.note(error))?;
        let install = Install { added, removed, flushed: false, struck: Ranges::default() };
        shared.commit(install).await?;
        drop(guard);
        shared.release().await
    }
}

/// One of the tables, among all of them from the newest to the oldest.
struct Place<'a, D: Directory> {
    shared: &'a Shared<D>,
    version: &'a Version<D>,
    tables: &'a [&'a Rc<Table<D>>],
    position: usize,
}

impl<D: Directory> Excision<D> {
    /// Adds what is wrong with one table.
    async fn look(
        &mut self,
        place: &Place<'_, D>,
        suspects: &BTreeSet<Bytes>,
        owner: &dyn Owner,
    ) -> Result<(), Error> {
        let table = place.tables[place.position];
        let content = Content::read(place.shared, place.version, table).await?;
        let mut struck = Struck { keys: BTreeSet::new(), gap_count: content.gaps.len() };
        for (key, change) in &content.entries {
            let is_suspect =
                |entry: &&Entry| suspects.contains(key) || place.has_lost_segment(&entry.payload);
            let Some(entry) = change.as_ref().filter(is_suspect) else { continue };
            if is_whole(place.shared, (key, entry), owner).await? {
                continue;
            }
            struck.keys.insert(key.clone());
            if !place.is_covered(key).await {
                self.lost.push((key.clone(), entry.clone()));
            }
        }
        for gap in &content.gaps {
            for (key, entry) in place.older(gap).await? {
                if owner.is_lasting(&key) || place.is_covered(&key).await {
                    continue;
                }
                struck.keys.insert(key.clone());
                self.doubtful.push((key, entry));
            }
        }
        if content.is_to_be_mended() || !struck.keys.is_empty() {
            self.struck.insert(table.meta.id, struck);
        }
        self.gaps.extend(content.gaps);
        Ok(())
    }
}

impl<D: Directory> Place<'_, D> {
    /// Whether a payload lies in a segment that is missing.
    fn has_lost_segment(&self, payload: &Payload) -> bool {
        matches!(payload, Payload::Extent(extent) if !self.shared.segments.holds(*extent))
    }

    /// What older tables hold under keys that a gap of this one may have had.
    async fn older(&self, gap: &Gap) -> Result<Vec<(Bytes, Entry)>, Error> {
        let mut found = Vec::new();
        let Some((table, older)) = self.tables[self.position..].split_first() else {
            return Ok(found);
        };
        for other in older.iter().filter(|other| other.meta.overlaps(&gap.first, &gap.upto)) {
            for (key, change) in Content::read(self.shared, self.version, other).await?.entries {
                if let Some(entry) = change
                    && gap.may_hold(&key)
                    && !self.version.hides(table, &key)
                {
                    found.push((key, entry));
                }
            }
        }
        Ok(found)
    }

    /// Whether a newer table has the key, so that a look-up ends there.
    async fn is_covered(&self, key: &[u8]) -> bool {
        let hash = filter::key_hash(key);
        for table in &self.tables[..self.position] {
            let may_hold = table.meta.overlaps(key, key) && !self.version.hides(table, key);
            if may_hold && matches!(table.get(key, hash, &self.shared.cache).await, Ok(Some(_))) {
                return true;
            }
        }
        false
    }
}

/// Whether all bytes of a payload can be read.
async fn is_whole<D: Directory>(
    shared: &Shared<D>,
    (key, entry): (&[u8], &Entry),
    owner: &dyn Owner,
) -> Result<bool, Error> {
    let Payload::Extent(extent) = entry.payload else { return Ok(true) };
    match shared.segments.read_whole(extent, key, owner).await {
        Ok(_bytes) => Ok(true),
        Err(Error::Stopped) => Err(Error::Stopped),
        Err(_damage) => Ok(false),
    }
}

/// Writes a table again, with tombstones for what is struck; none where nothing is left.
async fn write<D: Directory>(
    shared: &Shared<D>,
    version: &Version<D>,
    (table, struck): (&Table<D>, &Struck),
) -> Result<Option<Table<D>>, Error> {
    let content = Content::read(shared, version, table).await?;
    if let Some(gap) = content.gaps.get(struck.gap_count) {
        return Err(gap.error.clone());
    }
    let mut changes: BTreeMap<Bytes, Change> = content.entries.into_iter().collect();
    changes.extend(struck.keys.iter().map(|key| (key.clone(), None)));
    if changes.is_empty() {
        return Ok(None);
    }
    let id = shared.take_table_id();
    let mut writer = TableWriter::create(&shared.directory, id, shared.options.block_bytes).await?;
    for (key, change) in &changes {
        writer.add(key, change).await?;
    }
    let written = writer.finish(&shared.cache).await?;
    Ok(Some(Table::new(&shared.directory, written)))
}

impl<D: Directory> std::fmt::Debug for Excision<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Excision")
            .field("lost", &self.lost)
            .field("gaps", &self.gaps)
            .field("doubtful", &self.doubtful)
            .finish_non_exhaustive()
    }
}
