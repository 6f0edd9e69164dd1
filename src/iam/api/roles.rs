//! IAM: roles.

use anode_net::{
    http::target::encode_component, iam::Error, policy::Policy, s3::xml::write::Document,
};

use super::scene::{Outcome, Scene, members, names, tags};
use crate::iam::records::{Record as _, Role};

/// As at AWS.
const ROLES_MAX: usize = 1000;
/// As at AWS.
const TRUST_LENGTH_MAX: usize = 2048;

fn trust_of(scene: &Scene<'_>, parameter: &str) -> Result<String, Error> {
    let document = scene.call.required(parameter)?;
    if document.chars().filter(|character| !character.is_whitespace()).count() > TRUST_LENGTH_MAX {
        return Err(Error::new("LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048"));
    }
    Policy::parse_trust(document)?;
    Ok(document.to_owned())
}

fn seconds_of(scene: &Scene<'_>) -> Result<Option<u32>, Error> {
    let seconds = scene.call.number("MaxSessionDuration", 3600..=43_200)?;
    Ok(seconds.and_then(|seconds| u32::try_from(seconds).ok()))
}

pub(super) fn create(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let named = scene.make_named("RoleName", "AROA")?;
    let roles = &scene.directory.roles;
    if roles.contains_key(&named.record_name()) {
        return Err(Error::exists("Role", &named.name));
    }
    if roles.values().filter(|role| role.named.account == named.account).count() >= ROLES_MAX {
        return Err(Error::new("LimitExceeded", "An account has up to 1000 roles."));
    }
    let role = Role {
        named,
        trust: trust_of(scene, "AssumeRolePolicyDocument")?,
        description: scene.call.get("Description").map(|text| text.chars().take(1000).collect()),
        session_seconds_max: seconds_of(scene)?.unwrap_or(3600),
        boundary: super::users::boundary(scene)?,
        tags: scene.call.tags()?,
        ..Role::default()
    };
    write(document, "Role", &role);
    Ok(vec![role.put()])
}

fn write(document: &mut Document, element: &str, role: &Role) {
    document.open(element);
    write_inside(document, role);
    if !role.tags.is_empty() {
        tags(document, &role.tags);
    }
    document.close(element);
}

fn write_inside(document: &mut Document, role: &Role) {
    names(document, &role.named, "RoleName", "role");
    document.text("AssumeRolePolicyDocument", &encode_component(&role.trust));
    document.text_if("Description", role.description.as_deref());
    document.number("MaxSessionDuration", u64::from(role.session_seconds_max));
    if let Some(boundary) = &role.boundary {
        document.open("PermissionsBoundary");
        document.text("PermissionsBoundaryType", "Policy");
        document.text("PermissionsBoundaryArn", boundary);
        document.close("PermissionsBoundary");
    }
}

pub(super) fn get(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    write(document, "Role", &scene.role()?);
    Ok(Vec::new())
}

pub(super) fn list(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let listed = scene.directory.roles.iter().filter(|(_, role)| scene.is_listed(&role.named));
    let page = scene.page(document, listed)?;
    members(document, "Roles", page, |document, role| write_inside(document, role));
    Ok(Vec::new())
}

pub(super) fn update(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let mut role = scene.role()?;
    if let Some(description) = scene.call.get("Description") {
        role.description = Some(description.chars().take(1000).collect());
    }
    if let Some(seconds) = seconds_of(scene)? {
        role.session_seconds_max = seconds;
    }
    Ok(vec![role.put()])
}

pub(super) fn update_trust(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let mut role = scene.role()?;
    role.trust = trust_of(scene, "PolicyDocument")?;
    Ok(vec![role.put()])
}

pub(super) fn delete(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let role = scene.role()?;
    if !role.policies.attached.is_empty() {
        return Err(Error::conflict("Cannot delete entity, must detach all policies first."));
    }
    if !role.policies.inline.is_empty() {
        return Err(Error::conflict("Cannot delete entity, must delete policies first."));
    }
    Ok(vec![role.remove()])
}
