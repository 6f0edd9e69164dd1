//! Where a message ends, and whether another one follows: RFC 9112, sections 6 and 9, read without tolerance.

use super::fields::trim;
use super::refusal::Refusal;

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// Neither Content-Length nor Transfer-Encoding: there is no body.
    None,
    /// Content-Length, in bytes, perhaps 0.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// What the headers say about the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framing {
    pub(super) body: BodyLength,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
}

impl Framing {
    /// Reads and checks the headers of a request.
    pub(super) fn of_request<'a>(
        headers: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Refusal> {
        let mut seen = 0_u64;
        let mut framing =
            Self { body: BodyLength::None, keep_alive: true, expects_continue: false };
        for (name, value) in headers {
            if let Some(bit) = once(name) {
                if seen & bit != 0 {
                    return Err(Refusal::malformed(format!("The header {name} comes twice.")));
                }
                seen |= bit;
            }
            match name {
                "connection" => framing.keep_alive &= !has_token(value, "close"),
                "content-length" | "transfer-encoding" => {
                    if framing.body != BodyLength::None {
                        return Err(Refusal::malformed(
                            "The request has both Content-Length and Transfer-Encoding.",
                        ));
                    }
                    framing.body = body_length(name, value)?;
                }
                "expect" => framing.expects_continue = expectation(value)?,
                "host" => check_host(value)?,
                _ => {}
            }
        }
        if seen & 1 == 0 {
            return Err(Refusal::malformed("The request has no Host header."));
        }
        Ok(framing)
    }
}

/// A number of bytes: digits only, at most 64 bits.
pub(super) fn content_length(value: &str) -> Result<u64, Refusal> {
    // `parse` alone would take a plus sign.
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::malformed("Content-Length is not a number."));
    }
    value.parse().map_err(|_overflow| {
        Refusal::malformed("Content-Length is greater than any length can be.")
    })
}

/// Is `token` in a comma-separated list, in any case?
pub(super) fn has_token(list: &str, token: &str) -> bool {
    list.split(',').any(|item| trim(item).eq_ignore_ascii_case(token))
}

/// The bit of a header of which a second one would be obeyed by one reader and ignored by another. `host` has the first:
/// [`Framing`] asks for it. Those that clients do repeat (`x-amz-meta-*`, lists such as `content-encoding` and
/// `x-amz-object-attributes`) have none. A `match` compares with the few names of the same length.
fn once(name: &str) -> Option<u64> {
    let index = match name {
        "host" => 0,
        "content-length" => 1,
        "transfer-encoding" => 2,
        "expect" => 3,
        "authorization" => 4,
        "date" => 5,
        "content-type" => 6,
        "content-md5" => 7,
        "content-range" => 8,
        "range" => 9,
        "if-match" => 10,
        "if-none-match" => 11,
        "if-modified-since" => 12,
        "if-unmodified-since" => 13,
        "if-range" => 14,
        "x-amz-date" => 15,
        "x-amz-content-sha256" => 16,
        "x-amz-decoded-content-length" => 17,
        "x-amz-security-token" => 18,
        "x-amz-trailer" => 19,
        "x-amz-copy-source" => 20,
        "x-amz-copy-source-range" => 21,
        "x-amz-metadata-directive" => 22,
        "x-amz-acl" => 23,
        "origin" => 24,
        _ => return None,
    };
    Some(1 << index)
}

fn body_length(name: &str, value: &str) -> Result<BodyLength, Refusal> {
    if name == "content-length" {
        return content_length(value).map(BodyLength::Length);
    }
    // RFC 9112, 6.1: a coding that isn't understood is answered with 501. `identity` is none since RFC 7230.
    if value.eq_ignore_ascii_case("chunked") {
        return Ok(BodyLength::Chunked);
    }
    Err(Refusal::not_implemented("The only Transfer-Encoding understood here is chunked, once."))
}

fn expectation(value: &str) -> Result<bool, Refusal> {
    if value.eq_ignore_ascii_case("100-continue") {
        return Ok(true);
    }
    Err(Refusal::expectation("The only expectation understood here is 100-continue."))
}

/// RFC 9110, 7.2: `uri-host [ ":" port ]`; a byte outside it could make one name look like two.
fn check_host(value: &str) -> Result<(), Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%:[]".contains(&byte);
    if value.is_empty() || !value.bytes().all(allowed) {
        return Err(Refusal::malformed("The Host header is not the name of a host."));
    }
    Ok(())
}
