//! The head of a request: what [`parse_head`](super::parse_head) returns.

use std::fmt;

use bytes::Bytes;

use super::fields::{Fields, Span};
use super::framing::{BodyLength, Framing};

/// The methods that S3 uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `PUT`
    Put,
    /// `POST`
    Post,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// Any other token: [`Head::method_name`] has it.
    Other,
}

impl Method {
    /// The method of that name; names are case-sensitive.
    pub fn from_name(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "PUT" => Self::Put,
            "POST" => Self::Post,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

/// The head of a request. Cheap to clone; it holds the head's bytes and nothing of the body.
#[derive(Clone)]
pub struct Head {
    /// What is asked for.
    pub method: Method,
    /// The request target as it came: starts with `/`, may have a query, not decoded.
    pub target: Bytes,
    method_name: Span,
    query_start: Option<usize>,
    fields: Fields,
    framing: Framing,
}

impl Head {
    /// A head whose spans lie in `fields`.
    pub(super) fn new(method: Span, target: Span, fields: Fields, framing: Framing) -> Self {
        let target = fields.bytes().slice(target.range());
        Self {
            method: Method::from_name(fields.text(method)),
            query_start: memchr::memchr(b'?', &target),
            target,
            method_name: method,
            fields,
            framing,
        }
    }

    /// The method as it came.
    pub fn method_name(&self) -> &str {
        self.fields.text(self.method_name)
    }

    /// The path, not decoded: what comes before the first `?`.
    pub fn path(&self) -> &str {
        text(&self.target[..self.query_start.unwrap_or(self.target.len())])
    }

    /// The query, not decoded: what comes after the first `?`, if there is one.
    pub fn query(&self) -> Option<&str> {
        self.query_start.map(|start| text(&self.target[start + 1..]))
    }

    /// The first value of a header, in any case of its name; without the space around it, perhaps empty.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.values(name).next()
    }

    /// Every value of a header that may come several times.
    pub fn header_values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.fields.values(name)
    }

    /// All headers in their order: name in lower case, value without the space around it.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter()
    }

    /// The `Host` header: there is exactly one, and it isn't empty.
    pub fn host(&self) -> &str {
        self.header("host").expect("parse_head refuses a request without a Host")
    }

    /// How the body is delimited.
    pub fn body_length(&self) -> BodyLength {
        self.framing.body
    }

    /// Does the client want to send another request on this connection?
    pub fn keep_alive(&self) -> bool {
        self.framing.keep_alive
    }

    /// Does the client wait for `100 Continue` before it sends the body?
    pub fn expects_continue(&self) -> bool {
        self.framing.expects_continue
    }
}

/// Leaves out the headers and the query: they carry signatures.
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.method_name())
            .field("path", &self.path())
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("a head is UTF-8, checked once whole")
}
