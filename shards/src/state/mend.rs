//! Mending: after index entries were lost, what is left of a group is made to agree with itself again.
//!
//! A survey reads all of the group's entries and compares what refers with what is there:
//!
//! - an object, or a part of an upload, is *damaged* where a chunk of it is missing;
//! - a body that nothing names any more is condemned, as if its object had been deleted;
//! - how often contents are referred to, and what waits to be reclaimed, is counted anew.
//!
//! Of a group that lost nothing a survey finds nothing. A mend removes what is damaged; it may end anywhere, for the next
//! survey finds what is left to do. Neither runs beside commands.

mod read;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use anode_disk::{
    Directory, Error,
    index::{Batch, Entry, Payload},
};
use bytes::Bytes;

use self::read::{Entries, Held};
use super::{
    Condemned, CondemnedId, PendingDelete, State, Struck, keys,
    named::object_record,
    read::{condemned_id, decode},
    versions::Lying,
};
use crate::{
    cbor::encode,
    encryption::stored_bytes,
    limits::{BODY_BYTES_MAX, CHUNK_BYTES_MAX},
    object::{Body, BodyId, BucketId, ContentId, Object, Part, UploadId, chunk_count},
};

/// Changes that are written at once.
const BATCH_CHANGES: usize = 1000;

/// An object that can't be read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedObject {
    /// Its bucket.
    pub bucket: BucketId,
    /// Its key.
    pub key: String,
    /// What is known of it; without parts where these can't be read.
    pub object: Object,
}

/// A body that nothing names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnnamedBody {
    /// Its id.
    pub body: BodyId,
    /// The number behind its last chunk that is known.
    pub chunks_end: u32,
}

/// What doesn't agree in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Objects that can't be read whole.
    pub objects: Vec<DamagedObject>,
    /// Parts of uploads that can't be read whole, or whose upload is gone.
    pub parts: Vec<(UploadId, u16)>,
    /// Bodies that nothing names, or nothing that stays.
    pub unnamed: Vec<UnnamedBody>,
    /// What to write.
    changes: Vec<(Bytes, Option<Entry>)>,
}

impl Survey {
    /// Whether all agrees.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl<D: Directory> State<D> {
    /// Compares what refers with what is there. Bodies that nothing names are condemned as of `now_ms`, in milliseconds
    /// since the epoch. Memory is about 150 bytes a chunk of the group.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] where an entry can't be read: excise it first ([`anode_disk::index::Index::excise`]).
    pub async fn survey(&self, now_ms: u64) -> Result<Survey, Error> {
        let mut survey = Survey::default();
        let mut held = Held::read(self, &mut survey.changes).await?;
        self.survey_objects(&mut held, &mut survey).await?;
        self.survey_parts(&mut held, &mut survey).await?;
        let mut pending = self.survey_condemned(&mut held).await?;
        for (body, found) in held.bodies.iter().filter(|(_, found)| !found.is_named) {
            let condemned = found.condemned();
            let id = CondemnedId { since_ms: now_ms, body: *body };
            let key = keys::condemned(self.group, id);
            survey.changes.push((key, Some(record(encode(&condemned)))));
            survey.unnamed.push(UnnamedBody { body: *body, chunks_end: condemned.chunks });
            let (bytes, oldest_ms) = (condemned.bytes, Some(now_ms));
            pending = pending.plus(PendingDelete { bodies: 1, bytes, oldest_ms });
        }
        self.survey_counts(&held, &mut survey).await?;
        let key = keys::pending(self.group);
        if self.pending_delete().await? != pending {
            let is_nothing = pending == PendingDelete::default();
            survey.changes.push((key, (!is_nothing).then(|| record(encode(&pending)))));
        }
        Ok(survey)
    }

    /// Writes what a survey found to be done. Durable after the next flush of the index.
    ///
    /// # Errors
    ///
    /// Those of a flush, which is made where memory asks for one.
    pub async fn mend(&self, survey: Survey) -> Result<(), Error> {
        let index = &self.storage.index;
        let mut changes = survey.changes.into_iter().peekable();
        while changes.peek().is_some() {
            if index.is_full() {
                index.flush().await?;
            }
            let mut batch = Batch::default();
            for (key, entry) in changes.by_ref().take(BATCH_CHANGES) {
                match entry {
                    Some(entry) => batch.put(key, entry),
                    None => batch.delete(key),
                }
            }
            index.write(batch);
        }
        Ok(())
    }

    /// All bytes of a chunk, as many as there are; [`Error::Absent`] or [`Error::Corrupt`] where there are none.
    pub async fn whole_chunk(&self, body: BodyId, chunk: u32) -> Result<Bytes, Error> {
        let absent = || Error::Absent { name: format!("chunk {chunk} of {body}") };
        let content = self.content(body, chunk).await?.ok_or_else(absent)?;
        let key = keys::content(self.group, content);
        let entry = self.storage.index.get(&key).await?.ok_or_else(absent)?;
        let length = u32::try_from(entry.payload.length()).unwrap_or(u32::MAX);
        self.storage.index.payload(&key, &entry, 0..length).await
    }

    async fn survey_objects(&self, held: &mut Held, survey: &mut Survey) -> Result<(), Error> {
        for range in [keys::all_objects(self.group), keys::all_versions(self.group)] {
            self.survey_versions(range, held, survey).await?;
        }
        self.survey_promotions(survey).await
    }

    async fn survey_versions(
        &self,
        range: Range<Bytes>,
        held: &mut Held,
        survey: &mut Survey,
    ) -> Result<(), Error> {
        let mut entries = Entries::of(range);
        while let Some((index_key, entry)) = entries.next(self).await? {
            let (object, has_parts) = self.with_parts(&index_key, &entry).await?;
            if has_parts && object.bodies().all(|(body, bytes)| held.is_whole(body, bytes)) {
                held.name(object.bodies().map(|(body, _)| body));
            } else if let Some(damaged) = damaged_object(&index_key, object) {
                survey.objects.push(damaged);
                survey.changes.push((index_key, None));
            }
        }
        Ok(())
    }

    /// Where what was current is lost, the newest version that is left becomes current, unless it is a delete marker. One
    /// that is current already, as after a mend that was cut off, is no other version any more. And null versions are
    /// where it is written that they are.
    async fn survey_promotions(&self, survey: &mut Survey) -> Result<(), Error> {
        let lost: BTreeSet<Bytes> = survey.changes.iter().map(|(key, _)| key.clone()).collect();
        let mut nulls = BTreeMap::new();
        let mut entries = Entries::of(keys::all_versions(self.group));
        let mut last = None;
        while let Some((index_key, entry)) = entries.next(self).await? {
            let Struck::Object { bucket, key } = Struck::of(&index_key) else { continue };
            if lost.contains(&index_key) {
                continue;
            }
            let object = self.object_in(&index_key, &entry).await?;
            let version = object.version();
            let is_newest = last.replace((bucket, key.clone())) != Some((bucket, key.clone()));
            let object_key = keys::object(self.group, bucket, &key);
            let current = self.load(&object_key).await?.filter(|_| !lost.contains(&object_key));
            if current.as_ref().is_some_and(|(current, _)| current.version() == version) {
                survey.changes.push((index_key, None));
            } else if current.is_none() && is_newest && !version.is_marker {
                let lying = Lying { index_key: index_key.clone(), object, entry };
                survey.changes.retain(|(changed, _)| *changed != object_key);
                survey.changes.push((object_key, Some(self.movable(lying).await?)));
                survey.changes.push((index_key, None));
            } else if version.is_null {
                nulls.insert(keys::null(self.group, bucket, &key), version.id.sequence);
            }
        }
        self.survey_nulls(nulls, survey).await
    }

    async fn survey_nulls(
        &self,
        mut nulls: BTreeMap<Bytes, u64>,
        survey: &mut Survey,
    ) -> Result<(), Error> {
        let mut entries = Entries::of(keys::all_nulls(self.group));
        while let Some((key, entry)) = entries.next(self).await? {
            match nulls.get(&key) {
                Some(sequence) if minicbor::decode::<u64>(&entry.value).ok() == Some(*sequence) => {
                    nulls.remove(&key);
                }
                Some(_) => {}
                None => survey.changes.push((key, None)),
            }
        }
        let missing = nulls.into_iter();
        survey
            .changes
            .extend(missing.map(|(key, sequence)| (key, Some(record(encode(&sequence))))));
        Ok(())
    }

    /// An object's record, and whether it comes with its parts.
    async fn with_parts(&self, key: &Bytes, entry: &Entry) -> Result<(Object, bool), Error> {
        let mut object: Object = decode(key, &entry.value)?;
        let Body::Parts(count) = object.body else { return Ok((object, true)) };
        match self.parts_of(key, entry).await {
            Ok(parts) => object.parts = parts,
            Err(Error::Corrupt { .. } | Error::Absent { .. }) => return Ok((object, false)),
            Err(error) => return Err(error),
        }
        let has_all = u32::try_from(object.parts.len()) == Ok(count);
        Ok((object, has_all))
    }

    async fn survey_parts(&self, held: &mut Held, survey: &mut Survey) -> Result<(), Error> {
        let mut uploads = BTreeSet::new();
        let mut entries = Entries::of(keys::all_uploads(self.group));
        while let Some((key, _)) = entries.next(self).await? {
            let id = key.len().checked_sub(16).and_then(|start| keys::upload_id(key.get(start..)?));
            uploads.extend(id);
        }
        let mut entries = Entries::of(keys::all_parts(self.group));
        while let Some((key, entry)) = entries.next(self).await? {
            let part: Part = decode(&key, &entry.value)?;
            let upload = key.get(5..21).and_then(keys::upload_id).unwrap_or_default();
            if uploads.contains(&upload) && held.is_whole(part.body, part.stored_bytes()) {
                held.name([part.body].into_iter());
            } else {
                survey.parts.push((upload, part.number));
                survey.changes.push((key, None));
            }
        }
        Ok(())
    }

    /// What is condemned already, and how much that is.
    async fn survey_condemned(&self, held: &mut Held) -> Result<PendingDelete, Error> {
        let mut pending = PendingDelete::default();
        let mut entries = Entries::of(keys::condemned_all(self.group));
        while let Some((key, entry)) = entries.next(self).await? {
            let id = condemned_id(&key)?;
            let condemned: Condemned = decode(&key, &entry.value)?;
            held.name([id.body].into_iter());
            let removed = u64::from(condemned.removed) * CHUNK_BYTES_MAX;
            let bytes = condemned.bytes.saturating_sub(removed);
            let oldest_ms = Some(id.since_ms);
            pending = pending.plus(PendingDelete { bodies: 1, bytes, oldest_ms });
        }
        Ok(pending)
    }

    /// How often each content is referred to, against what is written down.
    async fn survey_counts(&self, held: &Held, survey: &mut Survey) -> Result<(), Error> {
        let mut written = BTreeMap::new();
        let mut entries = Entries::of(keys::all_shared(self.group));
        while let Some((key, entry)) = entries.next(self).await? {
            let content = key.get(5..).and_then(|name| name.try_into().ok()).map(ContentId);
            let is_shared = |content: &ContentId| {
                held.contents.get(content).is_some_and(|references| *references >= 2)
            };
            if let Some(content) = content.filter(is_shared) {
                written.insert(content, decode::<u64>(&key, &entry.value)?);
            } else {
                survey.changes.push((key, None));
            }
        }
        for (content, references) in &held.contents {
            if *references == 0 {
                survey.changes.push((keys::content(self.group, *content), None));
            } else if *references >= 2 && written.get(content) != Some(references) {
                let key = keys::shared(self.group, *content);
                survey.changes.push((key, Some(record(encode(references)))));
            }
        }
        Ok(())
    }
}

/// An object's record taken from an index entry; none where the key is of something else.
pub fn object_of(index_key: &[u8], value: &[u8]) -> Option<DamagedObject> {
    let (object, _) = object_record(value)?;
    damaged_object(index_key, object)
}

fn damaged_object(index_key: &[u8], object: Object) -> Option<DamagedObject> {
    let Struck::Object { bucket, key } = Struck::of(index_key) else { return None };
    Some(DamagedObject { bucket, key, object })
}

fn record(value: Bytes) -> Entry {
    Entry { value, payload: Payload::None }
}

/// Whether an older entry under this index key is as good as a newer one, and none at all where it was removed: what a
/// chunk refers to and what a content holds never changes, and what is removed is referred to by nothing.
pub fn is_lasting(index_key: &[u8]) -> bool {
    matches!(index_key.get(4), Some(&(keys::CHUNK | keys::CONTENT)))
}

/// How many chunks a body of so many bytes has, if that many are possible.
fn chunks_of(bytes: u64) -> Option<u32> {
    (bytes <= stored_bytes(BODY_BYTES_MAX)).then(|| chunk_count(bytes))
}
