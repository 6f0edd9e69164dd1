//! What objects hold: bytes that follow from prefix and key, so that nothing must be kept to compare a GET.

use std::io::IoSlice;
use std::sync::LazyLock;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Random bytes that every object is cut from. A prime, so that 1 MiB chunks of one object differ from each other for as
/// long as possible: a server that stores equal chunks once should find none.
const POOL_BYTES: usize = 8_388_593;

/// Where bytes are in the pool, which counts as endless: after its last byte comes its first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: usize,
    /// In bytes.
    pub(crate) length: u64,
}

/// The pool of random bytes, the same in every process.
static POOL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut pool = vec![0; POOL_BYTES];
    StdRng::seed_from_u64(0xa0de).fill_bytes(&mut pool);
    pool
});

/// The content of the keys with one prefix.
#[derive(Debug)]
pub(crate) struct Content {
    pool: &'static [u8],
    seed: u64,
}

impl Content {
    /// The content of keys with this prefix.
    pub(crate) fn new(prefix: &str) -> Self {
        Self { pool: &POOL, seed: xxh3_64(prefix.as_bytes()) }
    }

    /// The bytes of key `number` from `offset` on.
    pub(crate) fn span(&self, number: u64, offset: u64, length: u64) -> Span {
        let start = xxh3_64_with_seed(&number.to_le_bytes(), self.seed) % pool_bytes();
        Span { start: position(start + offset % pool_bytes()), length }
    }

    /// Puts the pieces of `span` after its first `skipped` bytes into `slices`, as many as fit; returns how many.
    pub(crate) fn slices<'a>(
        &'a self,
        span: Span,
        skipped: u64,
        slices: &mut [IoSlice<'a>],
    ) -> usize {
        let mut start = position(span.start as u64 + skipped % pool_bytes());
        let mut left = span.length - skipped;
        let mut count = 0;
        for slice in slices {
            if left == 0 {
                break;
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(POOL_BYTES - start);
            *slice = IoSlice::new(&self.pool[start..start + length]);
            left -= length as u64;
            start = 0;
            count += 1;
        }
        count
    }

    /// Is `data` what `span` holds after its first `skipped` bytes?
    pub(crate) fn matches(&self, span: Span, skipped: u64, data: &[u8]) -> bool {
        let Some(left) = span.length.checked_sub(skipped) else { return false };
        if data.len() as u64 > left {
            return false;
        }
        let mut rest = data;
        let mut start = position(span.start as u64 + skipped % pool_bytes());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(POOL_BYTES - start));
            if *piece != self.pool[start..start + piece.len()] {
                return false;
            }
            rest = after;
            start = 0;
        }
        true
    }
}

const fn pool_bytes() -> u64 {
    POOL_BYTES as u64
}

fn position(offset: u64) -> usize {
    usize::try_from(offset % pool_bytes()).expect("below the pool's length")
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::{Content, POOL_BYTES, Span};

    fn bytes(content: &Content, span: Span, skipped: u64) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = content.slices(span, skipped, &mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn content_follows_from_the_key_across_the_pools_edge() {
        let content = Content::new("p");
        let length = 2 * POOL_BYTES as u64 + 10;
        let whole = content.span(1, 0, length);
        let all = bytes(&content, whole, 0);
        assert_eq!(all.len() as u64, length);
        for skipped in [0, 1, 5_000_000, length - 3] {
            let rest = &all[usize::try_from(skipped).unwrap()..];
            assert_eq!(bytes(&content, whole, skipped), rest);
            assert!(content.matches(whole, skipped, rest));
            let part = content.span(1, skipped, length - skipped);
            assert_eq!(bytes(&content, part, 0), rest, "a part at an offset is that of the whole");
        }
    }

    #[test]
    fn other_bytes_do_not_match() {
        let content = Content::new("p");
        let span = content.span(1, 0, 100);
        let right = bytes(&content, span, 0);
        let mut wrong = right.clone();
        wrong[99] ^= 1;
        assert!(!content.matches(span, 0, &wrong));
        assert!(!content.matches(content.span(2, 0, 100), 0, &right));
        assert!(!Content::new("q").matches(content.span(1, 0, 100), 1, &right[..99]));
        assert!(!content.matches(span, 1, &right), "longer than it should be");
        assert!(!content.matches(span, 101, b""), "past its end");
    }
}
