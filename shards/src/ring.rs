//! Which group a key belongs to, and which shards hold the replicas of a group.
//!
//! - A key's group is a hash of bucket id and key: it changes only when the number of groups does.
//! - The replicas of a group are in different failure domains. Every shard holds the same number of replicas, or one more,
//!   as far as failure domains allow (`balance.rs`): no core and no volume is left without groups.
//! - The placement is kept, not computed anew: a shard that joins takes its fair share, of a shard that leaves the
//!   replicas move, and else only what failure domains ask for. Each change is a new epoch.
//! - Group 0, the meta group, is on the lowest shards.
//!
//! A node of this release computes its placement anew at each start: another way to compute it is another
//! [`PLACEMENT_VERSION`], which its superblocks hold.

use std::collections::BTreeSet;

use anode_disk::wal::GroupId;
use minicbor::{Decode, Encode};
use xxhash_rust::xxh3::Xxh3;

use crate::{
    limits::{GROUP_COUNT_MAX, GROUP_COUNT_MIN},
    object::BucketId,
};

use balance::Balance;

mod balance;

/// Names a shard in the cluster, for good: also the Raft node id of its replicas.
pub type ShardId = u64;

/// The meta group.
pub const META_GROUP: GroupId = 0;

/// How [`Ring::new`] places groups on shards. 1: evenly; before it some shards could be left without groups.
pub const PLACEMENT_VERSION: u32 = 1;

/// A shard and where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Member {
    /// Its id.
    #[n(0)]
    pub shard: ShardId,
    /// The volume it lives on.
    #[n(1)]
    pub volume: u64,
    /// The node that has the volume.
    #[n(2)]
    pub node: u64,
    /// Where the node is; empty where nobody said.
    #[n(3)]
    pub zone: String,
}

/// Where every group is, at one epoch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ring {
    #[n(0)]
    epoch: u64,
    #[n(1)]
    replicas: u32,
    #[n(2)]
    members: Vec<Member>,
    /// The shards of each group, the meta group first.
    #[n(3)]
    placement: Vec<Vec<ShardId>>,
}

/// Why there is no such ring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// The count is no power of two within the limits.
    #[error(
        "{found} groups: the count is a power of two from {GROUP_COUNT_MIN} to {GROUP_COUNT_MAX}"
    )]
    GroupCount {
        /// What was asked for.
        found: u32,
    },
    /// There are too few failure domains (zones, else nodes, else volumes) for the replicas.
    #[error("{replicas} replicas need as many zones, nodes or volumes; there are {found}")]
    Domains {
        /// What was asked for.
        replicas: u32,
        /// How many there are of the finest kind.
        found: usize,
    },
    /// A shard is there twice, or was there before.
    #[error("shard {0} is a member already")]
    Twice(ShardId),
    /// There is no such shard.
    #[error("shard {0} is not a member")]
    Absent(ShardId),
}

/// How many groups of objects a new cluster with this many shards has.
pub fn group_count_default(shards: usize) -> u32 {
    let twice = u32::try_from(shards.saturating_mul(2)).unwrap_or(GROUP_COUNT_MAX);
    twice.clamp(GROUP_COUNT_MIN, GROUP_COUNT_MAX).next_power_of_two()
}

/// The group of a key, from 1 to `group_count`, a power of two.
pub fn group_of(bucket: BucketId, key: &str, group_count: u32) -> GroupId {
    assert!(group_count.is_power_of_two(), "{group_count} groups");
    let mut hasher = Xxh3::new();
    hasher.update(&bucket.to_le_bytes());
    hasher.update(key.as_bytes());
    let low = hasher.digest() & u64::from(group_count - 1);
    1 + u32::try_from(low).expect("it is below the count of groups")
}

/// A kind of failure domain; the widest that there are enough of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Domain {
    Zone,
    Node,
    Volume,
}

impl Domain {
    fn of(self, member: &Member) -> (&str, u64) {
        match self {
            Self::Zone => (&member.zone, 0),
            Self::Node => ("", member.node),
            Self::Volume => ("", member.volume),
        }
    }
}

impl Ring {
    /// Places `group_count` groups of objects and the meta group, `replicas` times each.
    pub fn new(members: Vec<Member>, group_count: u32, replicas: u32) -> Result<Self, RingError> {
        if !group_count.is_power_of_two()
            || !(GROUP_COUNT_MIN..=GROUP_COUNT_MAX).contains(&group_count)
        {
            return Err(RingError::GroupCount { found: group_count });
        }
        let mut members = members;
        members.sort();
        let mut twice = members.iter().zip(members.iter().skip(1));
        if let Some((member, _)) = twice.find(|(one, next)| one.shard == next.shard) {
            return Err(RingError::Twice(member.shard));
        }
        let empty = usize::try_from(group_count).expect("a group count fits in memory") + 1;
        let mut ring = Self { epoch: 1, replicas, members, placement: vec![Vec::new(); empty] };
        ring.settle()?;
        Ok(ring)
    }

    /// A cluster of one node with these shards, and nothing to replicate to.
    pub fn standalone(shards: &[ShardId]) -> Result<Self, RingError> {
        let member =
            |shard: &ShardId| Member { shard: *shard, volume: 0, node: 0, zone: String::new() };
        Self::new(shards.iter().map(member).collect(), group_count_default(shards.len()), 1)
    }

    /// Counts the changes; higher is newer.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many groups of objects there are; they are numbered from 1.
    pub fn group_count(&self) -> u32 {
        u32::try_from(self.placement.len() - 1).expect("it was made of 32 bits")
    }

    /// The shards and where they are, by id.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The group of a key.
    pub fn group_of(&self, bucket: BucketId, key: &str) -> GroupId {
        group_of(bucket, key, self.group_count())
    }

    /// The shards that hold a group; empty where there is no such group.
    pub fn shards_of(&self, group: GroupId) -> &[ShardId] {
        let group = usize::try_from(group).expect("a group number fits in memory");
        self.placement.get(group).map_or(&[], Vec::as_slice)
    }

    /// The groups that a shard holds, in order.
    pub fn groups_of(&self, shard: ShardId) -> impl Iterator<Item = GroupId> {
        let groups = self.placement.iter().zip(0_u32..);
        groups.filter_map(move |(shards, group)| shards.contains(&shard).then_some(group))
    }

    /// The next epoch, with one more shard: it takes replicas from the fullest until it has its fair share.
    pub fn join(&self, member: Member) -> Result<Self, RingError> {
        let shard = member.shard;
        let mut next = self.clone();
        let Err(at) = next.members.binary_search_by_key(&shard, |member| member.shard) else {
            return Err(RingError::Twice(shard));
        };
        next.members.insert(at, member);
        next.epoch += 1;
        next.settle()?;
        Ok(next)
    }

    /// The next epoch, with one shard less: what it held moves.
    pub fn leave(&self, shard: ShardId) -> Result<Self, RingError> {
        let mut next = self.clone();
        let found = next.members.binary_search_by_key(&shard, |member| member.shard);
        let at = found.map_err(|_where| RingError::Absent(shard))?;
        next.members.remove(at);
        next.epoch += 1;
        next.settle()?;
        Ok(next)
    }

    /// Places what is not placed, or not where it may be, and evens out.
    fn settle(&mut self) -> Result<(), RingError> {
        let domain = self.domain()?;
        let shards = self.members.iter().map(|member| member.shard).collect();
        let mut balance = Balance::new(shards, self.domains(domain), &self.placement);
        balance.fill(self.replicas_wanted());
        balance.level();
        self.placement = balance.placement();
        Ok(())
    }

    /// The failure domain of each member, as a number.
    fn domains(&self, domain: Domain) -> Vec<usize> {
        let mut all: Vec<_> = self.members.iter().map(|member| domain.of(member)).collect();
        all.sort_unstable();
        let number = |member: &Member| all.partition_point(|other| *other < domain.of(member));
        self.members.iter().map(number).collect()
    }

    /// The widest kind of failure domain that there are enough of.
    fn domain(&self) -> Result<Domain, RingError> {
        let count = |domain: Domain| {
            self.members.iter().map(|member| domain.of(member)).collect::<BTreeSet<_>>().len()
        };
        let wanted = self.replicas_wanted();
        [Domain::Zone, Domain::Node, Domain::Volume]
            .into_iter()
            .find(|domain| count(*domain) >= wanted)
            .ok_or_else(|| RingError::Domains {
                replicas: self.replicas,
                found: count(Domain::Volume),
            })
    }

    fn replicas_wanted(&self) -> usize {
        usize::try_from(self.replicas.max(1)).expect("a count of replicas is small")
    }
}

#[cfg(test)]
mod tests;
