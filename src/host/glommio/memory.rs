//! Sector-aligned memory that the kernel reads and writes directly.
//!
//! Made of an ordinary allocation with room to align, so that no `unsafe` is needed: a vector's bytes don't move when
//! the vector does.

use std::ops::{Deref, DerefMut};

use anode_disk::device::SECTOR_BYTES;
use bytes::Bytes;

/// From this many bytes on, what was read is handed on as it is; less is copied, for the room to align would count more
/// than the copy in whatever keeps it.
const SHARE_BYTES_MIN: usize = 64 << 10;

/// Bytes that begin at a multiple of [`SECTOR_BYTES`].
#[derive(Debug)]
pub struct Memory {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Memory {
    /// `length` zeros.
    pub(super) fn zeroed(length: usize) -> Self {
        let bytes = vec![0; length + SECTOR_BYTES];
        let start = bytes.as_ptr().align_offset(SECTOR_BYTES);
        Self { bytes, start, length }
    }

    /// Its bytes, to be kept and shared.
    pub(super) fn into_bytes(self) -> Bytes {
        if self.length < SHARE_BYTES_MIN {
            return Bytes::copy_from_slice(&self);
        }
        Bytes::from_owner(self)
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_aligned_wherever_it_moves_to() {
        for length in [SECTOR_BYTES, SHARE_BYTES_MIN - SECTOR_BYTES, 1 << 20] {
            let mut memory = Box::new(Memory::zeroed(length));
            memory[length - 1] = 7;
            let moved = *memory;
            assert_eq!(moved.as_ptr().align_offset(SECTOR_BYTES), 0);
            assert_eq!(moved.len(), length);
            let shared = moved.into_bytes();
            assert_eq!((shared.len(), shared[0], shared[length - 1]), (length, 0, 7));
        }
    }
}
