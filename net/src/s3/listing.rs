//! Listings: continuation tokens, and how a delimiter groups keys. All of it is pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::s3::error::Error;

/// How keys are written in a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    #[default]
    Plain,
    /// Percent-encoded: `encoding-type=url`.
    Url,
}

const UNESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'/');

impl Encoding {
    /// Writes a key, prefix, marker or delimiter.
    ///
    /// AWS writes a space as `+`; `%20` is read rightly by the clients that expect that, and also by
    /// those that don't.
    pub fn apply(self, text: &str) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Plain => text.into(),
            Self::Url => utf8_percent_encode(text, UNESCAPED).into(),
        }
    }
}

const TOKEN_VERSION: u8 = 1;

/// A continuation token for a listing that goes on behind `position`.
///
/// ```text
/// base64url of: version u8 | CRC32C of the position, u32 little-endian | position, UTF-8
/// ```
pub fn encode_token(position: &str) -> String {
    let mut bytes = Vec::with_capacity(5 + position.len());
    bytes.push(TOKEN_VERSION);
    bytes.extend_from_slice(&crc32c::crc32c(position.as_bytes()).to_le_bytes());
    bytes.extend_from_slice(position.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position of a token that [`encode_token`] made.
pub fn decode_token(token: &str) -> Result<String, Error> {
    position(token).ok_or_else(|| {
        Error::argument("The continuation token provided is incorrect", "continuation-token", token)
    })
}

fn position(token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (head, position) = bytes.split_first_chunk::<5>()?;
    let [version, checksum @ ..] = *head;
    if version != TOKEN_VERSION || u32::from_le_bytes(checksum) != crc32c::crc32c(position) {
        return None;
    }
    String::from_utf8(position.to_vec()).ok()
}

/// The common prefix that `key` is counted under: up to and with the first delimiter behind
/// `prefix`. None where the key stands for itself, or isn't below the prefix.
pub fn common_prefix<'k>(key: &'k str, prefix: &str, delimiter: Option<&str>) -> Option<&'k str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let at = key.strip_prefix(prefix)?.find(delimiter)?;
    key.get(..prefix.len() + at + delimiter.len())
}

/// The least bytes that are greater than everything that starts with `prefix`: where a listing goes
/// on behind a common prefix. None where nothing is greater.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::ErrorCode;

    #[test]
    fn tokens_come_back() {
        for position in ["", "a", "dir/ü😀\0", &"k".repeat(1024)] {
            let token = encode_token(position);
            assert_eq!(decode_token(&token).unwrap(), position);
            assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        }
    }

    #[test]
    fn changed_tokens_are_refused() {
        let token = encode_token("some/key");
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            let error = decode_token(&changed).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument, "{changed}");
        }
        for bad in ["", "x", "AQ", "AQAAAAA=", "Ü"] {
            assert!(decode_token(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn delimiters_group() {
        for (key, prefix, delimiter, expected) in [
            ("a/b/c", "", Some("/"), Some("a/")),
            ("a/b/c", "a/", Some("/"), Some("a/b/")),
            ("a/b", "a/", Some("/"), None),
            ("a/", "a/", Some("/"), None),
            ("a/", "", Some("/"), Some("a/")),
            ("/x", "", Some("/"), Some("/")),
            ("a::b::c", "", Some("::"), Some("a::")),
            ("aüb", "a", Some("ü"), Some("aü")),
            ("a/b", "", None, None),
            ("a/b", "", Some(""), None),
            ("b/c", "a", Some("/"), None),
        ] {
            assert_eq!(common_prefix(key, prefix, delimiter), expected, "{key} {prefix}");
        }
    }

    #[test]
    fn the_end_of_a_prefix_is_behind_its_keys() {
        assert_eq!(prefix_end(b"a/"), Some(b"a0".to_vec()));
        assert_eq!(prefix_end(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xff"), None);
        assert_eq!(prefix_end(b""), None);
    }

    #[test]
    fn keys_are_encoded_for_urls() {
        assert_eq!(
            Encoding::Url.apply("a b/c+d*e-f_g.h~\u{1}é"),
            "a%20b/c%2Bd*e-f_g.h%7E%01%C3%A9"
        );
        assert_eq!(Encoding::Plain.apply("a b"), "a b");
    }
}
