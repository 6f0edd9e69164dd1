//! Logs: lines for people or JSON for machines, on standard error.

use tracing_subscriber::{EnvFilter, fmt::time::UtcTime};

use crate::config::{Error, LogSettings, cli::LogFormat};

/// Refuses a filter that can't be understood.
pub fn check(settings: &LogSettings) -> Result<EnvFilter, Error> {
    // `try_new` alone takes an unknown level for the name of a module.
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let unknown = settings.filter.split(',').find(|directive| {
        let level = directive.rsplit('=').next().unwrap_or_default().trim().to_ascii_lowercase();
        (directive.contains('=') || !directive.contains("::"))
            && !directive.contains(['[', '{'])
            && !levels.contains(&level.as_str())
    });
    if let Some(directive) = unknown {
        let problem = format!(
            "{directive:?} has no level; write LEVEL or MODULE=LEVEL, levels: {}",
            levels.join(", ")
        );
        return Err(Error::Value { setting: "log", problem });
    }
    EnvFilter::try_new(&settings.filter)
        .map_err(|error| Error::Value { setting: "log", problem: error.to_string() })
}

/// Starts logging; called once, before the first shard starts.
pub fn start_logs(settings: &LogSettings) -> Result<(), Error> {
    let filter = check(settings)?;
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
