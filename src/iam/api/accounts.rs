//! Accounts, which AWS makes elsewhere: Anode's own actions, for the root of the first account alone.

use anode_net::{iam::Error, s3::xml::write::Document};

use super::{
    keys,
    scene::{Outcome, Scene, members, time},
};
use crate::iam::records::{AccessKey, Account, EndedAccount, Named, Record as _};

/// How many accounts there can be.
const ACCOUNTS_MAX: usize = 1000;

fn check_operator(scene: &Scene<'_>, action: &str) -> Result<(), Error> {
    if scene.caller.is_root() && scene.caller.account.id == scene.first.id {
        return Ok(());
    }
    Err(Error::denied(scene.caller.arn(), action, "*"))
}

/// An account with a first access key of its root. `AccountName` is shown as the owner of what it has; `Email` may be used in
/// ACLs.
pub(super) fn create(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    use sha2::Digest as _;
    check_operator(scene, "iam:CreateAccount")?;
    let name = scene.call.name("AccountName", 64)?;
    let email = scene.call.get("Email").unwrap_or_default();
    if email.len() > 254 || (!email.is_empty() && !email.contains('@')) {
        return Err(Error::validation("Email must be an address of up to 254 bytes."));
    }
    let accounts = &scene.directory.accounts;
    if accounts.len() >= ACCOUNTS_MAX {
        return Err(Error::new("LimitExceeded", "There are up to 1000 accounts."));
    }
    if accounts.values().any(|other| other.name.eq_ignore_ascii_case(name)) {
        return Err(Error::exists("Account", name));
    }
    if scene.directory.account_of_email(email).is_some() {
        return Err(Error::exists("Account", email));
    }
    let drawn = std::iter::repeat_with(|| format!("{:012}", (scene.random)() % 1_000_000_000_000));
    let ended = &scene.directory.ended;
    let free = drawn.take(100).find(|id| !accounts.contains_key(id) && !ended.contains(id));
    let id = free.ok_or_else(|| Error::new("ServiceFailure", "No account id is free."))?;
    let canonical_id =
        hex::encode(sha2::Sha256::digest(format!("{}/{id}", scene.first.canonical_id)));
    let (name, email) = (name.to_owned(), email.to_owned());
    let account = Account { id, canonical_id, name, email, created_ms: scene.now_ms };
    let key = keys::make(scene, None, &account.id);
    write(document, "Account", &account);
    document.open("AccessKey");
    keys::write_secret(document, &key, &account.name);
    document.close("AccessKey");
    Ok(vec![account.put(), key.put()])
}

/// Removes the account of `AccountId` with the access keys of its root, where nothing else is left of it.
pub(super) fn delete(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    check_operator(scene, "iam:DeleteAccount")?;
    let id = scene.call.required("AccountId")?;
    if id == scene.first.id {
        return Err(Error::new("AccessDenied", "The first account can't be removed."));
    }
    let directory = scene.directory;
    let account = directory.accounts.get(id);
    let account = account.ok_or_else(|| Error::no_such("account", id))?;
    let is_of = |named: &Named| named.account == account.id;
    let left = [
        (scene.buckets.values().any(|bucket| bucket.owner.id == account.id), "buckets"),
        (directory.users.values().any(|user| is_of(&user.named)), "users"),
        (directory.groups.values().any(|group| is_of(&group.named)), "groups"),
        (directory.roles.values().any(|role| is_of(&role.named)), "roles"),
        (directory.policies.values().any(|policy| is_of(&policy.named)), "policies"),
        (directory.providers.values().any(|provider| provider.account == account.id), "providers"),
    ];
    if let Some((_, what)) = left.into_iter().find(|(is_left, _)| *is_left) {
        let message = format!("Cannot delete account, must delete its {what} first.");
        return Err(Error::new("DeleteConflict", message));
    }
    let ended = EndedAccount { id: account.id.clone(), ended_ms: scene.now_ms };
    let keys = directory.keys.values().filter(|key| key.account == account.id);
    let keys = keys.map(AccessKey::remove);
    Ok([ended.put(), account.remove()].into_iter().chain(keys).collect())
}

pub(super) fn list(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    check_operator(scene, "iam:ListAccounts")?;
    let page = scene.page(document, scene.directory.accounts.iter())?;
    members(document, "Accounts", page, |document, account| write_inside(document, account));
    Ok(Vec::new())
}

fn write(document: &mut Document, element: &str, account: &Account) {
    document.open(element);
    write_inside(document, account);
    document.close(element);
}

fn write_inside(document: &mut Document, account: &Account) {
    document.text("AccountId", &account.id);
    document.text("CanonicalUserId", &account.canonical_id);
    document.text("AccountName", &account.name);
    document.text("Email", &account.email);
    document.text("Arn", &account.arn());
    time(document, "CreateDate", account.created_ms);
}
