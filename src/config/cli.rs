//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use anode_shards::object::Secret;
use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{period::Period, webhook::Named};
use crate::metrics::Exposure;

const EXAMPLES: &str = "\
Examples:
  Serve on the loopback address from one directory:
    anode serve --data /var/lib/anode

  Two NVMe disks, all addresses, 16 GiB of memory:
    anode serve --data /mnt/nvme0 --data /mnt/nvme1 --listen 0.0.0.0:9000 --memory 16GiB

  The same from a file, checked first:
    anode config check --config /etc/anode.toml
    anode serve --config /etc/anode.toml";

/// An S3-compatible object store for NVMe, one shard a core.
#[derive(Debug, Parser)]
#[command(name = "anode", version, about, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve S3 from one or more data directories
    #[command(after_help = EXAMPLES)]
    Serve(Box<Serve>),
    /// Look at the configuration without serving
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at the data directories of a stopped node
    #[command(subcommand)]
    Volume(VolumeCommand),
}

const CHECK_EXAMPLES: &str = "\
Exit status: 0 sound, 1 damage was found, 2 it could not be checked.

Examples:
  Verify everything, read-only:
    anode volume check --data /var/lib/anode

  A node with two volumes: name both, for the names of its buckets are on one of them:
    anode volume check --data /mnt/nvme0 --data /mnt/nvme1

  For a program:
    anode volume check --data /var/lib/anode --json

  Take what is damaged out of the node, and keep what can be read of it in /var/lib/anode/set-aside/TIME:
    anode volume check --data /var/lib/anode --set-aside";

const INSPECT_EXAMPLES: &str = "\
Examples:
  What the volume is:
    anode volume inspect --data /var/lib/anode superblock

  Sorted tables and data segments, with their sizes:
    anode volume inspect --data /var/lib/anode tables
    anode volume inspect --data /var/lib/anode segments

  What the logs hold:
    anode volume inspect --data /var/lib/anode wal

  Everything that is known of one key, oldest first in the log, newest first in the tables:
    anode volume inspect --data /var/lib/anode key my-bucket photos/cat.jpg";

/// What can be done with the data directories of a stopped node.
#[derive(Debug, Subcommand)]
pub enum VolumeCommand {
    /// Verify every byte that is in use, name what is damaged and which objects are hit
    #[command(after_help = CHECK_EXAMPLES)]
    Check(VolumeCheck),
    /// Show what the files hold
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(VolumeInspect),
}

/// See [`VolumeCommand::Check`].
#[derive(Args, Clone, Debug)]
pub struct VolumeCheck {
    /// A data directory; give it once a volume of the node
    #[arg(long, env = "ANODE_DATA", value_name = "DIR", value_delimiter = ',', required = true)]
    pub data: Vec<PathBuf>,

    /// The directory of a storage class of the node: CLASS=DIR, once a class
    #[arg(long, env = "ANODE_DATA_CLASS", value_name = "CLASS=DIR", value_delimiter = ',')]
    pub data_class: Vec<Named>,

    /// Write the report as one JSON object
    #[arg(long)]
    pub json: bool,

    /// Take what is damaged out of the node, so that it starts and serves the rest. What can be read of it, copies of the
    /// damaged files, and the report go to DIR/set-aside/TIME
    #[arg(long)]
    pub set_aside: bool,
}

/// See [`VolumeCommand::Inspect`].
#[derive(Args, Clone, Debug)]
pub struct VolumeInspect {
    /// A data directory; give it once a volume of the node
    #[arg(long, env = "ANODE_DATA", value_name = "DIR", value_delimiter = ',', required = true)]
    pub data: Vec<PathBuf>,

    /// The directory of a storage class of the node: CLASS=DIR, once a class
    #[arg(long, env = "ANODE_DATA_CLASS", value_name = "CLASS=DIR", value_delimiter = ',')]
    pub data_class: Vec<Named>,

    /// What to show
    #[command(subcommand)]
    pub subject: Subject,
}

/// What can be shown of a volume.
#[derive(Clone, Debug, Subcommand)]
pub enum Subject {
    /// What the volume is
    Superblock,
    /// The logs: segments, batches, the range of each group's entries
    Wal,
    /// The sorted tables, by level
    Tables,
    /// The data segments and how much of each is in use
    Segments,
    /// The history of one key
    Key {
        /// Its bucket
        bucket: String,
        /// The key
        key: String,
    },
}

/// What can be done with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the configuration and the machine, say what would be used, and stop
    Check(Box<Serve>),
}

/// Everything that can be set on the command line or in the environment.
#[derive(Args, Clone, Debug, Default)]
pub struct Serve {
    /// A TOML file with any of these settings
    #[arg(long, env = "ANODE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// A data directory; give it once a volume (in the environment: separated by commas)
    #[arg(long, env = "ANODE_DATA", value_name = "DIR", value_delimiter = ',')]
    pub data: Vec<PathBuf>,

    /// A directory for a storage class, on a device of its own: CLASS=DIR, once a class, for instance `STANDARD_IA=/mnt/hdd`
    #[arg(long, env = "ANODE_DATA_CLASS", value_name = "CLASS=DIR", value_delimiter = ',')]
    pub data_class: Vec<Named>,

    /// Where to listen for S3 clients [default: 127.0.0.1:9000]
    #[arg(long, env = "ANODE_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Memory for the whole node, for instance 512MiB or 16GiB [default: a quarter of the machine's]
    #[arg(long, env = "ANODE_MEMORY", value_name = "SIZE")]
    pub memory: Option<ByteSize>,

    /// The region that signatures must name [default: any]
    #[arg(long, env = "ANODE_REGION", value_name = "NAME")]
    pub region: Option<String>,

    /// The domain under which BUCKET.DOMAIN names a bucket [default: path style only]
    #[arg(long, env = "ANODE_DOMAIN", value_name = "DOMAIN")]
    pub domain: Option<String>,

    /// The domain under which BUCKET.DOMAIN is the website of a bucket [default: no websites]
    #[arg(long, env = "ANODE_WEBSITE_DOMAIN", value_name = "DOMAIN")]
    pub website_domain: Option<String>,

    /// A host that is the website of the bucket of the same name; give it once a host
    #[arg(long, env = "ANODE_WEBSITE_HOST", value_name = "HOST", value_delimiter = ',')]
    pub website_host: Vec<String>,

    /// Who owns the objects of buckets that don't say so: `BucketOwnerEnforced` (ACLs say nothing), `BucketOwnerPreferred` or
    /// `ObjectWriter` (ACLs count) [default: `BucketOwnerEnforced`]
    #[arg(long, env = "ANODE_OBJECT_OWNERSHIP", value_name = "OWNERSHIP")]
    pub object_ownership: Option<String>,

    /// Root access key id; with `ANODE_SECRET_ACCESS_KEY` [default: made at the first start and shown once]
    #[arg(skip)]
    pub access_key_id: Option<String>,

    /// Root secret access key; from the environment only, as a command line can be read by everybody
    #[arg(skip)]
    pub secret_access_key: Option<Secret>,

    /// A file with the root credentials: access key id on the first line, secret on the second
    #[arg(long, env = "ANODE_CREDENTIALS_FILE", value_name = "FILE")]
    pub credentials_file: Option<PathBuf>,

    /// A file with the keys for server-side encryption, a line each: name, 32 bytes in base64. The first is that of SSE-S3, all are
    /// those of SSE-KMS [default: a key for SSE-S3 is made and kept with the data, where it protects against little]
    #[arg(long, env = "ANODE_MASTER_KEY_FILE", value_name = "FILE")]
    pub master_key_file: Option<PathBuf>,

    /// Where a key service is that speaks AWS KMS's protocol: it has the keys for SSE-KMS that the file of master keys hasn't
    #[arg(long, env = "ANODE_KMS_ENDPOINT", value_name = "URL")]
    pub kms_endpoint: Option<String>,

    /// The region that requests to it are signed for [default: us-east-1]
    #[arg(long, env = "ANODE_KMS_REGION", value_name = "NAME")]
    pub kms_region: Option<String>,

    /// The key of the service that is used where none is named [default: alias/aws/s3]
    #[arg(long, env = "ANODE_KMS_KEY", value_name = "KEY")]
    pub kms_key: Option<String>,

    /// A file with the credentials for it: access key id on the first line, secret on the second
    #[arg(long, env = "ANODE_KMS_CREDENTIALS_FILE", value_name = "FILE")]
    pub kms_credentials_file: Option<PathBuf>,

    /// From whom keys of customers (SSE-C) are taken over plain HTTP: whoever connects from this machine, everybody, nobody
    /// [default: loopback]
    #[arg(long, env = "ANODE_PLAIN_CUSTOMER_KEYS", value_enum, value_name = "WHO")]
    pub plain_customer_keys: Option<Exposure>,

    /// Certificate chain in PEM; with --tls-key, the node serves HTTPS. Read again on SIGHUP and when it changes
    #[arg(long, env = "ANODE_TLS_CERTIFICATE", value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,

    /// Private key in PEM
    #[arg(long, env = "ANODE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// How often every stored byte is read and verified, for instance 7d or 36h; off for never [default: 7d]
    #[arg(long, env = "ANODE_SCRUB_PERIOD", value_name = "PERIOD")]
    pub scrub_period: Option<Period>,

    /// What that reads at most, in bytes a second of each shard [default: 32MiB]
    #[arg(long, env = "ANODE_SCRUB_RATE", value_name = "SIZE")]
    pub scrub_rate: Option<ByteSize>,

    /// How often expired objects, versions and uploads are looked for, for instance 1h or 10m; off for never [default: 1h]
    #[arg(long, env = "ANODE_LIFECYCLE_PERIOD", value_name = "PERIOD")]
    pub lifecycle_period: Option<Period>,

    /// Who is told of events by HTTP: NAME=URL, once a webhook; buckets name it `arn:anode:sqs::NAME:webhook`
    #[arg(
        long,
        env = "ANODE_NOTIFICATION_WEBHOOK",
        value_name = "NAME=URL",
        value_delimiter = ','
    )]
    pub notification_webhook: Vec<Named>,

    /// A file with the token that a webhook is sent as `Authorization: Bearer`
    #[arg(
        long,
        env = "ANODE_NOTIFICATION_TOKEN_FILE",
        value_name = "NAME=FILE",
        value_delimiter = ','
    )]
    pub notification_token_file: Vec<Named>,

    /// Certificates in PEM that are trusted beside those of the machine, where the node asks other servers
    #[arg(long, env = "ANODE_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Who may read /metrics: whoever connects from this machine, everybody, nobody [default: loopback]
    #[arg(long, env = "ANODE_METRICS", value_enum, value_name = "WHO")]
    pub metrics: Option<Exposure>,

    /// What to log, for instance info, debug or anode=debug [default: info,openraft=warn]
    #[arg(long, env = "ANODE_LOG", value_name = "FILTER")]
    pub log: Option<String>,

    /// How to write logs [default: plain]
    #[arg(long, env = "ANODE_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Plain,
    /// A JSON object a line.
    Json,
}

impl Cli {
    /// Parses the command line and the environment; prints help or the error and ends the process where asked.
    #[expect(clippy::disallowed_methods, reason = "the environment is read once, here")]
    pub fn read() -> Self {
        let mut cli = Self::parse();
        let serve = match &mut cli.command {
            Command::Serve(serve) | Command::Config(ConfigCommand::Check(serve)) => serve,
            Command::Volume(_) => return cli,
        };
        serve.access_key_id = std::env::var("ANODE_ACCESS_KEY_ID").ok();
        serve.secret_access_key = std::env::var("ANODE_SECRET_ACCESS_KEY").ok().map(Secret);
        cli
    }
}
