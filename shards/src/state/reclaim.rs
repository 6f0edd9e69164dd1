//! Removing the chunks of condemned bodies, a bounded number a command.

use std::{collections::BTreeSet, ops::Range};

use anode_disk::{
    Directory, Error,
    index::{Entry, ScanLimit},
};
use bytes::Bytes;
use minicbor::{Decode, Encode};
use tracing::error;

use super::{State, draft::Draft, keys, read};
use crate::{
    command::{ReclaimStep, Refusal, Reply},
    limits::{CHUNK_BYTES_MAX, RECLAIM_BODIES_MAX, RECLAIM_CHUNKS_MAX},
    object::BodyId,
};

/// A body that no object and no part names any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Condemned {
    /// How many chunks it had.
    #[n(0)]
    pub chunks: u32,
    /// How many of them, from the first, are removed.
    #[n(1)]
    pub removed: u32,
    /// Its length in bytes.
    #[n(2)]
    pub bytes: u64,
}

/// Names a condemned body. Ids sort by time: the oldest is reclaimed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CondemnedId {
    /// When it was condemned by the clock of who proposed that, in milliseconds since the epoch.
    pub since_ms: u64,
    /// The body.
    pub body: BodyId,
}

impl Condemned {
    /// The length of one of its chunks, in bytes.
    fn chunk_bytes(&self, chunk: u32) -> u64 {
        let start = u64::from(chunk) * CHUNK_BYTES_MAX;
        self.bytes.saturating_sub(start).min(CHUNK_BYTES_MAX)
    }
}

impl<D: Directory> State<D> {
    /// Bodies that are condemned, oldest first, from `after` on, up to [`RECLAIM_BODIES_MAX`]; and where to go on.
    pub async fn condemned(
        &self,
        after: Option<CondemnedId>,
    ) -> Result<(Vec<(CondemnedId, Condemned)>, Option<CondemnedId>), Error> {
        let mut range = keys::condemned_all(self.group);
        range.start = if let Some(after) = after {
            let mut from = keys::condemned(self.group, after).to_vec();
            from.push(0);
            Bytes::from(from)
        } else {
            let Some(since_ms) = self.pending_delete().await?.oldest_ms else {
                return Ok((Vec::new(), None));
            };
            // Nothing is before it but the tombstones of what was reclaimed: they can be many.
            keys::condemned(self.group, CondemnedId { since_ms, body: BodyId(0) })
        };
        let limit = ScanLimit { entries: RECLAIM_BODIES_MAX, bytes: 1 << 20 };
        let page = self.storage.index.scan(range, limit).await?;
        let mut found = Vec::with_capacity(page.entries.len());
        for (key, entry) in &page.entries {
            found.push((read::condemned_id(key)?, read::decode(key, &entry.value)?));
        }
        let next = page.next.and_then(|_more| found.last().map(|(id, _)| *id));
        Ok((found, next))
    }

    /// A step that isn't the next one of a condemned body is passed over: it was applied before, or the body is named
    /// again.
    pub(super) async fn reclaim(
        &self,
        steps: &[ReclaimStep],
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        let chunks = steps.iter().map(|step| u64::from(step.end.saturating_sub(step.start))).sum();
        if steps.len() > RECLAIM_BODIES_MAX || u64::from(RECLAIM_CHUNKS_MAX) < chunks {
            return Ok(Err(Refusal::Malformed("a reclaim removes up to 512 chunks")));
        }
        let (mut bytes, mut ended, mut touched) = (0, BTreeSet::new(), BTreeSet::new());
        for step in steps {
            let id = CondemnedId { since_ms: step.since_ms, body: step.body };
            let key = keys::condemned(self.group, id);
            let Some(condemned) = self.record::<Condemned>(&key).await? else { continue };
            let is_next = step.start == condemned.removed && step.end <= condemned.chunks;
            // The draft isn't read back: of steps of one body the first counts.
            if !is_next || !touched.insert(id) {
                continue;
            }
            self.release(step, draft).await?;
            bytes += (step.start..step.end).map(|chunk| condemned.chunk_bytes(chunk)).sum::<u64>();
            if step.end == condemned.chunks {
                draft.delete(key.clone());
                ended.insert(key);
            } else {
                draft.put(key, &Condemned { removed: step.end, ..condemned });
            }
        }
        if bytes > 0 {
            self.count_reclaimed(bytes, &ended, draft).await?;
        }
        Ok(Ok(Reply::Done))
    }

    /// Removes chunks of a body, and gives back what they refer to.
    async fn release(&self, step: &ReclaimStep, draft: &mut Draft) -> Result<(), Error> {
        self.release_chunks(step.body, step.start..step.end, draft).await?;
        for number in step.start..step.end {
            draft.delete(keys::chunk(self.group, step.body, number));
        }
        Ok(())
    }

    /// Gives back what chunks of a body refer to.
    pub(super) async fn release_chunks(
        &self,
        body: BodyId,
        chunks: Range<u32>,
        draft: &mut Draft,
    ) -> Result<(), Error> {
        let chunk = |chunk| keys::chunk(self.group, body, chunk);
        let mut range = chunk(chunks.start)..chunk(chunks.end);
        loop {
            let limit = ScanLimit { entries: 1000, bytes: 1 << 20 };
            let contents = self.storage.index.scan(range.clone(), limit).await.and_then(|page| {
                let content = |(key, entry): &(Bytes, Entry)| read::content_id(key, entry);
                let contents = page.entries.iter().map(content).collect::<Result<Vec<_>, _>>();
                contents.map(|contents| (contents, page.next))
            });
            match contents {
                Ok((contents, next)) => {
                    draft.released.extend(contents);
                    let Some(next) = next else { break };
                    range.start = next;
                }
                // What they referred to stays for good: damage costs its space, not the group.
                Err(damage @ Error::Corrupt { .. }) => {
                    error!(group = self.group, %damage, "chunks to be reclaimed can't be read");
                    break;
                }
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }
}
