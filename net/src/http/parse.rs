//! Finds and reads the head of a request, strictly.
//!
//! httparse does the byte work but is lenient where S3's front doors are not: it takes a bare LF for a line end and any
//! bytes for a target. So lines are checked here first ([`find_end`]), and what it found is checked after. The answer
//! depends only on the bytes, never on how they arrived: feeding them one by one refuses and accepts the same.

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};

use super::fields::{Field, Fields, Span, is_token_byte};
use super::framing::Framing;
use super::head::Head;
use super::limits::{HEAD_BYTES_CEILING, HEADER_COUNT_CEILING, Limits};
use super::refusal::Refusal;

/// Takes the next request's head off `buffer`; `None` if it isn't all there yet.
///
/// Exactly the head is taken: the body, or the next request of a pipeline, stays in `buffer`. After a refusal the buffer's
/// content means nothing: answer, then close.
pub fn parse_head(buffer: &mut BytesMut, limits: &Limits) -> Result<Option<Head>, Refusal> {
    skip_empty_lines(buffer);
    let window_bytes_max = limits.head_bytes_max.min(HEAD_BYTES_CEILING);
    let window = &buffer[..buffer.len().min(window_bytes_max)];
    check_first_byte(window)?;
    let Some(length) = find_end(window)? else {
        if window.len() < window_bytes_max {
            return Ok(None);
        }
        return Err(Refusal::head_too_large(format!(
            "The request line and headers are longer than {window_bytes_max} bytes."
        )));
    };
    read_head(buffer.split_to(length), limits).map(Some)
}

/// Finds where the head ends, and refuses what no line of it may be.
pub(super) fn find_end(window: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut line_start = 0;
    for line_end in memchr::memchr_iter(b'\n', window) {
        if line_end == line_start || window[line_end - 1] != b'\r' {
            return Err(Refusal::malformed("A line of the request head ends with a bare LF."));
        }
        if line_end == line_start + 1 {
            return Ok(Some(line_end + 1));
        }
        line_start = line_end + 1;
        if let Some(b' ' | b'\t') = window.get(line_start) {
            // RFC 9112, 5.2: a server must reject obs-fold or unfold it; readers differ.
            return Err(Refusal::malformed("A header is folded over several lines."));
        }
    }
    Ok(None)
}

/// Splits a head's fields into spans.
pub(super) fn spans(found: &[httparse::Header<'_>], head: &[u8]) -> Vec<Field> {
    let span = |part: &[u8]| Span::of(part, head);
    found
        .iter()
        .map(|header| Field { name: span(header.name.as_bytes()), value: span(header.value) })
        .collect()
}

/// Makes a head's names lower-case and its bytes immutable.
pub(super) fn freeze(mut head: BytesMut, list: Vec<Field>) -> Fields {
    for field in &list {
        head[field.name.range()].make_ascii_lowercase();
    }
    Fields::new(head.freeze(), list)
}

/// Says what httparse found wrong.
pub(super) fn explain(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::HeaderName => Refusal::malformed(
            "A header name is empty, has a character that it may not have, or a space before its colon.",
        ),
        httparse::Error::HeaderValue => {
            Refusal::malformed("A header value has a control character or a bare CR.")
        }
        httparse::Error::TooManyHeaders => {
            Refusal::head_too_large("The request has more headers than are accepted.")
        }
        httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token
        | httparse::Error::Version => Refusal::malformed("The first line is not one of HTTP/1.1."),
    }
}

/// RFC 9112, 2.2: empty lines before a request are ignored.
fn skip_empty_lines(buffer: &mut BytesMut) {
    while buffer.starts_with(b"\r\n") {
        buffer.advance(2);
    }
}

/// Refuses at once what would otherwise be waited for in vain, such as TLS on a plain port.
fn check_first_byte(window: &[u8]) -> Result<(), Refusal> {
    match window {
        [] | [b'\r'] => Ok(()),
        [first, ..] if is_token_byte(*first) => Ok(()),
        _ => Err(Refusal::malformed("The first byte is not one of an HTTP request.")),
    }
}

fn read_head(head: BytesMut, limits: &Limits) -> Result<Head, Refusal> {
    if std::str::from_utf8(&head).is_err() {
        return Err(Refusal::malformed("The request head is not UTF-8."));
    }
    let mut slots = [const { MaybeUninit::uninit() }; HEADER_COUNT_CEILING];
    let slots = &mut slots[..limits.header_count_max.min(HEADER_COUNT_CEILING)];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(&head, slots) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(Refusal::malformed("The request head doesn't end where it seems to.")),
        Err(error) => return Err(explain_first_line(error, &head)),
    }
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return Err(Refusal::malformed("The first line is not one of HTTP/1.1."));
    };
    if request.version != Some(1) {
        return Err(Refusal::version("Only HTTP/1.1 is spoken here."));
    }
    check_target(target)?;
    let (method, target) = (Span::of(method.as_bytes(), &head), Span::of(target.as_bytes(), &head));
    let list = spans(request.headers, &head);
    let fields = freeze(head, list);
    let framing = Framing::of_request(fields.iter())?;
    Ok(Head::new(method, target, fields, framing))
}

/// Tells another version of HTTP from a line that isn't HTTP.
fn explain_first_line(error: httparse::Error, head: &[u8]) -> Refusal {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (_method, target) = (words.next(), words.next().unwrap_or_default());
    let other_version = match (words.next(), words.next()) {
        (None, None) => target.starts_with(b"/"), // HTTP/0.9 had no version
        (Some(word), None) => word.starts_with(b"HTTP/") && word != b"HTTP/1.1",
        (_, Some(_)) => false,
    };
    let of_first_line = matches!(error, httparse::Error::Version | httparse::Error::Token);
    if of_first_line && other_version {
        return Refusal::version("Only HTTP/1.1 is spoken here.");
    }
    explain(error)
}

/// RFC 9112, 3.2: only the origin form. The absolute form names a second host, the others ask for no object.
fn check_target(target: &str) -> Result<(), Refusal> {
    if !target.starts_with('/') {
        return Err(Refusal::uri("The request target must be a path that starts with a slash."));
    }
    if target.contains('#') {
        return Err(Refusal::uri(
            "The request target has a fragment; a number sign in a key is written %23.",
        ));
    }
    Ok(())
}
