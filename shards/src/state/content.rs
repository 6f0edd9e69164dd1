//! Chunks with the same content are stored once: how often each is referred to, and what becomes of staged copies.
//!
//! A chunk of a body refers to a content. A content is there from the first reference to the last; how many there are is
//! written down from two on, beside the extent's own entry: to count isn't to touch that, which compaction may be moving.
//! Counts change in apply alone, with the commands that name bodies and those that reclaim them, never with those that
//! condemn. So a body that is condemned holds its contents until its own reclaim step: whoever reads it, or another
//! body with the same chunk, never sees one go.
//!
//! Who uploads always stages its bytes, and whether they are needed is decided when the command that names them is
//! applied: nobody relies on a look at a content that could be gone by then, and that is the race that needs fences.
//! The newest copy is the one that is kept. It is on the volume as well as the older one, and whole for certain: bytes
//! that are sent again heal what was damaged.

use std::collections::{BTreeMap, btree_map};

use anode_disk::{
    Directory, Error,
    index::{Batch, Entry, Payload},
};
use bytes::Bytes;
use tracing::error;

use super::{State, draft::Draft, keys, read};
use crate::{
    cbor::encode,
    command::Refusal,
    object::{BodyId, ContentId},
};

/// A count that could not be read, and so never comes to its end: its chunk stays for good.
const ENDLESS: u64 = u64::MAX;

/// The contents that a command touches.
pub(super) type Counts = BTreeMap<ContentId, Count>;

#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    /// Its length, where the index has it already.
    held_bytes: Option<u64>,
    /// The command brought a copy of it.
    is_fresh: bool,
    before: u64,
    after: u64,
}

impl<D: Directory> State<D> {
    /// How often the contents of a draft are referred to, before it and after it.
    pub(super) async fn counts(&self, draft: &Draft) -> Result<Counts, Error> {
        let mut counts = Counts::new();
        for claim in &draft.claims {
            self.count_in(&mut counts, claim.content).await?.add();
        }
        for content in &draft.released {
            if !self.count_in(&mut counts, *content).await?.remove() {
                error!(group = self.group, %content, "a chunk that was referred to is not there");
            }
        }
        Ok(counts)
    }

    /// Turns a draft into a batch: a chunk of each content passes from staging to the index, in the place of an older
    /// copy if there is one, and what nothing refers to any more is removed.
    pub(super) fn claim(&self, draft: Draft, mut counts: Counts) -> Result<Batch, Refusal> {
        let Draft { mut batch, claims, condemned: _counted, released: _counted_too, .. } = draft;
        for claim in &claims {
            let found = self.staging.find(self.group, claim.staged, claim.chunk);
            let is_it = |found: &(_, ContentId)| found.1 == claim.content;
            let extent = found.filter(is_it).map(|(extent, _)| extent);
            if extent.is_none_or(|extent| extent.data_bytes != claim.data_bytes) {
                error!(group = self.group, body = %claim.body, chunk = claim.chunk, "a staged chunk is missing");
                return Err(Refusal::BodyMissing);
            }
            let held_bytes = counts.get(&claim.content).and_then(|count| count.held_bytes);
            if held_bytes.is_some_and(|held| held != u64::from(claim.data_bytes)) {
                return Err(Refusal::Malformed("chunks with one name have one length"));
            }
        }
        for claim in claims {
            let key = keys::chunk(self.group, claim.body, claim.chunk);
            let value = Bytes::copy_from_slice(&claim.content.0);
            batch.put(key, Entry { value, payload: Payload::None });
            let count = counts.get_mut(&claim.content).expect("every claim was counted");
            // A copy whose segment is lost doesn't replace one that is there.
            let is_worse = count.held_bytes.is_some()
                && self.staging.is_lost(self.group, claim.staged, claim.chunk);
            if is_worse || std::mem::replace(&mut count.is_fresh, true) {
                self.staging.absorb(self.group, claim.staged, claim.chunk);
                continue;
            }
            let key = keys::content(self.group, claim.content);
            if let Some(held_bytes) = count.held_bytes {
                batch.release(key.clone(), held_bytes);
            }
            let extent = self.staging.claim(self.group, claim.staged, claim.chunk);
            let payload = Payload::Extent(extent.expect("it was there a moment ago"));
            batch.put(key, Entry { value: Bytes::new(), payload });
        }
        for (content, count) in counts {
            self.write_count(content, count, &mut batch);
        }
        Ok(batch)
    }

    fn write_count(&self, content: ContentId, count: Count, batch: &mut Batch) {
        if count.after == count.before && count.after != ENDLESS {
            return;
        }
        let shared = keys::shared(self.group, content);
        if count.after >= 2 {
            batch.put(shared, Entry { value: encode(&count.after), payload: Payload::None });
        } else if count.before >= 2 {
            batch.delete(shared);
        }
        if count.after == 0 {
            let key = keys::content(self.group, content);
            batch.release(key, count.held_bytes.unwrap_or_default());
        }
    }

    async fn count_in<'a>(
        &self,
        counts: &'a mut Counts,
        content: ContentId,
    ) -> Result<&'a mut Count, Error> {
        Ok(match counts.entry(content) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(unknown) => unknown.insert(self.count(content).await?),
        })
    }

    async fn count(&self, content: ContentId) -> Result<Count, Error> {
        let found = self.storage.index.get(&keys::content(self.group, content)).await;
        let (held_bytes, count) = match found {
            Ok(None) => (None, 0),
            Ok(Some(entry)) => {
                let shared = self.record(&keys::shared(self.group, content)).await;
                (
                    Some(entry.payload.length()),
                    self.or_endless(shared.map(|count| count.unwrap_or(1)))?,
                )
            }
            Err(damage) => (None, self.or_endless(Err(damage))?),
        };
        Ok(Count { held_bytes, is_fresh: false, before: count, after: count })
    }

    /// Damage to a count costs the space of a chunk, not the group: it is taken for one that never ends.
    fn or_endless(&self, count: Result<u64, Error>) -> Result<u64, Error> {
        match count {
            Err(damage @ Error::Corrupt { .. }) => {
                error!(group = self.group, %damage, "a count of references can't be read");
                Ok(ENDLESS)
            }
            other => other,
        }
    }

    /// The content of a chunk of a body; none where there is no such chunk.
    pub(super) async fn content(
        &self,
        body: BodyId,
        chunk: u32,
    ) -> Result<Option<ContentId>, Error> {
        let key = keys::chunk(self.group, body, chunk);
        let entry = self.storage.index.get(&key).await?;
        entry.map(|entry| read::content_id(&key, &entry)).transpose()
    }
}

impl Count {
    fn add(&mut self) {
        self.after = self.after.saturating_add(1);
    }

    /// Whether there was one to be removed.
    fn remove(&mut self) -> bool {
        if self.after == 0 {
            return false;
        }
        if self.after != ENDLESS {
            self.after -= 1;
        }
        true
    }
}
