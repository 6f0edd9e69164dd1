//! Every shard's read copy of the meta group: buckets with their configurations, and who there is.
//!
//! The shard that holds the meta group makes a new version after each of its commands and sends it to every shard
//! before the command's client is answered: a bucket that was made exists on every connection.

use std::{collections::BTreeMap, sync::Arc};

use anode_net::{
    policy::Policy,
    s3::configuration::{
        ConfigurationKind, Configurations, public_access::PublicAccessBlock, quota::Limits,
    },
};
use anode_shards::{
    iam::IamRecords,
    object::{self, Bucket, Credential},
    state::Configuration,
};
use bytes::Bytes;

use crate::{
    encryption::keys::MasterKey,
    iam::{Directory, Principal, Who, records::Account},
};

/// Buckets by name, and who there is.
#[derive(Clone, Debug, Default)]
pub struct MetaView {
    /// Grows with every change.
    pub version: u64,
    /// By name.
    pub buckets: BTreeMap<String, Arc<BucketView>>,
    /// Who there is.
    pub iam: Arc<Directory>,
    /// The key for data keys that was made where none was given.
    pub master_key: Option<Arc<MasterKey>>,
    /// By access key, the root credentials that the node made itself.
    roots: BTreeMap<String, Arc<Principal>>,
}

/// A bucket, and what it is configured to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BucketView {
    /// What the meta group keeps of it.
    pub record: Bucket,
    /// The account that owns it.
    pub owner: Arc<Account>,
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
    /// Who there is.
    pub iam: IamRecords,
    /// The key for data keys.
    pub master_key: Option<object::MasterKey>,
}

impl BucketView {
    /// Above what writes are refused.
    pub fn hard_quota(&self) -> Option<Limits> {
        self.configurations.quota.and_then(|quota| quota.hard)
    }
}

impl MetaView {
    /// A view of what the meta group holds. What is as `before` is that, for reading documents costs. `first` is the account
    /// of what names none.
    pub fn new(version: u64, records: MetaRecords, first: &Arc<Account>, before: &Self) -> Self {
        let is_known = records.iam.revision == before.iam.revision && before.version > 0;
        let iam = if is_known {
            Arc::clone(&before.iam)
        } else {
            Arc::new(Directory::new(&records.iam, first, &before.iam))
        };
        let mut documents: BTreeMap<u64, BTreeMap<u8, Bytes>> = BTreeMap::new();
        for (bucket, kind, document) in records.configurations {
            documents.entry(bucket).or_default().insert(kind, document);
        }
        let buckets = records.buckets.into_iter().map(|record| {
            let documents = documents.remove(&record.id).unwrap_or_default();
            let owner = owner_of(&record, &iam, first);
            let known = before.buckets.get(&record.name).filter(|known| {
                known.record == record && known.owner == owner && known.documents == documents
            });
            let view = known.cloned();
            (
                record.name.clone(),
                view.unwrap_or_else(|| Arc::new(BucketView::new(record, owner, documents))),
            )
        });
        let buckets = buckets.collect();
        let roots = records.credentials.into_iter().map(|one| {
            let root = Principal::new(&one.access_key, one.secret, Arc::clone(first), Who::Root);
            (one.access_key, Arc::new(root))
        });
        // It never changes, so it is read once.
        let made = || records.master_key.as_ref().and_then(read_master_key).map(Arc::new);
        let master_key = before.master_key.clone().or_else(made);
        Self { version, buckets, iam, master_key, roots: roots.collect() }
    }

    /// Who has this access key.
    pub fn principal_of(&self, access_key: &str) -> Option<&Arc<Principal>> {
        self.roots.get(access_key).or_else(|| self.iam.principal_of(access_key))
    }
}

fn owner_of(bucket: &Bucket, iam: &Directory, first: &Arc<Account>) -> Arc<Account> {
    if bucket.account.is_empty() {
        return Arc::clone(first);
    }
    // An account that has buckets isn't removed.
    let known = iam.accounts.get(&bucket.account).cloned();
    known.unwrap_or_else(|| Arc::new(Account { id: bucket.account.clone(), ..Account::default() }))
}

/// What can't be read is said, and what was encrypted with it is refused.
fn read_master_key(record: &object::MasterKey) -> Option<MasterKey> {
    MasterKey::made(record).inspect_err(|error| tracing::error!("{error}")).ok()
}

impl BucketView {
    fn new(record: Bucket, owner: Arc<Account>, documents: BTreeMap<u8, Bytes>) -> Self {
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
        Self { record, owner, configurations, documents }
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
            iam: IamRecords::default(),
            master_key: None,
        }
    }

    #[test]
    fn what_has_not_changed_is_not_read_again() {
        let requester: &[u8] =
            b"<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>";
        let account = Arc::new(Account::first(7));
        let first = MetaView::new(1, records(requester), &account, &MetaView::default());
        assert!(first.buckets["a"].configurations.payer.is_some());
        assert_eq!(first.buckets["b"].configurations, Configurations::default());
        let second = MetaView::new(2, records(requester), &account, &first);
        assert!(Arc::ptr_eq(&first.buckets["a"], &second.buckets["a"]));
        let third = MetaView::new(3, records(b"damaged"), &account, &second);
        assert!(third.buckets["a"].configurations.payer.is_none());
        assert!(Arc::ptr_eq(&second.buckets["b"], &third.buckets["b"]));
    }
}
