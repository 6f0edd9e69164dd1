//! Bytes on their way to another storage class: read chunk by chunk, staged there, and named by a command for each body.
//!
//! The command says which version was read, and is refused where that was written again meanwhile. It takes a
//! rest with each chunk; requests go on in between. What a failure leaves half moved is readable as it is, and is moved whole by the
//! next pass.

use anode_disk::{segment::Class, wal::GroupId};
use anode_shards::{
    command::{Amend, Amendment, Command, Reply, Transition},
    limits::CHUNK_BYTES_MAX,
    object::{Body, BodyId, ContentId, Object},
    staging::Cut,
    version::{VersionName, WantedVersion},
};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{Moved, Pass};
use crate::{
    host::Host,
    limits,
    mesh::{Access, Answer, Ask, AskError, ObjectFound},
    meta::BucketView,
    notification::notice_of_transition,
    shard::Shard,
    storage_class,
};

/// A version that is to go to another class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) key: String,
    pub(super) version: WantedVersion,
    /// When it was written, in milliseconds since the epoch.
    pub(super) seen_ms: u64,
    /// What S3 calls the class.
    pub(super) class: &'static str,
}

/// Names a version in a question.
pub(super) fn wanted(object: &Object) -> WantedVersion {
    match object.version_name() {
        VersionName::Null => WantedVersion::Null,
        VersionName::Id(id) => WantedVersion::Id(id),
    }
}

/// Moves them, one after the other. What can't be read stays where it is, as does what a class doesn't take; neither keeps anything
/// else of the pass waiting.
pub(super) async fn carry_out<H: Host>(
    shard: &Shard<H>,
    (group, bucket): (GroupId, &BucketView),
    moves: Vec<Move>,
    pass: &mut Pass,
) -> Result<(), AskError> {
    for one in moves {
        let Some(class) = storage_class::target(shard, one.class) else { continue };
        if pass.closed.contains(&class) {
            continue;
        }
        if shard.is_draining() {
            break;
        }
        match carry_one(shard, (group, bucket), &one, class).await {
            Ok(Some(bytes)) => {
                pass.work.moved[usize::from(class.number())].add(Moved { objects: 1, bytes });
            }
            Ok(None) => {}
            // Whoever met the damage first has told of it, and who reads it is refused.
            Err(AskError::Damaged(finding)) => {
                let (bucket, key) = (&bucket.record.name, &one.key);
                tracing::warn!(bucket, key, finding, "damaged bytes stay in their storage class");
            }
            Err(error @ (AskError::Full | AskError::DeviceFailed(_))) => {
                let class_name = one.class;
                tracing::warn!(class_name, %error, "nothing more goes to a storage class in this pass of lifecycle");
                pass.closed.insert(class);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Moves one; how many bytes, or nothing where it isn't there any more as it was seen.
async fn carry_one<H: Host>(
    shard: &Shard<H>,
    (group, bucket): (GroupId, &BucketView),
    one: &Move,
    class: Class,
) -> Result<Option<u64>, AskError> {
    let (key, version) = (one.key.clone(), one.version);
    let ask = Ask::Object { bucket: bucket.record.id, key, version, access: Access::Bytes };
    let Answer::Object(Some(found)) = shard.ask(group, ask).await? else { return Ok(None) };
    let is_it = !found.object.is_marker() && found.object.last_modified_ms == one.seen_ms;
    let moved = if is_it {
        move_bodies(shard, (group, bucket), (one, class), &found).await
    } else {
        Ok(None)
    };
    if let Some(pin) = found.pin {
        drop(shard.ask(group, Ask::Unpin { pin }).await);
    }
    moved
}

async fn move_bodies<H: Host>(
    shard: &Shard<H>,
    (group, bucket): (GroupId, &BucketView),
    (one, class): (&Move, Class),
    found: &ObjectFound,
) -> Result<Option<u64>, AskError> {
    let object = &found.object;
    let bodies: Vec<Option<BodyId>> = match object.body {
        Body::Empty => vec![None],
        Body::Inline(_) => vec![Some(BodyId(shard.random_u128()))],
        Body::Whole(_) | Body::Parts(_) => object.bodies().map(|(body, _)| Some(body)).collect(),
    };
    let last = bodies.len().saturating_sub(1);
    for (index, body) in bodies.into_iter().enumerate() {
        let staged = BodyId(shard.random_u128());
        let contents = match body {
            Some(body) => stage(shard, (group, class), (body, staged), found).await?,
            None => Vec::new(),
        };
        let is_last = index == last;
        let transition = Transition {
            etag: object.etag.clone(),
            last_modified_ms: object.last_modified_ms,
            body,
            staged,
            contents,
            class: is_last.then(|| one.class.to_owned()),
        };
        let notice = if is_last { notice_of_transition(shard, bucket, &one.key) } else { None };
        let amend = Amend {
            bucket: bucket.record.id,
            key: one.key.clone(),
            version: one.version,
            change: Amendment::Transition(Box::new(transition)),
            notice,
        };
        let reply =
            shard.propose(group, Command::Amend(Box::new(amend)), body.map(|_| staged)).await?;
        if !matches!(reply, Reply::Amended { .. }) {
            discard(shard, group, staged).await;
            return Ok(None);
        }
    }
    Ok(Some(object.stored_bytes()))
}

/// Writes the chunks of a body to a class; their names there.
async fn stage<H: Host>(
    shard: &Shard<H>,
    (group, class): (GroupId, Class),
    (body, staged): (BodyId, BodyId),
    found: &ObjectFound,
) -> Result<Vec<ContentId>, AskError> {
    let contents = stage_all(shard, (group, class), (body, staged), found).await;
    if contents.is_err() {
        discard(shard, group, staged).await;
    }
    contents
}

async fn stage_all<H: Host>(
    shard: &Shard<H>,
    (group, class): (GroupId, Class),
    (body, staged): (BodyId, BodyId),
    found: &ObjectFound,
) -> Result<Vec<ContentId>, AskError> {
    let mut contents = Vec::new();
    let held = found.object.bodies().find(|(known, _)| *known == body);
    let bytes = held.map_or(found.inline.len() as u64, |(_, bytes)| bytes);
    let mut start = 0;
    while start < bytes {
        let length = CHUNK_BYTES_MAX.min(bytes - start);
        let number = u32::try_from(start / CHUNK_BYTES_MAX).expect("a body has few chunks");
        let data = if held.is_some() {
            read(shard, (group, body, number), length).await?
        } else {
            found.inline.clone()
        };
        let content = ContentId(Sha256::digest(&data).into()).of_class(class);
        contents.push(content);
        let chunk = Cut { number, content, class, data };
        shard.ask(group, Ask::Stage { body: staged, chunk }).await?;
        start += length;
        shard.host().sleep(limits::LIFECYCLE_PAUSE).await;
    }
    Ok(contents)
}

async fn read<H: Host>(
    shard: &Shard<H>,
    (group, body, chunk): (GroupId, BodyId, u32),
    length: u64,
) -> Result<Bytes, AskError> {
    let end = u32::try_from(length).expect("a chunk is smaller than 4 GiB");
    // Said to be of a longer chunk: what is moved is no reason to keep it in memory.
    let ask = Ask::Chunk { body, chunk, range: 0..end, chunk_bytes: end + 1 };
    let answer = shard.ask(group, ask).await?;
    let Answer::Chunk(bytes) = answer else {
        return Err(AskError::Unavailable(format!(
            "a chunk was asked for, and the answer is {answer:?}"
        )));
    };
    Ok(bytes)
}

async fn discard<H: Host>(shard: &Shard<H>, group: GroupId, body: BodyId) {
    drop(shard.ask(group, Ask::Discard { body }).await);
}
