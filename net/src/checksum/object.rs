//! The checksum of a multipart object from those of its parts.

use super::hasher::crc_parameters;
use super::{Algorithm, Checksum, Hasher};

/// The CRC of the concatenation of parts, each given by its CRC and its length in bytes.
///
/// `None` when the algorithm has no full-object form ([`Algorithm::allows`]), when a part's checksum is of another
/// algorithm, or when there are no parts.
pub fn full_object(
    algorithm: Algorithm,
    parts: impl IntoIterator<Item = (Checksum, u64)>,
) -> Option<Checksum> {
    let mut whole: Option<u64> = None;
    for (part, length) in parts {
        if part.algorithm() != algorithm {
            return None;
        }
        let crc = part.crc()?;
        whole = Some(match whole {
            None => crc,
            // Nothing follows: the combination by zero bytes is the identity, whatever the library makes of it.
            Some(before) if length == 0 => before,
            Some(before) => {
                crc_fast::checksum_combine(crc_parameters(algorithm), before, crc, length)
            }
        });
    }
    whole.map(|crc| Checksum::from_crc(algorithm, crc))
}

/// The checksum of the parts' digests one after the other; S3 writes it with `-` and the number of parts.
///
/// `None` when the algorithm has no composite form, when a part's checksum is of another algorithm, or when there are no
/// parts.
pub fn composite(
    algorithm: Algorithm,
    parts: impl IntoIterator<Item = Checksum>,
) -> Option<Checksum> {
    if !algorithm.allows(super::Kind::Composite) {
        return None;
    }
    let mut hasher = Hasher::new(algorithm);
    let mut count = 0_u32;
    for part in parts {
        if part.algorithm() != algorithm {
            return None;
        }
        hasher.update(part.bytes());
        count += 1;
    }
    (count > 0).then(|| hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Checksum, Hasher, composite, full_object};

    #[test]
    fn combining_the_parts_is_hashing_the_whole() {
        let bytes: Vec<u8> =
            (0..9_001_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            for cuts in [
                vec![],
                vec![0],
                vec![1],
                vec![9_001],
                vec![3_000, 3_000, 6_000],
                vec![5, 8_192, 9_000],
            ] {
                let mut parts = Vec::new();
                let mut start = 0;
                for cut in cuts.iter().copied().chain([bytes.len()]) {
                    parts.push((Hasher::of(algorithm, &bytes[start..cut]), (cut - start) as u64));
                    start = cut;
                }
                let whole = Hasher::of(algorithm, &bytes);
                assert_eq!(
                    full_object(algorithm, parts),
                    Some(whole),
                    "{algorithm:?} cut at {cuts:?}"
                );
            }
        }
    }

    #[test]
    fn a_composite_is_the_hash_of_hashes() {
        // Independently: python3, base64(sha256(sha256(b"a") + sha256(b"b"))) and the same with zlib.crc32.
        let parts = |algorithm| [Hasher::of(algorithm, b"a"), Hasher::of(algorithm, b"b")];
        let of =
            |algorithm| composite(algorithm, parts(algorithm)).map(|checksum| checksum.base64());
        assert_eq!(
            of(Algorithm::Sha256).as_deref(),
            Some("5aAf7hTg7VxIcU8iGA8lrYNltT+XefedxKPX6Tlj+Uo=")
        );
        assert_eq!(of(Algorithm::Crc32).as_deref(), Some("7pJxdw=="));
        assert_eq!(of(Algorithm::Crc64Nvme), None);
    }

    #[test]
    fn what_has_no_such_form_is_none() {
        let crc = Checksum::from_crc(Algorithm::Crc32, 7);
        let sha = Hasher::of(Algorithm::Sha256, b"a");
        assert_eq!(full_object(Algorithm::Sha256, [(sha, 1)]), None);
        assert_eq!(full_object(Algorithm::Crc32c, [(crc, 1)]), None);
        assert_eq!(full_object(Algorithm::Crc32, []), None);
        assert_eq!(composite(Algorithm::Sha256, [sha, crc]), None);
        assert_eq!(composite(Algorithm::Sha256, []), None);
    }
}
