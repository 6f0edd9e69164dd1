//! IAM: users.

use anode_net::{iam::Error, s3::xml::write::Document};

use super::scene::{Outcome, Scene, members, names, tags};
use crate::iam::records::{Record as _, User, record_name};

/// As at AWS.
const USERS_MAX: usize = 5000;

pub(super) fn create(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let named = scene.make_named("UserName", "AIDA")?;
    let users = &scene.directory.users;
    if users.contains_key(&named.record_name()) {
        return Err(Error::exists("User", &named.name));
    }
    if users.values().filter(|user| user.named.account == named.account).count() >= USERS_MAX {
        return Err(Error::new("LimitExceeded", "An account has up to 5000 users."));
    }
    let boundary = boundary(scene)?;
    let user = User { named, boundary, tags: scene.call.tags()?, ..User::default() };
    write(document, &user);
    Ok(vec![user.put()])
}

/// The ARN of `PermissionsBoundary`, of a policy that is there.
pub(super) fn boundary(scene: &Scene<'_>) -> Result<Option<String>, Error> {
    let Some(arn) = scene.call.get("PermissionsBoundary") else { return Ok(None) };
    if scene.directory.document(arn).is_none() {
        return Err(Error::new("NoSuchEntity", format!("Scope ARN: {arn} does not exist.")));
    }
    Ok(Some(arn.to_owned()))
}

pub(super) fn get(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    if scene.call.get("UserName").is_none() && scene.caller.is_root() {
        // AWS: of the root itself.
        let account = &scene.caller.account;
        document.open("User");
        document.text("UserName", &account.name);
        document.text("UserId", &account.id);
        document.text("Arn", &account.arn());
        super::scene::time(document, "CreateDate", account.created_ms);
        document.close("User");
        return Ok(Vec::new());
    }
    write(document, &scene.user_or_caller()?);
    Ok(Vec::new())
}

pub(super) fn list(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let listed = scene.directory.users.iter().filter(|(_, user)| scene.is_listed(&user.named));
    let page = scene.page(document, listed)?;
    members(document, "Users", page, |document, user| {
        names(document, &user.named, "UserName", "user");
    });
    Ok(Vec::new())
}

pub(super) fn update(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let old = scene.user()?;
    let mut new = old.clone();
    if scene.call.get("NewPath").is_some() {
        scene.call.path("NewPath")?.clone_into(&mut new.named.path);
    }
    let mut changes = Vec::new();
    if scene.call.get("NewUserName").is_some() {
        scene.call.name("NewUserName", 64)?.clone_into(&mut new.named.name);
        if old.key() != new.key() {
            if scene.directory.users.contains_key(&new.key()) {
                return Err(Error::exists("User", &new.named.name));
            }
            changes.push(old.remove());
        }
        for key in scene.directory.keys.values().filter(|key| key.is_of(&old)) {
            let mut key = key.clone();
            key.user = Some(new.named.name.clone());
            changes.push(key.put());
        }
    }
    changes.push(new.put());
    Ok(changes)
}

pub(super) fn delete(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let user = scene.user()?;
    let reasons = [
        (!user.groups.is_empty(), "Cannot delete entity, must remove users from group first."),
        (
            !user.policies.attached.is_empty(),
            "Cannot delete entity, must detach all policies first.",
        ),
        (!user.policies.inline.is_empty(), "Cannot delete entity, must delete policies first."),
        (
            scene.directory.keys.values().any(|key| key.is_of(&user)),
            "Cannot delete entity, must delete access keys first.",
        ),
    ];
    match reasons.into_iter().find(|(holds, _)| *holds) {
        Some((_, reason)) => Err(Error::conflict(reason)),
        None => Ok(vec![user.remove()]),
    }
}

pub(super) fn tag(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let mut user = scene.user()?;
    for (key, value) in scene.call.tags()? {
        user.tags.retain(|(known, _)| !known.eq_ignore_ascii_case(&key));
        user.tags.push((key, value));
    }
    if user.tags.len() > 50 {
        return Err(Error::new("LimitExceeded", "The number of tags has reached the limit of 50."));
    }
    Ok(vec![user.put()])
}

pub(super) fn untag(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let mut user = scene.user()?;
    let keys = scene.call.list("TagKeys")?;
    user.tags.retain(|(known, _)| !keys.iter().any(|key| known.eq_ignore_ascii_case(key)));
    Ok(vec![user.put()])
}

pub(super) fn list_tags(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let user = scene.user()?;
    document.flag("IsTruncated", false);
    tags(document, &user.tags);
    Ok(Vec::new())
}

pub(super) fn list_groups(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let user = scene.user()?;
    let of_user = user.groups.iter();
    let found = of_user.filter_map(|name| {
        scene.directory.groups.get_key_value(&record_name(&user.named.account, name))
    });
    let mut found: Vec<_> = found.collect();
    found.sort_by_key(|(name, _)| *name);
    let page = scene.page(document, found.into_iter())?;
    members(document, "Groups", page, |document, group| {
        names(document, &group.named, "GroupName", "group");
    });
    Ok(Vec::new())
}

fn write(document: &mut Document, user: &User) {
    document.open("User");
    names(document, &user.named, "UserName", "user");
    if let Some(boundary) = &user.boundary {
        document.open("PermissionsBoundary");
        document.text("PermissionsBoundaryType", "Policy");
        document.text("PermissionsBoundaryArn", boundary);
        document.close("PermissionsBoundary");
    }
    if !user.tags.is_empty() {
        tags(document, &user.tags);
    }
    document.close("User");
}
