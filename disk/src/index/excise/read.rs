//! All that can be read of one table, whatever is damaged in it.

use bytes::Bytes;

use super::Gap;
use crate::{
    device::Directory,
    error::Error,
    index::{
        block::BlockCursor,
        codec::Malformed,
        entry::{Change, decode_change},
        levels::Version,
        shared::Shared,
        table::reader::Table,
        walk::{Sight, walk_blocks},
    },
};

/// What could be read of a table, without the keys that count no more.
pub(super) struct Content {
    pub(super) entries: Vec<(Bytes, Change)>,
    pub(super) gaps: Vec<Gap>,
    /// Filter and block index can be read.
    has_structure: bool,
}

impl Content {
    pub(super) async fn read<D: Directory>(
        shared: &Shared<D>,
        version: &Version<D>,
        table: &Table<D>,
    ) -> Result<Self, Error> {
        let mut found = Self { entries: Vec::new(), gaps: Vec::new(), has_structure: true };
        let filter = table.verify_filter(&shared.cache).await.ok();
        let index = table.verify_index(&shared.cache).await.ok();
        let index = index.and_then(|index| BlockCursor::new(index).ok());
        found.has_structure = filter.is_some() && index.is_some();
        let mut visit = |sight| match sight {
            Sight::Entry(key, change) => {
                if !version.hides(table, &key) {
                    found.entries.push((key, change));
                }
            }
            Sight::Damage { error, after, upto } => {
                let first = after.as_ref().unwrap_or(&table.meta.smallest).clone();
                found.gaps.push(Gap { error, after, first, upto, filter: filter.clone() });
            }
            Sight::Unopened(error) => unreachable!("the table is open: {error}"),
        };
        match index {
            Some(index) => walk_blocks(table, index, &shared.cache, &mut visit).await,
            None => walk_frames(table, shared, &mut visit).await,
        }
        // That says nothing about the bytes.
        let has_stopped = found.gaps.iter().any(|gap| gap.error == Error::Stopped);
        if has_stopped { Err(Error::Stopped) } else { Ok(found) }
    }

    pub(super) fn is_to_be_mended(&self) -> bool {
        !self.has_structure || !self.gaps.is_empty()
    }
}

/// Walks through the blocks of a table whose block index is lost: each frame says how long it is. Behind one that is
/// damaged nobody knows where the next begins.
async fn walk_frames<D: Directory>(
    table: &Table<D>,
    shared: &Shared<D>,
    visit: &mut impl FnMut(Sight),
) {
    let (mut offset, mut last, mut entry_count) = (0, None, 0);
    while offset < table.data_bytes() {
        let read = table.data_frame(offset, &shared.cache).await;
        let walked = match read {
            Ok((block, length)) => {
                offset += length;
                let walked = entries(block, &mut last, &mut entry_count, visit);
                walked.map_err(|malformed| table.corrupt(offset, malformed))
            }
            Err(error) => Err(error),
        };
        if let Err(error) = walked {
            return visit(Sight::Damage { error, after: last, upto: table.meta.largest.clone() });
        }
    }
    if last.as_ref() != Some(&table.meta.largest) || entry_count != table.meta.entries {
        let error = table.corrupt(offset, Malformed("its blocks are not all that were written"));
        visit(Sight::Damage { error, after: None, upto: table.meta.largest.clone() });
    }
}

fn entries(
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
