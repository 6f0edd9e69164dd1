//! Several ordered sources as one: each key once, with the newest change.

use std::{ops::Bound, rc::Rc};

use bytes::Bytes;

use crate::{
    device::Directory,
    error::Error,
    index::{
        cache::Cache,
        entry::{Change, Stored},
        memtable::Memtable,
        ranges::Ranges,
        table::run::RunCursor,
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

/// The merge of sources. It stands on a key, or past the end.
pub(crate) struct Merge<D: Directory> {
    /// Newest first.
    sources: Vec<Source<D>>,
    /// Those that stand on a key: by key, the newest first where it is the same.
    order: Vec<usize>,
}

impl<D: Directory> Merge<D> {
    /// On the first key of `sources`, newest first.
    pub(crate) fn new(sources: Vec<Source<D>>) -> Self {
        let key = |position: &usize| sources[*position].key();
        let mut order: Vec<usize> =
            (0..sources.len()).filter(|position| key(position).is_some()).collect();
        // Stable: positions of the same key stay in their order.
        order.sort_by(|one, other| key(one).cmp(&key(other)));
        Self { sources, order }
    }

    /// The key it stands on; none past the end.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.newest()?.key()
    }

    /// The newest change of that key, which may share a block's memory.
    pub(crate) fn change(&self) -> Result<Change, Error> {
        self.newest().map_or(Ok(None), Source::change)
    }

    /// The same, in place; none for a tombstone.
    pub(crate) fn stored(&self) -> Result<Option<Stored<'_>>, Error> {
        self.newest().map_or(Ok(None), Source::stored)
    }

    /// Goes to the next key.
    pub(crate) async fn advance(&mut self, cache: &Cache) -> Result<(), Error> {
        let key = self.key();
        let same = self.order.iter().take_while(|position| self.sources[**position].key() == key);
        let same = same.count();
        for position in &self.order[..same] {
            let source = &mut self.sources[*position];
            // Nearly always the next key is in memory: no future for that.
            if !source.advance_in_memory()? {
                source.advance_beyond(cache).await?;
            }
        }
        for place in (0..same).rev() {
            self.settle(place);
        }
        Ok(())
    }

    fn newest(&self) -> Option<&Source<D>> {
        self.order.first().map(|position| &self.sources[*position])
    }

    /// Moves the source at `place`, which was advanced, to where it belongs among those behind it.
    fn settle(&mut self, place: usize) {
        let position = self.order[place];
        let Some(key) = self.sources[position].key() else {
            self.order.remove(place);
            return;
        };
        let is_passed = |other: &usize| {
            let next = self.sources[*other].key();
            (next, *other) < (Some(key), position)
        };
        let behind = &self.order[place + 1..];
        // Many keys in a row are often of one source.
        let passed = if behind.first().is_some_and(is_passed) {
            behind.partition_point(is_passed)
        } else {
            0
        };
        self.order[place..=place + passed].rotate_left(1);
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

    fn stored(&self) -> Result<Option<Stored<'_>>, Error> {
        match self {
            Self::Lot(cursor) => {
                let (_, change) = cursor.lot.last().expect("the cursor stands on a key");
                Ok(change.as_ref().map(Stored::from))
            }
            Self::Run(cursor) => cursor.stored(),
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
