//! Logs: lines for people or JSON for machines, on standard error.

use tracing_subscriber::{EnvFilter, fmt::time::UtcTime};

use crate::config::{Error, LogSettings, cli::LogFormat};

/// Starts logging; called once, before the first shard starts.
pub fn start_logs(settings: &LogSettings) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&settings.filter)
        .map_err(|error| Error::Value { setting: "log", problem: error.to_string() })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_timer(UtcTime::rfc_3339());
    let started = match settings.format {
        LogFormat::Plain => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Error::Value { setting: "log", problem: error.to_string() })
}
