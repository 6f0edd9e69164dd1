//! S3 as a few maps.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    command::{
        AbortUpload, CompleteUpload, CreateUpload, DeleteObject, PutObject, PutPart, Refusal,
        Reply, Stored, WriteCondition,
    },
    object::{BucketId, UploadId},
};

use super::rig::PART_BYTES_MIN;

type UploadName = (BucketId, String, UploadId);

#[derive(Debug, Default)]
pub(super) struct Model {
    objects: BTreeMap<(BucketId, String), Version>,
    uploads: BTreeMap<UploadName, BTreeMap<u16, Version>>,
    sealed: BTreeSet<BucketId>,
}

#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) etag: String,
    pub(super) bytes: Vec<u8>,
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
        let reply = Reply::Stored(version.stored.clone());
        self.objects.insert((put.bucket, put.key.clone()), version);
        reply
    }

    pub(super) fn delete(&mut self, delete: &DeleteObject) -> Result<bool, Refusal> {
        let if_match = delete.if_match.clone();
        let condition = WriteCondition { if_none_match_any: false, if_match };
        self.holds(delete.bucket, &delete.key, &condition)?;
        Ok(self.objects.remove(&(delete.bucket, delete.key.clone())).is_some())
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
            let done = self.objects.get(&target);
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
        let stored = version.stored.clone();
        self.objects.insert(target, version);
        Ok(stored)
    }

    pub(super) fn abort(&mut self, abort: &AbortUpload) -> Reply {
        let name = (abort.bucket, abort.key.clone(), abort.upload);
        match self.uploads.remove(&name) {
            Some(_) => Reply::Done,
            None => Reply::Refused(Refusal::NoSuchUpload),
        }
    }

    pub(super) fn seal(&mut self, bucket: BucketId) -> Reply {
        let object = self.objects.keys().any(|name| name.0 == bucket);
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
        for (_, key) in self.objects.keys().filter(|name| name.0 == bucket) {
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
        self.objects.iter()
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
        self.objects.get(&(bucket, key.to_owned())).map(|version| version.etag.clone())
    }

    fn holds(&self, bucket: BucketId, key: &str, when: &WriteCondition) -> Result<(), Refusal> {
        let etag = self.etag(bucket, key);
        match (&when.if_match, &etag) {
            (_, Some(_)) if when.if_none_match_any => Err(Refusal::PreconditionFailed),
            (Some(_), None) => Err(Refusal::NoSuchKey),
            (Some(wanted), Some(found)) if wanted != "*" && wanted != found => {
                Err(Refusal::PreconditionFailed)
            }
            _ => Ok(()),
        }
    }
}

fn version(etag: &str, bytes: Vec<u8>, at_ms: u64, upload: Option<UploadId>) -> Version {
    let size = u64::try_from(bytes.len()).unwrap();
    let etag = etag.to_owned();
    let stored = Stored { etag: etag.clone(), size, last_modified_ms: at_ms, checksum: None };
    Version { etag, bytes, stored, upload }
}
