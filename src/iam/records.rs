//! What the meta group keeps of who there is: CBOR with numbered fields, a record each.
//!
//! Records of an account's users, groups, roles and policies are named `account/name` with the name in lower case, as IAM's
//! names are unique whatever their case.

use anode_net::s3::xml::Owner;
use anode_shards::{
    iam::{ENDED_ACCOUNT_KIND, IamChange},
    object::Secret,
};
use minicbor::{Decode, Encode};

/// What a record is of. Numbers are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// [`Account`], by its id.
    Account = 1,
    /// [`User`].
    User = 2,
    /// [`Group`].
    Group = 3,
    /// [`Role`].
    Role = 4,
    /// [`ManagedPolicy`].
    Policy = 5,
    /// [`AccessKey`], by the key's id.
    AccessKey = 6,
    /// The [`Secret`] that session tokens are made with, under one fixed name.
    SessionSecret = 7,
    /// [`EndedAccount`], by its id.
    EndedAccount = 8,
    /// [`Provider`].
    Provider = 9,
}

/// An account: what owns buckets.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Account {
    /// Twelve digits.
    #[n(0)]
    pub id: String,
    /// 64 hex digits, as in the `Owner` of listings and in ACLs.
    #[n(1)]
    pub canonical_id: String,
    /// What people call it.
    #[n(2)]
    pub name: String,
    /// Empty where none was given.
    #[n(3)]
    pub email: String,
    /// In milliseconds since 1970.
    #[n(4)]
    pub created_ms: u64,
}

/// An account that is no more. Its id is used by no other.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct EndedAccount {
    /// Twelve digits.
    #[n(0)]
    pub id: String,
    /// When it ended, in milliseconds since 1970.
    #[n(1)]
    pub ended_ms: u64,
}

/// Policies of a user, a group or a role.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Policies {
    /// ARNs of managed policies, in the order of their attachment.
    #[n(0)]
    pub attached: Vec<String>,
    /// Names and documents of its own.
    #[n(1)]
    pub inline: Vec<(String, String)>,
}

/// A name, where it is among others, and when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Named {
    /// The account that has it.
    #[n(0)]
    pub account: String,
    /// As it was given.
    #[n(1)]
    pub name: String,
    /// Begins and ends with a slash.
    #[n(2)]
    pub path: String,
    /// Unique for good, for instance `AIDA...`.
    #[n(3)]
    pub id: String,
    /// In milliseconds since 1970.
    #[n(4)]
    pub created_ms: u64,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct User {
    /// Who it is.
    #[n(0)]
    pub named: Named,
    /// What it may do.
    #[n(1)]
    pub policies: Policies,
    /// Names of groups, as they were given.
    #[n(2)]
    pub groups: Vec<String>,
    /// The ARN of the policy that bounds the others.
    #[n(3)]
    pub boundary: Option<String>,
    /// Keys and values.
    #[n(4)]
    pub tags: Vec<(String, String)>,
}

/// A group of users.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Group {
    /// Which it is.
    #[n(0)]
    pub named: Named,
    /// What its members may do.
    #[n(1)]
    pub policies: Policies,
}

/// A role: what others may become for a while.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Role {
    /// Which it is.
    #[n(0)]
    pub named: Named,
    /// What its sessions may do.
    #[n(1)]
    pub policies: Policies,
    /// Who may assume it: a policy.
    #[n(2)]
    pub trust: String,
    /// What people say of it.
    #[n(3)]
    pub description: Option<String>,
    /// The longest session, in seconds.
    #[n(4)]
    pub session_seconds_max: u32,
    /// The ARN of the policy that bounds the others.
    #[n(5)]
    pub boundary: Option<String>,
    /// Keys and values.
    #[n(6)]
    pub tags: Vec<(String, String)>,
}

/// A policy that can be attached.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct ManagedPolicy {
    /// Which it is.
    #[n(0)]
    pub named: Named,
    /// What people say of it.
    #[n(1)]
    pub description: Option<String>,
    /// Its versions, the oldest first.
    #[n(2)]
    pub versions: Vec<PolicyVersion>,
    /// The number of the version that is in force.
    #[n(3)]
    pub default: u32,
    /// The number that the next version gets.
    #[n(4)]
    pub next: u32,
}

/// A version of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct PolicyVersion {
    /// `v1` is 1.
    #[n(0)]
    pub number: u32,
    /// JSON.
    #[n(1)]
    pub document: String,
    /// In milliseconds since 1970.
    #[n(2)]
    pub created_ms: u64,
}

/// A provider of `OpenID` Connect, whose tokens roles of the account may trust.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Provider {
    /// The account that has it.
    #[n(0)]
    pub account: String,
    /// What its tokens name it by, without `https://`.
    #[n(1)]
    pub url: String,
    /// Whom its tokens may be for.
    #[n(2)]
    pub client_ids: Vec<String>,
    /// Of certificates, as they were given. They are kept and say nothing here.
    #[n(3)]
    pub thumbprints: Vec<String>,
    /// In milliseconds since 1970.
    #[n(4)]
    pub created_ms: u64,
    /// Keys and values.
    #[n(5)]
    pub tags: Vec<(String, String)>,
}

/// An access key.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct AccessKey {
    /// The public half.
    #[n(0)]
    pub access_key: String,
    /// The other half.
    #[n(1)]
    pub secret: Secret,
    /// Whose account.
    #[n(2)]
    pub account: String,
    /// The name of its user; none is the account's root.
    #[n(3)]
    pub user: Option<String>,
    /// Whether it lets anybody in.
    #[n(4)]
    pub is_active: bool,
    /// In milliseconds since 1970.
    #[n(5)]
    pub created_ms: u64,
    /// When it ends, in milliseconds since 1970; never where none is set.
    #[n(6)]
    pub expires_ms: Option<u64>,
}

impl Account {
    /// The first account of a cluster, which its root credentials are of.
    pub fn first(cluster: u128) -> Self {
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(cluster.to_le_bytes());
        Self {
            id: format!("{:012}", cluster % 1_000_000_000_000),
            canonical_id: hex::encode(digest),
            name: "anode".to_owned(),
            email: String::new(),
            created_ms: 0,
        }
    }

    /// As listings and ACLs name it.
    pub fn owner(&self) -> Owner<'_> {
        Owner { id: &self.canonical_id, name: &self.name }
    }

    /// The ARN of its root.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:root", self.id)
    }
}

impl Provider {
    /// Its ARN.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:oidc-provider/{}", self.account, self.url)
    }

    /// What its tokens name it by.
    pub fn issuer(&self) -> String {
        format!("https://{}", self.url)
    }
}

impl Named {
    /// The ARN of what has this name, `sort` being `user`, `group`, `role` or `policy`.
    pub fn arn(&self, sort: &str) -> String {
        format!("arn:aws:iam::{}:{sort}{}{}", self.account, self.path, self.name)
    }

    /// The name of its record.
    pub fn record_name(&self) -> String {
        record_name(&self.account, &self.name)
    }
}

impl Policies {
    /// The document of a policy of its own.
    pub fn inline(&self, name: &str) -> Option<&str> {
        let mut own = self.inline.iter();
        own.find(|(own, _)| own == name).map(|(_, document)| document.as_str())
    }
}

impl ManagedPolicy {
    /// The version that is in force.
    pub fn document(&self) -> &str {
        let mut versions = self.versions.iter();
        let found = versions.find(|version| version.number == self.default);
        found.map_or("", |version| version.document.as_str())
    }
}

/// The name of the record of what has this name in an account.
pub fn record_name(account: &str, name: &str) -> String {
    format!("{account}/{}", name.to_ascii_lowercase())
}

/// What can be kept.
pub trait Record: Encode<()> + for<'b> Decode<'b, ()> {
    /// What it is of.
    const KIND: Kind;

    /// Its name among its kind.
    fn key(&self) -> String;

    /// The change that keeps it.
    fn put(&self) -> IamChange {
        let record = minicbor::to_vec(self).expect("writing into memory can't fail");
        IamChange { kind: Self::KIND as u8, name: self.key(), record: Some(record) }
    }

    /// The change that removes it.
    fn remove(&self) -> IamChange {
        IamChange { kind: Self::KIND as u8, name: self.key(), record: None }
    }
}

impl Record for Account {
    const KIND: Kind = Kind::Account;
    fn key(&self) -> String {
        self.id.clone()
    }
}

impl Record for EndedAccount {
    const KIND: Kind = Kind::EndedAccount;
    fn key(&self) -> String {
        self.id.clone()
    }
}

// Apply knows this one: it lets an account end that no bucket has, and no bucket be made for one that ended.
const _: () = assert!(Kind::EndedAccount as u8 == ENDED_ACCOUNT_KIND);

impl Record for User {
    const KIND: Kind = Kind::User;
    fn key(&self) -> String {
        self.named.record_name()
    }
}

impl Record for Group {
    const KIND: Kind = Kind::Group;
    fn key(&self) -> String {
        self.named.record_name()
    }
}

impl Record for Role {
    const KIND: Kind = Kind::Role;
    fn key(&self) -> String {
        self.named.record_name()
    }
}

impl Record for ManagedPolicy {
    const KIND: Kind = Kind::Policy;
    fn key(&self) -> String {
        self.named.record_name()
    }
}

impl Record for Provider {
    const KIND: Kind = Kind::Provider;
    fn key(&self) -> String {
        // The case of a path counts.
        format!("{}/{}", self.account, self.url)
    }
}

impl Record for AccessKey {
    const KIND: Kind = Kind::AccessKey;
    fn key(&self) -> String {
        self.access_key.clone()
    }
}

impl Record for Secret {
    const KIND: Kind = Kind::SessionSecret;
    fn key(&self) -> String {
        "session".to_owned()
    }
}
