//! What a caller may do: the actions that a request asks for, and what the policies of its buckets say to them.
//!
//! Deny by default. The node's own credentials are its account's root: it may do everything that no policy denies, and can
//! always get at a bucket's policy. Who comes without a signature may do what a policy allows to everybody.
//!
//! A request of the root to a bucket without a policy costs two look-ups in memory.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use anode_net::{
    policy::{Decision, Facts, Question},
    s3::{
        self, ErrorCode, Headers, Routed,
        copy::CopySource,
        operation::{Answer, Kind},
        parameters::post,
        query::Query,
        version::Version,
    },
};

use crate::{
    authorize::{Caller, Identity},
    exchange::Exchange,
    gateway::find_tags,
    host::Host,
    meta::BucketView,
    shard::address_of,
};

/// The root of the account can't lock itself out of these.
const ALWAYS: [&str; 3] = ["s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"];

/// Actions that have another name where a version is named.
const VERSIONED: [(&str, &str); 8] = [
    ("s3:GetObject", "s3:GetObjectVersion"),
    ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    ("s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
    ("s3:PutObjectTagging", "s3:PutObjectVersionTagging"),
    ("s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"),
    ("s3:GetObjectAcl", "s3:GetObjectVersionAcl"),
    ("s3:PutObjectAcl", "s3:PutObjectVersionAcl"),
    ("s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"),
];

/// Headers that ask for more than the operation's own action.
const ASKING: [(&str, &str); 5] = [
    ("x-amz-tagging", "s3:PutObjectTagging"),
    ("x-amz-acl", "s3:PutObjectAcl"),
    ("x-amz-object-lock-mode", "s3:PutObjectRetention"),
    ("x-amz-object-lock-legal-hold", "s3:PutObjectLegalHold"),
    ("x-amz-bypass-governance-retention", "s3:BypassGovernanceRetention"),
];

/// One thing that a request wants to do.
struct Wanted<'a> {
    bucket: Arc<BucketView>,
    key: Option<&'a str>,
    version: Version,
    action: Cow<'static, str>,
}

/// Refuses a request unless its caller may do all that it asks for. Of a request for several keys each is asked about by
/// itself ([`check_key`]).
pub(crate) async fn check<H: Host>(
    exchange: &Exchange<'_, H>,
    caller: &Caller,
    (routed, headers): (&Routed, Headers<'_>),
) -> Result<(), s3::Error> {
    let is_root = caller.identity != Identity::Anonymous;
    let name = routed.address.bucket();
    let meta = exchange.shard.meta();
    let Some(bucket) = name.and_then(|name| meta.buckets.get(name)) else {
        // What isn't there has no policy, and a stranger isn't told that it isn't there.
        return if is_root { Ok(()) } else { Err(denied()) };
    };
    let source = copy_source(routed, headers)?;
    let source_bucket = source.as_ref().and_then(|source| meta.buckets.get(&source.bucket));
    let has_policy = |bucket: &Arc<BucketView>| bucket.configurations.policy.is_some();
    if is_root && !has_policy(bucket) && !source_bucket.is_some_and(has_policy) {
        return Ok(());
    }
    if routed.route.answer == Answer::Served(Kind::DeleteObjects) && has_policy(bucket) {
        return Ok(());
    }
    let version = Version::parse(routed.query.get("versionId")).unwrap_or_default();
    let (mut wanted, target) = (Vec::new(), bucket);
    let is_form = is_form(routed);
    let key = routed.address.key().or_else(|| headers.get("key").filter(|_| is_form));
    let mut want = |action| {
        let (bucket, version) = (Arc::clone(bucket), version.clone());
        wanted.push(Wanted { bucket, key, version, action });
    };
    want(of_version(routed.route.action, routed.query.has("versionId")));
    if key.is_some() {
        let asked = ASKING.iter().filter(|(name, _)| headers.filled(name).is_some());
        asked.for_each(|(_, action)| want(Cow::Borrowed(*action)));
        // The field of a form that is a header of a PUT.
        if is_form && headers.filled("tagging").is_some() {
            want(Cow::Borrowed("s3:PutObjectTagging"));
        }
    }
    if let (Some(source), Some(bucket), Some(action)) =
        (&source, source_bucket, routed.route.source_action)
    {
        let mut want = |action| {
            let (key, version) = (Some(source.key.as_str()), source.version.clone());
            let action = of_version(action, version != Version::Current);
            wanted.push(Wanted { bucket: Arc::clone(bucket), key, version, action });
        };
        want(action);
        let takes_tags = routed.route.answer == Answer::Served(Kind::CopyObject)
            && headers.get("x-amz-tagging-directive") != Some("REPLACE");
        if takes_tags
            && !find_tags(&exchange.shard, bucket, &source.key, &source.version).await?.is_empty()
        {
            want("s3:GetObjectTagging");
            let (bucket, version) = (Arc::clone(target), Version::Current);
            let action = Cow::Borrowed("s3:PutObjectTagging");
            wanted.push(Wanted { bucket, key, version, action });
        }
    }
    for one in &wanted {
        decide(exchange, caller, one, (headers, &routed.query)).await?;
    }
    Ok(())
}

/// Refuses one key of a request for several.
pub(crate) async fn check_key<H: Host>(
    exchange: &Exchange<'_, H>,
    caller: &Caller,
    bucket: &Arc<BucketView>,
    (key, version, bypasses_governance): (&str, &Version, bool),
) -> Result<(), s3::Error> {
    if caller.identity != Identity::Anonymous && bucket.configurations.policy.is_none() {
        return Ok(());
    }
    let head = exchange.head.clone();
    let fields: Vec<(&str, &str)> = head.headers().collect();
    let query = Query::default();
    let mut actions = vec![of_version("s3:DeleteObject", *version != Version::Current)];
    if bypasses_governance {
        actions.push(Cow::Borrowed("s3:BypassGovernanceRetention"));
    }
    for action in actions {
        let (bucket, version) = (Arc::clone(bucket), version.clone());
        let wanted = Wanted { bucket, key: Some(key), version, action };
        decide(exchange, caller, &wanted, (Headers::new(&fields), &query)).await?;
    }
    Ok(())
}

/// An error as its caller may know it: who may not list a bucket isn't told which keys it doesn't have.
pub(crate) async fn shown<H: Host>(
    exchange: &Exchange<'_, H>,
    caller: &Caller,
    routed: &Routed,
    error: s3::Error,
) -> s3::Error {
    let is_absence = matches!(error.code(), ErrorCode::NoSuchKey | ErrorCode::NoSuchVersion);
    if !is_absence || caller.identity != Identity::Anonymous {
        return error;
    }
    let meta = exchange.shard.meta();
    let bucket = routed.address.bucket().and_then(|name| meta.buckets.get(name));
    let Some(bucket) = bucket else { return error };
    let (bucket, action) = (Arc::clone(bucket), Cow::Borrowed("s3:ListBucket"));
    let list = Wanted { bucket, key: None, version: Version::Current, action };
    let nothing = (Headers::default(), &Query::default());
    match decide(exchange, caller, &list, nothing).await {
        Ok(()) => error,
        Err(denied) => denied,
    }
}

async fn decide<H: Host>(
    exchange: &Exchange<'_, H>,
    caller: &Caller,
    wanted: &Wanted<'_>,
    (headers, query): (Headers<'_>, &Query),
) -> Result<(), s3::Error> {
    let shard = &exchange.shard;
    let Some(policy) = &wanted.bucket.configurations.policy else {
        return if caller.identity == Identity::Anonymous { Err(denied()) } else { Ok(()) };
    };
    let tags = match wanted.key {
        Some(key) if policy.asks_for_tags() => {
            find_tags(shard, &wanted.bucket, key, &wanted.version).await?
        }
        Some(_) | None => Vec::new(),
    };
    // A form has them in a field; no header is called so.
    let new_tags = post::tags(headers).unwrap_or_default();
    let peer = exchange.peer();
    let source: Option<IpAddr> = address_of(&peer);
    let owner = shard.owner();
    let facts = Facts {
        account: (caller.identity != Identity::Anonymous).then(|| shard.account()),
        canonical: owner.id,
        owner: shard.account(),
        source,
        is_secure: shard.settings().tls,
        now_seconds: i64::try_from(shard.now_ms() / 1000).unwrap_or(i64::MAX),
        headers,
        query,
        version: wanted.version.sent(),
        tags: &tags,
        new_tags: new_tags.pairs(),
    };
    let name = &wanted.bucket.record.name;
    let resource = match wanted.key {
        Some(key) => format!("arn:aws:s3:::{name}/{key}"),
        None => format!("arn:aws:s3:::{name}"),
    };
    let question = Question { action: &wanted.action, resource: &resource, facts: &facts };
    let decision = policy.decide(&question);
    let is_allowed = match caller.identity {
        Identity::Root { .. } => {
            decision != Decision::Denied || ALWAYS.contains(&wanted.action.as_ref())
        }
        Identity::Anonymous => {
            let block = wanted.bucket.configurations.public_access_block.unwrap_or_default();
            let is_shut = block.restrict_public_buckets && policy.is_public();
            let is_allowed = decision == Decision::Allowed && !is_shut;
            if is_allowed && ALWAYS.contains(&wanted.action.as_ref()) {
                // AWS: who is not of the owner's account never gets at a policy, whatever it says.
                return Err(s3::Error::new(ErrorCode::MethodNotAllowed));
            }
            is_allowed
        }
    };
    if is_allowed { Ok(()) } else { Err(denied()) }
}

fn copy_source(routed: &Routed, headers: Headers<'_>) -> Result<Option<CopySource>, s3::Error> {
    let source = headers.get("x-amz-copy-source").filter(|_| routed.route.source_action.is_some());
    source.map(CopySource::parse).transpose()
}

fn is_form(routed: &Routed) -> bool {
    routed.route.answer == Answer::Served(Kind::PostObject)
}

fn of_version(action: &'static str, is_named: bool) -> Cow<'static, str> {
    let versioned = VERSIONED.iter().find(|(plain, _)| *plain == action && is_named);
    Cow::Borrowed(versioned.map_or(action, |(_, versioned)| versioned))
}

fn denied() -> s3::Error {
    s3::Error::new(ErrorCode::AccessDenied)
}
