//! Which group a key belongs to, and which shards hold the replicas of a group.
//!
//! - A key's group is a hash of bucket id and key: it changes only when the number of groups does.
//! - Shards stand on a circle with [`RING_POINTS`] points each; the replicas of a group are the first shards clockwise of
//!   it that are in different failure domains and have room: no shard has more than [`RING_LOAD_PERCENT_MAX`] of
//!   the average.
//! - The placement is kept, not computed anew: a shard that joins takes its fair share and nothing else moves; of a shard
//!   that leaves only its own replicas move. Each change is a new epoch.
//! - Group 0, the meta group, is on the lowest shards.

use std::collections::{BTreeMap, BTreeSet};

use anode_disk::wal::GroupId;
use minicbor::{Decode, Encode};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::{
    limits::{GROUP_COUNT_MAX, GROUP_COUNT_MIN, RING_LOAD_PERCENT_MAX, RING_POINTS},
    object::BucketId,
};

/// Names a shard in the cluster, for good: also the Raft node id of its replicas.
pub type ShardId = u64;

/// The meta group.
pub const META_GROUP: GroupId = 0;

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

/// How many replicas each shard holds, the meta group's apart.
type Loads = BTreeMap<ShardId, usize>;
/// The failure domain of each shard.
type Domains = BTreeMap<ShardId, (String, u64)>;

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
        ring.domain()?;
        ring.fill()?;
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

    /// The next epoch, with one more shard: it takes replicas from the fullest until it has its fair share. No other
    /// replica moves.
    pub fn join(&self, member: Member) -> Result<Self, RingError> {
        let shard = member.shard;
        let mut next = self.clone();
        let Err(at) = next.members.binary_search_by_key(&shard, |member| member.shard) else {
            return Err(RingError::Twice(shard));
        };
        next.members.insert(at, member);
        next.epoch += 1;
        let domain = next.domain()?;
        let (mut loads, domains) = (next.loads(), next.domains(domain));
        let share = next.replicas_total() / next.members.len();
        let points = points(shard);
        // Groups in the order of the circle, from the new shard's points backwards: as if it had always been there.
        let mut groups: Vec<usize> = (1..next.placement.len()).collect();
        groups.sort_by_key(|group| {
            let place = hash_of_group(*group);
            points.iter().map(|point| point.wrapping_sub(place)).min()
        });
        let mut taken = 0;
        for floor in [share + 1, share] {
            for group in &groups {
                if taken >= share {
                    return Ok(next);
                }
                taken += usize::from(next.take(*group, shard, (&mut loads, &domains), floor));
            }
        }
        Ok(next)
    }

    /// The next epoch, with one shard less: only what it held moves.
    pub fn leave(&self, shard: ShardId) -> Result<Self, RingError> {
        let mut next = self.clone();
        let found = next.members.binary_search_by_key(&shard, |member| member.shard);
        let at = found.map_err(|_where| RingError::Absent(shard))?;
        next.members.remove(at);
        next.epoch += 1;
        next.domain()?;
        for shards in &mut next.placement {
            shards.retain(|other| *other != shard);
        }
        next.fill()?;
        Ok(next)
    }

    /// Moves one replica of a group to `shard`, from the fullest of its shards that has more than `floor` replicas and
    /// whose going leaves no two in one domain.
    fn take(
        &mut self,
        group: usize,
        shard: ShardId,
        (loads, domains): (&mut Loads, &Domains),
        floor: usize,
    ) -> bool {
        let shards = &self.placement[group];
        let target = domains.get(&shard);
        if shards.contains(&shard) {
            return false;
        }
        let legal = |source: &ShardId| {
            let others = shards.iter().filter(|other| *other != source);
            others.into_iter().all(|other| domains.get(other) != target)
        };
        let load = |source: &ShardId| loads.get(source).copied().unwrap_or(0);
        let full = shards.iter().filter(|source| load(source) > floor && legal(source));
        let Some(source) = full.max_by_key(|source| load(source)).copied() else { return false };
        for held in &mut self.placement[group] {
            if *held == source {
                *held = shard;
            }
        }
        *loads.entry(source).or_insert(0) -= 1;
        *loads.entry(shard).or_insert(0) += 1;
        true
    }

    /// Gives every group the replicas that it lacks.
    fn fill(&mut self) -> Result<(), RingError> {
        let domain = self.domain()?;
        let circle: BTreeMap<u64, ShardId> = self
            .members
            .iter()
            .flat_map(|member| points(member.shard).into_iter().map(|point| (point, member.shard)))
            .collect();
        let domains = self.domains(domain);
        let average = self.replicas_total().div_ceil(self.members.len());
        let percent = usize::try_from(RING_LOAD_PERCENT_MAX).expect("a percentage fits");
        let load_max = (self.replicas_total() * percent).div_ceil(self.members.len() * 100);
        let mut loads = self.loads();
        let replicas = self.replicas_wanted();
        for group in 0..self.placement.len() {
            let place = hash_of_group(group);
            while self.placement[group].len() < replicas {
                let held = &self.placement[group];
                let near: Vec<ShardId> = if group == 0 {
                    self.members.iter().map(|member| member.shard).collect()
                } else {
                    circle.range(place..).chain(circle.range(..place)).map(|(_, s)| *s).collect()
                };
                let taken: BTreeSet<_> = held.iter().map(|shard| &domains[shard]).collect();
                let legal = || near.iter().filter(|shard| !taken.contains(&domains[*shard]));
                let load = |shard: &ShardId| loads.get(shard).copied().unwrap_or(0);
                let room = legal().find(|s| group == 0 || load(s) < load_max.max(average));
                let found = room.or_else(|| legal().min_by_key(|shard| load(shard)));
                let found = *found.expect("there are as many domains as replicas");
                if group != 0 {
                    *loads.entry(found).or_insert(0) += 1;
                }
                self.placement[group].push(found);
            }
        }
        Ok(())
    }

    /// How many replicas each shard holds, the meta group's apart.
    fn loads(&self) -> Loads {
        let mut loads = BTreeMap::new();
        for shard in self.placement.iter().skip(1).flatten() {
            *loads.entry(*shard).or_insert(0) += 1;
        }
        loads
    }

    fn domains(&self, domain: Domain) -> Domains {
        let of = |member: &Member| {
            let (zone, number) = domain.of(member);
            (member.shard, (zone.to_owned(), number))
        };
        self.members.iter().map(of).collect()
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

    fn replicas_total(&self) -> usize {
        (self.placement.len() - 1) * self.replicas_wanted()
    }
}

fn points(shard: ShardId) -> Vec<u64> {
    (0..RING_POINTS)
        .map(|point| {
            let mut bytes = [0; 12];
            bytes[..8].copy_from_slice(&shard.to_le_bytes());
            bytes[8..].copy_from_slice(&point.to_le_bytes());
            xxh3_64(&bytes)
        })
        .collect()
}

fn hash_of_group(group: usize) -> u64 {
    let group = u64::try_from(group).expect("a group number fits in 64 bits");
    xxh3_64(&group.to_le_bytes())
}

#[cfg(test)]
mod tests;
