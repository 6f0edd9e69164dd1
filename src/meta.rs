//! Every shard's read copy of the meta group: buckets with their configurations, and credentials.
//!
//! The shard that holds the meta group makes a new version after each of its commands and sends it to every shard
//! before the command's client is answered: a bucket that was made exists on every connection.

use std::{collections::BTreeMap, sync::Arc};

use anode_net::{
    policy::Policy,
    s3::configuration::{ConfigurationKind, Configurations, public_access::PublicAccessBlock},
};
use anode_shards::{
    object::{Bucket, Credential},
    state::Configuration,
};
use bytes::Bytes;

/// Buckets by name, credentials by access key.
#[derive(Clone, Debug, Default)]
pub struct MetaView {
    /// Grows with every change.
    pub version: u64,
    /// By name.
    pub buckets: BTreeMap<String, Arc<BucketView>>,
    /// By access key.
    pub credentials: BTreeMap<String, Credential>,
}

/// A bucket, and what it is configured to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BucketView {
    /// What the meta group keeps of it.
    pub record: Bucket,
    /// Its configurations, read.
    pub configurations: Configurations,
    /// Its configurations by number, as they are stored.
    documents: BTreeMap<u8, Bytes>,
}

/// What the meta group holds, as it was read.
#[derive(Debug, Default)]
pub struct MetaRecords {
    /// All buckets.
    pub buckets: Vec<Bucket>,
    /// The configurations of all buckets.
    pub configurations: Vec<Configuration>,
    /// All credentials.
    pub credentials: Vec<Credential>,
}

impl MetaView {
    /// A view of what the meta group holds. Buckets that are as `before` are those of it, for reading documents costs.
    pub fn new(version: u64, records: MetaRecords, before: &Self) -> Self {
        let mut documents: BTreeMap<u64, BTreeMap<u8, Bytes>> = BTreeMap::new();
        for (bucket, kind, document) in records.configurations {
            documents.entry(bucket).or_default().insert(kind, document);
        }
        let buckets = records.buckets.into_iter().map(|record| {
            let documents = documents.remove(&record.id).unwrap_or_default();
            let known = before.buckets.get(&record.name);
            let known =
                known.filter(|known| known.record == record && known.documents == documents);
            let view = known.cloned();
            (
                record.name.clone(),
                view.unwrap_or_else(|| Arc::new(BucketView::new(record, documents))),
            )
        });
        let credentials = records.credentials.into_iter();
        Self {
            version,
            buckets: buckets.collect(),
            credentials: credentials.map(|one| (one.access_key.clone(), one)).collect(),
        }
    }
}

impl BucketView {
    fn new(record: Bucket, documents: BTreeMap<u8, Bytes>) -> Self {
        let mut configurations = Configurations::default();
        for (number, document) in &documents {
            // What a later release set is of no concern here.
            let Some(kind) = ConfigurationKind::of_number(*number) else { continue };
            if let Err(error) = configurations.set(kind, document) {
                tracing::error!(bucket = record.name, ?kind, %error, "a stored configuration can't be read");
                // What keeps people out keeps out everybody rather than nobody.
                if kind == ConfigurationKind::Policy {
                    configurations.policy = Some(Policy::closed());
                }
                if kind == ConfigurationKind::PublicAccessBlock {
                    configurations.public_access_block = Some(PublicAccessBlock::ALL);
                }
            }
        }
        Self { record, configurations, documents }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(document: &'static [u8]) -> MetaRecords {
        let bucket = |id, name: &str| Bucket { id, name: name.to_owned(), ..Bucket::default() };
        MetaRecords {
            buckets: vec![bucket(1, "a"), bucket(2, "b")],
            configurations: vec![
                (1, ConfigurationKind::RequestPayment.number(), Bytes::from_static(document)),
                (1, u8::MAX, Bytes::from_static(b"of a later release")),
            ],
            credentials: Vec::new(),
        }
    }

    #[test]
    fn what_has_not_changed_is_not_read_again() {
        let requester: &[u8] =
            b"<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>";
        let first = MetaView::new(1, records(requester), &MetaView::default());
        assert!(first.buckets["a"].configurations.payer.is_some());
        assert_eq!(first.buckets["b"].configurations, Configurations::default());
        let second = MetaView::new(2, records(requester), &first);
        assert!(Arc::ptr_eq(&first.buckets["a"], &second.buckets["a"]));
        let third = MetaView::new(3, records(b"damaged"), &second);
        assert!(third.buckets["a"].configurations.payer.is_none());
        assert!(Arc::ptr_eq(&second.buckets["b"], &third.buckets["b"]));
    }
}
