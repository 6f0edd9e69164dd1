//! Reading single records and bytes.

use std::ops::Range;

use anode_disk::{
    Directory, Error,
    index::{Entry, ScanLimit},
};
use bytes::Bytes;
use minicbor::Decode;

use super::{State, draft::Draft, keys, reclaim::CondemnedId, versions::Lying};
use crate::{
    object::{
        Body, BodyId, Bucket, BucketId, ContentId, Credential, MasterKey, Object, ObjectPart, Part,
        Upload, UploadId,
    },
    reclaim::Pin,
    version::{Versioning, WantedVersion},
};

/// An object that is overwritten while it is read is looked up again this often.
pub(super) const LOOKUPS_MAX: u8 = 8;
pub(super) const PAGE: ScanLimit = ScanLimit { entries: 1000, bytes: 1 << 20 };

/// An object that is being read.
#[derive(Debug)]
pub struct ObjectRead {
    /// Its record, with its parts.
    pub object: Object,
    /// All its bytes, where they are [`Body::Inline`].
    pub inline: Option<Bytes>,
    /// Holds its chunks while they are read.
    pub pin: Pin,
}

impl<D: Directory> State<D> {
    /// The current object under a key, with its parts; none where a delete marker is the newest version.
    pub async fn object(&self, bucket: BucketId, key: &str) -> Result<Option<Object>, Error> {
        let found = self.load(&keys::object(self.group, bucket, key)).await?;
        Ok(found.map(|(object, _)| object))
    }

    /// A version of an object, with its parts. It may be a delete marker, also where the current version is wanted.
    pub async fn version(
        &self,
        name: (BucketId, &str),
        wanted: WantedVersion,
    ) -> Result<Option<Object>, Error> {
        Ok(self.find_version(name, wanted).await?.map(|found| found.object))
    }

    /// The current object under a key, and a hold on its bodies: they are not reclaimed while it lives.
    pub async fn object_pinned(
        &self,
        bucket: BucketId,
        key: &str,
    ) -> Result<Option<(Object, Pin)>, Error> {
        // From before the record is read: what is condemned after this waits for the ticket.
        let ticket = self.pins.begin();
        let Some(object) = self.object(bucket, key).await? else { return Ok(None) };
        let pin = ticket.pin(object.bodies().map(|(body, _)| body));
        Ok(Some((object, pin)))
    }

    /// The current object under a key to be read whole: with its bytes where they are inline, else with a hold on its
    /// bodies.
    pub async fn object_read(
        &self,
        bucket: BucketId,
        key: &str,
    ) -> Result<Option<ObjectRead>, Error> {
        let ticket = self.pins.begin();
        let found = self.version_inline((bucket, key), WantedVersion::Current).await?;
        let Some((object, inline)) = found.filter(|(object, _)| !object.is_marker()) else {
            return Ok(None);
        };
        let pin = ticket.pin(object.bodies().map(|(body, _)| body));
        Ok(Some(ObjectRead { object, inline, pin }))
    }

    /// As [`Self::version`], and all its bytes where they are inline. Objects with chunks come without.
    pub async fn version_inline(
        &self,
        name: (BucketId, &str),
        wanted: WantedVersion,
    ) -> Result<Option<(Object, Option<Bytes>)>, Error> {
        let mut attempts_left = LOOKUPS_MAX;
        loop {
            let Some(found) = self.find_version(name, wanted).await? else { return Ok(None) };
            let Body::Inline(bytes) = found.object.body else {
                return Ok(Some((found.object, None)));
            };
            let (key, entry) = (&found.index_key, &found.entry);
            match self.storage.index.payload(key, entry, 0..bytes).await {
                Ok(bytes) => return Ok(Some((found.object, Some(bytes)))),
                // Overwritten or moved since: look again.
                Err(Error::Absent { .. }) if attempts_left > 0 => attempts_left -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks where versions lie, one place after another, and again where some moved meanwhile.
    async fn find_version(
        &self,
        (bucket, key): (BucketId, &str),
        wanted: WantedVersion,
    ) -> Result<Option<Lying>, Error> {
        let index_key = keys::object(self.group, bucket, key);
        let mut attempts_left = LOOKUPS_MAX;
        loop {
            let moves = self.moves.get();
            let current = self.load(&index_key).await?;
            if let Some((object, entry)) = current.filter(|(object, _)| wanted.is(object)) {
                return Ok(Some(Lying { index_key, object, entry }));
            }
            // Boxed, for else every read would keep room for it.
            let others = self.find_among_others((bucket, key), wanted);
            if let Some(found) = Box::pin(others).await? {
                return Ok(Some(found));
            }
            // Versions of other keys count, too: where there are many, it is given up.
            if self.moves.get() == moves || attempts_left == 0 {
                return Ok(None);
            }
            attempts_left -= 1;
        }
    }

    /// A version that isn't the current one; for [`WantedVersion::Current`] the delete marker that is the newest.
    async fn find_among_others(
        &self,
        (bucket, key): (BucketId, &str),
        wanted: WantedVersion,
    ) -> Result<Option<Lying>, Error> {
        if self.bucket_state(bucket).await?.versioning == Versioning::Off {
            return Ok(None);
        }
        let nothing = Draft::default();
        if wanted != WantedVersion::Current {
            return self.among_others((bucket, key), wanted, &nothing).await;
        }
        let newest = self.newest((bucket, key), &nothing).await?;
        Ok(newest.filter(|newest| newest.object.is_marker()))
    }

    /// Bytes of a chunk, verified. [`Error::Absent`] where it was reclaimed: hold a [`Pin`].
    pub async fn chunk(&self, body: BodyId, chunk: u32, range: Range<u32>) -> Result<Bytes, Error> {
        let absent = || Error::Absent { name: format!("chunk {chunk} of {body}") };
        let mut content = self.content(body, chunk).await?.ok_or_else(absent)?;
        loop {
            let key = keys::content(self.group, content);
            let read = match self.storage.index.get(&key).await? {
                Some(entry) => self.storage.index.payload(&key, &entry, range.clone()).await,
                None => Err(corrupt(&key, format!("nothing, and chunk {chunk} of {body} is that"))),
            };
            if let Ok(bytes) = read {
                return Ok(bytes);
            }
            // Whether the body went meanwhile, or what it refers to isn't there, or its bytes went to another class.
            let now = self.content(body, chunk).await?.ok_or_else(absent)?;
            if now == content {
                return read;
            }
            content = now;
        }
    }

    /// An upload in progress.
    pub async fn upload(
        &self,
        bucket: BucketId,
        key: &str,
        upload: UploadId,
    ) -> Result<Option<Upload>, Error> {
        self.record(&keys::upload(self.group, bucket, key, upload)).await
    }

    /// All parts of an upload, by number.
    pub async fn all_parts(&self, upload: UploadId) -> Result<Vec<Part>, Error> {
        self.all(keys::parts(self.group, upload, 0)).await
    }

    /// A part of an upload.
    pub(super) async fn part(&self, upload: UploadId, number: u16) -> Result<Option<Part>, Error> {
        self.record(&keys::part(self.group, upload, number)).await
    }

    /// Meta group: a bucket by its name.
    pub async fn bucket(&self, name: &str) -> Result<Option<Bucket>, Error> {
        self.record(&keys::bucket(self.group, name)).await
    }

    /// Meta group: all buckets, by name.
    pub async fn buckets(&self) -> Result<Vec<Bucket>, Error> {
        self.all(keys::buckets(self.group)).await
    }

    /// Meta group: a credential by its access key.
    pub async fn credential(&self, access_key: &str) -> Result<Option<Credential>, Error> {
        self.record(&keys::credential(self.group, access_key)).await
    }

    /// Meta group: all credentials, by access key.
    pub async fn credentials(&self) -> Result<Vec<Credential>, Error> {
        self.all(keys::credentials(self.group)).await
    }

    /// Meta group: the key for data keys that was made where none was given.
    pub async fn master_key(&self) -> Result<Option<MasterKey>, Error> {
        self.record(&keys::master_key(self.group)).await
    }

    /// An object's record under an index key, with its parts, and its entry.
    pub(super) async fn load(&self, index_key: &Bytes) -> Result<Option<(Object, Entry)>, Error> {
        let mut attempts_left = LOOKUPS_MAX;
        loop {
            let Some(entry) = self.storage.index.get(index_key).await? else { return Ok(None) };
            match self.object_in(index_key, &entry).await {
                // Overwritten since: look again.
                Err(Error::Absent { .. }) if attempts_left > 0 => attempts_left -= 1,
                Err(error) => return Err(error),
                Ok(object) => return Ok(Some((object, entry))),
            }
        }
    }

    /// The object of an index entry, with its parts.
    pub(super) async fn object_in(
        &self,
        index_key: &Bytes,
        entry: &Entry,
    ) -> Result<Object, Error> {
        let mut object: Object = decode(index_key, &entry.value)?;
        let Body::Parts(count) = object.body else { return Ok(object) };
        object.parts = self.parts_of(index_key, entry).await?;
        if u32::try_from(object.parts.len()) == Ok(count) {
            return Ok(object);
        }
        let finding = format!("{} parts where there are {count}", object.parts.len());
        Err(corrupt(index_key, finding))
    }

    pub(super) async fn record<T: for<'b> Decode<'b, ()>>(
        &self,
        key: &Bytes,
    ) -> Result<Option<T>, Error> {
        match self.storage.index.get(key).await? {
            Some(entry) => decode(key, &entry.value).map(Some),
            None => Ok(None),
        }
    }

    async fn all<T: for<'b> Decode<'b, ()>>(&self, range: Range<Bytes>) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        let mut start = Some(range.start);
        while let Some(from) = start {
            let page = self.storage.index.scan(from..range.end.clone(), PAGE).await?;
            for (key, entry) in &page.entries {
                found.push(decode(key, &entry.value)?);
            }
            start = page.next;
        }
        Ok(found)
    }

    pub(super) async fn parts_of(
        &self,
        key: &Bytes,
        entry: &Entry,
    ) -> Result<Vec<ObjectPart>, Error> {
        let bytes = u32::try_from(entry.payload.length())
            .map_err(|_too_long| corrupt(key, "4 GiB of parts".to_owned()))?;
        let payload = self.storage.index.payload(key, entry, 0..bytes).await?;
        decode(key, &payload)
    }
}

pub(super) fn decode<T: for<'b> Decode<'b, ()>>(key: &[u8], value: &[u8]) -> Result<T, Error> {
    minicbor::decode(value).map_err(|error| corrupt(key, error.to_string()))
}

/// The content that a chunk's entry names.
pub(super) fn content_id(key: &[u8], entry: &Entry) -> Result<ContentId, Error> {
    let name = entry.value.as_ref().try_into();
    name.map(ContentId).map_err(|_length| corrupt(key, "no name of a content".to_owned()))
}

/// The name of a condemned body, of its index key.
pub(super) fn condemned_id(key: &[u8]) -> Result<CondemnedId, Error> {
    let id = key.get(5..).and_then(keys::condemned_id);
    id.ok_or_else(|| corrupt(key, "the key names no body".to_owned()))
}

pub(super) fn corrupt(key: &[u8], finding: String) -> Error {
    Error::Corrupt { location: format!("the record at {}", key.escape_ascii()), finding }
}
