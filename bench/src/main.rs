//! The load generator that every figure in BENCHMARKS.md comes from: one thread, one epoll, any number of connections,
//! so that it costs little beside what it measures and can be pinned to a core.
//!
//! The way of a request: `schedule` says when, `source` which key and operation, `request` writes its bytes,
//! `connection` sends them and takes the response apart, `operation` says what it must be, `tally` counts it, `report`
//! prints. `load` is the loop around them; nothing else waits or reads a clock.

#![forbid(unsafe_code)]

mod arguments;
mod failure;
mod shares;
mod load;
mod clock;
mod poller;
mod schedule;
mod source;
mod keys;
mod operation;
mod request;
mod signature;
mod content;
mod connection;
mod response;
mod listing;
mod tally;
mod process;
mod report;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser as _;

#[expect(clippy::print_stdout, reason = "the report is the program's output")]
#[expect(clippy::print_stderr, reason = "a program for people")]
fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    let outcome = match arguments.check().and_then(|()| load::run(&arguments)) {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("anode-bench: {error}");
            return ExitCode::FAILURE;
        }
    };
    let summary = report::Summary::new(&arguments, &outcome);
    println!("{}", if arguments.json { summary.line() } else { summary.table() });
    match outcome.broken_off {
        Some(reason) => {
            eprintln!("anode-bench: the load ended early: {reason}");
            ExitCode::FAILURE
        }
        None if summary.failure_count() > 0 => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    }
}
