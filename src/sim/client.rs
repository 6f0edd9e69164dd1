//! An S3 client of the simulated world: real bytes, signed, over simulated connections, with one request at a time.
//!
//! It keeps its connection alive between requests, sends bodies in the ways that SDKs do (signed, unsigned,
//! `aws-chunked`), and sometimes waits for `100 Continue`.

use std::{net::SocketAddr, time::Duration};

use anode_net::{
    Stream as _,
    http::{
        BodyDecoder, BodyLength, Decoded, Method,
        client::{RequestHead, Response, parse_response},
    },
    sigv4::{ChunkEncoder, PayloadMode, RequestParts, SignedHead, Signer},
};
use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};

use super::{
    Owner, World,
    network::{Network, SimStream},
};
use crate::credentials::Credentials;

/// How long a client waits for a whole response, in virtual time.
const RESPONSE_WAIT: Duration = Duration::from_mins(1);
/// What is read from a connection at once, in bytes.
const READ_BYTES: usize = 128 << 10;
/// The chunks of an `aws-chunked` body, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: &'static str,
    /// Its path, encoded.
    pub path: String,
    /// Its query, encoded, without the question mark.
    pub query: String,
    /// More headers, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Bytes,
}

impl Request {
    /// A request without query, headers and body.
    pub fn new(method: &'static str, path: &str) -> Self {
        let path = path.to_owned();
        Self { method, path, query: String::new(), headers: Vec::new(), body: Bytes::new() }
    }

    /// The same with a query.
    #[must_use]
    pub fn query(self, query: String) -> Self {
        Self { query, ..self }
    }

    /// The same with one header more.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn body(self, body: Bytes) -> Self {
        Self { body, ..self }
    }
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head.
    pub head: Response,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// Its body as text, for documents.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Its `ETag` without quotes.
    pub fn etag(&self) -> Option<String> {
        self.head.header("etag").map(|etag| etag.trim_matches('"').to_owned())
    }
}

/// No whole response came: what was asked for may have been done or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost(pub String);

/// A client.
#[derive(Debug)]
pub struct Client {
    world: World,
    network: Network,
    address: SocketAddr,
    signer: Signer,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    stream: SimStream,
    buffer: BytesMut,
}

/// A request as it goes on the wire.
struct Outgoing {
    head: Bytes,
    body: Bytes,
    expects_continue: bool,
}

impl Client {
    /// A client of the node at `address`.
    pub fn new(
        world: &World,
        network: &Network,
        address: SocketAddr,
        credentials: &Credentials,
    ) -> Self {
        let Credentials { access_key, secret_key } = credentials;
        let signer = Signer::new(access_key.clone(), secret_key.clone(), "us-east-1");
        let (world, network) = (world.clone(), network.clone());
        Self { world, network, address, signer, connection: None }
    }

    /// Sends a request and waits for its response.
    pub async fn send(&mut self, request: &Request) -> Result<Answer, Lost> {
        let outgoing = self.encode(request);
        let connection = self.connection.take();
        let method = match request.method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "PUT" => Method::Put,
            "POST" => Method::Post,
            _ => Method::Delete,
        };
        let (world, network, address) = (&self.world, &self.network, self.address);
        let exchange = async move {
            let mut connection = match connection {
                Some(connection) => connection,
                None => Connection {
                    stream: network.connect(Owner::CLIENT, address).await.map_err(Lost::from)?,
                    buffer: BytesMut::new(),
                },
            };
            let answer = exchange(&mut connection, outgoing, method).await?;
            Ok::<_, Lost>((connection, answer))
        };
        let (exchange, wait) = (Box::pin(exchange), Box::pin(world.sleep(RESPONSE_WAIT)));
        let (connection, answer) = match futures::future::select(exchange, wait).await {
            futures::future::Either::Left((done, _)) => done?,
            futures::future::Either::Right(_) => {
                return Err(Lost(format!("no response in {} s", RESPONSE_WAIT.as_secs())));
            }
        };
        if answer.head.keep_alive() {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// Sends a request without a body over a connection of its own; nothing of the response is taken yet.
    pub async fn ask(&self, request: &Request) -> Result<SimStream, Lost> {
        let outgoing = self.encode(request);
        let mut stream =
            self.network.connect(Owner::CLIENT, self.address).await.map_err(Lost::from)?;
        stream.write(vec![outgoing.head]).await.map_err(Lost::from)?;
        Ok(stream)
    }

    fn encode(&self, request: &Request) -> Outgoing {
        let chunked = request.body.len() > 1 && self.world.below(3) == 0;
        let mode = if chunked {
            PayloadMode::Streaming
        } else if self.world.below(2) == 0 {
            PayloadMode::Signed(Sha256::digest(&request.body).into())
        } else {
            PayloadMode::Unsigned
        };
        let mut headers = vec![("host", self.address.to_string())];
        headers.extend(request.headers.iter().cloned());
        if chunked {
            headers.push(("content-encoding", "aws-chunked".to_owned()));
            headers.push(("x-amz-decoded-content-length", request.body.len().to_string()));
        }
        let signed = self.sign(request, &headers, mode);
        let body = if chunked {
            encode_chunks(mode, &signed, &request.body)
        } else {
            request.body.clone()
        };
        let target = if request.query.is_empty() {
            request.path.clone()
        } else {
            format!("{}?{}", request.path, request.query)
        };
        let mut head = RequestHead::new(request.method, &target);
        for (name, value) in headers.iter().chain(&signed.headers) {
            head = head.header(name, value);
        }
        // A body that nobody announces would be taken for the next request.
        if matches!(request.method, "PUT" | "POST") || !body.is_empty() {
            head = head.header("content-length", &body.len().to_string());
        }
        let expects_continue = !body.is_empty() && self.world.below(4) == 0;
        if expects_continue {
            head = head.header("expect", "100-continue");
        }
        Outgoing { head: head.encode(), body, expects_continue }
    }

    fn sign(
        &self,
        request: &Request,
        headers: &[(&'static str, String)],
        mode: PayloadMode,
    ) -> SignedHead {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let parts = RequestParts {
            method: request.method,
            path: &request.path,
            query: &request.query,
            headers: &headers,
        };
        let seconds =
            i64::try_from(self.world.wall_clock() / 1_000_000_000).expect("a time of now");
        self.signer.sign(&parts, mode, seconds).expect("paths and queries are encoded")
    }
}

fn encode_chunks(mode: PayloadMode, signed: &SignedHead, body: &Bytes) -> Bytes {
    let mut encoder = ChunkEncoder::new(mode, &signed.seed);
    let mut encoded = BytesMut::with_capacity(body.len() + body.len() / 256 + 256);
    for chunk in body.chunks(CHUNK_BYTES) {
        encoded.extend_from_slice(&encoder.chunk(chunk));
    }
    encoded.extend_from_slice(&encoder.end(&[]));
    encoded.freeze()
}

async fn exchange(
    connection: &mut Connection,
    outgoing: Outgoing,
    method: Method,
) -> Result<Answer, Lost> {
    let Outgoing { head, body, expects_continue } = outgoing;
    if expects_continue {
        connection.stream.write(vec![head]).await.map_err(Lost::from)?;
        let first = connection.head(method).await?;
        if first.status != 100 {
            // A refusal before the body: it's never sent, so the connection is at an end.
            return connection.answer(first).await;
        }
        connection.stream.write(vec![body]).await.map_err(Lost::from)?;
    } else {
        // A refusal may come while the body is still being sent, and the connection end with it.
        let sent = connection.stream.write(vec![head, body]).await;
        if let Err(error) = sent {
            return Err(Lost::from(error));
        }
    }
    let head = connection.head(method).await?;
    connection.answer(head).await
}

impl Connection {
    async fn head(&mut self, method: Method) -> Result<Response, Lost> {
        loop {
            let parsed = parse_response(&mut self.buffer, method);
            if let Some(head) = parsed.map_err(|refusal| Lost(refusal.message))? {
                return Ok(head);
            }
            self.fill().await?;
        }
    }

    async fn answer(&mut self, head: Response) -> Result<Answer, Lost> {
        let mut body = BytesMut::new();
        if let BodyLength::Length(length) = head.body_length() {
            body.reserve(usize::try_from(length).unwrap_or(0).min(64 << 20));
        }
        let mut decoder = BodyDecoder::new(head.body_length());
        loop {
            match decoder.decode(&mut self.buffer).map_err(|refusal| Lost(refusal.message))? {
                Decoded::Data(data) => body.extend_from_slice(&data),
                Decoded::NeedMore => self.fill().await?,
                Decoded::End => {
                    return Ok(Answer { status: head.status, head, body: body.freeze() });
                }
            }
        }
    }

    async fn fill(&mut self) -> Result<(), Lost> {
        match self.stream.read(&mut self.buffer, READ_BYTES).await.map_err(Lost::from)? {
            0 => Err(Lost("the connection ended early".to_owned())),
            _ => Ok(()),
        }
    }
}

impl From<anode_net::stream::Error> for Lost {
    fn from(error: anode_net::stream::Error) -> Self {
        Self(error.to_string())
    }
}
