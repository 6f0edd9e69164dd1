//! Who asks, and whether they may: SigV4 says who, the table of operations says what is asked.
//!
//! Deny by default: only credentials that the meta group knows may do anything, and they may do everything. A
//! request without a signature may do nothing.

use anode_net::{
    s3::{self, ErrorCode, operation::Route},
    sigv4::{self, Authentication, Expected, PayloadMode, RequestParts, Verified},
};

use crate::{host::Host, shard::Shard};

/// A request's proven sender, and how its body is framed.
#[derive(Debug)]
pub struct Caller {
    /// The access key that signed.
    pub access_key: String,
    /// How the body is signed and framed.
    pub payload: PayloadMode,
    /// Where the signatures of its chunks start.
    pub verified: Verified,
}

/// Finds out who sends a request and refuses it unless they may.
pub fn authorize<H: Host>(
    shard: &Shard<H>,
    request: &s3::Request<'_>,
    route: &Route,
) -> Result<Caller, s3::Error> {
    let fields: Vec<(&str, &str)> = request.headers.iter().collect();
    let parts = RequestParts {
        method: request.method,
        path: request.path,
        query: request.query,
        headers: &fields,
    };
    let signed = match sigv4::parse(&parts)? {
        Authentication::Signed(signed) => signed,
        Authentication::Anonymous(_) => return Err(s3::Error::new(ErrorCode::AccessDenied)),
    };
    if signed.session_token.is_some() {
        return Err(s3::Error::new(ErrorCode::InvalidToken));
    }
    let Some(secret) = shard.secret_of(&signed.access_key) else {
        let unknown = s3::Error::new(ErrorCode::InvalidAccessKeyId);
        return Err(unknown.field("AWSAccessKeyId", signed.access_key.clone()));
    };
    let now_seconds = i64::try_from(shard.host().wall_clock().0 / 1_000_000_000)
        .expect("nanoseconds of 64 bits are few seconds");
    let settings = shard.settings();
    let expected = Expected { now_seconds, region: settings.region.as_deref(), service: "s3" };
    let verified = shard.verify(&signed, &parts, &secret, &expected)?;
    tracing::trace!(operation = route.name, action = route.action, "allowed");
    Ok(Caller { access_key: signed.access_key.clone(), payload: signed.payload, verified })
}
