//! Uploads and their parts, up to the object that a completion makes of them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use anode_disk::{Directory, Error, index::Payload};

use super::{
    State, check_key,
    draft::Draft,
    events::About,
    keys,
    put::{Named, name_body, stored},
    reclaim::CondemnedId,
    usage::Change,
};
use crate::{
    cbor::encode,
    command::{
        AbortUpload, CompleteUpload, CreateUpload, NamedPart, PutPart, Refusal, Reply, Stored,
    },
    limits::{BODY_BYTES_MAX, OBJECT_BYTES_MAX, PART_NUMBER_MAX},
    object::{Body, Object, ObjectPart, Part, Upload},
};

impl<D: Directory> State<D> {
    pub(super) async fn create_upload(
        &self,
        create: &CreateUpload,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        if let Err(refusal) = check_key(&create.key) {
            return Ok(Err(refusal));
        }
        if !self.bucket_state(create.bucket).await?.is_open {
            return Ok(Err(Refusal::BucketSealed));
        }
        let key = keys::upload(self.group, create.bucket, &create.key, create.upload);
        draft.put(key, &create.record);
        Ok(Ok(Reply::Done))
    }

    pub(super) async fn put_part(
        &self,
        put: &PutPart,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        let part = &put.part;
        if !(1..=PART_NUMBER_MAX).contains(&part.number) || part.size > BODY_BYTES_MAX {
            return Ok(Err(Refusal::Malformed("a part has a number to 10,000 and up to 5 GiB")));
        }
        let Some(upload) = self.upload(put.bucket, &put.key, put.upload).await? else {
            return Ok(Err(Refusal::NoSuchUpload));
        };
        if part.is_encrypted != upload.encryption.is_some() {
            return Ok(Err(Refusal::Malformed("a part is encrypted if its upload is")));
        }
        let before = self.part(put.upload, part.number).await?;
        let again = before.as_ref().is_some_and(|before| before.body == part.body);
        let named = if again { Named::Already } else { Named::New };
        if let Err(refusal) =
            name_body(part.body, (part.stored_bytes(), &put.contents), named, draft)
        {
            return Ok(Err(refusal));
        }
        let replaced_bytes = before.as_ref().map_or(0, |before| before.size);
        draft.count(put.bucket, Change::parts(part.size, replaced_bytes));
        if let Some(before) = before.filter(|_| !again) {
            let since_ms = part.last_modified_ms;
            let bytes = before.stored_bytes();
            self.condemn(CondemnedId { since_ms, body: before.body }, bytes, draft);
        }
        draft.put(keys::part(self.group, put.upload, part.number), part);
        Ok(Ok(Reply::Stored(Stored {
            etag: part.etag.clone(),
            size: part.size,
            last_modified_ms: part.last_modified_ms,
            checksum: part.checksum.clone(),
            version: None,
        })))
    }

    pub(super) async fn complete_upload(
        &self,
        complete: &CompleteUpload,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        let name = (complete.bucket, complete.key.as_str());
        let before = self.current(name, draft).await?;
        let versioning = self.bucket_state(complete.bucket).await?.versioning;
        let upload = self.upload(complete.bucket, &complete.key, complete.upload).await?;
        let Some(upload) = upload else {
            // S3: a completion that is sent again answers as the first one, while its object is there.
            let done = before.filter(|before| before.object.upload == Some(complete.upload));
            return Ok(done
                .map(|done| Reply::Stored(stored(&done.object, versioning)))
                .ok_or(Refusal::NoSuchUpload));
        };
        let there = self.all_parts(complete.upload).await?;
        let chosen = match choose(&complete.parts, &there, self.part_bytes_min) {
            Ok(chosen) => chosen,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let condition = &complete.condition;
        if let Err(refusal) = condition.check(before.as_ref().map(|before| &before.object)) {
            return Ok(Err(refusal));
        }
        let made = (versioning, complete.now_ms);
        if let Err(refusal) = self.check_lock(name, made, draft).await? {
            return Ok(Err(refusal));
        }
        let object = assemble(complete, upload, &chosen);
        let used: BTreeSet<u16> = chosen.iter().map(|part| part.number).collect();
        let part_bytes = there.iter().map(|part| part.size).sum();
        draft.count(complete.bucket, Change::parts(0, part_bytes));
        for part in &there {
            if !used.contains(&part.number) {
                let id = CondemnedId { since_ms: complete.now_ms, body: part.body };
                self.condemn(id, part.stored_bytes(), draft);
            }
            draft.delete(keys::part(self.group, complete.upload, part.number));
        }
        draft.delete(keys::upload(self.group, complete.bucket, &complete.key, complete.upload));
        let payload = Payload::Inline(encode(&object.parts));
        // The lower half of an upload's id is as random as any nonce.
        let nonce = u64::try_from(complete.upload.0 & u128::from(u64::MAX)).unwrap_or_default();
        let place = (before, versioning, nonce);
        let object = self.store(name, (Cow::Owned(object), payload), place, draft).await?;
        let stored = stored(&object, versioning);
        draft.tell(
            complete.notice.as_deref(),
            |notice| notice.if_done.as_ref(),
            About {
                bucket: complete.bucket,
                key: &complete.key,
                object: Some(&object),
                version: stored.version.map(|version| version.to_string()),
            },
        );
        Ok(Ok(Reply::Stored(stored)))
    }

    pub(super) async fn abort_upload(
        &self,
        abort: &AbortUpload,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        if self.upload(abort.bucket, &abort.key, abort.upload).await?.is_none() {
            return Ok(Err(Refusal::NoSuchUpload));
        }
        for part in self.all_parts(abort.upload).await? {
            let id = CondemnedId { since_ms: abort.now_ms, body: part.body };
            self.condemn(id, part.stored_bytes(), draft);
            draft.count(abort.bucket, Change::parts(0, part.size));
            draft.delete(keys::part(self.group, abort.upload, part.number));
        }
        draft.delete(keys::upload(self.group, abort.bucket, &abort.key, abort.upload));
        Ok(Ok(Reply::Done))
    }
}

/// The stored parts that a completion names. S3: `CompleteMultipartUpload`, its errors in the order that a client can
/// act on: the list's order, then what it names, then sizes.
fn choose<'a>(
    named: &[NamedPart],
    there: &'a [Part],
    part_bytes_min: u64,
) -> Result<Vec<&'a Part>, Refusal> {
    if named.is_empty() {
        return Err(Refusal::Malformed("a completion names at least one part"));
    }
    for (one, next) in named.iter().zip(named.iter().skip(1)) {
        if one.number >= next.number {
            return Err(Refusal::InvalidPartOrder { number: next.number });
        }
    }
    let there: BTreeMap<u16, &Part> = there.iter().map(|part| (part.number, part)).collect();
    let mut chosen = Vec::with_capacity(named.len());
    for name in named {
        let part = there.get(&name.number).copied().filter(|part| is_named(part, name));
        chosen.push(part.ok_or(Refusal::InvalidPart { number: name.number })?);
    }
    let all_but_last = chosen.iter().rev().skip(1).rev();
    for part in all_but_last {
        if part.size < part_bytes_min {
            let (number, bytes) = (part.number, part.size);
            return Err(Refusal::EntityTooSmall { number, bytes, bytes_min: part_bytes_min });
        }
    }
    let bytes = chosen.iter().map(|part| part.size).sum();
    if bytes > OBJECT_BYTES_MAX {
        return Err(Refusal::EntityTooLarge { bytes });
    }
    Ok(chosen)
}

fn is_named(part: &Part, name: &NamedPart) -> bool {
    let checksum = part.checksum.as_ref().map(|checksum| &checksum.value);
    part.etag == name.etag && (name.checksum.is_none() || checksum == name.checksum.as_ref())
}

fn assemble(complete: &CompleteUpload, upload: Upload, chosen: &[&Part]) -> Object {
    let part = |part: &&Part| ObjectPart {
        number: part.number,
        size: part.size,
        body: part.body,
        checksum: part.checksum.as_ref().map(|checksum| checksum.value.clone()),
    };
    let mut lock = upload.lock;
    if let Some(default) = complete.default_retention {
        lock.get_or_insert_default().retention.get_or_insert(default);
    }
    Object {
        size: chosen.iter().map(|part| part.size).sum(),
        etag: complete.etag.clone(),
        last_modified_ms: complete.now_ms,
        headers: upload.headers,
        metadata: upload.metadata,
        tags: upload.tags,
        lock,
        encryption: upload.encryption,
        acl: upload.acl,
        checksum: complete.checksum.clone(),
        body: Body::Parts(u32::try_from(chosen.len()).expect("part numbers are 16 bits long")),
        upload: Some(complete.upload),
        parts: chosen.iter().map(part).collect(),
        ..Object::default()
    }
}
