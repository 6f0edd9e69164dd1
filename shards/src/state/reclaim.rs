//! Removing the chunks of condemned bodies, a bounded number a command.

use anode_disk::{Directory, Error, index::ScanLimit};
use bytes::Bytes;
use minicbor::{Decode, Encode};

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

impl Condemned {
    /// The length of one of its chunks, in bytes.
    fn chunk_bytes(&self, chunk: u32) -> u64 {
        let start = u64::from(chunk) * CHUNK_BYTES_MAX;
        self.bytes.saturating_sub(start).min(CHUNK_BYTES_MAX)
    }
}

impl<D: Directory> State<D> {
    /// Bodies that are condemned, from `after` on, up to [`RECLAIM_BODIES_MAX`]; and where to go on.
    pub async fn condemned(
        &self,
        after: Option<BodyId>,
    ) -> Result<(Vec<(BodyId, Condemned)>, Option<BodyId>), Error> {
        let mut range = keys::condemned_all(self.group);
        if let Some(after) = after {
            let mut from = keys::condemned(self.group, after).to_vec();
            from.push(0);
            range.start = Bytes::from(from);
        }
        let limit = ScanLimit { entries: RECLAIM_BODIES_MAX, bytes: 1 << 20 };
        let page = self.storage.index.scan(range, limit).await?;
        let mut found = Vec::with_capacity(page.entries.len());
        for (key, entry) in &page.entries {
            let body = keys::condemned_body(key)
                .ok_or_else(|| read::corrupt(key, "the key names no body".to_owned()))?;
            found.push((body, read::decode(key, &entry.value)?));
        }
        let next = page.next.and_then(|_more| found.last().map(|(body, _)| *body));
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
            return Ok(Err(Refusal::Malformed("a reclaim removes up to 4,096 chunks")));
        }
        for step in steps {
            let key = keys::condemned(self.group, step.body);
            let Some(condemned) = self.record::<Condemned>(&key).await? else { continue };
            if step.start != condemned.removed || step.end > condemned.chunks {
                continue;
            }
            for chunk in step.start..step.end {
                let key = keys::chunk(self.group, step.body, chunk);
                draft.batch.release(key, condemned.chunk_bytes(chunk));
            }
            if step.end == condemned.chunks {
                draft.delete(key);
            } else {
                draft.put(key, &Condemned { removed: step.end, ..condemned });
            }
        }
        Ok(Ok(Reply::Done))
    }
}
