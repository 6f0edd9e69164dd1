//! The configuration file: TOML, every key known, or refused by name.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use bytesize::ByteSize;
use serde::Deserialize;

use super::{Error, cli::LogFormat, period::Period};
use crate::metrics::Exposure;

/// The file's content; each key may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// Data directories, one a volume.
    pub data: Vec<PathBuf>,
    /// The table `[data_class]`: directories of storage classes, by the names of these.
    pub data_class: BTreeMap<String, PathBuf>,
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// Memory of the node.
    pub memory: Option<ByteSize>,
    /// The region that signatures must name.
    pub region: Option<String>,
    /// The virtual-host domain.
    pub domain: Option<String>,
    /// Websites.
    pub website: Website,
    /// Who owns the objects of buckets that don't say so.
    pub object_ownership: Option<String>,
    /// A file with the root credentials.
    pub credentials_file: Option<PathBuf>,
    /// A file with the keys that objects are encrypted with.
    pub master_key_file: Option<PathBuf>,
    /// A key service outside the node.
    pub kms: Kms,
    /// Whose keys for SSE-C are taken over plain HTTP.
    pub plain_customer_keys: Option<Exposure>,
    /// Who may read metrics.
    pub metrics: Option<Exposure>,
    /// Seconds that requests under way may take after SIGTERM.
    pub drain_seconds: Option<u64>,
    /// Certificate and key.
    pub tls: Option<Tls>,
    /// Certificates that are trusted beside the machine's.
    pub ca_file: Option<PathBuf>,
    /// Notifications.
    pub notification: Notification,
    /// Scrub.
    pub scrub: Scrub,
    /// Lifecycle.
    pub lifecycle: Lifecycle,
    /// Logs.
    pub log: Log,
}

/// The table `[kms]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kms {
    /// Where it is.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: Option<String>,
    /// The key where none is named.
    pub key: Option<String>,
    /// A file with credentials.
    pub credentials_file: Option<PathBuf>,
}

/// The table `[tls]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The table `[website]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Website {
    /// The domain of websites.
    pub domain: Option<String>,
    /// Hosts that are called as their buckets.
    pub hosts: Vec<String>,
}

/// The table `[lifecycle]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lifecycle {
    /// How often it looks.
    pub period: Option<Period>,
}

/// The table `[notification]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notification {
    /// The tables `[[notification.webhook]]`.
    pub webhook: Vec<Webhook>,
}

/// A table `[[notification.webhook]]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhook {
    /// What configurations of buckets call it.
    pub name: String,
    /// Where events are sent.
    pub url: String,
    /// What is sent as `Authorization: Bearer`.
    pub auth_token: Option<String>,
    /// A file with that.
    pub auth_token_file: Option<PathBuf>,
    /// How many events a group keeps for it.
    pub queue_limit: Option<u64>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The table `[scrub]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scrub {
    /// How often everything is read.
    pub period: Option<Period>,
    /// How fast at most.
    pub rate: Option<ByteSize>,
}

/// The table `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Plain or JSON.
    pub format: Option<LogFormat>,
    /// What to log.
    pub filter: Option<String>,
}

/// Reads and parses a file.
pub fn read(path: &Path) -> Result<File, Error> {
    let refused = |problem: String| Error::File { path: path.display().to_string(), problem };
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    parse(&text).map_err(refused)
}

/// Parses the text of a file. An error names the line and its key, and not what is set there, which may be a secret.
pub(super) fn parse(text: &str) -> Result<File, String> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let number = text.get(..start).unwrap_or_default().matches('\n').count();
        let line = text.lines().nth(number).unwrap_or_default();
        let key = line.split_once('=').map(|(key, _)| format!(", {}", key.trim()));
        format!("line {}{}: {}", number + 1, key.unwrap_or_default(), error.message())
    })
}
