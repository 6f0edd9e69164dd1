//! IAM: access keys, of users and of roots.

use anode_net::{iam::Error, s3::xml::write::Document};
use anode_shards::object::Secret;

use super::scene::{Outcome, Scene, members, time};
use crate::{
    credentials::Credentials,
    iam::{
        Who,
        records::{AccessKey, Record as _, User},
    },
};

/// As at AWS: one to use, and one to change to.
const KEYS_MAX: usize = 2;

impl AccessKey {
    /// Whether it is a user's.
    pub(super) fn is_of(&self, user: &User) -> bool {
        let name = self.user.as_deref();
        self.account == user.named.account
            && name.is_some_and(|name| name.eq_ignore_ascii_case(&user.named.name))
    }
}

/// Whose keys a call is about: a user's, or those of the root who asks.
fn whose(scene: &Scene<'_>) -> Result<Option<User>, Error> {
    if scene.call.get("UserName").is_none() && matches!(scene.caller.who, Who::Root) {
        return Ok(None);
    }
    scene.user_or_caller().map(Some)
}

fn is_of(scene: &Scene<'_>, key: &AccessKey, user: Option<&User>) -> bool {
    match user {
        Some(user) => key.is_of(user),
        None => key.user.is_none() && key.account == scene.account(),
    }
}

pub(super) fn create(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let user = whose(scene)?;
    // Anode's own: a key that ends.
    let seconds = scene.call.number("ExpiresInSeconds", 60..=10 * 366 * 86_400)?;
    let keys = scene.directory.keys.values();
    if keys.filter(|key| is_of(scene, key, user.as_ref())).count() >= KEYS_MAX {
        return Err(Error::new("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2"));
    }
    let key = make(scene, user.as_ref().map(|user| user.named.name.clone()), scene.account());
    let key = AccessKey { expires_ms: seconds.map(|seconds| scene.now_ms + seconds * 1000), ..key };
    document.open("AccessKey");
    write_secret(document, &key, user.as_ref().map_or("", |user| &user.named.name));
    document.close("AccessKey");
    Ok(vec![key.put()])
}

/// A new key of a user or of a root.
pub(super) fn make(scene: &Scene<'_>, user: Option<String>, account: &str) -> AccessKey {
    AccessKey {
        access_key: scene.make_id("AKIA")[..20].to_owned(),
        secret: Secret(Credentials::make(scene.random).secret_key),
        account: account.to_owned(),
        user,
        is_active: true,
        created_ms: scene.now_ms,
        expires_ms: None,
    }
}

/// Writes a key with its secret: this once.
pub(super) fn write_secret(document: &mut Document, key: &AccessKey, user: &str) {
    write(document, key, user);
    document.text("SecretAccessKey", &key.secret.0);
}

fn write(document: &mut Document, key: &AccessKey, user: &str) {
    document.text("UserName", user);
    document.text("AccessKeyId", &key.access_key);
    document.text("Status", if key.is_active { "Active" } else { "Inactive" });
    time(document, "CreateDate", key.created_ms);
    if let Some(expires_ms) = key.expires_ms {
        time(document, "ExpirationDate", expires_ms);
    }
}

pub(super) fn list(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let user = whose(scene)?;
    let keys = scene.directory.keys.iter();
    let page = scene.page(document, keys.filter(|(_, key)| is_of(scene, key, user.as_ref())))?;
    let name = user.as_ref().map_or("", |user| &user.named.name);
    members(document, "AccessKeyMetadata", page, |document, key| write(document, key, name));
    Ok(Vec::new())
}

fn find(scene: &Scene<'_>) -> Result<AccessKey, Error> {
    let user = whose(scene)?;
    let name = scene.call.required("AccessKeyId")?;
    let found = scene.directory.keys.get(name).filter(|key| is_of(scene, key, user.as_ref()));
    found.cloned().ok_or_else(|| {
        Error::new("NoSuchEntity", format!("The Access Key with id {name} cannot be found."))
    })
}

pub(super) fn update(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let mut key = find(scene)?;
    key.is_active = match scene.call.required("Status")? {
        "Active" => true,
        "Inactive" => false,
        _ => return Err(Error::validation("Status must be Active or Inactive.")),
    };
    Ok(vec![key.put()])
}

pub(super) fn delete(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    Ok(vec![find(scene)?.remove()])
}
