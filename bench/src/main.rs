//! The load generator that every figure in BENCHMARKS.md comes from: one thread, one epoll, any number of connections,
//! so that it costs little beside what it measures and can be pinned to a core.
//!
//! The way of a request: `schedule` says when, `source` which key and operation, `request` writes its bytes,
//! `connection` sends them and takes the response apart, `operation` says what it must be, `tally` counts it, `report`
//! prints. `load` is the loop around them; nothing else waits or reads a clock.

#![forbid(unsafe_code)]

mod arguments;
mod command;
mod failure;
mod shares;
mod load;
mod clock;
mod poller;
mod schedule;
mod source;
mod distribution;
mod inserts;
mod keys;
mod operation;
mod request;
mod signature;
mod content;
mod connection;
mod response;
mod listing;
mod tally;
mod report;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use bench_shared::named::{self, Role};

use self::command::{Command, Load};

#[expect(clippy::print_stdout, reason = "the report is the program's output")]
#[expect(clippy::print_stderr, reason = "a program for people")]
fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let loads = match command::parse(&words) {
        Ok(Command::Loads(loads)) => loads,
        Ok(Command::Workloads) => {
            print!("{}", named::table());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("anode-bench: {error}");
            return ExitCode::FAILURE;
        }
    };
    for load in &loads {
        if let Err(error) = run(load) {
            eprintln!("anode-bench: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Runs a load and prints what was measured.
#[expect(clippy::print_stdout, reason = "the report is the program's output")]
fn run(load: &Load) -> Result<(), failure::Failure> {
    load.arguments.check()?;
    let outcome = load::run(&load.arguments)?;
    let summary = report::Summary::new(&load.arguments, &outcome);
    if load.role == Role::Measured || summary.failure_count() > 0 {
        println!("{}", if load.arguments.json { summary.line() } else { summary.table() });
    }
    match outcome.broken_off {
        Some(reason) => Err(failure::Failure::BrokenOff(reason)),
        None if summary.failure_count() > 0 => Err(failure::Failure::Requests),
        None => Ok(()),
    }
}
