//! Bytes on their way into a group: few stay in memory and travel inside the command, many are staged as chunks
//! while they arrive.
//!
//! At most [`limits::WRITE_BEHIND_COUNT`] chunks are being written while the next is gathered: the memory of an
//! upload is a constant. Whatever ends it without a command discards what was staged.

use anode_disk::{segment::Class, wal::GroupId};
use anode_net::s3;
use anode_shards::{
    command::Reply,
    object::{Body, BodyId, ContentId},
    staging::Cut,
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, future::LocalBoxFuture, stream::FuturesUnordered};
use sha2::{Digest as _, Sha256};

use crate::{
    encryption::{Sealer, keys::DataKey},
    host::Host,
    limits,
    mesh::{Answer, Ask, AskError},
    shard::Shard,
};

/// Where incoming bytes may end up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Inside the command where they are few.
    Inline,
    /// In chunks, also where they are few: parts of uploads.
    Chunks,
}

/// Bytes taken in, and what forgets them unless they are stored.
pub(crate) type Taken<H> = (Ingested, Discard<H>);

/// Takes bytes in for one group.
pub struct Ingest<H: Host> {
    shard: Shard<H>,
    group: GroupId,
    placement: Placement,
    class: Class,
    body: BodyId,
    /// Encrypts what comes, where it is to be.
    sealer: Option<Box<Sealer>>,
    gathered: BytesMut,
    /// Of what is gathered, as far as `hashed_bytes`.
    hasher: Sha256,
    hashed_bytes: usize,
    contents: Vec<ContentId>,
    chunk_next: u32,
    bytes: u64,
    writes: FuturesUnordered<LocalBoxFuture<'static, Result<Answer, AskError>>>,
    settled: bool,
}

/// What became of the bytes.
#[derive(Debug)]
pub struct Ingested {
    /// Where they are.
    pub body: Body,
    /// Those of [`Body::Inline`].
    pub inline: Bytes,
    /// What the chunks of [`Body::Whole`] hold.
    pub contents: Vec<ContentId>,
    /// The staged body, to be settled by the command that names it.
    pub staged: Option<BodyId>,
}

impl<H: Host> std::fmt::Debug for Ingest<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ingest({} of group {})", self.body, self.group)
    }
}

impl<H: Host> Ingest<H> {
    /// Begins a body with a random id.
    pub fn new(shard: &Shard<H>, group: GroupId, placement: Placement) -> Self {
        let body = BodyId(shard.random_u128());
        Self {
            shard: shard.clone(),
            group,
            placement,
            class: Class::OWN,
            body,
            sealer: None,
            gathered: BytesMut::new(),
            hasher: Sha256::new(),
            hashed_bytes: 0,
            contents: Vec::new(),
            chunk_next: 0,
            bytes: 0,
            writes: FuturesUnordered::new(),
            settled: false,
        }
    }

    /// Has the bytes encrypted: those of an object, or of a part where they are placed in chunks.
    #[must_use]
    pub(crate) fn sealed(mut self, key: Option<&DataKey>) -> Self {
        self.sealer = key.map(|key| {
            Box::new(match self.placement {
                Placement::Inline => Sealer::of_whole(key),
                Placement::Chunks => Sealer::of_part(key, self.body),
            })
        });
        self
    }

    /// Has the bytes put where a class has them: always in chunks, also where they are few.
    #[must_use]
    pub(crate) fn in_class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// Up to how many bytes stay inside the command.
    fn inline_bytes_max(&self) -> u64 {
        let may_be = self.placement == Placement::Inline && self.class == Class::OWN;
        if may_be { limits::INLINE_BYTES_MAX as u64 } else { 0 }
    }

    /// Takes the next bytes.
    pub async fn push(&mut self, mut data: Bytes) -> Result<(), s3::Error> {
        let Some(mut sealer) = self.sealer.take() else { return self.gather(data).await };
        while !data.is_empty() {
            if let Some(frame) = sealer.take(&mut data) {
                self.gather(frame).await?;
            }
        }
        self.sealer = Some(sealer);
        Ok(())
    }

    /// Takes the next bytes as they are stored.
    async fn gather(&mut self, mut data: Bytes) -> Result<(), s3::Error> {
        self.bytes += data.len() as u64;
        while !data.is_empty() {
            if self.gathered.capacity() == 0 {
                // Sized for a chunk once it is known not to be a small object.
                let known_large = self.bytes > limits::INLINE_BYTES_MAX as u64;
                self.gathered.reserve(if known_large { limits::CHUNK_BYTES } else { data.len() });
            }
            let step = data.len().min(limits::CHUNK_BYTES - self.gathered.len());
            self.gathered.extend_from_slice(&data.split_to(step));
            self.hash();
            if self.gathered.len() == limits::CHUNK_BYTES {
                self.stage().await?;
            }
        }
        Ok(())
    }

    /// After the last byte: waits until every chunk is written. Durable they become with the command that names them.
    pub async fn finish(mut self) -> Result<Taken<H>, s3::Error> {
        if let Some(frame) = self.sealer.take().and_then(|sealer| sealer.finish()) {
            self.gather(frame).await?;
        }
        if self.bytes == 0 && self.placement == Placement::Inline {
            return Ok(self.inline(Body::Empty));
        }
        if self.bytes <= self.inline_bytes_max() && self.placement == Placement::Inline {
            let length = u32::try_from(self.bytes).expect("at most the inline limit");
            return Ok(self.inline(Body::Inline(length)));
        }
        if !self.gathered.is_empty() {
            self.stage().await?;
        }
        while let Some(written) = self.writes.next().await {
            written?;
        }
        self.settled = true;
        let discard =
            Discard { shard: self.shard.clone(), group: self.group, body: Some(self.body) };
        let ingested = Ingested {
            body: Body::Whole(self.body),
            inline: Bytes::new(),
            contents: std::mem::take(&mut self.contents),
            staged: Some(self.body),
        };
        Ok((ingested, discard))
    }

    fn inline(&mut self, body: Body) -> Taken<H> {
        self.settled = true;
        let inline = std::mem::take(&mut self.gathered).freeze();
        let discard = Discard { shard: self.shard.clone(), group: self.group, body: None };
        (Ingested { body, inline, contents: Vec::new(), staged: None }, discard)
    }

    /// Goes on with the name of the chunk: as the bytes come, so that nobody waits for a whole chunk of it. Objects that
    /// may stay inline have no chunks to be named.
    fn hash(&mut self) {
        if self.placement == Placement::Chunks || self.bytes > self.inline_bytes_max() {
            self.hasher.update(&self.gathered[self.hashed_bytes..]);
            self.hashed_bytes = self.gathered.len();
        }
    }

    async fn stage(&mut self) -> Result<(), s3::Error> {
        while self.writes.len() >= limits::WRITE_BEHIND_COUNT {
            if let Some(written) = self.writes.next().await {
                written?;
            }
        }
        let data = std::mem::take(&mut self.gathered).freeze();
        assert_eq!(self.hashed_bytes, data.len(), "a chunk is named by all its bytes");
        self.hashed_bytes = 0;
        let content = ContentId(self.hasher.finalize_reset().into()).of_class(self.class);
        self.contents.push(content);
        let chunk = Cut { number: self.chunk_next, content, class: self.class, data };
        let ask = Ask::Stage { body: self.body, chunk };
        self.chunk_next += 1;
        let (shard, group) = (self.shard.clone(), self.group);
        self.writes.push(Box::pin(async move { shard.ask(group, ask).await }));
        // Polled once, so that the write is on its way while the next chunk is gathered.
        if let Some(Some(written)) = futures::FutureExt::now_or_never(self.writes.next()) {
            written?;
        }
        Ok(())
    }
}

impl<H: Host> Drop for Ingest<H> {
    fn drop(&mut self) {
        if self.settled || self.chunk_next == 0 {
            return;
        }
        let (shard, group, body) = (self.shard.clone(), self.group, self.body);
        // Writes under way are finished before they are forgotten: a later one would stage again.
        let writes = std::mem::take(&mut self.writes);
        self.shard.host().clone().spawn("discard", async move {
            let written: Vec<_> = writes.collect().await;
            drop(written);
            // A shard that can't answer has lost the staged chunks with its memory.
            drop(shard.ask(group, Ask::Discard { body }).await);
        });
    }
}

/// Forgets a staged body unless its command was answered.
#[derive(Debug)]
pub struct Discard<H: Host> {
    shard: Shard<H>,
    group: GroupId,
    body: Option<BodyId>,
}

impl<H: Host> Discard<H> {
    /// Passes on the outcome of the command that named the body.
    ///
    /// Only a refusal says that no replica will ever ask for the chunks. Where the outcome is unknown the command may
    /// still be applied, so they stay staged until the next start.
    pub fn after(mut self, outcome: Result<Reply, AskError>) -> Result<Reply, AskError> {
        let refused = match &outcome {
            Ok(Reply::Refused(_)) | Err(AskError::Full | AskError::Overloaded) => true,
            Ok(_)
            | Err(
                AskError::VolumeFailed { .. }
                | AskError::DeviceFailed(_)
                | AskError::Unavailable(_)
                | AskError::Damaged(_),
            ) => false,
        };
        if !refused {
            self.body = None;
        }
        outcome
    }
}

impl<H: Host> Drop for Discard<H> {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else { return };
        let (shard, group) = (self.shard.clone(), self.group);
        self.shard.host().clone().spawn("discard", async move {
            drop(shard.ask(group, Ask::Discard { body }).await);
        });
    }
}
