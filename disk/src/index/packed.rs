//! Many small pieces of bytes in few allocations: the keys and values of a page.
//!
//! What is kept shares memory with the pieces before and behind it, so it is for what lives and goes together.

use bytes::{Bytes, BytesMut};

use crate::index::entry::{Entry, Payload, Stored, StoredPayload};

/// The first allocation, in bytes; each further one is twice as long, up to [`PACK_BYTES_MAX`].
const PACK_BYTES_MIN: usize = 512;
const PACK_BYTES_MAX: usize = 32 << 10;

#[derive(Debug, Default)]
pub(crate) struct Packed {
    free: BytesMut,
    pack_bytes: usize,
}

impl Packed {
    /// A copy of `piece`.
    pub(crate) fn keep(&mut self, piece: &[u8]) -> Bytes {
        if piece.len() > PACK_BYTES_MAX / 4 {
            return Bytes::copy_from_slice(piece);
        }
        if self.free.capacity() < piece.len() {
            self.pack_bytes = (self.pack_bytes * 2).clamp(PACK_BYTES_MIN, PACK_BYTES_MAX);
            self.free = BytesMut::with_capacity(self.pack_bytes.max(piece.len()));
        }
        self.free.extend_from_slice(piece);
        self.free.split().freeze()
    }

    /// A copy of an entry.
    pub(crate) fn keep_entry(&mut self, stored: &Stored<'_>) -> Entry {
        let payload = match stored.payload {
            StoredPayload::None => Payload::None,
            StoredPayload::Inline(bytes) => Payload::Inline(self.keep(bytes)),
            StoredPayload::Extent(extent) => Payload::Extent(extent),
        };
        Entry { value: self.keep(stored.value), payload }
    }
}

#[cfg(test)]
mod tests {
    use super::{PACK_BYTES_MAX, Packed};
    use crate::testing::Random;

    #[test]
    fn pieces_come_back_whatever_is_kept_behind_them() {
        let (mut random, mut packed) = (Random::new(1), Packed::default());
        let lengths = [0, 1, 100, 511, 512, 513, 5000, PACK_BYTES_MAX / 4, PACK_BYTES_MAX, 100_000];
        let pieces: Vec<Vec<u8>> =
            (0..200).map(|turn| random.bytes(lengths[turn % lengths.len()])).collect();
        let kept: Vec<_> = pieces.iter().map(|piece| packed.keep(piece)).collect();
        assert_eq!(kept, pieces);
    }
}
