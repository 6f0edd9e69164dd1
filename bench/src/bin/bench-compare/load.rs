//! Runs `anode-bench` and reads what it found.

use std::process::Command;

use serde_json::Value;

use crate::compare::Site;
use crate::failure::Failure;
use crate::running::Running;

/// Who signs the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signing {
    /// The key of the run.
    Signed,
    /// Nobody.
    Unsigned,
}

/// Runs it with these arguments, at most so many seconds; the JSON lines that it printed.
pub(crate) fn run(
    site: &Site<'_>,
    words: &[String],
    signing: Signing,
    seconds_max: f64,
) -> Result<Vec<Value>, Failure> {
    let mut command = Command::new(site.program("anode-bench"));
    command.args(words).env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command.env_remove("AWS_REGION");
    if signing == Signing::Signed {
        command.env("AWS_ACCESS_KEY_ID", &site.credentials.id);
        command.env("AWS_SECRET_ACCESS_KEY", &site.credentials.secret);
    }
    let mut running = Running::start(&mut command, &site.work.path().join("load"))?;
    let ended = running.await_end(&site.patience, seconds_max);
    let printed = running.words();
    let lines: Vec<Value> =
        printed.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    match ended {
        Ok(()) => Ok(lines),
        Err(error) if error.is_final() => Err(error),
        Err(error) => Err(lines
            .last()
            .map_or(error, |line| Failure::Case(format!("requests failed: {}", line["failures"])))),
    }
}
