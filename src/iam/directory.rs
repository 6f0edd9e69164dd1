//! All that is known of who there is, at one revision: the records, and what they come to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anode_net::policy::Policy;
use anode_shards::{
    iam::{IamRecord, IamRecords},
    object::Secret,
};

use super::{
    principal::{Principal, Rights, Who},
    records::{
        AccessKey, Account, EndedAccount, Group, Kind, ManagedPolicy, Policies, Provider, Record,
        Role, User, record_name,
    },
};

/// Policies that are there without anybody having made them, as at AWS: name and document.
pub const PROVIDED: [(&str, &str); 5] = [
    (
        "AdministratorAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    ),
    (
        "AmazonS3FullAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#,
    ),
    (
        "AmazonS3ReadOnlyAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*","s3:Describe*"],"Resource":"*"}]}"#,
    ),
    (
        "IAMFullAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}"#,
    ),
    (
        "IAMReadOnlyAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:Get*","iam:List*"],"Resource":"*"}]}"#,
    ),
];

/// What the ARNs of [`PROVIDED`] begin with.
pub const PROVIDED_ARN: &str = "arn:aws:iam::aws:policy/";

/// Who there is.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// How often it was changed.
    pub revision: u64,
    /// By id.
    pub accounts: BTreeMap<String, Arc<Account>>,
    /// By the names of their records.
    pub users: BTreeMap<String, Arc<User>>,
    /// By the names of their records.
    pub groups: BTreeMap<String, Group>,
    /// By the names of their records.
    pub roles: BTreeMap<String, Arc<Role>>,
    /// By the names of their records.
    pub policies: BTreeMap<String, ManagedPolicy>,
    /// By the keys' ids.
    pub keys: BTreeMap<String, AccessKey>,
    /// By the names of their records.
    pub providers: BTreeMap<String, Provider>,
    /// Ids of accounts that are no more.
    pub ended: BTreeSet<String>,
    /// What session tokens are made with.
    pub session_secret: Option<Secret>,
    /// Who the keys are of.
    principals: BTreeMap<String, Arc<Principal>>,
    /// What users may do, by the names of their records.
    user_rights: BTreeMap<String, Arc<Rights>>,
    /// What the sessions of roles may do, by the names of the roles' records.
    role_rights: BTreeMap<String, Arc<Rights>>,
    /// Documents that were read, so that a change reads only what is new.
    read: BTreeMap<String, Arc<Policy>>,
}

/// A role, and what its sessions may do.
#[derive(Clone, Debug)]
pub struct AssumedRole {
    /// The role.
    pub role: Arc<Role>,
    /// What its sessions may do.
    pub rights: Arc<Rights>,
}

impl Directory {
    /// What the records say; `before` is what was known before them.
    pub fn new(records: &IamRecords, first: &Arc<Account>, before: &Self) -> Self {
        let mut directory = Self { revision: records.revision, ..Self::default() };
        directory.accounts.insert(first.id.clone(), Arc::clone(first));
        for record in &records.records {
            if let Err(error) = directory.take(record) {
                tracing::error!(?record, %error, "a record of IAM can't be read: it counts for nothing");
            }
        }
        directory.read_policies(before);
        let users = directory.users.iter();
        directory.user_rights =
            users.map(|(name, user)| (name.clone(), Arc::new(directory.rights_of(user)))).collect();
        let keys = directory.keys.values();
        directory.principals = keys
            .filter_map(|key| Some((key.access_key.clone(), directory.principal(key)?)))
            .collect();
        let roles = directory.roles.iter();
        directory.role_rights = roles
            .map(|(name, role)| {
                let rights = directory.rights(&role.policies, role.boundary.as_deref());
                (name.clone(), Arc::new(rights))
            })
            .collect();
        directory
    }

    fn take(&mut self, record: &IamRecord) -> Result<(), String> {
        let (name, bytes) = (record.name.clone(), record.record.as_ref());
        let is = |kind: Kind| record.kind == kind as u8;
        if is(Account::KIND) {
            self.accounts.insert(name, Arc::new(decode(bytes)?));
        } else if is(User::KIND) {
            self.users.insert(name, Arc::new(decode(bytes)?));
        } else if is(Group::KIND) {
            self.groups.insert(name, decode(bytes)?);
        } else if is(Role::KIND) {
            self.roles.insert(name, Arc::new(decode(bytes)?));
        } else if is(ManagedPolicy::KIND) {
            self.policies.insert(name, decode(bytes)?);
        } else if is(AccessKey::KIND) {
            self.keys.insert(name, decode(bytes)?);
        } else if is(Provider::KIND) {
            self.providers.insert(name, decode(bytes)?);
        } else if is(EndedAccount::KIND) {
            self.ended.insert(name);
        } else if is(Secret::KIND) {
            self.session_secret = Some(decode(bytes)?);
        }
        // What a later release keeps is of no concern here.
        Ok(())
    }

    /// Reads every document that somebody's rights come from.
    fn read_policies(&mut self, before: &Self) {
        let sets = (self.users.values().map(|user| &user.policies))
            .chain(self.groups.values().map(|group| &group.policies))
            .chain(self.roles.values().map(|role| &role.policies));
        let inline = sets.flat_map(|set| set.inline.iter().map(|(_, document)| document.as_str()));
        let provided = PROVIDED.iter().map(|(_, document)| *document);
        let managed = self.policies.values().map(ManagedPolicy::document);
        let documents: Vec<&str> = inline.chain(provided).chain(managed).collect();
        let mut read = BTreeMap::new();
        for document in documents {
            if read.contains_key(document) {
                continue;
            }
            let known = before.read.get(document).cloned();
            let policy = known.unwrap_or_else(|| {
                Arc::new(Policy::parse_identity(document).unwrap_or_else(|error| {
                    tracing::error!(%error, "a stored policy can't be read: who has it may do nothing");
                    Policy::closed()
                }))
            });
            read.insert(document.to_owned(), policy);
        }
        self.read = read;
    }

    fn principal(&self, key: &AccessKey) -> Option<Arc<Principal>> {
        let account = Arc::clone(self.accounts.get(&key.account)?);
        let who = match &key.user {
            None => Who::Root,
            Some(name) => self.user(&record_name(&key.account, name))?,
        };
        let mut principal = Principal::new(&key.access_key, key.secret.clone(), account, who);
        principal.is_active = key.is_active;
        principal.expires_ms = key.expires_ms;
        Some(Arc::new(principal))
    }

    fn user(&self, record: &str) -> Option<Who> {
        let (user, rights) = (self.users.get(record)?, self.user_rights.get(record)?);
        Some(Who::User(Arc::clone(user), Arc::clone(rights)))
    }

    /// The user with this id, which stays when it is renamed.
    pub fn user_of_id(&self, id: &str) -> Option<Who> {
        let (record, _) = self.users.iter().find(|(_, user)| user.named.id == id)?;
        self.user(record)
    }

    fn rights_of(&self, user: &User) -> Rights {
        let mut rights = self.rights(&user.policies, user.boundary.as_deref());
        for name in &user.groups {
            if let Some(group) = self.groups.get(&record_name(&user.named.account, name)) {
                rights.policies.extend(self.rights(&group.policies, None).policies);
            }
        }
        rights
    }

    fn rights(&self, policies: &Policies, boundary: Option<&str>) -> Rights {
        let inline = policies.inline.iter().map(|(_, document)| document.as_str());
        // What is attached and not there any more can't have been a deny: one that is attached isn't deleted.
        let attached = policies.attached.iter().filter_map(|arn| self.attached(arn));
        let own = inline.filter_map(|document| self.read.get(document));
        Rights {
            policies: own.chain(attached).cloned().collect(),
            boundary: boundary.map(|arn| {
                let bound = self.attached(arn).cloned();
                bound.unwrap_or_else(|| Arc::new(Policy::closed()))
            }),
        }
    }

    /// The managed policy of this ARN as it is in force, read.
    pub fn attached(&self, arn: &str) -> Option<&Arc<Policy>> {
        self.read.get(self.document(arn)?)
    }

    /// The document in force of the managed policy of this ARN.
    pub fn document(&self, arn: &str) -> Option<&str> {
        if let Some(name) = arn.strip_prefix(PROVIDED_ARN) {
            return PROVIDED
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, document)| *document);
        }
        self.policy(arn).map(ManagedPolicy::document)
    }

    /// The managed policy of this ARN.
    pub fn policy(&self, arn: &str) -> Option<&ManagedPolicy> {
        let rest = arn.strip_prefix("arn:aws:iam::")?;
        let (account, rest) = rest.split_once(":policy/")?;
        let name = rest.rsplit('/').next().unwrap_or(rest);
        let found = self.policies.get(&record_name(account, name))?;
        (found.named.arn("policy") == arn).then_some(found)
    }

    /// Who has this access key.
    pub fn principal_of(&self, access_key: &str) -> Option<&Arc<Principal>> {
        self.principals.get(access_key)
    }

    /// A role, and what its sessions may do.
    pub fn role(&self, account: &str, name: &str) -> Option<AssumedRole> {
        let record = record_name(account, name);
        let (role, rights) = (self.roles.get(&record)?, self.role_rights.get(&record)?);
        Some(AssumedRole { role: Arc::clone(role), rights: Arc::clone(rights) })
    }

    /// The provider of this ARN.
    pub fn provider(&self, arn: &str) -> Option<&Provider> {
        let (account, url) = arn.strip_prefix("arn:aws:iam::")?.split_once(":oidc-provider/")?;
        self.providers.get(&format!("{account}/{url}"))
    }

    /// The provider of an account whose tokens name it so.
    pub fn provider_of(&self, account: &str, issuer: &str) -> Option<&Provider> {
        self.providers.get(&format!("{account}/{}", issuer.strip_prefix("https://")?))
    }

    /// The account with this canonical id.
    pub fn account_of_canonical(&self, canonical_id: &str) -> Option<&Arc<Account>> {
        self.accounts.values().find(|account| account.canonical_id == canonical_id)
    }

    /// The account with this e-mail address.
    pub fn account_of_email(&self, email: &str) -> Option<&Arc<Account>> {
        let mut accounts = self.accounts.values();
        accounts.find(|account| !email.is_empty() && account.email.eq_ignore_ascii_case(email))
    }
}

fn decode<T: for<'b> minicbor::Decode<'b, ()>>(bytes: &[u8]) -> Result<T, String> {
    minicbor::decode(bytes).map_err(|error| error.to_string())
}
