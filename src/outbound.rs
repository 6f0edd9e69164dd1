//! Requests to other servers: HTTP/1.1 over the host's connections, in the clear or by TLS.
//!
//! - One deadline bounds a whole exchange, from the look-up of the name to the last byte of the body. Heads and bodies that
//!   are too long are errors.
//! - A connection is kept for the next request to the same server. One that the server had closed meanwhile is replaced once,
//!   where nothing of a response came: so a request may arrive twice, and its sender must bear that.
//! - Redirects aren't followed: whoever was asked is who answers.

mod trust;
mod url;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anode_net::{
    Stream as _,
    http::{
        self, BodyDecoder, Decoded,
        client::{RequestHead, Response, parse_any_response},
    },
    tls::TlsStream,
};
use bytes::{Bytes, BytesMut};
use rustls::ClientConfig;

pub use trust::read_trust;
pub use url::Url;

use crate::{
    host::{Host, within},
    limits,
    transport::Transport,
};

/// What is done with what a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// It is read.
    Get,
    /// Something is handed to it.
    Post,
}

/// What is asked of a server.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// Headers beside those of the connection and of the body's length.
    pub headers: &'a [(&'a str, &'a str)],
    /// What is sent with it.
    pub body: &'a Bytes,
}

/// What a server answered.
#[derive(Debug)]
pub struct Reply {
    /// Status and headers.
    pub head: Response,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer. Nothing here tells a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name of the server can't be looked up.
    #[error("the name {name} can't be looked up: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        reason: String,
    },
    /// No connection could be made.
    #[error("no connection: {0}")]
    Connect(String),
    /// The connection ended before anything of a response came.
    #[error("the connection ended without an answer: {0}")]
    Unanswered(String),
    /// What came is no response, or not a whole one.
    #[error("the answer can't be read: {0}")]
    Unreadable(String),
    /// It took too long.
    #[error("no whole answer within {} s", limits::OUTBOUND_WAIT.as_secs())]
    TooSlow,
}

/// Asks one server, one request after another.
pub struct Client<H: Host> {
    host: H,
    url: Url,
    trust: Option<Arc<ClientConfig>>,
    kept: Option<Connection<H>>,
}

struct Connection<H: Host> {
    stream: Transport<H::Stream>,
    buffer: BytesMut,
}

impl<H: Host> std::fmt::Debug for Client<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.url)
    }
}

impl<H: Host> Client<H> {
    /// A client of the server of `url`, whose path and query it asks for; `trust` is what a server by HTTPS is proven by.
    pub fn new(host: &H, url: Url, trust: Option<Arc<ClientConfig>>) -> Self {
        Self { host: host.clone(), url, trust, kept: None }
    }

    /// Sends a request and waits for the whole answer, whatever its status is.
    pub async fn send(&mut self, request: &Request<'_>) -> Result<Reply, Error> {
        let host = self.host.clone();
        let exchanged = within(&host, limits::OUTBOUND_WAIT, self.exchange(request)).await;
        exchanged.unwrap_or(Err(Error::TooSlow))
    }

    async fn exchange(&mut self, request: &Request<'_>) -> Result<Reply, Error> {
        let head = self.head(request);
        if let Some(kept) = self.kept.take() {
            match self.over(kept, (&head, request)).await {
                Err(Error::Unanswered(_)) => {}
                answered => return answered,
            }
        }
        // Boxed, for else every request would keep room for a handshake.
        let connection = Box::pin(self.open()).await?;
        self.over(connection, (&head, request)).await
    }

    fn head(&self, request: &Request<'_>) -> Bytes {
        let method = match request.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let mut head = RequestHead::new(method, self.url.target())
            .header("Host", &self.url.authority())
            .header("User-Agent", concat!("Anode/", env!("CARGO_PKG_VERSION")))
            .header("Accept", "*/*");
        for (name, value) in request.headers {
            head = head.header(name, value);
        }
        head.header("Content-Length", &request.body.len().to_string()).encode()
    }

    async fn open(&self) -> Result<Connection<H>, Error> {
        let stream = self.connect().await?;
        let buffer = BytesMut::new();
        if !self.url.is_https() {
            return Ok(Connection { stream: Transport::Plain(stream), buffer });
        }
        let trust = self.trust.clone();
        let trust =
            trust.ok_or_else(|| Error::Connect("no certificates are trusted".to_owned()))?;
        let stream = TlsStream::connect(stream, trust, self.url.host()).await;
        let stream = stream.map_err(|error| Error::Connect(error.to_string()))?;
        Ok(Connection { stream: Transport::Tls(Box::new(stream)), buffer })
    }

    /// Connects to the first address of the server that lets it.
    async fn connect(&self) -> Result<H::Stream, Error> {
        let name = self.url.host();
        let unknown = |reason: String| Error::Name { name: name.to_owned(), reason };
        let addresses: Vec<SocketAddr> = match self.url.address() {
            Some(address) => vec![address],
            None => self
                .host
                .resolve(name, self.url.port())
                .await
                .map_err(|error| unknown(error.to_string()))?,
        };
        let mut failed = unknown("it has no address".to_owned());
        for address in addresses.into_iter().take(limits::OUTBOUND_ADDRESS_COUNT_MAX) {
            let connecting = self.host.connect(address);
            match within(&self.host, limits::OUTBOUND_CONNECT_WAIT, connecting).await {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => failed = Error::Connect(error.to_string()),
                None => failed = Error::Connect(format!("{address} doesn't answer")),
            }
        }
        Err(failed)
    }

    /// One exchange over a connection, which is kept if it can be.
    async fn over(
        &mut self,
        mut connection: Connection<H>,
        (head, request): (&Bytes, &Request<'_>),
    ) -> Result<Reply, Error> {
        let unanswered = |error: anode_net::stream::Error| Error::Unanswered(error.to_string());
        let parts = vec![head.clone(), request.body.clone()];
        connection.stream.write(parts).await.map_err(unanswered)?;
        let method = match request.method {
            Method::Get => http::Method::Get,
            Method::Post => http::Method::Post,
        };
        let head = connection.head(method).await?;
        let body = connection.body(&head).await?;
        if head.keep_alive() && connection.buffer.is_empty() {
            self.kept = Some(connection);
        }
        Ok(Reply { head, body })
    }
}

impl<H: Host> Connection<H> {
    /// The head of the response; interim ones are passed over.
    async fn head(&mut self, method: http::Method) -> Result<Response, Error> {
        let mut is_begun = false;
        for _ in 0..limits::OUTBOUND_INTERIM_COUNT_MAX {
            let head = loop {
                match parse_any_response(&mut self.buffer, method) {
                    Ok(Some(head)) => break head,
                    Ok(None) => {}
                    Err(refusal) => return Err(Error::Unreadable(refusal.message)),
                }
                self.fill(is_begun || !self.buffer.is_empty()).await?;
            };
            if head.status >= 200 {
                return Ok(head);
            }
            is_begun = true;
        }
        Err(Error::Unreadable("there is no end of interim answers".to_owned()))
    }

    async fn body(&mut self, head: &Response) -> Result<Bytes, Error> {
        let mut body = BytesMut::new();
        if head.lasts_until_closed() {
            loop {
                body.extend_from_slice(&self.buffer.split());
                check_length(&body)?;
                // Who cuts it short can't be told from who ends it: nothing may hang on its last bytes.
                if self.fill(true).await.is_err() {
                    return Ok(body.freeze());
                }
            }
        }
        let mut decoder = BodyDecoder::new(head.body_length());
        loop {
            match decoder.decode(&mut self.buffer) {
                Ok(Decoded::Data(data)) => body.extend_from_slice(&data),
                Ok(Decoded::NeedMore) => self.fill(true).await?,
                Ok(Decoded::End) => return Ok(body.freeze()),
                Err(refusal) => return Err(Error::Unreadable(refusal.message)),
            }
            check_length(&body)?;
        }
    }

    async fn fill(&mut self, is_begun: bool) -> Result<(), Error> {
        let read = self.stream.read(&mut self.buffer, limits::READ_BYTES).await;
        let ended = match read {
            Ok(0) => "it was closed".to_owned(),
            Ok(_) => return Ok(()),
            Err(error) => error.to_string(),
        };
        Err(if is_begun { Error::Unreadable(ended) } else { Error::Unanswered(ended) })
    }
}

fn check_length(body: &BytesMut) -> Result<(), Error> {
    if body.len() > limits::OUTBOUND_BODY_BYTES_MAX {
        return Err(Error::Unreadable("the body is too long".to_owned()));
    }
    Ok(())
}

const _: () = assert!(
    limits::OUTBOUND_CONNECT_WAIT.as_millis() < limits::OUTBOUND_WAIT.as_millis(),
    "one address that doesn't answer leaves time for another"
);

/// How long to wait before a request that failed is sent again: twice as long each time, up to a limit, and not at the same
/// moment as others.
pub fn backoff(failed_count: u32, random: u64) -> Duration {
    let doubled = limits::OUTBOUND_RETRY_MIN.saturating_mul(1 << failed_count.min(16));
    let whole = doubled.min(limits::OUTBOUND_RETRY_MAX);
    // Between a half and the whole of it.
    let share = u32::try_from(random % 1024).unwrap_or_default();
    whole / 2 + whole / 2 * share / 1024
}

#[cfg(test)]
mod tests;
