//! A volume: one data directory, with a superblock that says what it is and a directory for each of its shards.
//!
//! ```text
//!  superblock         the identity, twice (`superblock`)
//!  shard-<id>/wal     the shard's write-ahead log
//!  shard-<id>/tables  the index: tables and their manifest
//!  shard-<id>/segments
//! ```
//!
//! The directory of another class of segments is one, too, with the shards of all volumes of the node and nothing but
//! `segments` in them. A volume remembers which classes have one, so that an empty directory in its place is known.
//!
//! Formatting writes `superblock-new`, durably, before the shards' directories and renames it to `superblock` after
//! them: a volume with a superblock is whole, and one that lost it is never formatted over.

mod superblock;
mod verify;

use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    device::{Device, Directory, Durability, Fill, SECTOR_BYTES},
    error::Error,
    segment::Class,
    storage::SEGMENTS_DIRECTORY,
};

pub use superblock::{SHARDS_PER_VOLUME_MAX, VolumeIdentity};

/// The file that makes a directory a volume.
pub const SUPERBLOCK_NAME: &str = "superblock";
const UNFINISHED_NAME: &str = "superblock-new";
const SHARD_PREFIX: &str = "shard-";
const COPY_COUNT: u64 = 2;
const SECTOR: u64 = SECTOR_BYTES as u64;

/// One formatted data directory.
#[derive(Debug)]
pub struct Volume<D: Directory> {
    directory: D,
    identity: VolumeIdentity,
}

impl<D: Directory> Volume<D> {
    /// Makes a volume of a directory; a formatting that was interrupted is done again.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] for a formatted directory, and for one with shards that lacks the superblock;
    /// [`Error::Limit`] for more shards than [`SHARDS_PER_VOLUME_MAX`], or none.
    pub async fn format(directory: &D, identity: &VolumeIdentity) -> Result<(), Error> {
        let sector = superblock::encode(identity)?;
        let file = if is_unfinished(directory).await? {
            // Written over, never removed: shards' directories may be there, and it is what tells that they are empty.
            directory.open(UNFINISHED_NAME, Durability::AtSync).await?
        } else {
            directory.create(UNFINISHED_NAME, Fill::Empty, Durability::AtSync).await?
        };
        let mut buffer = file.buffer(2 * SECTOR_BYTES);
        for copy in buffer.chunks_exact_mut(SECTOR_BYTES) {
            copy.copy_from_slice(&sector);
        }
        file.write(0, buffer).await?;
        file.sync().await?;
        directory.sync().await?;
        for shard in &identity.shards {
            shard_directory(directory, *shard, identity.class).await?;
        }
        directory.rename(UNFINISHED_NAME, SUPERBLOCK_NAME).await?;
        directory.sync().await
    }

    /// Opens a formatted directory. A damaged copy of the superblock is written again from the other one.
    ///
    /// # Errors
    ///
    /// [`Error::Absent`] where it is not formatted, [`Error::Version`] where another release did it,
    /// [`Error::Corrupt`] where both copies are damaged.
    pub async fn open(directory: D) -> Result<Self, Error> {
        let file = directory.open(SUPERBLOCK_NAME, Durability::AtSync).await?;
        // Whoever formatted it may have been killed before the last name was durable.
        directory.sync().await?;
        let found = read_copies(&directory, &file).await?;
        let identity = agreed(&directory, &found)?;
        for (copy, found) in (0..COPY_COUNT).zip(&found) {
            if found.as_ref() != Ok(&identity) {
                write_copy(&file, copy, &identity).await?;
            }
        }
        Ok(Self { directory, identity })
    }

    /// Looks at a formatted directory and changes nothing: the volume, and what is wrong with a copy of its superblock.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub async fn inspect(directory: D) -> Result<(Self, Vec<Error>), Error> {
        let file = directory.open(SUPERBLOCK_NAME, Durability::AtSync).await?;
        let found = read_copies(&directory, &file).await?;
        let identity = agreed(&directory, &found)?;
        let damages = found.into_iter().filter_map(Result::err).collect();
        Ok((Self { directory, identity }, damages))
    }

    /// Remembers that a class has a directory. Durable when it returns; a crash on the way leaves it remembered or not.
    ///
    /// # Errors
    ///
    /// Those of the device.
    pub async fn remember(&mut self, class: Class) -> Result<(), Error> {
        assert!(self.identity.class == Class::OWN && class != Class::OWN, "of a volume");
        if !self.identity.classes.insert(class) {
            return Ok(());
        }
        let file = self.directory.open(SUPERBLOCK_NAME, Durability::AtSync).await?;
        for copy in 0..COPY_COUNT {
            write_copy(&file, copy, &self.identity).await?;
        }
        Ok(())
    }

    /// What the superblock says.
    pub fn identity(&self) -> &VolumeIdentity {
        &self.identity
    }

    /// The directory it is in.
    pub fn directory(&self) -> &D {
        &self.directory
    }

    /// What the batches of a shard's WAL carry: drawn from the volume's random id, and so unknown to clients.
    pub fn wal_identity(&self, shard: u64) -> u64 {
        xxh3_64_with_seed(&self.identity.volume.to_le_bytes(), shard)
    }

    /// The directory of a shard, for [`crate::storage::Storage::open`].
    ///
    /// # Errors
    ///
    /// [`Error::Absent`] for a shard of another volume.
    pub async fn shard(&self, shard: u64) -> Result<D, Error> {
        if !self.identity.shards.contains(&shard) {
            let name = format!("{}/{}", self.directory.path(), shard_name(shard));
            return Err(Error::Absent { name });
        }
        // A missing directory would be made here, as that of a shard without data: formatting has made all of them,
        // so one that is missing was lost.
        let names = self.directory.list().await?;
        if !names.contains(&shard_name(shard)) {
            return Err(Error::Corrupt {
                location: format!("{}/{}", self.directory.path(), shard_name(shard)),
                finding: "the superblock names the shard and its directory is missing".to_owned(),
            });
        }
        self.directory.directory(&shard_name(shard)).await
    }

    /// Whether no storage was ever opened in it: what it was formatted for never began.
    ///
    /// # Errors
    ///
    /// As [`Self::shard`], and whatever the device says.
    pub async fn is_unused(&self) -> Result<bool, Error> {
        for shard in &self.identity.shards {
            let shard = self.shard(*shard).await?;
            for inner in crate::storage::DIRECTORIES {
                if !shard.directory(inner).await?.list().await?.is_empty() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Whether a formatting was cut off there; refuses a directory in use.
async fn is_unfinished<D: Directory>(directory: &D) -> Result<bool, Error> {
    let names = directory.list().await?;
    let has = |wanted: &str| names.iter().any(|name| name == wanted);
    let shard = names.iter().find(|name| name.starts_with(SHARD_PREFIX));
    if has(SUPERBLOCK_NAME) {
        return Err(Error::Exists { name: format!("{}/{SUPERBLOCK_NAME}", directory.path()) });
    }
    if has(UNFINISHED_NAME) {
        return Ok(true);
    }
    match shard {
        Some(shard) => Err(Error::Exists { name: format!("{}/{shard}", directory.path()) }),
        None => Ok(false),
    }
}

/// Each copy of the superblock, or what is wrong with it.
async fn read_copies<D: Directory>(
    directory: &D,
    file: &D::Device,
) -> Result<Vec<Result<VolumeIdentity, Error>>, Error> {
    let mut found = Vec::new();
    for copy in 0..COPY_COUNT {
        let sector = read_copy(file, copy).await?;
        found.push(superblock::decode(&sector, &location(directory, copy)));
    }
    Ok(found)
}

/// What the copies that can be read say together.
fn agreed<D: Directory>(
    directory: &D,
    found: &[Result<VolumeIdentity, Error>],
) -> Result<VolumeIdentity, Error> {
    let version = found.iter().find(|copy| matches!(copy, Err(Error::Version { .. })));
    if let Some(Err(version)) = version {
        return Err(version.clone());
    }
    let whole: Vec<&VolumeIdentity> = found.iter().filter_map(|copy| copy.as_ref().ok()).collect();
    match whole.as_slice() {
        [] => {
            let first = found.iter().find_map(|copy| copy.as_ref().err());
            Err(first.expect("both are damaged").clone())
        }
        [one, others @ ..] if others.iter().all(|other| is_of_same(other, one)) => {
            // Where remembering a class was cut off, one of them knows it.
            let classes = whole.iter().flat_map(|copy| copy.classes.iter().copied()).collect();
            Ok(VolumeIdentity { classes, ..(*one).clone() })
        }
        [..] => {
            let finding = "the two copies of the superblock differ".to_owned();
            Err(Error::Corrupt { location: location(directory, 0), finding })
        }
    }
}

fn location<D: Directory>(directory: &D, copy: u64) -> String {
    format!("{}/{SUPERBLOCK_NAME} at {}", directory.path(), copy * SECTOR)
}

/// Whether two say the same but for the classes that they remember.
fn is_of_same(one: &VolumeIdentity, other: &VolumeIdentity) -> bool {
    let plain =
        |identity: &VolumeIdentity| VolumeIdentity { classes: BTreeSet::new(), ..identity.clone() };
    plain(one) == plain(other)
}

async fn shard_directory<D: Directory>(
    directory: &D,
    shard: u64,
    class: Class,
) -> Result<(), Error> {
    let shard = directory.directory(&shard_name(shard)).await?;
    let inner =
        if class == Class::OWN { &crate::storage::DIRECTORIES[..] } else { &[SEGMENTS_DIRECTORY] };
    for inner in inner {
        shard.directory(inner).await?;
    }
    Ok(())
}

async fn read_copy<V: Device>(file: &V, copy: u64) -> Result<Vec<u8>, Error> {
    // A file that is too short is a damaged one, not one of another error.
    if file.size() < (copy + 1) * SECTOR {
        return Ok(Vec::new());
    }
    Ok(file.read(copy * SECTOR, SECTOR_BYTES).await?.to_vec())
}

async fn write_copy<V: Device>(
    file: &V,
    copy: u64,
    identity: &VolumeIdentity,
) -> Result<(), Error> {
    let mut buffer = file.buffer(SECTOR_BYTES);
    buffer.copy_from_slice(&superblock::encode(identity)?);
    file.write(copy * SECTOR, buffer).await?;
    file.sync().await
}

fn shard_name(shard: u64) -> String {
    format!("{SHARD_PREFIX}{shard:016x}")
}

#[cfg(test)]
mod tests;
