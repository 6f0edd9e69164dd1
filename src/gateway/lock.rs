//! S3: object lock: `GetObjectRetention`, `PutObjectRetention`, `GetObjectLegalHold`, `PutObjectLegalHold`, and the locks of
//! versions that are written.
//!
//! Whether a version may go is decided where commands are applied ([`anode_shards::lock`]).

use anode_net::{
    http::ResponseHead,
    s3::{
        self, ErrorCode,
        lock::{self, LockHeaders, LockMode, Retention},
        parameters::{ObjectDocument, OfObject, PutRetention},
    },
};
use anode_shards::{
    command::Amendment,
    lock::{Leave, Lock, Retention as StoredRetention, RetentionMode},
    object::Object,
};

use super::{find_bucket, get, payload, record, tagging::amend, version};
use crate::{
    authorize::Caller,
    exchange::{Exchange, Response},
    host::Host,
    meta::BucketView,
    shard::Shard,
};

/// What a new version is locked by: what its writer asks for, or the bucket's default.
pub(crate) fn of_new(
    bucket: &BucketView,
    asked: LockHeaders,
    now_ms: u64,
) -> Result<Option<Lock>, s3::Error> {
    let Some(object_lock) = bucket.configurations.object_lock else {
        return if asked.is_empty() { Ok(None) } else { Err(lock::missing()) };
    };
    let now_ms = record::signed_ms(now_ms);
    if let Some(retention) = asked.retention {
        retention.check_future(now_ms)?;
    }
    let default = object_lock.default_retention.map(|default| default.from(now_ms));
    let retention = asked.retention.or(default).map(stored);
    let lock = Lock { retention, legal_hold: asked.legal_hold };
    Ok((lock != Lock::default()).then_some(lock))
}

/// What an upload asks its object to be locked by: defaults come with its completion.
pub(crate) fn of_upload(
    bucket: &BucketView,
    asked: LockHeaders,
    now_ms: u64,
) -> Result<Option<Lock>, s3::Error> {
    of_new(bucket, asked, now_ms)?;
    let lock = Lock { retention: asked.retention.map(stored), legal_hold: asked.legal_hold };
    Ok((lock != Lock::default()).then_some(lock))
}

/// The retention of what asks for none.
pub(crate) fn default_retention(bucket: &BucketView, now_ms: u64) -> Option<StoredRetention> {
    let default = bucket.configurations.object_lock?.default_retention?;
    Some(stored(default.from(record::signed_ms(now_ms))))
}

/// What a version is locked by, as responses say it.
pub(crate) fn shown(object: &Object) -> LockHeaders {
    let lock = object.lock.unwrap_or_default();
    LockHeaders { retention: lock.retention.map(as_shown), legal_hold: lock.legal_hold }
}

/// Answers `GetObjectRetention`.
pub async fn get_retention<H: Host>(
    shard: &Shard<H>,
    of: &OfObject,
) -> Result<Response<H>, s3::Error> {
    let (found, head) = lockable(shard, of).await?;
    let retention =
        found.retention.ok_or_else(|| s3::Error::new(ErrorCode::NoSuchObjectLockConfiguration))?;
    Ok(Response::full(head, "application/xml", retention.document()))
}

/// Answers `GetObjectLegalHold`.
pub async fn get_legal_hold<H: Host>(
    shard: &Shard<H>,
    of: &OfObject,
) -> Result<Response<H>, s3::Error> {
    let (found, head) = lockable(shard, of).await?;
    let is_on =
        found.legal_hold.ok_or_else(|| s3::Error::new(ErrorCode::NoSuchObjectLockConfiguration))?;
    Ok(Response::full(head, "application/xml", lock::legal_hold(is_on)))
}

/// Answers `PutObjectRetention`.
pub async fn put_retention<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    put: &PutRetention,
) -> Result<Response<H>, s3::Error> {
    let shard = exchange.shard.clone();
    let ObjectDocument { object, md5, checksum } = &put.document;
    check_lockable(&shard, object)?;
    let body = payload::document(exchange, caller, *md5, *checksum).await?;
    let retention = Retention::read(&body)?;
    let now_ms = shard.now_ms();
    if let Some(retention) = retention {
        retention.check_future(record::signed_ms(now_ms))?;
    }
    let leave = Leave { now_ms, bypasses_governance: put.bypasses_governance };
    let change = Amendment::Retention(retention.map(stored), leave);
    let version = amend(&shard, object, (change, None)).await?;
    Ok(Response::empty(version::head_with(ResponseHead::new(200), version)))
}

/// Answers `PutObjectLegalHold`.
pub async fn put_legal_hold<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    put: &ObjectDocument,
) -> Result<Response<H>, s3::Error> {
    let shard = exchange.shard.clone();
    check_lockable(&shard, &put.object)?;
    let body = payload::document(exchange, caller, put.md5, put.checksum).await?;
    let is_on = lock::read_legal_hold(&body)?;
    let version = amend(&shard, &put.object, (Amendment::LegalHold(is_on), None)).await?;
    Ok(Response::empty(version::head_with(ResponseHead::new(200), version)))
}

fn check_lockable<H: Host>(shard: &Shard<H>, of: &OfObject) -> Result<(), s3::Error> {
    let bucket = find_bucket(shard, &of.bucket)?;
    if bucket.configurations.object_lock.is_some() { Ok(()) } else { Err(lock::missing()) }
}

async fn lockable<H: Host>(
    shard: &Shard<H>,
    of: &OfObject,
) -> Result<(LockHeaders, ResponseHead), s3::Error> {
    check_lockable(shard, of)?;
    let found = get::find(shard, (&of.bucket, &of.key), &of.version, get::Want::Head).await?;
    let head = version::head_with(ResponseHead::new(200), found.version);
    Ok((shown(&found.object), head))
}

fn stored(retention: Retention) -> StoredRetention {
    let mode = match retention.mode {
        LockMode::Governance => RetentionMode::Governance,
        LockMode::Compliance => RetentionMode::Compliance,
    };
    StoredRetention { mode, until_ms: u64::try_from(retention.until_ms).unwrap_or_default() }
}

fn as_shown(retention: StoredRetention) -> Retention {
    let mode = match retention.mode {
        RetentionMode::Governance => LockMode::Governance,
        RetentionMode::Compliance => LockMode::Compliance,
    };
    Retention { mode, until_ms: record::signed_ms(retention.until_ms) }
}
