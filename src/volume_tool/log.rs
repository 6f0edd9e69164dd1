//! A damaged log of a shard, set aside.
//!
//! What can be read of it up to the first entry of a group that is lost is applied and flushed, from where it lies. What is
//! behind that is kept ([`super::shelf`]), with the bytes that came with it. Last of all a new log takes the place of the
//! damaged one, which the node refuses to start with until then: so a crash on the way is as if nothing had been begun, but
//! that more of the log is applied.
//!
//! Of the meta group nothing may be lost for certain: what buckets there are, and who may do what, can't be made up. Whether
//! something was lost at its very end, nobody can know; ids of buckets that may have been given away are not given again.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use anode_disk::{
    Directory, Error,
    check::ShardFiles,
    segment::Places,
    storage::{Storage, StorageOptions},
    wal::{GroupId, Kept, LOCAL, Salvage},
};
use anode_shards::{
    raft::{
        codec::{Position, decode_command, decode_position},
        salvage::{Standing, slots},
    },
    staging::Staging,
    state::{State, meta_key, named::chunk_keys},
};

use super::{
    buckets::Buckets,
    report::Hit,
    shelf::{CutGroup, Shelf, body_of, keys_of},
};
use crate::shard::META_GROUP;

/// Up to where the flushed state of each group of a shard has applied its log.
pub(super) type Positions = BTreeMap<GroupId, Position>;

/// A damaged log.
pub(super) struct BrokenLog<D: Directory> {
    salvage: Salvage<D>,
    standings: Vec<Standing>,
}

/// The positions of these groups, by the tables of a shard.
pub(super) async fn positions<D: Directory>(
    files: &ShardFiles<D>,
    groups: impl IntoIterator<Item = GroupId>,
) -> Result<Positions, Error> {
    let index = files.index.as_ref().map_err(Clone::clone)?;
    let mut found = Positions::new();
    for group in groups {
        let entry = index.current(&meta_key(group)).await?;
        let position = match entry.map(|entry| decode_position(&entry.value)) {
            None => Position::default(),
            Some(decoded) => decoded.map_err(|error| Error::Corrupt {
                location: format!("the position of group {group}"),
                finding: error.to_string(),
            })?,
        };
        found.insert(group, position);
    }
    Ok(found)
}

/// What a start would miss of a damaged log, in words, and which objects that is about.
pub(super) async fn forecast<D: Directory>(
    files: &ShardFiles<D>,
    buckets: &Buckets,
) -> (String, Vec<Hit>) {
    let Some(salvage) = &files.salvage else { return (String::new(), Vec::new()) };
    let groups = salvage.groups().into_iter().filter(|group| *group != LOCAL);
    let Ok(positions) = positions(files, groups).await else { return (String::new(), Vec::new()) };
    let (mut said, mut hits) = (String::new(), BTreeSet::new());
    for (group, position) in &positions {
        let standing = Standing::of(salvage, *group, position);
        if standing.beyond.is_empty() {
            continue;
        }
        let (end, missing, behind) =
            (standing.end, standing.missing_count(), standing.beyond.len());
        said.extend([
            format!(" Of group {group} the entries from {end} on are not applied yet: "),
            format!("{missing} of them can't be read, and {behind} behind these can."),
        ]);
        for index in &standing.beyond {
            if let Ok(record) = salvage.read(*group, *index).await
                && let Ok(Some(command)) = decode_command(record)
            {
                let keys = keys_of(&command, buckets).into_iter();
                hits.extend(keys.map(|(bucket, key)| Hit { bucket, key }));
            }
        }
    }
    if said.is_empty() {
        " Nothing that is missing is known to be needed.".clone_into(&mut said);
    }
    (said, hits.into_iter().collect())
}

impl<D: Directory> BrokenLog<D> {
    /// Reads what can be read of the log of a shard, whose groups are at `positions`.
    ///
    /// # Errors
    ///
    /// A sentence that says why it can't be set aside.
    pub(super) async fn read(
        directory: &D,
        wal_identity: u64,
        positions: &Positions,
    ) -> Result<Self, String> {
        let salvage = Storage::salvage(directory, wal_identity).await;
        let salvage = salvage.map_err(|error| error.to_string())?;
        if let Some(group) =
            salvage.groups().iter().find(|group| **group != LOCAL && !positions.contains_key(group))
        {
            return Err(format!("its log has entries of group {group}, which is not placed on it"));
        }
        let mut standings = Vec::new();
        for (group, position) in positions {
            if position.membership.voter_ids().count() > 1 {
                return Err(format!(
                    "group {group} has other voters: this replica can't tell what is committed"
                ));
            }
            standings.push(Standing::of(&salvage, *group, position));
        }
        if let Some(meta) = standings.iter().find(|standing| standing.group == META_GROUP)
            && (!meta.beyond.is_empty() || (meta.applied.is_none() && meta.end == meta.first))
        {
            return Err(format!(
                "buckets or credentials may be lost (the log of group {META_GROUP} can't be read from entry {} on)",
                meta.end
            ));
        }
        Ok(Self { salvage, standings })
    }

    /// Opens the shard's storage with what is left of the log.
    pub(super) async fn open(
        &self,
        directories: Places<D>,
        options: StorageOptions,
    ) -> Result<(Rc<Storage<D>>, Rc<Staging<D>>), Error> {
        let kept: Vec<Kept> = self.standings.iter().map(Standing::kept).collect();
        let storage = Storage::open_salvaged(directories, options, (&self.salvage, &kept)).await?;
        let mut records = Vec::new();
        for index in self.salvage.indexes(LOCAL) {
            records.push(self.salvage.read(LOCAL, index).await?);
        }
        let staging = Staging::of_records(Rc::clone(&storage), records)?;
        Ok((storage, staging))
    }

    /// The groups of the shard.
    pub(super) fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.standings.iter().map(|standing| standing.group)
    }

    /// Keeps what is behind what could be applied, and the bytes that came with it.
    pub(super) async fn keep(
        &self,
        (storage, staging): (&Storage<D>, &Staging<D>),
        shelf: &mut Shelf,
        buckets: &Buckets,
    ) -> Result<(), String> {
        let lost = self.salvage.lost();
        let said = shelf.list().log.get_or_insert_default();
        (said.batches, said.records_max) = (lost.batch_count, lost.record_count_max);
        let mut named = BTreeSet::new();
        for group in self.groups() {
            let applied = applied(storage, group).await?.applied.map(|applied| applied.index());
            let first = applied.map_or(0, |applied| applied + 1);
            let indexes = self.salvage.indexes(group);
            let cut: Vec<u64> = indexes.into_iter().filter(|index| *index >= first).collect();
            let Some(last) = cut.last() else { continue };
            let readable = cut.len() as u64;
            let unreadable = last + 1 - first - readable;
            let said = CutGroup { group, upto: applied, unreadable, readable };
            shelf.list().log.get_or_insert_default().groups.push(said);
            for index in cut {
                let record = self.salvage.read(group, index).await;
                let record = record.map_err(|error| error.to_string())?;
                let command = decode_command(record).map_err(|error| error.to_string())?;
                let Some(command) = command else { continue };
                shelf.keep_command((group, index), &command, staging, buckets).await?;
                named.extend(body_of(&command).map(|body| (group, body)));
            }
        }
        for ((group, body), chunks) in staging.unclaimed() {
            let [first, _] = chunk_keys(group, body, 1);
            // One that is in the index has outlived its command's flush.
            let is_known = storage.index.get(&first).await.is_ok_and(|found| found.is_some());
            if !is_known && !named.contains(&(group, body)) {
                shelf.keep_unclaimed(staging, (group, body), &chunks).await?;
            }
        }
        Ok(())
    }

    /// Has no bucket id given away twice.
    pub(super) async fn skip_bucket_ids(&self, states: &[Rc<State<D>>]) -> Result<(), Error> {
        let count = self.salvage.lost().record_count_max;
        for state in states.iter().filter(|state| state.group() == META_GROUP) {
            state.skip_bucket_ids(count).await?;
        }
        Ok(())
    }

    /// Puts a new log in the place of the damaged one. All that counts of that is applied and flushed.
    pub(super) async fn renew(&self, storage: Rc<Storage<D>>, node: u64) -> Result<(), String> {
        let mut all = Vec::new();
        for group in self.groups() {
            let applied = applied(&storage, group).await?.applied;
            let slots = slots(&self.salvage, node, (group, applied)).await;
            all.extend(slots.map_err(|error| error.to_string())?);
        }
        drop(storage);
        self.salvage.renew(&all).await.map_err(|error| error.to_string())
    }
}

async fn applied<D: Directory>(storage: &Storage<D>, group: GroupId) -> Result<Position, String> {
    let entry = storage.index.get(&meta_key(group)).await.map_err(|error| error.to_string())?;
    let decoded = entry.map(|entry| decode_position(&entry.value)).transpose();
    Ok(decoded.map_err(|error| error.to_string())?.unwrap_or_default())
}
