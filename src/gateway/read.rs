//! Reads an object as its client takes it: the next chunks are on their way while one is sent.
//!
//! How many depends on the client: one at first, so that whoever looks at the head of an object and goes costs little;
//! twice as many with each chunk that was taken, up to [`limits::READ_AHEAD_COUNT_MAX`], as long as the shard has
//! memory for chunks that wait for clients. The chunk that a client waits for is always read. What is ahead is read by a
//! task of its own, for this one sleeps in the connection until the client has taken what it was sent.

use std::{cell::Cell, collections::VecDeque, ops::Range, rc::Rc};

use anode_disk::wal::GroupId;
use anode_shards::{
    encryption::{CHUNK_FRAMES, FRAME_BYTES, FRAME_DATA_BYTES, stored_bytes},
    limits::CHUNK_BYTES_MAX,
    object::BodyId,
};
use bytes::Bytes;
use futures::{channel::oneshot, future::LocalBoxFuture};

use crate::{
    encryption::{Opener, frames::Frames},
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

/// Bytes on their way ahead of the client, with the hold on the memory they wait in.
type Ahead = LocalBoxFuture<'static, Result<(Bytes, Option<Place>), AskError>>;

/// The memory of a shard for chunks that wait for their clients, counted in chunks.
#[derive(Clone, Debug)]
pub struct Room(Rc<Cell<usize>>);

/// A place for one chunk; it is free again when this is dropped.
#[derive(Debug)]
struct Place(Rc<Cell<usize>>);

impl Room {
    /// Places for as many chunks as a shard with this much memory has for reading ahead.
    pub fn of(shard_bytes: u64) -> Self {
        let count = shard_bytes / limits::READ_AHEAD_SHARE / CHUNK_BYTES_MAX;
        Self(Rc::new(Cell::new(usize::try_from(count).unwrap_or(usize::MAX))))
    }

    fn take(&self) -> Option<Place> {
        self.0.set(self.0.get().checked_sub(1)?);
        Some(Place(Rc::clone(&self.0)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Where the bytes of an object come from. Its bodies can't be reclaimed while this lives.
pub struct Source<H: Host> {
    shard: Shard<H>,
    group: GroupId,
    /// With their lengths as clients see them.
    bodies: Vec<(BodyId, u64)>,
    inline: Bytes,
    size: u64,
    pin: Option<PinId>,
    /// For bytes that are encrypted.
    opener: Option<Rc<Opener>>,
}

impl<H: Host> std::fmt::Debug for Source<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({} bodies of group {})", self.bodies.len(), self.group)
    }
}

impl<H: Host> Source<H> {
    /// The bytes of an object as its group gave it.
    pub fn new(shard: &Shard<H>, group: GroupId, found: &ObjectFound) -> Self {
        let (bodies, inline) = (found.object.plain_bodies().collect(), found.inline.clone());
        let (shard, size) = (shard.clone(), found.object.size);
        Self { shard, group, bodies, inline, size, pin: found.pin, opener: None }
    }

    /// Has its bytes decrypted.
    pub(crate) fn open_with(&mut self, opener: Option<Opener>) {
        self.opener = opener.map(Rc::new);
    }

    /// The piece of one chunk, or of the inline bytes, that begins at `range.start`.
    fn piece(&self, range: &Range<u64>) -> (u64, Fetch) {
        if self.bodies.is_empty() {
            let data = self.inline_piece(range);
            return (range.end, Box::pin(async move { data }));
        }
        let mut base = 0;
        for (body, bytes) in &self.bodies {
            if range.start < base + bytes {
                let start = range.start - base;
                if let Some(opener) = &self.opener {
                    let within = start..range.end - base;
                    let (end, fetch) = self.sealed_piece(opener, (*body, *bytes), within);
                    return (base + end, fetch);
                }
                let chunk = start / CHUNK_BYTES_MAX;
                let chunk_end = ((chunk + 1) * CHUNK_BYTES_MAX).min(*bytes);
                let end = (range.end - base).min(chunk_end);
                return (base + end, self.fetch((*body, chunk), start..end, chunk_end));
            }
            base += bytes;
        }
        unreachable!("ranges are clamped to the object's size");
    }

    fn inline_piece(&self, range: &Range<u64>) -> Result<Bytes, AskError> {
        let data = match &self.opener {
            None => self.inline.clone(),
            Some(opener) => {
                let frames = Frames { first: 0, body_bytes: self.size };
                let opened = opener.open(BodyId(0), frames, self.inline.clone());
                opened.map_err(|_not_authentic| not_authentic(0))?
            }
        };
        Ok(data.slice(at(range.start)..at(range.end)))
    }

    /// The piece of an encrypted body that lies in one of its chunks: what is read are whole frames.
    fn sealed_piece(
        &self,
        opener: &Rc<Opener>,
        (body, bytes): (BodyId, u64),
        range: Range<u64>,
    ) -> (u64, Fetch) {
        let first = range.start / FRAME_DATA_BYTES;
        let chunk = first / CHUNK_FRAMES;
        let end = range.end.min((chunk + 1) * CHUNK_FRAMES * FRAME_DATA_BYTES).min(bytes);
        let stored_end = stored_bytes(bytes);
        let frames_end = (end.div_ceil(FRAME_DATA_BYTES) * FRAME_BYTES).min(stored_end);
        let chunk_end = ((chunk + 1) * CHUNK_BYTES_MAX).min(stored_end);
        let sealed = self.fetch((body, chunk), first * FRAME_BYTES..frames_end, chunk_end);
        let frames = Frames { first, body_bytes: bytes };
        let wanted = range.start - first * FRAME_DATA_BYTES..end - first * FRAME_DATA_BYTES;
        let opener = Rc::clone(opener);
        let opened = async move {
            let opened = opener.open(body, frames, sealed.await?);
            let opened = opened.map_err(|_not_authentic| not_authentic(first))?;
            Ok(opened.slice(at(wanted.start)..at(wanted.end)))
        };
        (end, Box::pin(opened))
    }

    /// Bytes of a body that lie in one of its chunks, which ends at `chunk_end`.
    fn fetch(&self, (body, chunk): (BodyId, u64), range: Range<u64>, chunk_end: u64) -> Fetch {
        let within = |offset: u64| {
            u32::try_from(offset - chunk * CHUNK_BYTES_MAX).expect("a chunk is below 4 GiB")
        };
        let ask = Ask::Chunk {
            body,
            chunk: u32::try_from(chunk).expect("a body is at most 5 GiB"),
            range: within(range.start)..within(range.end),
            chunk_bytes: within(chunk_end),
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

fn at(offset: u64) -> usize {
    usize::try_from(offset).expect("a chunk is below 4 GiB")
}

/// Bytes that passed their checksum and are not what was encrypted: somebody changed them, or what tells where they are.
fn not_authentic(frame: u64) -> AskError {
    AskError::Damaged(format!(
        "the encrypted bytes from frame {frame} on are not those that were written"
    ))
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
    under_way: VecDeque<Ahead>,
    /// How many chunks may be ahead of the client.
    ahead_max: usize,
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
        let (under_way, ahead_max) = (VecDeque::new(), limits::READ_AHEAD_COUNT_MIN);
        Self { source, stretches, under_way, ahead_max, first: None, subject: String::new() }
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
        while self.under_way.len() <= self.ahead_max && !self.stretches.is_empty() {
            let is_wanted = self.under_way.is_empty();
            let place = self.source.shard.read_room().take();
            if place.is_none() && !is_wanted {
                break;
            }
            self.begin(place);
        }
        let Some(piece) = self.under_way.pop_front() else { return Ok(None) };
        let (data, place) = piece.await?;
        drop(place);
        self.ahead_max = (2 * self.ahead_max).min(limits::READ_AHEAD_COUNT_MAX);
        Ok(Some(data))
    }

    /// Begins to read the next piece, if there is one.
    fn begin(&mut self, place: Option<Place>) {
        let piece: Fetch = match self.stretches.pop_front() {
            None => return,
            Some(Stretch::Literal(data)) => Box::pin(async move { Ok(data) }),
            Some(Stretch::Object(range)) if range.is_empty() => return,
            Some(Stretch::Object(range)) => {
                let (next, piece) = self.source.piece(&range);
                if next < range.end {
                    self.stretches.push_front(Stretch::Object(next..range.end));
                }
                piece
            }
        };
        let is_wanted = self.under_way.is_empty();
        let piece: Ahead = Box::pin(async move { Ok((piece.await?, place)) });
        self.under_way.push_back(if is_wanted { piece } else { self.read_ahead(piece) });
    }

    /// Reads a piece while this task does something else. It ends by itself where the client has gone.
    fn read_ahead(&self, piece: Ahead) -> Ahead {
        let (sender, receiver) = oneshot::channel();
        self.source.shard.host().clone().spawn("read ahead", async move {
            let _gone = sender.send(piece.await);
        });
        Box::pin(async move {
            let stopping = |_gone| AskError::Unavailable("the node is stopping".to_owned());
            receiver.await.map_err(stopping)?
        })
    }
}

#[cfg(test)]
mod tests;
