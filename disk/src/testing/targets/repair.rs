//! Makes the checksums of a file right, as `docs/formats.md` draws them, so that what lies behind them is reached.
//! Lengths come from the bytes themselves and are bounded by the file.

use crate::{checksum::crc32c, device::SECTOR_BYTES};

/// The 32-bit number at an offset; zero where the file ends before.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn length(bytes: &[u8], at: usize) -> usize {
    usize::try_from(word(bytes, at)).unwrap_or(usize::MAX)
}

fn set(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(target) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *target = value.to_le_bytes();
    }
}

/// Puts the checksum of `from..to` at `at`, where the file has these bytes.
fn sum(bytes: &mut [u8], at: usize, from: usize, to: usize) {
    if let Some(summed) = bytes.get(from..to) {
        let checksum = crc32c(&[summed]);
        set(bytes, at, checksum);
    }
}

pub(super) fn superblock(bytes: &mut [u8]) {
    for sector in bytes.chunks_exact_mut(SECTOR_BYTES) {
        let checksum = crc32c(&[&sector[..12], &sector[16..]]);
        set(sector, 12, checksum);
    }
}

pub(super) fn wal(bytes: &mut [u8]) {
    for start in (0..bytes.len()).step_by(SECTOR_BYTES) {
        if !bytes[start..].starts_with(b"ANODEWAL") {
            continue;
        }
        sum(bytes, start + 60, start, start + 60);
        let generation = word(bytes, start + 12).to_le_bytes();
        let mut at = start + 64;
        for _ in 0..word(bytes, start + 52).min(1000) {
            let (head, body) = (length(bytes, at + 16), length(bytes, at + 20));
            let end = at.saturating_add(28).saturating_add(head).saturating_add(body);
            let offset = u32::try_from(at).unwrap_or(u32::MAX).to_le_bytes();
            let Some(record) = bytes.get(at + 4..end) else { break };
            let checksum = crc32c(&[&generation, &offset, record]);
            set(bytes, at, checksum);
            at = end;
        }
    }
}

pub(super) fn manifest(bytes: &mut [u8]) {
    for start in (0..bytes.len()).step_by(SECTOR_BYTES) {
        if start < 3 * SECTOR_BYTES {
            sum(bytes, start, start + 4, start + 32);
        } else if bytes[start + 4..].starts_with(b"EDIT") {
            let end = (start + 32).saturating_add(length(bytes, start + 12));
            sum(bytes, start, start + 4, end);
        }
    }
}

pub(super) fn table(bytes: &mut [u8]) {
    let Some(footer) = bytes.len().checked_sub(SECTOR_BYTES) else { return };
    sum(bytes, footer, footer + 4, footer + 64);
    let mut at = 0;
    while at < footer {
        let end = (at + 24).saturating_add(length(bytes, at + 4));
        sum(bytes, at, at + 4, end);
        at = end;
    }
}

pub(super) fn segment(bytes: &mut [u8]) {
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at..].starts_with(b"AEXT") {
            at += 8;
            continue;
        }
        let end = at.saturating_add(length(bytes, at + 20).max(32));
        let header = (bytes.get(at..at + 8), bytes.get(at + 12..end));
        if let (Some(before), Some(after)) = header {
            let checksum = crc32c(&[before, after]);
            set(bytes, at + 8, checksum);
        }
        at = end.saturating_add(length(bytes, at + 24)).next_multiple_of(8);
    }
}

/// A manifest that names one table, as this table's own footer describes it.
pub(super) fn manifest_of(table: &[u8]) -> Vec<u8> {
    let footer = table.len().saturating_sub(SECTOR_BYTES);
    let wide = |at: usize| table.get(at..at + 8).unwrap_or(&[0; 8]).to_vec();
    let mut edit = [b"\0\0\0\0EDIT".as_slice(), &1_u32.to_le_bytes(), &[0; 4]].concat();
    edit.extend_from_slice(&1_u64.to_le_bytes());
    edit.extend_from_slice(&(3 * SECTOR_BYTES as u64).to_le_bytes());
    // Next ids, nothing removed, one table added at level 0.
    for number in [u32::MAX, 2, 0, 1, word(table, footer + 16), 0] {
        edit.extend_from_slice(&number.to_le_bytes());
    }
    edit.extend_from_slice(&wide(footer + 56));
    edit.extend_from_slice(&wide(footer + 48));
    edit.extend_from_slice(&0_u64.to_le_bytes());
    // From the empty key to above all, referring to no segment.
    edit.extend_from_slice(&[0, 0, 8, 0]);
    edit.extend_from_slice(&[0xff; 8]);
    edit.extend_from_slice(&[0; 4]);
    let body_bytes = u32::try_from(edit.len() - 32).unwrap_or(0);
    set(&mut edit, 12, body_bytes);
    let mut bytes = vec![0; 3 * SECTOR_BYTES];
    for (sector, magic) in [(0, b"ANODEMAN"), (1, b"ANODEMRK"), (2, b"ANODEMRK")] {
        let at = sector * SECTOR_BYTES;
        bytes[at + 4..at + 12].copy_from_slice(magic);
        set(&mut bytes, at + 12, 1);
        set(&mut bytes, at + 16, 1);
    }
    bytes.extend_from_slice(&edit);
    bytes.resize(4 * SECTOR_BYTES, 0);
    manifest(&mut bytes);
    bytes
}
