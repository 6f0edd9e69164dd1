//! Runs seeds of the simulation: `cargo sim --seed N [--count M]`.
//!
//! A line a seed: its trace, the same whenever and wherever the seed runs, and what the run did. The first seed that
//! breaks a promise ends the command, with what it broke and the command that replays it.

use std::{cell::Cell, process::ExitCode};

use anode::sim::{self, scenario::replay};
use clap::Parser;

/// Simulates whole nodes that crash, seed by seed.
#[derive(Debug, Parser)]
#[command(name = "sim", after_help = "Example: cargo sim --seed 1 --count 1000")]
struct Arguments {
    /// The first seed.
    #[arg(long)]
    seed: u64,
    /// How many seeds, from the first on.
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// Print the node's logs of this level and above, as in `debug` or `anode=debug,openraft=info`.
    #[arg(long)]
    log: Option<String>,
}

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0) };
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's output")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(filter) = &arguments.log {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .with_writer(std::io::stderr)
            .without_time()
            .init();
    }
    // The node's own assertions panic; they are findings, too.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        hook(panic);
        eprintln!("{}", replay(SEED.get()));
    }));
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.count) {
        SEED.set(seed);
        match sim::run(seed) {
            Ok(report) => println!("{report}"),
            Err(violation) => {
                eprintln!("{violation}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
