//! What is kept of the key of an encrypted object: its record, which is worth nothing without the master key or the
//! customer's. How bytes are decrypted by it is drawn in `src/encryption.rs`.

use std::fmt::Write as _;

use anode_shards::{
    encryption::{Encryption, Scheme},
    object::{Body, BucketId, Object},
};
use serde::Serialize;

/// The record of an object's data key. Bytes are in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::volume_tool) struct KeptKey {
    /// `SSE-S3`, `SSE-KMS` or `SSE-C`.
    scheme: &'static str,
    /// The name of the master key; empty for a customer's.
    key: String,
    salt: String,
    /// Of key and salt: whether it is the key.
    check: String,
    /// Encrypted itself, with its tag.
    data_key: String,
    context: Option<String>,
    /// Where a key service has the key: its place then, the ARN in its encryption context, and what it is to decrypt.
    service: Option<(String, String, String)>,
    /// The id that the bucket had: the data key is bound to it.
    bucket_id: BucketId,
    /// What the bytes are made of, in their order.
    bodies: Vec<StoredBody>,
}

/// Frames under a key of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct StoredBody {
    /// Its id, which that key is made with; empty where the bytes lay in the record and are one body without an id.
    body: String,
    /// Its length as it is stored.
    bytes: u64,
}

impl KeptKey {
    /// That of an object, where it is encrypted.
    pub(super) fn of_object(bucket_id: BucketId, object: &Object) -> Option<Self> {
        let encryption = object.encryption.as_deref()?;
        let Encryption { scheme, key, salt, check, data_key, context, service, .. } =
            encryption.clone();
        let bodies = match object.body {
            Body::Inline(bytes) => {
                vec![StoredBody { body: String::new(), bytes: u64::from(bytes) }]
            }
            Body::Empty | Body::Whole(_) | Body::Parts(_) => {
                let stored = object.bodies();
                stored.map(|(body, bytes)| StoredBody { body: body.to_string(), bytes }).collect()
            }
        };
        Some(Self {
            scheme: match scheme {
                Scheme::Managed => "SSE-S3",
                Scheme::Named => "SSE-KMS",
                Scheme::Customer => "SSE-C",
            },
            key,
            salt: hex(&salt),
            check: hex(&check),
            data_key: hex(&data_key),
            context,
            service: service.map(|wrapped| (wrapped.endpoint, wrapped.arn, hex(&wrapped.key))),
            bucket_id,
            bodies,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes what is written");
    }
    text
}
