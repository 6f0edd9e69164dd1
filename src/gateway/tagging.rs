//! S3: `GetObjectTagging`, `PutObjectTagging`, `DeleteObjectTagging`.

use anode_net::{
    http::ResponseHead,
    s3::{
        self,
        configuration::notification::Occurrence,
        parameters::{ObjectDocument, OfObject},
        tags::{OBJECT_TAGS_MAX, Tags},
    },
};
use anode_shards::{
    command::{Amend, Amendment, Command, Refusal, Reply},
    event::Notice,
    version::VersionName,
};

use super::{find_bucket, get, payload, refusal, version};
use crate::{
    authorize::Caller,
    exchange::{Exchange, Response},
    host::Host,
    notification,
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
    let bucket = find_bucket(&shard, &put.object.bucket)?;
    let body = payload::document(exchange, caller, put.md5, put.checksum).await?;
    let tags = Tags::read(&body, OBJECT_TAGS_MAX)?.into_pairs();
    let name = (bucket.as_ref(), put.object.key.as_str());
    let notice = notification::notice(exchange, caller, name, Occurrence::TaggingPut);
    let version = amend(&shard, &put.object, (Amendment::Tags(tags), notice)).await?;
    Ok(Response::empty(version::head_with(ResponseHead::new(200), version)))
}

/// Takes all tags away.
pub async fn delete<H: Host>(
    exchange: &Exchange<'_, H>,
    caller: &Caller,
    of: &OfObject,
) -> Result<Response<H>, s3::Error> {
    let bucket = find_bucket(&exchange.shard, &of.bucket)?;
    let name = (bucket.as_ref(), of.key.as_str());
    let notice = notification::notice(exchange, caller, name, Occurrence::TaggingDelete);
    let change = (Amendment::Tags(Vec::new()), notice);
    let version = amend(&exchange.shard, of, change).await?;
    Ok(Response::empty(version::head_with(ResponseHead::new(204), version)))
}

/// Changes what is kept beside the bytes of a version, and says which one that was; tells whoever is to be told.
pub(crate) async fn amend<H: Host>(
    shard: &Shard<H>,
    of: &OfObject,
    (change, notice): (Amendment, Option<Box<Notice>>),
) -> Result<Option<VersionName>, s3::Error> {
    let bucket = find_bucket(shard, &of.bucket)?;
    let missing = || version::missing(&bucket.record, &of.key, &of.version);
    let version = version::wanted(&of.version).ok_or_else(missing)?;
    let key = of.key.clone();
    let amend = Amend { bucket: bucket.record.id, key, version, change, notice };
    let group = shard.group_of(bucket.record.id, &of.key);
    let reply = shard.propose(group, Command::Amend(Box::new(amend)), None).await?;
    if reply == Reply::Refused(Refusal::NoSuchKey) {
        return Err(missing());
    }
    let reply = refusal::accepted(reply, &of.bucket, &of.key)?;
    let Reply::Amended { version } = reply else { return Err(refusal::unexpected(&reply)) };
    Ok(version)
}
