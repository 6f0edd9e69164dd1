//! The seam between a connection and its transport: bytes in order, owned buffers out, half-close.

use bytes::{Bytes, BytesMut};

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer is gone, or the transport failed: nothing more can be sent.
    #[error("the connection ended: {0}")]
    Closed(String),
    /// TLS refused the peer or its bytes.
    #[error("tls: {0}")]
    Tls(String),
}

/// One connection.
#[expect(async_fn_in_trait, reason = "a shard is one thread; its futures are never Send")]
pub trait Stream: 'static {
    /// The peer's address, for logs and limits.
    fn peer(&self) -> String;
    /// Appends what has arrived to `target`, at most `length_max` bytes; 0 is the peer's end of stream.
    ///
    /// Cancel-safe: a dropped read loses no bytes.
    async fn read(&mut self, target: &mut BytesMut, length_max: usize) -> Result<usize, Error>;
    /// Writes all parts, in order, in as few system calls as the transport allows.
    async fn write(&mut self, parts: Vec<Bytes>) -> Result<(), Error>;
    /// Ends the sending half.
    async fn shutdown(&mut self) -> Result<(), Error>;
}
