//! The parameters of a query, decoded: `%20` and `+` are spaces here, unlike in a path.

use percent_encoding::percent_decode_str;

use crate::s3::error::{Error, ErrorCode};

/// The parameters in their order; a name may occur more than once, and the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes what stands behind the question mark.
    ///
    /// `InvalidURI` where an escape is broken or the text isn't UTF-8.
    pub fn parse(raw: &str) -> Result<Self, Error> {
        let mut parameters = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.push((decode_form(name)?, decode_form(value)?));
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter; empty where it has none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(parameter, _)| parameter == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that is there and not empty.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Whether the parameter is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Every parameter, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Decodes percent escapes; a plus stays a plus.
///
/// `InvalidURI` where an escape is broken or the text isn't UTF-8.
pub fn decode(raw: &str) -> Result<String, Error> {
    if !escapes_are_whole(raw) {
        return Err(Error::new(ErrorCode::InvalidURI));
    }
    match percent_decode_str(raw).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_not_utf8) => Err(Error::new(ErrorCode::InvalidURI)),
    }
}

fn decode_form(raw: &str) -> Result<String, Error> {
    if raw.contains('+') { decode(&raw.replace('+', " ")) } else { decode(raw) }
}

/// Whether two hexadecimal digits follow each percent sign: the decoder would let others pass.
fn escapes_are_whole(raw: &str) -> bool {
    raw.split('%').skip(1).all(|behind| {
        behind.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse("acl&a=1+2%2B%20&&b==&a=2&%C3%A9=%F0%9F%98%80&=x").unwrap();
        let all: Vec<_> = query.iter().collect();
        let expected =
            [("acl", ""), ("a", "1 2+ "), ("b", "="), ("a", "2"), ("é", "😀"), ("", "x")];
        assert_eq!(all, expected);
        assert_eq!(query.get("a"), Some("1 2+ "));
        assert!(query.has("acl"));
        assert_eq!(query.filled("acl"), None);
        assert_eq!(query.get("c"), None);
    }

    #[test]
    fn broken_escapes_are_refused() {
        for raw in ["a=%", "a=%4", "a=%zz", "%=1", "a=%ff", "a=%e2%82", "a=%4%31"] {
            assert_eq!(Query::parse(raw).unwrap_err().code(), ErrorCode::InvalidURI, "{raw}");
        }
    }

    #[test]
    fn decoding_once_leaves_double_encoding() {
        assert_eq!(decode("a%2541+%2B").unwrap(), "a%41++");
    }
}
