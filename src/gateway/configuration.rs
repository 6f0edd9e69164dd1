//! S3: the configurations of buckets, put, got and deleted.

use anode_net::{
    http::ResponseHead,
    policy::Policy,
    s3::{
        self, ErrorCode,
        configuration::{
            ConfigurationKind, Configurations, Verb, lifecycle::Lifecycle,
            notification::Notification, ownership::Ownership,
        },
        operation::Configure,
        xml::write::Document,
    },
};
use anode_shards::{
    command::{self, Command},
    limits::CONFIGURATION_BYTES_MAX,
    version::Versioning,
};

use super::{find_bucket, payload, quota, refusal};
use crate::{
    authorize::Caller,
    exchange::{Exchange, Response},
    host::Host,
    meta::BucketView,
    notification,
    shard::{META_GROUP, Shard},
    storage_class,
};

/// Answers for a configuration of a bucket. What was set holds on every connection when this returns.
pub async fn answer<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    asked: &Configure,
) -> Result<Response<H>, s3::Error> {
    let shard = exchange.shard.clone();
    let bucket = find_bucket(&shard, &asked.bucket)?;
    match asked.verb {
        Verb::Get => {
            let document = bucket.configurations.answer(asked.kind, &asked.bucket)?;
            Ok(Response::full(ResponseHead::new(200), asked.kind.content_type(), document))
        }
        Verb::Put => {
            let body = payload::document(exchange, caller, asked.md5, asked.checksum).await?;
            let mut after = bucket.configurations.clone();
            after.set(asked.kind, &body)?;
            check(&shard, &bucket, asked, &after)?;
            if asked.kind == ConfigurationKind::Notification {
                // Boxed, for else every configuration would keep room for it.
                return Box::pin(put_notification(exchange, &bucket, after.notification)).await;
            }
            let body = match &mut after.lifecycle {
                Some(lifecycle) if asked.kind == ConfigurationKind::Lifecycle => {
                    lifecycle.name_rules(|| format!("{:032x}", shard.random_u128()));
                    lifecycle.document()
                }
                Some(_) | None => body,
            };
            check_length(&body)?;
            if asked.kind == ConfigurationKind::Quota {
                let hard = after.quota.and_then(|quota| quota.hard);
                Box::pin(quota::set(&shard, &bucket, Some(&body), hard)).await?;
            } else {
                set(&shard, &bucket, asked.kind, Some(&body)).await?;
            }
            Ok(Response::empty(ResponseHead::new(asked.kind.put_status())))
        }
        Verb::Delete => {
            if asked.kind == ConfigurationKind::Quota {
                Box::pin(quota::set(&shard, &bucket, None, None)).await?;
            } else {
                set(&shard, &bucket, asked.kind, None).await?;
            }
            Ok(Response::empty(ResponseHead::new(204)))
        }
    }
}

/// Sets who is told of what happens, once they can be told; nobody is told where the document names nobody.
async fn put_notification<H: Host>(
    exchange: &Exchange<'_, H>,
    bucket: &BucketView,
    rules: Option<Notification>,
) -> Result<Response<H>, s3::Error> {
    let shard = &exchange.shard;
    let document = match rules {
        Some(mut rules) => {
            notification::check(exchange, &bucket.record.name, &rules).await?;
            rules.name_rules(|| format!("{:032x}", shard.random_u128()));
            Some(rules.document())
        }
        None => None,
    };
    let kind = ConfigurationKind::Notification;
    if document.is_some() || bucket.configurations.notification.is_some() {
        check_length(document.as_deref().unwrap_or_default())?;
        set(shard, bucket, kind, document.as_deref()).await?;
    }
    Ok(Response::empty(ResponseHead::new(kind.put_status())))
}

fn check_length(document: &[u8]) -> Result<(), s3::Error> {
    if document.len() <= CONFIGURATION_BYTES_MAX {
        return Ok(());
    }
    let most = CONFIGURATION_BYTES_MAX.to_string();
    let long = s3::Error::new(ErrorCode::MaxMessageLengthExceeded);
    Err(long.field("MaxMessageLengthBytes", most))
}

/// Answers `GetBucketPolicyStatus`.
pub fn policy_status<H: Host>(shard: &Shard<H>, name: &str) -> Result<Response<H>, s3::Error> {
    let bucket = find_bucket(shard, name)?;
    let Some(policy) = &bucket.configurations.policy else {
        return Err(s3::Error::new(ErrorCode::NoSuchBucketPolicy).field("BucketName", name));
    };
    let is_public = policy.is_public().to_string();
    Ok(Response::xml(Document::of_one("PolicyStatus", "IsPublic", &is_public)))
}

/// What a document can't know by itself.
fn check<H: Host>(
    shard: &Shard<H>,
    bucket: &BucketView,
    asked: &Configure,
    after: &Configurations,
) -> Result<(), s3::Error> {
    match asked.kind {
        ConfigurationKind::Logging => {
            let target = after.logging.as_ref().map(|logging| logging.bucket.as_str());
            let is_there = target.is_none_or(|target| shard.meta().buckets.contains_key(target));
            let missing = || ErrorCode::InvalidTargetBucketForLogging.into();
            is_there.then_some(()).ok_or_else(missing)
        }
        ConfigurationKind::Accelerate if asked.bucket.contains('.') => {
            Err(s3::Error::with_message(
                ErrorCode::InvalidRequest,
                "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names",
            ))
        }
        // ACLs that go on granting nothing would be found to grant again one day.
        ConfigurationKind::OwnershipControls
            if after.ownership == Some(Ownership::BucketOwnerEnforced) && after.acl.is_some() =>
        {
            Err(s3::Error::new(ErrorCode::InvalidBucketAclWithObjectOwnership))
        }
        ConfigurationKind::Policy => check_policy(asked, after),
        ConfigurationKind::ObjectLock if bucket.record.versioning != Versioning::Enabled => {
            Err(s3::Error::with_message(
                ErrorCode::InvalidBucketState,
                "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
            ))
        }
        ConfigurationKind::Lifecycle => {
            let mut classes = after.lifecycle.iter().flat_map(Lifecycle::classes);
            classes.try_for_each(|class| storage_class::check_target(shard, class))
        }
        ConfigurationKind::Tagging
        | ConfigurationKind::ObjectLock
        | ConfigurationKind::Website
        | ConfigurationKind::Notification
        | ConfigurationKind::Encryption
        | ConfigurationKind::Quota
        | ConfigurationKind::Cors
        | ConfigurationKind::PublicAccessBlock
        | ConfigurationKind::OwnershipControls
        | ConfigurationKind::RequestPayment
        | ConfigurationKind::Accelerate
        | ConfigurationKind::Acl => Ok(()),
    }
}

fn check_policy(asked: &Configure, after: &Configurations) -> Result<(), s3::Error> {
    let Some(policy) = &after.policy else { return Ok(()) };
    Policy::read(policy.text().as_bytes(), &asked.bucket)?;
    let block = after.public_access_block.unwrap_or_default();
    if block.block_public_policy && policy.is_public() {
        return Err(s3::Error::with_message(
            ErrorCode::AccessDenied,
            "User is not authorized to perform: s3:PutBucketPolicy because public policies are blocked by the \
             BlockPublicPolicy block public access setting.",
        ));
    }
    Ok(())
}

/// Sets or removes a configuration, whatever it is.
pub(crate) async fn set<H: Host>(
    shard: &Shard<H>,
    bucket: &BucketView,
    kind: ConfigurationKind,
    document: Option<&[u8]>,
) -> Result<(), s3::Error> {
    let configure = command::Configure {
        name: bucket.record.name.clone(),
        bucket: bucket.record.id,
        kind: kind.number(),
        document: document.map(<[u8]>::to_vec),
    };
    let reply = shard.propose(META_GROUP, Command::Configure(configure), None).await?;
    refusal::accepted(reply, &bucket.record.name, "")?;
    Ok(())
}
