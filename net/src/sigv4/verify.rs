//! Whether a signed request was signed by the holder of the secret, for this place and this time.

use subtle::ConstantTimeEq as _;

use super::canonical::{canonical_request, string_to_sign};
use super::timestamp::extended;
use super::{CLOCK_SKEW_SECONDS_MAX, Error, RequestParts, Scope, Signed, SigningKey, Timestamp};

/// What the server expects of a signature.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The server's time, seconds since the epoch.
    pub now_seconds: i64,
    /// The only region accepted; `None` accepts any.
    pub region: Option<&'a str>,
    /// `s3`; `sts` on that route.
    pub service: &'a str,
}

/// The proof of a right signature, and where the signatures of its chunks start.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The key of the scope.
    pub key: SigningKey,
    /// The request's signature: the seed of its chunks' signatures.
    pub(super) seed: [u8; 32],
    pub(super) timestamp: Timestamp,
    pub(super) scope: Scope,
}

/// Verifies a request that [`super::parse()`] found signed, against the secret of its access key.
///
/// In this order: scope (`AuthorizationHeaderMalformed`, `AuthorizationQueryParametersError`), time
/// (`RequestTimeTooSkewed`; `AccessDenied` for a presigned URL), signature (`SignatureDoesNotMatch`).
pub fn verify(
    signed: &Signed,
    parts: &RequestParts<'_>,
    secret: &str,
    expected: &Expected<'_>,
) -> Result<Verified, Error> {
    verify_with(signed, parts, &SigningKey::derive(secret, &signed.scope), expected)
}

/// [`verify`] with the key derived already.
pub(super) fn verify_with(
    signed: &Signed,
    parts: &RequestParts<'_>,
    key: &SigningKey,
    expected: &Expected<'_>,
) -> Result<Verified, Error> {
    check_scope(signed, expected)?;
    check_time(signed, expected.now_seconds)?;
    let canonical = canonical_request(parts, &signed.signed_headers, &signed.payload_value)?;
    let text = string_to_sign(&signed.timestamp, &signed.scope, &canonical);
    let computed = key.sign(text.as_bytes());
    if !bool::from(computed.ct_eq(&signed.signature)) {
        return Err(Error::mismatch().with([
            ("AWSAccessKeyId", signed.access_key.to_string()),
            ("StringToSign", text),
            ("SignatureProvided", hex::encode(signed.signature)),
            ("CanonicalRequest", canonical),
        ]));
    }
    Ok(Verified {
        key: key.clone(),
        seed: signed.signature,
        timestamp: signed.timestamp,
        scope: signed.scope.clone(),
    })
}

fn check_scope(signed: &Signed, expected: &Expected<'_>) -> Result<(), Error> {
    let (code, prefix) = if signed.expires_seconds.is_some() {
        ("AuthorizationQueryParametersError", "Error parsing the X-Amz-Credential parameter")
    } else {
        ("AuthorizationHeaderMalformed", "The authorization header is malformed")
    };
    let scope = &signed.scope;
    if let Some(region) = expected.region
        && scope.region() != region
    {
        let message =
            format!("{prefix}; the region '{}' is wrong; expecting '{region}'", scope.region());
        return Err(Error::new(code, message).with([("Region", region.to_owned())]));
    }
    if scope.service() != expected.service {
        let message = format!(
            "{prefix}; incorrect service \"{}\". This endpoint belongs to \"{}\".",
            scope.service(),
            expected.service
        );
        return Err(Error::new(code, message));
    }
    Ok(())
}

fn check_time(signed: &Signed, now: i64) -> Result<(), Error> {
    let start = signed.timestamp.seconds();
    let Some(expires_seconds) = signed.expires_seconds else {
        return if now.abs_diff(start) <= CLOCK_SKEW_SECONDS_MAX.unsigned_abs() {
            Ok(())
        } else {
            Err(too_skewed(&signed.timestamp, now))
        };
    };
    let end = start.saturating_add(i64::from(expires_seconds));
    if now > end {
        return Err(Error::new("AccessDenied", "Request has expired").with([
            ("X-Amz-Expires", expires_seconds.to_string()),
            ("Expires", extended(end)),
            ("ServerTime", extended(now)),
        ]));
    }
    if start.saturating_sub(now) > CLOCK_SKEW_SECONDS_MAX {
        return Err(Error::new("AccessDenied", "Request is not yet valid").with([
            ("RequestTime", signed.timestamp.as_str().to_owned()),
            ("ServerTime", extended(now)),
        ]));
    }
    Ok(())
}

fn too_skewed(timestamp: &Timestamp, now: i64) -> Error {
    Error::new(
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
    )
    .with([
        ("RequestTime", timestamp.as_str().to_owned()),
        ("ServerTime", extended(now)),
        ("MaxAllowedSkewMilliseconds", (CLOCK_SKEW_SECONDS_MAX * 1000).to_string()),
    ])
}
