//! One commit of the table manifest.
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 4 | CRC32C of all that follows, up to the end of the body |
//! | 4 | 4 | magic `EDIT` |
//! | 8 | 4 | manifest id |
//! | 12 | 4 | length of the body |
//! | 16 | 8 | sequence, from 1 |
//! | 24 | 8 | offset of this edit in the file |
//! | 32 | .. | body |
//!
//! The body:
//!
//! | bytes | what |
//! | --- | --- |
//! | 4, 4 | next table id, next segment id |
//! | 4 | how many tables are removed, then 4 each: the id |
//! | 4 | how many are added (after the removals), then each: |
//! | 4, 4 | id, level |
//! | 8, 8, 8 | file bytes, entries, tombstones |
//! | 2 + n, 2 + n | smallest and largest key |
//! | 4 | how many segments it refers to, then each 4 + 8: segment id, bytes, ascending |
//!
//! Where keys are hidden by it, that follows; an edit without any ends before:
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | how many tables have hidden keys from this edit on, then each, ascending: |
//! | 4 | id |
//! | 4 | how many ranges, all that it has, then each 2 + n, 2 + n: the first key and that behind the last, ascending |

use std::rc::Rc;

use bytes::Bytes;

use crate::{
    device::SECTOR_BYTES,
    index::{
        codec::{Malformed, Reader},
        levels::Hidden,
        manifest::Place,
        options::LEVEL_COUNT,
        ranges::Ranges,
        table::TableMeta,
    },
};

const MAGIC: [u8; 4] = *b"EDIT";
const HEADER_BYTES: usize = 32;

/// What one commit changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) next_table: u32,
    pub(crate) next_segment: u32,
    pub(crate) removed: Vec<u32>,
    /// With its level; a table that changes its level is removed and added.
    pub(crate) added: Vec<(u8, TableMeta)>,
    /// Of tables that are there after it: the keys that count no more.
    pub(crate) hidden: Hidden,
}

/// The edit as it is written, padded to whole sectors.
pub(crate) fn encode_edit(edit: &Edit, place: Place) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&place.manifest.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&place.sequence.to_le_bytes());
    bytes.extend_from_slice(&place.offset.to_le_bytes());
    put_body(edit, &mut bytes);
    let body_bytes = count(bytes.len() - HEADER_BYTES);
    bytes[12..16].copy_from_slice(&body_bytes.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(SECTOR_BYTES), 0);
    bytes
}

/// The edit at the start of `source`, and how many bytes it takes with its padding.
pub(crate) fn decode_edit(source: &[u8], place: Place) -> Result<(Edit, usize), Malformed> {
    let mut reader = Reader::new(source);
    let checksum = reader.u32()?;
    let checked = reader.rest();
    if reader.array()? != MAGIC {
        return Err(Malformed("there is no edit"));
    }
    let manifest = reader.u32()?;
    let body_bytes = reader.u32()? as usize;
    let found = Place { manifest, sequence: reader.u64()?, offset: reader.u64()? };
    let body = reader.take(body_bytes)?;
    if crc32c::crc32c(&checked[..HEADER_BYTES - 4 + body_bytes]) != checksum {
        return Err(Malformed("an edit's checksum doesn't match"));
    }
    if found != place {
        return Err(Malformed("it is an edit of another place"));
    }
    Ok((read_body(body)?, (HEADER_BYTES + body_bytes).next_multiple_of(SECTOR_BYTES)))
}

fn put_body(edit: &Edit, target: &mut Vec<u8>) {
    target.extend_from_slice(&edit.next_table.to_le_bytes());
    target.extend_from_slice(&edit.next_segment.to_le_bytes());
    target.extend_from_slice(&count(edit.removed.len()).to_le_bytes());
    for id in &edit.removed {
        target.extend_from_slice(&id.to_le_bytes());
    }
    target.extend_from_slice(&count(edit.added.len()).to_le_bytes());
    for (level, meta) in &edit.added {
        target.extend_from_slice(&meta.id.to_le_bytes());
        target.extend_from_slice(&u32::from(*level).to_le_bytes());
        for number in [meta.bytes, meta.entries, meta.tombstones] {
            target.extend_from_slice(&number.to_le_bytes());
        }
        for key in [&meta.smallest, &meta.largest] {
            put_key(key, target);
        }
        target.extend_from_slice(&count(meta.references.len()).to_le_bytes());
        for (segment, bytes) in meta.references.iter() {
            target.extend_from_slice(&segment.to_le_bytes());
            target.extend_from_slice(&bytes.to_le_bytes());
        }
    }
    if edit.hidden.is_empty() {
        return;
    }
    target.extend_from_slice(&count(edit.hidden.len()).to_le_bytes());
    for (id, ranges) in &edit.hidden {
        target.extend_from_slice(&id.to_le_bytes());
        target.extend_from_slice(&count(ranges.len()).to_le_bytes());
        for range in ranges.iter() {
            put_key(&range.start, target);
            put_key(&range.end, target);
        }
    }
}

fn put_key(key: &[u8], target: &mut Vec<u8>) {
    let length = u16::try_from(key.len()).expect("keys are shorter than 64 KiB");
    target.extend_from_slice(&length.to_le_bytes());
    target.extend_from_slice(key);
}

fn read_body(body: &[u8]) -> Result<Edit, Malformed> {
    let mut reader = Reader::new(body);
    let mut edit =
        Edit { next_table: reader.u32()?, next_segment: reader.u32()?, ..Edit::default() };
    for _ in 0..reader.u32()? {
        edit.removed.push(reader.u32()?);
    }
    for _ in 0..reader.u32()? {
        edit.added.push(read_table(&mut reader)?);
    }
    if reader.is_empty() {
        return Ok(edit);
    }
    edit.hidden = read_hidden(&mut reader)?;
    if reader.is_empty() { Ok(edit) } else { Err(Malformed("an edit is too long")) }
}

fn read_hidden(reader: &mut Reader<'_>) -> Result<Hidden, Malformed> {
    let mut hidden = Hidden::new();
    for _ in 0..reader.u32()? {
        let id = reader.u32()?;
        let mut ranges = Vec::new();
        for _ in 0..reader.u32()? {
            ranges.push(read_key(reader)?..read_key(reader)?);
        }
        let ranges = Ranges::from_sorted(ranges).filter(|ranges| !ranges.is_empty());
        let ranges = ranges.ok_or(Malformed("hidden ranges of an edit are out of order"))?;
        if hidden.last_key_value().is_some_and(|(last, _)| *last >= id) {
            return Err(Malformed("tables of an edit are out of order"));
        }
        hidden.insert(id, Rc::new(ranges));
    }
    Ok(hidden)
}

fn read_table(reader: &mut Reader<'_>) -> Result<(u8, TableMeta), Malformed> {
    let id = reader.u32()?;
    let level = u8::try_from(reader.u32()?)
        .ok()
        .filter(|&level| usize::from(level) < LEVEL_COUNT)
        .ok_or(Malformed("there is no such level"))?;
    let (bytes, entries, tombstones) = (reader.u64()?, reader.u64()?, reader.u64()?);
    let smallest = read_key(reader)?;
    let largest = read_key(reader)?;
    let mut references = Vec::new();
    for _ in 0..reader.u32()? {
        references.push((reader.u32()?, reader.u64()?));
    }
    if smallest > largest || !references.is_sorted_by(|left, right| left.0 < right.0) {
        return Err(Malformed("a table of an edit is upside down"));
    }
    Ok((
        level,
        TableMeta {
            id,
            bytes,
            entries,
            tombstones,
            smallest,
            largest,
            references: references.into(),
        },
    ))
}

fn read_key(reader: &mut Reader<'_>) -> Result<Bytes, Malformed> {
    let length = usize::from(reader.u16()?);
    Ok(Bytes::copy_from_slice(reader.take(length)?))
}

fn count(length: usize) -> u32 {
    u32::try_from(length).expect("an edit is far below 4 GiB")
}
