//! A walk over a run: tables with ascending, disjoint key ranges. It leaps over what is hidden.
//!
//! A table that can't be entered is damage at its first key, not before: what comes ahead of it is served.

use std::rc::Rc;

use bytes::Bytes;

use crate::{
    device::Directory,
    error::Error,
    index::{
        block::BlockCursor,
        cache::Cache,
        codec::Malformed,
        entry::{Change, Stored, decode_change, decode_stored},
        levels::{Hidden, Version},
        ranges::Ranges,
        table::reader::{Reading, Table},
    },
};

/// The keys that count no more.
#[derive(Clone, Default)]
pub(crate) struct Hiding {
    /// In all tables, for the sake of a removal that is not flushed.
    above: Ranges,
    hidden: Rc<Hidden>,
}

impl Hiding {
    pub(crate) fn of<D: Directory>(version: &Version<D>, above: Ranges) -> Self {
        Self { above, hidden: Rc::clone(&version.hidden) }
    }

    fn in_table(&self, table: u32) -> Ranges {
        let mut all = self.above.clone();
        if let Some(ranges) = self.hidden.get(&table) {
            all.unite(ranges);
        }
        all
    }
}

/// What is walked over, and how.
pub(crate) struct Walk<D: Directory> {
    pub(crate) tables: Vec<Rc<Table<D>>>,
    pub(crate) hiding: Hiding,
    pub(crate) reading: Reading,
}

pub(crate) struct RunCursor<D: Directory> {
    walk: Walk<D>,
    /// Which table it is in.
    position: usize,
    place: Option<Place>,
    /// What is hidden in that table.
    hidden: Ranges,
}

enum Place {
    Block(BlockPlace),
    /// Which key of the table is the next, if any, nobody knows: this one, or a later one.
    Damaged {
        from: Bytes,
        error: Error,
    },
}

/// Where it is in that table.
struct BlockPlace {
    index: BlockCursor,
    block: BlockCursor,
    offset: u64,
}

impl<D: Directory> RunCursor<D> {
    /// A cursor on the first key that is `start` or greater.
    pub(crate) async fn seek(walk: Walk<D>, start: &[u8], cache: &Cache) -> Result<Self, Error> {
        let mut run = Self { walk, position: 0, place: None, hidden: Ranges::default() };
        run.enter(start, cache).await?;
        run.leap(cache).await?;
        Ok(run)
    }

    /// The key it stands on; none past the end.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        match self.place.as_ref()? {
            Place::Block(place) => place.block.key(),
            Place::Damaged { from, .. } => Some(from),
        }
    }

    /// The change it stands on, sharing the block's memory.
    pub(crate) fn change(&self) -> Result<Change, Error> {
        let place = self.block()?;
        let stored = place.block.value().expect("the cursor stands on a key");
        decode_change(&stored)
            .map_err(|malformed| self.walk.tables[self.position].corrupt(place.offset, malformed))
    }

    /// The same, in the block's memory; none for a tombstone.
    pub(crate) fn stored(&self) -> Result<Option<Stored<'_>>, Error> {
        let place = self.block()?;
        let stored = place.block.stored().expect("the cursor stands on a key");
        decode_stored(stored)
            .map_err(|malformed| self.walk.tables[self.position].corrupt(place.offset, malformed))
    }

    /// Goes to the next key within the block; false where another block has to be read for it.
    pub(crate) fn advance_in_block(&mut self) -> Result<bool, Error> {
        let place = match &mut self.place {
            None => return Ok(true),
            Some(Place::Block(place)) => place,
            Some(Place::Damaged { .. }) => return Ok(false),
        };
        let table = &self.walk.tables[self.position];
        let found = place.block.advance();
        let found = found.map_err(|malformed| table.corrupt(place.offset, malformed))?;
        Ok(found && (self.hidden.is_empty() || self.hidden_until().is_none()))
    }

    /// Goes to the next key where [`Self::advance_in_block`] could not.
    pub(crate) async fn advance_beyond(&mut self, cache: &Cache) -> Result<(), Error> {
        if self.hidden_until().is_none() {
            self.next_block(cache).await?;
        }
        self.leap(cache).await
    }

    fn block(&self) -> Result<&BlockPlace, Error> {
        match self.place.as_ref().expect("the cursor stands on a key") {
            Place::Block(place) => Ok(place),
            Place::Damaged { error, .. } => Err(error.clone()),
        }
    }

    async fn next_block(&mut self, cache: &Cache) -> Result<(), Error> {
        let place = match &mut self.place {
            None => return Ok(()),
            Some(Place::Block(place)) => place,
            Some(Place::Damaged { from, .. }) => {
                // A newer table has that key: the next one that this may hold is right behind.
                *from = [from, &[0][..]].concat().into();
                if *from <= self.walk.tables[self.position].meta.largest {
                    return Ok(());
                }
                self.position += 1;
                return self.enter(&[], cache).await;
            }
        };
        let found = place.index.advance();
        let table = &self.walk.tables[self.position];
        if !found.map_err(|malformed| table.corrupt(table.index_offset(), malformed))? {
            self.position += 1;
            return self.enter(&[], cache).await;
        }
        (place.block, place.offset) =
            table.block(&place.index, &mut self.walk.reading, cache).await?;
        let found = place.block.advance();
        self.first(found)
    }

    /// From a key that is hidden to the next one that isn't.
    async fn leap(&mut self, cache: &Cache) -> Result<(), Error> {
        while let Some(end) = self.hidden_until() {
            self.enter(&end, cache).await?;
        }
        Ok(())
    }

    /// Where the range ends that hides the key it stands on.
    fn hidden_until(&self) -> Option<Bytes> {
        self.hidden.end_of(self.key()?).cloned()
    }

    /// Goes to the first key that is `start` or greater, in this table or a later one.
    async fn enter(&mut self, start: &[u8], cache: &Cache) -> Result<(), Error> {
        self.place = None;
        let later = self.walk.tables.get(self.position..).unwrap_or_default();
        self.position += later.partition_point(|table| table.meta.largest.as_ref() < start);
        let Some(table) = self.walk.tables.get(self.position) else {
            return Ok(());
        };
        self.hidden = self.walk.hiding.in_table(table.meta.id);
        if let Reading::Streamed(window) = &mut self.walk.reading {
            *window = None;
        }
        let mut index = match table.index(cache).await {
            Ok(index) => index,
            Err(error) => {
                let from = Bytes::copy_from_slice(table.meta.smallest.as_ref().max(start));
                self.place = Some(Place::Damaged { from, error });
                return Ok(());
            }
        };
        let found = index
            .seek(start)
            .map_err(|malformed| table.corrupt(table.index_offset(), malformed))?;
        if !found {
            return Err(table
                .corrupt(table.index_offset(), Malformed("its last key is below the manifest's")));
        }
        let (mut block, offset) = table.block(&index, &mut self.walk.reading, cache).await?;
        let found = block.seek(start);
        self.place = Some(Place::Block(BlockPlace { index, block, offset }));
        self.first(found)
    }

    /// A block that the index led to must hold a key.
    fn first(&self, found: Result<bool, Malformed>) -> Result<(), Error> {
        let finding = match found {
            Ok(true) => return Ok(()),
            Ok(false) => Malformed("a block ends before the key that the index gives it"),
            Err(malformed) => malformed,
        };
        let offset = self.block().map_or(0, |place| place.offset);
        Err(self.walk.tables[self.position].corrupt(offset, finding))
    }
}
