//! Writing and removing objects, and the conditions of both.

use std::{borrow::Cow, collections::BTreeSet};

use anode_disk::{Directory, Error, index::Payload};

use super::{
    State, check_key,
    draft::{Claim, Draft},
    events::About,
    keys,
};
use crate::{
    command::{DeleteObject, Deleted, PutObject, Refusal, Reply, Stored, WriteCondition},
    limits::{BODY_BYTES_MAX, CHUNK_BYTES_MAX, DELETE_KEYS_MAX},
    object::{Body, BodyId, BucketId, ContentId, Object, chunk_count},
    state::{
        reclaim::{Condemned, CondemnedId},
        usage::Change,
    },
    version::{Versioning, WantedVersion},
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
        let state = self.bucket_state(put.bucket).await?;
        if !state.is_open {
            return Ok(Err(Refusal::BucketSealed));
        }
        let name = (put.bucket, put.key.as_str());
        let before = self.current(name, draft).await?;
        if let Err(refusal) = put.condition.check(before.as_ref().map(|before| &before.object)) {
            return Ok(Err(refusal));
        }
        let made = (state.versioning, put.object.last_modified_ms);
        if let Err(refusal) = self.check_lock(name, made, draft).await? {
            return Ok(Err(refusal));
        }
        if let Some(before) = before.as_ref().filter(|before| is_again(put, &before.object)) {
            return Ok(Ok(Reply::Stored(stored(&before.object, state.versioning))));
        }
        if let Body::Whole(body) = put.object.body {
            let again = before.as_ref().is_some_and(|before| before.object.body == put.object.body);
            let named = if again { Named::Already } else { Named::New };
            let bytes = put.object.stored_bytes();
            let named = name_body(body, (bytes, &put.contents), named, draft);
            if let Err(refusal) = named {
                return Ok(Err(refusal));
            }
        }
        let payload = match put.object.body {
            Body::Inline(_) => Payload::Inline(put.inline.clone()),
            Body::Empty | Body::Whole(_) | Body::Parts(_) => Payload::None,
        };
        let after = (Cow::Borrowed(&put.object), payload);
        let object = self.store(name, after, (before, state.versioning, put.nonce), draft).await?;
        let stored = stored(&object, state.versioning);
        draft.tell(
            put.notice.as_deref(),
            |notice| notice.if_done.as_ref(),
            About {
                bucket: put.bucket,
                key: &put.key,
                object: Some(&object),
                version: stored.version.map(|version| version.to_string()),
            },
        );
        Ok(Ok(Reply::Stored(stored)))
    }

    pub(super) async fn delete_object(
        &self,
        delete: &DeleteObject,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        let versioning = self.bucket_state(delete.bucket).await?.versioning;
        let deleted = self.delete_one(delete, versioning, draft).await?;
        Ok(deleted.map(Reply::Deleted))
    }

    pub(super) async fn delete_objects(
        &self,
        deletes: &[DeleteObject],
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        if deletes.len() > DELETE_KEYS_MAX {
            return Ok(Err(Refusal::Malformed("a batched delete has up to 1,000 keys")));
        }
        draft.remember();
        let mut each = Vec::with_capacity(deletes.len());
        // They are of one bucket, but that isn't said.
        let mut known: Option<(BucketId, Versioning)> = None;
        for delete in deletes {
            let versioning = match known.filter(|(bucket, _)| *bucket == delete.bucket) {
                Some((_, versioning)) => versioning,
                None => self.bucket_state(delete.bucket).await?.versioning,
            };
            known = Some((delete.bucket, versioning));
            each.push(self.delete_one(delete, versioning, draft).await?);
        }
        Ok(Ok(Reply::DeletedEach(each)))
    }

    /// S3: `DeleteObject`. An absent object is no error, unless `If-Match` asks for one (404).
    async fn delete_one(
        &self,
        delete: &DeleteObject,
        versioning: Versioning,
        draft: &mut Draft,
    ) -> Result<Result<Deleted, Refusal>, Error> {
        if versioning != Versioning::Off {
            // Boxed, for else every command would keep room for it.
            return Box::pin(self.delete_versioned(delete, versioning, draft)).await;
        }
        let before = match delete.version {
            WantedVersion::Id(_) => None,
            WantedVersion::Current | WantedVersion::Null => {
                self.current((delete.bucket, &delete.key), draft).await?
            }
        };
        let condition =
            WriteCondition { if_none_match_any: false, if_match: delete.if_match.clone() };
        if let Err(refusal) = condition.check(before.as_ref().map(|before| &before.object)) {
            return Ok(Err(refusal));
        }
        let before = before.filter(|before| delete.means(&before.object));
        let Some(before) = before else { return Ok(Ok(Deleted::default())) };
        draft.count(delete.bucket, Change::gone(&before.object));
        draft.count(delete.bucket, Change::VANISHED);
        self.condemn_object(Some(&before.object), (&Object::default(), delete.now_ms), draft);
        draft.delete(before.index_key);
        draft.tell(
            delete.notice.as_deref(),
            |notice| notice.if_done.as_ref(),
            About { bucket: delete.bucket, key: &delete.key, object: None, version: None },
        );
        Ok(Ok(Deleted { found: true, ..Deleted::default() }))
    }

    /// Condemns the bodies of an object, but those that its successor names again.
    pub(super) fn condemn_object(
        &self,
        before: Option<&Object>,
        (after, now_ms): (&Object, u64),
        draft: &mut Draft,
    ) {
        let Some(before) = before else { return };
        let kept: BTreeSet<BodyId> = after.bodies().map(|(body, _)| body).collect();
        let gone = before.bodies();
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
        draft.claims.push(Claim { body, staged: body, chunk, data_bytes, content: *content });
    }
    Ok(())
}

/// Whether a command that makes a version came twice, and made it the first time.
fn is_again(put: &PutObject, before: &Object) -> bool {
    let same_version = before.version.is_some_and(|version| version.id.nonce == put.nonce);
    same_version && before.body == put.object.body
}

/// What a write answers of what it stored in a bucket of this versioning.
pub(super) fn stored(object: &Object, versioning: Versioning) -> Stored {
    Stored {
        version: (versioning != Versioning::Off).then(|| object.version_name()),
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
            let stored = put.object.stored_bytes();
            stored == u64::from(bytes) && u64::try_from(put.inline.len()) == Ok(stored)
        }
        Body::Whole(_) => (1..=BODY_BYTES_MAX).contains(&size),
        Body::Parts(_) => false,
    };
    if fits { Ok(()) } else { Err(Refusal::Malformed("the body is not what the object says")) }
}
