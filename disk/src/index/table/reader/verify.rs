//! Reads the parts of a table from the device, past every cache: what scrub compares with what was written.

use bytes::Bytes;

use super::{Table, handle_of, in_memory};
use crate::{
    device::{Device, Directory, SECTOR_BYTES},
    error::Error,
    index::{
        block::BlockCursor,
        cache::Cache,
        codec::Malformed,
        table::{self, FOOTER_BYTES, Footer, FrameKind, Handle},
    },
};

/// The length of a frame's header, in bytes, as handles count it.
const FRAME_HEADER_BYTES: u32 = 24;
const _: () = assert!(FRAME_HEADER_BYTES as usize == table::FRAME_HEADER_BYTES);

impl<D: Directory> Table<D> {
    /// The footer, and the zeros before and behind it.
    pub(crate) async fn verify_footer(&self) -> Result<(), Error> {
        let known = self.footer()?;
        let Some(device) = &self.device else { return Ok(()) };
        let sector_at = self.meta.bytes - SECTOR_BYTES as u64;
        let frames_end = known.index.end(self.meta.bytes);
        let frames_end =
            frames_end.map_err(|malformed| self.corrupt(known.index.offset, malformed))?;
        let start = (frames_end / SECTOR_BYTES as u64 * SECTOR_BYTES as u64).min(sector_at);
        let bytes = device.read(start, in_memory(self.meta.bytes - start)).await?;
        let (before, sector) = bytes.split_at(in_memory(sector_at - start));
        let footer = Footer::decode(sector).map_err(|found| self.corrupt(sector_at, found))?;
        if footer != known {
            return Err(self.corrupt(sector_at, Malformed("it is not the footer that was read")));
        }
        let padding = before.get(in_memory(frames_end.saturating_sub(start))..).unwrap_or_default();
        if padding.iter().chain(&sector[FOOTER_BYTES..]).any(|byte| *byte != 0) {
            return Err(self.corrupt(start, Malformed("the zeros around the footer are none")));
        }
        Ok(())
    }

    /// The filter, as it lies on the device.
    pub(crate) async fn verify_filter(&self, cache: &Cache) -> Result<Bytes, Error> {
        self.uncached(self.footer()?.filter, FrameKind::Filter, cache).await
    }

    /// The block index, as it lies on the device.
    pub(crate) async fn verify_index(&self, cache: &Cache) -> Result<Bytes, Error> {
        self.uncached(self.footer()?.index, FrameKind::Index, cache).await
    }

    /// The data block that an index cursor stands on, and where it is.
    pub(crate) async fn verify_block(
        &self,
        index: &BlockCursor,
        cache: &Cache,
    ) -> (Handle, Result<BlockCursor, Error>) {
        let handle = match handle_of(index) {
            Ok(handle) => handle,
            Err(malformed) => {
                let place = Handle { offset: self.index_offset(), length: 0 };
                return (place, Err(self.corrupt(place.offset, malformed)));
            }
        };
        let content = self.uncached(handle, FrameKind::Data, cache).await;
        let block = content.and_then(|content| {
            BlockCursor::new(content).map_err(|malformed| self.corrupt(handle.offset, malformed))
        });
        (handle, block)
    }

    /// The length of all data frames, which begin with the file, in bytes. Where nobody knows, that of the file: behind
    /// its last entry no more data frames are to be looked for.
    pub(crate) fn data_bytes(&self) -> u64 {
        let file_bytes = self.device.as_ref().map_or(0, Device::size);
        let sectors = file_bytes / SECTOR_BYTES as u64 * SECTOR_BYTES as u64;
        match &self.footer {
            Ok(footer) => footer.filter.offset,
            Err(_damage) => sectors.min(self.meta.bytes),
        }
    }

    /// The data block whose frame begins at `offset`, by what the frame says of itself, and the frame's length in bytes.
    pub(crate) async fn data_frame(
        &self,
        offset: u64,
        cache: &Cache,
    ) -> Result<(BlockCursor, u64), Error> {
        let corrupt = |finding| self.corrupt(offset, Malformed(finding));
        let header = Handle { offset, length: FRAME_HEADER_BYTES };
        let header = self.read(header, u64::from(FRAME_HEADER_BYTES), cache).await?;
        let length = header.get(4..8).and_then(|bytes| bytes.try_into().ok());
        let length = length.map(u32::from_le_bytes);
        let length = length.and_then(|length| length.checked_add(FRAME_HEADER_BYTES));
        let length = length.ok_or_else(|| corrupt("a frame is too long"))?;
        let handle = Handle { offset, length };
        if handle.end(self.data_bytes()).is_err() {
            return Err(corrupt("a frame reaches beyond the data"));
        }
        let content = self.uncached(handle, FrameKind::Data, cache).await?;
        let block =
            BlockCursor::new(content).map_err(|malformed| self.corrupt(offset, malformed))?;
        Ok((block, u64::from(length)))
    }

    /// What [`Self::verify_footer`], [`Self::verify_filter`] and [`Self::verify_index`] read, in bytes.
    pub(crate) fn structure_bytes(&self) -> u64 {
        let frames =
            |footer: &Footer| u64::from(footer.filter.length) + u64::from(footer.index.length);
        self.footer.as_ref().map_or(0, frames) + SECTOR_BYTES as u64
    }

    async fn uncached(
        &self,
        handle: Handle,
        kind: FrameKind,
        cache: &Cache,
    ) -> Result<Bytes, Error> {
        // Just this frame: a bad sector behind it is not its damage.
        let frame = self.read(handle, u64::from(handle.length), cache).await?;
        self.unframe(handle, kind, &frame)
    }
}
