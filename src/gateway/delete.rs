//! S3: `DeleteObject` and `DeleteObjects`.

use std::collections::BTreeMap;

use anode_net::{
    http::ResponseHead,
    s3::{
        self, parameters,
        version::Version,
        xml::{objects, requests},
    },
};
use anode_shards::command::{Command, DeleteObject, Refusal, Reply};

use super::{
    find_bucket,
    payload::{Expectation, Payload},
    record, refusal,
};
use crate::{
    authorize::Caller,
    exchange::{Exchange, Response},
    host::Host,
    limits,
    mesh::AskError,
    shard::Shard,
};

/// Deletions of one group, each with its place in the request.
type Batch = Vec<(usize, DeleteObject)>;

/// Why one object of a batch was not deleted.
#[derive(Clone)]
enum BatchError {
    /// Its group decided so.
    Refused(Refusal),
    /// Its group could not be asked; the client asks again for the keys that say so.
    Unanswered(AskError),
}

/// Deletes one object: 204 also where there was none.
pub async fn one<H: Host>(
    shard: &Shard<H>,
    delete: &parameters::DeleteObject,
) -> Result<Response<H>, s3::Error> {
    let bucket = find_bucket(shard, &delete.bucket)?;
    if matches!(delete.version, Version::Unknown(_)) {
        // A version that does not exist is deleted already.
        return Ok(Response::empty(ResponseHead::new(204)));
    }
    let command = DeleteObject {
        bucket: bucket.id,
        key: delete.key.clone(),
        if_match: record::if_match(&delete.condition),
        now_ms: shard.now_ms(),
    };
    let group = shard.group_of(bucket.id, &delete.key);
    let reply = shard.propose(group, Command::DeleteObject(command), None).await?;
    let reply = refusal::accepted(reply, &delete.bucket, &delete.key)?;
    let Reply::Deleted { .. } = reply else { return Err(refusal::unexpected(&reply)) };
    Ok(Response::empty(ResponseHead::new(204)))
}

/// Deletes up to 1,000 objects: a command a group, and an answer a key.
pub async fn many<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    delete: &parameters::DeleteObjects,
) -> Result<Response<H>, s3::Error> {
    let shard = exchange.shard.clone();
    let bucket = find_bucket(&shard, &delete.bucket)?;
    let expectation =
        Expectation { md5: delete.md5, checksum: delete.checksum, ..Expectation::default() };
    let payload = Payload::new(exchange, caller, expectation)?;
    let body = payload.whole(exchange, limits::XML_BODY_BYTES_MAX).await?;
    let request = requests::delete(&body)?;
    let mut errors: Vec<Option<s3::Error>> = vec![None; request.objects.len()];
    let mut batches: BTreeMap<u32, Batch> = BTreeMap::new();
    for (nth, object) in request.objects.iter().enumerate() {
        match &object.deletion {
            Err(error) => errors[nth] = Some(error.clone()),
            Ok(deletion) if matches!(deletion.version, Version::Unknown(_)) => {}
            Ok(deletion) => {
                let command = DeleteObject {
                    bucket: bucket.id,
                    key: object.key.clone(),
                    if_match: record::if_match(&deletion.condition),
                    now_ms: shard.now_ms(),
                };
                batches
                    .entry(shard.group_of(bucket.id, &object.key))
                    .or_default()
                    .push((nth, command));
            }
        }
    }
    let batches = batches.into_iter().map(|(group, batch)| delete_batch(&shard, group, batch));
    for (nth, outcome) in futures::future::join_all(batches).await.into_iter().flatten() {
        let key = &request.objects[nth].key;
        errors[nth] = outcome.err().map(|failed| match failed {
            BatchError::Refused(refused) => refusal::of_command(&refused, &delete.bucket, key),
            BatchError::Unanswered(error) => error.into(),
        });
    }
    let deletions: Vec<objects::Deletion<'_>> = request
        .objects
        .iter()
        .zip(errors)
        .map(|(object, error)| objects::Deletion {
            key: &object.key,
            version: object.version_id.as_deref(),
            error,
        })
        .collect();
    Ok(Response::xml(objects::deleted(&deletions, request.quiet)))
}

/// Deletes the keys of one group; the outcome of each by its place in the request.
async fn delete_batch<H: Host>(
    shard: &Shard<H>,
    group: u32,
    batch: Batch,
) -> Vec<(usize, Result<bool, BatchError>)> {
    let (places, commands): (Vec<usize>, Vec<DeleteObject>) = batch.into_iter().unzip();
    let count = places.len();
    let outcomes = match shard.propose(group, Command::DeleteObjects(commands), None).await {
        Ok(Reply::DeletedEach(outcomes)) if outcomes.len() == count => {
            outcomes.into_iter().map(|outcome| outcome.map_err(BatchError::Refused)).collect()
        }
        Ok(Reply::Refused(refusal)) => vec![Err(BatchError::Refused(refusal)); count],
        Ok(other) => {
            tracing::error!(?other, "a group answered something else than was asked");
            let malformed = Refusal::Malformed("the reply has another shape");
            vec![Err(BatchError::Refused(malformed)); count]
        }
        Err(error) => {
            tracing::warn!(%error, group, "deleting a batch failed");
            vec![Err(BatchError::Unanswered(error)); count]
        }
    };
    places.into_iter().zip(outcomes).collect()
}
