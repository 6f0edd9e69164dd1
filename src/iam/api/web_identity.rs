//! STS: `AssumeRoleWithWebIdentity`. Nobody signs it: a token of a provider says who asks.

use anode_net::{
    iam::{Call, Error, Service},
    oidc::{self, Claims, Token},
};
use anode_shards::object::Secret;
use bytes::Bytes;

use super::{Asker, decide, sts, table};
use crate::{
    authorize,
    exchange::Exchange,
    host::Host,
    iam::{
        Principal, Who,
        principal::{Session, SessionPolicies},
        provider_keys::{self, Unverified},
    },
};

/// The action.
pub(super) const NAME: &str = "AssumeRoleWithWebIdentity";

/// Whom a provider says somebody is, proven.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// The ARN of the provider.
    pub(super) provider: String,
    /// Its URL without `https://`, which begins the names of its condition keys.
    pub(super) url: String,
    /// The client that the token is for.
    pub(super) audience: String,
    /// What the token says.
    pub(super) claims: Claims,
}

/// The call, where a body is one.
pub(super) fn asked(body: &[u8]) -> Option<Call> {
    Call::parse(body).ok().filter(|call| call.action() == Ok(NAME))
}

/// Verifies the token and begins the session.
pub(super) async fn perform<H: Host>(
    exchange: &Exchange<'_, H>,
    call: &Call,
) -> Result<Bytes, Error> {
    let shard = exchange.shard.clone();
    if call.get("ProviderId").is_some() {
        return Err(Error::validation(
            "ProviderId must not be given: tokens are OpenID Connect's.",
        ));
    }
    let token =
        Token::parse(call.required("WebIdentityToken")?).map_err(|error| of_token(&error))?;
    let meta = shard.meta();
    let assumed = sts::find_role(&meta.iam, call.required("RoleArn")?).ok_or_else(denied)?;
    let account = meta.iam.accounts.get(&assumed.role.named.account).cloned().ok_or_else(denied)?;
    let issuer = token.claims.issuer.as_str();
    let provider = meta.iam.provider_of(&account.id, issuer).ok_or_else(|| {
        let message = "No OpenIDConnect provider found in your account for the issuer of the token";
        Error::new("InvalidIdentityToken", message)
    })?;
    let audience = token.claims.audience(&provider.client_ids).map_err(|error| of_token(&error))?;
    let identity = Identity {
        provider: provider.arn(),
        url: provider.url.clone(),
        audience: audience.to_owned(),
        claims: token.claims.clone(),
    };
    token.claims.check_time(authorize::now_seconds(&shard)).map_err(|error| of_token(&error))?;
    provider_keys::verify(&shard, &token).await.map_err(|error| match error {
        Unverified::Token(error) => of_token(&error),
        // The log says more: who has no key learns nothing of what the node can reach.
        Unverified::Keys(_reason) => Error::new(
            "IDPCommunicationError",
            "The identity provider can't be asked for its keys.",
        ),
    })?;
    // Whoever asks is nobody yet but the session that is to be.
    let session = Session {
        role: assumed.role.named.clone(),
        name: call.get("RoleSessionName").unwrap_or_default().to_owned(),
        rights: assumed.rights,
        policies: SessionPolicies::default(),
    };
    let who = Who::Session(session.into());
    let caller = Principal::new("", Secret::default(), account, who);
    let asker = Asker { caller: &caller, identity: Some(&identity) };
    decide(exchange, asker, table::find(Service::Sts, NAME)?, call).await
}

/// The refusal that tells nobody whether there is such a role.
pub(super) fn denied() -> Error {
    Error::new("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
}

fn of_token(error: &oidc::Error) -> Error {
    let code = match error {
        oidc::Error::Expired { .. } => "ExpiredTokenException",
        oidc::Error::Malformed(_)
        | oidc::Error::UnknownKey
        | oidc::Error::Signature
        | oidc::Error::Audience
        | oidc::Error::Early => "InvalidIdentityToken",
    };
    Error::new(code, error.to_string())
}
