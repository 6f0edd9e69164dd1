//! The keys of providers of `OpenID` Connect, asked for where they publish them and kept for a while, on each shard.
//!
//! Whoever can connect can have a token looked at, so what that costs is bounded: a provider is one that an account has, it is
//! asked by HTTPS once in [`limits::PROVIDER_PAUSE`] at most whatever tokens name, and one asks while the others wait for the answer.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use anode_net::oidc::{self, Keys, Token, keys_url};
use bytes::Bytes;
use futures::lock::Mutex;

use crate::{
    host::Host,
    limits,
    outbound::{Client, Method, Request, Url},
    shard::Shard,
};

/// Keys by the issuers of tokens.
#[derive(Debug, Default)]
pub(crate) struct ProviderKeys(RefCell<BTreeMap<String, Shared>>);

/// One provider's; whoever asks it has it locked.
type Shared = Rc<Mutex<Known>>;

/// What is known of a provider. Times are the host's clock's.
#[derive(Debug, Default)]
struct Known {
    keys: Option<(Keys, u64)>,
    asked: Option<u64>,
    failed: Option<String>,
}

/// Why a token wasn't verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unverified {
    /// It isn't the provider's.
    Token(oidc::Error),
    /// The provider's keys can't be had.
    Keys(String),
}

impl ProviderKeys {
    fn of(&self, issuer: &str) -> Shared {
        let mut all = self.0.borrow_mut();
        if all.len() >= limits::PROVIDER_COUNT_MAX && !all.contains_key(issuer) {
            all.clear();
        }
        Rc::clone(all.entry(issuer.to_owned()).or_default())
    }
}

impl Known {
    /// The keys, where they were asked for within `wait`.
    fn within(&self, wait: Duration, now: u64) -> Option<&Keys> {
        let (keys, at) = self.keys.as_ref()?;
        (Duration::from_nanos(now.saturating_sub(*at)) < wait).then_some(keys)
    }

    fn may_be_asked(&self, now: u64) -> bool {
        let rested = |at| Duration::from_nanos(now.saturating_sub(at)) >= limits::PROVIDER_PAUSE;
        self.asked.is_none_or(rested)
    }
}

/// Whether a key of its issuer has signed a token.
pub(crate) async fn verify<H: Host>(shard: &Shard<H>, token: &Token) -> Result<(), Unverified> {
    let issuer = &token.claims.issuer;
    let known = shard.provider_keys().of(issuer);
    let mut known = known.lock().await;
    let now = shard.host().now().0;
    let fresh = known.within(limits::PROVIDER_KEYS_WAIT, now).map(|keys| keys.verify(token));
    let may_be_asked = known.may_be_asked(now);
    match fresh {
        // The provider may have a new key.
        Some(Err(oidc::Error::UnknownKey)) if may_be_asked => {}
        Some(verdict) => return verdict.map_err(Unverified::Token),
        None => {}
    }
    if may_be_asked {
        known.asked = Some(now);
        match Box::pin(ask(shard, issuer)).await {
            Ok(keys) => {
                known.keys = Some((keys, now));
                known.failed = None;
            }
            Err(reason) => {
                tracing::warn!(issuer, reason, "the keys of a provider can't be had");
                known.failed = Some(reason);
            }
        }
    }
    let Some(keys) = known.within(limits::PROVIDER_KEYS_WAIT_MAX, now) else {
        let reason = known.failed.clone();
        return Err(Unverified::Keys(
            reason.unwrap_or_else(|| "it was asked a moment ago".to_owned()),
        ));
    };
    keys.verify(token).map_err(Unverified::Token)
}

/// Asks a provider for its keys. `OpenID` Connect Discovery 1.0, 4.
async fn ask<H: Host>(shard: &Shard<H>, issuer: &str) -> Result<Keys, String> {
    let place = issuer.trim_end_matches('/');
    let document = read(shard, &format!("{place}/.well-known/openid-configuration")).await?;
    let place = keys_url(&document, issuer).map_err(|error| error.to_string())?;
    let keys = read(shard, &place).await?;
    Keys::parse(&keys).map_err(|error| error.to_string())
}

async fn read<H: Host>(shard: &Shard<H>, place: &str) -> Result<Bytes, String> {
    let url = Url::parse(place)?;
    if !url.is_https() {
        return Err(format!("{url} is not asked, as it is no HTTPS"));
    }
    let mut client = Client::new(shard.host(), url.clone(), shard.settings().trust.clone());
    let request = Request { method: Method::Get, headers: &[], body: &Bytes::new() };
    let reply = client.send(&request).await.map_err(|error| format!("{url}: {error}"))?;
    match reply.head.status {
        200 => Ok(reply.body),
        status => Err(format!("{url} answered {status}")),
    }
}
