//! The only clock of the load generator: nanoseconds since it was made, seconds since the epoch for signatures.

use std::time::Duration;

/// A clock that never goes back.
#[derive(Debug)]
pub(crate) struct Clock {
    #[expect(clippy::disallowed_types, reason = "a load generator measures time")]
    started: std::time::Instant,
    started_wall: Duration,
}

impl Clock {
    /// Starts at 0.
    #[expect(
        clippy::disallowed_types,
        reason = "a load generator measures and signs with the time"
    )]
    pub(crate) fn new() -> Self {
        let started_wall = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self { started: std::time::Instant::now(), started_wall }
    }

    /// Nanoseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        nanoseconds(self.started.elapsed())
    }

    /// Seconds since the epoch at a time of this clock.
    pub(crate) fn wall_seconds(&self, now: u64) -> i64 {
        let seconds = self.started_wall.saturating_add(Duration::from_nanos(now)).as_secs();
        i64::try_from(seconds).unwrap_or(i64::MAX)
    }
}

/// A duration in nanoseconds, at most 584 years.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
