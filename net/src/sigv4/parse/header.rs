//! The `Authorization` header.

use super::{check_all_signed, parse_credential, parse_signature, version_two};
use crate::sigv4::{ALGORITHM, Error, HeaderNames, PayloadMode, RequestParts, Signed, Timestamp};

/// The three components, as sent.
struct Components<'a> {
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

pub(super) fn parse(
    parts: &RequestParts<'_>,
    authorization: &str,
    body_sha256: Option<[u8; 32]>,
) -> Result<Signed, Error> {
    let components = split(after_scheme(authorization)?)?;
    let (access_key, scope) = parse_credential(components.credential).ok_or_else(|| {
        malformed("the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
    })?;
    let signed_headers = HeaderNames::parse(components.signed_headers).ok_or_else(|| {
        malformed("the SignedHeaders are mal-formed; expecting lower-case names separated by ';'.")
    })?;
    check_all_signed(parts, &signed_headers)?;
    let timestamp = timestamp(parts)?;
    if timestamp.date() != scope.date() {
        return Err(malformed(&format!(
            "Invalid credential date \"{}\". This date is not the same as X-Amz-Date: \"{}\".",
            scope.date(),
            timestamp.date()
        )));
    }
    let payload_value = match (parts.single("x-amz-content-sha256")?, body_sha256) {
        (Some(value), _) => value.to_owned(),
        (None, Some(digest)) => hex::encode(digest),
        (None, None) => {
            let message = "Missing required header for this request: x-amz-content-sha256";
            return Err(Error::new("InvalidRequest", message));
        }
    };
    Ok(Signed {
        access_key,
        scope,
        timestamp,
        signed_headers,
        expires_seconds: None,
        payload: PayloadMode::parse(&payload_value)?,
        session_token: parts.single("x-amz-security-token")?.map(str::to_owned),
        payload_value,
        signature: parse_signature(components.signature)?,
    })
}

/// What follows the algorithm's name; other schemes are refused by name.
fn after_scheme(authorization: &str) -> Result<&str, Error> {
    let (scheme, rest) = authorization.split_once([' ', '\t']).unwrap_or((authorization, ""));
    match scheme {
        ALGORITHM => Ok(rest),
        "" => Err(Error::new("AccessDenied", "Access Denied")),
        "AWS" if rest.contains(':') => Err(version_two()),
        "AWS" => Err(unsupported(
            authorization,
            "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
        )),
        _ => Err(unsupported(authorization, "Unsupported Authorization Type")),
    }
}

/// `Credential=.., SignedHeaders=.., Signature=..` in any order, the spaces optional, each exactly once.
fn split(components: &str) -> Result<Components<'_>, Error> {
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for component in components.split(',').map(|component| component.trim_matches([' ', '\t'])) {
        let Some((name, value)) = component.split_once('=') else { return Err(three_components()) };
        let place = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => return Err(three_components()),
        };
        if place.replace(value).is_some() {
            return Err(three_components());
        }
    }
    match (credential, signed_headers, signature) {
        (Some(credential), Some(signed_headers), Some(signature)) => {
            Ok(Components { credential, signed_headers, signature })
        }
        _ => Err(three_components()),
    }
}

/// `x-amz-date`, or `Date` without it. Either is covered: the string to sign begins with it.
fn timestamp(parts: &RequestParts<'_>) -> Result<Timestamp, Error> {
    let timestamp = match parts.single("x-amz-date")? {
        Some(date) => Timestamp::parse(date),
        None => parts.single("date")?.and_then(Timestamp::parse_date_header),
    };
    timestamp.ok_or_else(|| {
        Error::new("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    })
}

fn three_components() -> Error {
    malformed(
        "the authorization header requires three components: Credential, SignedHeaders, and Signature.",
    )
}

fn malformed(what: &str) -> Error {
    Error::new(
        "AuthorizationHeaderMalformed",
        format!("The authorization header is malformed; {what}"),
    )
}

fn unsupported(authorization: &str, message: &str) -> Error {
    Error::new("InvalidArgument", message).with([
        ("ArgumentName", "Authorization".to_owned()),
        ("ArgumentValue", authorization.to_owned()),
    ])
}
