//! TLS over any [`Stream`]: rustls does the protocol, this moves the bytes.
//!
//! - Bounded: at most [`CIPHERTEXT_BYTES_MAX`] are read ahead, at most [`PLAINTEXT_BYTES_MAX`] are encrypted ahead.
//! - A read never writes, so it stays cancel-safe: what rustls wants to say meanwhile (a key update) goes out with the next
//!   write. The exception is the alert before an error, after which the connection is dead anyway.
//! - The end of the stream is the peer's `close_notify`; an end without it is an error, because someone on the way may
//!   have cut the stream short.
//!
//! Time-outs are the caller's: it drops the future.

use std::fmt;
use std::io::{BufRead, ErrorKind, Write};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
};

use crate::stream::{Error, Stream};

/// Ciphertext that is read ahead: two records of the greatest size.
pub const CIPHERTEXT_BYTES_MAX: usize = 32 * 1024;
/// Plaintext that is encrypted before it is sent: four records.
pub const PLAINTEXT_BYTES_MAX: usize = 64 * 1024;

/// The only protocol that is spoken inside.
const ALPN: &[u8] = b"http/1.1";

/// What a listener needs, from a certificate chain (its own first) and its private key, both PEM.
pub fn server_config(cert_pem: &[u8], key_pem: &[u8]) -> Result<Arc<ServerConfig>, Error> {
    let chain = certificates(cert_pem)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem)
        .map_err(|error| Error::Tls(format!("the private key can't be read: {error}")))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| Error::Tls(format!("the certificate and key can't be used: {error}")))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Sealed tickets instead of a shared table of sessions: shards share nothing.
    config.ticketer = ring::Ticketer::new().map_err(tls)?;
    Ok(Arc::new(config))
}

/// What a client needs that trusts these certificates, PEM, and no others.
pub fn client_config(roots_pem: &[u8]) -> Result<Arc<ClientConfig>, Error> {
    client_config_beside(None, Some(roots_pem))
}

/// What a client needs that trusts the certificates of a machine's bundle, of which it takes those that it understands, and
/// these beside them, all PEM. There must be one at least.
pub fn client_config_beside(
    bundle_pem: Option<&[u8]>,
    roots_pem: Option<&[u8]>,
) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    if let Some(bundle) = bundle_pem {
        roots.add_parsable_certificates(certificates(bundle)?);
    }
    for certificate in roots_pem.map(certificates).transpose()?.unwrap_or_default() {
        roots.add(certificate).map_err(tls)?;
    }
    if roots.is_empty() {
        return Err(Error::Tls("there is no certificate to trust".to_owned()));
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// A TLS connection after its handshake.
pub struct TlsStream<S> {
    stream: S,
    connection: Connection,
    incoming: BytesMut,
    /// The sending half: what may still be done with it.
    sending: Sending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Open,
    /// A write is under way; found so by a later one, it was dropped half-way and records are torn.
    Writing,
    ShutDown,
}

impl<S: Stream> TlsStream<S> {
    /// Does the server's side of the handshake.
    pub async fn accept(stream: S, config: Arc<ServerConfig>) -> Result<Self, Error> {
        let connection = ServerConnection::new(config).map_err(tls)?;
        Self::handshake(stream, connection.into()).await
    }

    /// Does the client's side of the handshake with a server of this name.
    pub async fn connect(stream: S, config: Arc<ClientConfig>, name: &str) -> Result<Self, Error> {
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| Error::Tls(format!("{name} is no name of a server: {error}")))?;
        let connection = ClientConnection::new(config, name).map_err(tls)?;
        Self::handshake(stream, connection.into()).await
    }

    /// The protocol that both sides agreed on, if they spoke of it.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    async fn handshake(stream: S, mut connection: Connection) -> Result<Self, Error> {
        connection.set_buffer_limit(Some(PLAINTEXT_BYTES_MAX));
        let incoming = BytesMut::new();
        let mut this = Self { stream, connection, incoming, sending: Sending::Open };
        loop {
            this.flush().await?;
            if !this.connection.is_handshaking() {
                return Ok(this);
            }
            if this.incoming.is_empty() && this.receive().await? == 0 {
                return Err(Error::Closed("the peer left during the TLS handshake".to_owned()));
            }
            this.process().await?;
        }
    }

    /// Reads ciphertext; 0 is the end of the transport.
    async fn receive(&mut self) -> Result<usize, Error> {
        debug_assert!(self.incoming.is_empty(), "else it would grow past its bound");
        self.stream.read(&mut self.incoming, CIPHERTEXT_BYTES_MAX).await
    }

    /// Hands ciphertext to rustls until it has plaintext, or there is no more; tells the peer what it refuses.
    async fn process(&mut self) -> Result<(), Error> {
        let Err(error) = self.feed() else { return Ok(()) };
        // The alert is a courtesy: the error that caused it is what counts.
        let _alert_sent = self.flush().await;
        Err(error)
    }

    fn feed(&mut self) -> Result<(), Error> {
        while !self.incoming.is_empty() {
            let taken = self.connection.read_tls(&mut &self.incoming[..]).map_err(tls)?;
            if taken == 0 {
                self.incoming.clear(); // what follows close_notify means nothing
                return Ok(());
            }
            self.incoming.advance(taken);
            let state = self.connection.process_new_packets().map_err(tls)?;
            if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Moves decrypted bytes to `target`: `None` if there are none yet, 0 after the peer's `close_notify`.
    fn take_plaintext(
        &mut self,
        target: &mut BytesMut,
        length_max: usize,
    ) -> Result<Option<usize>, Error> {
        let mut reader = self.connection.reader();
        let plaintext = match reader.fill_buf() {
            Ok(plaintext) => plaintext,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(tls(error)),
        };
        let length = plaintext.len().min(length_max);
        target.extend_from_slice(&plaintext[..length]);
        reader.consume(length);
        Ok(Some(length))
    }

    /// Sends what rustls has to send.
    async fn flush(&mut self) -> Result<(), Error> {
        if !self.connection.wants_write() {
            return Ok(());
        }
        if self.sending == Sending::Writing {
            return Err(Error::Closed("an earlier write was abandoned half-way".to_owned()));
        }
        let mut records = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut records).map_err(tls)?;
        }
        let before = self.sending;
        self.sending = Sending::Writing;
        self.stream.write(vec![Bytes::from(records)]).await?;
        self.sending = before;
        Ok(())
    }
}

impl<S: Stream> Stream for TlsStream<S> {
    fn peer(&self) -> String {
        self.stream.peer()
    }

    async fn read(&mut self, target: &mut BytesMut, length_max: usize) -> Result<usize, Error> {
        if length_max == 0 {
            return Ok(0);
        }
        loop {
            if let Some(length) = self.take_plaintext(target, length_max)? {
                return Ok(length);
            }
            if self.incoming.is_empty() && self.receive().await? == 0 {
                return Err(Error::Closed("the peer left without a TLS close_notify".to_owned()));
            }
            self.process().await?;
        }
    }

    async fn write(&mut self, parts: Vec<Bytes>) -> Result<(), Error> {
        if self.sending == Sending::ShutDown {
            return Err(Error::Closed("the sending half was shut down".to_owned()));
        }
        for mut part in parts {
            while !part.is_empty() {
                let taken = self.connection.writer().write(&part).map_err(tls)?;
                part.advance(taken);
                if taken == 0 && !self.connection.wants_write() {
                    return Err(Error::Closed("TLS takes no more on this connection".to_owned()));
                }
                if !part.is_empty() {
                    self.flush().await?; // the bound is reached: make room
                }
            }
        }
        self.flush().await
    }

    async fn shutdown(&mut self) -> Result<(), Error> {
        if self.sending == Sending::Open {
            self.connection.send_close_notify();
            self.flush().await?;
            self.sending = Sending::ShutDown;
        }
        self.stream.shutdown().await
    }
}

impl<S> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("sending", &self.sending).finish_non_exhaustive()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let list = list.map_err(|error| Error::Tls(format!("a certificate can't be read: {error}")))?;
    if list.is_empty() {
        return Err(Error::Tls("there is no certificate in the PEM file".to_owned()));
    }
    Ok(list)
}

fn tls(error: impl fmt::Display) -> Error {
    Error::Tls(error.to_string())
}

#[cfg(test)]
mod tests;
