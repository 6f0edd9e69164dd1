//! A Bloom filter over the keys of a table: ten bits a key, seven probes, about one false "maybe" in a hundred.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | probes |
//! | .. | the bits, lowest first in each byte |

use xxhash_rust::xxh3::xxh3_64;

const BITS_PER_KEY: usize = 10;
const PROBES: u8 = 7;
const BYTES_MIN: usize = 8;

/// What a filter knows of a key: the XXH3 of its bytes, part of the format.
pub(crate) fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// A filter for this many keys, with none in it.
pub(crate) fn empty(key_count: usize) -> Vec<u8> {
    let byte_count = (key_count * BITS_PER_KEY).div_ceil(8).max(BYTES_MIN);
    let mut content = vec![0_u8; 1 + byte_count];
    content[0] = PROBES;
    content
}

/// Adds keys of these hashes.
pub(crate) fn add(content: &mut [u8], hashes: &[u64]) {
    let byte_count = content.len() - 1;
    for &hash in hashes {
        for probe in 0..PROBES {
            let (byte, mask) = place(hash, probe, byte_count);
            content[1 + byte] |= mask;
        }
    }
}

/// False where the table surely doesn't hold the key. A filter that can't be read rules nothing out.
pub(crate) fn may_hold(content: &[u8], hash: u64) -> bool {
    let Some((&probes, bits)) = content.split_first() else {
        return true;
    };
    bits.is_empty()
        || (0..probes).all(|probe| {
            let (byte, mask) = place(hash, probe, bits.len());
            bits[byte] & mask != 0
        })
}

/// Double hashing; the product's upper half spreads it over the bits without a division.
fn place(hash: u64, probe: u8, byte_count: usize) -> (usize, u8) {
    let step = hash.rotate_left(32) | 1;
    let mixed = hash.wrapping_add(step.wrapping_mul(u64::from(probe)));
    let bit_count = byte_count as u128 * 8;
    let bit = usize::try_from((u128::from(mixed) * bit_count) >> 64).expect("below the bit count");
    (bit / 8, 1 << (bit % 8))
}

#[cfg(test)]
mod tests {
    use super::{add, empty, key_hash, may_hold};

    fn build(hashes: &[u64]) -> Vec<u8> {
        let mut content = empty(hashes.len());
        add(&mut content, hashes);
        content
    }

    #[test]
    fn it_never_denies_a_key_and_rarely_admits_another() {
        let hashes: Vec<u64> = (0..10_000_u32).map(|n| key_hash(&n.to_le_bytes())).collect();
        let content = build(&hashes);
        assert!(hashes.iter().all(|&hash| may_hold(&content, hash)));
        let false_count =
            (10_000..20_000_u32).filter(|n| may_hold(&content, key_hash(&n.to_le_bytes()))).count();
        assert!(false_count < 200, "{false_count} of 10,000");
    }

    #[test]
    fn golden_bytes() {
        let content = build(&[key_hash(b"a"), key_hash(b"b")]);
        assert_eq!(content.len(), 9);
        assert_eq!(content[0], 7);
        assert_eq!(key_hash(b"a"), 0xe6c6_32b6_1e96_4e1f);
    }
}
