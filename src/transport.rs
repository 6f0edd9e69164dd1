//! What a connection's bytes travel through: the stream itself, or TLS over it.

use anode_net::{
    stream::{Error, Stream},
    tls::TlsStream,
};
use bytes::{Bytes, BytesMut};

/// A connection's stream.
pub enum Transport<S: Stream> {
    /// HTTP in the clear.
    Plain(S),
    /// HTTPS.
    Tls(Box<TlsStream<S>>),
}

impl<S: Stream> std::fmt::Debug for Transport<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transport({})", self.peer())
    }
}

impl<S: Stream> Stream for Transport<S> {
    fn peer(&self) -> String {
        match self {
            Self::Plain(stream) => stream.peer(),
            Self::Tls(stream) => stream.peer(),
        }
    }

    async fn read(&mut self, target: &mut BytesMut, length_max: usize) -> Result<usize, Error> {
        match self {
            Self::Plain(stream) => stream.read(target, length_max).await,
            Self::Tls(stream) => stream.read(target, length_max).await,
        }
    }

    async fn write(&mut self, parts: Vec<Bytes>) -> Result<(), Error> {
        match self {
            Self::Plain(stream) => stream.write(parts).await,
            Self::Tls(stream) => stream.write(parts).await,
        }
    }

    async fn shutdown(&mut self) -> Result<(), Error> {
        match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
        }
    }
}
