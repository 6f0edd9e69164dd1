//! AWS Signature Version 4 as S3 speaks it: who signed a request, whether they did, and the body framing it chose.
//!
//! The order for a server: [`parse()`] the head (no secret needed), look the access key's secret up, [`KeyCache::verify`]
//! (or [`verify()`]), then read the body as its [`PayloadMode`] says: [`BodyCheck`] for a plain body, [`ChunkDecoder`] for
//! `aws-chunked`. For clients: [`Signer`] and [`ChunkEncoder`].
//!
//! Invariants:
//! - Every `x-amz-*` header and `host` is signed, in presigned URLs too: nobody can add to a signed request.
//! - A payload mode that is not known is refused, so chunk framing is never stored as an object's bytes.
//! - Signatures are compared in constant time; no `Debug` and no `Display` shows a secret, a signature or a token.
//! - Time is an argument.

mod canonical;
mod chunk;
mod encoding;
mod error;
mod form;
mod key;
mod names;
mod parse;
mod payload;
mod sign;
#[cfg(test)]
mod tests;
mod timestamp;
mod verify;

pub use chunk::{ChunkDecoder, ChunkEncoder, Decoded};
pub use error::Error;
pub use form::{FormSignature, missing_field, parse_form, verify_form};
pub use key::{KeyCache, Scope, SigningKey};
pub use names::HeaderNames;
pub use parse::{Authentication, Signed, parse, parse_with_body};
pub use payload::{BodyCheck, PayloadMode};
pub use sign::{SignedHead, Signer};
pub use timestamp::Timestamp;
pub use verify::{Expected, Verified, verify};

/// The only algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far a request's time may be from the server's.
pub const CLOCK_SKEW_SECONDS_MAX: i64 = 15 * 60;
/// The longest life of a presigned URL: seven days.
pub const PRESIGNED_SECONDS_MAX: i64 = 7 * 24 * 60 * 60;

/// The parts of a request's head that a signature covers.
#[derive(Clone, Copy)]
pub struct RequestParts<'a> {
    /// As on the request line: `GET`, ...
    pub method: &'a str,
    /// The raw path, not decoded, without the query; an empty one counts as `/`.
    pub path: &'a str,
    /// The raw query, not decoded, without the `?`; empty when there is none.
    pub query: &'a str,
    /// All headers in the order they came, repeated ones repeated; names are compared in any case.
    pub headers: &'a [(&'a str, &'a str)],
}

impl<'a> RequestParts<'a> {
    /// The value, without surrounding white space, of a header that may be sent once.
    fn single(&self, name: &str) -> Result<Option<&'a str>, Error> {
        let mut values = self.values(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Error::new(
                "InvalidRequest",
                format!("The header {name} was sent more than once."),
            ));
        }
        Ok(first.map(|value| value.trim_matches([' ', '\t'])))
    }

    /// The values of a header, as sent.
    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }
}

impl std::fmt::Debug for RequestParts<'_> {
    /// Only what is no credential.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestParts")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
