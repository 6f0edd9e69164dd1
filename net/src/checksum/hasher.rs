//! A checksum over bytes as they come.

use sha2::Digest as _;

use super::{Algorithm, Checksum};

/// Computes one [`Checksum`]; the bytes may come in any pieces.
#[derive(Clone, Debug)]
pub struct Hasher {
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Crc(Algorithm, crc_fast::Digest),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

impl Hasher {
    /// A hasher that has seen no bytes.
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Crc64Nvme => {
                State::Crc(algorithm, crc_fast::Digest::new(crc_parameters(algorithm)))
            }
            Algorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
        };
        Self { state }
    }

    /// The algorithm it computes.
    pub const fn algorithm(&self) -> Algorithm {
        match &self.state {
            State::Crc(algorithm, _) => *algorithm,
            State::Sha1(_) => Algorithm::Sha1,
            State::Sha256(_) => Algorithm::Sha256,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc(_, digest) => digest.update(bytes),
            State::Sha1(digest) => digest.update(bytes),
            State::Sha256(digest) => digest.update(bytes),
        }
    }

    /// The checksum of all bytes taken.
    pub fn finalize(self) -> Checksum {
        match self.state {
            State::Crc(algorithm, digest) => Checksum::from_crc(algorithm, digest.finalize()),
            State::Sha1(digest) => Checksum::from_bytes(Algorithm::Sha1, &digest.finalize())
                .expect("SHA-1 has 20 bytes"),
            State::Sha256(digest) => Checksum::from_bytes(Algorithm::Sha256, &digest.finalize())
                .expect("SHA-256 has 32 bytes"),
        }
    }

    /// The checksum of bytes that are all here.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Checksum {
        let mut hasher = Self::new(algorithm);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// The CRC's parameters; asked only for CRCs.
pub(super) fn crc_parameters(algorithm: Algorithm) -> crc_fast::CrcAlgorithm {
    match algorithm {
        Algorithm::Crc32 => crc_fast::CrcAlgorithm::Crc32IsoHdlc,
        Algorithm::Crc32c => crc_fast::CrcAlgorithm::Crc32Iscsi,
        Algorithm::Crc64Nvme => crc_fast::CrcAlgorithm::Crc64Nvme,
        Algorithm::Sha1 | Algorithm::Sha256 => {
            unreachable!("a cryptographic hash has no CRC parameters")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Hasher};

    #[test]
    fn the_catalogues_check_values() {
        // CRC catalogue (reveng), check of "123456789"; FIPS 180-4 for the hashes of "abc".
        let check = |algorithm| hex::encode(Hasher::of(algorithm, b"123456789").bytes());
        assert_eq!(check(Algorithm::Crc32), "cbf43926");
        assert_eq!(check(Algorithm::Crc32c), "e3069283");
        assert_eq!(check(Algorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(
            hex::encode(Hasher::of(Algorithm::Sha1, b"abc").bytes()),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(
            hex::encode(Hasher::of(Algorithm::Sha256, b"abc").bytes()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn pieces_do_not_matter() {
        let bytes: Vec<u8> =
            (0..4_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for algorithm in Algorithm::ALL {
            let whole = Hasher::of(algorithm, &bytes);
            for size in [1, 7, 64, 1_000] {
                let mut hasher = Hasher::new(algorithm);
                assert_eq!(hasher.algorithm(), algorithm);
                bytes.chunks(size).for_each(|piece| hasher.update(piece));
                assert_eq!(hasher.finalize(), whole, "{algorithm:?} in pieces of {size}");
            }
        }
    }
}
