//! The parameters of a `Content-Type` or `Content-Disposition`: `; name=token; name="quoted"`.

use crate::http::fields::{is_token_byte, trim};

/// Parameters by name, each once.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads what follows the first semicolon. `None` where it can't be read, or has a name twice.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut list: Vec<(String, String)> = Vec::new();
        let mut rest = trim(text);
        while !rest.is_empty() {
            let (name, behind) = rest.split_once('=')?;
            let name = trim(name).to_ascii_lowercase();
            let is_name = !name.is_empty() && name.bytes().all(is_token_byte);
            if !is_name || list.iter().any(|(known, _)| *known == name) {
                return None;
            }
            let (value, behind) = match behind.strip_prefix('"') {
                Some(quoted) => quoted_string(quoted)?,
                None => token(behind),
            };
            list.push((name, value));
            rest = trim(behind);
            if !rest.is_empty() {
                rest = trim(rest.strip_prefix(';')?);
            }
        }
        Some(Self(list))
    }

    /// The value of the parameter with this name, in lower case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Up to the next semicolon or space.
fn token(text: &str) -> (String, &str) {
    let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
    let (value, behind) = text.split_at(end);
    (value.to_owned(), behind)
}

/// Up to the closing quote. A backslash escapes a quote and itself and nothing else: browsers send the paths of
/// Windows as they are.
fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' if characters.as_str().starts_with(['"', '\\']) => value.extend(characters.next()),
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Parameters;

    #[test]
    fn parameters_are_read_or_refused() {
        let read = |text| Parameters::parse(text).map(|parameters| parameters.0);
        let pairs = |pairs: &[(&str, &str)]| {
            Some(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
        };
        for (text, expected) in [
            ("", pairs(&[])),
            (" boundary=a-b ", pairs(&[("boundary", "a-b")])),
            (
                " Charset=utf-8 ;boundary=\"a b\";",
                pairs(&[("charset", "utf-8"), ("boundary", "a b")]),
            ),
            (r#" name="a\"b\\c\d""#, pairs(&[("name", r#"a"b\c\d"#)])),
            (r#"name="a;b=c"; filename="ü""#, pairs(&[("name", "a;b=c"), ("filename", "ü")])),
            ("name=", pairs(&[("name", "")])),
            ("name", None),
            ("=a", None),
            ("a b=c", None),
            ("name=\"a", None),
            ("name=\"a\" b", None),
            ("name=a b", None),
            ("name=a; NAME=b", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
