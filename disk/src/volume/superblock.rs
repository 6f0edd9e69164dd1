//! What a volume is, in one sector; the superblock file holds it twice.
//!
//! ```text
//!  offset  bytes  field (little-endian)
//!       0      8  magic "ANODEVOL"      these three are
//!       8      4  format version        the same in
//!      12      4  checksum              every version
//!      16     16  cluster id
//!      32     16  volume id
//!      48      8  when it was formatted, in milliseconds since 1970-01-01T00:00:00Z
//!      56      4  groups of the cluster
//!      60      4  shards of the node
//!      64      4  volumes of the node
//!      68      4  which of them this is, from 0
//!      72      4  shards of this volume, N
//!      76      4  how groups are placed on shards: a version that is the node's, 0 in the first volumes
//!      80     8N  their ids
//!     ...         zeros
//!    4080      1  class of the segments that it has, 0 for a volume          version 2;
//!    4081      1  classes that have directories: bit C of those of class C   zeros in version 1
//!    4082     14  zeros
//! ```
//!
//! Version 1 is written where both are zero, so that releases that know no classes read volumes without them, and refuse
//! those whose bytes are partly elsewhere.
//!
//! The checksum is the CRC32C of the sector but the checksum.

use std::collections::BTreeSet;

use crate::{checksum::crc32c, device::SECTOR_BYTES, error::Error, segment::Class};

/// How many shards one volume can hold.
pub const SHARDS_PER_VOLUME_MAX: usize = 500;

const MAGIC: [u8; 8] = *b"ANODEVOL";
/// Of a volume whose segments are all in it.
const VERSION_PLAIN: u32 = 1;
/// Of one with directories of other classes, and of these.
const VERSION_CLASSES: u32 = 2;

const VERSION_AT: usize = 8;
const CHECKSUM_AT: usize = VERSION_AT + 4;
const CLUSTER_AT: usize = CHECKSUM_AT + 4;
const VOLUME_AT: usize = CLUSTER_AT + 16;
const CREATED_AT: usize = VOLUME_AT + 16;
const GROUP_COUNT_AT: usize = CREATED_AT + 8;
const NODE_SHARD_COUNT_AT: usize = GROUP_COUNT_AT + 4;
const VOLUME_COUNT_AT: usize = NODE_SHARD_COUNT_AT + 4;
const VOLUME_INDEX_AT: usize = VOLUME_COUNT_AT + 4;
const SHARD_COUNT_AT: usize = VOLUME_INDEX_AT + 4;
const PLACEMENT_AT: usize = SHARD_COUNT_AT + 4;
const SHARDS_AT: usize = PLACEMENT_AT + 4;
const CLASS_AT: usize = SHARDS_AT + 8 * SHARDS_PER_VOLUME_MAX;
const CLASSES_AT: usize = CLASS_AT + 1;

const _: () = assert!(SHARDS_AT == 80, "the table above says so");
const _: () = assert!(CLASS_AT == 4080, "the table above says so");
const _: () = assert!(CLASSES_AT < SECTOR_BYTES, "one sector");

/// What a volume is and which shards it holds: decided when it is formatted, the same for good but for
/// [`Self::classes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeIdentity {
    /// The cluster's id, drawn at random.
    pub cluster: u128,
    /// The volume's id, drawn at random.
    pub volume: u128,
    /// When it was formatted, in milliseconds since 1970-01-01T00:00:00Z.
    pub created_ms: u64,
    /// How many placement groups the cluster was made with.
    pub group_count: u32,
    /// How many shards the node had on all its volumes when this one was formatted.
    pub node_shard_count: u32,
    /// How many volumes the node had then.
    pub volume_count: u32,
    /// Which of them this is, from 0.
    pub volume_index: u32,
    /// How groups are placed on shards: a version whose meaning is the node's.
    pub placement: u32,
    /// The ids of the shards on this volume, never used again in the cluster.
    pub shards: Vec<u64>,
    /// Which class its segments are of: [`Class::OWN`] for a volume, another one for a directory that the shards of volumes
    /// have beside these.
    pub class: Class,
    /// Of a volume, the classes that ever had directories beside it.
    pub classes: BTreeSet<Class>,
}

impl VolumeIdentity {
    fn version(&self) -> u32 {
        let is_plain = self.class == Class::OWN && self.classes.is_empty();
        if is_plain { VERSION_PLAIN } else { VERSION_CLASSES }
    }
}

/// The sector to store.
pub(super) fn encode(identity: &VolumeIdentity) -> Result<Vec<u8>, Error> {
    let shard_count = u32::try_from(identity.shards.len()).unwrap_or(u32::MAX);
    if !(1..=SHARDS_PER_VOLUME_MAX).contains(&identity.shards.len()) {
        return Err(Error::Limit {
            what: "the number of shards of a volume",
            found: u64::from(shard_count),
            limit: SHARDS_PER_VOLUME_MAX as u64,
        });
    }
    let mut sector = vec![0; SECTOR_BYTES];
    put(&mut sector, 0, &MAGIC);
    put(&mut sector, VERSION_AT, &identity.version().to_le_bytes());
    put(&mut sector, CLUSTER_AT, &identity.cluster.to_le_bytes());
    put(&mut sector, VOLUME_AT, &identity.volume.to_le_bytes());
    put(&mut sector, CREATED_AT, &identity.created_ms.to_le_bytes());
    put(&mut sector, GROUP_COUNT_AT, &identity.group_count.to_le_bytes());
    put(&mut sector, NODE_SHARD_COUNT_AT, &identity.node_shard_count.to_le_bytes());
    put(&mut sector, VOLUME_COUNT_AT, &identity.volume_count.to_le_bytes());
    put(&mut sector, VOLUME_INDEX_AT, &identity.volume_index.to_le_bytes());
    put(&mut sector, SHARD_COUNT_AT, &shard_count.to_le_bytes());
    put(&mut sector, PLACEMENT_AT, &identity.placement.to_le_bytes());
    for (index, shard) in identity.shards.iter().enumerate() {
        put(&mut sector, SHARDS_AT + 8 * index, &shard.to_le_bytes());
    }
    sector[CLASS_AT] = identity.class.number();
    sector[CLASSES_AT] = identity.classes.iter().map(|class| 1 << class.number()).sum();
    let checksum = checksum(&sector);
    put(&mut sector, CHECKSUM_AT, &checksum.to_le_bytes());
    Ok(sector)
}

/// Reads a stored sector.
pub(super) fn decode(sector: &[u8], location: &str) -> Result<VolumeIdentity, Error> {
    let damaged = |finding: &str| {
        Err(Error::Corrupt { location: location.to_owned(), finding: finding.to_owned() })
    };
    if sector.len() != SECTOR_BYTES {
        return damaged("the superblock is cut off");
    }
    if sector[..VERSION_AT] != MAGIC {
        return damaged("no superblock is there");
    }
    if u32::from_le_bytes(array(sector, CHECKSUM_AT)) != checksum(sector) {
        return damaged("the superblock's checksum doesn't match");
    }
    let found = u32::from_le_bytes(array(sector, VERSION_AT));
    if ![VERSION_PLAIN, VERSION_CLASSES].contains(&found) {
        let readable = format!("{VERSION_PLAIN} and {VERSION_CLASSES}");
        return Err(Error::Version { location: location.to_owned(), found, readable });
    }
    let shard_count = u32::from_le_bytes(array(sector, SHARD_COUNT_AT));
    let shard_count = usize::try_from(shard_count).unwrap_or(usize::MAX);
    if !(1..=SHARDS_PER_VOLUME_MAX).contains(&shard_count) {
        return damaged("the number of shards is beyond the limit");
    }
    let is_plain = found == VERSION_PLAIN;
    let Some(class) = Class::new(if is_plain { 0 } else { sector[CLASS_AT] }) else {
        return damaged("its class is beyond the limit");
    };
    let bits = if is_plain { 0 } else { sector[CLASSES_AT] };
    let classes = (1..Class::COUNT).filter(|number| bits >> number & 1 == 1);
    let shard = |index| u64::from_le_bytes(array(sector, SHARDS_AT + 8 * index));
    Ok(VolumeIdentity {
        cluster: u128::from_le_bytes(array(sector, CLUSTER_AT)),
        volume: u128::from_le_bytes(array(sector, VOLUME_AT)),
        created_ms: u64::from_le_bytes(array(sector, CREATED_AT)),
        group_count: u32::from_le_bytes(array(sector, GROUP_COUNT_AT)),
        node_shard_count: u32::from_le_bytes(array(sector, NODE_SHARD_COUNT_AT)),
        volume_count: u32::from_le_bytes(array(sector, VOLUME_COUNT_AT)),
        volume_index: u32::from_le_bytes(array(sector, VOLUME_INDEX_AT)),
        placement: u32::from_le_bytes(array(sector, PLACEMENT_AT)),
        shards: (0..shard_count).map(shard).collect(),
        class,
        classes: classes.filter_map(Class::new).collect(),
    })
}

fn checksum(sector: &[u8]) -> u32 {
    crc32c(&[&sector[..CHECKSUM_AT], &sector[CLUSTER_AT..]])
}

fn put(sector: &mut [u8], at: usize, source: &[u8]) {
    sector[at..at + source.len()].copy_from_slice(source);
}

/// The bytes of a field of a whole sector.
fn array<const LENGTH: usize>(sector: &[u8], at: usize) -> [u8; LENGTH] {
    *sector[at..].first_chunk().expect("every field lies within the sector")
}
