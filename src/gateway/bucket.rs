//! S3: `ListBuckets`, `CreateBucket`, `HeadBucket`, `DeleteBucket`, `GetBucketLocation`, and what buckets don't have.

use anode_net::{
    http::ResponseHead,
    s3::{
        self, ErrorCode,
        acl::{ANONYMOUS, Acl, Scope},
        configuration::ConfigurationKind,
        configuration::object_lock::ObjectLock,
        configuration::ownership::Ownership,
        listing::encode_token,
        not_configured::NotConfigured,
        parameters::{self, ListBuckets},
        tags::Tags,
        xml::{lists, requests},
    },
};
use anode_shards::{
    command::{Command, CreateBucket, Refusal, RemoveBucket, Reply},
    object::BucketId,
    version::Versioning,
};

use super::{
    configuration, find_bucket, ownership,
    payload::{Expectation, Payload},
    quota, record, refusal, versioning,
};
use crate::{
    authorize::Caller,
    exchange::{Exchange, Response},
    host::Host,
    limits,
    shard::{META_GROUP, Shard},
};

/// The region that AWS names by no name.
const REGION_DEFAULT: &str = "us-east-1";

/// Answers `ListBuckets`: those of the caller's account.
pub fn list<H: Host>(shard: &Shard<H>, caller: &Caller, list: &ListBuckets) -> Response<H> {
    let meta = shard.meta();
    let region = region(shard);
    let after = list.token.as_ref().map_or("", |token| token.position.as_str());
    let page_max = usize::try_from(list.buckets_max).unwrap_or(usize::MAX);
    let wanted = list.region.as_deref().is_none_or(|wanted| wanted == region);
    let account = caller.principal().map_or_else(|| shard.account(), |known| &known.account);
    let mut found = meta.buckets.values().filter(|bucket| {
        wanted
            && bucket.owner.id == account.id
            && bucket.record.name.starts_with(&list.prefix)
            && bucket.record.name.as_str() > after
    });
    let page: Vec<_> = found.by_ref().take(page_max).collect();
    let next = found.next().and_then(|_| page.last()).map(|last| encode_token(&last.record.name));
    let buckets = page
        .iter()
        .map(|bucket| lists::BucketEntry {
            name: &bucket.record.name,
            created_ms: record::signed_ms(bucket.record.created_ms),
            region: list.region.as_deref(),
        })
        .collect();
    let prefix = (!list.prefix.is_empty()).then_some(list.prefix.as_str());
    let document =
        lists::BucketList { owner: account.owner(), buckets, prefix, next_token: next.as_deref() };
    Response::xml(lists::buckets(&document))
}

/// Makes a bucket: it exists on every connection when this returns.
pub async fn create<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    create: &parameters::CreateBucket,
) -> Result<Response<H>, s3::Error> {
    let name = create.bucket.as_str();
    let shard = exchange.shard.clone();
    let payload = Payload::new(exchange, caller, Expectation::default())?;
    let body = payload.whole(exchange, limits::XML_BODY_BYTES_MAX).await?;
    let asked = requests::create_bucket(&body)?;
    check_location(&shard, asked.location.as_deref())?;
    let acl = acl_of_new(&shard, caller, create)?;
    let command = CreateBucket {
        name: name.to_owned(),
        owner: caller.name().to_owned(),
        location: asked.location,
        now_ms: shard.now_ms(),
        account: caller.principal().map(|known| known.account.id.clone()).unwrap_or_default(),
    };
    let reply = shard.propose(META_GROUP, Command::CreateBucket(command), None).await?;
    refuse_taken(&shard, caller, &reply)?;
    let reply = refusal::accepted(reply, name, "")?;
    let Reply::Bucket(_) = reply else { return Err(refusal::unexpected(&reply)) };
    if let Err(error) = furnish(&shard, create, (asked.tags, acl)).await {
        // A bucket that isn't what was asked for would be taken for one by whoever asks again.
        if let Err(left) = delete(&shard, name).await {
            tracing::error!(bucket = name, error = %left, "a bucket that could not be set up stays");
        }
        return Err(error);
    }
    Ok(Response::empty(ResponseHead::new(200).header("Location", &format!("/{name}"))))
}

/// A name that another account has is taken; one of one's own is one's own already.
fn refuse_taken<H: Host>(
    shard: &Shard<H>,
    caller: &Caller,
    reply: &Reply,
) -> Result<(), s3::Error> {
    let Reply::Refused(Refusal::BucketExists(bucket)) = reply else { return Ok(()) };
    let first = &shard.account().id;
    let owner = if bucket.account.is_empty() { first } else { &bucket.account };
    if caller.principal().is_some_and(|known| known.account.id == *owner) {
        return Ok(());
    }
    Err(s3::Error::new(ErrorCode::BucketAlreadyExists).field("BucketName", &bucket.name))
}

/// Sets up a bucket that was made a moment ago.
async fn furnish<H: Host>(
    shard: &Shard<H>,
    create: &parameters::CreateBucket,
    (tags, acl): (Option<Tags>, Option<Acl>),
) -> Result<(), s3::Error> {
    let bucket = find_bucket(shard, &create.bucket)?;
    if create.object_lock {
        versioning::set(shard, &bucket, Versioning::Enabled).await?;
        let document = ObjectLock::default().document();
        let kind = ConfigurationKind::ObjectLock;
        configuration::set(shard, &bucket, kind, Some(&document)).await?;
    }
    if let Some(tags) = tags.filter(|tags| !tags.pairs().is_empty()) {
        let kind = ConfigurationKind::Tagging;
        configuration::set(shard, &bucket, kind, Some(&tags.document())).await?;
    }
    if let Some(ownership) = create.ownership {
        let kind = ConfigurationKind::OwnershipControls;
        configuration::set(shard, &bucket, kind, Some(&ownership.document())).await?;
    }
    if let Some(acl) = acl.filter(|acl| !acl.is_private()) {
        let document = acl.document(|_id| None);
        configuration::set(shard, &bucket, ConfigurationKind::Acl, Some(&document)).await?;
    }
    Ok(())
}

/// The ACL that a new bucket shall have; none where its request asks for none.
fn acl_of_new<H: Host>(
    shard: &Shard<H>,
    caller: &Caller,
    create: &parameters::CreateBucket,
) -> Result<Option<Acl>, s3::Error> {
    let owner = ownership::requester(caller).unwrap_or(ANONYMOUS);
    let ownership = create.ownership.unwrap_or_else(|| shard.settings().object_ownership);
    let acl = match &create.acl {
        Some(asked) if ownership == Ownership::BucketOwnerEnforced => {
            let checked = ownership::check_enforced(shard, asked, (owner, Scope::Bucket));
            checked.map_err(|_refused| {
                s3::Error::new(ErrorCode::InvalidBucketAclWithObjectOwnership)
            })?;
            None
        }
        Some(asked) => Some(asked.resolve(owner, Scope::Bucket, &*shard.meta().iam)?),
        None => None,
    };
    if let Ok(there) = find_bucket(shard, &create.bucket) {
        let before = ownership::bucket_acl(shard, &there);
        let wanted = acl.clone().unwrap_or_else(|| Acl::private(owner));
        // Who makes a bucket again is told that it is there, but not that it is as asked for where it isn't.
        if before.owner == owner && before != wanted {
            let exists = s3::Error::new(ErrorCode::BucketAlreadyExists);
            return Err(exists.field("BucketName", create.bucket.as_str()));
        }
    }
    Ok(acl)
}

/// Where a region is set, buckets are made there and nowhere else; where none is, anywhere.
fn check_location<H: Host>(shard: &Shard<H>, location: Option<&str>) -> Result<(), s3::Error> {
    let Some(region) = shard.settings().region.as_deref() else { return Ok(()) };
    match location {
        Some(location) if location != region => Err(s3::Error::with_message(
            ErrorCode::IllegalLocationConstraintException,
            format!(
                "The {location} location constraint is incompatible for the region specific endpoint this \
                 request was sent to."
            ),
        )),
        _ => Ok(()),
    }
}

pub(crate) fn region<H: Host>(shard: &Shard<H>) -> String {
    shard.settings().region.clone().unwrap_or_else(|| REGION_DEFAULT.to_owned())
}

/// Answers `HeadBucket`.
pub fn head<H: Host>(shard: &Shard<H>, name: &str) -> Result<Response<H>, s3::Error> {
    find_bucket(shard, name)?;
    Ok(Response::empty(ResponseHead::new(200).header("x-amz-bucket-region", &region(shard))))
}

/// Answers `GetBucketLocation`.
pub fn location<H: Host>(shard: &Shard<H>, name: &str) -> Result<Response<H>, s3::Error> {
    let bucket = find_bucket(shard, name)?;
    let location = bucket.record.location.clone().unwrap_or_else(|| region(shard));
    // AWS: us-east-1 is the empty constraint.
    let shown = if location == REGION_DEFAULT { "" } else { location.as_str() };
    Ok(Response::xml(lists::location(shown)))
}

/// Deletes an empty bucket: sealed in every group first, so that nothing can be put into it meanwhile.
pub async fn delete<H: Host>(shard: &Shard<H>, name: &str) -> Result<Response<H>, s3::Error> {
    let bucket = find_bucket(shard, name)?;
    // What can't be sealed everywhere isn't sealed anywhere.
    shard.check_all_places()?;
    if let Err(refused) = seal(shard, bucket.record.id).await {
        unseal(shard, bucket.record.id).await;
        return Err(match refused {
            SealError::Refused(refused) => refusal::of_command(&refused, name, ""),
            SealError::Other(error) => error,
        });
    }
    let command = RemoveBucket { name: name.to_owned(), bucket: bucket.record.id };
    let reply = shard.propose(META_GROUP, Command::RemoveBucket(command), None).await?;
    refusal::accepted(reply, name, "")?;
    if bucket.hard_quota().is_some()
        && let Err(error) = Box::pin(quota::settle(shard, &bucket)).await
    {
        tracing::warn!(name, %error, "groups go on to keep records of the quota of a bucket that is gone");
    }
    Ok(Response::empty(ResponseHead::new(204)))
}

enum SealError {
    Refused(Refusal),
    Other(s3::Error),
}

async fn seal<H: Host>(shard: &Shard<H>, bucket: BucketId) -> Result<(), SealError> {
    for group in shard.object_groups() {
        let proposed = shard.propose(group, Command::SealBucket(bucket), None).await;
        let reply = proposed.map_err(|error| SealError::Other(error.into()))?;
        if let Reply::Refused(refused) = reply {
            return Err(SealError::Refused(refused));
        }
    }
    Ok(())
}

/// Takes the seals back. A group that can't answer keeps its seal until the bucket's next deletion fails or succeeds.
async fn unseal<H: Host>(shard: &Shard<H>, bucket: BucketId) {
    for group in shard.object_groups() {
        if let Err(error) = shard.propose(group, Command::UnsealBucket(bucket), None).await {
            tracing::error!(group, bucket, %error, "a bucket that was not deleted stays sealed in a group");
        }
    }
}

/// Answers what a bucket has no configuration of; that it exists is checked first.
pub fn not_configured<H: Host>(
    exchange: &Exchange<'_, H>,
    kind: NotConfigured,
) -> Result<Response<H>, s3::Error> {
    let shard = &exchange.shard;
    let head = &exchange.head;
    let domain = shard.settings().domain.as_deref();
    let address = s3::address::resolve(head.header("host"), domain, head.path())?;
    let bucket = address.bucket().unwrap_or_default();
    find_bucket(shard, bucket)?;
    let body = kind.answer(bucket)?;
    Ok(if body.is_empty() { Response::empty(ResponseHead::new(200)) } else { Response::xml(body) })
}
