//! What is counted while a load runs.
//!
//! Throughput is what was completed within the window of the measurement. Latency is that of every request due within it,
//! also of those answered after it: a slow answer doesn't escape by being late.

use std::collections::BTreeMap;
use std::time::Duration;

use bench_shared::process::{self, Usage};
use hdrhistogram::Histogram;

use crate::operation::Operation;

/// The longest latency that is told apart, in nanoseconds: a day.
const LATENCY_NANOSECONDS_MAX: u64 = 86_400_000_000_000;
/// Kinds of failures that are counted apart.
const FAILURE_KIND_COUNT_MAX: usize = 32;

/// The figures of one operation.
#[derive(Debug)]
pub(crate) struct Series {
    /// From the due time to the last byte, in nanoseconds.
    pub(crate) latencies: Histogram<u64>,
    /// Operations completed within the window.
    pub(crate) completed: u64,
    /// Bytes of objects and listings that these moved.
    pub(crate) bytes: u64,
    /// Of the completed, those that found no object.
    pub(crate) absent: u64,
    /// Keys and common prefixes that these listed, where they are counted.
    pub(crate) entries: u64,
}

/// A point of the window: its time and what processes had used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// In nanoseconds of the load's clock.
    pub(crate) time: u64,
    pub(crate) own_cpu: Duration,
    pub(crate) server: Option<Usage>,
}

/// A finished operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    pub(crate) operation: Operation,
    /// When it should have started, in nanoseconds.
    pub(crate) due: u64,
    /// When its last byte came, in nanoseconds.
    pub(crate) at: u64,
    pub(crate) bytes: u64,
    pub(crate) absent: bool,
    /// Keys and common prefixes listed, where they are counted.
    pub(crate) entries: u64,
}

impl Finished {
    /// An operation that moved nothing.
    pub(crate) fn new(operation: Operation, due: u64, at: u64) -> Self {
        Self { operation, due, at, bytes: 0, absent: false, entries: 0 }
    }
}

/// Counts.
#[derive(Debug)]
pub(crate) struct Tally {
    server_ids: Vec<u32>,
    pub(crate) begin: Option<Mark>,
    pub(crate) end: Option<Mark>,
    pub(crate) series: BTreeMap<Operation, Series>,
    /// From the due time to the start, in nanoseconds: how late the load itself was.
    pub(crate) delays: Histogram<u64>,
    /// Kinds of failures and how often each came, in the warm-up too.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Requests that were due and never started.
    pub(crate) missed: u64,
}

impl Tally {
    /// A tally that isn't measuring yet.
    pub(crate) fn new(server_ids: &[u32]) -> Self {
        Self {
            server_ids: server_ids.to_vec(),
            begin: None,
            end: None,
            series: BTreeMap::new(),
            delays: histogram(),
            failures: BTreeMap::new(),
            missed: 0,
        }
    }

    /// The window begins.
    pub(crate) fn begin(&mut self, now: u64) {
        self.begin = Some(self.mark(now));
    }

    /// The window ends.
    pub(crate) fn end(&mut self, now: u64) {
        self.end = Some(self.mark(now));
    }

    /// A request due then was started then.
    pub(crate) fn started(&mut self, due: u64, now: u64) {
        if self.is_measured(due) {
            self.delays.saturating_record(now.saturating_sub(due));
        }
    }

    /// An operation succeeded.
    pub(crate) fn finished(&mut self, done: Finished) {
        let in_window = self.begin.is_some() && self.end.is_none();
        let measured = self.is_measured(done.due);
        let series = self.series.entry(done.operation).or_insert_with(Series::new);
        if measured {
            series.latencies.saturating_record(done.at.saturating_sub(done.due));
        }
        if in_window {
            series.completed += 1;
            series.bytes += done.bytes;
            series.absent += u64::from(done.absent);
            series.entries += done.entries;
        }
    }

    /// A request was due, and the end came before a connection was free: it waited at least until now.
    pub(crate) fn missed(&mut self, operation: Operation, due: u64, now: u64) {
        if !self.is_measured(due) {
            return;
        }
        self.missed += 1;
        let waited = now.saturating_sub(due);
        self.delays.saturating_record(waited);
        let series = self.series.entry(operation).or_insert_with(Series::new);
        series.latencies.saturating_record(waited);
    }

    /// An operation failed.
    pub(crate) fn failed(&mut self, kind: String) {
        let full = self.failures.len() >= FAILURE_KIND_COUNT_MAX;
        let kind =
            if full && !self.failures.contains_key(&kind) { "others".to_owned() } else { kind };
        *self.failures.entry(kind).or_default() += 1;
    }

    /// How many operations failed.
    pub(crate) fn failure_count(&self) -> u64 {
        self.failures.values().sum()
    }

    fn is_measured(&self, due: u64) -> bool {
        let after_begin = self.begin.is_some_and(|begin| due >= begin.time);
        after_begin && self.end.is_none_or(|end| due < end.time)
    }

    fn mark(&self, time: u64) -> Mark {
        let server = process::usage(&self.server_ids);
        Mark { time, own_cpu: process::own_cpu(), server }
    }
}

impl Series {
    fn new() -> Self {
        Self { latencies: histogram(), completed: 0, bytes: 0, absent: 0, entries: 0 }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NANOSECONDS_MAX, 3)
        .expect("three digits between a nanosecond and a day")
}

#[cfg(test)]
mod tests {
    use super::{Finished, Tally};
    use crate::operation::Operation;

    fn done(due: u64, at: u64) -> Finished {
        Finished { bytes: 10, ..Finished::new(Operation::Get, due, at) }
    }

    #[test]
    fn throughput_counts_the_window_and_latency_what_was_due_in_it() {
        let mut tally = Tally::new(&[]);
        tally.finished(done(1, 5));
        tally.begin(10);
        tally.finished(done(8, 12)); // due in the warm-up: throughput only
        tally.finished(done(11, 14)); // both
        tally.end(20);
        tally.finished(done(15, 1000)); // answered after the end: latency only
        tally.finished(done(20, 21)); // neither
        let series = &tally.series[&Operation::Get];
        assert_eq!((series.completed, series.bytes), (2, 20));
        assert_eq!((series.latencies.len(), series.latencies.max()), (2, 985));
    }

    #[test]
    fn what_was_never_started_is_in_the_latencies() {
        let mut tally = Tally::new(&[]);
        tally.begin(10);
        tally.end(1000);
        tally.missed(Operation::Put, 5, 1000);
        tally.missed(Operation::Put, 100, 1000);
        assert_eq!(tally.missed, 1);
        assert_eq!(tally.series[&Operation::Put].latencies.max(), 900);
        assert_eq!(tally.delays.max(), 900);
    }

    #[test]
    fn failures_are_counted_by_kind_and_kinds_are_bounded() {
        let mut tally = Tally::new(&[]);
        for kind in 0..100 {
            tally.failed(format!("{kind:03}"));
            tally.failed("000".to_owned());
        }
        assert_eq!(tally.failures["000"], 101);
        assert_eq!(tally.failures.len(), 33);
        assert_eq!(tally.failure_count(), 200);
    }
}
