//! Who a request says signed it. No secret is needed and nothing is proven: what is malformed, ambiguous or not covered
//! by the signature is refused here, before any look-up.

mod header;
mod query;

use std::fmt;
use std::sync::Arc;

use super::encoding::query_pairs;
use super::{Error, HeaderNames, PayloadMode, RequestParts, Scope, Timestamp};

/// How a request is authenticated.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// Not at all. The body is still framed and checked as its mode says.
    Anonymous(PayloadMode),
    /// By a signature, still to be verified.
    Signed(Box<Signed>),
}

/// A signature and what it says it covers.
#[derive(Clone)]
pub struct Signed {
    /// Whose secret signed it.
    pub access_key: Arc<str>,
    /// The day, region and service of the signing key.
    pub scope: Scope,
    /// When it was signed.
    pub timestamp: Timestamp,
    /// The headers it covers, `host` among them.
    pub signed_headers: HeaderNames,
    /// For a presigned URL: its life from `timestamp`, 1 to 604,800.
    pub expires_seconds: Option<u32>,
    /// How the body is signed and framed.
    pub payload: PayloadMode,
    /// The token of temporary credentials, to be checked by whoever knows the access key.
    pub session_token: Option<String>,
    /// The payload's line of the canonical request.
    pub(super) payload_value: String,
    pub(super) signature: [u8; 32],
}

impl Authentication {
    /// How the body is signed and framed.
    pub fn payload(&self) -> PayloadMode {
        match self {
            Self::Anonymous(payload) => *payload,
            Self::Signed(signed) => signed.payload,
        }
    }
}

impl Signed {
    /// Whether it is a presigned URL.
    pub const fn is_presigned(&self) -> bool {
        self.expires_seconds.is_some()
    }
}

impl fmt::Debug for Signed {
    /// Without the signature and the token: a presigned URL's signature is a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed")
            .field("access_key", &self.access_key)
            .field("scope", &self.scope)
            .field("timestamp", &self.timestamp)
            .field("expires_seconds", &self.expires_seconds)
            .finish_non_exhaustive()
    }
}

/// Reads the authentication of an S3 request.
pub fn parse(parts: &RequestParts<'_>) -> Result<Authentication, Error> {
    parse_as(parts, None)
}

/// [`parse`] for a service whose clients don't send `x-amz-content-sha256` (STS): the SHA-256 of the whole body stands in
/// for it.
pub fn parse_with_body(
    parts: &RequestParts<'_>,
    body_sha256: [u8; 32],
) -> Result<Authentication, Error> {
    parse_as(parts, Some(body_sha256))
}

fn parse_as(
    parts: &RequestParts<'_>,
    body_sha256: Option<[u8; 32]>,
) -> Result<Authentication, Error> {
    let authorization = parts.single("authorization")?;
    let parameters = query_pairs(parts.query)?;
    let names = |wanted: &str| {
        parameters.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()))
    };
    let by_query =
        ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"].into_iter().any(names);
    let by_query_v2 = names("AWSAccessKeyId");
    let authentication = match authorization {
        Some(authorization) if by_query || by_query_v2 => return Err(two_ways(authorization)),
        Some(authorization) => {
            Authentication::Signed(Box::new(header::parse(parts, authorization, body_sha256)?))
        }
        None if by_query && by_query_v2 => return Err(two_ways("")),
        None if by_query => Authentication::Signed(Box::new(query::parse(parts, &parameters)?)),
        None if by_query_v2 => return Err(version_two()),
        None => Authentication::Anonymous(anonymous_payload(parts)?),
    };
    check_framing(parts, authentication.payload())?;
    Ok(authentication)
}

fn anonymous_payload(parts: &RequestParts<'_>) -> Result<PayloadMode, Error> {
    let payload = parts
        .single("x-amz-content-sha256")?
        .map_or(Ok(PayloadMode::Unsigned), PayloadMode::parse)?;
    if payload.signs_chunks() {
        let message = format!("x-amz-content-sha256 {} needs a signed request.", payload.value());
        return Err(Error::new("InvalidRequest", message));
    }
    Ok(payload)
}

/// Refuses headers of chunk framing where the mode has none: to store the framing, or to drop an announced checksum,
/// would be silent damage.
fn check_framing(parts: &RequestParts<'_>, payload: PayloadMode) -> Result<(), Error> {
    if parts.values("x-amz-trailer").next().is_some() && !payload.has_trailers() {
        return Err(Error::new(
            "InvalidRequest",
            format!(
                "x-amz-trailer needs trailers, which x-amz-content-sha256 {} has not.",
                payload.value()
            ),
        ));
    }
    let is_encoded = parts
        .values("content-encoding")
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim_matches([' ', '\t']).eq_ignore_ascii_case("aws-chunked"));
    let is_decoded = parts.values("x-amz-decoded-content-length").next().is_some();
    if is_encoded && is_decoded && !payload.is_chunked() {
        return Err(Error::new(
            "InvalidRequest",
            format!(
                "The body is announced as aws-chunked, which x-amz-content-sha256 {} is not.",
                payload.value()
            ),
        ));
    }
    Ok(())
}

/// `<access key>/<date>/<region>/<service>/aws4_request`; the access key may hold slashes.
pub(super) fn parse_credential(credential: &str) -> Option<(Arc<str>, Scope)> {
    let rest = credential.strip_suffix("/aws4_request")?;
    let (scope_slash, _) = rest.rmatch_indices('/').nth(2)?;
    let (access_key, scope) = (rest.get(..scope_slash)?, rest.get(scope_slash + 1..)?);
    let scope = Scope::parse(scope)?;
    (!access_key.is_empty()).then(|| (Arc::from(access_key), scope))
}

/// A signature in lower-case hex; anything else can't match.
pub(super) fn parse_signature(hex: &str) -> Result<[u8; 32], Error> {
    let mut signature = [0; 32];
    if hex.bytes().any(|byte| byte.is_ascii_uppercase())
        || hex::decode_to_slice(hex, &mut signature).is_err()
    {
        return Err(Error::mismatch());
    }
    Ok(signature)
}

/// `host` and every `x-amz-*` header must be signed: else anyone could add an ACL or a copy source to a presigned URL.
fn check_all_signed(parts: &RequestParts<'_>, signed_headers: &HeaderNames) -> Result<(), Error> {
    let is_amz =
        |name: &str| name.get(..6).is_some_and(|prefix| prefix.eq_ignore_ascii_case("x-amz-"));
    let mut unsigned: Vec<String> = parts
        .headers
        .iter()
        .filter(|(name, _)| is_amz(name) && !signed_headers.names(name))
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    if !signed_headers.names("host") {
        unsigned.insert(0, "host".to_owned());
    }
    if unsigned.is_empty() {
        return Ok(());
    }
    unsigned.dedup();
    Err(Error::new(
        "AccessDenied",
        "There were headers present in the request which were not signed",
    )
    .with([("HeadersNotSigned", unsigned.join(", "))]))
}

fn two_ways(authorization: &str) -> Error {
    Error::new(
        "InvalidArgument",
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or \
         the Authorization header should be specified",
    )
    .with([("ArgumentName", "Authorization".to_owned()), ("ArgumentValue", authorization.to_owned())])
}

pub(super) fn version_two() -> Error {
    Error::new(
        "InvalidRequest",
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256. (This request has an \
         AWS Signature Version 2.)",
    )
}
