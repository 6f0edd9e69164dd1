//! `anode volume`: looks at the data directories of a stopped node, by ordinary reads.
//!
//! `check` verifies every byte that is in use and names what is damaged, where, and which objects are hit; asked to, it
//! sets them aside, so that the node serves the rest. `inspect` shows what the files hold. But for that nothing is
//! changed. Both hold the directory's lock, so no node runs meanwhile.

mod buckets;
mod check;
mod cut;
mod hits;
mod inspect;
mod log;
mod mend;
mod node;
mod pending;
mod plain;
mod report;
mod set_aside;
mod shelf;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use crate::config::cli::{VolumeCheck, VolumeInspect};

/// The directory was checked and is damaged.
const DAMAGED: u8 = 1;
/// The directory could not be checked.
const UNKNOWN: u8 = 2;

/// `anode volume check`.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's output")]
pub fn check(arguments: &VolumeCheck) -> ExitCode {
    match futures::executor::block_on(check::run(arguments)) {
        Ok(report) => {
            println!("{}", if arguments.json { report.to_json() } else { report.to_text() });
            if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::from(DAMAGED) }
        }
        Err(reason) => {
            eprintln!("anode: {reason}");
            ExitCode::from(UNKNOWN)
        }
    }
}

/// `anode volume inspect`.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's output")]
pub fn inspect(arguments: &VolumeInspect) -> ExitCode {
    match futures::executor::block_on(inspect::run(arguments)) {
        Ok(text) => {
            println!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("anode: {reason}");
            ExitCode::from(UNKNOWN)
        }
    }
}
