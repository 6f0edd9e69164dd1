//! Places replicas so that every shard holds the same number, or one more.
//!
//! - A replica that is lacking goes to the nearest shard that has room; near is what a hash of group and shard says
//!   (rendezvous), so that nothing depends on the order in which shards are named.
//! - Failure domains may leave that uneven. Then replicas move along *chains*: one from a full shard to a second, one from
//!   that to a third, up to a shard that has at least two less than the first. Where no chain is left the placement is
//!   as even as failure domains allow: groups, domains and shards are a network, replicas a flow through it, and a chain
//!   is a path on which its cost, the squares of the loads, can be lowered.
//! - Each chain begins at the fullest shard that there is one from, and is the shortest: so few replicas move.
//!
//! The meta group is on the lowest shards and counts for nothing here.

use std::{cmp::Reverse, collections::VecDeque};

use xxhash_rust::xxh3::xxh3_64;

use super::ShardId;

/// Where the replicas of every group are. Shards are named by their position here.
pub(super) struct Balance {
    shards: Vec<ShardId>,
    /// The failure domain of each shard.
    domains: Vec<usize>,
    /// How many replicas each shard holds, the meta group's apart.
    loads: Vec<usize>,
    /// The shards of each group, the meta group first.
    holders: Vec<Vec<usize>>,
}

/// A replica of a group that goes from one shard to another.
#[derive(Clone, Copy)]
struct Move {
    group: usize,
    source: usize,
    target: usize,
}

impl Balance {
    /// What `placement` says, without what shards hold that are gone, and without second replicas of a group in one
    /// failure domain. `shards` ascend; `domains` has the domain of each.
    pub(super) fn new(
        shards: Vec<ShardId>,
        domains: Vec<usize>,
        placement: &[Vec<ShardId>],
    ) -> Self {
        let loads = vec![0; shards.len()];
        let holders = vec![Vec::new(); placement.len()];
        let mut balance = Self { shards, domains, loads, holders };
        for (group, held) in placement.iter().enumerate() {
            for shard in held {
                if let Ok(shard) = balance.shards.binary_search(shard)
                    && balance.holder_in(group, balance.domains[shard]).is_none()
                {
                    balance.add(group, shard);
                }
            }
        }
        balance
    }

    /// Gives every group the replicas that it lacks. There must be as many failure domains.
    pub(super) fn fill(&mut self, replicas: usize) {
        let total = (self.holders.len() - 1) * replicas;
        for group in 0..self.holders.len() {
            while self.holders[group].len() < replicas {
                let nearest = self.nearest_with_room(group, total);
                self.add(group, nearest.expect("there are as many domains as replicas"));
            }
        }
    }

    /// The nearest shard that a group may go to with room for one of `total` replicas, or with the least too many.
    fn nearest_with_room(&self, group: usize, total: usize) -> Option<usize> {
        let (even, more) = (total / self.shards.len(), total % self.shards.len());
        // So many shards may have one more than the others.
        let above = self.loads.iter().filter(|load| **load > even).count();
        let room = if above < more { even + 1 } else { even };
        let legal = (0..self.shards.len())
            .filter(|shard| self.holder_in(group, self.domains[*shard]).is_none());
        legal.min_by_key(|shard| {
            let excess = if group == 0 { 0 } else { (self.loads[*shard] + 1).saturating_sub(room) };
            (excess, Reverse(self.nearness(group, *shard)))
        })
    }

    /// Moves replicas until no chain makes the loads more even. Each lowers the sum of their squares: this ends.
    pub(super) fn level(&mut self) {
        while let Some(chain) = self.chain() {
            for Move { group, source, target } in chain {
                let held = self.holders[group].iter_mut().find(|holder| **holder == source);
                *held.expect("what is moved was there") = target;
                self.loads[source] -= 1;
                self.loads[target] += 1;
            }
        }
    }

    /// The shards of each group.
    pub(super) fn placement(&self) -> Vec<Vec<ShardId>> {
        let named = |held: &Vec<usize>| held.iter().map(|shard| self.shards[*shard]).collect();
        self.holders.iter().map(named).collect()
    }

    /// A chain to the emptiest shard that there is one to; its last move first.
    fn chain(&self) -> Option<Vec<Move>> {
        let most = self.loads.iter().max()?;
        let mut targets: Vec<usize> = (0..self.shards.len()).collect();
        targets.sort_by_key(|shard| self.loads[*shard]);
        let low = targets.iter().take_while(|shard| self.loads[**shard] + 2 <= *most);
        low.into_iter().find_map(|target| self.chain_to(*target))
    }

    /// Looks for a chain to a shard, breadth first: the shortest from the fullest shard.
    fn chain_to(&self, last: usize) -> Option<Vec<Move>> {
        let most = *self.loads.iter().max()?;
        // What each shard that was found gives away.
        let mut gives: Vec<Option<Move>> = vec![None; self.shards.len()];
        let mut queue = VecDeque::from([last]);
        let mut first: Option<usize> = None;
        while let Some(target) = queue.pop_front() {
            for given in self.moves_to(target) {
                let source = given.source;
                if source == last || gives[source].is_some() {
                    continue;
                }
                gives[source] = Some(given);
                queue.push_back(source);
                let fullest = first.map_or(self.loads[last] + 1, |first| self.loads[first]);
                if self.loads[source] > fullest {
                    first = Some(source);
                }
            }
            if first.is_some_and(|first| self.loads[first] == most) {
                break;
            }
        }
        let mut moves: Vec<Move> = Vec::new();
        let mut next = first?;
        while let Some(given) = gives[next] {
            moves.push(given);
            next = given.target;
        }
        moves.reverse();
        Some(moves)
    }

    /// Every replica of a group of objects that may go to a shard, those of the nearest groups first.
    fn moves_to(&self, target: usize) -> impl Iterator<Item = Move> {
        let absent = |group: &usize| !self.holders[*group].contains(&target);
        let mut groups: Vec<usize> = (1..self.holders.len()).filter(absent).collect();
        groups.sort_by_cached_key(|group| Reverse(self.nearness(*group, target)));
        groups.into_iter().flat_map(move |group| {
            // Where there is one in the target's failure domain it is this one that goes.
            let within = self.holder_in(group, self.domains[target]);
            let holders = self.holders[group].iter().copied();
            let givers =
                holders.filter(move |holder| within.is_none_or(|within| within == *holder));
            givers.map(move |source| Move { group, source, target })
        })
    }

    /// The holder of a group in a failure domain.
    fn holder_in(&self, group: usize, domain: usize) -> Option<usize> {
        self.holders[group].iter().copied().find(|holder| self.domains[*holder] == domain)
    }

    fn add(&mut self, group: usize, shard: usize) {
        self.holders[group].push(shard);
        if group != 0 {
            self.loads[shard] += 1;
        }
    }

    /// Higher is nearer. The lowest shards are next to the meta group.
    fn nearness(&self, group: usize, shard: usize) -> u64 {
        if group == 0 {
            return u64::MAX - self.shards[shard];
        }
        let group = u64::try_from(group).expect("a group number fits in 64 bits");
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&group.to_le_bytes());
        bytes[8..].copy_from_slice(&self.shards[shard].to_le_bytes());
        xxh3_64(&bytes)
    }
}
