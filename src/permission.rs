//! What a caller may do: the actions that a request asks for, and what the policies of its buckets say to them.
//!
//! Deny by default. The root of an account may do everything with its buckets that no policy denies, and can always get at
//! their policies. Its users and sessions may do what their own policies allow, or the bucket's; somebody of another account
//! what both allow; who comes without a signature, what the bucket's policy allows to everybody.
//!
//! A request of the root to a bucket of its own without a policy costs two look-ups in memory.

mod acl;

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use anode_net::{
    policy::{Decision, Facts, Policy, Question},
    s3::{
        self, ErrorCode, Headers, Routed,
        acl::{Need, Permission},
        copy::CopySource,
        headers::{EXPECTED_OWNER, EXPECTED_SOURCE_OWNER},
        operation::{Answer, Kind},
        parameters::post,
        query::Query,
        version::Version,
    },
};

pub(crate) use acl::Judged;

use crate::{
    authorize::Caller,
    exchange::Exchange,
    gateway::{find_tags, ownership},
    host::Host,
    iam::Principal,
    meta::BucketView,
    shard::{Shard, address_of},
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
const ASKING: [(&str, &str); 10] = [
    ("x-amz-tagging", "s3:PutObjectTagging"),
    ("x-amz-acl", "s3:PutObjectAcl"),
    ("x-amz-grant-read", "s3:PutObjectAcl"),
    ("x-amz-grant-write", "s3:PutObjectAcl"),
    ("x-amz-grant-read-acp", "s3:PutObjectAcl"),
    ("x-amz-grant-write-acp", "s3:PutObjectAcl"),
    ("x-amz-grant-full-control", "s3:PutObjectAcl"),
    ("x-amz-object-lock-mode", "s3:PutObjectRetention"),
    ("x-amz-object-lock-legal-hold", "s3:PutObjectLegalHold"),
    ("x-amz-bypass-governance-retention", "s3:BypassGovernanceRetention"),
];

/// Headers that ask for more than the making of a bucket.
const MAKING: [(&str, &str); 8] = [
    ("x-amz-acl", "s3:PutBucketAcl"),
    ("x-amz-grant-read", "s3:PutBucketAcl"),
    ("x-amz-grant-write", "s3:PutBucketAcl"),
    ("x-amz-grant-read-acp", "s3:PutBucketAcl"),
    ("x-amz-grant-write-acp", "s3:PutBucketAcl"),
    ("x-amz-grant-full-control", "s3:PutBucketAcl"),
    ("x-amz-object-ownership", "s3:PutBucketOwnershipControls"),
    ("x-amz-bucket-object-lock-enabled", "s3:PutBucketObjectLockConfiguration"),
];

/// One thing that a request wants to do.
struct Wanted<'a> {
    bucket: Arc<BucketView>,
    key: Option<&'a str>,
    version: Version,
    action: Cow<'static, str>,
    /// What of an ACL lets do it.
    need: Option<Need>,
}

impl<'a> Wanted<'a> {
    fn new(
        bucket: &Arc<BucketView>,
        (key, version): (Option<&'a str>, Version),
        action: Cow<'static, str>,
    ) -> Self {
        let need = Need::of(&action);
        Self { bucket: Arc::clone(bucket), key, version, action, need }
    }
}

/// Refuses a request unless its caller may do all that it asks for. Of a request for several keys each is asked about by
/// itself ([`check_key`]).
pub(crate) async fn check<H: Host>(
    exchange: &Exchange<'_, H>,
    caller: &Caller,
    (routed, headers): (&Routed, Headers<'_>),
) -> Result<(), s3::Error> {
    let name = routed.address.bucket();
    let meta = exchange.shard.meta();
    let bucket = name.and_then(|name| meta.buckets.get(name));
    let source = copy_source(routed, headers)?;
    let source_bucket = source.as_ref().and_then(|source| meta.buckets.get(&source.bucket));
    check_owners(exchange, headers, bucket, source_bucket)?;
    // Whose a name is already is said where the bucket is made.
    let Some(bucket) = bucket.filter(|_| !makes_bucket(routed)) else {
        return check_absent(exchange, caller, routed, headers);
    };
    let is_unbound = |bucket| is_unbound(&exchange.shard, caller, bucket);
    if is_unbound(bucket) && source_bucket.is_none_or(|bucket| is_unbound(bucket)) {
        return Ok(());
    }
    if routed.route.answer == Answer::Served(Kind::DeleteObjects) {
        // Each key is asked about; whom nothing can let in is refused before anything is read.
        let has_say = bucket.configurations.policy.is_some()
            || ownership::has_acls(&exchange.shard, bucket)
            || !caller.is_anonymous();
        return if has_say { Ok(()) } else { Err(denied()) };
    }
    let version = Version::parse(routed.query.get("versionId")).unwrap_or_default();
    let (mut wanted, target) = (Vec::new(), bucket);
    let is_form = is_form(routed);
    let key = routed.address.key().or_else(|| headers.get("key").filter(|_| is_form));
    let mut want = |action| {
        wanted.push(Wanted::new(bucket, (key, version.clone()), action));
    };
    want(of_version(routed.route.action, routed.query.has("versionId")));
    // An operation on an ACL has been asked about already.
    if key.is_some() && routed.route.subresource != "acl" {
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
            wanted.push(Wanted::new(bucket, (key, version), action));
        };
        want(action);
        let takes_tags = routed.route.answer == Answer::Served(Kind::CopyObject)
            && headers.get("x-amz-tagging-directive") != Some("REPLACE");
        if takes_tags
            && !find_tags(&exchange.shard, bucket, &source.key, &source.version).await?.is_empty()
        {
            want("s3:GetObjectTagging");
            let action = Cow::Borrowed("s3:PutObjectTagging");
            wanted.push(Wanted::new(target, (key, Version::Current), action));
        }
    }
    if routed.route.subresource != "acl" {
        // Whoever puts an object may say what is granted of it.
        let asked = wanted.iter_mut().filter(|one| one.action == "s3:PutObjectAcl");
        asked.for_each(|one| one.need = Some(Need::Bucket(Permission::Write)));
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
    if is_unbound(&exchange.shard, caller, bucket) {
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
        let wanted = Wanted::new(bucket, (Some(key), version.clone()), action);
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
    if !is_absence {
        return error;
    }
    let meta = exchange.shard.meta();
    let bucket = routed.address.bucket().and_then(|name| meta.buckets.get(name));
    let Some(bucket) = bucket.filter(|bucket| !owns(caller, bucket)) else { return error };
    let list = Wanted::new(bucket, (None, Version::Current), Cow::Borrowed("s3:ListBucket"));
    let nothing = (Headers::default(), &Query::default());
    match decide(exchange, caller, &list, nothing).await {
        Ok(()) => error,
        Err(denied) => denied,
    }
}

/// Whether nothing keeps a caller from what is in a bucket: the root of its owner where it has no policy, and ACLs say
/// nothing.
fn is_unbound<H: Host>(shard: &Shard<H>, caller: &Caller, bucket: &BucketView) -> bool {
    owns(caller, bucket)
        && bucket.configurations.policy.is_none()
        && !ownership::has_acls(shard, bucket)
}

/// Whether a caller is the root of the account that owns a bucket.
fn owns(caller: &Caller, bucket: &BucketView) -> bool {
    let principal = caller.principal().filter(|principal| principal.is_root());
    principal.is_some_and(|principal| principal.account.id == bucket.owner.id)
}

/// Refuses a request that expects other owners than its buckets have.
fn check_owners<H: Host>(
    exchange: &Exchange<'_, H>,
    headers: Headers<'_>,
    bucket: Option<&Arc<BucketView>>,
    source: Option<&Arc<BucketView>>,
) -> Result<(), s3::Error> {
    let id = |bucket: Option<&'_ Arc<BucketView>>| bucket.map(|bucket| bucket.owner.id.clone());
    for (name, owner) in [(EXPECTED_OWNER, bucket), (EXPECTED_SOURCE_OWNER, source)] {
        if headers.has(name) {
            s3::headers::check_expected_owner(headers, name, id(owner).as_deref())?;
        }
        // Of a form, what `headers` has are its fields.
        let sent = exchange.head.header(name).map(|value| [(name, value)]);
        if let Some(sent) = &sent {
            let sent = Headers::new(sent);
            s3::headers::check_expected_owner(sent, name, id(owner).as_deref())?;
        }
    }
    Ok(())
}

/// Refuses a request that is about no bucket, or one that isn't there or is to be made: it has no policy, so a caller's own
/// must let them. AWS: what buckets there are is no secret.
fn check_absent<H: Host>(
    exchange: &Exchange<'_, H>,
    caller: &Caller,
    routed: &Routed,
    headers: Headers<'_>,
) -> Result<(), s3::Error> {
    let name = routed.address.bucket();
    let Some(principal) = caller.principal() else {
        let absent = name.filter(|_| !makes_bucket(routed));
        return Err(absent.map_or_else(denied, s3::Error::no_such_bucket));
    };
    let resource = match name {
        None => Cow::Borrowed("arn:aws:s3:::*"),
        Some(name) => Cow::Owned(resource_of(name, routed.address.key())),
    };
    let facts = facts(exchange, Some(principal), (headers, &routed.query));
    let asked = MAKING.iter().filter(|(name, _)| makes_bucket(routed) && headers.has(name));
    for action in [routed.route.action].into_iter().chain(asked.map(|(_, action)| *action)) {
        let question = Question { action, resource: &resource, facts: &facts };
        if principal.decide(&question) != Decision::Allowed {
            return Err(denied());
        }
    }
    Ok(())
}

fn resource_of(bucket: &str, key: Option<&str>) -> String {
    match key {
        Some(key) => format!("arn:aws:s3:::{bucket}/{key}"),
        None => format!("arn:aws:s3:::{bucket}"),
    }
}

/// What is known of a request, but for what it is about.
pub(crate) fn facts<'a, H: Host>(
    exchange: &'a Exchange<'_, H>,
    principal: Option<&'a Principal>,
    (headers, query): (Headers<'a>, &'a Query),
) -> Facts<'a> {
    let shard = &exchange.shard;
    let source: Option<IpAddr> = address_of(&exchange.peer());
    let sender = principal.map(Principal::sender);
    Facts {
        sender,
        federated: None,
        owner: sender.map_or(shard.account().id.as_str(), |sender| sender.account),
        source,
        is_secure: shard.settings().tls,
        now_seconds: i64::try_from(shard.now_ms() / 1000).unwrap_or(i64::MAX),
        headers,
        query,
        version: None,
        tags: &[],
        new_tags: &[],
        context: &[],
    }
}

async fn decide<H: Host>(
    exchange: &Exchange<'_, H>,
    caller: &Caller,
    wanted: &Wanted<'_>,
    (headers, query): (Headers<'_>, &Query),
) -> Result<(), s3::Error> {
    let bucket = &wanted.bucket;
    if is_unbound(&exchange.shard, caller, bucket) {
        return Ok(());
    }
    let say = acl::ask(&exchange.shard, caller, wanted).await?;
    let heeds_policy = say.as_ref().is_none_or(|say| say.heeds_policy);
    let is_given = say.map(|say| say.is_given);
    let policy = bucket.configurations.policy.as_ref();
    let principal = caller.principal();
    let asks_for_tags = policy.is_some_and(Policy::asks_for_tags)
        || principal.is_some_and(|principal| principal.asks_for_tags());
    let tags = match wanted.key {
        Some(key) if asks_for_tags => {
            find_tags(&exchange.shard, bucket, key, &wanted.version).await?
        }
        Some(_) | None => Vec::new(),
    };
    // A form has them in a field; no header is called so.
    let new_tags = post::tags(headers).unwrap_or_default();
    let facts = Facts {
        owner: &bucket.owner.id,
        version: wanted.version.sent(),
        tags: &tags,
        new_tags: new_tags.pairs(),
        ..facts(exchange, principal.map(Arc::as_ref), (headers, query))
    };
    let resource = resource_of(&bucket.record.name, wanted.key);
    let question = Question { action: &wanted.action, resource: &resource, facts: &facts };
    let said = policy.map_or(Decision::Silent, |policy| policy.decide(&question));
    let is_denied = said == Decision::Denied;
    let said = if is_denied || heeds_policy { said } else { Decision::Silent };
    let always = ALWAYS.contains(&wanted.action.as_ref());
    let is_own = principal.is_some_and(|known| known.account.id == bucket.owner.id);
    let block = bucket.configurations.public_access_block.unwrap_or_default();
    if !is_own && block.restrict_public_buckets && policy.is_some_and(Policy::is_public) {
        return Err(denied());
    }
    let is_allowed = match principal {
        Some(principal) if is_own => {
            let own = principal.decide(&question);
            let is_denied = own == Decision::Denied || is_denied;
            let is_let = said == Decision::Allowed && principal.session_lets(&question);
            let is_allowed = own == Decision::Allowed && is_given.unwrap_or(true);
            (owns(caller, bucket) && always) || (!is_denied && (is_allowed || is_let))
        }
        // Of another account: theirs has to let them, and the owner has to.
        Some(principal) => {
            let is_let = matches!(said, Decision::Allowed | Decision::AllowedToAccount);
            (is_let || (is_given == Some(true) && !is_denied))
                && principal.decide(&question) == Decision::Allowed
        }
        None => said == Decision::Allowed || (is_given == Some(true) && !is_denied),
    };
    if is_allowed && always && !is_own {
        // AWS: who is not of the owner's account never gets at a policy, whatever it says.
        return Err(s3::Error::new(ErrorCode::MethodNotAllowed));
    }
    if is_allowed { Ok(()) } else { Err(denied()) }
}

fn copy_source(routed: &Routed, headers: Headers<'_>) -> Result<Option<CopySource>, s3::Error> {
    let source = headers.get("x-amz-copy-source").filter(|_| routed.route.source_action.is_some());
    source.map(CopySource::parse).transpose()
}

fn makes_bucket(routed: &Routed) -> bool {
    routed.route.answer == Answer::Served(Kind::CreateBucket)
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
