//! CRC32C over bytes that lie in several pieces, as every format of this crate uses it.
//!
//! A block that must be at one place only has its *identity* (which file, which offset) as the first piece: it is
//! checked but not stored, so valid bytes at the wrong place don't pass.

/// The CRC32C of the pieces, as if they lay behind one another.
pub fn crc32c(pieces: &[&[u8]]) -> u32 {
    let mut sum = 0;
    for piece in pieces {
        sum = crc32c::crc32c_append(sum, piece);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    /// The check value of RFC 3720's CRC32C.
    #[test]
    fn pieces_count_as_one() {
        assert_eq!(crc32c(&[b"123456789"]), 0xe306_9283);
        assert_eq!(crc32c(&[b"", b"1234", b"56789"]), 0xe306_9283);
        assert_ne!(crc32c(&[b"56789", b"1234"]), 0xe306_9283);
    }
}
