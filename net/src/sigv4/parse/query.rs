//! Presigned URLs: the same in query parameters, with a time of life.

use super::{check_all_signed, parse_credential, parse_signature};
use crate::sigv4::encoding::Pairs;
use crate::sigv4::{
    ALGORITHM, Error, HeaderNames, PRESIGNED_SECONDS_MAX, PayloadMode, RequestParts, Signed,
    Timestamp,
};

pub(super) fn parse(parts: &RequestParts<'_>, pairs: &Pairs) -> Result<Signed, Error> {
    let algorithm = required(pairs, "X-Amz-Algorithm")?;
    if algorithm != ALGORITHM {
        return Err(wrong(format!("X-Amz-Algorithm only supports \"{ALGORITHM}\"")));
    }
    let credential = required(pairs, "X-Amz-Credential")?;
    let date = required(pairs, "X-Amz-Date")?;
    let signed_headers = required(pairs, "X-Amz-SignedHeaders")?;
    let expires = required(pairs, "X-Amz-Expires")?;
    let signature = required(pairs, "X-Amz-Signature")?;

    let (access_key, scope) = parse_credential(credential).ok_or_else(|| {
        wrong(
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting \
             \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
        )
    })?;
    let timestamp = Timestamp::parse(date).ok_or_else(|| {
        wrong("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    })?;
    if timestamp.date() != scope.date() {
        return Err(wrong(format!(
            "Error parsing the X-Amz-Credential parameter; Invalid credential date \"{}\". This date is not the same as \
             X-Amz-Date: \"{}\".",
            scope.date(),
            timestamp.date()
        )));
    }
    let signed_headers = HeaderNames::parse(signed_headers)
        .ok_or_else(|| wrong("X-Amz-SignedHeaders must be lower-case names separated by ';'"))?;
    check_all_signed(parts, &signed_headers)?;
    let payload_value = either(parts, pairs, "X-Amz-Content-Sha256")?.unwrap_or("UNSIGNED-PAYLOAD");
    Ok(Signed {
        access_key,
        scope,
        timestamp,
        signed_headers,
        expires_seconds: Some(expires_seconds(expires)?),
        payload: PayloadMode::parse(payload_value)?,
        session_token: either(parts, pairs, "X-Amz-Security-Token")?.map(str::to_owned),
        payload_value: payload_value.to_owned(),
        signature: parse_signature(signature)?,
    })
}

fn expires_seconds(text: &str) -> Result<u32, Error> {
    let seconds: i64 =
        text.parse().map_err(|_not_a_number| wrong("X-Amz-Expires should be a number"))?;
    if seconds < 0 {
        return Err(wrong("X-Amz-Expires must be non-negative"));
    }
    if seconds > PRESIGNED_SECONDS_MAX {
        return Err(wrong(format!(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than \
             {PRESIGNED_SECONDS_MAX} seconds"
        )));
    }
    u32::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| wrong("X-Amz-Expires must be at least 1"))
}

/// The parameter's value; its name in any case; `None` when missing. Sent twice, or not text, it is refused.
fn single<'a>(pairs: &'a Pairs, name: &str) -> Result<Option<&'a str>, Error> {
    let mut values = pairs
        .iter()
        .filter(|(held, _)| held.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| value);
    let first = values.next();
    if values.next().is_some() {
        return Err(wrong(format!("The query parameter {name} was sent more than once.")));
    }
    let text = first.map(|value| std::str::from_utf8(value)).transpose();
    text.map_err(|_not_text| wrong(format!("The query parameter {name} is not UTF-8.")))
}

fn required<'a>(pairs: &'a Pairs, name: &str) -> Result<&'a str, Error> {
    single(pairs, name)?.ok_or_else(|| {
        wrong(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, \
             X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
        )
    })
}

/// What a client may send as a (signed) header or as a parameter, not as both.
fn either<'a>(
    parts: &RequestParts<'a>,
    pairs: &'a Pairs,
    name: &str,
) -> Result<Option<&'a str>, Error> {
    match (parts.single(name)?, single(pairs, name)?) {
        (Some(_), Some(_)) => {
            Err(wrong(format!("{name} was sent as a header and as a query parameter.")))
        }
        (header, parameter) => Ok(header.or(parameter)),
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new("AuthorizationQueryParametersError", message)
}
