//! The WAL's sizes and limits.

use super::format::{HEADER_BYTES, RECORD_BYTES};
use crate::{device::SECTOR_BYTES, error::Error};

/// Head and body of a record have at most this many bytes.
pub const RECORD_BYTES_MAX: usize = 8 << 20;
/// A slot's value has at most this many bytes.
pub const SLOT_BYTES_MAX: usize = 4096;

const SEGMENT_BYTES_MIN: u64 = 4 * SECTOR_BYTES as u64;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Sizes and limits of a WAL.
#[derive(Clone, Debug)]
pub struct WalOptions {
    /// Bytes of a segment file: whole sectors, up to 1 GiB. Files of another size are read, but not used again.
    pub segment_bytes: u64,
    /// Records that wait go out together up to this many bytes; at most half a segment counts.
    pub batch_bytes_max: usize,
    /// Recent records are kept in memory up to this many bytes. Those not yet durable are kept in any case.
    pub cache_bytes_max: usize,
    /// Above this many bytes of waiting records `room` waits.
    pub queue_bytes_max: usize,
    /// Told to none outside, the same at each opening (the volume's random id): batches carry it, so bytes that a
    /// client has stored can't be taken for a batch.
    pub identity: u64,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            batch_bytes_max: 256 << 10,
            cache_bytes_max: 8 << 20,
            queue_bytes_max: 8 << 20,
            identity: 0,
        }
    }
}

impl WalOptions {
    /// Refuses sizes that the format can't have.
    pub(super) fn check(&self) -> Result<(), Error> {
        let found = self.segment_bytes;
        let refuse = |what, limit| Err(Error::Limit { what, found, limit });
        if found < SEGMENT_BYTES_MIN {
            return refuse("a WAL segment in bytes (at least)", SEGMENT_BYTES_MIN);
        }
        if found > SEGMENT_BYTES_MAX {
            return refuse("a WAL segment in bytes", SEGMENT_BYTES_MAX);
        }
        if !found.is_multiple_of(SECTOR_BYTES as u64) {
            return refuse("a WAL segment in bytes (whole sectors)", SECTOR_BYTES as u64);
        }
        Ok(())
    }

    /// Bytes of records that go into a batch together. Half a segment leaves room for values carried forward.
    pub(super) fn batch_bytes_max(&self) -> usize {
        self.batch_bytes_max.min(self.half())
    }

    /// Bytes of head and body of a record.
    pub(super) fn record_bytes_max(&self) -> usize {
        RECORD_BYTES_MAX.min(self.half() - HEADER_BYTES - RECORD_BYTES)
    }

    fn half(&self) -> usize {
        usize::try_from(self.segment_bytes / 2).expect("a segment has at most 1 GiB")
    }
}
