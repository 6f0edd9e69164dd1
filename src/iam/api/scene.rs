//! What an action sees: the directory at one revision, the call, and who makes it.

use std::{collections::BTreeMap, sync::Arc};

use anode_net::{
    iam::{Call, Error},
    policy::Facts,
    s3::xml::write::Document,
};
use anode_shards::iam::IamChange;

use super::web_identity::Identity;
use crate::{
    credentials::Credentials,
    iam::{
        Directory, Principal, Who,
        records::{Account, Group, Named, Policies, Record as _, Role, User, record_name},
    },
    meta::BucketView,
};

/// What an action decides on, and with.
pub(super) struct Scene<'a> {
    /// Who there is.
    pub(super) directory: &'a Directory,
    /// All buckets, by name.
    pub(super) buckets: &'a BTreeMap<String, Arc<BucketView>>,
    /// What is asked for.
    pub(super) call: &'a Call,
    /// Who asks.
    pub(super) caller: &'a Principal,
    /// Whom a provider says it is, where nobody has signed.
    pub(super) identity: Option<&'a Identity>,
    /// What else is known of the call.
    pub(super) facts: &'a Facts<'a>,
    /// The first account, whose root makes accounts.
    pub(super) first: &'a Account,
    /// In milliseconds since 1970.
    pub(super) now_ms: u64,
    /// Draws that nobody can guess.
    pub(super) random: &'a dyn Fn() -> u64,
}

/// What an action changes; its answer is in the document.
pub(super) type Outcome = Result<Vec<IamChange>, Error>;

impl Scene<'_> {
    /// The account that everything is about.
    pub(super) fn account(&self) -> &str {
        &self.caller.account.id
    }

    /// A new id that is unique for good, for instance `AIDA` and 17 letters.
    pub(super) fn make_id(&self, prefix: &str) -> String {
        let drawn = Credentials::make(self.random).access_key;
        format!("{prefix}{}", &drawn[..17])
    }

    /// What is being made under the name that a parameter has.
    pub(super) fn make_named(&self, parameter: &str, prefix: &str) -> Result<Named, Error> {
        let length_max = if parameter == "UserName" || parameter == "RoleName" { 64 } else { 128 };
        Ok(Named {
            account: self.account().to_owned(),
            name: self.call.name(parameter, length_max)?.to_owned(),
            path: self.call.path("Path")?.to_owned(),
            id: self.make_id(prefix),
            created_ms: self.now_ms,
        })
    }

    /// The record's name of what a parameter names.
    pub(super) fn record(&self, parameter: &str) -> Result<String, Error> {
        Ok(record_name(self.account(), self.call.name(parameter, 128)?))
    }

    /// The user that `UserName` names; without one, the user who asks.
    pub(super) fn user_or_caller(&self) -> Result<User, Error> {
        match (self.call.get("UserName"), &self.caller.who) {
            (None, Who::User(user, _)) => Ok(user.as_ref().clone()),
            (_, Who::Root | Who::User(..) | Who::Session(_)) => self.user(),
        }
    }

    /// The user that `UserName` names.
    pub(super) fn user(&self) -> Result<User, Error> {
        let record = self.record("UserName")?;
        let name = self.call.get("UserName").unwrap_or_default();
        let found = self.directory.users.get(&record).map(|user| user.as_ref().clone());
        found.ok_or_else(|| Error::no_such("user", name))
    }

    /// The group that `GroupName` names.
    pub(super) fn group(&self) -> Result<Group, Error> {
        let record = self.record("GroupName")?;
        let name = self.call.get("GroupName").unwrap_or_default();
        self.directory.groups.get(&record).cloned().ok_or_else(|| Error::no_such("group", name))
    }

    /// The role that `RoleName` names.
    pub(super) fn role(&self) -> Result<Role, Error> {
        let record = self.record("RoleName")?;
        let name = self.call.get("RoleName").unwrap_or_default();
        let found = self.directory.roles.get(&record).map(|role| role.as_ref().clone());
        found.ok_or_else(|| Error::no_such("role", name))
    }

    /// One page of a list of what is in the account: `MaxItems` of those behind `Marker`, below `PathPrefix`. Writes whether
    /// and where it goes on.
    pub(super) fn page<N: AsRef<str>, T>(
        &self,
        document: &mut Document,
        items: impl Iterator<Item = (N, T)>,
    ) -> Result<Vec<T>, Error> {
        let most = self.call.number("MaxItems", 1..=1000)?.unwrap_or(100);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let after = self.call.get("Marker").unwrap_or_default();
        let mut items = items.filter(|(name, _)| name.as_ref() > after);
        let (mut page, mut last) = (Vec::new(), None);
        for (name, item) in items.by_ref().take(most) {
            page.push(item);
            last = Some(name);
        }
        let is_cut = items.next().is_some();
        document.flag("IsTruncated", is_cut);
        document.text_if("Marker", last.as_ref().filter(|_| is_cut).map(AsRef::as_ref));
        Ok(page)
    }

    /// Whether what has this record's name is of the account, and below `PathPrefix`.
    pub(super) fn is_listed(&self, named: &Named) -> bool {
        let prefix = self.call.get("PathPrefix").unwrap_or("/");
        named.account == self.account() && named.path.starts_with(prefix)
    }
}

/// What policies can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    User,
    Group,
    Role,
}

/// A user, a group or a role.
pub(super) enum Holder {
    User(User),
    Group(Group),
    Role(Role),
}

impl Holder {
    /// The one that the call names.
    pub(super) fn find(scene: &Scene<'_>, sort: Sort) -> Result<Self, Error> {
        Ok(match sort {
            Sort::User => Self::User(scene.user()?),
            Sort::Group => Self::Group(scene.group()?),
            Sort::Role => Self::Role(scene.role()?),
        })
    }

    pub(super) fn named(&self) -> &Named {
        match self {
            Self::User(user) => &user.named,
            Self::Group(group) => &group.named,
            Self::Role(role) => &role.named,
        }
    }

    pub(super) fn policies(&mut self) -> &mut Policies {
        match self {
            Self::User(user) => &mut user.policies,
            Self::Group(group) => &mut group.policies,
            Self::Role(role) => &mut role.policies,
        }
    }

    pub(super) fn boundary(&mut self) -> Option<&mut Option<String>> {
        match self {
            Self::User(user) => Some(&mut user.boundary),
            Self::Group(_) => None,
            Self::Role(role) => Some(&mut role.boundary),
        }
    }

    pub(super) fn put(&self) -> IamChange {
        match self {
            Self::User(user) => user.put(),
            Self::Group(group) => group.put(),
            Self::Role(role) => role.put(),
        }
    }

    /// The parameter, and the element, that names it.
    pub(super) fn parameter(&self) -> &'static str {
        match self {
            Self::User(_) => "UserName",
            Self::Group(_) => "GroupName",
            Self::Role(_) => "RoleName",
        }
    }

    /// How many characters all its inline policies may have together, as at AWS.
    pub(super) fn inline_length_max(&self) -> usize {
        match self {
            Self::User(_) => 2048,
            Self::Group(_) => 5120,
            Self::Role(_) => 10_240,
        }
    }
}

/// Writes a list: one `member` an item.
pub(super) fn members<T>(
    document: &mut Document,
    name: &str,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Document, T),
) {
    document.open(name);
    for item in items {
        document.open("member");
        write(document, item);
        document.close("member");
    }
    document.close(name);
}

/// Writes the time at which something was made.
pub(super) fn time(document: &mut Document, name: &str, ms: u64) {
    document.time(name, i64::try_from(ms).unwrap_or(i64::MAX));
}

/// The parts of names that all lists have.
pub(super) fn names(document: &mut Document, named: &Named, parameter: &str, sort: &str) {
    let id = match sort {
        "user" => "UserId",
        "group" => "GroupId",
        _ => "RoleId",
    };
    document.text("Path", &named.path);
    document.text(parameter, &named.name);
    document.text(id, &named.id);
    document.text("Arn", &named.arn(sort));
    time(document, "CreateDate", named.created_ms);
}

/// Writes tags.
pub(super) fn tags(document: &mut Document, tags: &[(String, String)]) {
    members(document, "Tags", tags, |document, (key, value)| {
        document.text("Key", key);
        document.text("Value", value);
    });
}
