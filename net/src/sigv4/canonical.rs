//! The canonical request and the string to sign.

use sha2::{Digest as _, Sha256};

use super::encoding::{folded, push_hex, push_path, push_query, query_pairs};
use super::{ALGORITHM, Error, HeaderNames, RequestParts, Scope, Timestamp};

/// The canonical request over `signed_headers`.
///
/// `payload` is the value of `x-amz-content-sha256`. A signed header that the request lacks is a mismatch.
pub(super) fn canonical_request(
    parts: &RequestParts<'_>,
    signed_headers: &HeaderNames,
    payload: &str,
) -> Result<String, Error> {
    let mut canonical = String::with_capacity(1024);
    canonical.push_str(parts.method);
    canonical.push('\n');
    push_path(&mut canonical, parts.path)?;
    canonical.push('\n');
    push_query(&mut canonical, &query_pairs(parts.query)?);
    canonical.push('\n');
    for name in signed_headers.iter() {
        push_header(&mut canonical, parts, name)?;
    }
    canonical.push('\n');
    canonical.push_str(signed_headers.as_str());
    canonical.push('\n');
    canonical.push_str(payload);
    Ok(canonical)
}

/// What the signing key signs.
pub(super) fn string_to_sign(
    timestamp: &Timestamp,
    scope: &Scope,
    canonical_request: &str,
) -> String {
    let mut text = String::with_capacity(192);
    text.extend([ALGORITHM, "\n", timestamp.as_str(), "\n"]);
    text.extend([scope.date(), "/", scope.region(), "/", scope.service(), "/aws4_request\n"]);
    push_hex(&mut text, &Sha256::digest(canonical_request.as_bytes()));
    text
}

fn push_header(canonical: &mut String, parts: &RequestParts<'_>, name: &str) -> Result<(), Error> {
    canonical.push_str(name);
    let mut separator = ':';
    for value in parts.values(name) {
        canonical.push(separator);
        canonical.push_str(&folded(value));
        separator = ',';
    }
    if separator == ':' {
        let Error { code, message, .. } = Error::mismatch();
        return Err(Error::new(
            code,
            format!("{message} The signed header {name} is not in the request."),
        ));
    }
    canonical.push('\n');
    Ok(())
}
