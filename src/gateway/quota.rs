//! How much is in a bucket: the sum of what its groups keep, and what people are told of a quota.

use std::{collections::BTreeSet, time::Duration};

use anode_net::s3::{
    self, ErrorCode,
    configuration::quota::{Used, report},
};
use anode_shards::{object::BucketId, state::Usage};
use futures::future::try_join_all;

use super::find_bucket;
use crate::{
    exchange::Response,
    host::Host,
    limits,
    mesh::{Answer, Ask, AskError},
    shard::Shard,
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

fn shown(usage: Usage) -> Used {
    let Usage { objects, versions, markers, bytes, part_bytes } = usage;
    Used { objects, versions, markers, bytes, part_bytes }
}

/// On the shard of the meta group: warns of buckets that hold more than their quota, once until they hold less again.
pub(crate) async fn watch<H: Host>(shard: Shard<H>) {
    let mut told = BTreeSet::new();
    while !shard.is_draining() && !shard.volumes().has_own_failed() {
        if let Err(error) = look(&shard, &mut told).await {
            tracing::debug!(%error, "quotas are looked at again later");
        }
        let began = shard.host().now().0;
        let period = u64::try_from(Duration::as_nanos(&limits::QUOTA_PERIOD)).unwrap_or(u64::MAX);
        while !shard.is_draining() && shard.host().now().0.saturating_sub(began) < period {
            shard.host().sleep(limits::QUOTA_POLL).await;
        }
    }
}

async fn look<H: Host>(shard: &Shard<H>, told: &mut BTreeSet<BucketId>) -> Result<(), AskError> {
    let meta = shard.meta();
    let with_quota: Vec<_> = meta
        .buckets
        .values()
        .filter_map(|bucket| Some((&bucket.record, bucket.configurations.quota?)))
        .collect();
    told.retain(|id| with_quota.iter().any(|(record, _)| record.id == *id));
    for (record, quota) in with_quota {
        let Some(used) = usage(shard, record.id).await?.map(shown) else { continue };
        if !quota.is_exceeded(&used) {
            told.remove(&record.id);
        } else if told.insert(record.id) {
            let Used { bytes, versions, part_bytes, .. } = used;
            let (bucket, bytes_max, objects_max) = (&record.name, quota.bytes, quota.objects);
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
    }
    if let Some(holdings) = shard.holdings() {
        holdings.over_quota_count.set(Some(told.len()));
    }
    Ok(())
}
