//! The names of buckets by their ids, from the tables of the meta group and from what its log has beyond them.

use std::collections::BTreeMap;

use anode_disk::{
    Directory,
    check::ShardFiles,
    index::{Inspection, Sight},
    wal::{Record, Wal},
};
use anode_shards::{
    command::Command,
    object::BucketId,
    raft::codec::{decode_command, decode_position},
    state::{
        meta_key,
        named::{Named, bucket_record, next_bucket_record},
    },
};

use crate::shard::META_GROUP;

/// Entries of the log that are read at once, in bytes.
const READ_BYTES: usize = 1 << 20;

/// The buckets of a node, also those that were removed, as far as anything still knows of them.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    names: BTreeMap<BucketId, String>,
    existing: BTreeMap<String, BucketId>,
    next: BucketId,
}

impl Buckets {
    /// Adds what a shard knows.
    pub(super) async fn add<D: Directory>(&mut self, files: &ShardFiles<D>) {
        let mut applied = 0;
        if let Ok(index) = &files.index {
            self.add_tables(index).await;
            if let Ok(Some(entry)) = index.current(&meta_key(META_GROUP)).await
                && let Ok(position) = decode_position(&entry.value)
            {
                applied = position.applied.map_or(0, |applied| applied.index());
            }
        }
        if let Ok(wal) = &files.wal {
            self.add_log(wal, applied + 1).await;
        }
        if let Some(salvage) = &files.salvage {
            for index in applied + 1..salvage.unbroken_end(META_GROUP, applied + 1) {
                if let Ok(record) = salvage.read(META_GROUP, index).await {
                    self.add_command(record);
                }
            }
        }
    }

    /// The name of a bucket; its id where nothing tells the name.
    pub(super) fn name(&self, bucket: BucketId) -> String {
        self.names.get(&bucket).cloned().unwrap_or_else(|| format!("(bucket {bucket})"))
    }

    /// The ids that a name has or had.
    pub(super) fn ids(&self, name: &str) -> Vec<BucketId> {
        let named = self.names.iter().filter(|(_, known)| known.as_str() == name);
        named.map(|(id, _)| *id).collect()
    }

    async fn add_tables<D: Directory>(&mut self, index: &Inspection<D>) {
        let mut found = Vec::new();
        // Keys begin with their group, and the meta group is the first.
        let has_meta = |smallest: &[u8]| matches!(Named::of(smallest), Some((META_GROUP, _)));
        for table in index.tables().iter().filter(|table| has_meta(&table.smallest)) {
            let visit = |sight| {
                let Sight::Entry(key, Some(entry)) = sight else { return };
                let Some((META_GROUP, named)) = Named::of(&key) else { return };
                if named == Named::NextBucket {
                    self.next = self.next.max(next_bucket_record(&entry.value).unwrap_or(0));
                } else if let (Named::Bucket(_), Some(bucket)) =
                    (named, bucket_record(&entry.value))
                {
                    found.push((key, entry, bucket));
                }
            };
            index.walk(table, visit).await;
        }
        for (key, entry, bucket) in found {
            // An older table may have one that was removed since.
            if index.current(&key).await.is_ok_and(|current| current.as_ref() == Some(&entry)) {
                self.existing.insert(bucket.name.clone(), bucket.id);
            }
            self.names.insert(bucket.id, bucket.name);
        }
    }

    /// Decides as the state does: a name that exists is not made again.
    async fn add_log<D: Directory>(&mut self, wal: &Wal<D>, from: u64) {
        let Some((first, last)) = wal.range(META_GROUP) else { return };
        let mut from = from.max(first);
        while from <= last {
            let Ok(records) = wal.read(META_GROUP, from..last + 1, READ_BYTES).await else {
                return;
            };
            for record in records {
                from = record.index + 1;
                self.add_command(record);
            }
        }
    }

    fn add_command(&mut self, record: Record) {
        match decode_command(record) {
            Ok(Some(Command::CreateBucket(create)))
                if !self.existing.contains_key(&create.name) =>
            {
                let id = self.next.max(1);
                self.next = id + 1;
                self.names.insert(id, create.name.clone());
                self.existing.insert(create.name, id);
            }
            Ok(Some(Command::RemoveBucket(remove)))
                if self.existing.get(&remove.name) == Some(&remove.bucket) =>
            {
                self.existing.remove(&remove.name);
            }
            Ok(_) | Err(_) => {}
        }
    }
}
