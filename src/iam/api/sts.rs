//! STS: `AssumeRole`, `AssumeRoleWithWebIdentity`, `GetSessionToken`, `GetCallerIdentity`.

use anode_net::{
    iam::Error,
    policy::{Decision, Facts, Policy, Question},
    s3::xml::write::Document,
};
use anode_shards::object::Secret;

use super::{
    scene::{Outcome, Scene, time},
    web_identity::{self, Identity},
};
use crate::{
    credentials::Credentials,
    iam::{Directory, Who, directory::AssumedRole, records::Record as _, session::Claims},
};

/// As at AWS.
const SESSION_POLICY_LENGTH_MAX: usize = 2048;
/// As at AWS.
const SESSION_POLICY_ARNS_MAX: usize = 10;

pub(super) fn get_caller_identity(scene: &Scene<'_>, document: &mut Document) {
    document.text("Arn", scene.caller.arn());
    document.text("UserId", scene.caller.user_id());
    document.text("Account", scene.account());
}

pub(super) fn assume_role(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let arn = scene.call.required("RoleArn")?;
    let session = session_name(scene)?;
    let denied = || Error::denied(scene.caller.arn(), "sts:AssumeRole", arn);
    let assumed = find_role(scene.directory, arn).ok_or_else(denied)?;
    if !may_assume(scene, &assumed, arn, session)? {
        return Err(denied());
    }
    let seconds_max = u64::from(assumed.role.session_seconds_max);
    // AWS: a session that assumes a role has an hour.
    let is_chained = matches!(scene.caller.who, Who::Session(_));
    let seconds_max = if is_chained { seconds_max.min(3600) } else { seconds_max };
    begin(scene, document, &assumed, (session, seconds_max))
}

/// The same for whom a provider's token speaks.
pub(super) fn assume_role_with_web_identity(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let arn = scene.call.required("RoleArn")?;
    let session = session_name(scene)?;
    let identity = scene.identity.ok_or_else(web_identity::denied)?;
    let assumed = find_role(scene.directory, arn).ok_or_else(web_identity::denied)?;
    // It was there when the token was read.
    let is_there = scene.directory.provider(&identity.provider).is_some();
    if !is_there || !trusts(scene, &assumed, identity, (arn, session))? {
        return Err(web_identity::denied());
    }
    let seconds_max = u64::from(assumed.role.session_seconds_max);
    let changes = begin(scene, document, &assumed, (session, seconds_max))?;
    document.text("SubjectFromWebIdentityToken", &identity.claims.subject);
    document.text("Provider", &identity.provider);
    document.text("Audience", &identity.audience);
    Ok(changes)
}

/// Whether a role lets whom a provider speaks for.
fn trusts(
    scene: &Scene<'_>,
    assumed: &AssumedRole,
    identity: &Identity,
    (arn, session): (&str, &str),
) -> Result<bool, Error> {
    let Identity { provider, url, audience, claims } = identity;
    let url = url.to_ascii_lowercase();
    let mut context = vec![("sts:rolesessionname".to_owned(), session.to_owned())];
    let given = claims.audiences.first().filter(|_| claims.party.is_some());
    for (name, value) in [
        ("aud", Some(audience)),
        ("oaud", given),
        ("sub", Some(&claims.subject)),
        ("azp", claims.party.as_ref()),
        ("email", claims.email.as_ref()),
        ("amr", claims.method.as_ref()),
    ] {
        context.extend(value.map(|value| (format!("{url}:{name}"), value.clone())));
    }
    let owner = &assumed.role.named.account;
    let federated = Some(provider.as_str());
    let facts = Facts { sender: None, federated, owner, context: &context, ..*scene.facts };
    let question =
        Question { action: "sts:AssumeRoleWithWebIdentity", resource: arn, facts: &facts };
    Ok(Policy::parse_trust(&assumed.role.trust)?.decide(&question) == Decision::Allowed)
}

/// Begins a session of a role, of `seconds_max` at most.
fn begin(
    scene: &Scene<'_>,
    document: &mut Document,
    assumed: &AssumedRole,
    (session, seconds_max): (&str, u64),
) -> Outcome {
    let seconds = scene.call.number("DurationSeconds", 900..=43_200)?.unwrap_or(3600);
    if seconds > seconds_max {
        return Err(Error::validation(format!(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role: {seconds_max}."
        )));
    }
    let (secret, changes) = session_secret(scene);
    let claims = Claims {
        access_key: scene.make_id("ASIA")[..20].to_owned(),
        account: assumed.role.named.account.clone(),
        role: assumed.role.named.name.clone(),
        role_id: assumed.role.named.id.clone(),
        session: session.to_owned(),
        policy: session_policy(scene)?,
        policy_arns: policy_arns(scene, &assumed.role.named.account)?,
        expires_ms: scene.now_ms + seconds * 1000,
        ..Claims::default()
    };
    write_credentials(document, &claims, &secret);
    document.open("AssumedRoleUser");
    let (account, role) = (&claims.account, &claims.role);
    document.text("Arn", &format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"));
    document.text("AssumedRoleId", &format!("{}:{session}", claims.role_id));
    document.close("AssumedRoleUser");
    Ok(changes)
}

/// Credentials for a while of whoever asks, who may do the same with them, but for IAM and STS.
pub(super) fn get_session_token(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    if scene.call.get("SerialNumber").is_some() || scene.call.get("TokenCode").is_some() {
        return Err(Error::validation("There are no MFA devices."));
    }
    let seconds = scene.call.number("DurationSeconds", 900..=129_600)?;
    let (user, seconds) = match &scene.caller.who {
        // AWS: the root gets an hour, whatever it asks for.
        Who::Root => (None, seconds.unwrap_or(3600).min(3600)),
        Who::User(user, _) => (Some(&user.named), seconds.unwrap_or(43_200)),
        Who::Session(_) => {
            let message = "Cannot call GetSessionToken with session credentials";
            return Err(Error::new("AccessDenied", message));
        }
    };
    let (secret, changes) = session_secret(scene);
    let ends_ms = scene.now_ms + seconds * 1000;
    let claims = Claims {
        access_key: scene.make_id("ASIA")[..20].to_owned(),
        account: scene.account().to_owned(),
        // A key that ends takes what was got with it along.
        expires_ms: scene.caller.expires_ms.map_or(ends_ms, |key_ends_ms| key_ends_ms.min(ends_ms)),
        user_id: Some(user.map(|user| user.id.clone()).unwrap_or_default()),
        ..Claims::default()
    };
    write_credentials(document, &claims, &secret);
    Ok(changes)
}

fn write_credentials(document: &mut Document, claims: &Claims, secret: &Secret) {
    document.open("Credentials");
    document.text("AccessKeyId", &claims.access_key);
    document.text("SecretAccessKey", &claims.secret_key(secret).0);
    document.text("SessionToken", &claims.token(secret));
    time(document, "Expiration", claims.expires_ms);
    document.close("Credentials");
}

/// What tokens are made with: made itself at the first.
fn session_secret(scene: &Scene<'_>) -> (Secret, Vec<anode_shards::iam::IamChange>) {
    if let Some(secret) = &scene.directory.session_secret {
        return (secret.clone(), Vec::new());
    }
    let secret = Secret(Credentials::make(scene.random).secret_key);
    let change = secret.put();
    (secret, vec![change])
}

fn session_name<'a>(scene: &Scene<'a>) -> Result<&'a str, Error> {
    let name = scene.call.name("RoleSessionName", 64)?;
    if name.len() < 2 {
        return Err(Error::validation("RoleSessionName must have 2 to 64 characters."));
    }
    Ok(name)
}

/// The role of an ARN.
pub(super) fn find_role(directory: &Directory, arn: &str) -> Option<AssumedRole> {
    let (account, path) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    let assumed = directory.role(account, path.rsplit('/').next()?)?;
    (assumed.role.named.arn("role") == arn).then_some(assumed)
}

/// Whether the role lets the caller, and, unless it names the caller itself, the caller's policies do.
fn may_assume(
    scene: &Scene<'_>,
    assumed: &AssumedRole,
    arn: &str,
    session: &str,
) -> Result<bool, Error> {
    let mut context = vec![("sts:rolesessionname".to_owned(), session.to_owned())];
    if let Some(external) = scene.call.get("ExternalId") {
        context.push(("sts:externalid".to_owned(), external.to_owned()));
    }
    let owner = &assumed.role.named.account;
    let facts = Facts { owner, context: &context, ..*scene.facts };
    let question = Question { action: "sts:AssumeRole", resource: arn, facts: &facts };
    let said = Policy::parse_trust(&assumed.role.trust)?.decide(&question);
    let own = scene.caller.decide(&question);
    let is_same = assumed.role.named.account == scene.account();
    Ok(match said {
        Decision::Denied | Decision::Silent => false,
        Decision::Allowed if is_same => {
            own == Decision::Allowed
                || (own == Decision::Silent && scene.caller.session_lets(&question))
        }
        Decision::Allowed | Decision::AllowedToAccount => own == Decision::Allowed,
    })
}

fn session_policy(scene: &Scene<'_>) -> Result<Option<String>, Error> {
    let Some(policy) = scene.call.get("Policy") else { return Ok(None) };
    if policy.len() > SESSION_POLICY_LENGTH_MAX {
        return Err(Error::validation("Policy has up to 2048 characters."));
    }
    Policy::parse_identity(policy)?;
    Ok(Some(policy.to_owned()))
}

fn policy_arns(scene: &Scene<'_>, account: &str) -> Result<Vec<String>, Error> {
    let mut arns = Vec::new();
    while let Some(arn) = scene.call.get(&format!("PolicyArns.member.{}.arn", arns.len() + 1)) {
        let own = format!("arn:aws:iam::{account}:policy/");
        let is_usable =
            arn.starts_with(crate::iam::directory::PROVIDED_ARN) || arn.starts_with(&own);
        if !is_usable || scene.directory.document(arn).is_none() {
            return Err(Error::validation(format!(
                "There is no policy {arn} in the role's account."
            )));
        }
        if arns.len() == SESSION_POLICY_ARNS_MAX {
            return Err(Error::validation("PolicyArns has up to 10 members."));
        }
        arns.push(arn.to_owned());
    }
    Ok(arns)
}
