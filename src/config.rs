//! What the node is told: flags, then the environment, then one TOML file, then defaults; the first that says
//! something wins.

pub mod cli;
pub mod file;
pub mod data_class;
pub mod kms;
pub mod period;
pub mod webhook;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anode_net::s3::configuration::ownership::Ownership;
use anode_shards::object::Secret;
use bytesize::ByteSize;

use crate::{limits, metrics::Exposure, scrub::ScrubPlan, storage_class::ClassDirectory};

/// Everything that `anode serve` needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Data directories, one a volume.
    pub data: Vec<PathBuf>,
    /// Directories of storage classes.
    pub data_classes: Vec<ClassDirectory>,
    /// Where S3 clients connect.
    pub listen: SocketAddr,
    /// Memory of the whole process, in bytes.
    pub memory_bytes: u64,
    /// The region that signatures must name; any where none is set.
    pub region: Option<String>,
    /// The domain under which `BUCKET.domain` names a bucket.
    pub domain: Option<String>,
    /// Which hosts are websites.
    pub website: Websites,
    /// Who owns the objects of buckets that don't say so.
    pub object_ownership: Ownership,
    /// Where the root credentials come from.
    pub credentials: CredentialSource,
    /// The keys that objects are encrypted with; one is made where no file has any.
    pub master_key_file: Option<PathBuf>,
    /// A key service outside the node, where there is one.
    pub kms: Option<kms::Kms>,
    /// Whose keys for SSE-C are taken over plain HTTP.
    pub plain_customer_keys: Exposure,
    /// Certificate and key; plain HTTP where there is none.
    pub tls: Option<TlsFiles>,
    /// How stored bytes are verified; not at all where there is none.
    pub scrub: Option<ScrubPlan>,
    /// How often lifecycle looks through the buckets that have rules; never where there is none.
    pub lifecycle_period: Option<Duration>,
    /// Who is told of events.
    pub webhooks: Vec<webhook::Webhook>,
    /// Certificates that are trusted beside the machine's, where the node asks other servers.
    pub ca_file: Option<PathBuf>,
    /// Who may read metrics.
    pub metrics: Exposure,
    /// How logs are written.
    pub log: LogSettings,
    /// Seconds that requests under way may take after SIGTERM.
    pub drain_seconds: u64,
}

/// Which hosts are websites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Websites {
    /// The domain under which `BUCKET.domain` is the website of a bucket.
    pub domain: Option<String>,
    /// Hosts that are the websites of the buckets of the same names. Only those that are named here: else whoever may make
    /// a bucket could take the host's other users away.
    pub hosts: Vec<String>,
}

/// Where the root credentials come from.
#[derive(Clone)]
pub enum CredentialSource {
    /// Made at the first start and kept in the volume.
    Generated,
    /// Given by the environment.
    Given {
        /// The access key id.
        access_key: String,
        /// The secret access key.
        secret_key: String,
    },
    /// Read from a file of two lines: access key id, secret access key.
    File(PathBuf),
}

impl std::fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Generated => f.write_str("Generated"),
            Self::Given { access_key, .. } => write!(f, "Given({access_key})"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

/// Certificate chain and private key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// How logs are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Lines for people, or JSON for machines.
    pub format: cli::LogFormat,
    /// A `tracing` filter, for instance `info` or `anode=debug`.
    pub filter: String,
}

/// Why the configuration was refused, naming the setting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that can't be used.
    #[error("{setting}: {problem}")]
    Value {
        /// The flag, variable or key of the file.
        setting: &'static str,
        /// What is wrong, and what to write instead.
        problem: String,
    },
    /// The file can't be read or understood.
    #[error("configuration file {path}: {problem}")]
    File {
        /// Which file.
        path: String,
        /// What is wrong there.
        problem: String,
    },
}

impl Settings {
    /// Merges the sources and checks every value.
    pub fn load(flags: &cli::Serve) -> Result<Self, Error> {
        let file = match &flags.config {
            Some(path) => file::read(path)?,
            None => file::File::default(),
        };
        Self::merge(flags, file)
    }

    fn merge(flags: &cli::Serve, file: file::File) -> Result<Self, Error> {
        let data = if flags.data.is_empty() { file.data } else { flags.data.clone() };
        if data.is_empty() {
            let problem =
                "no data directory is set; give --data DIR, ANODE_DATA=DIR or data = [\"DIR\"]";
            return Err(Error::Value { setting: "data", problem: problem.to_owned() });
        }
        let mut unique = data.clone();
        unique.sort();
        unique.dedup();
        if unique.len() != data.len() {
            let problem = "a directory is named twice; name each volume once".to_owned();
            return Err(Error::Value { setting: "data", problem });
        }
        let data_classes = data_class::merge(flags, file.data_class, &data)?;
        let tls = merge_tls(flags, file.tls)?;
        let domain = flags.domain.clone().or(file.domain);
        let website = websites(flags, file.website, domain.as_deref())?;
        Ok(Self {
            data,
            data_classes,
            listen: flags.listen.or(file.listen).unwrap_or(limits::LISTEN_DEFAULT),
            memory_bytes: memory(flags.memory.or(file.memory))?,
            region: flags.region.clone().or(file.region),
            domain,
            website,
            object_ownership: object_ownership(flags, file.object_ownership.as_deref())?,
            credentials: credentials(flags, file.credentials_file)?,
            master_key_file: flags.master_key_file.clone().or(file.master_key_file),
            kms: kms::merge(flags, file.kms)?,
            plain_customer_keys: flags
                .plain_customer_keys
                .or(file.plain_customer_keys)
                .unwrap_or_default(),
            tls,
            scrub: scrub(flags, &file.scrub)?,
            lifecycle_period: lifecycle_period(flags, &file.lifecycle),
            webhooks: webhook::merge(flags, file.notification.webhook)?,
            ca_file: flags.ca_file.clone().or(file.ca_file),
            metrics: flags.metrics.or(file.metrics).unwrap_or_default(),
            log: LogSettings {
                format: flags.log_format.or(file.log.format).unwrap_or_default(),
                filter: flags
                    .log
                    .clone()
                    .or(file.log.filter)
                    .unwrap_or_else(|| limits::LOG_FILTER_DEFAULT.to_owned()),
            },
            drain_seconds: file.drain_seconds.unwrap_or(limits::DRAIN_SECONDS_DEFAULT),
        })
    }
}

fn memory(given: Option<ByteSize>) -> Result<u64, Error> {
    let bytes = match given {
        Some(size) => size.as_u64(),
        None => (limits::machine_memory_bytes() / 4).max(limits::MEMORY_BYTES_MIN),
    };
    if bytes < limits::MEMORY_BYTES_MIN {
        let problem = format!(
            "{} is too little; a node needs at least {}",
            ByteSize(bytes),
            ByteSize(limits::MEMORY_BYTES_MIN)
        );
        return Err(Error::Value { setting: "memory", problem });
    }
    Ok(bytes)
}

fn scrub(flags: &cli::Serve, file: &file::Scrub) -> Result<Option<ScrubPlan>, Error> {
    let default = period::Period(Some(limits::SCRUB_PERIOD_DEFAULT));
    let period = flags.scrub_period.or(file.period).unwrap_or(default);
    let rate = flags.scrub_rate.or(file.rate).unwrap_or(ByteSize(limits::SCRUB_RATE_DEFAULT));
    if rate.as_u64() < limits::SCRUB_RATE_MIN {
        let least = ByteSize(limits::SCRUB_RATE_MIN);
        let problem = format!("{rate} a second is too little; give {least} or more");
        return Err(Error::Value { setting: "scrub.rate", problem });
    }
    Ok(period.0.map(|period| ScrubPlan { period, rate_bytes_max: rate.as_u64() }))
}

fn object_ownership(flags: &cli::Serve, file: Option<&str>) -> Result<Ownership, Error> {
    let Some(name) = flags.object_ownership.as_deref().or(file) else {
        return Ok(Ownership::default());
    };
    Ownership::of_name(name).ok_or_else(|| {
        let problem = format!(
            "{name} is not known; give BucketOwnerEnforced, BucketOwnerPreferred or ObjectWriter"
        );
        Error::Value { setting: "object-ownership", problem }
    })
}

fn lifecycle_period(flags: &cli::Serve, file: &file::Lifecycle) -> Option<Duration> {
    let default = period::Period(Some(limits::LIFECYCLE_PERIOD_DEFAULT));
    flags.lifecycle_period.or(file.period).unwrap_or(default).0
}

fn websites(
    flags: &cli::Serve,
    file: file::Website,
    s3_domain: Option<&str>,
) -> Result<Websites, Error> {
    let domain = flags.website_domain.clone().or(file.domain);
    if domain.is_some() && domain.as_deref() == s3_domain {
        let problem = "it is the domain of S3's own requests; give websites another".to_owned();
        return Err(Error::Value { setting: "website.domain", problem });
    }
    let named = if flags.website_host.is_empty() { file.hosts } else { flags.website_host.clone() };
    let hosts = named.into_iter().map(|host| host.to_ascii_lowercase()).collect();
    Ok(Websites { domain, hosts })
}

fn credentials(flags: &cli::Serve, file: Option<PathBuf>) -> Result<CredentialSource, Error> {
    match (&flags.access_key_id, &flags.secret_access_key) {
        (Some(access_key), Some(Secret(secret_key))) => {
            let (access_key, secret_key) = (access_key.clone(), secret_key.clone());
            crate::credentials::check(&access_key, &secret_key)
                .map_err(|problem| Error::Value { setting: "ANODE_ACCESS_KEY_ID", problem })?;
            Ok(CredentialSource::Given { access_key, secret_key })
        }
        (None, None) => Ok(flags
            .credentials_file
            .clone()
            .or(file)
            .map_or(CredentialSource::Generated, CredentialSource::File)),
        _ => Err(Error::Value {
            setting: "ANODE_ACCESS_KEY_ID",
            problem: "set ANODE_ACCESS_KEY_ID and ANODE_SECRET_ACCESS_KEY together, or neither"
                .to_owned(),
        }),
    }
}

fn merge_tls(flags: &cli::Serve, file: Option<file::Tls>) -> Result<Option<TlsFiles>, Error> {
    let (certificate, key) = match file {
        Some(tls) => (Some(tls.certificate), Some(tls.key)),
        None => (None, None),
    };
    let certificate = flags.tls_certificate.clone().or(certificate);
    let key = flags.tls_key.clone().or(key);
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (None, None) => Ok(None),
        _ => Err(Error::Value {
            setting: "tls",
            problem:
                "set the certificate and the key together: --tls-certificate FILE --tls-key FILE"
                    .to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;
