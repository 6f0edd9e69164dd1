//! A walk over a run: tables with ascending, disjoint key ranges.

use std::rc::Rc;

use crate::{
    device::Directory,
    error::Error,
    index::{
        block::BlockCursor,
        cache::Cache,
        codec::Malformed,
        entry::{Change, decode_change},
        table::reader::{Reading, Table},
    },
};

pub(crate) struct RunCursor<D: Directory> {
    tables: Vec<Rc<Table<D>>>,
    /// Which table it is in.
    position: usize,
    place: Option<BlockPlace>,
    reading: Reading,
}

/// Where it is in that table.
struct BlockPlace {
    index: BlockCursor,
    block: BlockCursor,
    offset: u64,
}

impl<D: Directory> RunCursor<D> {
    /// A cursor over `tables`, on the first key that is `start` or greater.
    pub(crate) async fn seek(
        tables: Vec<Rc<Table<D>>>,
        start: &[u8],
        reading: Reading,
        cache: &Cache,
    ) -> Result<Self, Error> {
        let position = tables.partition_point(|table| table.meta.largest.as_ref() < start);
        let mut run = Self { tables, position, place: None, reading };
        run.enter(start, cache).await?;
        Ok(run)
    }

    /// The key it stands on; none past the end.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.place.as_ref()?.block.key()
    }

    /// The change it stands on, sharing the block's memory.
    pub(crate) fn change(&self) -> Result<Change, Error> {
        let place = self.place.as_ref().expect("the cursor stands on a key");
        let stored = place.block.value().expect("the cursor stands on a key");
        decode_change(&stored)
            .map_err(|malformed| self.tables[self.position].corrupt(place.offset, malformed))
    }

    /// Goes to the next key.
    pub(crate) async fn advance(&mut self, cache: &Cache) -> Result<(), Error> {
        let (Some(place), Some(table)) = (&mut self.place, self.tables.get(self.position)) else {
            return Ok(());
        };
        if place.block.advance().map_err(|malformed| table.corrupt(place.offset, malformed))? {
            return Ok(());
        }
        if place
            .index
            .advance()
            .map_err(|malformed| table.corrupt(table.index_offset(), malformed))?
        {
            (place.block, place.offset) =
                table.block(&place.index, &mut self.reading, cache).await?;
            let found = place.block.advance();
            return self.first(found);
        }
        self.position += 1;
        self.enter(&[], cache).await
    }

    async fn enter(&mut self, start: &[u8], cache: &Cache) -> Result<(), Error> {
        self.place = None;
        let Some(table) = self.tables.get(self.position) else {
            return Ok(());
        };
        if let Reading::Streamed(window) = &mut self.reading {
            *window = None;
        }
        let mut index = table.index(cache).await?;
        let found = index
            .seek(start)
            .map_err(|malformed| table.corrupt(table.index_offset(), malformed))?;
        if !found {
            return Err(table
                .corrupt(table.index_offset(), Malformed("its last key is below the manifest's")));
        }
        let (mut block, offset) = table.block(&index, &mut self.reading, cache).await?;
        let found = block.seek(start);
        self.place = Some(BlockPlace { index, block, offset });
        self.first(found)
    }

    /// A block that the index led to must hold a key.
    fn first(&self, found: Result<bool, Malformed>) -> Result<(), Error> {
        let finding = match found {
            Ok(true) => return Ok(()),
            Ok(false) => Malformed("a block ends before the key that the index gives it"),
            Err(malformed) => malformed,
        };
        let offset = self.place.as_ref().map_or(0, |place| place.offset);
        Err(self.tables[self.position].corrupt(offset, finding))
    }
}
