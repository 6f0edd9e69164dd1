//! IAM: groups, and who is in them.

use anode_net::{iam::Error, s3::xml::write::Document};
use anode_shards::limits::IAM_CHANGES_MAX;

use super::scene::{Outcome, Scene, members, names};
use crate::iam::records::{Group, Record as _, User};

/// As at AWS.
const GROUPS_MAX: usize = 300;
/// As at AWS.
const GROUPS_OF_USER_MAX: usize = 10;

pub(super) fn create(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let group = Group { named: scene.make_named("GroupName", "AGPA")?, ..Group::default() };
    let groups = &scene.directory.groups;
    if groups.contains_key(&group.key()) {
        return Err(Error::exists("Group", &group.named.name));
    }
    let others = groups.values().filter(|other| other.named.account == group.named.account);
    if others.count() >= GROUPS_MAX {
        return Err(Error::new("LimitExceeded", "An account has up to 300 groups."));
    }
    write(document, &group);
    Ok(vec![group.put()])
}

fn write(document: &mut Document, group: &Group) {
    document.open("Group");
    names(document, &group.named, "GroupName", "group");
    document.close("Group");
}

fn has(user: &User, group: &Group) -> bool {
    user.named.account == group.named.account
        && user.groups.iter().any(|name| name.eq_ignore_ascii_case(&group.named.name))
}

pub(super) fn get(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let group = scene.group()?;
    write(document, &group);
    let users = scene.directory.users.iter().filter(|(_, user)| has(user, &group));
    let page = scene.page(document, users)?;
    members(document, "Users", page, |document, user| {
        names(document, &user.named, "UserName", "user");
    });
    Ok(Vec::new())
}

pub(super) fn list(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let listed = scene.directory.groups.iter().filter(|(_, group)| scene.is_listed(&group.named));
    let page = scene.page(document, listed)?;
    members(document, "Groups", page, |document, group| {
        names(document, &group.named, "GroupName", "group");
    });
    Ok(Vec::new())
}

pub(super) fn update(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let old = scene.group()?;
    let mut new = old.clone();
    if scene.call.get("NewPath").is_some() {
        scene.call.path("NewPath")?.clone_into(&mut new.named.path);
    }
    let mut changes = Vec::new();
    if scene.call.get("NewGroupName").is_some() {
        scene.call.name("NewGroupName", 128)?.clone_into(&mut new.named.name);
        if old.key() != new.key() {
            if scene.directory.groups.contains_key(&new.key()) {
                return Err(Error::exists("Group", &new.named.name));
            }
            changes.push(old.remove());
        }
        for user in scene.directory.users.values().filter(|user| has(user, &old)) {
            let mut user = user.as_ref().clone();
            user.groups.retain(|name| !name.eq_ignore_ascii_case(&old.named.name));
            user.groups.push(new.named.name.clone());
            changes.push(user.put());
        }
    }
    changes.push(new.put());
    if changes.len() > IAM_CHANGES_MAX {
        let message = "A group of so many users can't be renamed: all of them change with it.";
        return Err(Error::new("LimitExceeded", message));
    }
    Ok(changes)
}

pub(super) fn delete(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let group = scene.group()?;
    if scene.directory.users.values().any(|user| has(user, &group)) {
        return Err(Error::conflict("Cannot delete entity, must remove users from group first."));
    }
    if !group.policies.attached.is_empty() || !group.policies.inline.is_empty() {
        return Err(Error::conflict("Cannot delete entity, must detach all policies first."));
    }
    Ok(vec![group.remove()])
}

pub(super) fn add_user(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let (group, mut user) = (scene.group()?, scene.user()?);
    if !has(&user, &group) {
        if user.groups.len() >= GROUPS_OF_USER_MAX {
            return Err(Error::new("LimitExceeded", "A user is in up to 10 groups."));
        }
        user.groups.push(group.named.name);
    }
    Ok(vec![user.put()])
}

pub(super) fn remove_user(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let (group, mut user) = (scene.group()?, scene.user()?);
    if !has(&user, &group) {
        let message = format!("User {} not in group {}", user.named.name, group.named.name);
        return Err(Error::new("NoSuchEntity", message));
    }
    user.groups.retain(|name| !name.eq_ignore_ascii_case(&group.named.name));
    Ok(vec![user.put()])
}
