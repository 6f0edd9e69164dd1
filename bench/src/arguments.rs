//! The command line, and what it refuses.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Parser, ValueEnum};

use crate::distribution::Distribution;
use crate::failure::Failure;
use crate::listing::Scrutiny;
use crate::operation::{Operation, Rules};
use crate::shares::{Shares, parse_mix, parse_sizes};

/// An object's greatest size in bytes: 5 TiB, as in S3.
const OBJECT_BYTES_MAX: u64 = 5 << 40;
/// An upload's parts, as in S3.
const PART_COUNT_MAX: u64 = 10_000;
/// Connections that one thread is asked to drive.
const CONCURRENCY_MAX: usize = 10_000;
/// Twelve digits.
const KEY_NUMBER_MAX: u64 = 1_000_000_000_000;
/// A day: every load stops by itself.
const SECONDS_MAX: f64 = 86_400.0;
/// What the schedule's arithmetic and one thread can do.
const RATE_MAX: u64 = 1_000_000;

const EXAMPLES: &str = "\
Examples:
  Durable 1 KiB PUTs, 64 at a time, for 10 seconds:
    anode-bench put --size 1KiB --concurrency 64 --seconds 10

  GETs of 10,000 objects written first, their content compared:
    anode-bench get --keys 10000 --prepare --verify

  An open loop of 2,000 requests a second, 70 % GET, 20 % PUT, 5 % DELETE, 5 % LIST:
    anode-bench mixed --rate 2000 --mix get=70,put=20,delete=5,list=5 --prepare

  Nine objects of 4 KiB to one of 8 MiB:
    anode-bench put --size 4KiB=9,8MiB=1

  A full listing of the million keys that an earlier load has written:
    anode-bench list-all --keys 1000000 --concurrency 1 --sequential --verify

  A named workload, with options of your own after it; `workloads` lists them all with what they run:
    anode-bench workloads
    anode-bench run ycsb-a --seconds 30
    anode-bench run list-full --keys 10000000

  Against nginx:
    anode-bench get --address 127.0.0.1:8080 --path /file-1k

Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; without them, requests are not signed.";

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Workload {
    /// Write objects
    Put,
    /// Read objects
    Get,
    /// Ask for their heads
    Head,
    /// Delete objects
    Delete,
    /// List up to 1,000 keys from a drawn one on (version 2)
    List,
    /// List from the beginning to the end, page after page, a listing on each connection
    ListAll,
    /// The operations of --mix
    Mixed,
    /// Create an upload, upload its parts one after the other, complete it
    Multipart,
}

/// Loads an S3 server; reports latency, throughput and what they cost.
#[derive(Clone, Debug, Parser)]
#[command(name = "anode-bench", version, about, after_help = EXAMPLES, args_override_self = true)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    /// What to ask for
    #[arg(value_enum)]
    pub(crate) workload: Workload,
    /// Where the server listens
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS:PORT")]
    pub(crate) address: SocketAddr,
    /// Load an address that is not of this machine; refused otherwise
    #[arg(long)]
    pub(crate) remote: bool,
    /// The bucket; made where it is absent
    #[arg(long, default_value = "bench")]
    pub(crate) bucket: String,
    /// Ask for this encoded path and nothing else, for servers that are not S3 (GET and HEAD)
    #[arg(long)]
    pub(crate) path: Option<String>,
    /// Size of an object, or sizes and weights as SIZE=WEIGHT,SIZE=WEIGHT; a key keeps its size
    #[arg(long, default_value = "1KiB", value_parser = parse_sizes)]
    pub(crate) size: Shares<u64>,
    /// Requests under way at a time at most, each on a connection of its own
    #[arg(long, default_value_t = 16)]
    pub(crate) concurrency: usize,
    /// Open loop: requests due a second, whether earlier ones were answered or not [default: closed loop]
    #[arg(long)]
    pub(crate) rate: Option<NonZeroU64>,
    /// How many different keys are used
    #[arg(long, default_value = "1000")]
    pub(crate) keys: NonZeroU64,
    /// The first part of every key
    #[arg(long, default_value = "key-")]
    pub(crate) prefix: String,
    /// Which keys are drawn how often
    #[arg(long, value_enum, default_value = "uniform")]
    pub(crate) distribution: Distribution,
    /// Put so many keys each into a folder of its own, after the prefix [default: no folders]
    #[arg(long, value_name = "COUNT")]
    pub(crate) folder_keys: Option<NonZeroU64>,
    /// The number of the first key
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    pub(crate) first: u64,
    /// Roll listings up at this
    #[arg(long)]
    pub(crate) delimiter: Option<String>,
    /// Keys of a page of a listing at most, 1 to 1,000 [default: what the server gives]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) page_size: Option<u16>,
    /// Take the keys in order, each once, and stop after the last, instead of drawing them; list-all lists once a connection
    #[arg(long)]
    pub(crate) sequential: bool,
    /// How long to measure [default: 10, or with --sequential to the last key]
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
    /// How long to load before measuring, in seconds [default: 1, or with --sequential 0]
    #[arg(long)]
    pub(crate) warm_up: Option<f64>,
    /// A request that is not answered for so many seconds has failed
    #[arg(long, default_value_t = 30.0)]
    pub(crate) timeout: f64,
    /// PUT every key once before
    #[arg(long)]
    pub(crate) prepare: bool,
    /// Compare the content of every GET, check the order of every LIST and the count of a full one
    #[arg(long)]
    pub(crate) verify: bool,
    /// Shares of a mixed load
    #[arg(long, default_value = "get=70,put=20,head=4,delete=5,list=1", value_parser = parse_mix)]
    pub(crate) mix: Shares<Operation>,
    /// Part size of a multipart upload
    #[arg(long, default_value = "8MiB")]
    pub(crate) part_size: ByteSize,
    /// Report CPU time and memory of the server process with this id; repeat it for several
    #[arg(long, value_name = "PID")]
    pub(crate) server: Vec<u32>,
    /// Run on this CPU only
    #[arg(long, value_name = "CPU")]
    pub(crate) pin: Option<usize>,
    /// Print one JSON line instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// A name for this run, copied to the report
    #[arg(long, default_value = "")]
    pub(crate) label: String,
    /// The seed of keys, sizes and operations
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The region that requests are signed for
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    pub(crate) region: String,
    /// Access key id
    #[arg(long, env = "AWS_ACCESS_KEY_ID", hide_env_values = true)]
    pub(crate) access_key_id: Option<String>,
    /// Secret access key; better given by the environment, where `ps` doesn't show it
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub(crate) secret_access_key: Option<String>,
}

impl Arguments {
    /// Refuses what can't be measured or must not be loaded.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let refuse = |message: String| Err(Failure::Arguments(message));
        if !self.remote && !self.address.ip().to_canonical().is_loopback() {
            return refuse(format!(
                "{} is not an address of this machine; give --remote if you mean to load it",
                self.address
            ));
        }
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency) {
            return refuse(format!("--concurrency must be between 1 and {CONCURRENCY_MAX}"));
        }
        if self.rate.is_some_and(|rate| rate.get() > RATE_MAX) {
            return refuse(format!("--rate must be at most {RATE_MAX}"));
        }
        for (name, seconds) in [
            ("--seconds", self.seconds.unwrap_or(1.0)),
            ("--warm-up", self.warm_up.unwrap_or_default()),
            ("--timeout", self.timeout),
        ] {
            let positive = seconds > 0.0 || (seconds == 0.0 && name == "--warm-up");
            if !positive || seconds > SECONDS_MAX {
                return refuse(format!("{name} must be above 0 and at most {SECONDS_MAX}"));
            }
        }
        self.check_requests().or_else(refuse)
    }

    fn check_requests(&self) -> Result<(), String> {
        let size_max = self.size.values().copied().max().unwrap_or_default();
        if size_max > OBJECT_BYTES_MAX {
            return Err("--size must be at most 5TiB".to_owned());
        }
        let part_size = self.part_size.as_u64();
        if part_size == 0 || size_max.div_ceil(part_size) > PART_COUNT_MAX {
            return Err(format!("--part-size must give at most {PART_COUNT_MAX} parts an object"));
        }
        if let Some(path) = &self.path {
            if !matches!(self.workload, Workload::Get | Workload::Head) || self.prepare {
                return Err("--path is for get and head, without --prepare".to_owned());
            }
            if self.verify {
                return Err("--verify knows the content of objects, not of --path".to_owned());
            }
            if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("--path must be encoded and start with /".to_owned());
            }
        }
        if self.workload == Workload::ListAll && self.rate.is_some() {
            return Err(
                "--rate is for single requests, not for pages that follow each other".to_owned()
            );
        }
        if self.verify && self.delimiter.as_deref().is_some_and(|delimiter| delimiter != "/") {
            return Err("--verify knows what a --delimiter of / leaves, no other".to_owned());
        }
        if self.first.checked_add(self.keys.get()).is_none_or(|end| end > KEY_NUMBER_MAX) {
            return Err(format!("--first and --keys must be at most {KEY_NUMBER_MAX} together"));
        }
        if !self.bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
            return Err("--bucket must consist of letters, digits, '-', '.' and '_'".to_owned());
        }
        if self.access_key_id.is_some() != self.secret_access_key.is_some() {
            return Err("give both an access key id and a secret access key, or none".to_owned());
        }
        Ok(())
    }

    /// The operations of the load and their weights.
    pub(crate) fn operations(&self) -> Shares<Operation> {
        let one = match self.workload {
            Workload::Put => Operation::Put,
            Workload::Get => Operation::Get,
            Workload::Head => Operation::Head,
            Workload::Delete => Operation::Delete,
            Workload::List => Operation::List,
            Workload::ListAll => Operation::ListAll,
            Workload::Multipart => Operation::Multipart,
            Workload::Mixed => return self.mix.clone(),
        };
        Shares::one(one)
    }

    /// What answers are judged by.
    pub(crate) fn rules(&self) -> Rules {
        let scrutiny =
            if self.verify { Scrutiny::Entries(self.entry_count()) } else { Scrutiny::Outline };
        Rules {
            part_bytes: self.part_size.as_u64(),
            absence_allowed: self.absence_allowed(),
            scrutiny,
        }
    }

    /// Keys and common prefixes of a full listing.
    fn entry_count(&self) -> u64 {
        let end = self.first + self.keys.get();
        match (&self.delimiter, self.folder_keys) {
            (Some(_), Some(folder_keys)) => {
                end.div_ceil(folder_keys.get()) - self.first / folder_keys
            }
            _ => self.keys.get(),
        }
    }

    /// May GET and HEAD find no object? Where others delete them, or nobody wrote them all.
    fn absence_allowed(&self) -> bool {
        let deletes = self.operations().values().any(|operation| *operation == Operation::Delete);
        self.workload == Workload::Mixed && (deletes || !self.prepare)
    }

    /// How long to measure; `None` to the last key.
    pub(crate) fn measured(&self) -> Option<Duration> {
        let default = (!self.sequential).then_some(10.0);
        self.seconds.or(default).map(Duration::from_secs_f64)
    }

    /// How long to load before.
    pub(crate) fn warm_up(&self) -> Duration {
        let default = if self.sequential { 0.0 } else { 1.0 };
        Duration::from_secs_f64(self.warm_up.unwrap_or(default))
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Arguments;

    fn refusal(arguments: &[&str]) -> String {
        let parsed = Arguments::try_parse_from([&["anode-bench"], arguments].concat()).unwrap();
        parsed.check().map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn only_loopback_is_loaded_without_remote() {
        for address in ["127.0.0.1:9000", "127.9.9.9:1", "[::1]:9000", "[::ffff:127.0.0.1]:9000"] {
            assert_eq!(refusal(&["get", "--address", address]), "", "{address}");
        }
        for address in ["10.0.0.1:9000", "0.0.0.0:9000", "[::]:9000", "[::ffff:10.0.0.1]:9000"] {
            assert!(refusal(&["get", "--address", address]).contains("--remote"), "{address}");
            assert_eq!(refusal(&["get", "--remote", "--address", address]), "");
        }
    }

    #[test]
    fn what_can_not_be_measured_is_refused() {
        for arguments in [
            &["get", "--concurrency", "0"][..],
            &["get", "--seconds", "0"],
            &["get", "--seconds", "nan"],
            &["get", "--seconds", "inf"],
            &["get", "--warm-up=-1"],
            &["get", "--timeout", "0"],
            &["get", "--rate", "1000001"],
            &["put", "--path", "/x"],
            &["get", "--path", "x"],
            &["get", "--path", "/x", "--verify"],
            &["put", "--bucket", "a/b"],
            &["put", "--size", "6TiB"],
            &["multipart", "--size", "1GiB", "--part-size", "1KiB"],
            &["multipart", "--part-size", "0"],
            &["list-all", "--rate", "10"],
            &["list-all", "--verify", "--delimiter", "-"],
            &["put", "--first", "999999999999"],
        ] {
            assert_ne!(refusal(arguments), "", "{arguments:?}");
        }
        assert_eq!(refusal(&["get", "--warm-up", "0"]), "");
    }
}
