//! Figures of what waits to be reclaimed: how many bodies, how many bytes, and since when.
//!
//! One record of META has them. It is written in the batch of the command that condemns bodies or removes their chunks,
//! so it is exact at every moment and after every restart, and nothing is ever counted again.

use std::collections::BTreeSet;

use anode_disk::{Directory, Error, index::ScanLimit};
use bytes::Bytes;
use minicbor::{Decode, Encode};

use super::{State, draft::Draft, keys, read, reclaim::CondemnedId};
use crate::{limits::RECLAIM_BODIES_MAX, object::BodyId};

/// What is condemned in a group and not reclaimed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct PendingDelete {
    /// Bodies that have chunks left.
    #[n(0)]
    pub bodies: u64,
    /// The bytes of those chunks, each as often as condemned bodies have it.
    #[n(1)]
    pub bytes: u64,
    /// When the oldest of them was condemned, in milliseconds since the epoch.
    #[n(2)]
    pub oldest_ms: Option<u64>,
}

impl PendingDelete {
    /// These and those: of two groups of a shard, say.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let oldest_ms = match (self.oldest_ms, other.oldest_ms) {
            (Some(one), Some(another)) => Some(one.min(another)),
            (one, another) => one.or(another),
        };
        Self { bodies: self.bodies + other.bodies, bytes: self.bytes + other.bytes, oldest_ms }
    }
}

impl<D: Directory> State<D> {
    /// What waits to be reclaimed.
    pub async fn pending_delete(&self) -> Result<PendingDelete, Error> {
        let found = self.record(&keys::pending(self.group)).await?;
        Ok(found.unwrap_or_default())
    }

    /// Adds what a draft condemns.
    pub(super) async fn count_condemned(&self, draft: &mut Draft) -> Result<(), Error> {
        let condemned = std::mem::take(&mut draft.condemned);
        if condemned == PendingDelete::default() {
            return Ok(());
        }
        let pending = self.pending_delete().await?.plus(condemned);
        draft.put(keys::pending(self.group), &pending);
        Ok(())
    }

    /// Takes off what a draft reclaims: these bytes, and the bodies under these index keys.
    pub(super) async fn count_reclaimed(
        &self,
        bytes: u64,
        ended: &BTreeSet<Bytes>,
        draft: &mut Draft,
    ) -> Result<(), Error> {
        let key = keys::pending(self.group);
        let before = self.pending_delete().await?;
        let bodies = u64::try_from(ended.len()).expect("a count fits in 64 bits");
        let left = before.bodies.checked_sub(bodies).zip(before.bytes.checked_sub(bytes));
        let Some((bodies, bytes)) = left else {
            let finding = format!("{before:?} is less than what was there to be reclaimed");
            return Err(read::corrupt(&key, finding));
        };
        let oldest_ms = self.oldest_but(ended, before.oldest_ms.unwrap_or(0)).await?;
        if oldest_ms.is_none() {
            draft.delete(key);
        } else {
            draft.put(key, &PendingDelete { bodies, bytes, oldest_ms });
        }
        Ok(())
    }

    /// When the oldest body was condemned that isn't one of `ended`; none was before `since_ms`.
    async fn oldest_but(
        &self,
        ended: &BTreeSet<Bytes>,
        since_ms: u64,
    ) -> Result<Option<u64>, Error> {
        let mut range = keys::condemned_all(self.group);
        range.start = keys::condemned(self.group, CondemnedId { since_ms, body: BodyId(0) });
        loop {
            let limit = ScanLimit { entries: RECLAIM_BODIES_MAX + 1, bytes: 1 << 20 };
            let page = self.storage.index.scan(range.clone(), limit).await?;
            let left = page.entries.iter().find(|(key, _)| !ended.contains(key));
            if let Some((key, _)) = left {
                return Ok(Some(read::condemned_id(key)?.since_ms));
            }
            let Some(next) = page.next else { return Ok(None) };
            range.start = next;
        }
    }
}
