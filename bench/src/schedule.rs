//! When requests are due. Pure: times are arguments, in nanoseconds of the load's clock.
//!
//! In a closed loop a request is due as soon as a connection is free. In an open loop request `n` is due at `begin + n /
//! rate`, whatever became of earlier ones, and its latency counts from then: a server that stalls can't make the load
//! wait for it and so hide the stall (coordinated omission). What was due and never started is handed out at the end, to
//! be counted too.

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As fast as connections become free.
    Closed,
    /// So many a second.
    Open(u64),
}

/// The due times of a load.
#[derive(Debug)]
pub(crate) struct Schedule {
    pace: Pace,
    begin: u64,
    end: u64,
    started: u64,
}

impl Schedule {
    /// Requests are due from `begin` until before `end`.
    pub(crate) fn new(pace: Pace, begin: u64, end: u64) -> Self {
        if let Pace::Open(rate) = pace {
            assert!(rate > 0, "a rate is above 0");
        }
        Self { pace, begin, end, started: 0 }
    }

    /// When the next request is due, perhaps in the past; `None` after the end.
    pub(crate) fn next_due(&self, now: u64) -> Option<u64> {
        let due = match self.pace {
            Pace::Closed => now.max(self.begin),
            Pace::Open(rate) => self.due(self.started, rate),
        };
        (now < self.end && due < self.end).then_some(due)
    }

    /// The next request was started.
    pub(crate) fn advance(&mut self) {
        self.started += 1;
    }

    /// No request is due any more.
    pub(crate) fn stop(&mut self, now: u64) {
        self.end = self.end.min(now);
    }

    /// The due times before the end of requests that were never started.
    pub(crate) fn missed(&self) -> impl Iterator<Item = u64> {
        let pace = match self.pace {
            Pace::Closed => None,
            Pace::Open(rate) => Some(rate),
        };
        pace.into_iter().flat_map(move |rate| {
            (self.started..).map(move |nth| self.due(nth, rate)).take_while(|due| *due < self.end)
        })
    }

    /// When the request of that number is due. In two steps, so that no rounding adds up.
    fn due(&self, nth: u64, rate: u64) -> u64 {
        const SECOND: u64 = 1_000_000_000;
        self.begin + (nth / rate) * SECOND + (nth % rate) * SECOND / rate
    }
}

#[cfg(test)]
mod tests {
    use super::{Pace, Schedule};

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn an_open_loop_keeps_its_times_whatever_was_started() {
        let mut schedule = Schedule::new(Pace::Open(3), 5 * SECOND, 7 * SECOND);
        let mut due = Vec::new();
        while let Some(next) = schedule.next_due(6 * SECOND) {
            due.push(next - 5 * SECOND);
            schedule.advance();
        }
        assert_eq!(due, [0, 333_333_333, 666_666_666, SECOND, 1_333_333_333, 1_666_666_666]);
        assert_eq!(schedule.missed().count(), 0);
    }

    #[test]
    fn what_was_due_and_not_started_is_missed() {
        let mut schedule = Schedule::new(Pace::Open(1000), 0, SECOND);
        for _ in 0..990 {
            schedule.advance();
        }
        assert_eq!(schedule.next_due(SECOND), None, "the end has come");
        let missed: Vec<u64> = schedule.missed().collect();
        assert_eq!(missed.len(), 10);
        assert_eq!(missed[0], 990 * 1_000_000);
        schedule.stop(SECOND / 2);
        assert_eq!(schedule.missed().count(), 0, "what comes after a stop was never due");
    }

    #[test]
    fn a_closed_loop_is_due_at_once_and_misses_nothing() {
        let mut schedule = Schedule::new(Pace::Closed, 0, SECOND);
        assert_eq!(schedule.next_due(7), Some(7));
        schedule.advance();
        assert_eq!(schedule.next_due(9), Some(9));
        assert_eq!(schedule.next_due(SECOND), None);
        assert_eq!(schedule.missed().count(), 0);
    }
}
