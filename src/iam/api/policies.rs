//! IAM: policies of users, groups and roles: their own ones, attached ones, and the one that bounds them.

use anode_net::{
    http::target::encode_component, iam::Error, policy::Policy, s3::xml::write::Document,
};

use super::scene::{Holder, Outcome, Scene, Sort, members};
use crate::iam::{directory::PROVIDED_ARN, records::Policies};

/// As at AWS.
const ATTACHED_MAX: usize = 10;

/// The document of `PolicyDocument`, read and found good.
pub(super) fn document_of<'a>(scene: &Scene<'a>, length_max: usize) -> Result<&'a str, Error> {
    let document = scene.call.required("PolicyDocument")?;
    if length(document) > length_max {
        let message = format!("Cannot exceed quota for PolicySize: {length_max}");
        return Err(Error::new("LimitExceeded", message));
    }
    Policy::parse_identity(document)?;
    Ok(document)
}

/// The length of a policy as quotas count it: without white space.
fn length(document: &str) -> usize {
    document.chars().filter(|character| !character.is_whitespace()).count()
}

pub(super) fn put(sort: Sort, scene: &Scene<'_>) -> Outcome {
    let mut holder = Holder::find(scene, sort)?;
    let name = scene.call.name("PolicyName", 128)?;
    let length_max = holder.inline_length_max();
    let document = document_of(scene, length_max)?;
    let own = &mut holder.policies().inline;
    own.retain(|(known, _)| known != name);
    own.push((name.to_owned(), document.to_owned()));
    if own.iter().map(|(_, document)| length(document)).sum::<usize>() > length_max {
        let message = format!("Maximum policy size of {length_max} bytes exceeded");
        return Err(Error::new("LimitExceeded", message));
    }
    own.sort();
    Ok(vec![holder.put()])
}

pub(super) fn get(sort: Sort, scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let mut holder = Holder::find(scene, sort)?;
    let name = scene.call.name("PolicyName", 128)?;
    let found = holder.policies().inline(name).map(str::to_owned);
    let found = found.ok_or_else(|| Error::no_such("policy", name))?;
    document.text(holder.parameter(), &holder.named().name);
    document.text("PolicyName", name);
    // RFC 3986, as at AWS.
    document.text("PolicyDocument", &encode_component(&found));
    Ok(Vec::new())
}

pub(super) fn delete(sort: Sort, scene: &Scene<'_>) -> Outcome {
    let mut holder = Holder::find(scene, sort)?;
    let name = scene.call.name("PolicyName", 128)?;
    if holder.policies().inline(name).is_none() {
        return Err(Error::no_such("policy", name));
    }
    holder.policies().inline.retain(|(known, _)| known != name);
    Ok(vec![holder.put()])
}

pub(super) fn list(sort: Sort, scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let mut holder = Holder::find(scene, sort)?;
    let Policies { inline, .. } = holder.policies();
    let page = scene.page(document, inline.iter().map(|(name, _)| (name, name)))?;
    members(document, "PolicyNames", page, |document, name| document.content(name));
    Ok(Vec::new())
}

/// The ARN of a policy that this account can attach.
fn attachable<'a>(scene: &Scene<'a>) -> Result<&'a str, Error> {
    let arn = scene.call.required("PolicyArn")?;
    let own = format!("arn:aws:iam::{}:policy/", scene.account());
    let is_usable = arn.starts_with(PROVIDED_ARN) || arn.starts_with(&own);
    if is_usable && scene.directory.document(arn).is_some() {
        return Ok(arn);
    }
    let message = format!("Policy {arn} does not exist or is not attachable.");
    Err(Error::new("NoSuchEntity", message))
}

pub(super) fn attach(sort: Sort, scene: &Scene<'_>) -> Outcome {
    let mut holder = Holder::find(scene, sort)?;
    let arn = attachable(scene)?;
    let attached = &mut holder.policies().attached;
    if !attached.iter().any(|known| known == arn) {
        if attached.len() >= ATTACHED_MAX {
            return Err(Error::new(
                "LimitExceeded",
                "Cannot exceed quota for PoliciesPerHolder: 10",
            ));
        }
        attached.push(arn.to_owned());
    }
    Ok(vec![holder.put()])
}

pub(super) fn detach(sort: Sort, scene: &Scene<'_>) -> Outcome {
    let mut holder = Holder::find(scene, sort)?;
    let arn = scene.call.required("PolicyArn")?;
    let attached = &mut holder.policies().attached;
    if !attached.iter().any(|known| known == arn) {
        return Err(Error::new("NoSuchEntity", format!("Policy {arn} was not found.")));
    }
    attached.retain(|known| known != arn);
    Ok(vec![holder.put()])
}

pub(super) fn list_attached(sort: Sort, scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let mut holder = Holder::find(scene, sort)?;
    let mut attached = holder.policies().attached.clone();
    attached.sort();
    let page = scene.page(document, attached.iter().map(|arn| (arn, arn)))?;
    members(document, "AttachedPolicies", page, |document, arn| {
        document.text("PolicyName", arn.rsplit('/').next().unwrap_or(arn));
        document.text("PolicyArn", arn);
    });
    Ok(Vec::new())
}

pub(super) fn put_boundary(sort: Sort, scene: &Scene<'_>) -> Outcome {
    scene.call.required("PermissionsBoundary")?;
    let wanted = super::users::boundary(scene)?;
    set_boundary(sort, scene, wanted)
}

pub(super) fn delete_boundary(sort: Sort, scene: &Scene<'_>) -> Outcome {
    set_boundary(sort, scene, None)
}

fn set_boundary(sort: Sort, scene: &Scene<'_>, wanted: Option<String>) -> Outcome {
    let mut holder = Holder::find(scene, sort)?;
    if let Some(boundary) = holder.boundary() {
        *boundary = wanted;
    }
    Ok(vec![holder.put()])
}
