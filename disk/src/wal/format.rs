//! The WAL's bytes: batches of records in a segment file. Everything is little-endian and of fixed width.
//!
//! A batch starts at a sector; what follows its last record up to the next sector is zeros.
//!
//! ```text
//! batch header, 64 bytes
//!  0   8  magic "ANODEWAL"
//!  8   4  format version
//! 12   4  segment generation: a batch of an earlier life of the file has a lower one
//! 16   8  sequence of the batch: 1, 2, 3 .. over all segments
//! 24   8  sequence that was known to be durable when this batch was written (below its own)
//! 32   4  generation of the oldest segment that is still needed once this batch is durable
//! 36   4  offset of the batch in the segment, in bytes
//! 40   8  identity of the WAL: no other WAL's batch passes, nor one that a client has made up
//! 48   4  length of header and records, in bytes, without the zeros behind them
//! 52   4  number of records
//! 56   4  zeros
//! 60   4  CRC32C of bytes 0 to 59
//!
//! record, 28 bytes and its head and body, at once behind the record before it
//!  0   4  CRC32C of the segment generation (4 bytes), the record's offset in the segment (4 bytes), then bytes 4
//!         to the record's end: a record at the wrong place doesn't pass
//!  4   4  group
//!  8   8  index
//! 16   4  head length
//! 20   4  body length
//! 24   1  kind: 1 entry, 2 truncate, 3 purge, 4 vote, 5 committed, 6 purged, 7 remove
//! 25   3  zeros
//! 28      head, then body
//! ```
//!
//! The header's checksum covers the header alone and each record has its own: every byte is summed once, and one
//! record can be read and verified without its batch.

use bytes::Bytes;

use super::GroupId;
use crate::{
    checksum::crc32c,
    planted::{self, Bug},
};

/// What every batch starts with.
pub(super) const MAGIC: [u8; 8] = *b"ANODEWAL";
/// The format that this release writes and reads.
pub(super) const VERSION: u32 = 1;

const VERSION_AT: usize = 8;
const GENERATION_AT: usize = VERSION_AT + 4;
const SEQUENCE_AT: usize = GENERATION_AT + 4;
const DURABLE_AT: usize = SEQUENCE_AT + 8;
const OLDEST_AT: usize = DURABLE_AT + 8;
const OFFSET_AT: usize = OLDEST_AT + 4;
const IDENTITY_AT: usize = OFFSET_AT + 4;
const LENGTH_AT: usize = IDENTITY_AT + 8;
const COUNT_AT: usize = LENGTH_AT + 4;
const CHECKSUM_AT: usize = COUNT_AT + 8;
/// Bytes of a batch header.
pub(super) const HEADER_BYTES: usize = CHECKSUM_AT + 4;

const GROUP_AT: usize = 4;
const INDEX_AT: usize = GROUP_AT + 4;
const HEAD_LENGTH_AT: usize = INDEX_AT + 8;
const BODY_LENGTH_AT: usize = HEAD_LENGTH_AT + 4;
const KIND_AT: usize = BODY_LENGTH_AT + 4;
/// Bytes of a record before its head.
pub(super) const RECORD_BYTES: usize = KIND_AT + 4;

const _: () = assert!(HEADER_BYTES == 64 && RECORD_BYTES == 28);

/// What a record does to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Adds the record of this index.
    Entry = 1,
    /// Drops the records of this index and above.
    Truncate = 2,
    /// Drops the records up to this index; the head is the new purged state.
    Purge = 3,
    /// The head is the new vote.
    Vote = 4,
    /// The head is the new committed state.
    Committed = 5,
    /// The head is the new purged state; drops nothing. So a purged state is carried forward.
    Purged = 6,
    /// Forgets the group.
    Remove = 7,
}

impl Kind {
    fn decode(byte: u8) -> Option<Self> {
        [
            Self::Entry,
            Self::Truncate,
            Self::Purge,
            Self::Vote,
            Self::Committed,
            Self::Purged,
            Self::Remove,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// The fields of a batch header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) generation: u32,
    pub(super) sequence: u64,
    pub(super) durable: u64,
    pub(super) oldest: u32,
    pub(super) offset: u32,
    pub(super) identity: u64,
    pub(super) length: u32,
    pub(super) count: u32,
}

/// What the first bytes of a sector are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A header whose checksum holds.
    Header(Header),
    /// A header whose checksum holds, of another format version.
    Version(u32),
    /// Something else.
    Nothing,
}

impl Header {
    /// Writes the header into the first [`HEADER_BYTES`] of `target`.
    pub(super) fn encode(&self, target: &mut [u8]) {
        target[..VERSION_AT].copy_from_slice(&MAGIC);
        put_u32(target, VERSION_AT, VERSION);
        put_u32(target, GENERATION_AT, self.generation);
        put_u64(target, SEQUENCE_AT, self.sequence);
        put_u64(target, DURABLE_AT, self.durable);
        put_u32(target, OLDEST_AT, self.oldest);
        put_u32(target, OFFSET_AT, self.offset);
        put_u64(target, IDENTITY_AT, self.identity);
        put_u32(target, LENGTH_AT, self.length);
        put_u32(target, COUNT_AT, self.count);
        put_u32(target, COUNT_AT + 4, 0);
        let checksum = crc32c(&[&target[..CHECKSUM_AT]]);
        put_u32(target, CHECKSUM_AT, checksum);
    }

    /// Reads what a sector starts with.
    pub(super) fn decode(source: &[u8]) -> Found {
        if source.len() < HEADER_BYTES
            || source[..VERSION_AT] != MAGIC
            || get_u32(source, CHECKSUM_AT) != crc32c(&[&source[..CHECKSUM_AT]])
        {
            return Found::Nothing;
        }
        let version = get_u32(source, VERSION_AT);
        if version != VERSION {
            return Found::Version(version);
        }
        Found::Header(Self {
            generation: get_u32(source, GENERATION_AT),
            sequence: get_u64(source, SEQUENCE_AT),
            durable: get_u64(source, DURABLE_AT),
            oldest: get_u32(source, OLDEST_AT),
            offset: get_u32(source, OFFSET_AT),
            identity: get_u64(source, IDENTITY_AT),
            length: get_u32(source, LENGTH_AT),
            count: get_u32(source, COUNT_AT),
        })
    }
}

/// One record as it is written and read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) group: GroupId,
    pub(super) index: u64,
    pub(super) head: Bytes,
    pub(super) body: Bytes,
}

impl Item {
    /// Bytes of the record on disk.
    pub(super) fn bytes(&self) -> usize {
        RECORD_BYTES + self.head.len() + self.body.len()
    }

    /// Bytes of the record that `source` starts with, as it says itself, verified or not; it has [`RECORD_BYTES`].
    pub(super) fn stated_bytes(source: &[u8]) -> usize {
        let length = |at| usize::try_from(get_u32(source, at)).unwrap_or(usize::MAX);
        RECORD_BYTES.saturating_add(length(HEAD_LENGTH_AT)).saturating_add(length(BODY_LENGTH_AT))
    }

    /// Writes the record into the first [`Self::bytes`] of `target`, which will lie at `offset` of the segment.
    pub(super) fn encode(&self, generation: u32, offset: u32, target: &mut [u8]) {
        let target = &mut target[..self.bytes()];
        put_u32(target, GROUP_AT, self.group);
        put_u64(target, INDEX_AT, self.index);
        put_u32(target, HEAD_LENGTH_AT, u32_of(self.head.len()));
        put_u32(target, BODY_LENGTH_AT, u32_of(self.body.len()));
        put_u32(target, KIND_AT, self.kind as u32);
        let body_at = RECORD_BYTES + self.head.len();
        target[RECORD_BYTES..body_at].copy_from_slice(&self.head);
        target[body_at..].copy_from_slice(&self.body);
        let checksum = sum(generation, offset, target);
        put_u32(target, 0, checksum);
    }

    /// Reads the record that `source` starts with and that lies at `offset` of the segment; `None` where it is not
    /// whole and valid. Head and body are slices of `source`.
    pub(super) fn decode(generation: u32, offset: u32, source: &Bytes) -> Option<Self> {
        if source.len() < RECORD_BYTES {
            return None;
        }
        let head_bytes = usize::try_from(get_u32(source, HEAD_LENGTH_AT)).ok()?;
        let body_bytes = usize::try_from(get_u32(source, BODY_LENGTH_AT)).ok()?;
        let body_at = RECORD_BYTES.checked_add(head_bytes)?;
        let end = body_at.checked_add(body_bytes)?;
        if source.len() < end {
            return None;
        }
        let sums = get_u32(source, 0) == sum(generation, offset, &source[..end]);
        if !sums && !planted::is(Bug::RecordChecksumSkipped) {
            return None;
        }
        Some(Self {
            kind: Kind::decode(source[KIND_AT])?,
            group: get_u32(source, GROUP_AT),
            index: get_u64(source, INDEX_AT),
            head: source.slice(RECORD_BYTES..body_at),
            body: source.slice(body_at..end),
        })
    }
}

/// A length that a limit keeps far below 4 GiB, as the format has it.
pub(super) fn u32_of(length: usize) -> u32 {
    u32::try_from(length).expect("limits keep lengths and offsets below 4 GiB")
}

fn sum(generation: u32, offset: u32, record: &[u8]) -> u32 {
    crc32c(&[&generation.to_le_bytes(), &offset.to_le_bytes(), &record[GROUP_AT..]])
}

fn put_u32(target: &mut [u8], at: usize, value: u32) {
    target[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put_u64(target: &mut [u8], at: usize, value: u64) {
    target[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn get_u32(source: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(source[at..at + 4].try_into().expect("the slice has 4 bytes"))
}

fn get_u64(source: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(source[at..at + 8].try_into().expect("the slice has 8 bytes"))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn header() -> Header {
        Header {
            generation: 7,
            sequence: 0x0102_0304_0506_0708,
            durable: 0x0102_0304_0506_0707,
            oldest: 5,
            offset: 8192,
            identity: 0xfeed_beef_0000_0001,
            length: 97,
            count: 1,
        }
    }

    fn item() -> Item {
        Item {
            kind: Kind::Entry,
            group: 3,
            index: 42,
            head: Bytes::from_static(b"he"),
            body: Bytes::from_static(b"body"),
        }
    }

    /// Release N + 1 reads what this release wrote: these bytes may never change.
    #[test]
    fn golden_bytes() {
        let mut bytes = [0xff; HEADER_BYTES];
        header().encode(&mut bytes);
        assert_eq!(hex(&bytes), GOLDEN_HEADER);
        let mut bytes = vec![0; item().bytes()];
        item().encode(7, 8256, &mut bytes);
        assert_eq!(hex(&bytes), GOLDEN_RECORD);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    const GOLDEN_HEADER: &str = "414e4f444557414c0100000007000000080706050403020107070605040302010500000000200000\
        01000000efbeedfe610000000100000000000000d7620f0e";
    const GOLDEN_RECORD: &str =
        "7d1ee9cc030000002a000000000000000200000004000000010000006865626f6479";

    #[test]
    fn a_header_reads_back_and_each_flipped_bit_is_seen() {
        let mut bytes = [0; HEADER_BYTES];
        header().encode(&mut bytes);
        assert_eq!(Header::decode(&bytes), Found::Header(header()));
        for bit in 0..HEADER_BYTES * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&bytes), Found::Nothing, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(Header::decode(&bytes[..HEADER_BYTES - 1]), Found::Nothing);
    }

    #[test]
    fn a_record_reads_back_at_its_place_only() {
        let mut bytes = vec![0; item().bytes()];
        item().encode(7, 8256, &mut bytes);
        let source = Bytes::from(bytes);
        assert_eq!(Item::decode(7, 8256, &source), Some(item()));
        assert_eq!(Item::decode(6, 8256, &source), None);
        assert_eq!(Item::decode(7, 8257, &source), None);
        for bit in 0..source.len() * 8 {
            let mut flipped = source.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Item::decode(7, 8256, &Bytes::from(flipped)), None, "bit {bit}");
        }
        for length in 0..source.len() {
            assert_eq!(Item::decode(7, 8256, &source.slice(..length)), None, "length {length}");
        }
    }
}
