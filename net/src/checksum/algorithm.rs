//! The names of the algorithms, as headers, XML elements and values spell them, and what each can do.

use super::Error;

/// A checksum algorithm of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// CRC-32 of ISO-HDLC.
    Crc32,
    /// CRC-32C, Castagnoli.
    Crc32c,
    /// CRC-64 of `NVMe`.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// What the checksum of a multipart object covers (`x-amz-checksum-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The object's bytes.
    FullObject,
    /// The concatenated digests of its parts; written with `-` and the number of parts.
    Composite,
}

impl Algorithm {
    /// Every algorithm, in the order of their names.
    pub const ALL: [Self; 5] =
        [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The value of `x-amz-checksum-algorithm`: `CRC32`, ...
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header or trailer that carries a value, in lower case: `x-amz-checksum-crc32`, ...
    pub const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The XML element that carries a value: `ChecksumCRC32`, ...
    pub const fn element(self) -> &'static str {
        match self {
            Self::Crc32 => "ChecksumCRC32",
            Self::Crc32c => "ChecksumCRC32C",
            Self::Crc64Nvme => "ChecksumCRC64NVME",
            Self::Sha1 => "ChecksumSHA1",
            Self::Sha256 => "ChecksumSHA256",
        }
    }

    /// The length of a digest.
    pub const fn digest_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The algorithm of a value of `x-amz-checksum-algorithm` or `x-amz-sdk-checksum-algorithm`, in any case.
    pub fn from_name(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
            Error::new(
                "InvalidRequest",
                "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
                 [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
            )
        })
    }

    /// The algorithm whose values the header or trailer `name`, in any case, carries.
    pub fn from_header(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(name))
    }

    /// Whether a multipart object can have this algorithm's checksum of this kind: CRC64NVME is only of the whole
    /// object, a cryptographic hash only composite.
    pub const fn allows(self, kind: Kind) -> bool {
        match kind {
            Kind::FullObject => matches!(self, Self::Crc32 | Self::Crc32c | Self::Crc64Nvme),
            Kind::Composite => !matches!(self, Self::Crc64Nvme),
        }
    }

    /// The kind a multipart upload gets that names the algorithm alone.
    pub const fn default_kind(self) -> Kind {
        match self {
            Self::Crc64Nvme => Kind::FullObject,
            Self::Crc32 | Self::Crc32c | Self::Sha1 | Self::Sha256 => Kind::Composite,
        }
    }
}

impl Kind {
    /// The value of `x-amz-checksum-type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// The kind of a value of `x-amz-checksum-type`, in any case.
    pub fn from_name(name: &str) -> Result<Self, Error> {
        [Self::FullObject, Self::Composite]
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                Error::new("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Kind};

    #[test]
    fn names_and_headers_lead_back() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(&algorithm.name().to_lowercase()), Ok(algorithm));
            assert_eq!(Algorithm::from_header(&algorithm.header().to_uppercase()), Some(algorithm));
            assert!(algorithm.allows(algorithm.default_kind()));
        }
        assert_eq!(Algorithm::from_name("MD5").map_err(|error| error.code), Err("InvalidRequest"));
        assert_eq!(Algorithm::from_header("x-amz-checksum-type"), None);
        assert_eq!(Kind::from_name("full_object"), Ok(Kind::FullObject));
        assert_eq!(Kind::from_name("").map_err(|error| error.code), Err("InvalidRequest"));
    }

    #[test]
    fn a_hash_has_no_full_object_form() {
        assert!(!Algorithm::Sha256.allows(Kind::FullObject));
        assert!(!Algorithm::Sha1.allows(Kind::FullObject));
        assert!(!Algorithm::Crc64Nvme.allows(Kind::Composite));
        assert!(
            Algorithm::Crc32.allows(Kind::FullObject) && Algorithm::Crc32.allows(Kind::Composite)
        );
    }
}
