//! Buckets and credentials of the meta group, and the seals that a bucket's removal puts on every other group.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ops::Range,
};

use anode_disk::{
    Directory, Error,
    index::{Entry, Payload, ScanLimit},
};
use bytes::Bytes;

use super::{
    State,
    draft::Draft,
    keys,
    read::{PAGE, corrupt},
};
use crate::{
    command::{
        Configure, CreateBucket, Refusal, RemoveBucket, Reply, SetVersioning, VersioningStep,
    },
    iam::ENDED_ACCOUNT_KIND,
    limits::{BUCKET_STATES_CACHED_MAX, CONFIGURATION_BYTES_MAX},
    object::{Bucket, BucketId, Credential, MasterKey},
    version::{BucketState, Versioning},
};

/// A configuration of a bucket: whose, which, and what it is.
pub type Configuration = (BucketId, u8, Bytes);

const BUCKET_FIRST: BucketId = 1;

/// What the group knows of the buckets that were asked for last: every write asks, and most find that there is no record.
#[derive(Debug, Default)]
pub(super) struct BucketStates {
    known: RefCell<BTreeMap<BucketId, BucketState>>,
    /// How often something was written: what was read before may be old.
    writes: Cell<u64>,
}

impl BucketStates {
    /// A state that was written.
    pub(super) fn take_up(&self, written: Option<(BucketId, BucketState)>) {
        if let Some((bucket, state)) = written {
            self.writes.set(self.writes.get() + 1);
            self.remember(bucket, state);
        }
    }

    /// Nothing is known any more: all of the group's records may be others.
    pub(super) fn clear(&self) {
        self.writes.set(self.writes.get() + 1);
        self.known.borrow_mut().clear();
    }

    fn remember(&self, bucket: BucketId, state: BucketState) {
        let mut known = self.known.borrow_mut();
        if known.len() >= BUCKET_STATES_CACHED_MAX {
            known.clear();
        }
        known.insert(bucket, state);
    }
}

impl<D: Directory> State<D> {
    /// Gives so many bucket ids to nobody: they may have been given away by commands that were lost, and what is left of
    /// such a bucket must not show in another. Durable after the next flush of the index.
    ///
    /// # Errors
    ///
    /// Those of a read.
    pub async fn skip_bucket_ids(&self, count: u64) -> Result<(), Error> {
        let next = self.record(&keys::next_bucket(self.group)).await?.unwrap_or(BUCKET_FIRST);
        let mut draft = Draft::default();
        draft.put(keys::next_bucket(self.group), &next.saturating_add(count));
        self.storage.index.write(draft.batch);
        Ok(())
    }

    /// What the group knows of a bucket.
    pub async fn bucket_state(&self, bucket: BucketId) -> Result<BucketState, Error> {
        let known = self.bucket_states.known.borrow().get(&bucket).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let writes = self.bucket_states.writes.get();
        let found = self.record(&keys::bucket_state(self.group, bucket)).await?;
        let state = found.unwrap_or(BucketState::OPEN);
        if self.bucket_states.writes.get() == writes {
            self.bucket_states.remember(bucket, state);
        }
        Ok(state)
    }

    pub(super) async fn create_bucket(
        &self,
        create: &CreateBucket,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        if create.name.is_empty() || create.name.len() > 63 {
            return Ok(Err(Refusal::Malformed("a bucket name has up to 63 bytes")));
        }
        if let Some(bucket) = self.bucket(&create.name).await? {
            return Ok(Err(Refusal::BucketExists(Box::new(bucket))));
        }
        let ended = keys::iam(self.group, ENDED_ACCOUNT_KIND, &create.account);
        if self.storage.index.get(&ended).await?.is_some() {
            return Ok(Err(Refusal::Outdated));
        }
        let id = self.record(&keys::next_bucket(self.group)).await?.unwrap_or(BUCKET_FIRST);
        let bucket = Bucket {
            id,
            name: create.name.clone(),
            created_ms: create.now_ms,
            owner: create.owner.clone(),
            location: create.location.clone(),
            account: create.account.clone(),
            ..Bucket::default()
        };
        draft.put(keys::next_bucket(self.group), &(id + 1));
        draft.put(keys::bucket(self.group, &create.name), &bucket);
        Ok(Ok(Reply::Bucket(bucket)))
    }

    pub(super) async fn remove_bucket(
        &self,
        remove: &RemoveBucket,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        match self.bucket(&remove.name).await? {
            Some(bucket) if bucket.id == remove.bucket => {
                draft.delete(keys::bucket(self.group, &remove.name));
                for (_, kind, _) in self.configurations_in(self.of_bucket(bucket.id)).await? {
                    draft.delete(keys::configuration(self.group, bucket.id, kind));
                }
                Ok(Ok(Reply::Done))
            }
            Some(_) | None => Ok(Err(Refusal::NoSuchBucket)),
        }
    }

    pub(super) fn put_credential(
        &self,
        credential: &Credential,
        draft: &mut Draft,
    ) -> Result<Reply, Refusal> {
        if credential.access_key.is_empty() || credential.access_key.len() > 128 {
            return Err(Refusal::Malformed("an access key has 1 to 128 bytes"));
        }
        draft.put(keys::credential(self.group, &credential.access_key), credential);
        Ok(Reply::Done)
    }

    /// Keeps what is there: objects are encrypted with it.
    pub(super) async fn put_master_key(
        &self,
        key: &MasterKey,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        if self.master_key().await?.is_none() {
            draft.put(keys::master_key(self.group), key);
        }
        Ok(Ok(Reply::Done))
    }

    pub(super) async fn remove_credential(
        &self,
        access_key: &str,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        if self.credential(access_key).await?.is_none() {
            return Ok(Err(Refusal::NoSuchCredential));
        }
        draft.delete(keys::credential(self.group, access_key));
        Ok(Ok(Reply::Done))
    }

    /// The seal stays after the bucket's removal, so that a write that comes late is refused; ids aren't used again.
    pub(super) async fn seal_bucket(
        &self,
        bucket: BucketId,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        let all = [
            keys::objects(self.group, bucket),
            keys::versions(self.group, bucket),
            keys::uploads(self.group, bucket),
        ];
        for prefix in all {
            if !self.is_empty(prefix).await? {
                return Ok(Err(Refusal::BucketNotEmpty));
            }
        }
        let state = BucketState { is_open: false, ..self.bucket_state(bucket).await? };
        draft.put_bucket_state(self.group, bucket, state);
        Ok(Ok(Reply::Done))
    }

    pub(super) async fn unseal_bucket(
        &self,
        bucket: BucketId,
        draft: &mut Draft,
    ) -> Result<(), Error> {
        let state = BucketState { is_open: true, ..self.bucket_state(bucket).await? };
        draft.put_bucket_state(self.group, bucket, state);
        Ok(())
    }

    pub(super) async fn set_versioning(
        &self,
        set: &SetVersioning,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        if set.versioning == Versioning::Off {
            return Ok(Err(Refusal::Malformed("versioning can be suspended, not undone")));
        }
        if let VersioningStep::Apply(change) = set.step {
            return self.apply_versioning(set, change, draft).await;
        }
        let found = self.bucket(&set.name).await?.filter(|bucket| bucket.id == set.bucket);
        let Some(mut bucket) = found else { return Ok(Err(Refusal::NoSuchBucket)) };
        match set.step {
            VersioningStep::Commit(change) if change == bucket.versioning_change => {
                bucket.versioning = set.versioning;
            }
            VersioningStep::Begin => bucket.versioning_change += 1,
            VersioningStep::Commit(_) | VersioningStep::Apply(_) => {}
        }
        draft.put(keys::bucket(self.group, &set.name), &bucket);
        Ok(Ok(Reply::Bucket(bucket)))
    }

    pub(super) async fn configure(
        &self,
        set: &Configure,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        if self.bucket(&set.name).await?.is_none_or(|bucket| bucket.id != set.bucket) {
            return Ok(Err(Refusal::NoSuchBucket));
        }
        let key = keys::configuration(self.group, set.bucket, set.kind);
        match &set.document {
            Some(document) if document.len() > CONFIGURATION_BYTES_MAX => {
                return Ok(Err(Refusal::Malformed("a configuration has up to 256 KiB")));
            }
            Some(document) => {
                let value = Bytes::copy_from_slice(document);
                draft.put_entry(key, Entry { value, payload: Payload::None });
            }
            None => draft.delete(key),
        }
        Ok(Ok(Reply::Done))
    }

    /// Meta group: the configurations of all buckets: whose, which, and what it is.
    pub async fn configurations(&self) -> Result<Vec<Configuration>, Error> {
        self.configurations_in(keys::all_configurations(self.group)).await
    }

    fn of_bucket(&self, bucket: BucketId) -> Range<Bytes> {
        keys::configurations(self.group, bucket)
    }

    async fn configurations_in(&self, range: Range<Bytes>) -> Result<Vec<Configuration>, Error> {
        let mut found = Vec::new();
        let mut start = Some(range.start);
        while let Some(from) = start {
            let page = self.storage.index.scan(from..range.end.clone(), PAGE).await?;
            for (key, entry) in page.entries {
                let named = key.get(5..).and_then(keys::configuration_of);
                let named = named.ok_or_else(|| corrupt(&key, "no configuration".to_owned()))?;
                found.push((named.0, named.1, entry.value));
            }
            start = page.next;
        }
        Ok(found)
    }

    async fn apply_versioning(
        &self,
        set: &SetVersioning,
        change: u64,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        let state = self.bucket_state(set.bucket).await?;
        if !state.is_open {
            return Ok(Err(Refusal::BucketSealed));
        }
        if change > state.versioning_change {
            let (versioning, versioning_change) = (set.versioning, change);
            let state = BucketState { versioning, versioning_change, ..state };
            draft.put_bucket_state(self.group, set.bucket, state);
        }
        Ok(Ok(Reply::Done))
    }

    async fn is_empty(&self, prefix: Vec<u8>) -> Result<bool, Error> {
        let end = keys::successor(prefix.clone()).expect("a space's number is below 255");
        self.is_range_empty(Bytes::from(prefix)..Bytes::from(end)).await
    }

    /// Whether nothing has an index key of these.
    pub(super) async fn is_range_empty(&self, range: Range<Bytes>) -> Result<bool, Error> {
        let (mut start, end) = (Some(range.start), range.end);
        while let Some(from) = start {
            let limit = ScanLimit { entries: 1, bytes: 1 };
            let page = self.storage.index.scan(from..end.clone(), limit).await?;
            if !page.entries.is_empty() {
                return Ok(false);
            }
            start = page.next;
        }
        Ok(true)
    }
}
