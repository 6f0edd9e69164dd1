//! One request and its response: the head, the body as it arrives, what every response is stamped with.
//!
//! The body is read by whoever needs it, after authorization; `100 Continue` goes out with the first read, so a
//! refused upload never sends its bytes.

use std::time::Duration;

use anode_net::{
    Stream as _,
    http::{BodyDecoder, BodyLength, CONTINUE, Decoded, FileDecoder, Head, Refusal, ResponseHead},
    s3,
};
use bytes::{Bytes, BytesMut};

use crate::{
    gateway::read::ObjectReader,
    host::{Host, within},
    limits,
    metrics::Counted,
    shard::Shard,
    transport::Transport,
};

/// The connection's bytes: the transport and what was read and not yet used.
pub struct Wire<H: Host> {
    /// Where bytes come from and go to.
    pub stream: Transport<H::Stream>,
    /// Read, not yet used.
    pub buffer: BytesMut,
}

impl<H: Host> std::fmt::Debug for Wire<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wire({}, {} bytes read)", self.stream.peer(), self.buffer.len())
    }
}

/// What a request's operation answers.
#[derive(Debug)]
pub struct Response<H: Host> {
    /// Status and headers.
    pub head: ResponseHead,
    /// What follows them.
    pub body: ResponseBody<H>,
}

/// The body of a response.
pub enum ResponseBody<H: Host> {
    /// None, or one that HEAD only tells the length of.
    Empty,
    /// All of it.
    Full(Bytes),
    /// An object, or ranges of it, read as the client takes it.
    Object(Box<ObjectReader<H>>),
}

impl<H: Host> std::fmt::Debug for ResponseBody<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Full(_) => "Full",
            Self::Object(_) => "Object",
        })
    }
}

impl<H: Host> Response<H> {
    /// A response without a body.
    pub fn empty(head: ResponseHead) -> Self {
        Self { head, body: ResponseBody::Empty }
    }

    /// A response with all of its body.
    pub fn full(head: ResponseHead, content_type: &str, body: Bytes) -> Self {
        let head = head.header("Content-Type", content_type).length(body.len() as u64);
        Self { head, body: ResponseBody::Full(body) }
    }

    /// A 200 with an XML document.
    pub fn xml(body: Bytes) -> Self {
        Self::full(ResponseHead::new(200), "application/xml", body)
    }
}

/// Why a body could not be read.
#[derive(Debug)]
pub enum BodyError {
    /// The client is gone: there is nobody to answer.
    Closed,
    /// HTTP or its framing was broken: answer and close.
    Refused(Refusal),
    /// It came too slowly.
    TooSlow,
}

impl From<BodyError> for s3::Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Closed => Self::new(s3::ErrorCode::IncompleteBody),
            BodyError::TooSlow => Self::new(s3::ErrorCode::RequestTimeout),
            BodyError::Refused(refusal) => {
                Self::with_message(s3::ErrorCode::InvalidRequest, refusal.message)
            }
        }
    }
}

/// The file of a form, not read yet.
#[derive(Debug)]
pub struct Upload {
    /// Takes it out of the body.
    pub decoder: FileDecoder,
    /// What came of the body with the fields.
    pub framed: Bytes,
}

/// A request being answered.
#[derive(Debug)]
pub struct Exchange<'c, H: Host> {
    /// The shard that owns the connection.
    pub shard: Shard<H>,
    /// The request's head.
    pub head: Head,
    /// `x-amz-request-id`.
    pub request_id: String,
    /// What it is for, as far as that is known.
    pub counted: Counted,
    /// The file of a form whose fields were read.
    pub upload: Option<Upload>,
    wire: &'c mut Wire<H>,
    decoder: BodyDecoder,
    continue_due: bool,
    broken: bool,
    window: Window,
}

/// Measures the rate of a body over a span of time.
#[derive(Debug)]
struct Window {
    started: Option<u64>,
    bytes: u64,
}

impl<'c, H: Host> Exchange<'c, H> {
    /// A request whose head was read.
    pub fn new(shard: Shard<H>, head: Head, wire: &'c mut Wire<H>) -> Self {
        let request_id = format!("{:016X}", shard.host().random());
        let decoder = BodyDecoder::new(head.body_length());
        // Also where the body is empty: clients wait for the 100 that they asked for.
        let continue_due = head.expects_continue();
        let window = Window { started: None, bytes: 0 };
        let counted = Counted::default();
        Self {
            shard,
            head,
            request_id,
            counted,
            upload: None,
            wire,
            decoder,
            continue_due,
            broken: false,
            window,
        }
    }

    /// The peer's address.
    pub fn peer(&self) -> String {
        self.wire.stream.peer()
    }

    /// How long the body says it is, in bytes; unknown where it is chunked.
    pub fn body_bytes(&self) -> Option<u64> {
        match self.head.body_length() {
            BodyLength::None => Some(0),
            BodyLength::Length(bytes) => Some(bytes),
            BodyLength::Chunked => None,
        }
    }

    /// The next piece of the body as it came over HTTP; `None` at its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.continue_due {
            self.continue_due = false;
            let sent = self.wire.stream.write(vec![Bytes::from_static(CONTINUE)]).await;
            sent.map_err(|_closed| self.broke(BodyError::Closed))?;
            self.shard.counts().sent(CONTINUE.len());
        }
        loop {
            match self.decoder.decode(&mut self.wire.buffer) {
                Ok(Decoded::Data(data)) => return Ok(Some(data)),
                Ok(Decoded::End) => return Ok(None),
                Ok(Decoded::NeedMore) => self.fill().await?,
                Err(refusal) => return Err(self.broke(BodyError::Refused(refusal))),
            }
        }
    }

    /// The whole body, where it has at most `bytes_max` bytes; `None` where it has more.
    pub async fn body(&mut self, bytes_max: usize) -> Result<Option<Bytes>, BodyError> {
        let mut whole = BytesMut::new();
        while let Some(data) = self.next().await? {
            if whole.len() + data.len() > bytes_max {
                return Ok(None);
            }
            whole.extend_from_slice(&data);
        }
        Ok(Some(whole.freeze()))
    }

    /// Reads what the operation left of the body, so that the next request can follow; false where that is not
    /// worth it and the connection must close.
    pub async fn finish(&mut self) -> bool {
        // A client that asked for a 100 and got none may or may not send its body: nobody knows what comes next.
        if self.broken || self.continue_due {
            return false;
        }
        let mut left = limits::DISCARD_BYTES_MAX;
        loop {
            match self.next().await {
                Ok(None) => return true,
                Ok(Some(data)) if data.len() <= left => left -= data.len(),
                Ok(Some(_)) | Err(_) => return false,
            }
        }
    }

    async fn fill(&mut self) -> Result<(), BodyError> {
        let host = self.shard.host().clone();
        let pause = Duration::from_secs(limits::BODY_WINDOW_SECONDS);
        let Wire { stream, buffer } = &mut *self.wire;
        let read = within(&host, pause, stream.read(buffer, limits::READ_BYTES)).await;
        match read {
            None => Err(self.broke(BodyError::TooSlow)),
            Some(Ok(0) | Err(_)) => Err(self.broke(BodyError::Closed)),
            Some(Ok(count)) => {
                self.shard.counts().received(count);
                self.measure(host.now().0, count as u64)
            }
        }
    }

    /// Ends a body that trickles: a slow client may not hold memory for ever.
    fn measure(&mut self, now: u64, bytes: u64) -> Result<(), BodyError> {
        let started = *self.window.started.get_or_insert(now);
        self.window.bytes += bytes;
        if now - started < limits::BODY_WINDOW_SECONDS * 1_000_000_000 {
            return Ok(());
        }
        if self.window.bytes < limits::BODY_RATE_BYTES_MIN * limits::BODY_WINDOW_SECONDS {
            return Err(self.broke(BodyError::TooSlow));
        }
        self.window = Window { started: Some(now), bytes: 0 };
        Ok(())
    }

    fn broke(&mut self, error: BodyError) -> BodyError {
        self.broken = true;
        error
    }
}
