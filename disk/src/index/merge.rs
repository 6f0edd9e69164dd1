//! Several ordered sources as one: each key once, with the newest change.

use std::{cmp::Ordering, ops::Bound, rc::Rc};

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
    /// Which of them stand on its key.
    first: Vec<usize>,
    /// Which of the others has the smallest key: a long run of keys of one source is compared with that alone.
    second: Option<usize>,
}

impl<D: Directory> Merge<D> {
    /// On the first key of `sources`, newest first.
    pub(crate) fn new(sources: Vec<Source<D>>) -> Self {
        let mut merge = Self { first: Vec::with_capacity(sources.len()), second: None, sources };
        merge.rank();
        merge
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
        for position in &self.first {
            let source = &mut self.sources[*position];
            // Nearly always the next key is in memory: no future for that.
            if !source.advance_in_memory()? {
                source.advance_beyond(cache).await?;
            }
        }
        if !self.is_still_first() {
            self.rank();
        }
        Ok(())
    }

    fn newest(&self) -> Option<&Source<D>> {
        self.first.first().map(|position| &self.sources[*position])
    }

    /// Whether the one source that was advanced still has the smallest key.
    fn is_still_first(&self) -> bool {
        let [position] = self.first[..] else { return false };
        let Some(key) = self.sources[position].key() else { return false };
        self.second.is_none_or(|second| self.sources[second].key().is_some_and(|next| key < next))
    }

    /// Finds the smallest key, and the next one.
    fn rank(&mut self) {
        self.first.clear();
        self.second = None;
        for (position, source) in self.sources.iter().enumerate() {
            let Some(key) = source.key() else { continue };
            let smallest = self.first.first().map(|first| (*first, self.sources[*first].key()));
            match smallest.map_or(Ordering::Equal, |(_, smallest)| Some(key).cmp(&smallest)) {
                Ordering::Equal => self.first.push(position),
                Ordering::Less => {
                    self.second = smallest.map(|(first, _)| first);
                    self.first.clear();
                    self.first.push(position);
                }
                Ordering::Greater => {
                    let second = self.second.and_then(|second| self.sources[second].key());
                    if second.is_none_or(|second| key < second) {
                        self.second = Some(position);
                    }
                }
            }
        }
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
