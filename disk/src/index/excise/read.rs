//! All that can be read of one table, whatever is damaged in it.

use bytes::Bytes;

use super::Gap;
use crate::{
    device::Directory,
    error::Error,
    index::{
        block::BlockCursor,
        entry::Change,
        levels::Version,
        shared::Shared,
        table::reader::Table,
        walk::{Sight, walk_blocks, walk_frames},
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
            None => walk_frames(table, &shared.cache, &mut visit).await,
        }
        // That says nothing about the bytes.
        let has_stopped = found.gaps.iter().any(|gap| gap.error == Error::Stopped);
        if has_stopped { Err(Error::Stopped) } else { Ok(found) }
    }

    pub(super) fn is_to_be_mended(&self) -> bool {
        !self.has_structure || !self.gaps.is_empty()
    }
}
