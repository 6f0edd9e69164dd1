//! How much is in a bucket: the sum of what its groups keep; and writes to buckets with a hard quota, which must find room.

use anode_disk::wal::GroupId;
use anode_net::s3::{
    self, ErrorCode,
    configuration::{
        ConfigurationKind,
        quota::{Limits, Used, report},
    },
};
use anode_shards::{
    command::{Command, Refusal, Reply},
    object::{BodyId, BucketId},
    quota::Amount,
    state::{Planned, Usage},
};
use futures::future::try_join_all;

use super::{configuration, find_bucket, refusal};
use crate::{
    exchange::Response,
    host::Host,
    limits,
    mesh::{Answer, Ask, AskError},
    meta::BucketView,
    quota::Wish,
    shard::{META_GROUP, Shard},
};

/// Answers with the quota of a bucket, and how much is in it at this moment.
pub async fn get<H: Host>(shard: &Shard<H>, name: &str) -> Result<Response<H>, s3::Error> {
    let bucket = find_bucket(shard, name)?;
    let used = usage(shard, bucket.record.id).await?.ok_or_else(|| {
        s3::Error::with_message(
            ErrorCode::ServiceUnavailable,
            "The bucket is counted again at the next start of the node; its figures were damaged.",
        )
    })?;
    Ok(Response::xml(report(bucket.configurations.quota, &shown(used))))
}

/// What all groups hold of a bucket; none where one of them doesn't know.
pub(crate) async fn usage<H: Host>(
    shard: &Shard<H>,
    bucket: BucketId,
) -> Result<Option<Usage>, AskError> {
    let ask = |group| shard.ask(group, Ask::Usage { bucket });
    let mut sum = Some(Usage::default());
    for answer in try_join_all(shard.object_groups().into_iter().map(ask)).await? {
        let Answer::Usage(usage) = answer else { return Ok(None) };
        sum = sum.zip(usage).map(|(sum, usage)| sum.plus(usage));
    }
    Ok(sum)
}

pub(crate) fn shown(usage: Usage) -> Used {
    let Usage { objects, versions, markers, bytes, part_bytes } = usage;
    Used { objects, versions, markers, bytes, part_bytes }
}

/// Refuses a write before its bytes are taken, where the quota of its bucket leaves no room for them.
pub(crate) async fn check<H: Host>(
    shard: &Shard<H>,
    bucket: &BucketView,
    group: GroupId,
    planned: impl FnOnce() -> Planned,
) -> Result<(), s3::Error> {
    if bucket.hard_quota().is_none() {
        return Ok(());
    }
    // Boxed, for else every write would keep room for it.
    Box::pin(check_planned(shard, bucket, group, planned())).await
}

async fn check_planned<H: Host>(
    shard: &Shard<H>,
    bucket: &BucketView,
    group: GroupId,
    planned: Planned,
) -> Result<(), s3::Error> {
    let ask = Ask::Planned { bucket: bucket.record.id, planned };
    let Answer::Planned(refusal) = shard.ask(group, ask).await? else { return Ok(()) };
    let Some(refusal) = refusal else { return Ok(()) };
    if let Refusal::OverQuota { growth } = refusal
        && make_room(shard, bucket, Some((group, growth))).await?
    {
        return Ok(());
    }
    Err(refusal::of_command(&refusal, &bucket.record.name, ""))
}

/// Proposes a write, and has the groups deal out anew what the quota of the bucket leaves where its group has no room for it.
pub(crate) async fn propose<H: Host>(
    shard: &Shard<H>,
    bucket: &BucketView,
    group: GroupId,
    (command, settle): (Command, Option<BodyId>),
) -> Result<Reply, AskError> {
    if bucket.hard_quota().is_some() {
        return Box::pin(propose_within(shard, bucket, group, (command, settle))).await;
    }
    let reply = shard.propose(group, command, settle).await?;
    let Reply::Refused(Refusal::OverQuota { growth }) = reply else { return Ok(reply) };
    // The quota came a moment ago, or it went and a node ended before all groups had heard of it.
    let made = Box::pin(make_room(shard, bucket, Some((group, growth)))).await?;
    Ok(if made { Reply::Refused(Refusal::Outdated) } else { reply })
}

async fn propose_within<H: Host>(
    shard: &Shard<H>,
    bucket: &BucketView,
    group: GroupId,
    (command, settle): (Command, Option<BodyId>),
) -> Result<Reply, AskError> {
    for _attempt in 0..limits::QUOTA_ATTEMPTS_MAX {
        let reply = shard.propose(group, command.clone(), settle).await?;
        let Reply::Refused(Refusal::OverQuota { growth }) = reply else { return Ok(reply) };
        match make_room(shard, bucket, Some((group, growth))).await {
            Ok(true) => {}
            Ok(false) => return Ok(reply),
            Err(error) => {
                // Whatever is wrong elsewhere, this write was refused: nobody will ask for its bytes.
                tracing::debug!(%error, "room within a quota can't be dealt out now");
                return Err(AskError::Overloaded);
            }
        }
    }
    // Others took the room each time: the client may try again.
    Ok(Reply::Refused(Refusal::Outdated))
}

/// Sets or removes the quota of a bucket. All groups keep to it when this returns.
pub(crate) async fn set<H: Host>(
    shard: &Shard<H>,
    bucket: &BucketView,
    document: Option<&[u8]>,
    hard: Option<Limits>,
) -> Result<(), s3::Error> {
    let concerns_groups = hard.is_some() || bucket.hard_quota().is_some();
    if concerns_groups {
        // What can't be kept to everywhere isn't begun.
        shard.check_all_places()?;
    }
    configuration::set(shard, bucket, ConfigurationKind::Quota, document).await?;
    if concerns_groups {
        settle(shard, bucket).await?;
    }
    Ok(())
}

/// Has all groups keep to the quota that a bucket has now.
pub(crate) async fn settle<H: Host>(shard: &Shard<H>, bucket: &BucketView) -> Result<(), AskError> {
    make_room(shard, bucket, None).await.map(|_met| ())
}

async fn make_room<H: Host>(
    shard: &Shard<H>,
    bucket: &BucketView,
    wanted: Option<(GroupId, Amount)>,
) -> Result<bool, AskError> {
    let wish = Wish { name: bucket.record.name.clone(), bucket: bucket.record.id, wanted };
    let Answer::Room(is_met) = shard.ask(META_GROUP, Ask::MakeRoom(wish)).await? else {
        return Ok(false);
    };
    Ok(is_met)
}
