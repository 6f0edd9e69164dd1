//! A table: one immutable sorted file `table-%08x`.
//!
//! | part | what |
//! | --- | --- |
//! | data frames | blocks of entries (`block.rs`, values are stored changes of `entry.rs`), keys ascending |
//! | filter frame | `filter.rs` |
//! | index frame | a block: the last key of each data block, and the handle of its frame |
//! | zeros | up to the next sector |
//! | footer | the last sector |
//!
//! A frame names its table and its offset, so that a valid one in the wrong place is refused:
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 4 | CRC32C of all that follows in the frame |
//! | 4 | 4 | length of the content |
//! | 8 | 4 | table id |
//! | 12 | 4 | kind: 1 data, 2 filter, 3 index |
//! | 16 | 8 | offset in the file |
//! | 24 | .. | content |
//!
//! The footer:
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 4 | CRC32C of bytes 4 to 64 |
//! | 4 | 8 | magic `ANODETAB` |
//! | 12 | 4 | format version, 1 |
//! | 16 | 4 | table id |
//! | 20 | 4 | zero |
//! | 24 | 8 + 4 | offset and length of the filter frame |
//! | 36 | 8 + 4 | offset and length of the index frame |
//! | 48 | 8 | how many entries |
//! | 56 | 8 | length of the file |

use std::rc::Rc;

use bytes::Bytes;

use crate::{
    device::SECTOR_BYTES,
    index::codec::{Malformed, Reader},
    planted::{self, Bug},
};

pub(crate) mod reader;
pub(crate) mod run;
pub(crate) mod writer;

pub(crate) const FRAME_HEADER_BYTES: usize = 24;
const FOOTER_BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"ANODETAB";
const VERSION: u32 = 1;

/// What the table manifest knows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableMeta {
    pub(crate) id: u32,
    /// Length of the file.
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    pub(crate) tombstones: u64,
    pub(crate) smallest: Bytes,
    pub(crate) largest: Bytes,
    /// Per segment, ascending, the bytes of the extents that its entries refer to.
    pub(crate) references: Rc<[(u32, u64)]>,
}

impl TableMeta {
    /// Whether a key of `smallest..=largest` may be in it.
    pub(crate) fn overlaps(&self, smallest: &[u8], largest: &[u8]) -> bool {
        self.smallest.as_ref() <= largest && self.largest.as_ref() >= smallest
    }

    pub(crate) fn refers_to(&self, segment: u32) -> bool {
        self.references.binary_search_by_key(&segment, |reference| reference.0).is_ok()
    }
}

pub(crate) fn table_name(id: u32) -> String {
    format!("table-{id:08x}")
}

/// The id in a table's file name.
pub(crate) fn table_id(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("table-")?;
    if digits.len() == 8 { u32::from_str_radix(digits, 16).ok() } else { None }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Data,
    Filter,
    Index,
}

impl FrameKind {
    fn code(self) -> u32 {
        match self {
            Self::Data => 1,
            Self::Filter => 2,
            Self::Index => 3,
        }
    }
}

/// Where a frame lies, its header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

pub(crate) const HANDLE_BYTES: usize = 12;

impl Handle {
    pub(crate) fn encode(self) -> [u8; HANDLE_BYTES] {
        let mut bytes = [0; HANDLE_BYTES];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(source: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(source);
        let handle = Self { offset: reader.u64()?, length: reader.u32()? };
        if reader.is_empty() { Ok(handle) } else { Err(Malformed("a handle is too long")) }
    }

    /// The end of the frame, which must lie within a file of `file_bytes`.
    pub(crate) fn end(self, file_bytes: u64) -> Result<u64, Malformed> {
        self.offset
            .checked_add(u64::from(self.length))
            .filter(|&end| end <= file_bytes && self.length as usize >= FRAME_HEADER_BYTES)
            .ok_or(Malformed("a handle points outside the file"))
    }
}

/// Which frame is meant: what its header must say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) table: u32,
    pub(crate) kind: FrameKind,
    pub(crate) offset: u64,
}

/// Appends a frame to `target`; returns its length.
pub(crate) fn put_frame(identity: Identity, content: &[u8], target: &mut Vec<u8>) -> u32 {
    let start = target.len();
    let length = u32::try_from(content.len()).expect("a block is far below 4 GiB");
    target.extend_from_slice(&[0; 4]);
    target.extend_from_slice(&length.to_le_bytes());
    target.extend_from_slice(&identity.table.to_le_bytes());
    target.extend_from_slice(&identity.kind.code().to_le_bytes());
    target.extend_from_slice(&identity.offset.to_le_bytes());
    target.extend_from_slice(content);
    let checksum = crc32c::crc32c(&target[start + 4..]);
    target[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
    u32::try_from(target.len() - start).expect("a block is far below 4 GiB")
}

/// The content of a frame, checked, sharing its memory.
pub(crate) fn open_frame(identity: Identity, frame: &Bytes) -> Result<Bytes, Malformed> {
    let mut reader = Reader::new(frame);
    let checksum = reader.u32()?;
    if crc32c::crc32c(reader.rest()) != checksum {
        return Err(Malformed("the checksum doesn't match"));
    }
    let length = reader.u32()? as usize;
    let (table, kind, offset) = (reader.u32()?, reader.u32()?, reader.u64()?);
    let same = (table, kind, offset) == (identity.table, identity.kind.code(), identity.offset);
    if !same && !planted::is(Bug::FrameIdentityIgnored) {
        return Err(Malformed("it is a block of another place"));
    }
    if length != reader.rest().len() {
        return Err(Malformed("its length doesn't match"));
    }
    Ok(frame.slice(FRAME_HEADER_BYTES..))
}

/// The last sector of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) table: u32,
    pub(crate) filter: Handle,
    pub(crate) index: Handle,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

impl Footer {
    pub(crate) fn encode(&self) -> [u8; SECTOR_BYTES] {
        let mut fields = Vec::with_capacity(FOOTER_BYTES);
        fields.extend_from_slice(&[0; 4]);
        fields.extend_from_slice(&MAGIC);
        fields.extend_from_slice(&VERSION.to_le_bytes());
        fields.extend_from_slice(&self.table.to_le_bytes());
        fields.extend_from_slice(&[0; 4]);
        fields.extend_from_slice(&self.filter.encode());
        fields.extend_from_slice(&self.index.encode());
        fields.extend_from_slice(&self.entries.to_le_bytes());
        fields.extend_from_slice(&self.bytes.to_le_bytes());
        let checksum = crc32c::crc32c(&fields[4..]);
        fields[..4].copy_from_slice(&checksum.to_le_bytes());
        let mut sector = [0; SECTOR_BYTES];
        sector[..FOOTER_BYTES].copy_from_slice(&fields);
        sector
    }

    pub(crate) fn decode(sector: &[u8]) -> Result<Self, Malformed> {
        let fields = sector.get(..FOOTER_BYTES).ok_or(Malformed("the footer is too short"))?;
        let mut reader = Reader::new(fields);
        if reader.u32()? != crc32c::crc32c(&fields[4..]) {
            return Err(Malformed("the footer's checksum doesn't match"));
        }
        if reader.array()? != MAGIC {
            return Err(Malformed("it is not a table"));
        }
        if reader.u32()? != VERSION {
            return Err(Malformed("it is a table of another format version"));
        }
        let table = reader.u32()?;
        reader.u32()?;
        let filter = Handle::decode(reader.take(HANDLE_BYTES)?)?;
        let index = Handle::decode(reader.take(HANDLE_BYTES)?)?;
        Ok(Self { table, filter, index, entries: reader.u64()?, bytes: reader.u64()? })
    }
}

/// The version of a footer that is whole and of another release.
fn other_version(sector: &[u8]) -> Option<u32> {
    let fields = sector.get(..FOOTER_BYTES)?;
    let mut reader = Reader::new(fields);
    let is_whole = reader.u32().ok()? == crc32c::crc32c(&fields[4..]);
    let is_table = reader.array().ok()? == MAGIC;
    let version = reader.u32().ok()?;
    (is_whole && is_table && version != VERSION).then_some(version)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Footer, FrameKind, Handle, Identity, open_frame, put_frame, table_id, table_name};

    #[test]
    fn a_frame_is_accepted_only_unchanged_and_in_its_place() {
        let identity = Identity { table: 3, kind: FrameKind::Data, offset: 77 };
        let mut bytes = Vec::new();
        put_frame(identity, b"content", &mut bytes);
        let frame = Bytes::from(bytes.clone());
        assert_eq!(open_frame(identity, &frame).unwrap(), "content");
        for other in [
            Identity { table: 4, ..identity },
            Identity { kind: FrameKind::Index, ..identity },
            Identity { offset: 78, ..identity },
        ] {
            open_frame(other, &frame).unwrap_err();
        }
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x10;
            open_frame(identity, &Bytes::from(damaged)).unwrap_err();
        }
    }

    #[test]
    fn golden_bytes() {
        let mut frame = Vec::new();
        let identity = Identity { table: 3, kind: FrameKind::Index, offset: 0x0102 };
        assert_eq!(put_frame(identity, b"xy", &mut frame), 26);
        assert_eq!(
            frame[4..],
            [2, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, b'x', b'y']
        );
        assert_eq!(frame[..4], crc32c::crc32c(&frame[4..]).to_le_bytes());

        let footer = Footer {
            table: 9,
            filter: Handle { offset: 1, length: 2 },
            index: Handle { offset: 3, length: 4 },
            entries: 5,
            bytes: 6,
        };
        let sector = footer.encode();
        let expected = [
            b"ANODETAB".as_slice(),
            &[1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0],
            &[3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0],
            &[5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(sector[4..64], expected);
        assert_eq!(Footer::decode(&sector), Ok(footer));
        for position in 0..64 {
            let mut damaged = sector;
            damaged[position] ^= 1;
            Footer::decode(&damaged).unwrap_err();
        }
    }

    #[test]
    fn names_come_back() {
        assert_eq!(table_id(&table_name(0xab)), Some(0xab));
        assert_eq!(table_id("table-1"), None);
        assert_eq!(table_id("manifest-00000001"), None);
    }
}
