//! The head of a response, written straight into the bytes that are sent.
//!
//! Invariants: every response says where it ends (RFC 9112, section 6.3), and no value can start a new line: a control
//! character in a value becomes a space, as RFC 9110, section 5.5, has it, and a byte that can't be in a name becomes `_`.

use bytes::{BufMut, Bytes, BytesMut};

use super::fields::{is_token_byte, is_value_byte};
use super::head::Method;

/// The interim response to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Does a response with this status to this method have a body? To HEAD, 1xx, 204 and 304 it never has one.
pub fn body_allowed(method: Method, status: u16) -> bool {
    method != Method::Head && status_allows_body(status)
}

/// What every response carries.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// `x-amz-request-id`
    pub request_id: &'a str,
    /// `x-amz-id-2`
    pub host_id: &'a str,
    /// `Date`, as [`date::format_http`](super::date::format_http) writes it.
    pub date: &'a str,
}

/// The head of a response under construction.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    status: u16,
    text: BytesMut,
    length: Length,
    closes: bool,
}

#[derive(Clone, Copy, Debug)]
enum Length {
    Bytes(u64),
    Chunked,
}

impl ResponseHead {
    /// A response with this status, 100 to 599, and no body.
    pub fn new(status: u16) -> Self {
        assert!((100..600).contains(&status), "{status} is not an HTTP status");
        let mut text = BytesMut::with_capacity(512);
        text.put_slice(b"HTTP/1.1 ");
        put_number(&mut text, u64::from(status));
        text.put_u8(b' ');
        text.put_slice(reason(status).as_bytes());
        text.put_slice(b"\r\n");
        Self { status, text, length: Length::Bytes(0), closes: false }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Adds a header. Those that this type writes itself (length, connection, stamp) are not added a second time.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if !OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            put_field(&mut self.text, name, value);
        }
        self
    }

    /// Adds a header with a number.
    #[must_use]
    pub fn number(self, name: &str, value: u64) -> Self {
        self.header(name, &value.to_string())
    }

    /// The body has this many bytes. To HEAD, what a GET would have; statuses without a body ignore it.
    #[must_use]
    pub fn length(mut self, bytes: u64) -> Self {
        self.length = Length::Bytes(bytes);
        self
    }

    /// The body's length isn't known yet: it is sent with [`chunk`](super::chunk()).
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.length = Length::Chunked;
        self
    }

    /// The connection is closed after this response.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.closes = true;
        self
    }

    /// The bytes of the head, with its empty line.
    pub fn encode(mut self, stamp: &Stamp<'_>) -> Bytes {
        let text = &mut self.text;
        put_field(text, "x-amz-request-id", stamp.request_id);
        put_field(text, "x-amz-id-2", stamp.host_id);
        put_field(text, "Date", stamp.date);
        text.put_slice(b"Server: Anode\r\n");
        if status_allows_body(self.status) {
            match self.length {
                Length::Bytes(bytes) => {
                    text.put_slice(b"Content-Length: ");
                    put_number(text, bytes);
                    text.put_slice(b"\r\n");
                }
                Length::Chunked => text.put_slice(b"Transfer-Encoding: chunked\r\n"),
            }
        }
        if self.closes {
            text.put_slice(b"Connection: close\r\n");
        }
        text.put_slice(b"\r\n");
        self.text.freeze()
    }
}

/// Writes a header so that it is one header, whatever is in it.
pub(super) fn put_field(text: &mut BytesMut, name: &str, value: &str) {
    text.reserve(name.len() + value.len() + 4);
    if name.bytes().all(is_token_byte) {
        text.put_slice(name.as_bytes());
    } else {
        text.extend(name.bytes().map(|byte| if is_token_byte(byte) { byte } else { b'_' }));
    }
    text.put_slice(b": ");
    if value.bytes().all(is_value_byte) {
        text.put_slice(value.as_bytes());
    } else {
        text.extend(value.bytes().map(|byte| if is_value_byte(byte) { byte } else { b' ' }));
    }
    text.put_slice(b"\r\n");
}

/// Written by [`ResponseHead::encode`] alone.
const OWN: [&str; 7] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "date",
    "server",
    "x-amz-request-id",
    "x-amz-id-2",
];

fn status_allows_body(status: u16) -> bool {
    status >= 200 && status != 204 && status != 304
}

fn put_number(text: &mut BytesMut, number: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    let mut left = number;
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(left % 10).expect("a digit");
        left /= 10;
        if left == 0 {
            break;
        }
    }
    text.put_slice(&digits[start..]);
}

/// The reason phrase of a status, for people only.
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}
