//! Checking a shard's directory without changing it: the log, the table manifest, every table block, every extent that
//! tables refer to.
//!
//! Damage doesn't end the check: each is reported with its file, its offset and what it takes along, and the rest is
//! looked at all the same. Only what hangs on it can't be: without a manifest nobody knows which tables count.

mod read_only;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

pub use self::read_only::{ReadOnly, ReadOnlyFile};
use crate::{
    device::Directory,
    error::Error,
    index::{Entry, Inspection, Payload, Sight, TableFacts},
    owner::Owner,
    segment::{Extent, Places, SegmentOptions},
    storage::{DIRECTORIES, Storage, segment_places, unfinished},
    wal::{Recovery, Salvage, Wal, WalOptions},
};

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong, with file and offset.
    pub error: Error,
    /// What can't be read for it.
    pub taken: Taken,
}

/// What damage takes along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The whole shard: it doesn't open.
    Shard,
    /// Something of the log, and with it the shard: it doesn't open.
    Log,
    /// Every index key from behind `after`, or from the first on, to `upto`, unless a newer table has it.
    Keys {
        /// The last key before it.
        after: Option<Bytes>,
        /// The last key that may be in it.
        upto: Bytes,
    },
    /// The payload of one index key.
    Payload(Bytes),
    /// The payloads of these index keys.
    Payloads(BTreeSet<Bytes>),
    /// Nothing: what is damaged is there twice, and the other one is whole. The next opening writes both anew.
    Twin,
    /// Nothing that anybody would read: the key was overwritten since.
    Outdated(Bytes),
}

/// What a check tells on its way.
#[derive(Debug)]
pub enum Notice {
    /// It goes on with this file or kind of files.
    Began(String),
    /// So many bytes more were read and verified.
    Verified(u64),
    /// It found damage.
    Damaged(Damage),
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardFacts {
    /// What the log holds; none where it doesn't open.
    pub wal: Option<Recovery>,
    /// Tables of the manifest.
    pub table_count: u64,
    /// Their entries that could be read.
    pub entry_count: u64,
    /// Extents that they refer to.
    pub extent_count: u64,
}

/// A shard's log and index, looked at.
#[derive(Debug)]
pub struct ShardFiles<D: Directory> {
    /// The log.
    pub wal: Result<Wal<ReadOnly<D>>, Error>,
    /// What can be read of it, where it is damaged.
    pub salvage: Option<Salvage<ReadOnly<D>>>,
    /// Where setting aside was cut off.
    pub unfinished: Option<Error>,
    /// Tables and segments.
    pub index: Result<Inspection<ReadOnly<D>>, Error>,
}

impl<D: Directory> ShardFiles<D> {
    /// Opens what can be opened of a shard's directories, that on its volume and those of other classes. `identity` is what the batches of its log carry.
    pub async fn open(directories: impl Into<Places<D>>, identity: u64) -> Self {
        let Places { own, classes } = directories.into();
        let directory = ReadOnly::new(own);
        let classes: Vec<_> = classes
            .into_iter()
            .map(|(class, directory)| (class, ReadOnly::new(directory)))
            .collect();
        let [wal, tables, segments] = DIRECTORIES;
        let wal = async {
            let options = WalOptions { identity, ..WalOptions::default() };
            Wal::open(directory.directory(wal).await?, options).await
        };
        let wal = wal.await;
        let salvage = match &wal {
            Err(Error::Corrupt { .. }) => Storage::salvage(&directory, identity).await.ok(),
            Ok(_) | Err(_) => None,
        };
        let index = async {
            let tables = directory.directory(tables).await?;
            let places = segment_places(&directory, &classes, segments).await?;
            Inspection::open(tables, places, SegmentOptions::default()).await
        };
        let index = index.await;
        let unfinished = unfinished(&directory).await.unwrap_or_default();
        Self { wal, salvage, unfinished, index }
    }

    /// Reads and verifies everything, and has payloads looked at by the owner of the keys; what is found goes to `tell` as it comes.
    pub async fn check(&self, owner: &dyn Owner, tell: &mut impl FnMut(Notice)) -> ShardFacts {
        let mut facts = ShardFacts::default();
        if let Some(error) = &self.unfinished {
            tell(lost(error));
        }
        match &self.wal {
            Ok(wal) => {
                let figures = wal.figures();
                tell(Notice::Verified(figures.bytes_held));
                facts.wal = Some(figures.recovery);
            }
            Err(error) => {
                let damages = self.salvage.as_ref().map(Salvage::damages).unwrap_or_default();
                let nowhere = damages.is_empty().then_some(error);
                for error in damages.iter().chain(nowhere) {
                    tell(Notice::Damaged(Damage { error: error.clone(), taken: Taken::Log }));
                }
            }
        }
        match &self.index {
            Ok(index) => check_tables(index, owner, &mut facts, tell).await,
            Err(error) => tell(lost(error)),
        }
        facts
    }
}

fn lost(error: &Error) -> Notice {
    Notice::Damaged(Damage { error: error.clone(), taken: Taken::Shard })
}

async fn check_tables<D: Directory>(
    index: &Inspection<D>,
    owner: &dyn Owner,
    facts: &mut ShardFacts,
    tell: &mut impl FnMut(Notice),
) {
    for error in index.manifest_flaws() {
        tell(Notice::Damaged(Damage { error: error.clone(), taken: Taken::Twin }));
    }
    let missing = index.missing_segments();
    let mut taken: BTreeMap<u32, BTreeSet<Bytes>> = BTreeMap::new();
    for table in index.tables() {
        tell(Notice::Began(format!("table {:08x} of level {}", table.id, table.level)));
        facts.table_count += 1;
        let extents = check_table(index, &table, facts, tell).await;
        facts.extent_count += extents.len() as u64;
        for (extent, key) in extents {
            if missing.contains_key(&extent.segment) {
                let taken = taken.entry(extent.segment).or_default();
                if index.is_current(&key, extent).await {
                    taken.insert(key);
                }
                continue;
            }
            match index.verify(extent, &key, owner).await {
                Ok(()) => tell(Notice::Verified(extent.total_bytes())),
                Err(error) => {
                    let is_current = index.is_current(&key, extent).await;
                    let taken = if is_current { Taken::Payload(key) } else { Taken::Outdated(key) };
                    tell(Notice::Damaged(Damage { error, taken }));
                }
            }
        }
    }
    for (segment, error) in missing {
        let taken = Taken::Payloads(taken.remove(&segment).unwrap_or_default());
        tell(Notice::Damaged(Damage { error, taken }));
    }
}

/// Walks through a table; the extents it refers to, as they lie on the device.
async fn check_table<D: Directory>(
    index: &Inspection<D>,
    table: &TableFacts,
    facts: &mut ShardFacts,
    tell: &mut impl FnMut(Notice),
) -> Vec<(Extent, Bytes)> {
    let mut extents = Vec::new();
    index
        .walk(table, |sight| match sight {
            Sight::Entry(key, change) => {
                facts.entry_count += 1;
                if let Some(Entry { payload: Payload::Extent(extent), .. }) = change {
                    extents.push((extent, key));
                }
            }
            Sight::Unopened(error) => tell(lost(&error)),
            Sight::Damage { error, after, upto } => {
                let taken = Taken::Keys { after, upto };
                tell(Notice::Damaged(Damage { error, taken }));
            }
        })
        .await;
    tell(Notice::Verified(table.bytes));
    extents.sort_unstable();
    extents
}
