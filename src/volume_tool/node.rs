//! The volumes of a stopped node: held by their locks, their superblocks read, the files of each shard opened.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anode_disk::{
    Error,
    check::{ReadOnly, ShardFiles},
    segment::{Class, Places},
    volume::{Volume, VolumeIdentity},
    wal::GroupId,
};
use nix::fcntl::Flock;

use super::plain::PlainDirectory;
use crate::{
    config::{data_class, webhook::Named},
    layout::Layout,
    preflight,
    shard::META_GROUP,
    storage_class::{self, ClassDirectory},
};

/// The data directories that were named.
#[derive(Debug)]
pub(super) struct StoppedNode {
    pub(super) volumes: Vec<StoppedVolume>,
    /// The directories of storage classes, without shards: what is in them is reached by those of the volumes.
    pub(super) classes: Vec<StoppedVolume>,
    _locks: Vec<Flock<File>>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct StoppedVolume {
    pub(super) path: PathBuf,
    pub(super) identity: VolumeIdentity,
    /// What is wrong with a copy of the superblock.
    pub(super) superblock: Vec<Error>,
    pub(super) shards: Vec<StoppedShard>,
}

/// A shard of a volume.
#[derive(Debug)]
pub(super) struct StoppedShard {
    pub(super) id: u64,
    /// Its files; an error where its directory is gone.
    pub(super) files: Result<ShardFiles<ReadOnly<PlainDirectory>>, Error>,
}

impl StoppedNode {
    /// Opens what can be opened; an error says why nothing can be said of a directory at all.
    pub(super) async fn open(paths: &[PathBuf], flags: &[Named]) -> Result<Self, String> {
        let said = |error: Error| error.to_string();
        let mut locks = Vec::new();
        let (mut classes, mut volumes) = (Vec::new(), Vec::new());
        for ClassDirectory { class, path } in data_class::of_flags(flags)? {
            let path = PathBuf::from(path);
            locks.push(hold(&path)?);
            let opened = open_directory(&path).await.map_err(said)?;
            if opened.0.identity().class != class {
                let name = storage_class::name_of(class);
                return Err(format!("{} is no directory of storage class {name}", path.display()));
            }
            classes.push((path, opened));
        }
        for path in paths {
            locks.push(hold(path)?);
            let volume = open_volume(path, &classes).await.map_err(said)?;
            check_classes(&volume, &classes)?;
            volumes.push(volume);
        }
        let stopped = |(path, (volume, superblock)): (PathBuf, Opened)| StoppedVolume {
            path,
            identity: volume.identity().clone(),
            superblock,
            shards: Vec::new(),
        };
        Ok(Self { volumes, classes: classes.into_iter().map(stopped).collect(), _locks: locks })
    }

    /// The groups that are placed on a shard.
    ///
    /// # Errors
    ///
    /// A sentence where not all data directories of the node were named: the placement depends on all shards.
    pub(super) fn groups_of(&self, shard: u64) -> Result<Vec<GroupId>, String> {
        let identities: Vec<_> =
            self.volumes.iter().map(|volume| volume.identity.clone()).collect();
        let paths = self.volumes.iter().map(|volume| volume.path.display().to_string());
        let layout = Layout::of(&identities, &paths.collect::<Vec<_>>())?;
        let ring = layout.ring()?;
        let groups = META_GROUP..=ring.group_count();
        Ok(groups.filter(|group| ring.shards_of(*group).contains(&shard)).collect())
    }

    /// The files of all shards that can be opened.
    pub(super) fn files(&self) -> impl Iterator<Item = &ShardFiles<ReadOnly<PlainDirectory>>> {
        let shards = self.volumes.iter().flat_map(|volume| &volume.shards);
        shards.filter_map(|shard| shard.files.as_ref().ok())
    }
}

/// A volume or the directory of a class, and what is wrong with a copy of its superblock.
type Opened = (Volume<ReadOnly<PlainDirectory>>, Vec<Error>);

/// Takes a directory of a node.
fn hold(path: &Path) -> Result<Flock<File>, String> {
    // Not by the lock: that would make one in a directory that is none of ours.
    let has_superblock = std::fs::exists(path.join("superblock"));
    if !has_superblock.map_err(|error| format!("{}: {error}", path.display()))? {
        return Err(format!("{} is no data directory: no superblock is there", path.display()));
    }
    preflight::hold(path)
}

async fn open_directory(path: &Path) -> Result<Opened, Error> {
    Volume::inspect(ReadOnly::new(PlainDirectory::new(path))).await
}

/// Refuses where a volume has segments of a class whose directory was not named: they are not damaged.
fn check_classes(volume: &StoppedVolume, named: &[(PathBuf, Opened)]) -> Result<(), String> {
    let is_named =
        |class: &Class| named.iter().any(|(_, (known, _))| known.identity().class == *class);
    let Some(class) = volume.identity.classes.iter().find(|class| !is_named(class)) else {
        return Ok(());
    };
    let lacks = |shard: &StoppedShard| {
        let index = shard.files.as_ref().ok().and_then(|files| files.index.as_ref().err());
        matches!(index, Some(Error::Absent { .. }))
    };
    if !volume.shards.iter().any(lacks) {
        return Ok(());
    }
    let (path, name) = (volume.path.display(), storage_class::name_of(*class));
    Err(format!(
        "{path} has objects in the directory of storage class {name}: name it with --data-class {name}=DIR"
    ))
}

async fn open_volume(path: &Path, classes: &[(PathBuf, Opened)]) -> Result<StoppedVolume, Error> {
    let (volume, superblock) = open_directory(path).await?;
    let identity = volume.identity().clone();
    let mut shards = Vec::new();
    for &id in &identity.shards {
        let files = match volume.shard(id).await {
            Ok(directory) => {
                let mut places = Places::from(directory);
                for (_, (class, _)) in classes {
                    places.classes.push((class.identity().class, class.shard(id).await?));
                }
                Ok(ShardFiles::open(places, volume.wal_identity(id)).await)
            }
            Err(error) => Err(error),
        };
        shards.push(StoppedShard { id, files });
    }
    Ok(StoppedVolume { path: path.to_owned(), identity, superblock, shards })
}
