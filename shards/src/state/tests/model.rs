//! S3 as a few maps.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    command::{
        AbortUpload, CompleteUpload, CreateUpload, DeleteObject, Deleted, PutObject, PutPart,
        Refusal, Reply, Stored, WriteCondition,
    },
    object::{BucketId, UploadId},
    version::{ObjectVersion, VersionId, Versioning, WantedVersion},
};

use super::rig::PART_BYTES_MIN;

type UploadName = (BucketId, String, UploadId);

#[derive(Debug, Default)]
pub(super) struct Model {
    /// The newest version last.
    objects: BTreeMap<(BucketId, String), Vec<Version>>,
    uploads: BTreeMap<UploadName, BTreeMap<u16, Version>>,
    sealed: BTreeSet<BucketId>,
    versioning: BTreeMap<BucketId, Versioning>,
}

#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) etag: String,
    pub(super) bytes: Vec<u8>,
    pub(super) version: ObjectVersion,
    stored: Stored,
    upload: Option<UploadId>,
}

impl Model {
    pub(super) fn put(&mut self, put: &PutObject, bytes: &[u8]) -> Reply {
        if self.sealed.contains(&put.bucket) {
            return Reply::Refused(Refusal::BucketSealed);
        }
        if let Err(refusal) = self.holds(put.bucket, &put.key, &put.condition) {
            return Reply::Refused(refusal);
        }
        let object = &put.object;
        let version = version(&object.etag, bytes.to_vec(), object.last_modified_ms, None);
        Reply::Stored(self.push((put.bucket, put.key.clone()), version, put.nonce))
    }

    /// Makes a version the newest of its key.
    fn push(&mut self, name: (BucketId, String), mut version: Version, nonce: u64) -> Stored {
        let versioning = self.versioning(name.0);
        let versions = self.objects.entry(name).or_default();
        if versioning == Versioning::Off {
            versions.clear();
        } else {
            let sequence = versions.last().map_or(1, |last| last.version.id.sequence + 1);
            let is_null = versioning == Versioning::Suspended;
            if is_null {
                versions.retain(|version| !version.version.is_null);
            }
            version.version.id = VersionId { sequence, nonce };
            version.version.is_null = is_null;
            version.stored.version = Some(version.version.name());
        }
        versions.push(version.clone());
        version.stored
    }

    pub(super) fn versioning(&self, bucket: BucketId) -> Versioning {
        self.versioning.get(&bucket).copied().unwrap_or_default()
    }

    pub(super) fn versioned_buckets(&self) -> usize {
        self.versioning.len()
    }

    pub(super) fn set_versioning(&mut self, bucket: BucketId, versioning: Versioning) -> Reply {
        if self.sealed.contains(&bucket) {
            return Reply::Refused(Refusal::BucketSealed);
        }
        self.versioning.insert(bucket, versioning);
        Reply::Done
    }

    pub(super) fn delete(&mut self, delete: &DeleteObject) -> Result<Deleted, Refusal> {
        let name = (delete.bucket, delete.key.clone());
        let versions = self.objects.get(&name).map_or(&[][..], Vec::as_slice);
        let last = versions.len().checked_sub(1);
        let versioning = self.versioning(delete.bucket);
        let place = match delete.version {
            WantedVersion::Current => last.filter(|last| !versions[*last].version.is_marker),
            WantedVersion::Null => versions.iter().position(|one| one.version.is_null),
            WantedVersion::Id(id) => {
                versions.iter().position(|one| !one.version.is_null && one.version.id == id)
            }
        };
        let etag = place.map(|place| versions[place].etag.clone());
        holds(
            etag.as_ref(),
            &WriteCondition { if_match: delete.if_match.clone(), ..WriteCondition::default() },
        )?;
        if delete.version == WantedVersion::Current && versioning != Versioning::Off {
            let mut marker = version("", Vec::new(), delete.now_ms, None);
            marker.version.is_marker = true;
            let version = self.push(name, marker, delete.nonce).version;
            return Ok(Deleted { found: place.is_some(), version, is_marker: true });
        }
        let Some(place) = place else { return Ok(Deleted::default()) };
        let removed = self.objects.get_mut(&name).unwrap().remove(place).version;
        let version = (versioning != Versioning::Off).then(|| removed.name());
        Ok(Deleted { found: true, version, is_marker: removed.is_marker })
    }

    pub(super) fn create_upload(&mut self, create: &CreateUpload) -> Reply {
        if self.sealed.contains(&create.bucket) {
            return Reply::Refused(Refusal::BucketSealed);
        }
        let name = (create.bucket, create.key.clone(), create.upload);
        self.uploads.insert(name, BTreeMap::new());
        Reply::Done
    }

    pub(super) fn put_part(&mut self, put: &PutPart, bytes: &[u8]) -> Reply {
        let name = (put.bucket, put.key.clone(), put.upload);
        let Some(parts) = self.uploads.get_mut(&name) else {
            return Reply::Refused(Refusal::NoSuchUpload);
        };
        let part = &put.part;
        let version = version(&part.etag, bytes.to_vec(), part.last_modified_ms, None);
        let reply = Reply::Stored(version.stored.clone());
        parts.insert(part.number, version);
        reply
    }

    pub(super) fn complete(&mut self, complete: &CompleteUpload) -> Reply {
        self.try_complete(complete).map_or_else(Reply::Refused, Reply::Stored)
    }

    fn try_complete(&mut self, complete: &CompleteUpload) -> Result<Stored, Refusal> {
        let target = (complete.bucket, complete.key.clone());
        let name = (complete.bucket, complete.key.clone(), complete.upload);
        let Some(parts) = self.uploads.get(&name) else {
            let done = self.current(&target);
            let done = done.filter(|version| version.upload == Some(complete.upload));
            return done.map(|version| version.stored.clone()).ok_or(Refusal::NoSuchUpload);
        };
        let named = &complete.parts;
        if named.is_empty() {
            return Err(Refusal::Malformed("a completion names at least one part"));
        }
        if let Some(two) = named.windows(2).find(|two| two[0].number >= two[1].number) {
            return Err(Refusal::InvalidPartOrder { number: two[1].number });
        }
        for name in named {
            if parts.get(&name.number).is_none_or(|part| part.etag != name.etag) {
                return Err(Refusal::InvalidPart { number: name.number });
            }
        }
        for name in &named[..named.len() - 1] {
            let bytes = parts[&name.number].stored.size;
            if bytes < PART_BYTES_MIN {
                let (number, bytes_min) = (name.number, PART_BYTES_MIN);
                return Err(Refusal::EntityTooSmall { number, bytes, bytes_min });
            }
        }
        self.holds(complete.bucket, &complete.key, &complete.condition)?;
        let parts = self.uploads.remove(&name).unwrap();
        let bytes = named.iter().flat_map(|name| parts[&name.number].bytes.clone()).collect();
        let version = version(&complete.etag, bytes, complete.now_ms, Some(complete.upload));
        let nonce = u64::try_from(complete.upload.0).unwrap();
        Ok(self.push(target, version, nonce))
    }

    pub(super) fn abort(&mut self, abort: &AbortUpload) -> Reply {
        let name = (abort.bucket, abort.key.clone(), abort.upload);
        match self.uploads.remove(&name) {
            Some(_) => Reply::Done,
            None => Reply::Refused(Refusal::NoSuchUpload),
        }
    }

    pub(super) fn seal(&mut self, bucket: BucketId) -> Reply {
        let all = self.objects.iter();
        let object = all.filter(|(name, _)| name.0 == bucket).any(|(_, all)| !all.is_empty());
        if object || !self.uploads(bucket).is_empty() {
            return Reply::Refused(Refusal::BucketNotEmpty);
        }
        self.sealed.insert(bucket);
        Reply::Done
    }

    pub(super) fn unseal(&mut self, bucket: BucketId) {
        self.sealed.remove(&bucket);
    }

    pub(super) fn list(
        &self,
        bucket: BucketId,
        prefix: &str,
        delimiter: Option<&str>,
    ) -> Vec<String> {
        let mut names = Vec::new();
        for ((_, key), _) in self.objects().filter(|(name, _)| name.0 == bucket) {
            let Some(rest) = key.strip_prefix(prefix) else { continue };
            let name = match delimiter.and_then(|delimiter| rest.split_once(delimiter)) {
                Some((head, _)) => format!("{prefix}{head}{}", delimiter.unwrap()),
                None => key.clone(),
            };
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
        names
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = (&(BucketId, String), &Version)> {
        self.objects.keys().filter_map(|name| Some((name, self.current(name)?)))
    }

    /// Every version of every key: by key, then the newest first, and whether it is the newest.
    pub(super) fn versions(&self) -> impl Iterator<Item = (&(BucketId, String), &Version)> {
        self.objects.iter().flat_map(|(name, all)| all.iter().rev().map(move |one| (name, one)))
    }

    fn current(&self, name: &(BucketId, String)) -> Option<&Version> {
        self.objects.get(name)?.last().filter(|version| !version.version.is_marker)
    }

    pub(super) fn uploads(&self, bucket: BucketId) -> Vec<(String, UploadId)> {
        let all = self.uploads.keys().filter(|name| name.0 == bucket);
        all.map(|(_, key, upload)| (key.clone(), *upload)).collect()
    }

    pub(super) fn every_upload(&self) -> Vec<(BucketId, String, UploadId)> {
        self.uploads.keys().cloned().collect()
    }

    pub(super) fn parts(
        &self,
        bucket: BucketId,
        key: &str,
        upload: UploadId,
    ) -> impl Iterator<Item = (u16, String)> {
        let parts = self.uploads.get(&(bucket, key.to_owned(), upload));
        parts.into_iter().flatten().map(|(number, part)| (*number, part.etag.clone()))
    }

    pub(super) fn etag(&self, bucket: BucketId, key: &str) -> Option<String> {
        self.current(&(bucket, key.to_owned())).map(|version| version.etag.clone())
    }

    fn holds(&self, bucket: BucketId, key: &str, when: &WriteCondition) -> Result<(), Refusal> {
        holds(self.etag(bucket, key).as_ref(), when)
    }
}

fn holds(etag: Option<&String>, when: &WriteCondition) -> Result<(), Refusal> {
    match (&when.if_match, etag) {
        (_, Some(_)) if when.if_none_match_any => Err(Refusal::PreconditionFailed),
        (Some(_), None) => Err(Refusal::NoSuchKey),
        (Some(wanted), Some(found)) if wanted != "*" && wanted != found => {
            Err(Refusal::PreconditionFailed)
        }
        _ => Ok(()),
    }
}

fn version(etag: &str, bytes: Vec<u8>, at_ms: u64, upload: Option<UploadId>) -> Version {
    let stored = Stored {
        etag: etag.to_owned(),
        size: u64::try_from(bytes.len()).unwrap(),
        last_modified_ms: at_ms,
        ..Stored::default()
    };
    let version = ObjectVersion { is_null: true, ..ObjectVersion::default() };
    Version { etag: etag.to_owned(), bytes, version, stored, upload }
}
