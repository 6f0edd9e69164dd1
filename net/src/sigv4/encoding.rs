//! The canonical encodings: of the path, of the query, of header values.
//!
//! S3 decodes the path once and encodes it once; it removes no `.`, no `..` and no double slash. In a path `+` is a plus,
//! in a query it is a space.

use std::borrow::Cow;

use super::Error;

/// Decoded names and values of a query, in the order they came.
pub(super) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends the canonical form of a raw path: everything but the unreserved and `/` as upper-case `%XX`.
pub(super) fn push_path(canonical: &mut String, raw: &str) -> Result<(), Error> {
    if raw.is_empty() {
        canonical.push('/');
    }
    let mut rest = raw.bytes();
    while let Some(byte) = next_decoded(&mut rest).map_err(|_bad_escape| invalid_uri())? {
        if byte == b'/' { canonical.push('/') } else { push_encoded(canonical, byte) }
    }
    Ok(())
}

/// A query's parameters, decoded, in the order they came; empty ones (`a&&b`) are skipped.
pub(super) fn query_pairs(raw: &str) -> Result<Pairs, Error> {
    let parameters = raw.split('&').filter(|parameter| !parameter.is_empty());
    parameters
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            Ok((decoded_query(name)?, decoded_query(value)?))
        })
        .collect()
}

/// Appends the canonical query: names and values encoded, sorted by their encoded bytes, without the signature of a
/// presigned URL.
pub(super) fn push_query(canonical: &mut String, pairs: &Pairs) {
    let mut encoded: Vec<(String, String)> = pairs
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case(b"x-amz-signature"))
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    encoded.sort_unstable();
    for (at, (name, value)) in encoded.iter().enumerate() {
        if at > 0 {
            canonical.push('&');
        }
        canonical.push_str(name);
        canonical.push('=');
        canonical.push_str(value);
    }
}

/// Percent-encodes all but the unreserved (RFC 3986, 2.3).
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for byte in bytes {
        push_encoded(&mut encoded, *byte);
    }
    encoded
}

/// A header's value without surrounding white space and with inner runs of it as one space.
pub(super) fn folded(value: &str) -> Cow<'_, str> {
    let value = value.trim_matches([' ', '\t']);
    if !value.contains("  ") && !value.contains('\t') {
        return Cow::Borrowed(value);
    }
    let words: Vec<&str> = value.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    Cow::Owned(words.join(" "))
}

/// Bytes as lower-case digits.
pub(super) fn push_hex(target: &mut String, bytes: &[u8]) {
    const LOWER: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    for byte in bytes {
        target.push(LOWER[usize::from(byte >> 4)]);
        target.push(LOWER[usize::from(byte & 0x0f)]);
    }
}

fn push_encoded(target: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
        target.push(char::from(byte));
    } else {
        let digit = |nibble: u8| {
            char::from(HEX.get(usize::from(nibble)).copied().expect("a nibble is below 16"))
        };
        target.push('%');
        target.push(digit(byte >> 4));
        target.push(digit(byte & 0x0f));
    }
}

fn decoded_query(raw: &str) -> Result<Vec<u8>, Error> {
    let mut decoded = Vec::with_capacity(raw.len());
    for piece in raw.split_inclusive('+') {
        let (text, space) = piece.strip_suffix('+').map_or((piece, false), |text| (text, true));
        let mut rest = text.bytes();
        while let Some(byte) = next_decoded(&mut rest).map_err(|_bad_escape| invalid_uri())? {
            decoded.push(byte);
        }
        if space {
            decoded.push(b' ');
        }
    }
    Ok(decoded)
}

struct BadEscape;

/// The next byte, an escape decoded; `None` at the end.
fn next_decoded(rest: &mut std::str::Bytes<'_>) -> Result<Option<u8>, BadEscape> {
    let Some(byte) = rest.next() else { return Ok(None) };
    if byte != b'%' {
        return Ok(Some(byte));
    }
    let mut digit = || {
        let value =
            rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(BadEscape)?;
        u8::try_from(value).map_err(|_too_large| BadEscape)
    };
    Ok(Some(digit()? << 4 | digit()?))
}

fn invalid_uri() -> Error {
    Error::new("InvalidURI", "Couldn't parse the specified URI.")
}

#[cfg(test)]
mod tests {
    use super::{folded, push_path, push_query, query_pairs};

    fn path(raw: &str) -> String {
        let mut canonical = String::new();
        push_path(&mut canonical, raw).unwrap();
        canonical
    }

    fn query(raw: &str) -> String {
        let mut canonical = String::new();
        push_query(&mut canonical, &query_pairs(raw).unwrap());
        canonical
    }

    #[test]
    fn a_path_is_encoded_once_and_never_normalised() {
        assert_eq!(path(""), "/");
        assert_eq!(path("/a//b/./../c/"), "/a//b/./../c/");
        assert_eq!(path("/a+b c%20d%2bé%c3%A9%2F~"), "/a%2Bb%20c%20d%2B%C3%A9%C3%A9/~");
        assert_eq!(path("/%2541"), "/%2541", "double-encoded stays so");
        assert_eq!(path("/%00%ff"), "/%00%FF");
        for wrong in ["/%", "/%4", "/%zz", "/%+1", "/%é"] {
            assert!(push_path(&mut String::new(), wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_query_is_sorted_by_its_encoded_bytes() {
        assert_eq!(query("b=2&a=1&B=3&a=0"), "B=3&a=0&a=1&b=2");
        assert_eq!(query("acl&&x=1=2&"), "acl=&x=1%3D2");
        assert_eq!(query("a+b=%2B%20/"), "a%20b=%2B%20%2F");
        // Decoded, '{' sorts after 'a'; encoded, '%7B' sorts before it.
        assert_eq!(query("a=1&%7b=2"), "%7B=2&a=1");
        assert_eq!(query("X-Amz-Signature=1&x-amz-signature=2&a"), "a=");
        assert!(query_pairs("a=%").is_err() && query_pairs("%4=a").is_err());
    }

    #[test]
    fn white_space_is_folded() {
        assert_eq!(folded(" \ta \t b  c\t"), "a b c");
        assert_eq!(folded("a b"), "a b");
        assert_eq!(folded("\"a   b\""), "\"a b\"");
        assert_eq!(folded(" \t "), "");
    }
}
