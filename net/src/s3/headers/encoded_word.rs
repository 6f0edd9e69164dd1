//! RFC 2047 encoded words, which is how metadata beyond ASCII travels in headers.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Bytes of text in one encoded word: base64 and frame stay below 75 characters. (RFC 2047, 2)
const WORD_BYTES_MAX: usize = 45;

/// Decodes the encoded words of a header's value; what isn't one stays as it is.
///
/// A value that would hold control characters afterwards is left encoded: decoded, it could not be
/// sent back, or would split a response.
pub fn decode(value: &str) -> String {
    let mut decoded = String::with_capacity(value.len());
    let mut rest = value;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let (before, candidate) = rest.split_at(start);
        // RFC 2047, 6.2: white space between two encoded words is not part of the text.
        let gap = after_word && before.chars().all(|character| matches!(character, ' ' | '\t'));
        let Some((text, behind)) = word(candidate) else {
            decoded.push_str(before);
            decoded.push_str("=?");
            rest = candidate.get(2..).unwrap_or("");
            after_word = false;
            continue;
        };
        if !gap {
            decoded.push_str(before);
        }
        decoded.push_str(&text);
        rest = behind;
        after_word = true;
    }
    decoded.push_str(rest);
    if decoded.chars().any(|character| character.is_control() && character != '\t') {
        return value.to_owned();
    }
    decoded
}

/// Encodes a value for a header: as it is where it's printable ASCII, else as encoded words.
pub fn encode(value: &str) -> Cow<'_, str> {
    if value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(value);
    }
    let mut words: Vec<String> = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let mut end = rest.len().min(WORD_BYTES_MAX);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (head, tail) = rest.split_at(end);
        words.push(format!("=?UTF-8?B?{}?=", STANDARD.encode(head)));
        rest = tail;
    }
    Cow::Owned(words.join(" "))
}

/// The text of the encoded word at the start, and what follows it.
fn word(text: &str) -> Option<(String, &str)> {
    let mut parts = text.strip_prefix("=?")?.splitn(3, '?');
    let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (encoded, behind) = rest.split_once("?=")?;
    let bytes = match encoding {
        "B" | "b" => STANDARD.decode(encoded).ok()?,
        "Q" | "q" => quoted(encoded)?,
        _ => return None,
    };
    let text = match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "us-ascii" => String::from_utf8(bytes).ok()?,
        "iso-8859-1" => bytes.iter().copied().map(char::from).collect(),
        _ => return None,
    };
    Some((text, behind))
}

/// The Q encoding: `_` is a space, `=` leads two hexadecimal digits. (RFC 2047, 4.2)
fn quoted(encoded: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'_' => b' ',
            b'=' => {
                let digits = [rest.next()?, rest.next()?];
                *hex::decode(digits).ok()?.first()?
            }
            other => other,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_decoded() {
        for (value, expected) in [
            ("plain", "plain"),
            ("=?UTF-8?B?w4TDlsOc?=", "ÄÖÜ"),
            ("=?utf-8?b?w4TDlsOc?= and more", "ÄÖÜ and more"),
            ("=?UTF-8?Q?=C3=84_b?=", "Ä b"),
            ("=?ISO-8859-1?Q?a=E9?=", "aé"),
            ("=?UTF-8?B?YQ==?= =?UTF-8?B?Yg==?=", "ab"),
            ("x =?UTF-8?B?YQ==?= y =?UTF-8?B?Yg==?=", "x a y b"),
            // What isn't an encoded word stays.
            ("=?UTF-8?B?!!?=", "=?UTF-8?B?!!?="),
            ("=?UTF-8?B?/w==?=", "=?UTF-8?B?/w==?="),
            ("=?UTF-8?X?a?=", "=?UTF-8?X?a?="),
            ("=?KOI8-R?B?YQ==?=", "=?KOI8-R?B?YQ==?="),
            ("=?", "=?"),
            ("a=?b", "a=?b"),
            ("=?UTF-8?Q?=4?=", "=?UTF-8?Q?=4?="),
            // Line ends never come out of a value.
            ("=?UTF-8?Q?a=0D=0Ab?=", "=?UTF-8?Q?a=0D=0Ab?="),
        ] {
            assert_eq!(decode(value), expected, "{value}");
        }
    }

    #[test]
    fn encoding_is_undone_by_decoding() {
        for value in ["", "a b", "ÄMÄZÕÑ S3", "😀", &"é€😀".repeat(40)] {
            let encoded = encode(value);
            assert!(encoded.is_ascii());
            assert!(encoded.split(' ').all(|word| word.len() <= 75 || value.is_ascii()));
            assert_eq!(decode(&encoded), value);
        }
        assert_eq!(encode("ÄÖÜ"), "=?UTF-8?B?w4TDlsOc?=");
    }
}
