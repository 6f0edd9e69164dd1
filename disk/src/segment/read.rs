//! Reading a range of an extent: the header, the covered blocks, nothing else; in one read where they lie close.

use std::{ops::Range, rc::Rc};

use bytes::Bytes;
use futures::future::try_join;

use super::{
    Class, Extent, Shared, files,
    header::{BLOCK_BYTES, Header, Refusal, length},
    missing,
};
use crate::{
    device::{Device, Directory, SECTOR_BYTES},
    error::Error,
};

/// Header and blocks further apart than this, in bytes, are read by two reads at the same time.
const GAP_BYTES_MAX: u64 = 64 << 10;

const BLOCK: u64 = BLOCK_BYTES as u64;
const SECTOR: u64 = SECTOR_BYTES as u64;

impl<D: Directory> Shared<D> {
    pub(super) async fn read(
        &self,
        extent: Extent,
        key: &[u8],
        range: Range<u32>,
    ) -> Result<Bytes, Error> {
        if range.end > extent.data_bytes || range.start > range.end {
            return Err(Error::Limit {
                what: "the end of a range of an extent, in bytes,",
                found: u64::from(range.end.max(range.start)),
                limit: u64::from(extent.data_bytes),
            });
        }
        let device = self.device(extent.segment).await?;
        let header_at = u64::from(extent.offset);
        let data_at = header_at + u64::from(extent.header_bytes);
        // Nothing of the data is read for nothing, but whose extent it is is checked all the same.
        let range = if range.is_empty() { 0..0 } else { range };
        let first_block = u64::from(range.start) / BLOCK;
        let blocks_at = data_at + first_block * BLOCK;
        let blocks_end = u64::from(range.end).next_multiple_of(BLOCK);
        let blocks_end = data_at + blocks_end.min(u64::from(extent.data_bytes));
        let (header, blocks) = if blocks_at - data_at <= GAP_BYTES_MAX {
            let end = blocks_end.max(data_at);
            let both = self.bytes(extent, &device, header_at..end).await?;
            let blocks = both.slice(index(blocks_at - header_at, &both)..);
            (both, blocks)
        } else {
            let header = self.bytes(extent, &device, header_at..data_at);
            let blocks = self.bytes(extent, &device, blocks_at..blocks_end);
            try_join(header, blocks).await?
        };
        self.verify(extent, key, (&header, &blocks), first_block)?;
        let start = length(range.start) % BLOCK_BYTES;
        Ok(blocks.slice(start..start + length(range.end - range.start)))
    }

    /// The file of a segment that has not been removed.
    pub(super) async fn device(&self, segment: u32) -> Result<Rc<D::Device>, Error> {
        if !self.ledger.borrow().contains(segment) {
            let is_missing = self.ledger.borrow().is_missing(segment);
            let location = self.location(segment);
            return Err(if is_missing {
                missing(location)
            } else {
                Error::Absent { name: location }
            });
        }
        let area = self.area(Class::of_segment(segment))?;
        match area.active_device(segment) {
            Some(device) => Ok(device),
            None => area.files.open(segment).await,
        }
    }

    pub(super) fn location(&self, segment: u32) -> String {
        let area = self.area(Class::of_segment(segment)).unwrap_or(&self.own);
        format!("{}/{}", area.directory.path(), files::name(segment))
    }

    /// Whole sectors from the device, in bytes of the segment.
    pub(super) async fn sectors(
        &self,
        device: &D::Device,
        range: Range<u64>,
    ) -> Result<Bytes, Error> {
        let count = usize::try_from(range.end - range.start).expect("within a segment");
        self.counts.reads.update(|count| count + 1);
        self.counts.read_bytes.update(|bytes| bytes + (range.end - range.start));
        device.read(range.start, count).await
    }

    /// Just these bytes of the segment.
    async fn bytes(
        &self,
        extent: Extent,
        device: &D::Device,
        range: Range<u64>,
    ) -> Result<Bytes, Error> {
        let start = range.start / SECTOR * SECTOR;
        let end = range.end.next_multiple_of(SECTOR);
        if end > device.size() {
            return Err(self.corrupt(extent, "the segment ends before the extent does"));
        }
        let sectors = self.sectors(device, start..end).await?;
        let within = index(range.start - start, &sectors)..index(range.end - start, &sectors);
        Ok(sectors.slice(within))
    }

    /// Checks a header, and blocks from `first_block` on, against the reference and each other.
    fn verify(
        &self,
        extent: Extent,
        key: &[u8],
        (header, blocks): (&Bytes, &Bytes),
        first_block: u64,
    ) -> Result<(), Error> {
        let parsed = Header::parse(header, extent.segment, extent.offset);
        let header = parsed.map_err(|refusal: Refusal| {
            refusal.at(format!("{} at {}", self.location(extent.segment), extent.offset))
        })?;
        if header.extent != extent {
            return Err(self.corrupt(extent, "the extent has other lengths than the reference"));
        }
        if header.key != key {
            return Err(self.corrupt(extent, "the extent belongs to another key"));
        }
        let first_block = usize::try_from(first_block).expect("within a segment");
        for (block_index, block) in (first_block..).zip(blocks.chunks(BLOCK_BYTES)) {
            if !header.verifies(block_index, block) {
                let finding = format!("the checksum of block {block_index} doesn't match");
                return Err(self.corrupt(extent, &finding));
            }
        }
        Ok(())
    }

    fn corrupt(&self, extent: Extent, finding: &str) -> Error {
        Error::Corrupt {
            location: format!("{} at {}", self.location(extent.segment), extent.offset),
            finding: finding.to_owned(),
        }
    }
}

/// A position within bytes that were just read.
fn index(position: u64, bytes: &Bytes) -> usize {
    let position = usize::try_from(position).expect("within a segment");
    assert!(position <= bytes.len(), "a read is as long as it was asked to be");
    position
}
