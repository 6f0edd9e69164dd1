//! What a group may hold of a bucket with a hard quota, and that nothing grows beyond it.
//!
//! Whatever a command does to the figures of a bucket ([`super::usage`]) is held against the bucket's ALLOWANCE, all of which
//! are in memory: a bucket without one costs a look into an empty map. What doesn't grow is never refused.

use std::{borrow::Cow, cell::RefCell, collections::BTreeMap};

use anode_disk::{Directory, Error, index::Payload};
use tracing::error;

use super::{
    State,
    draft::Draft,
    keys,
    read::decode,
    usage::{Change, bucket_in},
};
use crate::{
    command::{Allot, AllotStep, Refusal, Reply},
    object::{BucketId, Object, UploadId},
    quota::{Allowance, Amount},
};

/// What buckets may hold in this group, of those that have a hard quota: what is in the index.
#[derive(Debug, Default)]
pub(super) struct Allowances(RefCell<BTreeMap<BucketId, Allowance>>);

/// A write to come, of which the length is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// An object under this key, of so many bytes.
    Object {
        /// Its key.
        key: String,
        /// Its length.
        bytes: u64,
    },
    /// A part of this upload, of so many bytes.
    Part {
        /// The upload.
        upload: UploadId,
        /// The number of the part.
        number: u16,
        /// Its length.
        bytes: u64,
    },
}

impl Allowances {
    fn of(&self, bucket: BucketId) -> Option<Allowance> {
        self.0.borrow().get(&bucket).copied()
    }

    /// An allowance that was written.
    pub(super) fn take_up(&self, allotted: Option<(BucketId, Option<Allowance>)>) {
        match allotted {
            Some((bucket, Some(allowance))) => {
                self.0.borrow_mut().insert(bucket, allowance);
            }
            Some((bucket, None)) => {
                self.0.borrow_mut().remove(&bucket);
            }
            None => {}
        }
    }
}

impl<D: Directory> State<D> {
    /// What the group may hold of a bucket; none where that is all.
    pub fn allowance(&self, bucket: BucketId) -> Option<Allowance> {
        self.allowances.of(bucket)
    }

    /// Why a write would be refused if it came now: for want of quota.
    ///
    /// # Errors
    ///
    /// Those of a read.
    pub async fn check_planned(
        &self,
        bucket: BucketId,
        planned: &Planned,
    ) -> Result<Option<Refusal>, Error> {
        if self.allowances.of(bucket).is_none() {
            return Ok(None);
        }
        let mut draft = Draft::rehearsal();
        match planned {
            Planned::Object { key, bytes } => {
                let name = (bucket, key.as_str());
                let versioning = self.bucket_state(bucket).await?.versioning;
                let before = self.current(name, &draft).await?;
                let object = Object { size: *bytes, ..Object::default() };
                let after = (Cow::Owned(object), Payload::None);
                self.store(name, after, (before, versioning, 0), &mut draft).await?;
            }
            Planned::Part { upload, number, bytes } => {
                let before = self.part(*upload, *number).await?;
                let replaced = before.map_or(0, |before| before.size);
                draft.count(bucket, Change::parts(*bytes, replaced));
            }
        }
        self.check_quota(&draft).await
    }

    /// Refuses what has a bucket grow beyond its allowance.
    pub(super) async fn check_quota(&self, draft: &Draft) -> Result<Option<Refusal>, Error> {
        for (bucket, change) in &draft.usage {
            let Some(allowance) = self.allowances.of(*bucket) else { continue };
            let growth = change.growth();
            if growth == Amount::default() {
                continue;
            }
            let Some(held) = self.held(*bucket).await? else {
                return Ok(Some(Refusal::Uncounted));
            };
            if !allowance.limit().has_room(held, growth) {
                return Ok(Some(Refusal::OverQuota { growth }));
            }
        }
        Ok(None)
    }

    /// Gives a number away. `above` is higher than the last one where commands of this group were lost.
    pub(super) async fn number_round(
        &self,
        above: u64,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        let key = keys::round(self.group);
        let last = self.record::<u64>(&key).await?.unwrap_or_default();
        let round = last.max(above).saturating_add(1);
        draft.put(key, &round);
        Ok(Ok(Reply::Numbered(round)))
    }

    /// A step of a round.
    pub(super) async fn allot(
        &self,
        allot: &Allot,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        let Allot { bucket, round, step } = *allot;
        let before = self.allowances.of(bucket);
        let is_new = before.is_none_or(|before| before.round < round);
        let is_frozen = before == Some(Allowance { round, granted: None });
        let (allowance, reply) = match step {
            AllotStep::Freeze if is_new => {
                let Some(held) = self.held(bucket).await? else {
                    return Ok(Err(Refusal::Uncounted));
                };
                (Some(Allowance { round, granted: None }), Reply::Frozen(held))
            }
            AllotStep::Grant(amount) if is_frozen => {
                (Some(Allowance { round, granted: Some(amount) }), Reply::Done)
            }
            AllotStep::Lift if is_new => (None, Reply::Done),
            AllotStep::Freeze | AllotStep::Grant(_) | AllotStep::Lift => {
                return Ok(Err(Refusal::Outdated));
            }
        };
        let key = keys::allowance(self.group, bucket);
        match &allowance {
            Some(allowance) => draft.put(key, allowance),
            None => draft.delete(key),
        }
        draft.allotted = Some((bucket, allowance));
        Ok(Ok(reply))
    }

    /// Reads all allowances. One that can't be read is as if it weren't there: the shard of the meta group deals it out again.
    pub(super) async fn read_allowances(&self) -> Result<(), Error> {
        self.allowances.0.borrow_mut().clear();
        match self.stored_allowances().await {
            Err(damage @ Error::Corrupt { .. }) => {
                error!(group = self.group, %damage, "quotas can't be read; they are dealt out again");
            }
            stored => *self.allowances.0.borrow_mut() = stored?,
        }
        Ok(())
    }

    async fn stored_allowances(&self) -> Result<BTreeMap<BucketId, Allowance>, Error> {
        let mut stored = BTreeMap::new();
        for (key, entry) in self.scan_all(keys::all_allowances(self.group)).await? {
            stored.insert(bucket_in(&key)?, decode(&key, &entry.value)?);
        }
        Ok(stored)
    }

    /// What a quota is about of what the group holds; none where that isn't known.
    async fn held(&self, bucket: BucketId) -> Result<Option<Amount>, Error> {
        match self.usage(bucket).await {
            Err(damage @ Error::Corrupt { .. }) => {
                error!(group = self.group, %damage, "figures of a bucket can't be read");
                Ok(None)
            }
            usage => Ok(usage?.map(|usage| usage.amount())),
        }
    }
}
