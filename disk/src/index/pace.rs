//! How fast upkeep goes on, so that requests hardly notice it and it never falls behind.
//!
//! It works in *steps* and gives the core away after each: a step handles at most [`STEP_ENTRIES_MAX`] entries and about
//! [`STEP_BYTES_MAX`] bytes of them, which is some 100 us. One read or one write of it is in flight at a time. Between
//! steps it rests so that its bytes keep to a rate, and the rate follows the *debt*: how near the index is to where a
//! flush waits for compaction or writers wait for space. Without debt it is [`RATE_BYTES_MIN`] a second; it doubles
//! with every sixth of the way, and at the end nothing rests.
//!
//! There is no clock here: who runs upkeep lends it one by [`Surroundings`].

use std::{future::ready, time::Duration};

use futures::future::LocalBoxFuture;

use crate::{
    device::Directory,
    error::Error,
    index::{notify::give_way, shared::Shared, space},
};

/// Entries handled between two moments at which other tasks may run.
pub(crate) const STEP_ENTRIES_MAX: u64 = 128;
/// Bytes of keys, values and inline payloads handled in between, but for the last entry.
pub(crate) const STEP_BYTES_MAX: u64 = 64 << 10;

/// The rate of upkeep far from all limits, in bytes a second.
const RATE_BYTES_MIN: u64 = 16 << 20;
/// How often the rate has doubled before nothing rests any more.
const DOUBLINGS: u64 = 6;
/// It rests after this many bytes: timers cost, too.
const REST_BYTES: u64 = 256 << 10;
/// The debt at which nothing rests, in percent.
const DEBT_MAX: u64 = 100;

/// What upkeep needs of who runs it.
pub trait Surroundings {
    /// Completes after `pause`.
    fn rest(&self, pause: Duration) -> LocalBoxFuture<'_, ()>;
    /// Compaction met damage in a table. It is said once a table, which from then on is read and never compacted.
    fn damaged(&self, error: &Error);
}

/// No rest, and nobody to tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlatOut;

impl Surroundings for FlatOut {
    fn rest(&self, _pause: Duration) -> LocalBoxFuture<'_, ()> {
        Box::pin(ready(()))
    }

    fn damaged(&self, _error: &Error) {}
}

/// Keeps one compaction to its rate.
pub(crate) struct Pace<'a> {
    surroundings: &'a dyn Surroundings,
    /// Since it last rested.
    bytes: u64,
}

impl<'a> Pace<'a> {
    pub(crate) fn new(surroundings: &'a dyn Surroundings) -> Self {
        Self { surroundings, bytes: 0 }
    }

    /// After a step of `bytes`: lets other tasks run, and rests where the rate wants it.
    pub(crate) async fn step<D: Directory>(&mut self, shared: &Shared<D>, bytes: u64) {
        give_way().await;
        self.bytes += bytes;
        if self.bytes < REST_BYTES {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        if let Some(rate) = rate(debt(shared)) {
            self.surroundings.rest(pause(bytes, rate)).await;
        }
    }
}

/// How near the index is to making others wait, in percent.
fn debt<D: Directory>(shared: &Shared<D>) -> u64 {
    let state = shared.state.borrow();
    if state.stopping || shared.awaited.get() > 0 || space::is_pressing(shared, &state) {
        return DEBT_MAX;
    }
    state.version.debt(&shared.options)
}

/// Bytes a second at that debt; none where nothing rests.
fn rate(debt: u64) -> Option<u64> {
    (debt < DEBT_MAX).then(|| RATE_BYTES_MIN << (debt * DOUBLINGS / DEBT_MAX))
}

fn pause(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DEBT_MAX, RATE_BYTES_MIN, REST_BYTES, pause, rate};

    #[test]
    fn the_rate_grows_with_the_debt_until_nothing_rests() {
        assert_eq!(rate(0), Some(RATE_BYTES_MIN));
        assert!((1..DEBT_MAX).all(|debt| rate(debt) >= rate(debt - 1)));
        assert_eq!(rate(DEBT_MAX - 1), Some(RATE_BYTES_MIN << 5));
        assert_eq!(rate(DEBT_MAX), None);
        assert_eq!(rate(900), None);
        assert_eq!(pause(REST_BYTES, RATE_BYTES_MIN), Duration::from_micros(15_625));
    }
}
