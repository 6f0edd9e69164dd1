//! What a command will change, gathered while it is decided.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
};

use anode_disk::{
    index::{Batch, Entry, Payload},
    wal::GroupId,
};
use bytes::Bytes;
use minicbor::Encode;

use super::{
    events::Happened,
    keys,
    pending::PendingDelete,
    reclaim::{Condemned, CondemnedId},
    usage::Change,
};
use crate::{
    cbor::encode,
    object::{BodyId, BucketId, ContentId},
    quota::Allowance,
    version::BucketState,
};

/// Changes that are not written yet; dropped where the command is refused.
#[derive(Debug, Default)]
pub(super) struct Draft {
    purpose: Purpose,
    pub(super) batch: Batch,
    /// Chunks that are to be staged.
    pub(super) claims: Vec<Claim>,
    /// Contents that it refers to once less, each as often.
    pub(super) released: Vec<ContentId>,
    /// What it condemns, to be added to the group's figures.
    pub(super) condemned: PendingDelete,
    /// What the group knows of a bucket from then on.
    pub(super) bucket_state: Option<(BucketId, BucketState)>,
    /// What it does to the figures of buckets.
    pub(super) usage: Vec<(BucketId, Change)>,
    /// What a bucket may hold from then on; nothing of it where it may hold all.
    pub(super) allotted: Option<(BucketId, Option<Allowance>)>,
    /// Whether a version goes from one place to another.
    pub(super) moves_versions: bool,
    /// Events to be recorded.
    pub(super) events: Vec<Happened>,
    /// Whether some are.
    pub(super) records_events: bool,
    /// What it has changed so far, where the command reads that back.
    changed: Option<BTreeMap<Bytes, Option<Entry>>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) body: BodyId,
    /// The body that it was staged as: another one where a body's chunks are named anew, for a replay finds both.
    pub(super) staged: BodyId,
    pub(super) chunk: u32,
    pub(super) data_bytes: u32,
    pub(super) content: ContentId,
}

/// What a draft is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Purpose {
    #[default]
    Write,
    /// To see what would be decided: nothing is gathered that isn't read back.
    Rehearse,
}

impl Draft {
    /// A draft that is never written: what is put into it isn't encoded.
    pub(super) fn rehearsal() -> Self {
        Self { purpose: Purpose::Rehearse, ..Self::default() }
    }

    pub(super) fn put(&mut self, key: Bytes, record: &impl Encode<()>) {
        self.put_with(key, record, Payload::None);
    }

    pub(super) fn put_with(&mut self, key: Bytes, record: &impl Encode<()>, payload: Payload) {
        if self.is_read() {
            self.put_entry(key, Entry { value: encode(record), payload });
        }
    }

    pub(super) fn put_entry(&mut self, key: Bytes, entry: Entry) {
        if let Some(changed) = &mut self.changed {
            changed.insert(key.clone(), Some(entry.clone()));
        }
        if self.purpose == Purpose::Write {
            self.batch.put(key, entry);
        }
    }

    /// Whether anybody will look at what is put.
    fn is_read(&self) -> bool {
        self.purpose == Purpose::Write || self.changed.is_some()
    }

    /// Changes what the group knows of a bucket.
    pub(super) fn put_bucket_state(
        &mut self,
        group: GroupId,
        bucket: BucketId,
        state: BucketState,
    ) {
        let key = keys::bucket_state(group, bucket);
        if state == BucketState::OPEN {
            self.delete(key);
        } else {
            self.put(key, &state);
        }
        self.bucket_state = Some((bucket, state));
    }

    /// From now on [`Self::changed`] knows what is changed.
    pub(super) fn remember(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// What has become of an index key, where it was changed: its entry, or that it is deleted.
    pub(super) fn changed(&self, key: &Bytes) -> Option<&Option<Entry>> {
        self.changed.as_ref()?.get(key)
    }

    /// The first index key of a range that was put and not deleted again.
    pub(super) fn first_put(&self, range: &Range<Bytes>) -> Option<Bytes> {
        let bounds = (Bound::Included(&range.start), Bound::Excluded(&range.end));
        let mut changes = self.changed.as_ref()?.range::<Bytes, _>(bounds);
        changes.find(|(_, entry)| entry.is_some()).map(|(key, _)| key.clone())
    }

    /// Puts a body on the list of those to be reclaimed, under `key`.
    pub(super) fn condemn(&mut self, key: Bytes, id: CondemnedId, condemned: Condemned) {
        self.put(key, &condemned);
        let oldest_ms = Some(id.since_ms);
        let one = PendingDelete { bodies: 1, bytes: condemned.bytes, oldest_ms };
        self.condemned = self.condemned.plus(one);
    }

    pub(super) fn delete(&mut self, key: Bytes) {
        if let Some(changed) = &mut self.changed {
            changed.insert(key.clone(), None);
        }
        if self.purpose == Purpose::Write {
            self.batch.delete(key);
        }
    }
}
