//! What a group is asked: linearizable reads of its state, and the way of chunks into it.
//!
//! Every read of what commands change waits for [`Group::linearizable`] first, so it contains whatever was acknowledged
//! before. Chunks never change: [`Group::chunk`] doesn't wait.

use std::ops::Range;

use anode_disk::{device::Directory, error::Error};
use bytes::Bytes;

use super::{Group, GroupError};
use crate::{
    object::{BodyId, Bucket, BucketId, Credential, Object, ObjectSummary, Part, Upload, UploadId},
    staging::Cut,
    state::{ListPage, ListQuery, ObjectRead, PartPage, PendingDelete, UploadListed},
};

impl<D: Directory> Group<D> {
    /// The object under a key.
    pub async fn object(&self, bucket: BucketId, key: &str) -> Result<Option<Object>, GroupError> {
        self.linearizable().await?;
        self.read(self.state().object(bucket, key).await)
    }

    /// The object under a key to be read: with its bytes or a hold on its bodies.
    pub async fn object_read(
        &self,
        bucket: BucketId,
        key: &str,
    ) -> Result<Option<ObjectRead>, GroupError> {
        self.linearizable().await?;
        self.read(self.state().object_read(bucket, key).await)
    }

    /// Bytes of a chunk, verified; the caller holds a pin on its body.
    pub async fn chunk(
        &self,
        body: BodyId,
        chunk: u32,
        range: Range<u32>,
    ) -> Result<Bytes, GroupError> {
        self.read(self.state().chunk(body, chunk, range).await)
    }

    /// One page of this group's objects of a bucket.
    pub async fn list(
        &self,
        bucket: BucketId,
        query: &ListQuery,
    ) -> Result<ListPage<ObjectSummary>, GroupError> {
        self.linearizable().await?;
        self.read(self.state().list(bucket, query).await)
    }

    /// One page of this group's uploads of a bucket.
    pub async fn uploads(
        &self,
        bucket: BucketId,
        query: &ListQuery,
    ) -> Result<ListPage<UploadListed>, GroupError> {
        self.linearizable().await?;
        self.read(self.state().uploads(bucket, query).await)
    }

    /// An upload in progress.
    pub async fn upload(
        &self,
        bucket: BucketId,
        key: &str,
        upload: UploadId,
    ) -> Result<Option<Upload>, GroupError> {
        self.linearizable().await?;
        self.read(self.state().upload(bucket, key, upload).await)
    }

    /// One page of an upload's parts, from behind number `after`.
    pub async fn parts(
        &self,
        upload: UploadId,
        after: u16,
        parts_max: usize,
    ) -> Result<PartPage, GroupError> {
        self.linearizable().await?;
        self.read(self.state().parts(upload, after, parts_max).await)
    }

    /// All parts of an upload, by number.
    pub async fn all_parts(&self, upload: UploadId) -> Result<Vec<Part>, GroupError> {
        self.linearizable().await?;
        self.read(self.state().all_parts(upload).await)
    }

    /// What waits to be reclaimed here; doesn't wait for what was just acknowledged elsewhere.
    pub async fn pending_delete(&self) -> Result<PendingDelete, GroupError> {
        self.read(self.state().pending_delete().await)
    }

    /// Meta group: a bucket by its name.
    pub async fn bucket(&self, name: &str) -> Result<Option<Bucket>, GroupError> {
        self.linearizable().await?;
        self.read(self.state().bucket(name).await)
    }

    /// Meta group: all buckets, by name.
    pub async fn buckets(&self) -> Result<Vec<Bucket>, GroupError> {
        self.linearizable().await?;
        self.read(self.state().buckets().await)
    }

    /// Meta group: a credential by its access key.
    pub async fn credential(&self, access_key: &str) -> Result<Option<Credential>, GroupError> {
        self.linearizable().await?;
        self.read(self.state().credential(access_key).await)
    }

    /// Meta group: all credentials, by access key.
    pub async fn credentials(&self) -> Result<Vec<Credential>, GroupError> {
        self.linearizable().await?;
        self.read(self.state().credentials().await)
    }

    /// Writes a chunk of a body; no command names it yet.
    pub async fn stage(&self, body: BodyId, chunk: Cut) -> Result<(), GroupError> {
        self.read(self.0.staging.stage(self.0.id, body, chunk).await)
    }

    /// Makes the staged chunks of a body durable: before the command that names it is proposed.
    pub async fn settle(&self, body: BodyId) -> Result<(), GroupError> {
        self.read(self.0.staging.settle(self.0.id, body).await)
    }

    /// Drops the staged chunks of a body that no command names: none was proposed, or it was refused.
    pub fn discard(&self, body: BodyId) {
        self.0.staging.discard(self.0.id, body);
    }

    fn read<T>(&self, result: Result<T, Error>) -> Result<T, GroupError> {
        let group = self.0.id;
        result.map_err(|source| GroupError::Storage { group, source })
    }
}
