//! One checksum: an algorithm and its digest, in base64 outside and as bytes inside.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Algorithm, Error};

/// The longest digest, SHA-256's.
const DIGEST_BYTES_MAX: usize = 32;

/// A digest and the algorithm it is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Checksum {
    algorithm: Algorithm,
    /// The digest, then zeros.
    digest: [u8; DIGEST_BYTES_MAX],
}

impl Checksum {
    /// The checksum with this digest; `None` when its length is not the algorithm's.
    pub fn from_bytes(algorithm: Algorithm, digest: &[u8]) -> Option<Self> {
        if digest.len() != algorithm.digest_bytes() {
            return None;
        }
        let mut padded = [0; DIGEST_BYTES_MAX];
        padded.get_mut(..digest.len())?.copy_from_slice(digest);
        Some(Self { algorithm, digest: padded })
    }

    /// Reads a header's, a trailer's or an element's value: canonical base64 of exactly the algorithm's length.
    pub fn parse(algorithm: Algorithm, base64: &str) -> Result<Self, Error> {
        let value =
            STANDARD.decode(base64).ok().and_then(|digest| Self::from_bytes(algorithm, &digest));
        value.ok_or_else(|| {
            Error::new(
                "InvalidRequest",
                format!("Value for {} header is invalid.", algorithm.header()),
            )
        })
    }

    /// The algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The digest: [`Algorithm::digest_bytes`] bytes, a CRC big-endian as S3 sends it.
    pub fn bytes(&self) -> &[u8] {
        self.digest.get(..self.algorithm.digest_bytes()).unwrap_or(&self.digest)
    }

    /// The value as headers and XML carry it.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.bytes())
    }

    /// Whether the bytes received have this checksum: `BadDigest` when `computed` differs.
    pub fn check(&self, computed: &Self) -> Result<(), Error> {
        if self == computed {
            return Ok(());
        }
        Err(Error::new(
            "BadDigest",
            format!(
                "The {} you specified did not match the calculated checksum.",
                self.algorithm.name()
            ),
        ))
    }

    /// A CRC's digest as a number; `None` for a cryptographic hash.
    pub(super) fn crc(&self) -> Option<u64> {
        match self.algorithm {
            Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Crc64Nvme => {
                Some(self.bytes().iter().fold(0, |crc, byte| (crc << 8) | u64::from(*byte)))
            }
            Algorithm::Sha1 | Algorithm::Sha256 => None,
        }
    }

    #[expect(clippy::big_endian_bytes, reason = "S3 sends CRCs big-endian")]
    pub(super) fn from_crc(algorithm: Algorithm, crc: u64) -> Self {
        let bytes = crc.to_be_bytes();
        let digest = bytes
            .get(bytes.len() - algorithm.digest_bytes()..)
            .expect("a CRC has at most eight bytes");
        Self::from_bytes(algorithm, digest).expect("cut to the algorithm's length")
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({} {})", self.algorithm.name(), self.base64())
    }
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Checksum};

    #[test]
    fn only_canonical_base64_of_the_right_length_is_a_value() {
        let value = Checksum::parse(Algorithm::Crc32c, "sOO8/Q==").unwrap();
        assert_eq!(value.bytes(), [0xb0, 0xe3, 0xbc, 0xfd]);
        assert_eq!(value.base64(), "sOO8/Q==");
        assert_eq!(value.crc(), Some(0xb0e3_bcfd));
        assert_eq!(Checksum::from_crc(Algorithm::Crc32c, 0xb0e3_bcfd), value);
        for wrong in [
            "",
            "sOO8/Q",
            "sOO8/Q=",
            "sOO8/R==",
            "sOO8/Q== ",
            "sOO8_Q==",
            "sOO8/QA=",
            "!!!!",
            "sOO8/Q==sOO8/Q==",
        ] {
            let error = Checksum::parse(Algorithm::Crc32c, wrong).unwrap_err();
            assert_eq!(
                error.message, "Value for x-amz-checksum-crc32c header is invalid.",
                "{wrong}"
            );
            assert_eq!(error.code, "InvalidRequest");
        }
    }

    #[test]
    fn a_difference_is_a_bad_digest() {
        let one = Checksum::from_crc(Algorithm::Crc32, 1);
        assert_eq!(one.check(&one), Ok(()));
        let error = one.check(&Checksum::from_crc(Algorithm::Crc32, 2)).unwrap_err();
        assert_eq!(error.code, "BadDigest");
        assert_eq!(error.message, "The CRC32 you specified did not match the calculated checksum.");
        assert!(one.check(&Checksum::from_crc(Algorithm::Crc32c, 1)).is_err());
    }
}
