//! A request that can be changed, and the way a server checks it.

use sha2::{Digest as _, Sha256};

use crate::sigv4::{
    Authentication, Error, Expected, RequestParts, Verified, parse, parse_with_body, verify,
};

/// A request, whom it is sent to, and whose secret the server knows.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    /// Stands in for `x-amz-content-sha256` where the vector has none.
    pub(super) body: Option<Vec<u8>>,
    pub(super) access_key: &'static str,
    pub(super) secret: &'static str,
    pub(super) expected: Expected<'static>,
}

impl Request {
    /// Parses, looks the secret up, verifies.
    pub(super) fn check(&self) -> Result<Verified, Error> {
        self.with_parts(|parts| {
            let authentication = match &self.body {
                Some(body) => parse_with_body(parts, Sha256::digest(body).into())?,
                None => parse(parts)?,
            };
            let Authentication::Signed(signed) = authentication else {
                return Err(Error::new("AccessDenied", "anonymous"));
            };
            if *signed.access_key != *self.access_key {
                return Err(Error::new("InvalidAccessKeyId", "unknown"));
            }
            verify(&signed, parts, self.secret, &self.expected)
        })
    }

    pub(super) fn with_parts<T>(&self, body: impl FnOnce(&RequestParts<'_>) -> T) -> T {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        body(&RequestParts {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
        })
    }

    /// The same with another value, or without the header.
    pub(super) fn with(&self, name: &str, value: Option<&str>) -> Self {
        let mut changed = self.clone();
        changed.headers.retain(|(held, _)| held != name);
        changed.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        changed
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(held, _)| held == name).map_or("", |(_, value)| value)
    }

    /// Asserts that the request is verified, and no neighbour of it: each character of each part replaced, each header
    /// dropped, repeated and added, the body changed, another time, place or secret.
    pub(super) fn assert_only_this(&self, name: &str) {
        assert_eq!(self.check().err(), None, "{name}");
        let refused = |what: &str, changed: &Self| {
            assert!(changed.check().is_err(), "{name}: accepted with another {what}: {changed:?}");
        };
        for method in replaced(&self.method) {
            refused("method", &Self { method, ..self.clone() });
        }
        for path in replaced(&self.path).into_iter().chain([format!("{}/", self.path)]) {
            refused("path", &Self { path, ..self.clone() });
        }
        let longer = [format!("{}&a", self.query), format!("{}&x-amz-acl=public-read", self.query)];
        for query in replaced(&self.query).into_iter().chain(longer) {
            refused("query", &Self { query, ..self.clone() });
        }
        for (at, (header, value)) in self.headers.iter().enumerate() {
            for value in replaced(value).into_iter().chain([format!("{value}a")]) {
                let mut changed = self.clone();
                changed.headers[at].1 = value;
                refused(header, &changed);
            }
            let mut changed = self.clone();
            changed.headers.remove(at);
            refused(&format!("{header} dropped"), &changed);
            let mut changed = self.clone();
            changed.headers.insert(at, (header.clone(), value.clone()));
            refused(&format!("{header} repeated"), &changed);
        }
        for added in ["x-amz-acl", "X-Amz-Copy-Source", "x-amz-meta-a", "x-amz-security-token"] {
            refused(added, &self.with(added, Some("a")));
        }
        if let Some(body) = &self.body {
            refused("body", &Self { body: Some([body, &b"a"[..]].concat()), ..self.clone() });
        }
        let expected = Expected { region: Some("eu-west-1"), ..self.expected };
        refused("region", &Self { expected, ..self.clone() });
        let expected = Expected { service: "iam", ..self.expected };
        refused("service", &Self { expected, ..self.clone() });
        let expected = Expected { now_seconds: self.expected.now_seconds - 901, ..self.expected };
        refused("earlier time", &Self { expected, ..self.clone() });
        let expected =
            Expected { now_seconds: self.expected.now_seconds + 604_801, ..self.expected };
        refused("later time", &Self { expected, ..self.clone() });
        refused(
            "secret",
            &Self { secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY-", ..self.clone() },
        );
    }
}

/// Every text that differs from `text` in one character, that one replaced by its neighbour of the same class.
fn replaced(text: &str) -> Vec<String> {
    let neighbour = |character: char| match character {
        '9' => '0',
        'z' => 'a',
        'Z' => 'A',
        '0'..='8' | 'a'..='y' | 'A'..='Y' => char::from(u8::try_from(character).unwrap() + 1),
        _ => 'q',
    };
    text.char_indices()
        .map(|(at, character)| {
            let (before, after) = (&text[..at], &text[at + character.len_utf8()..]);
            format!("{before}{}{after}", neighbour(character))
        })
        .collect()
}
