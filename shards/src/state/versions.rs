//! Where versions of objects go when another takes their place, and what takes the place of one that is removed.
//!
//! What a GET finds is the OBJECT of its key; all other versions are VERSIONs, delete markers always. So a bucket without
//! versioning pays nothing, and one with versioning moves the version before with each overwrite. Where there is no OBJECT
//! the newest VERSION is a delete marker, if there is any.

use std::borrow::Cow;

use anode_disk::{
    Directory, Error,
    index::{Entry, Payload, ScanLimit},
};
use bytes::Bytes;

use super::{
    State,
    draft::Draft,
    events::About,
    keys,
    read::{LOOKUPS_MAX, decode},
    usage::Change,
};
use crate::{
    cbor::encode,
    command::{Amend, Amendment, DeleteObject, Deleted, Refusal, Reply, WriteCondition},
    lock::{Leave, Lock},
    object::{Body, BucketId, Object},
    version::{ObjectVersion, VersionId, Versioning, WantedVersion},
};

/// A key of a bucket.
pub(super) type Name<'a> = (BucketId, &'a str);

/// A version where it lies.
#[derive(Clone, Debug)]
pub(super) struct Lying {
    pub(super) index_key: Bytes,
    pub(super) object: Object,
    pub(super) entry: Entry,
}

/// Of the newest versions of a key that a draft may have changed, so many are looked at once.
const NEWEST: ScanLimit = ScanLimit { entries: 4, bytes: 1 << 16 };

impl<D: Directory> State<D> {
    /// Puts a new object under a key; what was current goes where the bucket's versioning has it go.
    pub(super) async fn store<'a>(
        &self,
        (bucket, key): Name<'_>,
        (mut object, payload): (Cow<'a, Object>, Payload),
        (before, versioning, nonce): (Option<Lying>, Versioning, u64),
        draft: &mut Draft,
    ) -> Result<Cow<'a, Object>, Error> {
        let now_ms = object.last_modified_ms;
        draft.count(bucket, Change::made(&object));
        if before.is_none() {
            draft.count(bucket, Change::APPEARED);
        }
        if versioning == Versioning::Off {
            let before = before.as_ref().map(|before| &before.object);
            if let Some(before) = before {
                draft.count(bucket, Change::gone(before));
            }
            self.condemn_object(before, (&object, now_ms), draft);
        } else {
            let is_null = versioning == Versioning::Suspended;
            // Boxed, for else every command would keep room for it.
            let succeed = self.succeed((bucket, key), before, (is_null, now_ms), draft);
            let id = VersionId { sequence: Box::pin(succeed).await?, nonce };
            object.to_mut().version = Some(ObjectVersion { id, is_null, is_marker: false });
        }
        draft.put_with(keys::object(self.group, bucket, key), object.as_ref(), payload);
        Ok(object)
    }

    /// Refuses a write that would take the place of a null version that is locked.
    pub(super) async fn check_lock(
        &self,
        name: Name<'_>,
        (versioning, now_ms): (Versioning, u64),
        draft: &Draft,
    ) -> Result<Result<(), Refusal>, Error> {
        if versioning != Versioning::Suspended {
            return Ok(Ok(()));
        }
        let null = Box::pin(self.wanted(name, WantedVersion::Null, draft)).await?;
        let leave = Leave { now_ms, bypasses_governance: false };
        let is_locked = null.is_some_and(|null| null.object.is_locked(leave));
        Ok(if is_locked { Err(Refusal::Locked) } else { Ok(()) })
    }

    /// S3: `DeleteObject` where the bucket keeps versions, or did.
    pub(super) async fn delete_versioned(
        &self,
        delete: &DeleteObject,
        versioning: Versioning,
        draft: &mut Draft,
    ) -> Result<Result<Deleted, Refusal>, Error> {
        // What is newest afterwards is read while the draft knows better.
        draft.remember();
        let name = (delete.bucket, delete.key.as_str());
        let condition =
            WriteCondition { if_none_match_any: false, if_match: delete.if_match.clone() };
        let found = self.wanted(name, delete.version, draft).await?;
        if let Err(refusal) = condition.check(found.as_ref().map(|found| &found.object)) {
            return Ok(Err(refusal));
        }
        if delete.seen_ms.is_some()
            && !found.as_ref().is_some_and(|found| delete.means(&found.object))
        {
            return Ok(Ok(Deleted::default()));
        }
        if delete.version == WantedVersion::Current {
            let made = (versioning, delete.now_ms);
            if let Err(refusal) = self.check_lock(name, made, draft).await? {
                return Ok(Err(refusal));
            }
            let is_null = versioning == Versioning::Suspended;
            let marker = self.hide(name, found.clone(), (is_null, delete), draft).await?;
            let version = Some(marker.name());
            draft.tell(
                delete.notice.as_deref(),
                |notice| notice.if_hidden.as_ref(),
                About {
                    bucket: delete.bucket,
                    key: &delete.key,
                    object: None,
                    version: Some(marker.name().to_string()),
                },
            );
            return Ok(Ok(Deleted { found: found.is_some(), version, is_marker: true }));
        }
        let Some(found) = found else { return Ok(Ok(Deleted::default())) };
        let object_key = keys::object(self.group, delete.bucket, &delete.key);
        if delete.seen_ms.is_some() && found.index_key == object_key {
            // It was seen among the others, and has become current since.
            return Ok(Ok(Deleted::default()));
        }
        if found.object.is_locked(delete.leave()) {
            return Ok(Err(Refusal::Locked));
        }
        if found.index_key == object_key {
            draft.count(delete.bucket, Change::VANISHED);
        }
        self.remove(name, &found, delete.now_ms, draft).await?;
        self.promote(name, draft).await?;
        let (version, is_marker) = (Some(found.object.version_name()), found.object.is_marker());
        draft.tell(
            delete.notice.as_deref(),
            |notice| notice.if_done.as_ref(),
            About {
                bucket: delete.bucket,
                key: &delete.key,
                object: None,
                version: version.map(|version| version.to_string()),
            },
        );
        Ok(Ok(Deleted { found: true, version, is_marker }))
    }

    /// Changes what is kept beside the bytes of a version. Inline bytes and parts are written again with it; chunks are not.
    pub(super) async fn amend(
        &self,
        amend: &Amend,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        let name = (amend.bucket, amend.key.as_str());
        let found = self.wanted(name, amend.version, draft).await?;
        let Some(mut found) = found else { return Ok(Err(Refusal::NoSuchKey)) };
        if found.object.is_marker() {
            return Ok(Err(Refusal::IsMarker));
        }
        let lock = found.object.lock.unwrap_or_default();
        match &amend.change {
            Amendment::Tags(tags) => found.object.tags.clone_from(tags),
            Amendment::Retention(retention, leave) if lock.forbids(*retention, *leave) => {
                return Ok(Err(Refusal::Locked));
            }
            Amendment::Retention(retention, _) => {
                found.object.lock = Some(Lock { retention: *retention, ..lock });
            }
            Amendment::LegalHold(is_on) => {
                found.object.lock = Some(Lock { legal_hold: Some(*is_on), ..lock });
            }
            Amendment::Acl(before, _) if found.object.acl != *before => {
                return Ok(Err(Refusal::Outdated));
            }
            Amendment::Acl(_, after) => found.object.acl.clone_from(after),
            Amendment::Transition(transition) => {
                let done = self.transit(&mut found.object, transition, draft).await?;
                if let Err(refusal) = done {
                    return Ok(Err(refusal));
                }
            }
        }
        let versioning = self.bucket_state(amend.bucket).await?.versioning;
        let shown = found.object.version_name();
        let (index_key, value) = (found.index_key.clone(), encode(&found.object));
        let version = (versioning != Versioning::Off).then_some(shown);
        draft.tell(
            amend.notice.as_deref(),
            |notice| notice.if_done.as_ref(),
            About {
                bucket: amend.bucket,
                key: &amend.key,
                object: Some(&found.object),
                version: version.map(|version| version.to_string()),
            },
        );
        let moved = self.movable(found).await?;
        draft.put_entry(index_key, Entry { value, payload: moved.payload });
        Ok(Ok(Reply::Amended { version }))
    }

    /// What a GET finds under a key.
    pub(super) async fn current(
        &self,
        (bucket, key): Name<'_>,
        draft: &Draft,
    ) -> Result<Option<Lying>, Error> {
        self.lying(keys::object(self.group, bucket, key), draft).await
    }

    /// Makes a delete marker the newest version.
    async fn hide(
        &self,
        name: Name<'_>,
        current: Option<Lying>,
        (is_null, delete): (bool, &DeleteObject),
        draft: &mut Draft,
    ) -> Result<ObjectVersion, Error> {
        let (bucket, key) = name;
        let was_there = current.is_some();
        let sequence = self.succeed(name, current, (is_null, delete.now_ms), draft).await?;
        let id = VersionId { sequence, nonce: delete.nonce };
        let version = ObjectVersion { id, is_null, is_marker: true };
        if was_there {
            draft.count(bucket, Change::VANISHED);
            draft.delete(keys::object(self.group, bucket, key));
        }
        let version_of = Some(version);
        let last_modified_ms = delete.now_ms;
        let marker = Object { last_modified_ms, version: version_of, ..Object::default() };
        draft.count(bucket, Change::made(&marker));
        draft.put(keys::version(self.group, bucket, key, sequence), &marker);
        if is_null {
            draft.put(keys::null(self.group, bucket, key), &sequence);
        }
        Ok(version)
    }

    /// Before a new version is made, of which this is the sequence: what is current becomes one of the others, and a null
    /// version goes where the new one is the null version.
    async fn succeed(
        &self,
        name: Name<'_>,
        current: Option<Lying>,
        (is_null, now_ms): (bool, u64),
        draft: &mut Draft,
    ) -> Result<u64, Error> {
        let nothing = Object::default();
        let sequence = self.next_sequence(name, current.as_ref(), draft).await?;
        if is_null {
            match &current {
                Some(current) if current.object.version().is_null => {
                    draft.count(name.0, Change::gone(&current.object));
                    self.condemn_object(Some(&current.object), (&nothing, now_ms), draft);
                    return Ok(sequence);
                }
                Some(_) | None => {
                    if let Some(null) = self.wanted(name, WantedVersion::Null, draft).await? {
                        self.remove(name, &null, now_ms, draft).await?;
                    }
                }
            }
        }
        if let Some(current) = current {
            self.retire(name, current, draft).await?;
        }
        Ok(sequence)
    }

    /// Takes a version away: it is gone when the draft is written.
    async fn remove(
        &self,
        (bucket, key): Name<'_>,
        version: &Lying,
        now_ms: u64,
        draft: &mut Draft,
    ) -> Result<(), Error> {
        draft.count(bucket, Change::gone(&version.object));
        self.condemn_object(Some(&version.object), (&Object::default(), now_ms), draft);
        draft.delete(version.index_key.clone());
        let null = keys::null(self.group, bucket, key);
        if version.object.version().is_null && self.entry(&null, draft).await?.is_some() {
            draft.delete(null);
        }
        Ok(())
    }

    /// Moves the current version among the others. The OBJECT stays in the draft's way: its caller replaces or deletes it.
    async fn retire(
        &self,
        (bucket, key): Name<'_>,
        current: Lying,
        draft: &mut Draft,
    ) -> Result<(), Error> {
        draft.moves_versions = true;
        let version = current.object.version();
        let sequence = version.id.sequence;
        let entry = self.movable(current).await?;
        draft.put_entry(keys::version(self.group, bucket, key, sequence), entry);
        if version.is_null {
            draft.put(keys::null(self.group, bucket, key), &sequence);
        }
        Ok(())
    }

    /// Where nothing is current, makes the newest version current, unless it is a delete marker.
    async fn promote(&self, name: Name<'_>, draft: &mut Draft) -> Result<(), Error> {
        let (bucket, key) = name;
        let object_key = keys::object(self.group, bucket, key);
        if self.entry(&object_key, draft).await?.is_some() {
            return Ok(());
        }
        let Some(newest) = self.newest(name, draft).await? else { return Ok(()) };
        let version = newest.object.version();
        if version.is_marker {
            return Ok(());
        }
        draft.moves_versions = true;
        draft.delete(newest.index_key.clone());
        if version.is_null {
            draft.delete(keys::null(self.group, bucket, key));
        }
        draft.count(bucket, Change::APPEARED);
        draft.put_entry(object_key, self.movable(newest).await?);
        Ok(())
    }

    /// A version's entry with its payload, to be put elsewhere.
    pub(super) async fn movable(&self, mut version: Lying) -> Result<Entry, Error> {
        let payload = match version.object.body {
            Body::Empty | Body::Whole(_) => Payload::None,
            Body::Parts(_) => Payload::Inline(encode(&version.object.parts)),
            Body::Inline(bytes) => {
                let index = &self.storage.index;
                let mut attempts_left = LOOKUPS_MAX;
                loop {
                    match index.payload(&version.index_key, &version.entry, 0..bytes).await {
                        Ok(bytes) => break Payload::Inline(bytes),
                        // Upkeep has moved it since: look again.
                        Err(Error::Absent { .. }) if attempts_left > 0 => attempts_left -= 1,
                        Err(error) => return Err(error),
                    }
                    if let Some(entry) = index.get(&version.index_key).await? {
                        version.entry = entry;
                    }
                }
            }
        };
        Ok(Entry { value: version.entry.value, payload })
    }

    /// The number of the next version of a key.
    async fn next_sequence(
        &self,
        name: Name<'_>,
        current: Option<&Lying>,
        draft: &Draft,
    ) -> Result<u64, Error> {
        let newest = match current {
            Some(current) => Some(current.object.version()),
            None => self.newest(name, draft).await?.map(|newest| newest.object.version()),
        };
        Ok(newest.map_or(1, |newest| newest.id.sequence + 1))
    }

    /// The newest version but the current one.
    pub(super) async fn newest(
        &self,
        (bucket, key): Name<'_>,
        draft: &Draft,
    ) -> Result<Option<Lying>, Error> {
        let range = keys::versions_of(self.group, bucket, key);
        let mut found = draft.first_put(&range);
        let mut start = Some(range.start);
        'scan: while let Some(from) = start {
            let page = self.storage.index.scan(from..range.end.clone(), NEWEST).await?;
            for (index_key, _) in page.entries {
                if draft.changed(&index_key).is_none() {
                    found = found.into_iter().chain([index_key]).min();
                    break 'scan;
                }
            }
            start = page.next;
        }
        match found {
            Some(index_key) => self.lying(index_key, draft).await,
            None => Ok(None),
        }
    }

    /// The version of a key that is wanted. Where a delete marker is the newest, nothing is current.
    async fn wanted(
        &self,
        name: Name<'_>,
        wanted: WantedVersion,
        draft: &Draft,
    ) -> Result<Option<Lying>, Error> {
        let current = self.current(name, draft).await?;
        match current.filter(|lying| wanted.is(&lying.object)) {
            Some(current) => Ok(Some(current)),
            None => self.among_others(name, wanted, draft).await,
        }
    }

    /// The version that is wanted, where it isn't the current one.
    pub(super) async fn among_others(
        &self,
        (bucket, key): Name<'_>,
        wanted: WantedVersion,
        draft: &Draft,
    ) -> Result<Option<Lying>, Error> {
        let sequence = match wanted {
            WantedVersion::Current => None,
            WantedVersion::Id(id) => Some(id.sequence),
            WantedVersion::Null => {
                let null = keys::null(self.group, bucket, key);
                let entry = self.entry(&null, draft).await?;
                entry.map(|entry| decode(&null, &entry.value)).transpose()?
            }
        };
        let Some(sequence) = sequence else { return Ok(None) };
        let index_key = keys::version(self.group, bucket, key, sequence);
        let found = self.lying(index_key, draft).await?;
        Ok(found.filter(|lying| wanted.is(&lying.object)))
    }

    /// An index entry as the draft leaves it.
    async fn entry(&self, key: &Bytes, draft: &Draft) -> Result<Option<Entry>, Error> {
        match draft.changed(key) {
            Some(changed) => Ok(changed.clone()),
            None => self.storage.index.get(key).await,
        }
    }

    /// A version with its parts.
    async fn lying(&self, index_key: Bytes, draft: &Draft) -> Result<Option<Lying>, Error> {
        let found = match draft.changed(&index_key) {
            None => self.load(&index_key).await?,
            Some(None) => None,
            Some(Some(entry)) => {
                let object = self.object_in(&index_key, entry).await?;
                Some((object, entry.clone()))
            }
        };
        Ok(found.map(|(object, entry)| Lying { index_key, object, entry }))
    }
}
