//! S3: `GetObjectTagging`, `PutObjectTagging`, `DeleteObjectTagging`.

use anode_net::{
    http::ResponseHead,
    s3::{
        self,
        parameters::{ObjectDocument, OfObject},
        tags::{OBJECT_TAGS_MAX, Tags},
    },
};
use anode_shards::{
    command::{Amend, Amendment, Command, Refusal, Reply},
    version::VersionName,
};

use super::{find_bucket, get, payload, refusal, version};
use crate::{
    authorize::Caller,
    exchange::{Exchange, Response},
    host::Host,
    shard::Shard,
};

/// Answers `GetObjectTagging`.
pub async fn get<H: Host>(shard: &Shard<H>, of: &OfObject) -> Result<Response<H>, s3::Error> {
    let found = get::find(shard, (&of.bucket, &of.key), &of.version, get::Want::Head).await?;
    let head = version::head_with(ResponseHead::new(200), found.version);
    let document = Tags::stored(found.object.tags).document();
    Ok(Response::full(head, "application/xml", document))
}

/// Gives a version the tags of the request, and no others.
pub async fn put<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    put: &ObjectDocument,
) -> Result<Response<H>, s3::Error> {
    let shard = exchange.shard.clone();
    find_bucket(&shard, &put.object.bucket)?;
    let body = payload::document(exchange, caller, put.md5, put.checksum).await?;
    let tags = Tags::read(&body, OBJECT_TAGS_MAX)?.into_pairs();
    let version = amend(&shard, &put.object, Amendment::Tags(tags)).await?;
    Ok(Response::empty(version::head_with(ResponseHead::new(200), version)))
}

/// Takes all tags away.
pub async fn delete<H: Host>(shard: &Shard<H>, of: &OfObject) -> Result<Response<H>, s3::Error> {
    let version = amend(shard, of, Amendment::Tags(Vec::new())).await?;
    Ok(Response::empty(version::head_with(ResponseHead::new(204), version)))
}

/// Changes what is kept beside the bytes of a version, and says which one that was.
pub(crate) async fn amend<H: Host>(
    shard: &Shard<H>,
    of: &OfObject,
    change: Amendment,
) -> Result<Option<VersionName>, s3::Error> {
    let bucket = find_bucket(shard, &of.bucket)?;
    let missing = || version::missing(&bucket.record, &of.key, &of.version);
    let version = version::wanted(&of.version).ok_or_else(missing)?;
    let key = of.key.clone();
    let amend = Amend { bucket: bucket.record.id, key, version, change };
    let group = shard.group_of(bucket.record.id, &of.key);
    let reply = shard.propose(group, Command::Amend(Box::new(amend)), None).await?;
    if reply == Reply::Refused(Refusal::NoSuchKey) {
        return Err(missing());
    }
    let reply = refusal::accepted(reply, &of.bucket, &of.key)?;
    let Reply::Amended { version } = reply else { return Err(refusal::unexpected(&reply)) };
    Ok(version)
}
