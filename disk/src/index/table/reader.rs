//! Reads a table: one block for a key; for a walk one block or, where it goes on in sequence, many (`ahead.rs`).
//!
//! A table whose footer can't be read, or whose file is missing, is open all the same: whoever asks it for something gets
//! that error, and what newer tables answer, or lies outside its keys, is served.

use bytes::Bytes;

use crate::{
    device::{Device, Directory, Durability, SECTOR_BYTES},
    error::Error,
    index::{
        ahead::WINDOW_BYTES,
        block::BlockCursor,
        cache::{Cache, File, Place, Use},
        codec::Malformed,
        entry::{Change, decode_change},
        filter,
        table::{
            Footer, FrameKind, Handle, Identity, TableMeta, VERSION, open_frame, other_version,
            table_name, writer::Written,
        },
    },
};

mod verify;

/// An open table.
pub(crate) struct Table<D: Directory> {
    pub(crate) meta: TableMeta,
    /// Why there is none: then nothing can be looked up, as nobody knows where filter and block index are.
    footer: Result<Footer, Error>,
    /// None where the file is missing; then there is no footer either.
    device: Option<D::Device>,
    location: String,
}

/// How the blocks of a walk are read.
pub(crate) enum Reading {
    /// Through the cache, filling its part for walks, with read-ahead.
    Cached,
    /// Past the cache, [`WINDOW_BYTES`] at a time; holds the last piece read and its offset.
    Streamed(Option<(u64, Bytes)>),
}

impl<D: Directory> Table<D> {
    /// Opens a table that the manifest names, and checks that it is that table. Where it is not, or is damaged, that is
    /// [`Self::damage`].
    ///
    /// # Errors
    ///
    /// [`Error::Version`] where another release wrote it; a file that is there and can't be opened is no damage.
    pub(crate) async fn open(directory: &D, meta: TableMeta) -> Result<Self, Error> {
        let name = table_name(meta.id);
        let location = format!("{}/{name}", directory.path());
        let device = match directory.open(&name, Durability::AtSync).await {
            Err(Error::Absent { .. }) => {
                let finding = "a table of the manifest is missing".to_owned();
                let footer = Err(Error::Corrupt { location: location.clone(), finding });
                return Ok(Self { meta, footer, device: None, location });
            }
            other => other?,
        };
        let footer = match read_footer::<D>(&device, &meta, &location).await {
            Err(error @ (Error::Stopped | Error::Version { .. })) => return Err(error),
            other => other,
        };
        Ok(Self { meta, footer, device: Some(device), location })
    }

    /// A table just written.
    pub(crate) fn new(directory: &D, written: Written<D>) -> Self {
        let location = format!("{}/{}", directory.path(), table_name(written.meta.id));
        let (footer, device) = (Ok(written.footer), Some(written.device));
        Self { meta: written.meta, footer, device, location }
    }

    /// Why nothing can be looked up in it, where that is so.
    pub(crate) fn damage(&self) -> Option<&Error> {
        self.footer.as_ref().err()
    }

    /// Whether its file is missing.
    pub(crate) fn is_missing(&self) -> bool {
        self.device.is_none()
    }

    /// What it says of a key: nothing, or an entry or tombstone. At most one read where filter and index are cached.
    pub(crate) async fn get(
        &self,
        key: &[u8],
        hash: u64,
        cache: &Cache,
    ) -> Result<Option<Change>, Error> {
        let Footer { filter, index, .. } = self.footer()?;
        let bits = self.cached(filter, FrameKind::Filter, Use::Metadata, cache).await?;
        cache.filter_checks.set(cache.filter_checks.get() + 1);
        if !filter::may_hold(&bits, hash) {
            cache.filter_skips.set(cache.filter_skips.get() + 1);
            return Ok(None);
        }
        let index_offset = index.offset;
        let mut index = self.index(cache).await?;
        let at_index = |malformed| self.corrupt(index_offset, malformed);
        if !index.seek(key).map_err(at_index)? {
            return Ok(None);
        }
        let handle = handle_of(&index).map_err(at_index)?;
        let content = self.cached(handle, FrameKind::Data, Use::Point, cache).await?;
        let at_block = |malformed| self.corrupt(handle.offset, malformed);
        let mut block = BlockCursor::new(content).map_err(at_block)?;
        if !block.seek(key).map_err(at_block)? || block.key() != Some(key) {
            return Ok(None);
        }
        let stored = block.value().expect("the cursor stands on a key");
        decode_change(&stored).map(Some).map_err(at_block)
    }

    /// Reads and verifies its filter.
    pub(crate) async fn check_filter(&self, cache: &Cache) -> Result<(), Error> {
        let filter = self.footer()?.filter;
        self.cached(filter, FrameKind::Filter, Use::Metadata, cache).await.map(drop)
    }

    /// A cursor over its block index.
    pub(crate) async fn index(&self, cache: &Cache) -> Result<BlockCursor, Error> {
        let handle = self.footer()?.index;
        let content = self.cached(handle, FrameKind::Index, Use::Metadata, cache).await?;
        BlockCursor::new(content).map_err(|malformed| self.corrupt(handle.offset, malformed))
    }

    /// The data block that an index cursor stands on, with its offset.
    pub(crate) async fn block(
        &self,
        index: &BlockCursor,
        reading: &mut Reading,
        cache: &Cache,
    ) -> Result<(BlockCursor, u64), Error> {
        let handle =
            handle_of(index).map_err(|malformed| self.corrupt(self.index_offset(), malformed))?;
        let content = match reading {
            Reading::Cached => self.walked(handle, index, cache).await?,
            Reading::Streamed(window) => self.streamed(handle, window, cache).await?,
        };
        let block = BlockCursor::new(content)
            .map_err(|malformed| self.corrupt(handle.offset, malformed))?;
        Ok((block, handle.offset))
    }

    pub(crate) fn corrupt(&self, offset: u64, malformed: Malformed) -> Error {
        Error::Corrupt {
            location: format!("{} at {offset}", self.location),
            finding: malformed.0.to_owned(),
        }
    }

    /// Whether `error` is damage found in this table, or a failed read of it: it is written no more.
    pub(crate) fn is_meant_by(&self, error: &Error) -> bool {
        match error {
            Error::Corrupt { location, .. } => location.starts_with(&self.location),
            Error::Device { attempted, .. } => attempted.ends_with(&table_name(self.meta.id)),
            Error::NoSpace { .. }
            | Error::ClassFull { .. }
            | Error::ClassFailed { .. }
            | Error::Absent { .. }
            | Error::Exists { .. }
            | Error::Version { .. }
            | Error::Limit { .. }
            | Error::Stopped => false,
        }
    }

    /// The offset of its block index, for messages.
    pub(crate) fn index_offset(&self) -> u64 {
        self.footer.as_ref().map_or(self.meta.bytes, |footer| footer.index.offset)
    }

    fn footer(&self) -> Result<Footer, Error> {
        self.footer.clone()
    }

    async fn cached(
        &self,
        handle: Handle,
        kind: FrameKind,
        wanted_for: Use,
        cache: &Cache,
    ) -> Result<Bytes, Error> {
        let place = self.place(handle);
        if let Some(content) = cache.get(place, wanted_for) {
            return Ok(content);
        }
        let frame = self.read(handle, u64::from(handle.length), cache).await?;
        let content = self.content(handle, kind, &frame)?;
        cache.insert(place, content.clone(), wanted_for);
        Ok(content)
    }

    /// The block of a walk, from the cache or read with as many behind it as its sequence is worth.
    async fn walked(
        &self,
        handle: Handle,
        index: &BlockCursor,
        cache: &Cache,
    ) -> Result<Bytes, Error> {
        let place = self.place(handle);
        let own = u64::from(handle.length);
        if let Some(content) = cache.get(place, Use::Scan) {
            cache.ahead.pass(place, handle.offset.saturating_add(own));
            return Ok(content);
        }
        let window_bytes = cache.ahead.window_bytes(place, own, cache.window_bytes_max());
        let (ahead, end) = self.following(handle, index.clone(), window_bytes);
        cache.ahead.note(place, end, window_bytes);
        if ahead.is_empty() {
            return self.cached_alone(handle, cache).await;
        }
        let Ok(piece) = self.read(handle, end - handle.offset, cache).await else {
            // Alone: a bad sector of a neighbour says nothing about this block.
            return self.cached_alone(handle, cache).await;
        };
        let frame_of = |other: &Handle| {
            let start = in_memory(other.offset - handle.offset);
            piece.slice(start..start + other.length as usize)
        };
        let content = self.content(handle, FrameKind::Data, &frame_of(&handle))?;
        cache.insert(place, content.clone(), Use::Scan);
        for other in &ahead {
            // Damage is found when the walk gets there.
            if let Ok(content) = self.content(*other, FrameKind::Data, &frame_of(other)) {
                cache.insert_ahead(self.place(*other), content);
            }
        }
        Ok(content)
    }

    /// The frames right behind `handle`, on which `index` stands, that lie within `window_bytes` of its start by half at
    /// least (blocks are not all of one length); and where the last of them ends.
    fn following(
        &self,
        handle: Handle,
        mut index: BlockCursor,
        window_bytes: u64,
    ) -> (Vec<Handle>, u64) {
        let mut found = Vec::new();
        let mut end = handle.offset.saturating_add(u64::from(handle.length));
        let window_end = handle.offset.saturating_add(window_bytes);
        let is_wanted = |next: Handle| next.offset + u64::from(next.length) / 2 <= window_end;
        // Whatever is wrong with the block index is found when the walk gets there.
        while end < window_end
            && let Ok(true) = index.advance()
            && let Ok(next) = handle_of(&index)
            && next.offset == end
            && let Ok(next_end) = next.end(self.meta.bytes)
            && is_wanted(next)
        {
            found.push(next);
            end = next_end;
        }
        (found, end)
    }

    /// Reads a block of a walk that is not in the cache.
    async fn cached_alone(&self, handle: Handle, cache: &Cache) -> Result<Bytes, Error> {
        let frame = self.read(handle, u64::from(handle.length), cache).await?;
        let content = self.content(handle, FrameKind::Data, &frame)?;
        cache.insert(self.place(handle), content.clone(), Use::Scan);
        Ok(content)
    }

    fn place(&self, handle: Handle) -> Place {
        (File::Table(self.meta.id), handle.offset)
    }

    /// A verified content in memory of its own: the read's buffer is longer, and of the device's memory.
    fn content(&self, handle: Handle, kind: FrameKind, frame: &Bytes) -> Result<Bytes, Error> {
        Ok(Bytes::copy_from_slice(&self.unframe(handle, kind, frame)?))
    }

    async fn streamed(
        &self,
        handle: Handle,
        window: &mut Option<(u64, Bytes)>,
        cache: &Cache,
    ) -> Result<Bytes, Error> {
        let length = handle.length as usize;
        let held = window.as_ref().and_then(|(start, bytes)| {
            let skipped = usize::try_from(handle.offset.checked_sub(*start)?).ok()?;
            (skipped.checked_add(length)? <= bytes.len())
                .then(|| bytes.slice(skipped..skipped + length))
        });
        let frame = if let Some(frame) = held {
            frame
        } else {
            let wanted = WINDOW_BYTES.max(u64::from(handle.length));
            let ahead = self.read(handle, wanted, cache).await?;
            let frame = ahead.slice(..length);
            *window = Some((handle.offset, ahead));
            frame
        };
        self.unframe(handle, FrameKind::Data, &frame)
    }

    /// Reads from the frame's start, at least the frame and at most `wanted` bytes.
    async fn read(&self, handle: Handle, wanted: u64, cache: &Cache) -> Result<Bytes, Error> {
        handle.end(self.meta.bytes).map_err(|malformed| self.corrupt(handle.offset, malformed))?;
        let sector = SECTOR_BYTES as u64;
        let end = handle.offset.saturating_add(wanted).min(self.meta.bytes);
        let start = handle.offset / sector * sector;
        let length = end.next_multiple_of(sector) - start;
        let Some(device) = &self.device else {
            return Err(self.corrupt(handle.offset, Malformed("the file is missing")));
        };
        cache.reads.set(cache.reads.get() + 1);
        let bytes = device.read(start, in_memory(length)).await?;
        Ok(bytes.slice(in_memory(handle.offset - start)..in_memory(end - start)))
    }

    fn unframe(&self, handle: Handle, kind: FrameKind, frame: &Bytes) -> Result<Bytes, Error> {
        let identity = Identity { table: self.meta.id, kind, offset: handle.offset };
        open_frame(identity, frame).map_err(|malformed| self.corrupt(handle.offset, malformed))
    }
}

/// The last sector of a table's file, where it is that of the table.
async fn read_footer<D: Directory>(
    device: &D::Device,
    meta: &TableMeta,
    location: &str,
) -> Result<Footer, Error> {
    let corrupt = |finding: &str| Error::Corrupt {
        location: location.to_owned(),
        finding: finding.to_owned(),
    };
    let start = meta
        .bytes
        .checked_sub(SECTOR_BYTES as u64)
        .filter(|start| start.is_multiple_of(SECTOR_BYTES as u64))
        .filter(|_| meta.bytes <= device.size())
        .ok_or_else(|| corrupt("the file has another length than the manifest says"))?;
    let sector = device.read(start, SECTOR_BYTES).await?;
    if let Some(found) = other_version(&sector) {
        let (location, readable) = (location.to_owned(), VERSION.to_string());
        return Err(Error::Version { location, found, readable });
    }
    let footer = Footer::decode(&sector).map_err(|malformed| corrupt(malformed.0))?;
    if (footer.table, footer.bytes, footer.entries) != (meta.id, meta.bytes, meta.entries) {
        return Err(corrupt("it is another table than the manifest says"));
    }
    Ok(footer)
}

fn handle_of(index: &BlockCursor) -> Result<Handle, Malformed> {
    Handle::decode(&index.value().ok_or(Malformed("the block index ends too early"))?)
}

fn in_memory(length: u64) -> usize {
    usize::try_from(length).expect("pieces of a table fit memory")
}
