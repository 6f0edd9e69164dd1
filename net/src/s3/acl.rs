//! Access control lists: who owns a bucket or an object, and what is granted to whom.
//!
//! A request asks for an ACL by a name ([`Canned`]), by headers or by a document ([`Asked`]); once its grantees are found
//! among the accounts it is an [`Acl`]. Which of its permissions an action takes is [`Need`].

pub mod asked;
pub mod canned;
pub mod document;
pub mod need;

pub use asked::{Accounts, Asked, AskedGrant, AskedGrantee};
pub use canned::{Canned, Scope};
pub use document::Written;
pub use need::Need;

/// The most grants of an ACL.
pub const GRANTS_MAX: usize = 100;

/// The canonical id of whoever signs nothing, as at AWS: so that what they put has an owner, too.
pub const ANONYMOUS: &str = "65a011a29cdf8ec533ec3d1ccaae921c";

/// What can be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// `READ`: lists a bucket, reads an object.
    Read,
    /// `WRITE`: puts and deletes objects of a bucket; of an object it says nothing.
    Write,
    /// `READ_ACP`: reads the ACL.
    ReadAcp,
    /// `WRITE_ACP`: replaces the ACL.
    WriteAcp,
    /// `FULL_CONTROL`: all of these.
    FullControl,
}

/// Accounts that aren't named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Everybody, without a signature too.
    Everybody,
    /// Every account.
    Authenticated,
    /// Who delivers access logs.
    LogDelivery,
}

/// To whom something is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grantee {
    /// The account with this canonical id.
    Account(String),
    /// Each of these.
    Group(Group),
}

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// To whom.
    pub grantee: Grantee,
    /// What.
    pub permission: Permission,
}

/// An access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// The canonical id of who owns what it is about.
    pub owner: String,
    /// In the order sent, up to [`GRANTS_MAX`].
    pub grants: Vec<Grant>,
}

/// Who asks, as an ACL sees it.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    /// The canonical id of the account; none where nothing was signed.
    pub account: Option<&'a str>,
    /// Whether grants to everybody and to every account count (S3: `IgnorePublicAcls` has them count for nothing).
    pub counts_public: bool,
}

impl Permission {
    /// All of them, in the order in which headers that grant are read.
    pub const ALL: [Self; 5] =
        [Self::Read, Self::Write, Self::ReadAcp, Self::WriteAcp, Self::FullControl];

    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::ReadAcp => "READ_ACP",
            Self::WriteAcp => "WRITE_ACP",
            Self::FullControl => "FULL_CONTROL",
        }
    }

    /// The permission of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }
}

impl Group {
    const ALL: [Self; 3] = [Self::Everybody, Self::Authenticated, Self::LogDelivery];

    /// What names it.
    pub fn uri(self) -> &'static str {
        match self {
            Self::Everybody => "http://acs.amazonaws.com/groups/global/AllUsers",
            Self::Authenticated => "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
            Self::LogDelivery => "http://acs.amazonaws.com/groups/s3/LogDelivery",
        }
    }

    /// The group of a name.
    pub fn of_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.uri() == uri)
    }

    /// S3, "The meaning of 'public'": ACLs that grant anything to one of these are public.
    fn is_public(self) -> bool {
        match self {
            Self::Everybody | Self::Authenticated => true,
            Self::LogDelivery => false,
        }
    }
}

impl Grant {
    fn to_account(account: &str, permission: Permission) -> Self {
        Self { grantee: Grantee::Account(account.to_owned()), permission }
    }

    fn to_group(group: Group, permission: Permission) -> Self {
        Self { grantee: Grantee::Group(group), permission }
    }

    fn is_for(&self, requester: &Requester<'_>) -> bool {
        match &self.grantee {
            Grantee::Account(id) => id == requester.account.unwrap_or(ANONYMOUS),
            Grantee::Group(Group::Everybody) => requester.counts_public,
            Grantee::Group(Group::Authenticated) => {
                requester.counts_public && requester.account.is_some()
            }
            // Nobody who sends requests is the delivery of logs.
            Grantee::Group(Group::LogDelivery) => false,
        }
    }
}

impl Acl {
    /// The owner may do all, and nobody else anything.
    pub fn private(owner: &str) -> Self {
        let grants = vec![Grant::to_account(owner, Permission::FullControl)];
        Self { owner: owner.to_owned(), grants }
    }

    /// Whether it is [`Self::private`].
    pub fn is_private(&self) -> bool {
        match self.grants.as_slice() {
            [Grant { grantee: Grantee::Account(id), permission: Permission::FullControl }] => {
                *id == self.owner
            }
            [] | [_] | [_, _, ..] => false,
        }
    }

    /// Whether it lets in more than named accounts.
    pub fn is_public(&self) -> bool {
        self.grants.iter().any(|grant| match grant.grantee {
            Grantee::Account(_) => false,
            Grantee::Group(group) => group.is_public(),
        })
    }

    /// Whether it grants a permission to who asks.
    pub fn gives(&self, requester: &Requester<'_>, permission: Permission) -> bool {
        // S3: an owner who granted himself nothing can still mend that.
        let is_about_acl = matches!(permission, Permission::ReadAcp | Permission::WriteAcp);
        if is_about_acl && requester.account == Some(self.owner.as_str()) {
            return true;
        }
        self.grants.iter().any(|grant| {
            (grant.permission == permission || grant.permission == Permission::FullControl)
                && grant.is_for(requester)
        })
    }

    /// The grants to be kept: grantee (a canonical id, or the URI of a group), permission.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let pair = |grant: &Grant| {
            let grantee = match &grant.grantee {
                Grantee::Account(id) => id.clone(),
                Grantee::Group(group) => group.uri().to_owned(),
            };
            (grantee, grant.permission.name().to_owned())
        };
        self.grants.iter().map(pair).collect()
    }

    /// What [`Self::pairs`] made. What a later release granted and this one doesn't know is granted to nobody.
    pub fn of_pairs(owner: &str, pairs: &[(String, String)]) -> Self {
        let grant = |(grantee, permission): &(String, String)| {
            let grantee = match Group::of_uri(grantee) {
                Some(group) => Grantee::Group(group),
                None => Grantee::Account(grantee.clone()),
            };
            Some(Grant { grantee, permission: Permission::of_name(permission)? })
        };
        Self { owner: owner.to_owned(), grants: pairs.iter().filter_map(grant).collect() }
    }
}

#[cfg(test)]
mod tests;
