//! Where one owner's bytes lie.
//!
//! ```text
//!  offset  bytes  field (little-endian)
//!       0      4  segment number; its upper 3 bits are the class ([`Class`])
//!       4      4  offset of the header in the segment, in bytes
//!       8      4  header length, in bytes: the data begins behind it
//!      12      4  data length, in bytes
//!      16
//! ```

use super::Class;

/// The place of one owner's bytes in the data segments; as small as a reference can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent {
    /// The segment's number.
    pub segment: u32,
    /// Where the header begins, in bytes from the segment's start.
    pub offset: u32,
    /// The header's length, in bytes: the data begins behind it.
    pub header_bytes: u32,
    /// The data's length, in bytes.
    pub data_bytes: u32,
}

impl Extent {
    /// The length of an encoded extent, in bytes.
    pub const ENCODED_BYTES: usize = 16;

    /// The bytes to store.
    pub fn encode(self) -> [u8; Self::ENCODED_BYTES] {
        let fields = [self.segment, self.offset, self.header_bytes, self.data_bytes];
        let mut encoded = [0; Self::ENCODED_BYTES];
        for (target, field) in encoded.chunks_exact_mut(4).zip(fields) {
            target.copy_from_slice(&field.to_le_bytes());
        }
        encoded
    }

    /// The extent behind stored bytes. What it says is checked when it is read.
    pub fn decode(encoded: [u8; Self::ENCODED_BYTES]) -> Self {
        let field = |at: usize| {
            let bytes = [encoded[at], encoded[at + 1], encoded[at + 2], encoded[at + 3]];
            u32::from_le_bytes(bytes)
        };
        Self { segment: field(0), offset: field(4), header_bytes: field(8), data_bytes: field(12) }
    }

    /// The class of the segment that it is in.
    pub fn class(self) -> Class {
        Class::of_segment(self.segment)
    }

    /// What it takes in its segment, in bytes: header and data. This is what live counts are in.
    pub fn total_bytes(self) -> u64 {
        u64::from(self.header_bytes) + u64::from(self.data_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::Extent;

    #[test]
    fn the_stored_form_is_golden() {
        let extent = Extent {
            segment: 0x0403_0201,
            offset: 0x0807_0605,
            header_bytes: 0x0c0b_0a09,
            data_bytes: 0x100f_0e0d,
        };
        assert_eq!(extent.encode(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(Extent::decode(extent.encode()), extent);
    }
}
