//! A walk through one table, block by block, that damage doesn't end: what can't be read is told with the keys that it
//! takes along.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    device::Directory,
    error::Error,
    index::{
        Entry, Payload,
        block::BlockCursor,
        cache::Cache,
        codec::Malformed,
        entry::decode_change,
        table::{
            TableMeta,
            reader::{Reading, Table},
        },
    },
};

/// What a walk through a table comes to.
#[derive(Debug)]
pub enum Sight {
    /// A key and what it holds; nothing for a tombstone.
    Entry(Bytes, Option<Entry>),
    /// The table can't be opened, and without it the shard can't: no damage, but a refusal.
    Unopened(Error),
    /// Something that can't be read, and with it the keys from behind `after`, or from the first, to `upto`.
    Damage {
        /// What is wrong, with file and offset.
        error: Error,
        /// The last key before it that could be read.
        after: Option<Bytes>,
        /// The last key that may be in it.
        upto: Bytes,
    },
}

/// Walks through the blocks of a table by its block index.
pub(crate) async fn walk_blocks<D: Directory>(
    table: &Table<D>,
    mut index: BlockCursor,
    cache: &Cache,
    visit: &mut impl FnMut(Sight),
) {
    let mut reading = Reading::Streamed(None);
    let mut seen = Seen::default();
    loop {
        match index.advance() {
            Ok(true) => {}
            Ok(false) => break,
            Err(malformed) => {
                let error = table.corrupt(table.index_offset(), malformed);
                let upto = table.meta.largest.clone();
                return visit(Sight::Damage { error, after: seen.last, upto });
            }
        }
        let upto = Bytes::copy_from_slice(index.key().expect("the cursor stands on a key"));
        let mut read = table.block(&index, &mut reading, cache).await;
        if read.is_err() {
            // Alone: a bad sector of a neighbour says nothing about this block.
            read = table.block(&index, &mut Reading::Cached, cache).await;
            reading = Reading::Streamed(None);
        }
        let walked = match read {
            Ok((block, offset)) => {
                let entries = entries(block, &mut seen, &upto, visit);
                entries.map_err(|malformed| table.corrupt(offset, malformed))
            }
            Err(error) => Err(error),
        };
        if let Err(error) = walked {
            seen.is_whole = false;
            let after = seen.last.replace(upto.clone());
            visit(Sight::Damage { error, after, upto });
        }
    }
    if let Some(finding) = seen.contradiction(&table.meta) {
        let error = table.corrupt(table.index_offset(), Malformed(finding));
        visit(Sight::Damage { error, after: None, upto: table.meta.largest.clone() });
    }
}

/// What a walk has seen so far.
struct Seen {
    last: Option<Bytes>,
    entry_count: u64,
    references: BTreeMap<u32, u64>,
    /// Nothing was left out.
    is_whole: bool,
}

impl Default for Seen {
    fn default() -> Self {
        Self { last: None, entry_count: 0, references: BTreeMap::new(), is_whole: true }
    }
}

impl Seen {
    /// What a table, all of it read, has otherwise than the manifest.
    fn contradiction(&self, meta: &TableMeta) -> Option<&'static str> {
        if !self.is_whole {
            return None;
        }
        if self.entry_count != meta.entries {
            return Some("it has another number of entries than the manifest says");
        }
        if self.last.as_ref() != Some(&meta.largest) {
            return Some("its last key is not that of the manifest");
        }
        let found = self.references.iter().map(|(segment, bytes)| (*segment, *bytes));
        (!found.eq(meta.references.iter().copied()))
            .then_some("it refers to other segments than the manifest says")
    }
}

fn entries(
    mut block: BlockCursor,
    seen: &mut Seen,
    upto: &Bytes,
    visit: &mut impl FnMut(Sight),
) -> Result<(), Malformed> {
    while block.advance()? {
        let key = Bytes::copy_from_slice(block.key().expect("the cursor stands on a key"));
        if seen.last.as_ref().is_some_and(|last| *last >= key) || key > *upto {
            return Err(Malformed("its keys are not in order"));
        }
        let change = decode_change(&block.value().expect("the cursor stands on a key"))?;
        if let Some(Entry { payload: Payload::Extent(extent), .. }) = &change {
            *seen.references.entry(extent.segment).or_default() += extent.total_bytes();
        }
        seen.entry_count += 1;
        seen.last = Some(key.clone());
        visit(Sight::Entry(key, change));
    }
    if seen.last.as_ref() == Some(upto) {
        Ok(())
    } else {
        Err(Malformed("a block ends before the key that the index gives it"))
    }
}

/// Walks through the blocks of a table whose block index is lost: each frame says how long it is. Behind one that is
/// damaged nobody knows where the next begins.
pub(crate) async fn walk_frames<D: Directory>(
    table: &Table<D>,
    cache: &Cache,
    visit: &mut impl FnMut(Sight),
) {
    let (mut offset, mut last, mut entry_count) = (0, None, 0);
    // Without a footer nobody knows where the data ends: with the last entry, where all are there.
    let is_left = |entry_count| table.damage().is_none() || entry_count < table.meta.entries;
    while offset < table.data_bytes() && is_left(entry_count) {
        let read = table.data_frame(offset, cache).await;
        let walked = read.and_then(|(block, length)| {
            let walked = frame_entries(block, &mut last, &mut entry_count, visit);
            walked.map(|()| length).map_err(|malformed| table.corrupt(offset, malformed))
        });
        match walked {
            Ok(length) => offset += length,
            Err(error) => {
                let upto = table.meta.largest.clone();
                return visit(Sight::Damage { error, after: last, upto });
            }
        }
    }
    if last.as_ref() != Some(&table.meta.largest) || entry_count != table.meta.entries {
        let finding = Malformed("its blocks are not all that were written");
        let error = if table.is_missing() { table.damage().cloned() } else { None };
        let error = error.unwrap_or_else(|| table.corrupt(offset, finding));
        visit(Sight::Damage { error, after: None, upto: table.meta.largest.clone() });
    }
}

fn frame_entries(
    mut block: BlockCursor,
    last: &mut Option<Bytes>,
    entry_count: &mut u64,
    visit: &mut impl FnMut(Sight),
) -> Result<(), Malformed> {
    while block.advance()? {
        let key = Bytes::copy_from_slice(block.key().expect("the cursor stands on a key"));
        if last.as_ref().is_some_and(|last| *last >= key) {
            return Err(Malformed("its keys are not in order"));
        }
        let change = decode_change(&block.value().expect("the cursor stands on a key"))?;
        *entry_count += 1;
        *last = Some(key.clone());
        visit(Sight::Entry(key, change));
    }
    Ok(())
}
