//! One run that compares: Anode, the other object stores that are installed, and what the machine itself can do, in turns.
//!
//! A round measures the limits (fio, nginx, loopback, MD5) and then each server with all cases, one server at a time on
//! the same file system; rounds follow each other, so every server meets the machine's better and worse minutes. All
//! results are JSON lines, written as they come; `bench-report` makes BENCHMARKS.md of them. What is started listens on
//! free loopback ports and is ended by its process id, at the end, at a failure and at Ctrl-C.

#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it starts programs and waits for them; no shard runs here"
)]

mod arguments;
mod failure;
mod plan;
mod compare;
mod load;
mod products;
mod garage;
mod running;
mod limits;
mod machine;
mod results;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser as _;

use self::failure::Failure;

#[expect(clippy::print_stderr, reason = "a program for people")]
fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &arguments::Arguments) -> Result<(), Failure> {
    let stopped = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stopped))
            .map_err(Failure::system("watching for signals"))?;
    }
    compare::run(arguments, &running::Patience::new(stopped))
}

/// Tells people what is going on.
#[expect(clippy::print_stderr, reason = "a program for people")]
fn say(text: &str) {
    eprintln!("bench-compare: {text}");
}
