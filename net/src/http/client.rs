//! The client's side: request heads out, response heads in. For what the node asks of others, the load generator, the tests and
//! the simulation.

use std::fmt;
use std::mem::MaybeUninit;

use bytes::{BufMut, Bytes, BytesMut};

use super::fields::{Fields, is_token_byte};
use super::framing::{BodyLength, content_length, has_token};
use super::head::Method;
use super::limits::{HEAD_BYTES_CEILING, HEADER_COUNT_CEILING};
use super::parse::{explain, find_end, freeze, spans};
use super::refusal::Refusal;
use super::response::{body_allowed, put_field};

/// The head of a request under construction. Give it a `host` header and, with a body, `content-length` or
/// `transfer-encoding`.
#[derive(Clone, Debug)]
pub struct RequestHead {
    text: BytesMut,
}

impl RequestHead {
    /// A request. The target is a path, encoded, perhaps with a query.
    pub fn new(method: &str, target: &str) -> Self {
        assert!(!method.is_empty() && method.bytes().all(is_token_byte), "{method:?} is no method");
        let graphic = target.bytes().all(|byte| byte > b' ' && byte != 0x7f);
        assert!(target.starts_with('/') && graphic, "{target:?} is no encoded path");
        let mut text = BytesMut::with_capacity(1024);
        text.put_slice(method.as_bytes());
        text.put_u8(b' ');
        text.put_slice(target.as_bytes());
        text.put_slice(b" HTTP/1.1\r\n");
        Self { text }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        put_field(&mut self.text, name, value);
        self
    }

    /// The bytes of the head, with its empty line.
    pub fn encode(mut self) -> Bytes {
        self.text.put_slice(b"\r\n");
        self.text.freeze()
    }
}

/// The head of a response, read.
#[derive(Clone)]
pub struct Response {
    /// The status: 100 to 599.
    pub status: u16,
    fields: Fields,
    body: BodyLength,
    lasts: bool,
    keep_alive: bool,
}

/// Whose responses are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// A server as this one.
    Anode,
    /// Any server: it may speak HTTP/1.0, and end a body by closing the connection.
    Anybody,
}

impl Response {
    /// The first value of a header, in any case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.values(name).next()
    }

    /// All headers in their order, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter()
    }

    /// How the body is delimited: [`BodyLength::None`] where the method or the status has none.
    pub fn body_length(&self) -> BodyLength {
        self.body
    }

    /// Does the body last until the connection ends? Then [`Self::body_length`] is none.
    pub fn lasts_until_closed(&self) -> bool {
        self.lasts
    }

    /// May another request be sent on this connection?
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers().collect();
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

/// Takes the head of a response to `method` off `buffer`; `None` if it isn't all there yet. As strict as the server's side.
pub fn parse_response(buffer: &mut BytesMut, method: Method) -> Result<Option<Response>, Refusal> {
    parse(buffer, method, From::Anode)
}

/// As [`parse_response`], for servers that may be older: theirs may be HTTP/1.0, and need not say where the body ends.
pub fn parse_any_response(
    buffer: &mut BytesMut,
    method: Method,
) -> Result<Option<Response>, Refusal> {
    parse(buffer, method, From::Anybody)
}

fn parse(buffer: &mut BytesMut, method: Method, from: From) -> Result<Option<Response>, Refusal> {
    let window = &buffer[..buffer.len().min(HEAD_BYTES_CEILING)];
    let Some(length) = find_end(window)? else {
        if window.len() < HEAD_BYTES_CEILING {
            return Ok(None);
        }
        return Err(Refusal::head_too_large("The response head is too long."));
    };
    let head = buffer.split_to(length);
    if std::str::from_utf8(&head).is_err() {
        return Err(Refusal::malformed("The response head is not UTF-8."));
    }
    let mut slots = [const { MaybeUninit::uninit() }; HEADER_COUNT_CEILING];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    config.parse_response_with_uninit_headers(&mut response, &head, &mut slots).map_err(explain)?;
    let (Some(status @ 100..600), Some(version)) = (response.code, response.version) else {
        return Err(Refusal::malformed("The first line is not one of an HTTP response."));
    };
    if version != 1 && from == From::Anode {
        return Err(Refusal::malformed("The first line is not one of an HTTP/1.1 response."));
    }
    let list = spans(response.headers, &head);
    let fields = freeze(head, list);
    // RFC 9112, 6.3: a body that nothing limits lasts until the connection closes. Anode never sends one.
    let lasts = from == From::Anybody
        && body_allowed(method, status)
        && fields.values("content-length").next().is_none()
        && fields.values("transfer-encoding").next().is_none();
    let asks_to_close = fields.values("connection").any(|value| has_token(value, "close"));
    let keep_alive = version == 1 && !lasts && !asks_to_close;
    let body = if lasts { BodyLength::None } else { response_length(&fields, method, status)? };
    Ok(Some(Response { status, fields, body, lasts, keep_alive }))
}

/// RFC 9112, 6.3.
fn response_length(fields: &Fields, method: Method, status: u16) -> Result<BodyLength, Refusal> {
    if !body_allowed(method, status) {
        return Ok(BodyLength::None);
    }
    let mut lengths = fields.values("content-length");
    let mut codings = fields.values("transfer-encoding");
    match (lengths.next(), lengths.next(), codings.next(), codings.next()) {
        (Some(length), None, None, None) => content_length(length).map(BodyLength::Length),
        (None, None, Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => {
            Ok(BodyLength::Chunked)
        }
        _ => Err(Refusal::malformed("The response doesn't say, or not clearly, where it ends.")),
    }
}
