//! IAM: managed policies and their versions.

use anode_net::{http::target::encode_component, iam::Error, s3::xml::write::Document};

use super::{
    policies::document_of,
    scene::{Outcome, Scene, members, time},
};
use crate::iam::{
    Directory,
    directory::{PROVIDED, PROVIDED_ARN},
    records::{ManagedPolicy, Named, Policies, PolicyVersion, Record as _},
};

/// As at AWS.
const LENGTH_MAX: usize = 6144;
/// As at AWS.
const POLICIES_MAX: usize = 1500;
/// As at AWS.
const VERSIONS_MAX: usize = 5;

pub(super) fn create(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let named = scene.make_named("PolicyName", "ANPA")?;
    let policies = &scene.directory.policies;
    if policies.contains_key(&named.record_name()) {
        return Err(Error::exists("A policy called", &named.name));
    }
    let others = policies.values().filter(|other| other.named.account == named.account);
    if others.count() >= POLICIES_MAX {
        return Err(Error::new("LimitExceeded", "An account has up to 1500 policies."));
    }
    let text = document_of(scene, LENGTH_MAX)?.to_owned();
    let description = scene.call.get("Description").map(|text| text.chars().take(1000).collect());
    let first = PolicyVersion { number: 1, document: text, created_ms: scene.now_ms };
    let policy = ManagedPolicy { named, description, versions: vec![first], default: 1, next: 2 };
    document.open("Policy");
    write(document, &policy, 0);
    document.close("Policy");
    Ok(vec![policy.put()])
}

/// One of those that are there without anybody having made them.
fn provided(name: &str, document: &str) -> ManagedPolicy {
    let (account, path, id) = ("aws".to_owned(), "/".to_owned(), format!("ANPA{name}"));
    let named = Named { account, name: name.to_owned(), path, id, created_ms: 0 };
    let version = PolicyVersion { number: 1, document: document.to_owned(), created_ms: 0 };
    ManagedPolicy { named, description: None, versions: vec![version], default: 1, next: 2 }
}

/// The policy of `PolicyArn`, of this account or provided.
fn find(scene: &Scene<'_>) -> Result<ManagedPolicy, Error> {
    let arn = scene.call.required("PolicyArn")?;
    let missing =
        || Error::new("NoSuchEntity", format!("Policy {arn} does not exist or is not attachable."));
    if let Some(name) = arn.strip_prefix(PROVIDED_ARN) {
        let found = PROVIDED.iter().find(|(known, _)| *known == name);
        return found.map(|(name, document)| provided(name, document)).ok_or_else(missing);
    }
    let found = scene.directory.policy(arn).filter(|found| found.named.account == scene.account());
    found.cloned().ok_or_else(missing)
}

/// The policy of `PolicyArn`, to be changed.
fn find_own(scene: &Scene<'_>) -> Result<ManagedPolicy, Error> {
    if scene.call.required("PolicyArn")?.starts_with(PROVIDED_ARN) {
        return Err(Error::new("AccessDenied", "This policy is provided and can't be changed."));
    }
    find(scene)
}

/// How many users, groups and roles have a policy attached.
fn uses(directory: &Directory, arn: &str) -> u64 {
    let has = |policies: &Policies| policies.attached.iter().any(|known| known == arn);
    let users = directory.users.values().filter(|user| has(&user.policies)).count();
    let groups = directory.groups.values().filter(|group| has(&group.policies)).count();
    let roles = directory.roles.values().filter(|role| has(&role.policies)).count();
    (users + groups + roles) as u64
}

/// How many users and roles a policy bounds.
fn bounds(directory: &Directory, arn: &str) -> usize {
    let users = directory.users.values().filter(|user| user.boundary.as_deref() == Some(arn));
    let roles = directory.roles.values().filter(|role| role.boundary.as_deref() == Some(arn));
    users.count() + roles.count()
}

pub(super) fn get(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let policy = find(scene)?;
    document.open("Policy");
    write(document, &policy, uses(scene.directory, &policy.named.arn("policy")));
    document.close("Policy");
    Ok(Vec::new())
}

pub(super) fn list(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let scope = scene.call.get("Scope").unwrap_or("All");
    let given = PROVIDED.iter().map(|(name, document)| provided(name, document));
    let given: Vec<(String, ManagedPolicy)> = given
        .filter(|policy| {
            scope != "Local"
                && scene.call.get("PathPrefix").is_none_or(|prefix| policy.named.path == prefix)
        })
        .map(|policy| (format!("aws/{}", policy.named.name), policy))
        .collect();
    let own = scene.directory.policies.iter();
    let own = own.filter(|(_, policy)| scope != "AWS" && scene.is_listed(&policy.named));
    // Digits sort before letters: own ones come first.
    let all = own.chain(given.iter().map(|(name, policy)| (name, policy)));
    let only_attached = scene.call.get("OnlyAttached") == Some("true");
    let counted = all
        .map(|(name, policy)| (name, (policy, uses(scene.directory, &policy.named.arn("policy")))));
    let wanted = counted.filter(|(_, (_, uses))| !only_attached || *uses > 0);
    let page = scene.page(document, wanted)?;
    members(document, "Policies", page, |document, (policy, uses)| write(document, policy, uses));
    Ok(Vec::new())
}

fn write(document: &mut Document, policy: &ManagedPolicy, uses: u64) {
    let ManagedPolicy { named, description, versions, default, .. } = policy;
    document.text("PolicyName", &named.name);
    document.text("PolicyId", &named.id);
    document.text("Arn", &named.arn("policy"));
    document.text("Path", &named.path);
    document.text("DefaultVersionId", &format!("v{default}"));
    document.number("AttachmentCount", uses);
    document.flag("IsAttachable", true);
    document.text_if("Description", description.as_deref());
    time(document, "CreateDate", named.created_ms);
    let changed_ms = versions.iter().map(|version| version.created_ms).max();
    time(document, "UpdateDate", changed_ms.unwrap_or(named.created_ms));
}

pub(super) fn delete(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let policy = find_own(scene)?;
    let arn = policy.named.arn("policy");
    if uses(scene.directory, &arn) > 0 || bounds(scene.directory, &arn) > 0 {
        return Err(Error::conflict("Cannot delete a policy attached to entities."));
    }
    if policy.versions.len() > 1 {
        return Err(Error::conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. \
             The default version is deleted with the policy.",
        ));
    }
    Ok(vec![policy.remove()])
}

pub(super) fn create_version(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let mut policy = find_own(scene)?;
    if policy.versions.len() >= VERSIONS_MAX {
        return Err(Error::new(
            "LimitExceeded",
            "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing \
             version.",
        ));
    }
    let text = document_of(scene, LENGTH_MAX)?.to_owned();
    let version = PolicyVersion { number: policy.next, document: text, created_ms: scene.now_ms };
    policy.next += 1;
    if scene.call.get("SetAsDefault") == Some("true") {
        policy.default = version.number;
    }
    document.open("PolicyVersion");
    write_version(document, &policy, &version);
    document.close("PolicyVersion");
    policy.versions.push(version);
    Ok(vec![policy.put()])
}

fn write_version(document: &mut Document, policy: &ManagedPolicy, version: &PolicyVersion) {
    document.text("VersionId", &format!("v{}", version.number));
    document.flag("IsDefaultVersion", version.number == policy.default);
    time(document, "CreateDate", version.created_ms);
}

/// The place of the version that `VersionId` names.
fn find_version(scene: &Scene<'_>, policy: &ManagedPolicy) -> Result<usize, Error> {
    let name = scene.call.required("VersionId")?;
    let number = name.strip_prefix('v').and_then(|number| number.parse::<u32>().ok());
    let place = policy.versions.iter().position(|version| Some(version.number) == number);
    place.ok_or_else(|| {
        let arn = policy.named.arn("policy");
        Error::new("NoSuchEntity", format!("Policy {arn} version {name} does not exist."))
    })
}

pub(super) fn get_version(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let policy = find(scene)?;
    let version = &policy.versions[find_version(scene, &policy)?];
    document.open("PolicyVersion");
    document.text("Document", &encode_component(&version.document));
    write_version(document, &policy, version);
    document.close("PolicyVersion");
    Ok(Vec::new())
}

pub(super) fn list_versions(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let policy = find(scene)?;
    document.flag("IsTruncated", false);
    members(document, "Versions", policy.versions.iter().rev(), |document, version| {
        write_version(document, &policy, version);
    });
    Ok(Vec::new())
}

pub(super) fn delete_version(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let mut policy = find_own(scene)?;
    let place = find_version(scene, &policy)?;
    if policy.versions[place].number == policy.default {
        return Err(Error::conflict("Cannot delete the default version of a policy."));
    }
    policy.versions.remove(place);
    Ok(vec![policy.put()])
}

pub(super) fn set_default(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let mut policy = find_own(scene)?;
    policy.default = policy.versions[find_version(scene, &policy)?].number;
    Ok(vec![policy.put()])
}

pub(super) fn list_entities(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let arn = find(scene)?.named.arn("policy");
    let has = |policies: &Policies, named: &Named| {
        named.account == scene.account() && policies.attached.contains(&arn)
    };
    let directory = scene.directory;
    let users = directory.users.values().filter(|user| has(&user.policies, &user.named));
    let groups = directory.groups.values().filter(|group| has(&group.policies, &group.named));
    let roles = directory.roles.values().filter(|role| has(&role.policies, &role.named));
    document.flag("IsTruncated", false);
    members(document, "PolicyUsers", users, |document, user| {
        document.text("UserName", &user.named.name);
        document.text("UserId", &user.named.id);
    });
    members(document, "PolicyGroups", groups, |document, group| {
        document.text("GroupName", &group.named.name);
        document.text("GroupId", &group.named.id);
    });
    members(document, "PolicyRoles", roles, |document, role| {
        document.text("RoleName", &role.named.name);
        document.text("RoleId", &role.named.id);
    });
    Ok(Vec::new())
}
