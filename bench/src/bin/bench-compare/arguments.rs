//! The command line.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Parser, ValueEnum};

use crate::products::Product;

/// Which cases are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Set {
    /// What a bar of BENCHMARKS.md rests on
    Bars,
    /// Every named workload
    Full,
}

/// Compares Anode with other object stores and with the limits of the machine; prints nothing but progress.
#[derive(Debug, Parser)]
#[command(name = "bench-compare", version, about)]
pub(crate) struct Arguments {
    /// Which cases
    #[arg(long, value_enum, default_value = "bars")]
    pub(crate) set: Set,
    /// Only cases with this label; repeat it for several
    #[arg(long, value_name = "LABEL")]
    pub(crate) only: Vec<String>,
    /// Which servers, separated by commas [default: anode and all that are installed]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) servers: Vec<Product>,
    /// How often everything is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// How long each case is measured, in seconds
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// How long each open loop is measured, in seconds [default: as the others]
    #[arg(long)]
    pub(crate) open_seconds: Option<f64>,
    /// A fill that takes longer than so many seconds is given up, and its case with it
    #[arg(long, default_value_t = 600.0)]
    pub(crate) fill_seconds: f64,
    /// How many keys are listed
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..))]
    pub(crate) list_keys: u64,
    /// Anode's memory budget
    #[arg(long, default_value = "512MiB")]
    pub(crate) memory: ByteSize,
    /// Where data directories are made, and removed at the end
    #[arg(long, default_value = "target")]
    pub(crate) directory: PathBuf,
    /// Where the results go, replacing what is there
    #[arg(long, default_value = "target/compare.jsonl")]
    pub(crate) output: PathBuf,
    /// The programs `anode` and `anode-bench` are here [default: beside this program]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) programs: Option<PathBuf>,
}

impl Arguments {
    /// The servers asked for, or all.
    pub(crate) fn products(&self) -> Vec<Product> {
        if self.servers.is_empty() {
            Product::value_variants().to_vec()
        } else {
            self.servers.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
