//! The request target: percent-encoding and the query, exactly as S3 reads them.
//!
//! Decoding happens once: `%2525` is the key `%25`. A path isn't normalised: `//`, `.` and `..` are parts of keys. `+` is a plus
//! in a path and a space in a query, where `%2B` is the plus.

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::refusal::Refusal;

/// What isn't encoded in a name or value: the unreserved characters of RFC 3986.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same for a whole path.
const PATH: &AsciiSet = &COMPONENT.remove(b'/');

/// Decodes a path or a part of it; `%2F` becomes a slash like any other.
pub fn decode_path(raw: &str) -> Result<Cow<'_, str>, Refusal> {
    if memchr::memchr(b'%', raw.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(raw));
    }
    let mut decoded = Vec::with_capacity(raw.len());
    decode_into(&mut decoded, raw, Plus::Stays)?;
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_not_utf8| not_utf8())
}

/// Encodes a whole path: slashes stay.
pub fn encode_path(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// Encodes a name or a value of a query.
pub fn encode_component(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// A decoded query: names and values in the order in which they came; a name may come several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    text: String,
    pairs: Vec<Pair>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    name: Range<usize>,
    value: Range<usize>,
}

impl Query {
    /// Decodes what follows the `?`, without it.
    pub fn parse(raw: &str) -> Result<Self, Refusal> {
        let mut decoded = Vec::with_capacity(raw.len());
        let mut pairs = Vec::new();
        for item in raw.split('&').filter(|item| !item.is_empty()) {
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            let name_start = decoded.len();
            decode_into(&mut decoded, name, Plus::BecomesSpace)?;
            let value_start = decoded.len();
            decode_into(&mut decoded, value, Plus::BecomesSpace)?;
            // Each must be UTF-8 alone: two halves of a character are not one.
            for part in [&decoded[name_start..value_start], &decoded[value_start..]] {
                std::str::from_utf8(part).map_err(|_not_utf8| not_utf8())?;
            }
            pairs.push(Pair { name: name_start..value_start, value: value_start..decoded.len() });
        }
        let text = String::from_utf8(decoded).expect("each part of it was checked");
        Ok(Self { text, pairs })
    }

    /// The first value of a name; empty where the name came without `=`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Did the name come, with or without a value?
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|pair| (&self.text[pair.name.clone()], &self.text[pair.value.clone()]))
    }

    /// Is there no name at all?
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Stays,
    BecomesSpace,
}

fn decode_into(target: &mut Vec<u8>, raw: &str, plus: Plus) -> Result<(), Refusal> {
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        target.push(match byte {
            b'%' => hex_byte(bytes.next(), bytes.next()).ok_or_else(|| {
                Refusal::uri(
                    "The request target has a percent sign without two hexadecimal digits.",
                )
            })?,
            b'+' if plus == Plus::BecomesSpace => b' ',
            other => other,
        });
    }
    Ok(())
}

fn hex_byte(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

fn not_utf8() -> Refusal {
    Refusal::uri("The request target is not UTF-8 once decoded.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_decode_once_and_keep_their_shape() {
        for (raw, decoded) in [
            ("/b/a+b", "/b/a+b"),
            ("/b/a%20b%2Bc%2fd", "/b/a b+c/d"),
            ("/b/%2525", "/b/%25"),
            ("/b//./../x/", "/b//./../x/"),
            ("/b/%00%01%F0%9F%98%80é", "/b/\0\u{1}😀é"),
        ] {
            assert_eq!(decode_path(raw).expect(raw), decoded, "{raw}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for raw in ["/%", "/%4", "/%4g", "/%+1", "/%-1", "/%ff", "/%c3%28", "/% 41"] {
            assert_eq!(decode_path(raw).expect_err(raw).code, "InvalidURI", "{raw}");
            assert_eq!(Query::parse(&raw[1..]).expect_err(raw).code, "InvalidURI", "{raw}");
        }
        assert!(Query::parse("%c3=%a9").is_err(), "two halves of a character");
    }

    #[test]
    fn queries_keep_order_repetition_and_empty_values() {
        let query =
            Query::parse("acl&&prefix=a+b%2Bc&x=1=2&prefix=second&empty=").expect("a query");
        let pairs: Vec<_> = query.iter().collect();
        let expected =
            [("acl", ""), ("prefix", "a b+c"), ("x", "1=2"), ("prefix", "second"), ("empty", "")];
        assert_eq!(pairs, expected);
        assert_eq!(query.get("prefix"), Some("a b+c"));
        assert!(query.has("acl") && query.has("empty") && !query.has("ACL"));
        assert!(Query::parse("").expect("empty").is_empty());
    }

    #[test]
    fn encoding_and_decoding_are_inverse() {
        let key = "a/b c+d%e?f&g=h#i~é😀\u{7f}\0";
        assert_eq!(decode_path(&encode_path(key)).expect("decodes"), key);
        assert_eq!(encode_path("a/b c+é"), "a/b%20c%2B%C3%A9");
        assert_eq!(encode_component("a/b~"), "a%2Fb~");
    }
}
