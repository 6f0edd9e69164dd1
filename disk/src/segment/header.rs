//! The header of an extent: whose bytes these are, where they must lie, and what they must be.
//!
//! ```text
//!   offset  bytes  field (little-endian)
//!        0      4  magic "AEXT"
//!        4      2  format version, 1
//!        6      2  key length K, in bytes
//!        8      4  CRC32C of the header but this field, padding included
//!       12      4  segment number
//!       16      4  offset of this header in the segment, in bytes
//!       20      4  header length, in bytes: the data begins there
//!       24      4  data length D, in bytes
//!       28      4  zeros
//!       32     4B  CRC32C of each 4 KiB of the data, the last shorter: B = ceil(D / 4096)
//!    32+4B      K  owner key
//!             ...  zeros, where the extent is aligned, up to a whole sector
//! ```
//!
//! Every byte from the header's start to the data's end is covered by a checksum. A valid extent at another place is
//! refused, because the header says where it lies.

use super::Extent;
use crate::{
    checksum::crc32c,
    error::Error,
    planted::{self, Bug},
};

/// The longest key of an owner, in bytes.
pub const EXTENT_KEY_BYTES_MAX: usize = 4096;
/// The longest data of one extent, in bytes.
pub const EXTENT_DATA_BYTES_MAX: usize = 8 << 20;

/// What one checksum covers, in bytes.
pub(super) const BLOCK_BYTES: usize = 4096;
/// The longest header, in bytes, rounded up to sectors.
pub(super) const HEADER_BYTES_MAX: usize =
    (FIXED_BYTES + 4 * (EXTENT_DATA_BYTES_MAX / BLOCK_BYTES) + EXTENT_KEY_BYTES_MAX)
        .next_multiple_of(BLOCK_BYTES);

const MAGIC: [u8; 4] = *b"AEXT";
const VERSION: u16 = 1;

const VERSION_AT: usize = 4;
const KEY_BYTES_AT: usize = VERSION_AT + 2;
const CHECKSUM_AT: usize = KEY_BYTES_AT + 2;
const SEGMENT_AT: usize = CHECKSUM_AT + 4;
const OFFSET_AT: usize = SEGMENT_AT + 4;
const HEADER_BYTES_AT: usize = OFFSET_AT + 4;
const DATA_BYTES_AT: usize = HEADER_BYTES_AT + 4;
/// The length of the fields before the checksums of the data, in bytes.
pub(super) const FIXED_BYTES: usize = DATA_BYTES_AT + 8;

const _: () = assert!(FIXED_BYTES == 32, "the table above says so");

/// The shortest header for a key and data of these lengths, in bytes.
pub(super) fn header_bytes_min(key_bytes: usize, data_bytes: usize) -> usize {
    FIXED_BYTES + 4 * data_bytes.div_ceil(BLOCK_BYTES) + key_bytes
}

/// Writes header and data of `extent` to the start of `target`, which is zeroed and long enough.
pub(super) fn write(target: &mut [u8], extent: Extent, key: &[u8], data: &[u8]) {
    let (header, rest) = target.split_at_mut(length(extent.header_bytes));
    rest[..data.len()].copy_from_slice(data);
    header[..VERSION_AT].copy_from_slice(&MAGIC);
    put(header, VERSION_AT, &VERSION.to_le_bytes());
    let key_bytes = u16::try_from(key.len()).expect("the layout has checked the key's length");
    put(header, KEY_BYTES_AT, &key_bytes.to_le_bytes());
    put(header, SEGMENT_AT, &extent.segment.to_le_bytes());
    put(header, OFFSET_AT, &extent.offset.to_le_bytes());
    put(header, HEADER_BYTES_AT, &extent.header_bytes.to_le_bytes());
    put(header, DATA_BYTES_AT, &extent.data_bytes.to_le_bytes());
    let mut at = FIXED_BYTES;
    for block in data.chunks(BLOCK_BYTES) {
        put(header, at, &crc32c(&[block]).to_le_bytes());
        at += 4;
    }
    put(header, at, key);
    let checksum = header_checksum(header);
    put(header, CHECKSUM_AT, &checksum.to_le_bytes());
}

/// A header that was found whole and in its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    pub(super) extent: Extent,
    pub(super) key: &'a [u8],
    checksums: &'a [u8],
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Damaged(&'static str),
    /// The header goes on; this many bytes are needed.
    NeedsBytes(usize),
    Version(u16),
}

impl<'a> Header<'a> {
    /// Reads the header that lies at `offset` of `segment` and at the start of `bytes`.
    pub(super) fn parse(bytes: &'a [u8], segment: u32, offset: u32) -> Result<Self, Refusal> {
        let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else {
            return Err(Refusal::NeedsBytes(FIXED_BYTES));
        };
        if fixed[..VERSION_AT] != MAGIC {
            return Err(Refusal::Damaged("no extent begins there"));
        }
        let version = u16::from_le_bytes([fixed[VERSION_AT], fixed[VERSION_AT + 1]]);
        if version != VERSION {
            return Err(Refusal::Version(version));
        }
        let key_bytes = u16::from_le_bytes([fixed[KEY_BYTES_AT], fixed[KEY_BYTES_AT + 1]]);
        let key_bytes = usize::from(key_bytes);
        let header_bytes = field(fixed, HEADER_BYTES_AT);
        let data_bytes = field(fixed, DATA_BYTES_AT);
        if length(data_bytes) > EXTENT_DATA_BYTES_MAX || key_bytes > EXTENT_KEY_BYTES_MAX {
            return Err(Refusal::Damaged("its lengths are beyond the limits"));
        }
        let shortest = header_bytes_min(key_bytes, length(data_bytes));
        if !(shortest..shortest + BLOCK_BYTES).contains(&length(header_bytes)) {
            return Err(Refusal::Damaged("its lengths don't add up"));
        }
        let Some(header) = bytes.get(..length(header_bytes)) else {
            return Err(Refusal::NeedsBytes(length(header_bytes)));
        };
        if header_checksum(header) != field(fixed, CHECKSUM_AT) {
            return Err(Refusal::Damaged("the header's checksum doesn't match"));
        }
        if field(fixed, SEGMENT_AT) != segment || field(fixed, OFFSET_AT) != offset {
            return Err(Refusal::Damaged("the extent belongs to another place"));
        }
        let (checksums, rest) = header[FIXED_BYTES..].split_at(shortest - FIXED_BYTES - key_bytes);
        let extent = Extent { segment, offset, header_bytes, data_bytes };
        Ok(Self { extent, key: &rest[..key_bytes], checksums })
    }

    /// Whether `block`, the block of the data with this number, is what was written.
    pub(super) fn verifies(&self, block_index: usize, block: &[u8]) -> bool {
        let stored = self.checksums.get(4 * block_index..4 * block_index + 4);
        stored.is_some_and(|stored| stored == crc32c(&[block]).to_le_bytes())
            || planted::is(Bug::BlockChecksumSkipped)
    }
}

impl Refusal {
    /// The error of a reader that expected a header at `location`.
    pub(super) fn at(self, location: String) -> Error {
        let finding = match self {
            Self::Version(found) => {
                let found = u32::from(found);
                return Error::Version { location, found, readable: VERSION.to_string() };
            }
            Self::Damaged(finding) => finding,
            Self::NeedsBytes(_) => "the header is longer than the reference says",
        };
        Error::Corrupt { location, finding: finding.to_owned() }
    }
}

/// A length or offset in memory.
pub(super) fn length(bytes: u32) -> usize {
    usize::try_from(bytes).expect("32 bits fit the address space of every supported target")
}

fn header_checksum(header: &[u8]) -> u32 {
    crc32c(&[&header[..CHECKSUM_AT], &header[SEGMENT_AT..]])
}

fn put(target: &mut [u8], at: usize, source: &[u8]) {
    target[at..at + source.len()].copy_from_slice(source);
}

fn field(fixed: &[u8; FIXED_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::{FIXED_BYTES, Header, Refusal, header_bytes_min, write};
    use crate::segment::Extent;

    fn small() -> (Extent, Vec<u8>) {
        let header_bytes = u32::try_from(header_bytes_min(3, 5)).unwrap();
        let extent = Extent { segment: 7, offset: 4096, header_bytes, data_bytes: 5 };
        let mut bytes = vec![0; usize::try_from(extent.total_bytes()).unwrap()];
        write(&mut bytes, extent, b"key", b"hello");
        (extent, bytes)
    }

    #[test]
    fn the_bytes_are_golden() {
        let (_, bytes) = small();
        let expected = [
            b'A', b'E', b'X', b'T', 1, 0, 3, 0, // magic, version, key length
            0x5d, 0x35, 0x52, 0x85, 7, 0, 0, 0, // header checksum, segment
            0x00, 0x10, 0x00, 0x00, 39, 0, 0, 0, // offset, header length
            5, 0, 0, 0, 0, 0, 0, 0, // data length, zeros
            0x4c, 0xbb, 0x71, 0x9a, b'k', b'e', b'y', // the block's checksum, key
            b'h', b'e', b'l', b'l', b'o',
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn another_place_or_length_is_refused() {
        let (extent, bytes) = small();
        let header = Header::parse(&bytes, 7, 4096).unwrap();
        assert_eq!((header.extent, header.key), (extent, &b"key"[..]));
        assert!(header.verifies(0, b"hello"));
        assert!(!header.verifies(0, b"hellp"));
        assert!(!header.verifies(1, b"hello"));
        let elsewhere = Refusal::Damaged("the extent belongs to another place");
        assert_eq!(Header::parse(&bytes, 8, 4096).unwrap_err(), elsewhere);
        assert_eq!(Header::parse(&bytes, 7, 8192).unwrap_err(), elsewhere);
        assert_eq!(
            Header::parse(&bytes[..31], 7, 0).unwrap_err(),
            Refusal::NeedsBytes(FIXED_BYTES)
        );
        assert_eq!(Header::parse(&bytes[..38], 7, 0).unwrap_err(), Refusal::NeedsBytes(39));
    }
}
