//! An ACL as headers ask for it: `x-amz-acl`, or `x-amz-grant-*`. Its grantees are not found yet.

use super::{Acl, Canned, GRANTS_MAX, Grant, Grantee, Group, Permission, Scope};
use crate::s3::error::{Error, ErrorCode};
use crate::s3::request::Headers;

const CANNED: &str = "x-amz-acl";
const GRANT_PREFIX: &str = "x-amz-grant-";

/// An ACL that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// By its name.
    Canned(Canned),
    /// Grant by grant: these alone, the owner gets nothing of its own.
    Grants(Vec<AskedGrant>),
}

/// A grant that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedGrant {
    /// To whom.
    pub grantee: AskedGrantee,
    /// What.
    pub permission: Permission,
}

/// A grantee as a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskedGrantee {
    /// By a canonical id.
    Id(String),
    /// By an e-mail address.
    Email(String),
    /// A group.
    Group(Group),
}

/// The accounts that there are.
pub trait Accounts {
    /// Whether one has this canonical id.
    fn has(&self, canonical: &str) -> bool;
    /// The canonical id of the one with this e-mail address.
    fn of_email(&self, email: &str) -> Option<String>;
}

impl Asked {
    /// Reads the headers; none where they ask for nothing.
    pub fn of_headers(headers: Headers<'_>) -> Result<Option<Self>, Error> {
        let (mut canned, mut has_grants) = (None, false);
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            match name {
                CANNED if canned.is_none() => canned = Some(Canned::of_name(value)?),
                _ => has_grants |= name.starts_with(GRANT_PREFIX),
            }
        }
        match canned {
            Some(_) if has_grants => Err(Error::with_message(
                ErrorCode::InvalidRequest,
                "Specifying both Canned ACLs and Header Grants is not allowed",
            )),
            Some(canned) => Ok(Some(Self::Canned(canned))),
            None if has_grants => Ok(Some(Self::Grants(header_grants(headers)?))),
            None => Ok(None),
        }
    }

    /// Whether it is asked for by name, and this one.
    pub fn is(&self, name: Canned) -> bool {
        *self == Self::Canned(name)
    }

    /// The ACL of what `owner` owns; whom it names must be among the accounts.
    pub fn resolve(
        &self,
        owner: &str,
        scope: Scope<'_>,
        accounts: &dyn Accounts,
    ) -> Result<Acl, Error> {
        let asked = match self {
            Self::Canned(canned) => return canned.expand(owner, scope),
            Self::Grants(asked) => asked,
        };
        check_count(asked.len())?;
        let grants = asked.iter().map(|grant| {
            let grantee = grant.grantee.resolve(accounts)?;
            Ok(Grant { grantee, permission: grant.permission })
        });
        Ok(Acl { owner: owner.to_owned(), grants: grants.collect::<Result<_, Error>>()? })
    }
}

impl AskedGrantee {
    fn resolve(&self, accounts: &dyn Accounts) -> Result<Grantee, Error> {
        match self {
            Self::Id(id) if accounts.has(id) => Ok(Grantee::Account(id.clone())),
            Self::Id(id) => Err(Error::argument("Invalid id", "CanonicalUser/ID", id.as_str())),
            Self::Group(group) => Ok(Grantee::Group(*group)),
            Self::Email(email) => match accounts.of_email(email) {
                Some(id) => Ok(Grantee::Account(id)),
                None => Err(Error::new(ErrorCode::UnresolvableGrantByEmailAddress)
                    .field("EmailAddress", email.as_str())),
            },
        }
    }
}

pub(super) fn check_count(count: usize) -> Result<(), Error> {
    if count <= GRANTS_MAX {
        return Ok(());
    }
    let message = format!("An ACL has at most {GRANTS_MAX} grants.");
    Err(Error::with_message(ErrorCode::MalformedACLError, message))
}

/// A group by its URI.
pub(super) fn group(uri: &str) -> Result<AskedGrantee, Error> {
    let found = Group::of_uri(uri).map(AskedGrantee::Group);
    found.ok_or_else(|| Error::argument("Invalid group uri", "uri", uri))
}

fn header_name(permission: Permission) -> &'static str {
    match permission {
        Permission::Read => "x-amz-grant-read",
        Permission::Write => "x-amz-grant-write",
        Permission::ReadAcp => "x-amz-grant-read-acp",
        Permission::WriteAcp => "x-amz-grant-write-acp",
        Permission::FullControl => "x-amz-grant-full-control",
    }
}

fn header_grants(headers: Headers<'_>) -> Result<Vec<AskedGrant>, Error> {
    let mut grants = Vec::new();
    for permission in Permission::ALL {
        let name = header_name(permission);
        let Some(list) = headers.list(name).filter(|list| !list.is_empty()) else { continue };
        for item in list.split(',') {
            check_count(grants.len() + 1)?;
            let grantee = grantee(item).unwrap_or_else(|| {
                Err(Error::argument("Argument format not recognized", name, item.trim()))
            })?;
            grants.push(AskedGrant { grantee, permission });
        }
    }
    // S3 has no other header that begins like these.
    let known = |name: &str| Permission::ALL.iter().any(|one| header_name(*one) == name);
    match headers.iter().find(|(name, _)| name.starts_with(GRANT_PREFIX) && !known(name)) {
        Some((name, value)) => Err(Error::with_message(
            ErrorCode::InvalidArgument,
            "There is no such permission to grant.",
        )
        .field("ArgumentName", name)
        .field("ArgumentValue", value)),
        None => Ok(grants),
    }
}

/// Reads `id="..."`, `emailAddress="..."` or `uri="..."`; the quotes may be left out.
fn grantee(item: &str) -> Option<Result<AskedGrantee, Error>> {
    let (kind, value) = item.split_once('=')?;
    let value = value.trim();
    let value = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => value,
    };
    if value.is_empty() {
        return None;
    }
    match kind.trim() {
        kind if kind.eq_ignore_ascii_case("id") => Some(Ok(AskedGrantee::Id(value.to_owned()))),
        kind if kind.eq_ignore_ascii_case("emailAddress") => {
            Some(Ok(AskedGrantee::Email(value.to_owned())))
        }
        kind if kind.eq_ignore_ascii_case("uri") => Some(group(value)),
        _ => None,
    }
}
