//! Every shard's read copy of the meta group: buckets and credentials.
//!
//! The shard that holds the meta group makes a new version after each of its commands and sends it to every shard
//! before the command's client is answered: a bucket that was made exists on every connection.

use std::collections::BTreeMap;

use anode_shards::object::{Bucket, Credential};

/// Buckets by name, credentials by access key.
#[derive(Clone, Debug, Default)]
pub struct MetaView {
    /// Grows with every change.
    pub version: u64,
    /// By name.
    pub buckets: BTreeMap<String, Bucket>,
    /// By access key.
    pub credentials: BTreeMap<String, Credential>,
}

impl MetaView {
    /// A view of what the meta group holds.
    pub fn new(version: u64, buckets: Vec<Bucket>, credentials: Vec<Credential>) -> Self {
        let buckets = buckets.into_iter().map(|bucket| (bucket.name.clone(), bucket)).collect();
        let credentials = credentials
            .into_iter()
            .map(|credential| (credential.access_key.clone(), credential))
            .collect();
        Self { version, buckets, credentials }
    }
}
