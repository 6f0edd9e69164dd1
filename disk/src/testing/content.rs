//! The bytes of a file, sparse: a sector that was never written is zeros and takes no memory.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::device::SECTOR_BYTES;

/// [`SECTOR_BYTES`] as a file offset.
pub(super) const SECTOR: u64 = SECTOR_BYTES as u64;

/// Sectors by their number.
pub(super) type Sectors = BTreeMap<u64, Bytes>;

/// A file's length and bytes at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub(super) length: u64,
    sectors: Sectors,
}

/// Cuts the bytes of a write into sectors.
pub(super) fn cut(offset: u64, source: &Bytes) -> Sectors {
    let numbers = offset / SECTOR..;
    let pieces = (0..source.len()).step_by(SECTOR_BYTES);
    numbers.zip(pieces.map(|start| source.slice(start..start + SECTOR_BYTES))).collect()
}

impl Content {
    pub(super) fn apply(&mut self, sectors: &Sectors) {
        for (number, bytes) in sectors {
            self.sectors.insert(*number, bytes.clone());
        }
    }

    pub(super) fn grow(&mut self, length: u64) {
        self.length = self.length.max(length);
    }

    /// Forgets what lies beyond the length, as a lost growth does.
    pub(super) fn trim(&mut self) {
        let beyond = self.length.div_ceil(SECTOR);
        drop(self.sectors.split_off(&beyond));
    }

    pub(super) fn sector(&self, number: u64) -> Bytes {
        static ZEROS: [u8; SECTOR_BYTES] = [0; SECTOR_BYTES];
        self.sectors.get(&number).cloned().unwrap_or_else(|| Bytes::from_static(&ZEROS))
    }

    /// Reads whole sectors; the caller has checked the length.
    pub(super) fn read(&self, offset: u64, length: usize) -> Bytes {
        let first = offset / SECTOR;
        if length == SECTOR_BYTES {
            return self.sector(first);
        }
        let mut bytes = vec![0; length];
        for (number, piece) in (first..).zip(bytes.chunks_mut(SECTOR_BYTES)) {
            if let Some(sector) = self.sectors.get(&number) {
                piece.copy_from_slice(sector);
            }
        }
        bytes.into()
    }

    /// Changes single bytes behind everybody's back.
    pub(super) fn patch(&mut self, offset: u64, source: &[u8]) {
        for (position, byte) in (offset..).zip(source) {
            patch_sectors(&mut self.sectors, position, *byte, true);
        }
    }
}

/// Sets one byte; a sector that is not there is made only if `always`.
pub(super) fn patch_sectors(sectors: &mut Sectors, position: u64, byte: u8, always: bool) {
    let number = position / SECTOR;
    let within = usize::try_from(position % SECTOR).expect("below a sector");
    let mut sector = match sectors.get(&number) {
        Some(sector) => sector.to_vec(),
        None if always => vec![0; SECTOR_BYTES],
        None => return,
    };
    sector[within] = byte;
    sectors.insert(number, sector.into());
}
