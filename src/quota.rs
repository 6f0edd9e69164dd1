//! Hard quotas on the shard of the meta group: it has the room of a bucket dealt out to its groups, one round at a time.
//!
//! What a round is, and why two of them can't hand out the same room, is in [`anode_shards::quota`]. A write that a group
//! refuses asks for room here ([`Wish`]); only where the sum over all groups leaves none is the client refused. Now and then,
//! and after each start, it is looked whether the groups keep to the quotas that are configured: a node may have ended
//! between the two.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use anode_disk::wal::GroupId;
use anode_net::s3::configuration::quota::{Limits, Used};
use anode_shards::{
    command::{Allot, AllotStep, Command, Refusal, Reply},
    object::BucketId,
    quota::{Allowance, Amount, deal, is_settled},
};
use futures::{future::try_join_all, lock::Mutex};

use crate::{
    answer::Holdings,
    gateway::quota::{shown, usage},
    host::{Host, doze},
    limits,
    mesh::{Answer, Ask, AskError},
    meta::BucketView,
    shard::{META_GROUP, Shard},
};

/// What is to be dealt out anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The bucket's name,
    pub name: String,
    /// and its id.
    pub bucket: BucketId,
    /// By how much it is to grow in a group; none where only the quota is to be kept to.
    pub wanted: Option<(GroupId, Amount)>,
}

/// What the shard has done for quotas since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Rounds in which room was dealt out.
    pub rounds: u64,
    /// Writes that were refused.
    pub refusals: u64,
}

/// Whose turn it is to deal out the room of a bucket.
type Turn = Rc<Mutex<()>>;

/// What the shard of the meta group keeps for quotas.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    /// Buckets that hold more than their soft quota; none where this shard doesn't look after that.
    pub(crate) over_count: Cell<Option<usize>>,
    pub(crate) work: Cell<Work>,
    /// Buckets that a write was refused for, and when that was said, by the host's clock.
    full: RefCell<BTreeMap<BucketId, u64>>,
    /// One round of a bucket at a time: of two, one would overtake the other.
    turns: RefCell<BTreeMap<BucketId, Turn>>,
}

/// What a group holds of a bucket, and may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    group: GroupId,
    held: Amount,
    allowance: Option<Allowance>,
}

/// A hard quota as groups keep to it.
fn amount(limits: Limits) -> Amount {
    let Amount { bytes, objects } = Amount::UNLIMITED;
    Amount { bytes: limits.bytes.unwrap_or(bytes), objects: limits.objects.unwrap_or(objects) }
}

/// The hard quota of a bucket, as of now.
fn quota_of<H: Host>(shard: &Shard<H>, wish: &Wish) -> Option<Amount> {
    let meta = shard.meta();
    let bucket = meta.buckets.get(&wish.name).filter(|found| found.record.id == wish.bucket)?;
    bucket.hard_quota().map(amount)
}

/// Has the groups keep to the quota of a bucket, with room for what is wanted; false where the quota leaves none.
pub(crate) async fn grant<H: Host>(
    shard: &Shard<H>,
    holdings: &Holdings<H>,
    wish: &Wish,
) -> Result<bool, AskError> {
    let turn = holdings.quotas.turn(wish.bucket);
    let held = turn.lock().await;
    let granted = grant_in_turn(shard, holdings, wish).await;
    drop(held);
    drop(turn);
    holdings.quotas.end_turn(wish.bucket);
    granted
}

async fn grant_in_turn<H: Host>(
    shard: &Shard<H>,
    holdings: &Holdings<H>,
    wish: &Wish,
) -> Result<bool, AskError> {
    let standings = standings(shard, wish.bucket).await?;
    let Some(quota) = quota_of(shard, wish) else {
        let is_limited = standings.iter().any(|standing| standing.allowance.is_some());
        return if is_limited { lift(shard, wish, &standings).await } else { Ok(true) };
    };
    let sum = standings.iter().fold(Amount::default(), |sum, group| sum.plus(group.held));
    if let Some((group, growth)) = wish.wanted {
        let has_room = |standing: &Standing| {
            let limit = standing.allowance.map_or(Amount::UNLIMITED, Allowance::limit);
            limit.has_room(standing.held, growth)
        };
        if standings.iter().filter(|standing| standing.group == group).all(has_room) {
            // Who was before has seen to it.
            return Ok(true);
        }
        // The same twice: so it was in all groups at one moment.
        if !quota.has_room(sum, growth) && self::standings(shard, wish.bucket).await? == standings {
            refused(shard, holdings, wish, (quota, sum));
            return Ok(false);
        }
    } else {
        let groups: Vec<_> = standings.iter().map(|group| (group.held, group.allowance)).collect();
        if is_settled(quota, &groups) {
            return Ok(true);
        }
    }
    let is_met = round(shard, wish, &standings).await?;
    holdings.quotas.did_round();
    if !is_met {
        refused(shard, holdings, wish, (quota, sum));
    }
    Ok(is_met)
}

/// Counts a write that there is no room for, and tells people of its bucket now and then.
fn refused<H: Host>(
    shard: &Shard<H>,
    holdings: &Holdings<H>,
    wish: &Wish,
    (quota, held): (Amount, Amount),
) {
    let work = holdings.quotas.work.get();
    holdings.quotas.work.set(Work { refusals: work.refusals + 1, ..work });
    let now = shard.host().now().0;
    let period = u64::try_from(limits::QUOTA_SAID_PERIOD.as_nanos()).unwrap_or(u64::MAX);
    let mut full = holdings.quotas.full.borrow_mut();
    if full.get(&wish.bucket).is_some_and(|said| now.saturating_sub(*said) < period) {
        return;
    }
    full.insert(wish.bucket, now);
    let growth = wish.wanted.map(|(_, growth)| growth).unwrap_or_default();
    let limit = |most: u64| Some(most).filter(|most| *most < u64::MAX);
    tracing::warn!(
        bucket = wish.name,
        bytes = held.bytes,
        versions = held.objects,
        bytes_more = growth.bytes,
        versions_more = growth.objects,
        bytes_max = limit(quota.bytes),
        objects_max = limit(quota.objects),
        "a bucket has reached its quota, and writes are refused"
    );
}

/// Freezes all groups, and deals out what the quota leaves.
async fn round<H: Host>(
    shard: &Shard<H>,
    wish: &Wish,
    standings: &[Standing],
) -> Result<bool, AskError> {
    let round = next_round(shard, standings).await?;
    // What was configured before the number was given is seen: a later change of it has a round of its own, with a higher
    // number.
    let Some(quota) = quota_of(shard, wish) else { return lift(shard, wish, standings).await };
    let freeze = async |standing: &Standing| {
        let group = standing.group;
        let reply = allot(shard, (group, wish.bucket), (round, AllotStep::Freeze)).await?;
        let Reply::Frozen(held) = reply else { return Err(unfrozen(&reply)) };
        Ok((group, held))
    };
    let frozen = try_join_all(standings.iter().map(freeze)).await?;
    let dealt = deal(quota, &frozen, wish.wanted);
    let grants = dealt.grants.into_iter().map(|(group, amount)| {
        allot(shard, (group, wish.bucket), (round, AllotStep::Grant(amount)))
    });
    // A grant that came too late for a group is refused: a later round will be, or was, dealt out.
    try_join_all(grants).await?;
    Ok(dealt.is_met)
}

/// Takes the limits of all groups away.
async fn lift<H: Host>(
    shard: &Shard<H>,
    wish: &Wish,
    standings: &[Standing],
) -> Result<bool, AskError> {
    let round = next_round(shard, standings).await?;
    let lifts = standings
        .iter()
        .map(|standing| allot(shard, (standing.group, wish.bucket), (round, AllotStep::Lift)));
    try_join_all(lifts).await?;
    Ok(true)
}

async fn next_round<H: Host>(shard: &Shard<H>, standings: &[Standing]) -> Result<u64, AskError> {
    let known = standings.iter().filter_map(|standing| standing.allowance);
    let above = known.map(|allowance| allowance.round).max().unwrap_or_default();
    let reply = shard.propose(META_GROUP, Command::NumberRound(above), None).await?;
    let Reply::Numbered(round) = reply else {
        return Err(AskError::Unavailable(format!("a number was asked for, not {reply:?}")));
    };
    Ok(round)
}

async fn allot<H: Host>(
    shard: &Shard<H>,
    (group, bucket): (GroupId, BucketId),
    (round, step): (u64, AllotStep),
) -> Result<Reply, AskError> {
    shard.propose(group, Command::Allot(Allot { bucket, round, step }), None).await
}

fn unfrozen(reply: &Reply) -> AskError {
    if *reply == Reply::Refused(Refusal::Outdated) {
        return AskError::Overloaded;
    }
    if *reply == Reply::Refused(Refusal::Uncounted) {
        return uncounted();
    }
    AskError::Unavailable(format!("a freeze was asked for, not {reply:?}"))
}

fn uncounted() -> AskError {
    AskError::Unavailable(Refusal::Uncounted.to_string())
}

async fn standings<H: Host>(shard: &Shard<H>, bucket: BucketId) -> Result<Vec<Standing>, AskError> {
    let ask = async |group| {
        let answer = shard.ask(group, Ask::Standing { bucket }).await?;
        let Answer::Standing { held: Some(held), allowance } = answer else {
            return Err(uncounted());
        };
        Ok(Standing { group, held, allowance })
    };
    try_join_all(shard.object_groups().into_iter().map(ask)).await
}

impl Quotas {
    fn turn(&self, bucket: BucketId) -> Turn {
        Rc::clone(self.turns.borrow_mut().entry(bucket).or_default())
    }

    /// Forgets a turn that nobody waits for.
    fn end_turn(&self, bucket: BucketId) {
        let mut turns = self.turns.borrow_mut();
        if turns.get(&bucket).is_some_and(|turn| Rc::strong_count(turn) == 1) {
            turns.remove(&bucket);
        }
    }

    fn did_round(&self) {
        let work = self.work.get();
        self.work.set(Work { rounds: work.rounds + 1, ..work });
    }

    fn retain(&self, is_there: impl Fn(BucketId) -> bool) {
        self.full.borrow_mut().retain(|bucket, _said| is_there(*bucket));
    }
}

/// On the shard of the meta group: warns of buckets that hold more than their soft quota, once until they hold less again, and
/// has the groups keep to hard ones.
pub(crate) async fn watch<H: Host>(shard: Shard<H>) {
    let mut told = BTreeSet::new();
    while !shard.is_draining() && !shard.volumes().has_own_failed() {
        let mut period = limits::QUOTA_PERIOD;
        if let Err(error) = look(&shard, &mut told).await {
            tracing::debug!(%error, "quotas are looked at again later");
            period = limits::QUOTA_POLL;
        }
        let began = shard.host().now().0;
        let period = u64::try_from(Duration::as_nanos(&period)).unwrap_or(u64::MAX);
        while !shard.is_draining() && shard.host().now().0.saturating_sub(began) < period {
            doze(shard.host(), limits::QUOTA_POLL).await;
        }
    }
}

async fn look<H: Host>(shard: &Shard<H>, told: &mut BTreeSet<BucketId>) -> Result<(), AskError> {
    let Some(holdings) = shard.holdings() else { return Ok(()) };
    let meta = shard.meta();
    let with_quota: Vec<&BucketView> = meta
        .buckets
        .values()
        .map(|bucket| &**bucket)
        .filter(|bucket| bucket.configurations.quota.is_some())
        .collect();
    let has_quota = |id: BucketId| with_quota.iter().any(|bucket| bucket.record.id == id);
    told.retain(|id| has_quota(*id));
    holdings.quotas.retain(has_quota);
    // One that can't be kept to now doesn't keep the others from being looked at.
    let mut outcome = Ok(());
    for bucket in with_quota {
        if bucket.hard_quota().is_some() {
            let (name, id) = (bucket.record.name.clone(), bucket.record.id);
            let wish = Wish { name, bucket: id, wanted: None };
            if let Err(error) = grant(shard, &holdings, &wish).await {
                outcome = Err(error);
            }
        }
        if let Some(limits) = bucket.configurations.quota.and_then(|quota| quota.soft) {
            look_at(shard, bucket, limits, told).await?;
        }
    }
    holdings.quotas.over_count.set(Some(told.len()));
    outcome
}

async fn look_at<H: Host>(
    shard: &Shard<H>,
    bucket: &BucketView,
    limits: Limits,
    told: &mut BTreeSet<BucketId>,
) -> Result<(), AskError> {
    let Some(used) = usage(shard, bucket.record.id).await?.map(shown) else { return Ok(()) };
    if !limits.is_exceeded(&used) {
        told.remove(&bucket.record.id);
    } else if told.insert(bucket.record.id) {
        let Used { bytes, versions, part_bytes, .. } = used;
        let (bucket, bytes_max, objects_max) = (&bucket.record.name, limits.bytes, limits.objects);
        tracing::warn!(
            bucket,
            bytes,
            part_bytes,
            versions,
            bytes_max,
            objects_max,
            "a bucket holds more than its quota"
        );
    }
    Ok(())
}
