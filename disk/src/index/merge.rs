//! Several ordered sources as one: each key once, with the newest change.

use std::{ops::Bound, rc::Rc};

use bytes::Bytes;

use crate::{
    device::Directory,
    error::Error,
    index::{
        cache::Cache, entry::Change, memtable::Memtable, ranges::Ranges, table::run::RunCursor,
    },
};

/// A frozen memtable is copied out in lots of this many entries: no borrow of it is held across a read.
const LOT_ENTRIES: usize = 64;

/// One ordered source.
pub(crate) enum Source<D: Directory> {
    Lot(LotCursor),
    Run(Box<RunCursor<D>>),
}

/// A walk over entries in memory.
pub(crate) struct LotCursor {
    /// Descending, so that the next one is the last.
    lot: Vec<(Bytes, Change)>,
    /// Where the next lot comes from; none for a fixed lot.
    memtable: Option<Rc<Memtable>>,
    end: Option<Bytes>,
    /// Keys that a newer source has removed.
    hidden: Ranges,
}

/// The merge of `sources`, newest first.
pub(crate) struct Merge<D: Directory> {
    sources: Vec<Source<D>>,
}

impl<D: Directory> Merge<D> {
    pub(crate) fn new(sources: Vec<Source<D>>) -> Self {
        Self { sources }
    }

    /// The next key in order with its newest change, which may share a block's memory.
    pub(crate) async fn next(&mut self, cache: &Cache) -> Result<Option<(Bytes, Change)>, Error> {
        let mut newest: Option<(usize, &[u8])> = None;
        for (position, source) in self.sources.iter().enumerate() {
            if let Some(key) = source.key()
                && newest.is_none_or(|(_, smallest)| key < smallest)
            {
                newest = Some((position, key));
            }
        }
        let Some((position, key)) = newest else {
            return Ok(None);
        };
        let key = Bytes::copy_from_slice(key);
        let change = self.sources[position].change()?;
        for source in &mut self.sources[position..] {
            // Nearly always the next key is in memory: no future for that.
            if source.key() == Some(&key) && !source.advance_in_memory()? {
                source.advance_beyond(cache).await?;
            }
        }
        Ok(Some((key, change)))
    }
}

impl<D: Directory> Source<D> {
    fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Lot(cursor) => cursor.lot.last().map(|(key, _)| key.as_ref()),
            Self::Run(cursor) => cursor.key(),
        }
    }

    fn change(&self) -> Result<Change, Error> {
        match self {
            Self::Lot(cursor) => {
                Ok(cursor.lot.last().expect("the cursor stands on a key").1.clone())
            }
            Self::Run(cursor) => cursor.change(),
        }
    }

    /// False where something has to be read for the next key.
    fn advance_in_memory(&mut self) -> Result<bool, Error> {
        match self {
            Self::Lot(cursor) => {
                cursor.advance();
                Ok(true)
            }
            Self::Run(cursor) => cursor.advance_in_block(),
        }
    }

    async fn advance_beyond(&mut self, cache: &Cache) -> Result<(), Error> {
        match self {
            Self::Lot(_) => Ok(()),
            Self::Run(cursor) => cursor.advance_beyond(cache).await,
        }
    }
}

impl LotCursor {
    /// Over entries already collected, ascending.
    pub(crate) fn fixed(mut entries: Vec<(Bytes, Change)>) -> Self {
        entries.reverse();
        Self { lot: entries, memtable: None, end: None, hidden: Ranges::default() }
    }

    /// Over a frozen memtable, from `start` to before `end`, without `hidden` keys.
    pub(crate) fn frozen(
        memtable: Rc<Memtable>,
        start: &[u8],
        end: Option<Bytes>,
        hidden: Ranges,
    ) -> Self {
        let mut cursor = Self { lot: Vec::new(), memtable: Some(memtable), end, hidden };
        cursor.fill(Bound::Included(start));
        cursor
    }

    /// The next entry, in order.
    pub(crate) fn next(&mut self) -> Option<(Bytes, Change)> {
        let entry = self.lot.last().cloned();
        self.advance();
        entry
    }

    fn advance(&mut self) {
        if let Some((key, _)) = self.lot.pop()
            && self.lot.is_empty()
        {
            self.fill(Bound::Excluded(&key));
        }
    }

    fn fill(&mut self, start: Bound<&[u8]>) {
        let Some(memtable) = &self.memtable else {
            return;
        };
        let end = self.end.as_ref().map_or(Bound::Unbounded, |end| Bound::Excluded(end.as_ref()));
        if let Some(entries) = memtable.range(start, end) {
            let entries = entries.filter(|(key, _)| self.hidden.end_of(key).is_none());
            self.lot.extend(
                entries.take(LOT_ENTRIES).map(|(key, change)| (key.clone(), change.clone())),
            );
            self.lot.reverse();
        }
    }
}
