//! The `aws-chunked` body: framing inside the HTTP body, with signatures that chain from the request's own.
//!
//! ```text
//! size in hex [;chunk-signature=64 hex] CRLF  data CRLF     any number of times, 8 KiB at least but the last
//! 0 [;chunk-signature=64 hex] CRLF                          the end of the data
//! name:value CRLF                                           announced trailers, in the trailer modes
//! x-amz-trailer-signature:64 hex CRLF                       where trailers are signed
//! CRLF
//! ```

mod chain;
mod decoder;
mod encoder;
#[cfg(test)]
mod tests;

pub use decoder::{ChunkDecoder, Decoded};
pub use encoder::ChunkEncoder;
