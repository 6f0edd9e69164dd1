//! What the log of a shard has and its tables have not: commands that the next start applies.

use std::collections::{BTreeMap, BTreeSet};

use anode_disk::{
    Directory, Error,
    check::ShardFiles,
    index::Inspection,
    wal::{GroupId, LOCAL, Record, Wal},
};
use anode_shards::{
    command::Command,
    object::BodyId,
    raft::codec::{decode_command, decode_position},
    staging::SettledChunk,
    state::{meta_key, named::object_key},
};
use bytes::Bytes;

use super::{
    buckets::Buckets,
    report::Hit,
    shelf::{body_of, keys_of, objects_of_command},
};

/// Entries of the log that are read at once, in bytes.
const READ_BYTES: usize = 1 << 20;

/// The keys of objects that the commands of a group are about that its tables have not applied.
pub(super) async fn pending_keys<D: Directory>(
    wal: &Wal<D>,
    index: &Inspection<D>,
    group: GroupId,
) -> BTreeSet<Bytes> {
    let mut found = BTreeSet::new();
    for_each_pending(wal, index, group, |command| {
        let named = objects_of_command(command).into_iter();
        found.extend(named.map(|(bucket, key)| object_key(group, bucket, key)));
    })
    .await;
    found
}

/// Per data segment that is missing what is wrong, and the objects whose bytes were in it, as the log alone says.
pub(super) async fn lost_in_log<D: Directory>(
    files: &ShardFiles<D>,
    buckets: &Buckets,
) -> Vec<(Error, Vec<Hit>)> {
    let (Ok(wal), Ok(index)) = (&files.wal, &files.index) else { return Vec::new() };
    let mut bodies: BTreeMap<(GroupId, BodyId), BTreeSet<u32>> = BTreeMap::new();
    for_each_record(wal, LOCAL, 0, |record| {
        let Ok(chunk) = SettledChunk::of(&record) else { return };
        if index.missing_segment(chunk.extent.segment).is_some() {
            let segments = bodies.entry((chunk.group, chunk.body)).or_default();
            segments.insert(chunk.extent.segment);
        }
    })
    .await;
    let mut hits: BTreeMap<u32, BTreeSet<Hit>> = BTreeMap::new();
    let groups: BTreeSet<GroupId> = bodies.keys().map(|(group, _)| *group).collect();
    for group in groups {
        for_each_pending(wal, index, group, |command| {
            let body = body_of(command).and_then(|body| bodies.get(&(group, body)));
            for segment in body.into_iter().flatten() {
                let keys = keys_of(command, buckets).into_iter();
                let hit = keys.map(|(bucket, key)| Hit { bucket, key });
                hits.entry(*segment).or_default().extend(hit);
            }
        })
        .await;
    }
    let found = hits.into_iter().filter_map(|(segment, hits)| {
        Some((index.missing_segment(segment)?, hits.into_iter().collect()))
    });
    found.collect()
}

async fn for_each_pending<D: Directory>(
    wal: &Wal<D>,
    index: &Inspection<D>,
    group: GroupId,
    mut visit: impl FnMut(&Command),
) {
    let position = index.current(&meta_key(group)).await.ok().flatten();
    let position = position.and_then(|entry| decode_position(&entry.value).ok());
    let applied = position.and_then(|position| position.applied).map(|applied| applied.index());
    let from = applied.map_or(0, |applied| applied + 1);
    for_each_record(wal, group, from, |record| {
        if let Ok(Some(command)) = decode_command(record) {
            visit(&command);
        }
    })
    .await;
}

/// Visits the records of a group from an index on, as far as they can be read.
async fn for_each_record<D: Directory>(
    wal: &Wal<D>,
    group: GroupId,
    from: u64,
    mut visit: impl FnMut(Record),
) {
    let Some((first, last)) = wal.range(group) else { return };
    let mut from = first.max(from);
    while from <= last {
        let Ok(records) = wal.read(group, from..last + 1, READ_BYTES).await else { return };
        let Some(end) = records.last().map(|record| record.index) else { return };
        from = end + 1;
        records.into_iter().for_each(&mut visit);
    }
}
