//! A walk over the keys of all tables that reads every block from the device: the index's part of scrub.
//!
//! It goes by key, not by table: compaction may write new tables meanwhile, but what was there as the walk began lies
//! at its key until the walk gets there, in whatever table. All tables that hold a stretch of keys are read for it,
//! the older ones too: whatever a table refers to must be whole, as compaction and views may read it.
//! A table's other parts are read as the walk enters it.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    rc::Rc,
};

use bytes::Bytes;

use crate::{
    device::Directory,
    error::Error,
    index::{
        Index, Payload, block::BlockCursor, codec::Malformed, entry::decode_change,
        levels::Version, table::reader::Table, view::View,
    },
    scrub::finding::{Hit, Verified},
    segment::Extent,
};

/// Blocks of a table that one stretch has at most, not counting the one that it shares with the stretch before.
const STRETCH_BLOCKS: usize = 8;
/// Bytes of extents that one stretch names, unless one key alone has more: their tables are held until all are read.
const STRETCH_BYTES: u64 = 64 << 20;

/// An extent, and the key that refers to it.
pub(crate) type Named = (Bytes, Extent);

/// The tables that the walk is in, by id, with their block index; none where that can't be read.
pub(crate) type Entered = BTreeMap<u32, Option<Bytes>>;

/// A stretch of keys whose blocks were read.
pub(crate) struct Stretch<D: Directory> {
    /// Its last key.
    pub(crate) last: Bytes,
    /// What its entries refer to, by their place in the segments.
    pub(crate) extents: Vec<Named>,
    /// Keeps the extents from being removed.
    _view: View<D>,
}

impl<D: Directory> Index<D> {
    /// Reads the blocks of the next keys after `after`; `None` where there are none.
    pub(crate) async fn verify_stretch(
        &self,
        entered: &mut Entered,
        after: Option<&Bytes>,
        verified: &mut Verified,
    ) -> Result<Option<Stretch<D>>, Error> {
        let view = View::now(&self.0);
        let start = after.map_or_else(Bytes::new, |after| [after, &[0][..]].concat().into());
        let tables = from(&view.version, &start);
        entered.retain(|id, _| tables.iter().any(|table| table.meta.id == *id));
        for table in &tables {
            if let Entry::Vacant(place) = entered.entry(table.meta.id) {
                place.insert(self.enter(table, verified).await?);
            }
        }
        let ends =
            tables.iter().map(|table| stretch_end(table, entered[&table.meta.id].as_ref(), &start));
        let Some(end) = ends.min() else { return Ok(None) };
        let mut found = Vec::new();
        for table in tables.iter().filter(|table| table.meta.smallest <= end) {
            if let Some(index) = &entered[&table.meta.id] {
                let walk = Walk { table, index, start: &start, end: &end };
                let read = self.verify_blocks(walk, &mut found, verified).await;
                let hit = || Hit::Keys(start.clone(), end.clone());
                verified.take(0, hit, read)?;
            }
        }
        let last = cut(&mut found).unwrap_or(end);
        found.sort_by_key(|(_, extent)| *extent);
        Ok(Some(Stretch { last, extents: found, _view: view }))
    }

    /// Reads the parts of a table that are not data; its block index, where it can be read.
    async fn enter(
        &self,
        table: &Table<D>,
        verified: &mut Verified,
    ) -> Result<Option<Bytes>, Error> {
        let cache = &self.0.cache;
        let all = || Hit::Keys(table.meta.smallest.clone(), table.meta.largest.clone());
        let structure = || Hit::Structure;
        if let Some(error) = table.damage() {
            return verified.take(0, all, Err(error.clone()));
        }
        verified.take(table.structure_bytes(), structure, table.verify_footer().await)?;
        verified.take(0, structure, table.verify_filter(cache).await.map(drop))?;
        verified.take(0, all, table.verify_index(cache).await)
    }

    async fn verify_blocks(
        &self,
        walk: Walk<'_, D>,
        found: &mut Vec<Named>,
        verified: &mut Verified,
    ) -> Result<(), Error> {
        let Walk { table, index, start, end } = walk;
        let cache = &self.0.cache;
        let in_index = |malformed| table.corrupt(table.index_offset(), malformed);
        let mut before = Bytes::copy_from_slice(&table.meta.smallest);
        let mut index = BlockCursor::new(index.clone()).map_err(in_index)?;
        let mut more = index.seek(start).map_err(in_index)?;
        while more {
            let last = Bytes::copy_from_slice(index.key().unwrap_or_default());
            let (handle, read) = table.verify_block(&index, cache).await;
            let read = read.and_then(|block| {
                extents(block, start, end).map_err(|found| table.corrupt(handle.offset, found))
            });
            let hit = || Hit::Keys(before.clone(), last.clone());
            found.extend(verified.take(u64::from(handle.length), hit, read)?.unwrap_or_default());
            if last >= *end {
                break;
            }
            before = last;
            more = index.advance().map_err(in_index)?;
        }
        Ok(())
    }

    /// Reads the table manifest again.
    pub(crate) async fn verify_manifest(&self, verified: &mut Verified) -> Result<(), Error> {
        let (bytes, findings) = self.0.verify_manifest().await?;
        verified.bytes += bytes;
        verified.findings.extend(findings);
        Ok(())
    }
}

/// Where the blocks of one table are read.
struct Walk<'a, D: Directory> {
    table: &'a Table<D>,
    index: &'a Bytes,
    start: &'a Bytes,
    end: &'a Bytes,
}

/// Of each run the table that holds the first key from `start` on: the next stretch is in them.
fn from<D: Directory>(version: &Version<D>, start: &[u8]) -> Vec<Rc<Table<D>>> {
    let reaches = |table: &&Rc<Table<D>>| table.meta.largest.as_ref() >= start;
    let flushed = version.levels[0].iter().filter(reaches);
    let deeper = version.levels[1..].iter().filter_map(|level| level.iter().find(reaches));
    flushed.chain(deeper).cloned().collect()
}

/// The last key that a stretch may have for this table's sake.
fn stretch_end<D: Directory>(table: &Table<D>, index: Option<&Bytes>, start: &[u8]) -> Bytes {
    let far = || {
        let mut cursor = BlockCursor::new(index?.clone()).ok()?;
        let mut more = cursor.seek(start).ok()?;
        for _ in 0..STRETCH_BLOCKS {
            more = more && cursor.advance().ok()?;
        }
        if more { cursor.key().map(Bytes::copy_from_slice) } else { None }
    };
    far().unwrap_or_else(|| table.meta.largest.clone())
}

/// What the entries from `start` to `end` of a block refer to.
fn extents(mut block: BlockCursor, start: &[u8], end: &[u8]) -> Result<Vec<Named>, Malformed> {
    let mut found = Vec::new();
    while block.advance()? {
        let (Some(key), Some(stored)) = (block.key(), block.value()) else { break };
        // Every entry is taken apart, those of other stretches too: one that can't be is damage of this block.
        let change = decode_change(&stored)?;
        if let Some(Payload::Extent(extent)) = change.map(|entry| entry.payload)
            && (start..=end).contains(&key)
        {
            found.push((Bytes::copy_from_slice(key), extent));
        }
    }
    Ok(found)
}

/// Ends a stretch that names too many bytes early: at which key.
fn cut(found: &mut Vec<Named>) -> Option<Bytes> {
    found.sort();
    let mut bytes = 0;
    let over = found.iter().position(|(_, extent)| {
        bytes += extent.total_bytes();
        bytes > STRETCH_BYTES
    })?;
    // All that one key has stays together, as the next stretch begins behind it.
    let last = found[over.saturating_sub(1)].0.clone();
    found.retain(|(key, _)| *key <= last);
    Some(last)
}

impl<D: Directory> std::fmt::Debug for Stretch<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stretch").field("extents", &self.extents.len()).finish_non_exhaustive()
    }
}
