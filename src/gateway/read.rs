//! Reads an object as its client takes it: the next chunks are on their way while one is sent.

use std::{collections::VecDeque, ops::Range};

use anode_disk::wal::GroupId;
use anode_shards::{limits::CHUNK_BYTES_MAX, object::BodyId};
use bytes::Bytes;
use futures::{StreamExt as _, future::LocalBoxFuture, stream::FuturesOrdered};

use crate::{
    host::Host,
    limits,
    mesh::{Answer, Ask, AskError, ObjectFound, PinId},
    shard::Shard,
};

/// A stretch of a response's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stretch {
    /// These bytes.
    Literal(Bytes),
    /// These bytes of the object.
    Object(Range<u64>),
}

/// Bytes on their way.
type Fetch = LocalBoxFuture<'static, Result<Bytes, AskError>>;

/// Where the bytes of an object come from. Its bodies can't be reclaimed while this lives.
pub struct Source<H: Host> {
    shard: Shard<H>,
    group: GroupId,
    bodies: Vec<(BodyId, u64)>,
    inline: Bytes,
    pin: Option<PinId>,
}

impl<H: Host> std::fmt::Debug for Source<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({} bodies of group {})", self.bodies.len(), self.group)
    }
}

impl<H: Host> Source<H> {
    /// The bytes of an object as its group gave it.
    pub fn new(shard: &Shard<H>, group: GroupId, found: &ObjectFound) -> Self {
        let (bodies, inline) = (found.object.bodies().collect(), found.inline.clone());
        Self { shard: shard.clone(), group, bodies, inline, pin: found.pin }
    }

    /// The piece of one chunk, or of the inline bytes, that begins at `range.start`.
    fn piece(&self, range: &Range<u64>) -> (u64, Fetch) {
        if self.bodies.is_empty() {
            let at = |offset: u64| usize::try_from(offset).expect("inline bytes are few");
            let data = self.inline.slice(at(range.start)..at(range.end));
            return (range.end, Box::pin(async move { Ok(data) }));
        }
        let mut base = 0;
        for (body, bytes) in &self.bodies {
            if range.start < base + bytes {
                let start = range.start - base;
                let chunk = start / CHUNK_BYTES_MAX;
                let chunk_end = ((chunk + 1) * CHUNK_BYTES_MAX).min(*bytes);
                let end = (range.end - base).min(chunk_end);
                return (base + end, self.fetch(*body, chunk, start..end));
            }
            base += bytes;
        }
        unreachable!("ranges are clamped to the object's size");
    }

    fn fetch(&self, body: BodyId, chunk: u64, range: Range<u64>) -> Fetch {
        let within = |offset: u64| {
            u32::try_from(offset - chunk * CHUNK_BYTES_MAX).expect("a chunk is below 4 GiB")
        };
        let ask = Ask::Chunk {
            body,
            chunk: u32::try_from(chunk).expect("a body is at most 5 GiB"),
            range: within(range.start)..within(range.end),
        };
        let (shard, group) = (self.shard.clone(), self.group);
        Box::pin(async move {
            let answer = shard.ask(group, ask).await?;
            let Answer::Chunk(data) = answer else {
                return Err(AskError::Unavailable(format!(
                    "a chunk was asked for, not {answer:?}"
                )));
            };
            Ok(data)
        })
    }
}

impl<H: Host> Drop for Source<H> {
    fn drop(&mut self) {
        let Some(pin) = self.pin else { return };
        let (shard, group) = (self.shard.clone(), self.group);
        self.shard.host().clone().spawn("unpin", async move {
            // A shard that can't answer has lost its pins with its memory.
            drop(shard.ask(group, Ask::Unpin { pin }).await);
        });
    }
}

/// Reads stretches in order.
pub struct ObjectReader<H: Host> {
    source: Source<H>,
    stretches: VecDeque<Stretch>,
    under_way: FuturesOrdered<Fetch>,
    /// What [`Self::begin_reading`] has read already.
    first: Option<Bytes>,
    /// Bucket and key, for messages.
    subject: String,
}

impl<H: Host> std::fmt::Debug for ObjectReader<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ObjectReader({:?})", self.source)
    }
}

impl<H: Host> ObjectReader<H> {
    /// A reader of these stretches; ranges lie within the object.
    pub fn new(source: Source<H>, stretches: impl IntoIterator<Item = Stretch>) -> Self {
        let stretches = stretches.into_iter().collect();
        let under_way = FuturesOrdered::new();
        Self { source, stretches, under_way, first: None, subject: String::new() }
    }

    /// Bucket and key, where [`Self::begin_reading`] was told.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Reads the first bytes, so that damage in them is an S3 error: once the status is out, all that is left is to end
    /// the connection.
    pub async fn begin_reading(&mut self, bucket: &str, key: &str) -> Result<(), AskError> {
        self.subject = format!("{bucket}/{key}");
        self.first = self.next().await?;
        Ok(())
    }

    /// The next bytes; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Bytes>, AskError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        while self.under_way.len() <= limits::READ_AHEAD_COUNT {
            let Some(stretch) = self.stretches.pop_front() else { break };
            self.begin(stretch);
        }
        self.under_way.next().await.transpose()
    }

    fn begin(&mut self, stretch: Stretch) {
        match stretch {
            Stretch::Literal(data) => self.under_way.push_back(Box::pin(async move { Ok(data) })),
            Stretch::Object(range) if range.is_empty() => {}
            Stretch::Object(range) => {
                let (next, piece) = self.source.piece(&range);
                self.under_way.push_back(piece);
                if next < range.end {
                    self.stretches.push_front(Stretch::Object(next..range.end));
                }
            }
        }
    }
}
