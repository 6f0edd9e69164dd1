//! What a node is made of: opens its volumes, or formats them.

use std::collections::BTreeSet;

use anode_disk::{
    Directory, Error,
    segment::Class,
    volume::{Volume, VolumeIdentity},
};
use anode_shards::ring::{Member, PLACEMENT_VERSION, Ring, group_count_default};

use crate::{
    host::Host,
    storage_class::{self, ClassDirectory},
};

/// What may be in a directory that is formatted: what a start makes, and what an interrupted formatting leaves.
const OWN_NAMES: [&str; 4] = ["lock", "lost+found", "preflight", "superblock-new"];
/// See [`OWN_NAMES`].
const OWN_PREFIXES: [&str; 2] = ["shard-", "direct-io-probe"];

/// What a node is made of, as its superblocks say: the same on every shard.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The cluster's id.
    pub cluster: u128,
    /// How many groups of objects it has.
    pub group_count: u32,
    /// The node's shards, in order: id, and the index of its volume.
    pub shards: Vec<(u64, usize)>,
    /// Whether the volumes were formatted just now.
    pub is_new: bool,
}

impl Layout {
    /// What the superblocks of a node's volumes say together; they are in the order of `paths`.
    pub(crate) fn of(identities: &[VolumeIdentity], paths: &[String]) -> Result<Self, String> {
        let first = &identities[0];
        let mut shards = Vec::new();
        for (index, (identity, path)) in identities.iter().zip(paths).enumerate() {
            if identity.class != Class::OWN {
                let name = storage_class::name_of(identity.class);
                return Err(format!(
                    "{path} is the directory of storage class {name}: name it with --data-class {name}=DIR"
                ));
            }
            if identity.cluster != first.cluster {
                return Err(format!("{path} belongs to another cluster than {}", paths[0]));
            }
            if identity.placement != PLACEMENT_VERSION {
                return Err(format!(
                    "{path} has placement version {}; this release reads {PLACEMENT_VERSION}: start it with the release that \
                     formatted it, and copy its objects to a node of this one",
                    identity.placement
                ));
            }
            shards.extend(identity.shards.iter().map(|id| (*id, index)));
        }
        let volume_count = usize::try_from(first.volume_count).unwrap_or(usize::MAX);
        if identities.len() != volume_count {
            return Err(format!(
                "this node was formatted with {volume_count} data directories, and {} are named: name all of them",
                identities.len()
            ));
        }
        // The order of the shards is that of their formatting, whatever the order of the directories is now.
        shards.sort_by_key(|(id, _)| id & 0xffff_ffff);
        Ok(Self { cluster: first.cluster, group_count: first.group_count, shards, is_new: false })
    }

    /// Which shard of the node has which group.
    pub(crate) fn ring(&self) -> Result<Ring, String> {
        let member = |(id, volume): &(u64, usize)| Member {
            shard: *id,
            volume: u64::try_from(*volume).expect("volumes are few"),
            node: 0,
            zone: String::new(),
        };
        let members = self.shards.iter().map(member).collect();
        Ring::new(members, self.group_count, 1).map_err(|error| error.to_string())
    }
}

/// Opens the volumes of a node, or formats them where all are empty. A formatting that was cut off is finished.
pub async fn prepare<H: Host>(
    host: &H,
    paths: &[String],
    shard_count: usize,
) -> Result<Layout, String> {
    let said = |error: Error| error.to_string();
    let (mut volumes, mut unformatted) = (Vec::new(), Vec::new());
    for path in paths {
        let directory = host.open(path).await.map_err(said)?;
        match Volume::open(directory).await {
            Ok(volume) => volumes.push((volume, path.clone())),
            Err(Error::Absent { .. }) => unformatted.push(path.clone()),
            Err(error) => return Err(said(error)),
        }
    }
    if volumes.is_empty() {
        return format(host, paths, shard_count).await;
    }
    let mut identities: Vec<_> = Vec::new();
    for (volume, path) in &volumes {
        identities.push((volume.identity().clone(), path.clone()));
    }
    if let Some(path) = unformatted.first() {
        let first = &identities[0].0;
        let is_whole = u32::try_from(paths.len()).is_ok_and(|count| count == first.volume_count);
        if !is_whole || !are_unused(&volumes).await.map_err(said)? {
            return Err(format!(
                "{path} is empty, but other data directories of this node hold data: name the directories it was \
                 formatted with (adding a volume is not possible in this release)"
            ));
        }
        let missing = (0..first.volume_count)
            .filter(|index| identities.iter().all(|(known, _)| known.volume_index != *index));
        let first = first.clone();
        for (index, path) in missing.collect::<Vec<_>>().into_iter().zip(unformatted) {
            let identity = format_volume(host, &path, &first, index).await?;
            identities.push((identity, path));
        }
    }
    let position = |path: &str| paths.iter().position(|known| known == path);
    identities.sort_by_key(|(_, path)| position(path));
    let identities: Vec<_> = identities.into_iter().map(|(identity, _)| identity).collect();
    Layout::of(&identities, paths)
}

/// Opens the directories of a node's storage classes, or formats those that are new; the volumes remember them.
pub async fn prepare_classes<H: Host>(
    host: &H,
    (volumes, classes): (&[String], &[ClassDirectory]),
    layout: &Layout,
) -> Result<(), String> {
    let said = |error: Error| error.to_string();
    if classes.is_empty() {
        return Ok(());
    }
    let mut opened = Vec::with_capacity(volumes.len());
    for path in volumes {
        let directory = host.open(path).await.map_err(said)?;
        opened.push(Volume::open(directory).await.map_err(said)?);
    }
    for ClassDirectory { class, path } in classes {
        let name = storage_class::name_of(*class);
        let directory = host.open(path).await.map_err(said)?;
        match Volume::open(directory).await {
            Ok(found) => check_class((found.identity(), path), *class, layout)?,
            Err(Error::Absent { .. }) => {
                let is_known =
                    |volume: &Volume<H::Directory>| volume.identity().classes.contains(class);
                if opened.iter().any(is_known) {
                    return Err(format!(
                        "{path} is empty, but this node has a directory for storage class {name} already: name that one, or \
                         mount its device there"
                    ));
                }
                let identity = VolumeIdentity {
                    volume: random_u128(host),
                    created_ms: host.wall_clock().0 / 1_000_000,
                    shards: layout.shards.iter().map(|(id, _)| *id).collect(),
                    class: *class,
                    classes: BTreeSet::new(),
                    ..opened[0].identity().clone()
                };
                let directory = host.open(path).await.map_err(said)?;
                check_empty(&directory).await?;
                Volume::format(&directory, &identity).await.map_err(said)?;
            }
            Err(error) => return Err(said(error)),
        }
        for volume in &mut opened {
            volume.remember(*class).await.map_err(said)?;
        }
    }
    Ok(())
}

/// Whether a directory is that of a class of this node.
fn check_class(
    (found, path): (&VolumeIdentity, &str),
    class: Class,
    layout: &Layout,
) -> Result<(), String> {
    let name = storage_class::name_of(class);
    if found.class == Class::OWN {
        return Err(format!("{path} is a data directory, and none of storage class {name}"));
    }
    if found.class != class {
        let other = storage_class::name_of(found.class);
        return Err(format!("{path} is the directory of storage class {other}, not of {name}"));
    }
    let is_ours = |id: &u64| found.shards.contains(id);
    if found.cluster != layout.cluster || !layout.shards.iter().all(|(id, _)| is_ours(id)) {
        return Err(format!("{path} is the directory of storage class {name} of another node"));
    }
    Ok(())
}

/// Whether no shard has ever run on these volumes: a node serves only when all have, so nothing was ever acknowledged.
async fn are_unused<D: Directory>(volumes: &[(Volume<D>, String)]) -> Result<bool, Error> {
    for (volume, _) in volumes {
        if !volume.is_unused().await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn format<H: Host>(host: &H, paths: &[String], shard_count: usize) -> Result<Layout, String> {
    let count = u32::try_from(shard_count.max(paths.len())).expect("shards are as few as cores");
    let node = VolumeIdentity {
        cluster: random_u128(host),
        volume: 0,
        created_ms: host.wall_clock().0 / 1_000_000,
        group_count: group_count_default(usize::try_from(count).expect("it was one")),
        node_shard_count: count,
        volume_count: u32::try_from(paths.len()).expect("volumes are few"),
        volume_index: 0,
        placement: PLACEMENT_VERSION,
        shards: Vec::new(),
        class: Class::OWN,
        classes: BTreeSet::new(),
    };
    let mut identities = Vec::new();
    for (index, path) in (0..).zip(paths) {
        identities.push(format_volume(host, path, &node, index).await?);
    }
    Ok(Layout { is_new: true, ..Layout::of(&identities, paths)? })
}

/// Formats volume `index` of the node that `node` describes.
async fn format_volume<H: Host>(
    host: &H,
    path: &str,
    node: &VolumeIdentity,
    index: u32,
) -> Result<VolumeIdentity, String> {
    // Shard ids are never used again: the upper half is drawn for this formatting.
    let base = host.random() & 0x7fff_ffff_0000_0000;
    let own = (0..node.node_shard_count).filter(|shard| shard % node.volume_count == index);
    let identity = VolumeIdentity {
        volume: random_u128(host),
        volume_index: index,
        shards: own.map(|shard| base | u64::from(shard + 1)).collect(),
        ..node.clone()
    };
    let directory = host.open(path).await.map_err(|error| error.to_string())?;
    check_empty(&directory).await?;
    Volume::format(&directory, &identity).await.map_err(|error| error.to_string())?;
    Ok(identity)
}

fn random_u128(host: &impl Host) -> u128 {
    u128::from(host.random()) << 64 | u128::from(host.random())
}

/// Refuses to format a directory that holds something else.
async fn check_empty(directory: &impl Directory) -> Result<(), String> {
    let names = directory.list().await.map_err(|error| error.to_string())?;
    let is_ours = |name: &str| {
        OWN_NAMES.contains(&name) || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    match names.iter().find(|name| !is_ours(name)) {
        None => Ok(()),
        Some(name) => Err(format!(
            "data directory {} holds something else ({name}): name an empty directory",
            directory.path()
        )),
    }
}

#[cfg(test)]
mod tests;
