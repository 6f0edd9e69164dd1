//! The list of actions: which service, what they are about, and who does them.

use anode_net::{
    iam::{Call, Error, Service},
    s3::xml::write::Document,
};

use super::{
    accounts, groups, keys, managed, policies, providers, roles,
    scene::{Outcome, Scene, Sort},
    sts, users, web_identity,
};
use crate::iam::{Directory, Principal, Who, records::record_name};

/// One action.
pub(super) struct Action {
    /// Its name.
    pub(super) name: &'static str,
    /// Whose it is.
    pub(super) service: Service,
    about: About,
    /// Decides it.
    pub(super) run: fn(&Scene<'_>, &mut Document) -> Outcome,
}

/// What an action is about: the resource of its permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// Everything of the account.
    All,
    /// The user of `UserName`, or who asks.
    User,
    /// The group of `GroupName`.
    Group,
    /// The role of `RoleName`.
    Role,
    /// The policy of `PolicyArn`.
    Policy,
    /// The policy that `PolicyName` will name.
    NewPolicy,
    /// The provider of `OpenIDConnectProviderArn`.
    Provider,
    /// The provider that `Url` will name.
    NewProvider,
    /// Decided by the action itself: everybody may, or others say who may.
    Itself,
}

impl Action {
    /// The ARN that a caller needs a permission for; none where the action decides itself. Of what is there it is its own,
    /// however the call spells the name: a deny would be got round otherwise.
    pub(super) fn resource(
        &self,
        directory: &Directory,
        call: &Call,
        caller: &Principal,
    ) -> Option<String> {
        let account = &caller.account.id;
        let record = |parameter| record_name(account, call.get(parameter).unwrap_or_default());
        let known = match self.about {
            About::Itself => return None,
            About::All => return Some("*".to_owned()),
            About::Provider => {
                return Some(call.get("OpenIDConnectProviderArn").unwrap_or("*").to_owned());
            }
            About::NewProvider => {
                let url = call.get("Url").unwrap_or("*");
                let url = url.strip_prefix("https://").unwrap_or(url);
                return Some(format!("arn:aws:iam::{account}:oidc-provider/{url}"));
            }
            About::Policy => return Some(call.get("PolicyArn").unwrap_or("*").to_owned()),
            About::User => match (&caller.who, call.get("UserName")) {
                (Who::User(user, _), None) => Some(&user.named),
                (Who::Root | Who::User(..) | Who::Session(_), _) => {
                    directory.users.get(&record("UserName")).map(|user| &user.named)
                }
            },
            About::Group => directory.groups.get(&record("GroupName")).map(|group| &group.named),
            About::Role => directory.roles.get(&record("RoleName")).map(|role| &role.named),
            About::NewPolicy => None,
        };
        let (sort, parameter) = match self.about {
            About::User => ("user", "UserName"),
            About::Group => ("group", "GroupName"),
            About::Role => ("role", "RoleName"),
            About::NewPolicy
            | About::All
            | About::Policy
            | About::Provider
            | About::NewProvider
            | About::Itself => ("policy", "PolicyName"),
        };
        let path = call.get("Path").unwrap_or("/");
        let name = call.get(parameter).unwrap_or("*");
        let new = || format!("arn:aws:iam::{account}:{sort}{path}{name}");
        Some(known.map_or_else(new, |named| named.arn(sort)))
    }
}

impl Action {
    /// The ARN that a user or a group will have, for which a permission is needed as well: who may rename one must not make it
    /// another that it may not touch.
    pub(super) fn new_resource(
        &self,
        directory: &Directory,
        call: &Call,
        caller: &Principal,
    ) -> Option<String> {
        let (sort, parameter, renamed) = match self.name {
            "UpdateUser" => ("user", "UserName", "NewUserName"),
            "UpdateGroup" => ("group", "GroupName", "NewGroupName"),
            _ => return None,
        };
        let record = record_name(&caller.account.id, call.get(parameter)?);
        let known = match sort {
            "user" => directory.users.get(&record).map(|user| &user.named),
            _ => directory.groups.get(&record).map(|group| &group.named),
        };
        let mut named = known?.clone();
        for (new, part) in [("NewPath", &mut named.path), (renamed, &mut named.name)] {
            if let Some(value) = call.get(new) {
                value.clone_into(part);
            }
        }
        Some(named.arn(sort))
    }
}

/// The action of this name.
pub(super) fn find(service: Service, name: &str) -> Result<&'static Action, Error> {
    let found = ACTIONS.iter().find(|action| action.name == name && action.service == service);
    found.ok_or_else(|| {
        let message = format!("The action {name} is not valid for {}.", service.name());
        Error::new("InvalidAction", message)
    })
}

const fn iam(
    name: &'static str,
    about: About,
    run: fn(&Scene<'_>, &mut Document) -> Outcome,
) -> Action {
    Action { name, service: Service::Iam, about, run }
}

const fn sts(name: &'static str, run: fn(&Scene<'_>, &mut Document) -> Outcome) -> Action {
    Action { name, service: Service::Sts, about: About::Itself, run }
}

static ACTIONS: &[Action] = &[
    iam("CreateAccount", About::Itself, accounts::create),
    iam("DeleteAccount", About::Itself, accounts::delete),
    iam("ListAccounts", About::Itself, accounts::list),
    iam("CreateUser", About::User, users::create),
    iam("GetUser", About::User, users::get),
    iam("ListUsers", About::All, users::list),
    iam("UpdateUser", About::User, users::update),
    iam("DeleteUser", About::User, users::delete),
    iam("TagUser", About::User, users::tag),
    iam("UntagUser", About::User, users::untag),
    iam("ListUserTags", About::User, users::list_tags),
    iam("ListGroupsForUser", About::User, users::list_groups),
    iam("CreateAccessKey", About::User, keys::create),
    iam("ListAccessKeys", About::User, keys::list),
    iam("UpdateAccessKey", About::User, keys::update),
    iam("DeleteAccessKey", About::User, keys::delete),
    iam("CreateGroup", About::Group, groups::create),
    iam("GetGroup", About::Group, groups::get),
    iam("ListGroups", About::All, groups::list),
    iam("UpdateGroup", About::Group, groups::update),
    iam("DeleteGroup", About::Group, groups::delete),
    iam("AddUserToGroup", About::Group, groups::add_user),
    iam("RemoveUserFromGroup", About::Group, groups::remove_user),
    iam("CreateRole", About::Role, roles::create),
    iam("GetRole", About::Role, roles::get),
    iam("ListRoles", About::All, roles::list),
    iam("UpdateRole", About::Role, roles::update),
    iam("UpdateAssumeRolePolicy", About::Role, roles::update_trust),
    iam("DeleteRole", About::Role, roles::delete),
    iam("CreatePolicy", About::NewPolicy, managed::create),
    iam("GetPolicy", About::Policy, managed::get),
    iam("ListPolicies", About::All, managed::list),
    iam("DeletePolicy", About::Policy, managed::delete),
    iam("CreatePolicyVersion", About::Policy, managed::create_version),
    iam("GetPolicyVersion", About::Policy, managed::get_version),
    iam("ListPolicyVersions", About::Policy, managed::list_versions),
    iam("DeletePolicyVersion", About::Policy, managed::delete_version),
    iam("SetDefaultPolicyVersion", About::Policy, managed::set_default),
    iam("ListEntitiesForPolicy", About::Policy, managed::list_entities),
    iam("PutUserPolicy", About::User, |scene, _| policies::put(Sort::User, scene)),
    iam("PutGroupPolicy", About::Group, |scene, _| policies::put(Sort::Group, scene)),
    iam("PutRolePolicy", About::Role, |scene, _| policies::put(Sort::Role, scene)),
    iam("GetUserPolicy", About::User, |scene, answer| policies::get(Sort::User, scene, answer)),
    iam("GetGroupPolicy", About::Group, |scene, answer| policies::get(Sort::Group, scene, answer)),
    iam("GetRolePolicy", About::Role, |scene, answer| policies::get(Sort::Role, scene, answer)),
    iam("DeleteUserPolicy", About::User, |scene, _| policies::delete(Sort::User, scene)),
    iam("DeleteGroupPolicy", About::Group, |scene, _| policies::delete(Sort::Group, scene)),
    iam("DeleteRolePolicy", About::Role, |scene, _| policies::delete(Sort::Role, scene)),
    iam("ListUserPolicies", About::User, |scene, answer| policies::list(Sort::User, scene, answer)),
    iam("ListGroupPolicies", About::Group, |scene, answer| {
        policies::list(Sort::Group, scene, answer)
    }),
    iam("ListRolePolicies", About::Role, |scene, answer| policies::list(Sort::Role, scene, answer)),
    iam("AttachUserPolicy", About::User, |scene, _| policies::attach(Sort::User, scene)),
    iam("AttachGroupPolicy", About::Group, |scene, _| policies::attach(Sort::Group, scene)),
    iam("AttachRolePolicy", About::Role, |scene, _| policies::attach(Sort::Role, scene)),
    iam("DetachUserPolicy", About::User, |scene, _| policies::detach(Sort::User, scene)),
    iam("DetachGroupPolicy", About::Group, |scene, _| policies::detach(Sort::Group, scene)),
    iam("DetachRolePolicy", About::Role, |scene, _| policies::detach(Sort::Role, scene)),
    iam("ListAttachedUserPolicies", About::User, |scene, answer| {
        policies::list_attached(Sort::User, scene, answer)
    }),
    iam("ListAttachedGroupPolicies", About::Group, |scene, answer| {
        policies::list_attached(Sort::Group, scene, answer)
    }),
    iam("ListAttachedRolePolicies", About::Role, |scene, answer| {
        policies::list_attached(Sort::Role, scene, answer)
    }),
    iam("PutUserPermissionsBoundary", About::User, |scene, _| {
        policies::put_boundary(Sort::User, scene)
    }),
    iam("PutRolePermissionsBoundary", About::Role, |scene, _| {
        policies::put_boundary(Sort::Role, scene)
    }),
    iam("DeleteUserPermissionsBoundary", About::User, |scene, _| {
        policies::delete_boundary(Sort::User, scene)
    }),
    iam("DeleteRolePermissionsBoundary", About::Role, |scene, _| {
        policies::delete_boundary(Sort::Role, scene)
    }),
    iam("CreateOpenIDConnectProvider", About::NewProvider, providers::create),
    iam("GetOpenIDConnectProvider", About::Provider, providers::get),
    iam("ListOpenIDConnectProviders", About::All, |scene, answer| {
        providers::list(scene, answer);
        Ok(Vec::new())
    }),
    iam("DeleteOpenIDConnectProvider", About::Provider, providers::delete),
    iam("UpdateOpenIDConnectProviderThumbprint", About::Provider, providers::update_thumbprints),
    iam("AddClientIDToOpenIDConnectProvider", About::Provider, providers::add_client),
    iam("RemoveClientIDFromOpenIDConnectProvider", About::Provider, providers::remove_client),
    sts("AssumeRole", sts::assume_role),
    sts(web_identity::NAME, sts::assume_role_with_web_identity),
    sts("GetSessionToken", sts::get_session_token),
    sts("GetCallerIdentity", |scene, answer| {
        sts::get_caller_identity(scene, answer);
        Ok(Vec::new())
    }),
];
