//! Shows what the files of a stopped node hold.

use std::fmt::Write as _;

use anode_disk::{
    check::{ReadOnly, ShardFiles},
    index::{Entry, Payload, Sight},
    segment::Class,
};
use anode_shards::{
    command::Command,
    object::BucketId,
    raft::codec::decode_command,
    ring::group_of,
    state::named::{object_key, object_record},
};
use bytesize::ByteSize;

use super::{
    buckets::Buckets,
    hits::describe,
    node::{StoppedNode, StoppedVolume},
    plain::PlainDirectory,
};
use crate::{
    config::cli::{Subject, VolumeInspect},
    storage_class,
};

type Files = ShardFiles<ReadOnly<PlainDirectory>>;

/// Entries of a log that are read at once, in bytes.
const READ_BYTES: usize = 1 << 20;

/// The text that is shown.
pub(super) async fn run(arguments: &VolumeInspect) -> Result<String, String> {
    let node = StoppedNode::open(&arguments.data, &arguments.data_class).await?;
    let mut buckets = Buckets::default();
    for files in node.files() {
        buckets.add(files).await;
    }
    if let Subject::Key { bucket, key } = &arguments.subject {
        return history(&node, &buckets, (bucket, key)).await;
    }
    let mut text = Text::default();
    for volume in node.volumes.iter().chain(&node.classes) {
        text.line(format!("{}", volume.path.display()));
        if matches!(arguments.subject, Subject::Superblock) {
            superblock(volume, &mut text);
            continue;
        }
        for shard in &volume.shards {
            text.line(format!("shard {:016x}", shard.id));
            match &shard.files {
                Err(error) => text.line(format!("  {error}")),
                Ok(files) => match arguments.subject {
                    Subject::Wal => wal(files, &mut text),
                    Subject::Tables => tables(files, &buckets, &mut text),
                    Subject::Segments => segments(files, &mut text),
                    Subject::Superblock | Subject::Key { .. } => {}
                },
            }
        }
    }
    Ok(text.0)
}

#[derive(Default)]
struct Text(String);

impl Text {
    #[expect(clippy::needless_pass_by_value, reason = "made for this call")]
    fn line(&mut self, said: String) {
        writeln!(self.0, "{said}").expect("a string takes what is written");
    }
}

fn superblock(volume: &StoppedVolume, text: &mut Text) {
    let identity = &volume.identity;
    text.line(format!("  cluster     {:032x}", identity.cluster));
    text.line(format!("  volume      {:032x}", identity.volume));
    text.line(format!("  formatted   {} ms since 1970", identity.created_ms));
    let (index, count) = (identity.volume_index + 1, identity.volume_count);
    text.line(format!("  which       {index} of {count} volumes"));
    text.line(format!("  groups      {}", identity.group_count));
    let shards: Vec<String> = identity.shards.iter().map(|id| format!("{id:016x}")).collect();
    text.line(format!("  shards      {} of {}", shards.len(), identity.node_shard_count));
    text.line(format!("              {}", shards.join(" ")));
    for error in &volume.superblock {
        text.line(format!("  damaged     {error}"));
    }
}

fn wal(files: &Files, text: &mut Text) {
    let wal = match &files.wal {
        Ok(wal) => wal,
        Err(error) => return text.line(format!("  {error}")),
    };
    let figures = wal.figures();
    let found = &figures.recovery;
    text.line(format!(
        "  {} segments in use ({}), {} spare; {} batches, {} records",
        found.segment_count,
        ByteSize(figures.bytes_held),
        figures.spare_count,
        found.batch_count,
        found.record_count
    ));
    if let Some(torn) = &found.torn_tail {
        text.line(format!("  torn tail at {torn}: nobody was told of it"));
    }
    for group in wal.groups() {
        let name = if group == anode_disk::wal::LOCAL {
            "staged chunks".to_owned()
        } else {
            format!("group {group}")
        };
        match wal.range(group) {
            Some((first, last)) => text.line(format!("  {name}: entries {first} to {last}")),
            None => text.line(format!("  {name}: no entries")),
        }
    }
}

fn tables(files: &Files, buckets: &Buckets, text: &mut Text) {
    let index = match &files.index {
        Ok(index) => index,
        Err(error) => return text.line(format!("  {error}")),
    };
    for table in index.tables() {
        text.line(format!(
            "  level {} table {:08x}: {}, {} entries, {} tombstones",
            table.level,
            table.id,
            ByteSize(table.bytes),
            table.entry_count,
            table.tombstone_count
        ));
        text.line(format!("    from {}", describe(&table.smallest, buckets)));
        text.line(format!("    to   {}", describe(&table.largest, buckets)));
    }
}

fn segments(files: &Files, text: &mut Text) {
    let index = match &files.index {
        Ok(index) => index,
        Err(error) => return text.line(format!("  {error}")),
    };
    let live = index.live();
    for (segment, bytes) in &live {
        let class = Class::of_segment(*segment);
        let place = if class == Class::OWN {
            String::new()
        } else {
            format!(", storage class {}", storage_class::name_of(class))
        };
        text.line(format!("  segment {segment:08x}: {} in use{place}", ByteSize(*bytes)));
    }
    let sum = ByteSize(live.values().sum());
    text.line(format!("  {} segments that tables refer to, {sum} in use", live.len()));
}

/// Everything that is known of a key.
async fn history(
    node: &StoppedNode,
    buckets: &Buckets,
    (bucket, key): (&str, &str),
) -> Result<String, String> {
    let ids = buckets.ids(bucket);
    if ids.is_empty() {
        return Err(format!("no bucket {bucket} is known; name all data directories of the node"));
    }
    let mut text = Text::default();
    for id in ids {
        let group_count = node.volumes.first().map_or(1, |volume| volume.identity.group_count);
        let group = group_of(id, key, group_count);
        text.line(format!("{bucket}/{key}: bucket {id}, group {group}"));
        for files in node.files() {
            in_log(files, (group, id, key), &mut text).await;
            in_tables(files, (group, id, key), &mut text).await;
        }
    }
    Ok(text.0)
}

async fn in_log(files: &Files, (group, bucket, key): (u32, BucketId, &str), text: &mut Text) {
    let Ok(wal) = &files.wal else { return };
    let Some((first, last)) = wal.range(group) else { return };
    let mut from = first;
    while from <= last {
        let records = match wal.read(group, from..last + 1, READ_BYTES).await {
            Ok(records) if records.is_empty() => return,
            Ok(records) => records,
            Err(error) => return text.line(format!("  log: {error}")),
        };
        for record in records {
            let index = record.index;
            from = index + 1;
            match decode_command(record) {
                Ok(Some(command)) => {
                    if let Some(what) = of_key(&command, bucket, key) {
                        text.line(format!("  log entry {index}: {what}"));
                    }
                }
                Ok(None) => {}
                Err(error) => text.line(format!("  log entry {index}: {error}")),
            }
        }
    }
}

/// What a command does to a key.
fn of_key(command: &Command, bucket: BucketId, key: &str) -> Option<String> {
    let is_it = |of: BucketId, named: &str| of == bucket && named == key;
    match command {
        Command::PutObject(put) if is_it(put.bucket, &put.key) => Some(format!(
            "put of {} bytes, etag {}, {:?}",
            put.object.size, put.object.etag, put.object.body
        )),
        Command::DeleteObject(delete) if is_it(delete.bucket, &delete.key) => {
            Some("delete".to_owned())
        }
        Command::DeleteObjects(deletes) => deletes
            .iter()
            .any(|delete| is_it(delete.bucket, &delete.key))
            .then(|| format!("delete, with {} keys", deletes.len())),
        Command::CreateUpload(create) if is_it(create.bucket, &create.key) => {
            Some(format!("upload {:032x} begins", create.upload.0))
        }
        Command::PutPart(part) if is_it(part.bucket, &part.key) => {
            Some(format!("part {} of upload {:032x}", part.part.number, part.upload.0))
        }
        Command::CompleteUpload(complete) if is_it(complete.bucket, &complete.key) => {
            Some(format!("upload {:032x} is completed", complete.upload.0))
        }
        Command::AbortUpload(abort) if is_it(abort.bucket, &abort.key) => {
            Some(format!("upload {:032x} is aborted", abort.upload.0))
        }
        Command::Amend(amend) if is_it(amend.bucket, &amend.key) => {
            Some(format!("amendment of {:?}", amend.version))
        }
        Command::CreateBucket(_)
        | Command::RemoveBucket(_)
        | Command::PutCredential(_)
        | Command::RemoveCredential(_)
        | Command::PutObject(_)
        | Command::DeleteObject(_)
        | Command::CreateUpload(_)
        | Command::PutPart(_)
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
    }
}

async fn in_tables(files: &Files, (group, bucket, key): (u32, BucketId, &str), text: &mut Text) {
    let Ok(index) = &files.index else { return };
    let wanted = object_key(group, bucket, key);
    for table in index.tables() {
        if table.smallest > wanted || table.largest < wanted {
            continue;
        }
        let mut found = None;
        let mut damage = None;
        index
            .walk(&table, |sight| match sight {
                Sight::Entry(key, change) if key == wanted => found = Some(change),
                Sight::Entry(..) => {}
                Sight::Unopened(error) => damage = Some(error),
                Sight::Damage { error, after, upto } => {
                    if wanted <= upto && after.is_none_or(|after| wanted > after) {
                        damage = Some(error);
                    }
                }
            })
            .await;
        let place = format!("  level {} table {:08x}", table.level, table.id);
        match found {
            Some(None) => text.line(format!("{place}: deleted")),
            Some(Some(entry)) => text.line(format!("{place}: {}", stored(&entry))),
            None => {
                if let Some(error) = damage {
                    text.line(format!("{place}: {error}"));
                }
            }
        }
    }
}

fn stored(entry: &Entry) -> String {
    let place = match &entry.payload {
        Payload::None => "no payload".to_owned(),
        Payload::Inline(bytes) => format!("{} bytes in the table", bytes.len()),
        Payload::Extent(extent) => format!(
            "{} bytes in segment {:08x} at {}",
            extent.data_bytes, extent.segment, extent.offset
        ),
    };
    match object_record(&entry.value) {
        Some((object, _)) => format!(
            "{} bytes, etag {}, {:?}, written {} ms since 1970; {place}",
            object.size, object.etag, object.body, object.last_modified_ms
        ),
        None => format!("a record that can't be read; {place}"),
    }
}
