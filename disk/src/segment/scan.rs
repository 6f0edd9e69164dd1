//! Walking the headers of a segment, over damage and over the holes of writes that a crash lost.
//!
//! Behind a whole header the walk goes on at the extent's end; anywhere else at the next place where a header may
//! begin. Bytes of a torn extent may look like a header that their writer made up: this is why the owner of an extent
//! is asked before anything is done with it.

use std::ops::Range;

use bytes::Bytes;

use super::{
    Extent, Shared,
    header::{HEADER_BYTES_MAX, Header, Refusal},
    layout::PACK_BYTES,
};
use crate::{
    device::{Device, Directory, SECTOR_BYTES},
    error::Error,
};

/// How much is read at a time behind a whole header, in bytes: the next one is close, or data lies between.
const NEAR_BYTES: u64 = 64 << 10;
/// How much is read at a time where no header was found, in bytes.
const FAR_BYTES: u64 = 1 << 20;

const SECTOR: u64 = SECTOR_BYTES as u64;

const _: () = assert!(
    HEADER_BYTES_MAX + SECTOR_BYTES <= 64 << 10,
    "a read that begins in a header's sector holds all of it"
);

impl<D: Directory> Shared<D> {
    pub(super) async fn scan(&self, segment: u32) -> Result<Vec<(Bytes, Extent)>, Error> {
        let device = self.device(segment).await?;
        let end = self.active_end(segment).unwrap_or(u64::MAX).min(device.size());
        let end = u32::try_from(end).unwrap_or(u32::MAX - (u32::MAX % 4096));
        let mut found = Vec::new();
        let mut window = Window::default();
        let mut position = 0;
        let mut read_bytes = NEAR_BYTES;
        while position < end {
            if !window.holds(u64::from(position)) {
                let range = window_range(u64::from(position), read_bytes, u64::from(end));
                window = Window { start: range.start, bytes: self.sectors(&device, range).await? };
                read_bytes = FAR_BYTES;
            }
            match Header::parse(window.from(u64::from(position)), segment, position) {
                Ok(header) => {
                    let next = u64::from(position) + header.extent.total_bytes();
                    found.push((Bytes::copy_from_slice(header.key), header.extent));
                    position = u32::try_from(next).unwrap_or(end).next_multiple_of(PACK_BYTES);
                    read_bytes = NEAR_BYTES;
                }
                Err(Refusal::NeedsBytes(_)) if window.can_move(u64::from(position), end) => {
                    window = Window::default();
                }
                Err(Refusal::NeedsBytes(_) | Refusal::Damaged(_) | Refusal::Version(_)) => {
                    position = position.saturating_add(PACK_BYTES);
                }
            }
        }
        Ok(found)
    }
}

/// The part of the segment in memory.
#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Bytes,
}

impl Window {
    fn end(&self) -> u64 {
        self.start + u64::try_from(self.bytes.len()).expect("within a segment")
    }

    fn holds(&self, position: u64) -> bool {
        (self.start..self.end()).contains(&position)
    }

    /// What is in memory from `position` on, which it holds.
    fn from(&self, position: u64) -> &[u8] {
        let skipped = usize::try_from(position - self.start).expect("within a segment");
        &self.bytes[skipped..]
    }

    /// Whether a new read that begins at the sector of `position` would hold more behind it.
    fn can_move(&self, position: u64, segment_end: u32) -> bool {
        self.end() < u64::from(segment_end) && self.start < position / SECTOR * SECTOR
    }
}

fn window_range(position: u64, read_bytes: u64, segment_end: u64) -> Range<u64> {
    let start = position / SECTOR * SECTOR;
    start..(start + read_bytes).min(segment_end)
}
