//! Hard quotas: what a group may hold of a bucket, and how the room of a quota is dealt out among groups.
//!
//! A bucket's objects are spread over all groups, so no group knows how much is in it. Each has an [`Allowance`] for a bucket
//! with a hard quota, and apply refuses what would grow beyond it. Allowances come in *rounds*, each with a number that the
//! meta group gave to it alone:
//!
//! 1. Every group is *frozen*: nothing of the bucket grows in it any more, and it tells what it holds.
//! 2. When all are, the sum is known, for it can only fall. [`deal`] splits what the quota leaves, and each group is *granted*
//!    what it holds and its part of the room.
//!
//! What always holds: what granted groups may hold, and what frozen ones held when they were frozen, is the quota together or
//! less (or, where the bucket held more than its quota, nothing is granted). A group takes a freeze with a higher number than
//! it knows, and a grant with the number that it was frozen by: so a round that was overtaken, or that ended half way with its
//! node, can't hand out what a later one counts as free. What is left frozen by one is found by the first write that is
//! refused for it.

use anode_disk::wal::GroupId;
use minicbor::{Decode, Encode};

/// How much of a bucket: what is held, wanted or allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Amount {
    /// Bytes of versions, and of the parts of unfinished uploads.
    #[n(0)]
    pub bytes: u64,
    /// Versions; delete markers are none.
    #[n(1)]
    pub objects: u64,
}

/// What a group may hold of a bucket; one without any may hold all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Allowance {
    /// The round that it is of.
    #[n(0)]
    pub round: u64,
    /// Up to where the group may grow; none while it is frozen.
    #[n(1)]
    pub granted: Option<Amount>,
}

/// What is granted at the end of a round.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Deal {
    /// To whom, and up to where; who isn't named stays frozen.
    pub grants: Vec<(GroupId, Amount)>,
    /// Whether what was wanted is among it.
    pub is_met: bool,
}

/// One limit or the other of a quota, and what it is about.
struct Share {
    /// What is free, and not wanted.
    each: u64,
    /// What can't be split.
    rest: u64,
}

impl Amount {
    /// No limit.
    pub const UNLIMITED: Self = Self { bytes: u64::MAX, objects: u64::MAX };

    /// This and that.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            objects: self.objects.saturating_add(other.objects),
        }
    }

    /// Whether what is held may grow so much within this. What doesn't grow isn't asked for.
    pub fn has_room(self, held: Self, growth: Self) -> bool {
        let within = |limit: u64, held: u64, growth: u64| {
            growth == 0 || held.checked_add(growth).is_some_and(|after| after <= limit)
        };
        within(self.bytes, held.bytes, growth.bytes)
            && within(self.objects, held.objects, growth.objects)
    }
}

impl Allowance {
    /// Up to where the group may grow.
    pub fn limit(self) -> Amount {
        self.granted.unwrap_or_default()
    }
}

/// Splits a quota among groups that are frozen, each with what it holds. `wanted` is by how much a group is to grow.
pub fn deal(quota: Amount, held: &[(GroupId, Amount)], wanted: Option<(GroupId, Amount)>) -> Deal {
    let sum = held.iter().fold(Amount::default(), |sum, (_, held)| sum.plus(*held));
    let growth = wanted.map(|(_, growth)| growth).unwrap_or_default();
    let is_met = quota.has_room(sum, growth);
    let wanted = wanted.filter(|_| is_met);
    let growth = wanted.map(|(_, growth)| growth).unwrap_or_default();
    let count = u64::try_from(held.len()).unwrap_or(u64::MAX);
    let bytes = share(quota.bytes, sum.bytes.saturating_add(growth.bytes), count);
    let objects = share(quota.objects, sum.objects.saturating_add(growth.objects), count);
    let part = |share: Option<&Share>, held: u64, more: Option<u64>| {
        let Some(share) = share else { return 0 };
        let more = more.map_or(0, |growth| growth.saturating_add(share.rest));
        held.saturating_add(share.each).saturating_add(more)
    };
    let grant = |(group, held): &(GroupId, Amount)| {
        let more = wanted.filter(|(wants, _)| wants == group).map(|(_, growth)| growth);
        let amount = Amount {
            bytes: part(bytes.as_ref(), held.bytes, more.map(|more| more.bytes)),
            objects: part(objects.as_ref(), held.objects, more.map(|more| more.objects)),
        };
        (*group, amount)
    };
    let grants = held.iter().map(grant).filter(|(_, amount)| *amount != Amount::default());
    Deal { grants: grants.collect(), is_met }
}

/// Whether all groups keep to a quota as they are: each has an allowance, and they can't hold too much together.
pub fn is_settled(quota: Amount, groups: &[(Amount, Option<Allowance>)]) -> bool {
    let settles = |limit: u64, of: fn(Amount) -> u64| {
        let granted = |allowance: &Option<Allowance>| of(allowance.unwrap_or_default().limit());
        let may_hold = groups.iter().map(|(held, allowance)| of(*held).max(granted(allowance)));
        limit == u64::MAX
            || may_hold.fold(0, u64::saturating_add) <= limit
            || groups.iter().all(|(_, allowance)| granted(allowance) == 0)
    };
    groups.iter().all(|(_, allowance)| allowance.is_some())
        && settles(quota.bytes, |amount| amount.bytes)
        && settles(quota.objects, |amount| amount.objects)
}

/// What is left of a limit for each of so many; none where it is passed, and nothing may grow.
fn share(limit: u64, taken: u64, count: u64) -> Option<Share> {
    if limit == u64::MAX {
        return Some(Share { each: u64::MAX, rest: 0 });
    }
    let free = limit.checked_sub(taken)?;
    Some(Share { each: free.checked_div(count)?, rest: free.checked_rem(count)? })
}

#[cfg(test)]
mod tests;
