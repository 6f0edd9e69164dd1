//! S3: `GetBucketVersioning`, `PutBucketVersioning`.

use anode_net::{
    http::ResponseHead,
    s3::{
        self, ErrorCode,
        parameters::BucketDocument,
        xml::versions::{self, VersioningStatus},
    },
};
use anode_shards::{
    command::{Command, Reply, SetVersioning, VersioningStep},
    version::Versioning,
};

use super::{find_bucket, payload, refusal};
use crate::{
    authorize::Caller,
    exchange::{Exchange, Response},
    host::Host,
    meta::BucketView,
    shard::{META_GROUP, Shard},
};

/// Answers `GetBucketVersioning`.
pub fn get<H: Host>(shard: &Shard<H>, name: &str) -> Result<Response<H>, s3::Error> {
    let status = match find_bucket(shard, name)?.record.versioning {
        Versioning::Off => None,
        Versioning::Enabled => Some(VersioningStatus::Enabled),
        Versioning::Suspended => Some(VersioningStatus::Suspended),
    };
    Ok(Response::xml(versions::versioning(status)))
}

/// Has every group of objects keep versions, or not any more: it is so for every later write when this returns.
pub async fn put<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    put: &BucketDocument,
) -> Result<Response<H>, s3::Error> {
    let shard = exchange.shard.clone();
    let bucket = find_bucket(&shard, &put.bucket)?;
    let body = payload::document(exchange, caller, put.md5, put.checksum).await?;
    let versioning = match versions::read_versioning(&body)? {
        VersioningStatus::Enabled => Versioning::Enabled,
        VersioningStatus::Suspended => Versioning::Suspended,
    };
    if versioning == Versioning::Suspended && bucket.configurations.object_lock.is_some() {
        return Err(s3::Error::with_message(
            ErrorCode::InvalidBucketState,
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
        ));
    }
    set(&shard, &bucket, versioning).await?;
    Ok(Response::empty(ResponseHead::new(200)))
}

/// Sets the versioning of a bucket in all groups.
pub(crate) async fn set<H: Host>(
    shard: &Shard<H>,
    bucket: &BucketView,
    versioning: Versioning,
) -> Result<(), s3::Error> {
    // What can't be set everywhere isn't begun.
    shard.check_all_places()?;
    let step = async |group, step| {
        let (name, bucket_id) = (bucket.record.name.clone(), bucket.record.id);
        let set = SetVersioning { name, bucket: bucket_id, versioning, step };
        let reply = shard.propose(group, Command::SetVersioning(set), None).await?;
        refusal::accepted(reply, &bucket.record.name, "")
    };
    let begun = step(META_GROUP, VersioningStep::Begin).await?;
    let Reply::Bucket(begun) = begun else { return Err(refusal::unexpected(&begun)) };
    let change = begun.versioning_change;
    let groups = shard.object_groups();
    let applied = groups.into_iter().map(|group| step(group, VersioningStep::Apply(change)));
    futures::future::try_join_all(applied).await?;
    step(META_GROUP, VersioningStep::Commit(change)).await?;
    Ok(())
}
