//! How fast scrub may read. Time is an argument: nanoseconds of a clock that only goes on.

use std::time::Duration;

/// A pass is planned to take this share of its period, so that a busy device still keeps it.
const PLANNED_PERCENT: u64 = 50;
/// The slowest rate, in bytes a second: a small store is read quickly, then left alone.
const RATE_BYTES_MIN: u64 = 4 << 20;

/// The rate, in bytes a second, that reads `total_bytes` well within `period`, and never more than `rate_max`.
pub fn rate(total_bytes: u64, period: Duration, rate_max: u64) -> u64 {
    let planned_seconds = (period.as_secs() * PLANNED_PERCENT / 100).max(1);
    (total_bytes / planned_seconds).max(RATE_BYTES_MIN).min(rate_max).max(1)
}

/// Keeps to a rate, whatever the sizes of the pieces: time that was not used is not made up for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// When what was read so far is paid for.
    free_at: u64,
}

impl Pace {
    /// Pays for `bytes` that were read, at `rate` bytes a second: how long to wait before the next read.
    pub fn spend(&mut self, bytes: u64, rate: u64, now: u64) -> Duration {
        let cost = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        self.free_at = self.free_at.max(now).saturating_add(cost);
        Duration::from_nanos(self.free_at - now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Pace, RATE_BYTES_MIN, rate};
    use crate::testing::Random;

    #[test]
    fn no_stretch_of_time_sees_more_than_the_rate_and_one_piece() {
        let (mut random, mut pace, mut now) = (Random::new(1), Pace::default(), 7);
        let (mut bytes, mut largest, started) = (0, 0, now);
        for _ in 0..10_000 {
            let piece = random.below(2 << 20);
            now += random.below(30_000_000);
            now += u64::try_from(pace.spend(piece, 32 << 20, now).as_nanos()).unwrap();
            bytes += piece;
            largest = largest.max(piece);
            let allowed = u128::from(now - started) * (32 << 20) / 1_000_000_000;
            assert!(u128::from(bytes) <= allowed + u128::from(largest));
        }
    }

    #[test]
    fn the_rate_follows_the_period_within_its_bounds() {
        let week = Duration::from_hours(7 * 24);
        assert_eq!(rate(1 << 20, week, 32 << 20), RATE_BYTES_MIN);
        let planned = rate(6 << 40, week, 32 << 20);
        assert_eq!(planned, (6 << 40) / (7 * 12 * 3600), "6 TiB in half a week");
        assert_eq!(rate(100 << 40, week, 32 << 20), 32 << 20);
        assert_eq!(rate(1, week, 1000), 1000);
    }
}
