//! Who can be told: targets by name, as the node's settings have them.
//!
//! A kind of target is a variant here with its way of sending; everything else is the same for all.

use std::{collections::BTreeMap, fmt, sync::Arc};

use anode_shards::object::Secret;
use bytes::Bytes;
use rustls::ClientConfig;

use crate::{
    config::{self, webhook::TokenSource},
    host::Host,
    outbound::{Client, Method, Request, Url, read_trust},
    shard::Shard,
};

/// Targets by name.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    by_name: BTreeMap<String, Arc<Target>>,
    /// What servers by HTTPS are proven by, where any is asked.
    trust: Option<Arc<ClientConfig>>,
}

/// Who is told.
#[derive(Clone, Debug)]
pub struct Target {
    /// What configurations of buckets call it.
    pub name: String,
    /// How many events may wait for it in one group.
    pub queue_count_max: u64,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Webhook { url: Url, authorization: Option<Secret> },
}

impl Targets {
    /// Those of the settings, with their tokens read.
    pub fn read(settings: &config::Settings) -> Result<Self, String> {
        let mut targets = Self::default();
        for webhook in &settings.webhooks {
            let named = |problem| format!("notification.webhook {}: {problem}", webhook.name);
            let authorization = webhook.token.as_ref().map(authorization).transpose();
            let authorization = authorization.map_err(named)?;
            targets.add(Target {
                name: webhook.name.clone(),
                queue_count_max: webhook.queue_count_max,
                kind: Kind::Webhook { url: webhook.url.clone(), authorization },
            });
            if webhook.url.is_https() && targets.trust.is_none() {
                targets.trust = Some(read_trust(settings.ca_file.as_deref())?);
            }
        }
        Ok(targets)
    }

    /// A webhook without a token, for the simulation.
    #[must_use]
    pub fn with_webhook(mut self, name: &str, url: Url, queue_count_max: u64) -> Self {
        let kind = Kind::Webhook { url, authorization: None };
        self.add(Target { name: name.to_owned(), queue_count_max, kind });
        self
    }

    fn add(&mut self, target: Target) {
        self.by_name.insert(target.name.clone(), Arc::new(target));
    }

    /// The target of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Target>> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.by_name.values()
    }
}

fn authorization(token: &TokenSource) -> Result<Secret, String> {
    let token = match token {
        TokenSource::Given(token) => token.clone(),
        TokenSource::File(path) => {
            let named = |error: std::io::Error| format!("{}: {error}", path.display());
            let text = std::fs::read_to_string(path).map_err(named)?;
            text.lines().next().unwrap_or_default().trim().to_owned()
        }
    };
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its token must be of visible ASCII letters, one at least".to_owned());
    }
    Ok(Secret(format!("Bearer {token}")))
}

/// Why a document wasn't taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotTaken {
    /// Its target finds fault with it, by this status of HTTP.
    #[error("it answered {0}")]
    Rejected(u16),
    /// Its target wasn't there, or couldn't.
    #[error("{0}")]
    Later(String),
}

/// The way to a target; it keeps its connection.
pub(super) enum Sender<H: Host> {
    Webhook { client: Client<H>, authorization: Option<Secret> },
}

impl Target {
    /// A way to it.
    pub(super) fn sender<H: Host>(&self, shard: &Shard<H>) -> Sender<H> {
        match &self.kind {
            Kind::Webhook { url, authorization } => {
                let trust = shard.settings().targets.trust.clone();
                let client = Client::new(shard.host(), url.clone(), trust);
                Sender::Webhook { client, authorization: authorization.clone() }
            }
        }
    }
}

impl<H: Host> Sender<H> {
    /// Sends a document and waits until it is taken.
    pub(super) async fn send(&mut self, document: &Bytes) -> Result<(), NotTaken> {
        match self {
            Self::Webhook { client, authorization } => {
                let mut headers = vec![("Content-Type", "application/json")];
                if let Some(Secret(authorization)) = authorization {
                    headers.push(("Authorization", authorization));
                }
                let request = Request { method: Method::Post, headers: &headers, body: document };
                let sent = client.send(&request).await;
                let reply = sent.map_err(|error| NotTaken::Later(error.to_string()))?;
                match reply.head.status {
                    200..=299 => Ok(()),
                    // RFC 9110, 15.5: the fault is the request's, but for what says itself that it is one of the moment.
                    status @ (400..=407 | 409..=428 | 430..=499) => Err(NotTaken::Rejected(status)),
                    status => Err(NotTaken::Later(format!("it answered {status}"))),
                }
            }
        }
    }
}

impl<H: Host> fmt::Debug for Sender<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook { client, .. } => write!(f, "Sender({client:?})"),
        }
    }
}
