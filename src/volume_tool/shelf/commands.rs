//! What is kept of commands that are cut off a damaged log: what they asked for, and the bytes that came with them.

use std::{collections::BTreeSet, fs::File, io::Write as _};

use anode_disk::{Directory, Error, wal::GroupId};
use anode_shards::{
    command::{Command, PutObject, PutPart},
    limits::CHUNK_BYTES_MAX,
    object::{Body, BodyId, BucketId, Object, Part},
    staging::Staging,
};
use serde::Serialize;

use super::{KeptBody, KeptKey, Shelf, lose};
use crate::volume_tool::buckets::Buckets;

/// What is lost of a log, and cut off for it.
#[derive(Debug, Default, Serialize)]
pub(in crate::volume_tool) struct LostLog {
    /// Batches of the log that can't be read; that many at most.
    pub(in crate::volume_tool) batches: u64,
    /// Records in them, at most. Which group they were of, nobody knows, where none of that group follows.
    pub(in crate::volume_tool) records_max: u64,
    /// The groups that are cut off.
    pub(in crate::volume_tool) groups: Vec<CutGroup>,
    /// What is cut off and can be read, in the order of the log.
    pub(in crate::volume_tool) commands: Vec<CutCommand>,
}

/// A group whose log is cut off.
#[derive(Debug, Serialize)]
pub(in crate::volume_tool) struct CutGroup {
    pub(in crate::volume_tool) group: GroupId,
    /// The last entry that counts; none where the log begins with what is lost.
    pub(in crate::volume_tool) upto: Option<u64>,
    /// Entries behind it that can't be read, as far as they are known of.
    pub(in crate::volume_tool) unreadable: u64,
    /// And that can be read.
    pub(in crate::volume_tool) readable: u64,
}

/// Something that a client was answered and that did not happen any more.
#[derive(Debug, Default, Serialize)]
pub(in crate::volume_tool) struct CutCommand {
    pub(in crate::volume_tool) group: GroupId,
    /// Its place in the log of the group.
    pub(in crate::volume_tool) entry: u64,
    pub(in crate::volume_tool) command: &'static str,
    pub(in crate::volume_tool) bucket: String,
    pub(in crate::volume_tool) key: String,
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::volume_tool) time_ms: Option<u64>,
    /// Of what was written: its bytes, and what came with them.
    #[serde(flatten)]
    pub(in crate::volume_tool) written: Option<Written>,
}

/// What a command wrote.
#[derive(Debug, Serialize)]
pub(in crate::volume_tool) struct Written {
    pub(in crate::volume_tool) size: u64,
    pub(in crate::volume_tool) etag: String,
    pub(in crate::volume_tool) headers: Vec<(String, String)>,
    pub(in crate::volume_tool) metadata: Vec<(String, String)>,
    /// Which part of an upload, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::volume_tool) part: Option<String>,
    /// Its bytes, beside the list; zeros where they are lost.
    pub(in crate::volume_tool) file: Option<String>,
    /// First byte and the one behind the last, of what is lost.
    pub(in crate::volume_tool) lost_bytes: Vec<[u64; 2]>,
    /// What the bytes can be decrypted by, together with the master key or the customer's. That of a part is its upload's.
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<KeptKey>,
}

/// The name of a file, and what is lost of it.
type StagedFile = (Option<String>, Vec<[u64; 2]>);

/// What a command does to a key.
struct Deed<'a> {
    name: &'static str,
    bucket: BucketId,
    key: &'a str,
    time_ms: Option<u64>,
}

impl<'a> Deed<'a> {
    fn new(name: &'static str, bucket: BucketId, key: &'a str, time_ms: Option<u64>) -> Self {
        Self { name, bucket, key, time_ms }
    }
}

/// The objects that a command is about: name of their bucket, and key.
pub(in crate::volume_tool) fn keys_of(
    command: &Command,
    buckets: &Buckets,
) -> Vec<(String, String)> {
    let objects = objects_of_command(command).into_iter();
    objects.map(|(bucket, key)| (buckets.name(bucket), key.to_owned())).collect()
}

/// The same by the bucket's id.
pub(in crate::volume_tool) fn objects_of_command(command: &Command) -> Vec<(BucketId, &str)> {
    let deeds = deeds(command).into_iter().filter(|deed| !deed.key.is_empty());
    deeds.map(|deed| (deed.bucket, deed.key)).collect()
}

/// The body that a command brings along.
pub(in crate::volume_tool) fn body_of(command: &Command) -> Option<BodyId> {
    if let Command::PutPart(put) = command {
        return Some(put.part.body);
    }
    let Command::PutObject(put) = command else { return None };
    if let Body::Whole(body) = put.object.body { Some(body) } else { None }
}

fn deeds(command: &Command) -> Vec<Deed<'_>> {
    match command {
        Command::PutObject(put) => {
            let time_ms = Some(put.object.last_modified_ms);
            vec![Deed::new("put", put.bucket, &put.key, time_ms)]
        }
        Command::DeleteObject(delete) => {
            vec![Deed::new("delete", delete.bucket, &delete.key, Some(delete.now_ms))]
        }
        Command::DeleteObjects(deletes) => deletes
            .iter()
            .map(|delete| Deed::new("delete", delete.bucket, &delete.key, Some(delete.now_ms)))
            .collect(),
        Command::CreateUpload(create) => {
            let time_ms = Some(create.record.initiated_ms);
            vec![Deed::new("create upload", create.bucket, &create.key, time_ms)]
        }
        Command::PutPart(put) => {
            let time_ms = Some(put.part.last_modified_ms);
            vec![Deed::new("put part", put.bucket, &put.key, time_ms)]
        }
        Command::CompleteUpload(complete) => {
            let time_ms = Some(complete.now_ms);
            vec![Deed::new("complete upload", complete.bucket, &complete.key, time_ms)]
        }
        Command::AbortUpload(abort) => {
            vec![Deed::new("abort upload", abort.bucket, &abort.key, Some(abort.now_ms))]
        }
        Command::Amend(amend) => vec![Deed::new("amend", amend.bucket, &amend.key, None)],
        Command::SealBucket(bucket) => vec![Deed::new("seal bucket", *bucket, "", None)],
        Command::UnsealBucket(bucket) => vec![Deed::new("unseal bucket", *bucket, "", None)],
        Command::SetVersioning(set) => vec![Deed::new("set versioning", set.bucket, "", None)],
        // Of the meta group, whose log is not cut off; or upkeep, which is done again.
        Command::CreateBucket(_)
        | Command::RemoveBucket(_)
        | Command::PutCredential(_)
        | Command::RemoveCredential(_)
        | Command::PutMasterKey(_)
        | Command::Configure(_)
        | Command::ChangeIam(_)
        | Command::NumberRound(_)
        | Command::Allot(_)
        | Command::RemoveEvents(_)
        | Command::Reclaim(_) => Vec::new(),
    }
}

impl Shelf {
    /// Keeps a command, an entry of its group's log.
    pub(in crate::volume_tool) async fn keep_command<D: Directory>(
        &mut self,
        (group, entry): (GroupId, u64),
        command: &Command,
        staging: &Staging<D>,
        buckets: &Buckets,
    ) -> Result<(), String> {
        let mut written = match command {
            Command::PutObject(put) => Some(self.keep_put(group, put, staging).await?),
            Command::PutPart(put) => Some(self.keep_part(group, put, staging).await?),
            Command::CreateBucket(_)
            | Command::RemoveBucket(_)
            | Command::PutCredential(_)
            | Command::RemoveCredential(_)
            | Command::DeleteObject(_)
            | Command::DeleteObjects(_)
            | Command::CreateUpload(_)
            | Command::CompleteUpload(_)
            | Command::AbortUpload(_)
            | Command::SealBucket(_)
            | Command::UnsealBucket(_)
            | Command::SetVersioning(_)
            | Command::Configure(_)
            | Command::ChangeIam(_)
            | Command::PutMasterKey(_)
            | Command::RemoveEvents(_)
            | Command::Amend(_)
            | Command::NumberRound(_)
            | Command::Allot(_)
            | Command::Reclaim(_) => None,
        };
        for Deed { name, bucket, key, time_ms } in deeds(command) {
            let (bucket, key) = (buckets.name(bucket), key.to_owned());
            let written = written.take();
            let cut = CutCommand { group, entry, command: name, bucket, key, time_ms, written };
            self.list.log.get_or_insert_default().commands.push(cut);
        }
        Ok(())
    }

    async fn keep_put<D: Directory>(
        &mut self,
        group: GroupId,
        put: &PutObject,
        staging: &Staging<D>,
    ) -> Result<Written, String> {
        let (file, lost_bytes) = match put.object.body {
            Body::Inline(_) => {
                (Some(self.new_file(|file| file.write_all(&put.inline))?), Vec::new())
            }
            Body::Whole(body) => {
                self.keep_staged(staging, (group, body), put.object.stored_bytes()).await?
            }
            Body::Empty | Body::Parts(_) => (None, Vec::new()),
        };
        let encryption = KeptKey::of_object(put.bucket, &put.object);
        let Object { size, etag, headers, metadata, .. } = put.object.clone();
        Ok(Written { size, etag, headers, metadata, part: None, file, lost_bytes, encryption })
    }

    async fn keep_part<D: Directory>(
        &mut self,
        group: GroupId,
        put: &PutPart,
        staging: &Staging<D>,
    ) -> Result<Written, String> {
        let Part { size, body, number, etag, .. } = put.part.clone();
        let (file, lost_bytes) =
            self.keep_staged(staging, (group, body), put.part.stored_bytes()).await?;
        let part = Some(format!("part {number} of upload {}", put.upload));
        let (headers, metadata) = (Vec::new(), Vec::new());
        let encryption = None;
        Ok(Written { size, etag, headers, metadata, part, file, lost_bytes, encryption })
    }

    /// Keeps a staged body that no command is known for.
    pub(in crate::volume_tool) async fn keep_unclaimed<D: Directory>(
        &mut self,
        staging: &Staging<D>,
        (group, body): (GroupId, BodyId),
        chunks: &[u32],
    ) -> Result<(), String> {
        let end = chunks.last().map_or(0, |last| u64::from(*last) + 1) * CHUNK_BYTES_MAX;
        let (file, lost) = self.keep_staged(staging, (group, body), end).await?;
        let there: BTreeSet<u64> = chunks.iter().map(|chunk| u64::from(*chunk)).collect();
        let is_lost = |chunk: &u64| {
            let range = chunk * CHUNK_BYTES_MAX..(chunk + 1) * CHUNK_BYTES_MAX;
            !there.contains(chunk) || lost.iter().any(|[start, _]| range.contains(start))
        };
        let lost_chunks = (0..end / CHUNK_BYTES_MAX).filter(is_lost);
        let lost_chunks = lost_chunks.filter_map(|chunk| u32::try_from(chunk).ok()).collect();
        let (body, file) = (body.to_string(), file.unwrap_or_default());
        self.list.bodies.push(KeptBody { body, group, file, lost_chunks });
        Ok(())
    }

    /// Puts the staged chunks of a body into a file; its name, and what is lost. `bytes` is at least as long as it is.
    async fn keep_staged<D: Directory>(
        &mut self,
        staging: &Staging<D>,
        (group, body): (GroupId, BodyId),
        bytes: u64,
    ) -> Result<StagedFile, String> {
        let name = self.next_name();
        let mut file: File = self.create(&name)?;
        let (mut lost, mut end) = (Vec::new(), 0);
        for (chunk, at) in
            (0..bytes.div_ceil(CHUNK_BYTES_MAX)).map(|chunk| (chunk, chunk * CHUNK_BYTES_MAX))
        {
            let number = u32::try_from(chunk).map_err(|error| error.to_string())?;
            match staging.bytes(group, body, number).await {
                Ok(content) => {
                    self.write_at(&mut file, at, &content)?;
                    end = at + content.len() as u64;
                }
                Err(Error::Stopped) => return Err(Error::Stopped.to_string()),
                Err(_damage) => {
                    end = bytes.min(at + CHUNK_BYTES_MAX);
                    lose(&mut lost, at..end);
                }
            }
        }
        self.finish(&file, end)?;
        Ok((Some(name), lost))
    }
}
