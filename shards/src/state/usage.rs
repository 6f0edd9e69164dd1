//! How much of a bucket a group holds: objects, versions, and their bytes, at hand without a walk.
//!
//! A record of USAGE a bucket has it. It is written in the batch of the command that changes it, so it is exact at every
//! moment and after every restart. What was written before there were such records is counted once, before the group's log
//! is applied: META says since when all of a group is counted. Where that can't be relied on any more, because a record can't
//! be read or entries were lost, the word of META goes, and with it all figures until the next start has counted again.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ops::Range,
};

use anode_disk::{
    Directory, Error,
    index::{Batch, Entry, Payload},
};
use bytes::Bytes;
use minicbor::{Decode, Encode};
use tracing::error;

use super::{
    State,
    draft::Draft,
    keys,
    read::{PAGE, corrupt, decode},
};
use crate::{
    cbor::encode,
    limits::USAGES_CACHED_MAX,
    object::{BucketId, Object, Part, UploadId},
    quota::Amount,
};

/// What is in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Usage {
    /// Objects: keys whose newest version isn't a delete marker.
    #[n(0)]
    pub objects: u64,
    /// Versions, those of [`Self::objects`] included; delete markers are none.
    #[n(1)]
    pub versions: u64,
    /// Delete markers.
    #[n(2)]
    pub markers: u64,
    /// Bytes of all versions.
    #[n(3)]
    pub bytes: u64,
    /// Bytes of parts of uploads that are not completed.
    #[n(4)]
    pub part_bytes: u64,
}

/// What a command does to a [`Usage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Change {
    objects: i64,
    versions: i64,
    markers: i64,
    bytes: i64,
    part_bytes: i64,
}

/// What a group's state remembers of its records.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Whether all of the group is counted.
    is_counted: Cell<bool>,
    known: RefCell<BTreeMap<BucketId, Usage>>,
    /// The sum of all records.
    total: Cell<Usage>,
}

/// What a draft leaves of the figures.
#[derive(Debug, Default)]
pub(super) struct Tallied {
    buckets: Vec<(BucketId, Usage)>,
    total: Option<Usage>,
}

impl Usage {
    /// This and that: of two groups, say.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            objects: self.objects.saturating_add(other.objects),
            versions: self.versions.saturating_add(other.versions),
            markers: self.markers.saturating_add(other.markers),
            bytes: self.bytes.saturating_add(other.bytes),
            part_bytes: self.part_bytes.saturating_add(other.part_bytes),
        }
    }

    /// What of it a quota is about.
    pub fn amount(&self) -> Amount {
        Amount { bytes: self.bytes.saturating_add(self.part_bytes), objects: self.versions }
    }

    /// None where less was there than goes.
    fn changed(self, change: Change) -> Option<Self> {
        Some(Self {
            objects: self.objects.checked_add_signed(change.objects)?,
            versions: self.versions.checked_add_signed(change.versions)?,
            markers: self.markers.checked_add_signed(change.markers)?,
            bytes: self.bytes.checked_add_signed(change.bytes)?,
            part_bytes: self.part_bytes.checked_add_signed(change.part_bytes)?,
        })
    }
}

impl Change {
    /// A key has an object.
    pub(super) const APPEARED: Self =
        Self { objects: 1, versions: 0, markers: 0, bytes: 0, part_bytes: 0 };
    /// A key has no object any more.
    pub(super) const VANISHED: Self =
        Self { objects: -1, versions: 0, markers: 0, bytes: 0, part_bytes: 0 };

    /// A version is made, be it a delete marker.
    pub(super) fn made(object: &Object) -> Self {
        if object.is_marker() {
            return Self { markers: 1, ..Self::default() };
        }
        Self { versions: 1, bytes: signed(object.size), ..Self::default() }
    }

    /// A version goes.
    pub(super) fn gone(object: &Object) -> Self {
        let made = Self::made(object);
        Self {
            versions: -made.versions,
            markers: -made.markers,
            bytes: -made.bytes,
            ..Self::default()
        }
    }

    /// So many bytes of parts come, and so many go.
    pub(super) fn parts(come: u64, go: u64) -> Self {
        Self { part_bytes: signed(come) - signed(go), ..Self::default() }
    }

    /// By how much a bucket grows with it, of what quotas are about.
    pub(super) fn growth(self) -> Amount {
        let grows = |change: i64| u64::try_from(change).unwrap_or_default();
        Amount { bytes: grows(self.bytes + self.part_bytes), objects: grows(self.versions) }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            objects: self.objects + other.objects,
            versions: self.versions + other.versions,
            markers: self.markers + other.markers,
            bytes: self.bytes + other.bytes,
            part_bytes: self.part_bytes + other.part_bytes,
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).expect("an object has at most 5 TiB")
}

impl Draft {
    /// Has the figures of a bucket change with what is drafted.
    pub(super) fn count(&mut self, bucket: BucketId, change: Change) {
        match self.usage.iter_mut().find(|(of, _)| *of == bucket) {
            Some((_, sum)) => *sum = sum.plus(change),
            None => self.usage.push((bucket, change)),
        }
    }
}

impl<D: Directory> State<D> {
    /// What the group holds of a bucket; none where that isn't known until the next start.
    pub async fn usage(&self, bucket: BucketId) -> Result<Option<Usage>, Error> {
        if !self.tally.is_counted.get() {
            return Ok(None);
        }
        self.known_usage(bucket).await.map(Some)
    }

    /// What the group holds of all buckets; none where that isn't known until the next start.
    pub fn total_usage(&self) -> Option<Usage> {
        self.tally.is_counted.get().then(|| self.tally.total.get())
    }

    /// Counts what the group holds, unless that was done. To be called before its log is applied. Where damage hinders it
    /// there are no figures.
    ///
    /// # Errors
    ///
    /// Those of a read, but for damage.
    pub async fn begin_counting(&self) -> Result<(), Error> {
        self.read_allowances().await?;
        self.bucket_states.clear();
        self.tally.known.borrow_mut().clear();
        self.tally.is_counted.set(false);
        match self.count_once().await {
            Err(damage @ Error::Corrupt { .. }) => {
                error!(group = self.group, %damage, "buckets can't be counted");
                Ok(())
            }
            counted => {
                counted?;
                self.tally.is_counted.set(true);
                Ok(())
            }
        }
    }

    async fn count_once(&self) -> Result<(), Error> {
        let marker = keys::counted(self.group);
        if self.storage.index.get(&marker).await?.is_none() {
            let mut batch = Batch::default();
            for (key, _) in self.scan_all(keys::all_usages(self.group)).await? {
                batch.delete(key);
            }
            for (bucket, usage) in self.counted_anew().await? {
                let entry = Entry { value: encode(&usage), payload: Payload::None };
                batch.put(keys::usage(self.group, bucket), entry);
            }
            batch.put(marker, Entry { value: Bytes::new(), payload: Payload::None });
            self.storage.index.write(batch);
        }
        let mut total = Usage::default();
        for (key, entry) in self.scan_all(keys::all_usages(self.group)).await? {
            total = total.plus(decode(&key, &entry.value)?);
        }
        self.tally.total.set(total);
        Ok(())
    }

    /// Has the next start count again: entries may have been lost. Durable after the next flush of the index.
    pub fn forget_usage(&self) {
        let mut batch = Batch::default();
        batch.delete(keys::counted(self.group));
        self.storage.index.write(batch);
        self.tally.is_counted.set(false);
    }

    /// Every entry looked at: what the records must say.
    pub(super) async fn counted_anew(&self) -> Result<BTreeMap<BucketId, Usage>, Error> {
        let mut found: BTreeMap<BucketId, Usage> = BTreeMap::new();
        let mut add = |bucket, change| {
            let usage = found.entry(bucket).or_default();
            *usage = usage.changed(change).expect("nothing is taken off");
        };
        for (range, is_current) in
            [(keys::all_objects(self.group), true), (keys::all_versions(self.group), false)]
        {
            let mut start = Some(range.start);
            while let Some(from) = start {
                let page = self.storage.index.scan(from..range.end.clone(), PAGE).await?;
                for (key, entry) in &page.entries {
                    let object: Object = decode(key, &entry.value)?;
                    let objects = i64::from(is_current);
                    add(bucket_in(key)?, Change { objects, ..Change::made(&object) });
                }
                start = page.next;
            }
        }
        let mut uploads: BTreeMap<UploadId, BucketId> = BTreeMap::new();
        for (key, _) in self.scan_all(keys::all_uploads(self.group)).await? {
            let id = key.last_chunk::<16>().and_then(|id| keys::upload_id(id));
            let id = id.ok_or_else(|| corrupt(&key, "no upload".to_owned()))?;
            uploads.insert(id, bucket_in(&key)?);
        }
        for (key, entry) in self.scan_all(keys::all_parts(self.group)).await? {
            let id = key.get(5..21).and_then(keys::upload_id);
            let part: Part = decode(&key, &entry.value)?;
            // A part without its upload goes with the next mend, and nobody can name it.
            if let Some(bucket) = id.and_then(|id| uploads.get(&id)) {
                add(*bucket, Change::parts(part.size, 0));
            }
        }
        Ok(found)
    }

    /// Puts the figures that a draft leaves into it. They are taken up once it is written ([`Self::tallied`]).
    pub(super) async fn count_usage(&self, draft: &mut Draft) -> Result<Tallied, Error> {
        let mut after = Tallied::default();
        if !self.tally.is_counted.get() {
            return Ok(after);
        }
        for (bucket, change) in std::mem::take(&mut draft.usage) {
            if change == Change::default() {
                continue;
            }
            let before = match self.known_usage(bucket).await {
                Err(damage @ Error::Corrupt { .. }) => {
                    error!(group = self.group, %damage, "figures of a bucket can't be read");
                    None
                }
                read => Some(read?),
            };
            let usage = before.and_then(|before| before.changed(change));
            let total = after.total.unwrap_or_else(|| self.tally.total.get()).changed(change);
            let Some((usage, total)) = usage.zip(total) else {
                error!(group = self.group, bucket, "buckets are counted again at the next start");
                self.tally.is_counted.set(false);
                draft.delete(keys::counted(self.group));
                return Ok(Tallied::default());
            };
            let key = keys::usage(self.group, bucket);
            if usage == Usage::default() {
                draft.delete(key);
            } else {
                draft.put(key, &usage);
            }
            after.buckets.push((bucket, usage));
            after.total = Some(total);
        }
        Ok(after)
    }

    /// Figures that were written.
    pub(super) fn tallied(&self, after: Tallied) {
        if let Some(total) = after.total {
            self.tally.total.set(total);
        }
        self.remember_usages(after.buckets);
    }

    fn remember_usages(&self, usages: Vec<(BucketId, Usage)>) {
        let mut known = self.tally.known.borrow_mut();
        if known.len() + usages.len() > USAGES_CACHED_MAX {
            known.clear();
        }
        known.extend(usages);
    }

    async fn known_usage(&self, bucket: BucketId) -> Result<Usage, Error> {
        if let Some(known) = self.tally.known.borrow().get(&bucket) {
            return Ok(*known);
        }
        let found = self.record(&keys::usage(self.group, bucket)).await?.unwrap_or_default();
        self.remember_usages(vec![(bucket, found)]);
        Ok(found)
    }

    pub(super) async fn scan_all(&self, range: Range<Bytes>) -> Result<Vec<(Bytes, Entry)>, Error> {
        let mut all = Vec::new();
        let mut start = Some(range.start);
        while let Some(from) = start {
            let page = self.storage.index.scan(from..range.end.clone(), PAGE).await?;
            all.extend(page.entries);
            start = page.next;
        }
        Ok(all)
    }
}

/// The bucket behind the group and the space of an index key.
#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
pub(super) fn bucket_in(key: &Bytes) -> Result<BucketId, Error> {
    let bytes = key.get(5..).and_then(|rest| rest.first_chunk());
    let bytes = bytes.ok_or_else(|| corrupt(key, "no bucket".to_owned()))?;
    Ok(u64::from_be_bytes(*bytes))
}
