//! Snapshots: a pinned view of the index, and the way to put one in place of a group's state.
//!
//! Installing replaces every key of a group, in batches of a bounded size. A crash in between must leave neither the old
//! nor a half state behind as if it were whole (H8), and the source may be gone by then. So it goes in two stages, with
//! the group's copy, a key range of the same index that no group has:
//!
//! 1. empty the copy, fill it from the source, and last of all put META into it;
//! 2. empty the group, fill it from the copy; then, in one batch, put META into the group and delete the copy's; empty
//!    the copy.
//!
//! A flush makes a prefix of all batches durable. Hence a copy with META is whole: [`finish`] repeats stage 2 at the
//! next start. A copy without META is a remainder: [`finish`] removes it, and the group is as it was.

use std::{fmt, ops::Range};

use anode_disk::{
    device::Directory,
    error::Error,
    index::{Batch, Entry, Index, Page, Payload, ScanLimit, View},
    wal::GroupId,
};
use bytes::{BufMut, Bytes, BytesMut};

use crate::state;

/// The copy of group `g` has the prefix of group `g + COPY`: group ids stay below it.
const COPY: GroupId = 1 << 31;

/// One batch has about this many bytes.
const BATCH_BYTES_MAX: usize = 1 << 20;
const BATCH_ENTRIES_MAX: usize = 512;

/// A group's state at one moment. Holds on to the tables it is in.
pub struct SnapshotData<D: Directory> {
    group: GroupId,
    view: View<D>,
}

impl<D: Directory> SnapshotData<D> {
    /// The state of `group` in `view`.
    pub fn new(group: GroupId, view: View<D>) -> Self {
        Self { group, view }
    }
}

impl<D: Directory> fmt::Debug for SnapshotData<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SnapshotData({})", self.group)
    }
}

/// Puts a snapshot in place of a group's state, durably. `meta` is the value of META that belongs to it.
pub async fn install<D: Directory>(
    index: &Index<D>,
    snapshot: &SnapshotData<D>,
    meta: Bytes,
) -> Result<(), Error> {
    let copy = copy_of(snapshot.group);
    empty(index, copy).await?;
    let source = Source::Snapshot(snapshot);
    fill(index, &source, snapshot.group, copy).await?;
    let mut batch = Batch::default();
    batch.put(state::meta_key(copy), value(meta));
    write(index, batch).await?;
    finish(index, snapshot.group).await
}

/// Ends an installation that was under way, or removes what is left of one that had not come far enough.
pub async fn finish<D: Directory>(index: &Index<D>, group: GroupId) -> Result<(), Error> {
    let copy = copy_of(group);
    let Some(meta) = index.get(&state::meta_key(copy)).await? else {
        return empty(index, copy).await;
    };
    empty(index, group).await?;
    fill(index, &Source::Index(index), copy, group).await?;
    let mut batch = Batch::default();
    batch.put(state::meta_key(group), meta);
    batch.delete(state::meta_key(copy));
    write(index, batch).await?;
    empty(index, copy).await?;
    // openraft purges the log up to here next.
    drop(index.flush().await?);
    Ok(())
}

enum Source<'a, D: Directory> {
    Snapshot(&'a SnapshotData<D>),
    Index(&'a Index<D>),
}

impl<D: Directory> Source<'_, D> {
    async fn scan(&self, range: Range<Bytes>) -> Result<Page, Error> {
        let limit = ScanLimit { entries: BATCH_ENTRIES_MAX, bytes: BATCH_BYTES_MAX };
        match self {
            Self::Snapshot(snapshot) => snapshot.view.scan(range, limit).await,
            Self::Index(index) => index.scan(range, limit).await,
        }
    }

    /// The entry with its payload inline: an extent belongs to one key of one index.
    async fn whole(&self, key: &Bytes, entry: Entry) -> Result<Entry, Error> {
        let Payload::Extent(extent) = &entry.payload else {
            return Ok(entry);
        };
        let range = 0..extent.data_bytes;
        let bytes = match self {
            Self::Snapshot(snapshot) => snapshot.view.payload(key, &entry, range).await?,
            Self::Index(index) => index.payload(key, &entry, range).await?,
        };
        Ok(Entry { value: entry.value, payload: Payload::Inline(bytes) })
    }
}

/// Copies every key but META from one group's range to another's.
async fn fill<D: Directory>(
    index: &Index<D>,
    source: &Source<'_, D>,
    from: GroupId,
    to: GroupId,
) -> Result<(), Error> {
    let meta = state::meta_key(from);
    let mut range = state::group_range(from);
    loop {
        let page = source.scan(range.clone()).await?;
        let mut batch = Batch::default();
        let mut bytes = 0;
        for (key, entry) in page.entries {
            if key == meta {
                continue;
            }
            let entry = source.whole(&key, entry).await?;
            if let Payload::Inline(payload) = &entry.payload {
                bytes += payload.len();
            }
            batch.put(renamed(&key, to), entry);
            if bytes >= BATCH_BYTES_MAX {
                write(index, std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
        }
        write(index, batch).await?;
        match page.next {
            Some(next) => range.start = next,
            None => return Ok(()),
        }
    }
}

/// Removes every key of a group's range, if there are any: every start asks.
async fn empty<D: Directory>(index: &Index<D>, group: GroupId) -> Result<(), Error> {
    let range = state::group_range(group);
    let limit = ScanLimit { entries: 1, bytes: BATCH_BYTES_MAX };
    let first = index.scan(range.clone(), limit).await?;
    if first.entries.is_empty() && first.next.is_none() {
        return Ok(());
    }
    make_room(index).await?;
    index.remove_range(&range);
    Ok(())
}

/// Writes a batch, and makes room first where memory is short: nobody else may be flushing while a group is opened.
async fn write<D: Directory>(index: &Index<D>, batch: Batch) -> Result<(), Error> {
    if batch.is_empty() {
        return Ok(());
    }
    make_room(index).await?;
    index.write(batch);
    Ok(())
}

async fn make_room<D: Directory>(index: &Index<D>) -> Result<(), Error> {
    if index.is_full() {
        drop(index.flush().await?);
    }
    Ok(())
}

fn copy_of(group: GroupId) -> GroupId {
    assert!(group < COPY, "group ids stay below {COPY}");
    group + COPY
}

fn value(value: Bytes) -> Entry {
    Entry { value, payload: Payload::None }
}

/// The same key of another group.
#[expect(clippy::big_endian_bytes, reason = "index keys sort")]
fn renamed(key: &Bytes, group: GroupId) -> Bytes {
    let mut target = BytesMut::with_capacity(key.len());
    target.put_slice(&group.to_be_bytes());
    target.put_slice(key.get(4..).unwrap_or_default());
    target.freeze()
}

#[cfg(test)]
mod tests;
