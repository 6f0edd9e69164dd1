//! S3: `PutObject`.

use anode_net::{
    checksum::Algorithm,
    http::ResponseHead,
    s3::{self, configuration::notification::Occurrence},
};
use anode_shards::{
    command::{Command, PutObject, Reply, Stored},
    encryption::Encryption,
    object::Object,
    state::Planned,
};

use super::{
    encryption::{self, Cipher},
    find_bucket,
    ingest::{Ingest, Placement, Taken},
    lock, ownership,
    payload::{Expectation, Payload},
    quota, record, refusal, version,
};
use crate::{
    authorize::Caller,
    exchange::{Exchange, Response},
    host::Host,
    meta::BucketView,
    notification,
    shard::Shard,
    storage_class,
};

/// Writes an object: durable on a quorum, and in every later GET and LIST, when this returns.
pub async fn put<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    put: &s3::parameters::PutObject,
) -> Result<Response<H>, s3::Error> {
    let written = store(exchange, caller, (put, Occurrence::Put)).await?;
    Ok(Response::empty(written.head(200, put)))
}

/// What a payload became.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) stored: Stored,
    /// When lifecycle has it go, as responses say it.
    expiration: Option<String>,
    encryption: Option<Box<Encryption>>,
}

impl Written {
    /// The head that tells of it.
    pub(crate) fn head(&self, status: u16, put: &s3::parameters::PutObject) -> ResponseHead {
        let head = stored_head(status, &self.stored);
        let customer_key = put.encryption.customer_key();
        let head = encryption::head_with(head, self.encryption.as_deref(), customer_key);
        match &self.expiration {
            Some(expiration) => head.header("x-amz-expiration", expiration),
            None => head,
        }
    }
}

/// Stores the payload of a request as an object.
pub(crate) async fn store<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    (put, occurrence): (&s3::parameters::PutObject, Occurrence),
) -> Result<Written, s3::Error> {
    let shard = exchange.shard.clone();
    let bucket = find_bucket(&shard, &put.bucket)?;
    let expectation = Expectation {
        length_bytes: put.length_bytes,
        md5: put.md5,
        checksum: put.checksum,
        checksum_default: Some(Algorithm::Crc64Nvme),
    };
    // Refused before the body is read; it counts from when it is there.
    lock::of_new(&bucket, put.lock, shard.now_ms())?;
    let class = storage_class::place(&shard, put.headers.storage_class.as_deref())?;
    let cipher = encryption::of_new(&shard, (&bucket, &put.key), &put.encryption).await?;
    let acl = ownership::of_new(&shard, caller, &bucket, put.acl.as_ref())?;
    let mut payload = Payload::new(exchange, caller, expectation)?;
    let group = shard.group_of(bucket.record.id, &put.key);
    let bytes = payload.length_bytes().unwrap_or_default();
    let planned = || Planned::Object { key: put.key.clone(), bytes };
    quota::check(&shard, &bucket, group, planned).await?;
    let ingest = Ingest::new(&shard, group, Placement::Inline).in_class(class);
    let mut ingest = ingest.sealed(cipher.as_ref().map(|cipher| &cipher.key));
    while let Some(data) = payload.next(exchange).await? {
        ingest.push(data).await?;
    }
    let proof = payload.finish()?;
    let ingested = ingest.finish().await?;
    let lock = lock::of_new(&bucket, put.lock, shard.now_ms())?;
    let object = Object {
        size: proof.bytes,
        etag: encryption::etag(&proof, cipher.as_ref().map(Cipher::etag_key)),
        last_modified_ms: shard.now_ms(),
        headers: record::stored_headers(&put.headers),
        metadata: put.headers.metadata.clone(),
        checksum: proof.checksum.as_ref().map(record::full_checksum),
        body: ingested.0.body,
        tags: put.tags.pairs().to_vec(),
        lock,
        encryption: cipher.map(|cipher| cipher.record),
        acl,
        ..Object::default()
    };
    let expiration = record::expiration(&bucket, &put.key, &object);
    let encryption = object.encryption.clone();
    let command = PutObject {
        bucket: bucket.record.id,
        key: put.key.clone(),
        object,
        condition: record::write_condition(&put.condition),
        contents: ingested.0.contents.clone(),
        nonce: shard.random_u64(),
        notice: notification::notice(exchange, caller, (&bucket, &put.key), occurrence),
        inline: ingested.0.inline.clone(),
    };
    let target = Target { bucket: &put.bucket, key: &put.key };
    let stored = commit(&shard, (&bucket, &target), command, ingested).await?;
    Ok(Written { stored, expiration, encryption })
}

/// The names a refusal is told with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
}

/// Proposes the object; what was staged for it is forgotten unless it is stored.
pub(crate) async fn commit<H: Host>(
    shard: &Shard<H>,
    (bucket, target): (&BucketView, &Target<'_>),
    command: PutObject,
    (ingested, discard): Taken<H>,
) -> Result<Stored, s3::Error> {
    let group = shard.group_of(command.bucket, &command.key);
    let command = Command::PutObject(Box::new(command));
    let proposed = quota::propose(shard, bucket, group, (command, ingested.staged)).await;
    stored(discard.after(proposed)?, target)
}

/// What a write that was answered stored.
pub(crate) fn stored(reply: Reply, target: &Target<'_>) -> Result<Stored, s3::Error> {
    let reply = refusal::accepted(reply, target.bucket, target.key)?;
    let Reply::Stored(stored) = reply else { return Err(refusal::unexpected(&reply)) };
    Ok(stored)
}

/// The head that tells what was stored.
pub(crate) fn stored_head(status: u16, stored: &Stored) -> ResponseHead {
    let head = ResponseHead::new(status).header("ETag", &record::quoted(&stored.etag));
    let head = version::head_with(head, stored.version);
    let Some(checksum) = &stored.checksum else { return head };
    let Some(shown) = record::shown_checksum(checksum) else { return head };
    head.header(shown.algorithm.header(), &shown.value)
        .header("x-amz-checksum-type", record::shown_kind(checksum.kind).name())
}
