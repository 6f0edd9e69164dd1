//! HTTP/1.1, read strictly and written simply: bytes in, what they mean out; no I/O, no clock.
//!
//! The strategy: a request that two programs could read in two ways is refused and its connection closed (RFC 9112,
//! section 11.2, request smuggling), so everything past this module sees one meaning only. A head is parsed in place: its
//! bytes are split off the read buffer, frozen, and every header is a slice of them. What follows the head stays in the
//! buffer: the body, or the next request of a pipeline. Bodies are handed out as slices of the buffer too.

pub mod limits;
mod refusal;
mod fields;
mod head;
mod parse;
mod framing;
mod body;
mod chunk;
mod response;
pub mod target;
pub mod range;
mod form;
pub mod date;
pub mod client;

pub use body::{BodyDecoder, Decoded};
pub use chunk::{CHUNKS_END, chunk};
pub use form::{
    FileDecoded, FileDecoder, FormDecoded, FormDecoder, FormError, FormField, FormFile,
};
pub use framing::BodyLength;
pub use head::{Head, Method};
pub use limits::Limits;
pub use parse::parse_head;
pub use refusal::Refusal;
pub use response::{CONTINUE, ResponseHead, Stamp, body_allowed, reason};

#[cfg(test)]
mod tests;
