//! Writing and removing objects, and the conditions of both.

use std::collections::BTreeSet;

use anode_disk::{Directory, Error, index::Payload};

use super::{
    State, check_key,
    draft::{Claim, Draft},
    keys,
};
use crate::{
    command::{DeleteObject, PutObject, Refusal, Reply, Stored, WriteCondition},
    limits::{BODY_BYTES_MAX, CHUNK_BYTES_MAX, DELETE_KEYS_MAX},
    object::{Body, BodyId, BucketId, ContentId, Object, chunk_count},
    state::reclaim::{Condemned, CondemnedId},
};

/// Whether a body has its name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    New,
    Already,
}

impl<D: Directory> State<D> {
    pub(super) async fn put_object(
        &self,
        put: &PutObject,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        if let Err(refusal) = check_key(&put.key).and_then(|()| check_body(put)) {
            return Ok(Err(refusal));
        }
        if self.is_sealed(put.bucket).await? {
            return Ok(Err(Refusal::BucketSealed));
        }
        let before = self.object(put.bucket, &put.key).await?;
        if let Err(refusal) = put.condition.check(before.as_ref()) {
            return Ok(Err(refusal));
        }
        if let Body::Whole(body) = put.object.body {
            let again = before.as_ref().is_some_and(|before| before.body == put.object.body);
            let named = if again { Named::Already } else { Named::New };
            let named = name_body(body, (put.object.size, &put.contents), named, draft);
            if let Err(refusal) = named {
                return Ok(Err(refusal));
            }
        }
        let now_ms = put.object.last_modified_ms;
        self.condemn_object(before.as_ref(), (&put.object, now_ms), draft);
        let payload = match put.object.body {
            Body::Inline(_) => Payload::Inline(put.inline.clone()),
            Body::Empty | Body::Whole(_) | Body::Parts(_) => Payload::None,
        };
        draft.put_with(keys::object(self.group, put.bucket, &put.key), &put.object, payload);
        Ok(Ok(Reply::Stored(stored(&put.object))))
    }

    pub(super) async fn delete_object(
        &self,
        delete: &DeleteObject,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        let deleted = self.delete_one(delete, draft).await?;
        Ok(deleted.map(|found| Reply::Deleted { found }))
    }

    pub(super) async fn delete_objects(
        &self,
        deletes: &[DeleteObject],
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        if deletes.len() > DELETE_KEYS_MAX {
            return Ok(Err(Refusal::Malformed("a batched delete has up to 1,000 keys")));
        }
        let mut gone = BTreeSet::new();
        let mut each = Vec::with_capacity(deletes.len());
        for delete in deletes {
            // The draft isn't read back: a key that comes twice is remembered here.
            let deleted = if gone.contains(&(delete.bucket, &delete.key)) {
                delete.if_match.as_ref().map_or(Ok(false), |_etag| Err(Refusal::NoSuchKey))
            } else {
                self.delete_one(delete, draft).await?
            };
            if deleted.is_ok() {
                gone.insert((delete.bucket, &delete.key));
            }
            each.push(deleted);
        }
        Ok(Ok(Reply::DeletedEach(each)))
    }

    /// S3: `DeleteObject`. An absent object is no error, unless `If-Match` asks for one (404).
    async fn delete_one(
        &self,
        delete: &DeleteObject,
        draft: &mut Draft,
    ) -> Result<Result<bool, Refusal>, Error> {
        let before = self.object(delete.bucket, &delete.key).await?;
        let condition =
            WriteCondition { if_none_match_any: false, if_match: delete.if_match.clone() };
        if let Err(refusal) = condition.check(before.as_ref()) {
            return Ok(Err(refusal));
        }
        let Some(before) = before else { return Ok(Ok(false)) };
        self.condemn_object(Some(&before), (&Object::default(), delete.now_ms), draft);
        draft.delete(keys::object(self.group, delete.bucket, &delete.key));
        Ok(Ok(true))
    }

    /// Condemns the bodies of an object, but those that its successor names again.
    pub(super) fn condemn_object(
        &self,
        before: Option<&Object>,
        (after, now_ms): (&Object, u64),
        draft: &mut Draft,
    ) {
        let kept: BTreeSet<BodyId> = after.bodies().map(|(body, _)| body).collect();
        let gone = before.into_iter().flat_map(Object::bodies);
        for (body, bytes) in gone.filter(|(body, _)| !kept.contains(body)) {
            self.condemn(CondemnedId { since_ms: now_ms, body }, bytes, draft);
        }
    }

    pub(super) fn condemn(&self, id: CondemnedId, bytes: u64, draft: &mut Draft) {
        let chunks = chunk_count(bytes);
        if chunks > 0 {
            let condemned = Condemned { chunks, removed: 0, bytes };
            draft.condemn(keys::condemned(self.group, id), id, condemned);
        }
    }

    pub(super) async fn is_sealed(&self, bucket: BucketId) -> Result<bool, Error> {
        Ok(self.storage.index.get(&keys::seal(self.group, bucket)).await?.is_some())
    }
}

impl WriteCondition {
    /// S3: conditional writes. `If-Match` for an absent object is 404, everything else that doesn't hold is 412.
    pub fn check(&self, before: Option<&Object>) -> Result<(), Refusal> {
        if self.if_none_match_any && before.is_some() {
            return Err(Refusal::PreconditionFailed);
        }
        match (&self.if_match, before) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(Refusal::NoSuchKey),
            (Some(etag), Some(object)) if etag == "*" || *etag == object.etag => Ok(()),
            (Some(_), Some(_)) => Err(Refusal::PreconditionFailed),
        }
    }
}

/// Has the chunks of a staged body written with the draft; nothing where the same name has the body already (the
/// command came twice). A body that anything else ever named is never taken again: it may be condemned.
pub(super) fn name_body(
    body: BodyId,
    (bytes, contents): (u64, &[ContentId]),
    named: Named,
    draft: &mut Draft,
) -> Result<(), Refusal> {
    if u32::try_from(contents.len()) != Ok(chunk_count(bytes)) {
        return Err(Refusal::Malformed("a body has a content for each of its chunks"));
    }
    if named == Named::Already {
        return Ok(());
    }
    for (chunk, content) in (0..chunk_count(bytes)).zip(contents) {
        let start = u64::from(chunk) * CHUNK_BYTES_MAX;
        let data_bytes = u32::try_from(CHUNK_BYTES_MAX.min(bytes - start))
            .expect("a chunk is smaller than 4 GiB");
        draft.claims.push(Claim { body, chunk, data_bytes, content: *content });
    }
    Ok(())
}

pub(super) fn stored(object: &Object) -> Stored {
    Stored {
        etag: object.etag.clone(),
        size: object.size,
        last_modified_ms: object.last_modified_ms,
        checksum: object.checksum.clone(),
    }
}

fn check_body(put: &PutObject) -> Result<(), Refusal> {
    let size = put.object.size;
    let fits = match put.object.body {
        Body::Empty => size == 0,
        Body::Inline(bytes) => {
            size == u64::from(bytes) && u64::try_from(put.inline.len()) == Ok(size)
        }
        Body::Whole(_) => (1..=BODY_BYTES_MAX).contains(&size),
        Body::Parts(_) => false,
    };
    if fits { Ok(()) } else { Err(Refusal::Malformed("the body is not what the object says")) }
}
