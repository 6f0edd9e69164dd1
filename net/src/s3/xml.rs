//! XML bodies, both ways. [`mod@write`] and [`mod@read`] know XML; the rest know S3's documents.

pub mod write;
pub mod read;
pub mod lists;
pub mod multipart;
pub mod objects;
pub mod requests;
pub mod versions;

use crate::checksum::{Algorithm, Checksum};

/// The namespace of every document of S3 but errors.
pub const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Who owns a bucket or an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The canonical user id.
    pub id: &'a str,
    /// The name shown to people.
    pub name: &'a str,
}

/// One checksum of an object or a part, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChecksumText {
    /// Which algorithm.
    pub algorithm: Algorithm,
    /// The value in base64, with `-` and the number of parts where it is composite.
    pub value: String,
}

impl ChecksumText {
    /// The checksum of a part or of a whole object.
    pub fn whole(checksum: &Checksum) -> Self {
        Self { algorithm: checksum.algorithm(), value: checksum.base64() }
    }

    /// The checksum over the checksums of so many parts.
    pub fn composite(checksum: &Checksum, part_count: u32) -> Self {
        let value = format!("{}-{part_count}", checksum.base64());
        Self { algorithm: checksum.algorithm(), value }
    }
}
