//! S3: `DeleteObject` and `DeleteObjects`.

use std::collections::BTreeMap;

use anode_net::s3::{
    self, parameters,
    xml::{objects, requests},
};
use anode_shards::command::{Command, DeleteObject, Deleted, Refusal, Reply};

use super::{find_bucket, payload, record, refusal, version};
use crate::{
    authorize::Caller,
    exchange::{Exchange, Response},
    host::Host,
    mesh::AskError,
    notification::{Chances, notice},
    permission::check_key,
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
    exchange: &Exchange<'_, H>,
    caller: &Caller,
    delete: &parameters::DeleteObject,
) -> Result<Response<H>, s3::Error> {
    let shard = &exchange.shard;
    let bucket = find_bucket(shard, &delete.bucket)?;
    let sent = delete.version.sent();
    // A version that no version here could be is deleted already.
    let Some(version) = version::wanted(&delete.version) else {
        return Ok(Response::empty(version::deletion_head(sent, false)));
    };
    let command = DeleteObject {
        bucket: bucket.record.id,
        key: delete.key.clone(),
        if_match: record::if_match(&delete.condition),
        now_ms: shard.now_ms(),
        version,
        nonce: shard.random_u64(),
        bypasses_governance: delete.bypasses_governance,
        seen_ms: None,
        notice: notice(exchange, caller, (&bucket, &delete.key), Chances::DELETION),
    };
    let group = shard.group_of(bucket.record.id, &delete.key);
    let reply = shard.propose(group, Command::DeleteObject(command), None).await?;
    let reply = refusal::accepted(reply, &delete.bucket, &delete.key)?;
    let Reply::Deleted(deleted) = reply else { return Err(refusal::unexpected(&reply)) };
    let made = deleted.version.map(|version| version.to_string());
    Ok(Response::empty(version::deletion_head(sent.or(made.as_deref()), deleted.is_marker)))
}

/// Deletes up to 1,000 objects: a command a group, and an answer a key.
pub async fn many<H: Host>(
    exchange: &mut Exchange<'_, H>,
    caller: &Caller,
    delete: &parameters::DeleteObjects,
) -> Result<Response<H>, s3::Error> {
    let shard = exchange.shard.clone();
    let bucket = find_bucket(&shard, &delete.bucket)?;
    let body = payload::document(exchange, caller, delete.md5, delete.checksum).await?;
    let request = requests::delete(&body)?;
    let mut outcomes: Vec<Result<Deleted, s3::Error>> =
        vec![Ok(Deleted::default()); request.objects.len()];
    let mut batches: BTreeMap<u32, Batch> = BTreeMap::new();
    for (nth, object) in request.objects.iter().enumerate() {
        match &object.deletion {
            Err(error) => outcomes[nth] = Err(error.clone()),
            Ok(deletion) => {
                let key = (object.key.as_str(), &deletion.version, delete.bypasses_governance);
                if let Err(denied) = check_key(exchange, caller, &bucket, key).await {
                    outcomes[nth] = Err(denied);
                    continue;
                }
                let Some(version) = version::wanted(&deletion.version) else { continue };
                let command = DeleteObject {
                    bucket: bucket.record.id,
                    key: object.key.clone(),
                    if_match: record::if_match(&deletion.condition),
                    now_ms: shard.now_ms(),
                    version,
                    nonce: shard.random_u64(),
                    bypasses_governance: delete.bypasses_governance,
                    seen_ms: None,
                    notice: notice(exchange, caller, (&bucket, &object.key), Chances::DELETION),
                };
                batches
                    .entry(shard.group_of(bucket.record.id, &object.key))
                    .or_default()
                    .push((nth, command));
            }
        }
    }
    let batches = batches.into_iter().map(|(group, batch)| delete_batch(&shard, group, batch));
    for (nth, outcome) in futures::future::join_all(batches).await.into_iter().flatten() {
        let key = &request.objects[nth].key;
        outcomes[nth] = outcome.map_err(|failed| match failed {
            BatchError::Refused(refused) => refusal::of_command(&refused, &delete.bucket, key),
            BatchError::Unanswered(error) => error.into(),
        });
    }
    let deletions: Vec<objects::Deletion<'_>> = request
        .objects
        .iter()
        .zip(outcomes)
        .map(|(object, outcome)| objects::Deletion {
            key: &object.key,
            version: object.version_id.as_deref(),
            marker: outcome.as_ref().ok().and_then(marker),
            error: outcome.err(),
        })
        .collect();
    Ok(Response::xml(objects::deleted(&deletions, request.quiet)))
}

/// The delete marker that was made or removed.
fn marker(deleted: &Deleted) -> Option<String> {
    deleted.version.filter(|_| deleted.is_marker).map(|version| version.to_string())
}

/// Deletes the keys of one group; the outcome of each by its place in the request.
async fn delete_batch<H: Host>(
    shard: &Shard<H>,
    group: u32,
    batch: Batch,
) -> Vec<(usize, Result<Deleted, BatchError>)> {
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
