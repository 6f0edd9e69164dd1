//! The volumes of a stopped node: held by their locks, their superblocks read, the files of each shard opened.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use anode_disk::{
    Error,
    check::{ReadOnly, ShardFiles},
    volume::{Volume, VolumeIdentity},
    wal::GroupId,
};
use nix::fcntl::Flock;

use super::plain::PlainDirectory;
use crate::{layout::Layout, preflight, shard::META_GROUP};

/// The data directories that were named.
#[derive(Debug)]
pub(super) struct StoppedNode {
    pub(super) volumes: Vec<StoppedVolume>,
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
    pub(super) async fn open(paths: &[PathBuf]) -> Result<Self, String> {
        let mut locks = Vec::new();
        let mut volumes = Vec::new();
        for path in paths {
            // Not by the lock: that would make one in a directory that is none of ours.
            let has_superblock = std::fs::exists(path.join("superblock"));
            if !has_superblock.map_err(|error| format!("{}: {error}", path.display()))? {
                return Err(format!(
                    "{} is no data directory: no superblock is there",
                    path.display()
                ));
            }
            locks.push(preflight::hold(path)?);
            volumes.push(open_volume(path).await.map_err(|error| error.to_string())?);
        }
        Ok(Self { volumes, _locks: locks })
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

async fn open_volume(path: &Path) -> Result<StoppedVolume, Error> {
    let directory = ReadOnly::new(PlainDirectory::new(path));
    let (volume, superblock) = Volume::inspect(directory).await?;
    let identity = volume.identity().clone();
    let mut shards = Vec::new();
    for &id in &identity.shards {
        let files = match volume.shard(id).await {
            Ok(directory) => Ok(ShardFiles::open(directory, volume.wal_identity(id)).await),
            Err(error) => Err(error),
        };
        shards.push(StoppedShard { id, files });
    }
    Ok(StoppedVolume { path: path.to_owned(), identity, superblock, shards })
}
