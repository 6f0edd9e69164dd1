//! Who asks: SigV4 says so. What they may is said elsewhere ([`crate::permission`]).

use std::{ops::RangeInclusive, sync::Arc};

use anode_net::{
    s3::{self, ErrorCode, Form, PostPolicy, Routed, operation::Route},
    sigv4::{self, Authentication, Expected, PayloadMode, RequestParts, Verified},
};

use crate::{
    gateway::record,
    host::Host,
    iam::{Principal, session},
    permission::Judged,
    shard::Shard,
};

/// A request's proven sender, and how its body is framed.
#[derive(Debug)]
pub struct Caller {
    /// Who it is.
    pub identity: Identity,
    /// How the body is signed and framed.
    pub payload: PayloadMode,
    /// Where the signatures of its chunks start; a form has none.
    pub verified: Option<Verified>,
    /// How many bytes the policy of a form lets it store.
    pub length_bytes: Option<RangeInclusive<u64>>,
    /// The object whose ACL was asked what they may do.
    pub(crate) judged: Judged,
}

/// Who sends a request.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Somebody whose access key the node knows.
    Known(Arc<Principal>),
    /// Nobody signed.
    Anonymous,
}

impl Caller {
    /// Who it is, where somebody signed.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        match &self.identity {
            Identity::Known(principal) => Some(principal),
            Identity::Anonymous => None,
        }
    }

    /// A name to keep with what they make.
    pub fn name(&self) -> &str {
        self.principal().map_or("anonymous", |principal| &principal.access_key)
    }

    /// Whether nobody signed.
    pub fn is_anonymous(&self) -> bool {
        self.principal().is_none()
    }

    /// Somebody who didn't sign.
    pub fn anonymous(payload: PayloadMode) -> Self {
        let (identity, judged) = (Identity::Anonymous, Judged::default());
        Self { identity, payload, verified: None, length_bytes: None, judged }
    }
}

/// Finds out who sends a request: whoever signed it, proven.
pub fn authorize<H: Host>(
    shard: &Shard<H>,
    request: &s3::Request<'_>,
    route: &Route,
) -> Result<Caller, s3::Error> {
    let parts = parts(request);
    let signed = match sigv4::parse(&parts)? {
        Authentication::Signed(signed) => signed,
        Authentication::Anonymous(payload) => return Ok(Caller::anonymous(payload)),
    };
    let principal = principal_of(shard, &signed.access_key, signed.session_token.as_deref())?;
    let settings = shard.settings();
    let now_seconds = now_seconds(shard);
    let expected = Expected { now_seconds, region: settings.region.as_deref(), service: "s3" };
    let verified = shard.verify(&signed, &parts, &principal.secret.0, &expected)?;
    tracing::trace!(operation = route.name, action = route.action, "signed");
    Ok(Caller {
        identity: Identity::Known(principal),
        payload: signed.payload,
        verified: Some(verified),
        length_bytes: None,
        judged: Judged::default(),
    })
}

/// Finds out who sends a form: whoever signed its policy, which must let the form be.
pub fn authorize_form<H: Host>(
    shard: &Shard<H>,
    request: &s3::Request<'_>,
    form: &Form,
    routed: &Routed,
) -> Result<Caller, s3::Error> {
    refuse_signed_head(request)?;
    let Some(signature) = sigv4::parse_form(|name| form.get(name))? else {
        if form.get("policy").is_some() {
            return Err(s3::Error::new(ErrorCode::AccessDenied));
        }
        return Ok(Caller::anonymous(PayloadMode::Unsigned));
    };
    let policy = form.get("policy").ok_or_else(|| sigv4::missing_field("policy"))?;
    let token = form.get("x-amz-security-token");
    let principal = principal_of(shard, &signature.access_key, token)?;
    let settings = shard.settings();
    let now_seconds = now_seconds(shard);
    let expected = Expected { now_seconds, region: settings.region.as_deref(), service: "s3" };
    sigv4::verify_form(&signature, policy, &principal.secret.0, &expected)?;
    let bucket = routed.address.bucket().unwrap_or_default();
    let now_ms = record::signed_ms(shard.now_ms());
    let length_bytes = PostPolicy::parse(policy)?.check(form, bucket, now_ms)?;
    let Route { name, action, .. } = routed.route;
    tracing::trace!(operation = name, action, "signed");
    Ok(Caller {
        identity: Identity::Known(principal),
        payload: PayloadMode::Unsigned,
        verified: None,
        length_bytes: Some(length_bytes),
        judged: Judged::default(),
    })
}

/// A form is signed in its fields. A signature in the head, or a digest of all of the body, would go unchecked.
fn refuse_signed_head(request: &s3::Request<'_>) -> Result<(), s3::Error> {
    match sigv4::parse(&parts(request))? {
        Authentication::Anonymous(PayloadMode::Unsigned) => Ok(()),
        Authentication::Anonymous(_) | Authentication::Signed(_) => Err(s3::Error::with_message(
            ErrorCode::InvalidRequest,
            "A form is signed by its fields alone, not by headers or the query.",
        )),
    }
}

/// What of a request is signed.
fn parts<'a>(request: &s3::Request<'a>) -> RequestParts<'a> {
    let s3::Request { method, path, query, headers } = *request;
    RequestParts { method, path, query, headers: headers.fields() }
}

/// Who has an access key that lets in, with its token where it is a session's.
pub(crate) fn principal_of<H: Host>(
    shard: &Shard<H>,
    access_key: &str,
    token: Option<&str>,
) -> Result<Arc<Principal>, s3::Error> {
    if let Some(token) = token {
        let read = shard.session_policies();
        return session::principal(&shard.meta().iam, access_key, token, shard.now_ms(), read);
    }
    let unusable = |message: Option<&'static str>| {
        let code = ErrorCode::InvalidAccessKeyId;
        let error = message
            .map_or_else(|| s3::Error::new(code), |message| s3::Error::with_message(code, message));
        error.field("AWSAccessKeyId", access_key)
    };
    let principal = shard.principal_of(access_key).ok_or_else(|| unusable(None))?;
    if !principal.is_active {
        return Err(unusable(Some("The access key is inactive.")));
    }
    if principal.expires_ms.is_some_and(|expires_ms| expires_ms <= shard.now_ms()) {
        return Err(unusable(Some("The access key has expired.")));
    }
    Ok(principal)
}

/// The node's time in seconds since 1970.
pub(crate) fn now_seconds<H: Host>(shard: &Shard<H>) -> i64 {
    i64::try_from(shard.host().wall_clock().0 / 1_000_000_000)
        .expect("nanoseconds of 64 bits are few seconds")
}
