//! S3: `GetBucketAcl`, `PutBucketAcl`, `GetObjectAcl`, `PutObjectAcl`.

use anode_net::{
    http::ResponseHead,
    s3::{
        self, ErrorCode,
        acl::{Acl, Asked, Scope, Written},
        configuration::{ConfigurationKind, notification::Occurrence},
        parameters::{OfObject, PutAcl},
    },
};
use anode_shards::command::Amendment;

use super::{configuration, find_bucket, get, ownership, payload, tagging::amend, version};
use crate::{
    authorize::Caller,
    exchange::{Exchange, Response},
    host::Host,
    meta::BucketView,
    notification,
    shard::Shard,
};

/// Answers `GetBucketAcl`.
pub fn get_of_bucket<H: Host>(shard: &Shard<H>, name: &str) -> Result<Response<H>, s3::Error> {
    let bucket = find_bucket(shard, name)?;
    let (acl, meta) = (ownership::bucket_acl(shard, &bucket), shard.meta());
    Ok(Response::xml(acl.document(|id| ownership::name(&meta.iam, id))))
}

/// Answers `GetObjectAcl`.
pub async fn get_of_object<H: Host>(
    shard: &Shard<H>,
    caller: &Caller,
    of: &OfObject,
) -> Result<Response<H>, s3::Error> {
    let found = get::find(shard, (&of.bucket, &of.key), &of.version, get::Want::Head).await?;
    caller.judged.check(&found.object)?;
    let bucket = find_bucket(shard, &of.bucket)?;
    let (acl, meta) = (ownership::object_acl(shard, &bucket, &found.object), shard.meta());
    let head = version::head_with(ResponseHead::new(200), found.version);
    let document = acl.document(|id| ownership::name(&meta.iam, id));
    Ok(Response::full(head, "application/xml", document))
}

/// Answers `PutBucketAcl` and `PutObjectAcl`: the owner stays, the grants are replaced.
pub async fn put<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    put: &PutAcl,
) -> Result<Response<H>, s3::Error> {
    let shard = exchange.shard.clone();
    let bucket = find_bucket(&shard, &put.bucket)?;
    let Some(key) = &put.key else {
        let before = ownership::bucket_acl(&shard, &bucket);
        let acl = asked_for(exchange, caller, (put, &bucket), (&before, Scope::Bucket)).await?;
        let document = (!acl.is_private()).then(|| acl.document(|_id| None));
        let kind = ConfigurationKind::Acl;
        if document.is_some() || bucket.configurations.acl.is_some() {
            configuration::set(&shard, &bucket, kind, document.as_deref()).await?;
        }
        return Ok(Response::empty(ResponseHead::new(200)));
    };
    let found = get::find(&shard, (&put.bucket, key), &put.version, get::Want::Head).await?;
    caller.judged.check(&found.object)?;
    let before = ownership::object_acl(&shard, &bucket, &found.object);
    let bucket_owner = ownership::bucket_owner(&bucket);
    let scope = Scope::Object { bucket_owner };
    let acl = asked_for(exchange, caller, (put, &bucket), (&before, scope)).await?;
    let mut version = found.version;
    if ownership::has_acls(&shard, &bucket) {
        let after = ownership::stored(&acl, bucket_owner);
        // Whoever may replace this ACL may not replace that of an object which was put in its place meanwhile.
        let change = Amendment::Acl(found.object.acl, after);
        let notice = notification::notice(exchange, caller, (&bucket, key), Occurrence::AclPut);
        let (bucket, key) = (put.bucket.clone(), key.clone());
        let of = OfObject { bucket, key, version: put.version.clone() };
        version = amend(&shard, &of, (change, notice)).await?;
    }
    Ok(Response::empty(version::head_with(ResponseHead::new(200), version)))
}

/// The ACL that a request brings, in headers or as a document.
async fn asked_for<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    (put, bucket): (&PutAcl, &BucketView),
    (before, scope): (&Acl, Scope<'_>),
) -> Result<Acl, s3::Error> {
    let shard = exchange.shard.clone();
    let body = payload::document(exchange, caller, put.md5, put.checksum).await?;
    let asked = match (&put.asked, body.is_empty()) {
        (Some(asked), true) => asked.clone(),
        (None, false) => {
            let written = Written::read(&body)?;
            // S3: what is owned can't be given away.
            if written.owner != before.owner {
                return Err(if ownership::has_acls(&shard, bucket) {
                    s3::Error::new(ErrorCode::AccessDenied)
                } else {
                    s3::Error::new(ErrorCode::AccessControlListNotSupported)
                });
            }
            Asked::Grants(written.grants)
        }
        // S3: an ACL is asked for by headers or written out, one of the two.
        (Some(_), false) => return Err(s3::Error::new(ErrorCode::UnexpectedContent)),
        (None, true) => return Err(s3::Error::new(ErrorCode::MissingSecurityHeader)),
    };
    if !ownership::has_acls(&shard, bucket) {
        ownership::check_enforced(&shard, &asked, (&before.owner, scope))?;
        return Ok(before.clone());
    }
    let acl = asked.resolve(&before.owner, scope, &*shard.meta().iam)?;
    ownership::check_public(bucket, &acl)?;
    Ok(acl)
}
