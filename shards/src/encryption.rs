//! What is stored of an encrypted object beside its bytes, and how many bytes it has once it is encrypted.
//!
//! Bytes are encrypted and decrypted by whoever talks to clients. Here they are bytes like others; all that is known of them is
//! that each frame of them is longer by a tag. A frame with its tag is a power of two, so that frames fill chunks, none lies in
//! two of them, and who reads a range reads whole frames and nothing else.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::limits::CHUNK_BYTES_MAX;

/// Bytes of a stored frame; the last one of a body is shorter.
pub const FRAME_BYTES: u64 = 64 << 10;
/// Bytes of a frame that are its tag.
pub const TAG_BYTES: u64 = 16;
/// Bytes of a client's in a frame.
pub const FRAME_DATA_BYTES: u64 = FRAME_BYTES - TAG_BYTES;
/// Frames of a chunk.
pub const CHUNK_FRAMES: u64 = CHUNK_BYTES_MAX / FRAME_BYTES;

const _: () = assert!(CHUNK_BYTES_MAX.is_multiple_of(FRAME_BYTES), "frames fill chunks");

/// How an object is encrypted. Its bytes are under a data key of its own, which is kept here, encrypted itself.
#[derive(Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Encryption {
    /// Whose key the data key is encrypted with.
    #[n(0)]
    pub scheme: Scheme,
    /// The name of that key; empty for a customer's.
    #[n(1)]
    pub key: String,
    /// Drawn at random for this object, so that no two are encrypted with the same.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub salt: [u8; 32],
    /// Of key and salt: which of several keys of that name it is, and whether it is the customer's at all.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub check: [u8; 16],
    /// The data key, encrypted, with its tag.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub data_key: Vec<u8>,
    /// The encryption context of [`Scheme::Named`], as it was sent.
    #[n(5)]
    pub context: Option<String>,
    /// Whether keys of the bucket were asked for; said again and nothing else.
    #[n(6)]
    #[cbor(default)]
    pub bucket_key: bool,
    /// What a key service outside the node needs to give the key back, where it gave it.
    #[n(7)]
    pub service: Option<Box<Wrapped>>,
}

/// A key that a key service has made and wrapped. It takes the place of a master key, for one object.
#[derive(Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Wrapped {
    /// Where the service was when it did.
    #[n(0)]
    pub endpoint: String,
    /// What the encryption context names as `aws:s3:arn`.
    #[n(1)]
    pub arn: String,
    /// The key, as the service has encrypted it.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub key: Vec<u8>,
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wrapped({:?})", self.endpoint)
    }
}

/// Whose key a data key is encrypted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Scheme {
    /// The node's (SSE-S3).
    #[default]
    #[n(0)]
    Managed,
    /// One of the node's that was named (SSE-KMS).
    #[n(1)]
    Named,
    /// One that the customer sends with each request (SSE-C).
    #[n(2)]
    Customer,
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encryption({:?} {:?})", self.scheme, self.key)
    }
}

/// How many bytes are stored of so many that are encrypted; none of none.
pub fn stored_bytes(bytes: u64) -> u64 {
    bytes.saturating_add(bytes.div_ceil(FRAME_DATA_BYTES).saturating_mul(TAG_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_has_a_tag() {
        for (bytes, expected) in [
            (0, 0),
            (1, 17),
            (FRAME_DATA_BYTES - 1, FRAME_BYTES - 1),
            (FRAME_DATA_BYTES, FRAME_BYTES),
            (FRAME_DATA_BYTES + 1, FRAME_BYTES + 17),
            (FRAME_DATA_BYTES * CHUNK_FRAMES, CHUNK_BYTES_MAX),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(stored_bytes(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn what_is_stored_reads_as_itself() {
        let encryption = Encryption {
            scheme: Scheme::Customer,
            key: "one".to_owned(),
            salt: [1; 32],
            check: [2; 16],
            data_key: vec![3; 48],
            context: Some("e30=".to_owned()),
            bucket_key: true,
            service: None,
        };
        let (endpoint, arn) = ("https://kms.test/".to_owned(), "arn:aws:s3:::b/k".to_owned());
        let wrapped = Wrapped { endpoint, arn, key: vec![4; 184] };
        for service in [None, Some(Box::new(wrapped))] {
            let encryption = Encryption { service, ..encryption.clone() };
            let bytes = minicbor::to_vec(&encryption).unwrap();
            assert_eq!(minicbor::decode::<Encryption>(&bytes).unwrap(), encryption);
        }
    }
}
