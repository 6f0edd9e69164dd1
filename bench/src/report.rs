//! What was measured: a table for people, one JSON line for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::arguments::{Arguments, Workload};
use crate::load::Outcome;
use crate::tally::{Mark, Tally};

/// The points of a distribution that a picture of it needs.
const QUANTILES: [f64; 15] =
    [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1.0];

/// The figures of one operation, or of all together. Times are microseconds.
#[derive(Debug, Serialize)]
struct Row {
    operation: &'static str,
    /// Completed within the window.
    count: u64,
    per_second: f64,
    bytes_per_second: f64,
    /// GET or HEAD of keys that aren't there, counted above.
    absent: u64,
    /// Keys and common prefixes of full listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    entries_per_second: Option<f64>,
    /// How many are in the percentiles: all that were due within the window.
    latency_count: u64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
}

/// A share of the operations took at most so long.
#[derive(Debug, Serialize)]
struct Point {
    quantile: f64,
    us: f64,
}

/// The report of a run; its JSON form is what scripts read.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    label: String,
    workload: Workload,
    address: String,
    concurrency: usize,
    /// Requests due a second; none in a closed loop.
    rate: Option<u64>,
    keys: u64,
    seed: u64,
    /// The window's length.
    seconds: f64,
    total: Row,
    operations: Vec<Row>,
    failure_count: u64,
    failures: BTreeMap<String, u64>,
    /// Due and never started, because no connection was free: the server couldn't keep up with the rate.
    missed_count: u64,
    /// How late the load itself started requests that were due.
    start_delay_p99_us: f64,
    start_delay_max_us: f64,
    client_cpu_us_per_operation: f64,
    server_cpu_us_per_operation: Option<f64>,
    server_resident_bytes: Option<u64>,
    server_resident_bytes_peak: Option<u64>,
    server_read_bytes_per_operation: Option<f64>,
    server_written_bytes_per_operation: Option<f64>,
    /// Points of the distribution of all latencies.
    latencies: Vec<Point>,
    broken_off: Option<String>,
}

impl Summary {
    /// Works out the figures.
    pub(crate) fn new(arguments: &Arguments, outcome: &Outcome) -> Self {
        let tally = &outcome.tally;
        let seconds = window_seconds(tally);
        let operations: Vec<Row> = tally
            .series
            .iter()
            .map(|(operation, series)| Row {
                absent: series.absent,
                entries_per_second: entries_per_second(series.entries, seconds),
                ..row(
                    operation.name(),
                    (series.completed, series.bytes),
                    &series.latencies,
                    seconds,
                )
            })
            .collect();
        let (total, latencies) = total(tally, seconds);
        let (read_bytes, written_bytes) = device_bytes_per_operation(tally, total.count);
        let (client_cpu, server_cpu) = cpu_us_per_operation(tally, total.count);
        let server = tally.end.and_then(|end| end.server);
        Self {
            label: arguments.label.clone(),
            workload: arguments.workload,
            address: arguments.address.to_string(),
            concurrency: arguments.concurrency,
            rate: arguments.rate.map(std::num::NonZero::get),
            keys: arguments.keys.get(),
            seed: arguments.seed,
            seconds,
            total,
            operations,
            failure_count: tally.failure_count(),
            failures: tally.failures.clone(),
            missed_count: tally.missed,
            start_delay_p99_us: micros(tally.delays.value_at_quantile(0.99)),
            start_delay_max_us: micros(tally.delays.max()),
            client_cpu_us_per_operation: client_cpu,
            server_cpu_us_per_operation: server_cpu,
            server_resident_bytes: server.map(|usage| usage.resident_bytes),
            server_resident_bytes_peak: server.map(|usage| usage.resident_bytes_peak),
            server_read_bytes_per_operation: read_bytes,
            server_written_bytes_per_operation: written_bytes,
            latencies: points(&latencies),
            broken_off: outcome.broken_off.clone(),
        }
    }

    /// How many operations failed.
    pub(crate) fn failure_count(&self) -> u64 {
        self.failure_count
    }

    /// One line of JSON.
    pub(crate) fn line(&self) -> String {
        serde_json::to_string(self).expect("numbers and names")
    }

    /// A table.
    pub(crate) fn table(&self) -> String {
        let mut table = format!(
            "{:<10} {:>10} {:>10} {:>9} {:>10} {:>10} {:>10} {:>10}",
            "operation", "count", "per s", "MB/s", "p50 us", "p99 us", "p99.9 us", "max us"
        );
        let total = (self.operations.len() != 1).then_some(&self.total);
        for row in self.operations.iter().chain(total) {
            let line = format!(
                "\n{:<10} {:>10} {:>10.0} {:>9.1} {:>10.1} {:>10.1} {:>10.1} {:>10.1}",
                row.operation,
                row.count,
                row.per_second,
                row.bytes_per_second / 1e6,
                row.p50_us,
                row.p99_us,
                row.p999_us,
                row.max_us
            );
            table.push_str(&line);
        }
        self.notes(&mut table).expect("a string takes all text");
        table
    }

    fn notes(&self, table: &mut String) -> std::fmt::Result {
        let rate = self
            .rate
            .map_or_else(|| "closed loop".to_owned(), |rate| format!("open loop, {rate}/s due"));
        write!(table, "\n{:.2} s, {rate}, {} at a time, ", self.seconds, self.concurrency)?;
        write!(table, "{:.1} us CPU an operation here", self.client_cpu_us_per_operation)?;
        if let Some(cpu) = self.server_cpu_us_per_operation {
            write!(table, ", {cpu:.1} us in the server")?;
        }
        if let (Some(now), Some(peak)) =
            (self.server_resident_bytes, self.server_resident_bytes_peak)
        {
            write!(table, "\nserver: {} MiB resident, {} MiB at most", now >> 20, peak >> 20)?;
        }
        if self.rate.is_some() {
            let (p99, max) = (self.start_delay_p99_us, self.start_delay_max_us);
            write!(table, "\nstarted after they were due by: p99 {p99:.1} us, max {max:.1} us")?;
        }
        if self.missed_count > 0 {
            write!(table, "\n{} requests were due and never started: ", self.missed_count)?;
            write!(table, "the percentiles count how long they had waited at the end")?;
        }
        if let Some(entries) = self.total.entries_per_second {
            write!(
                table,
                "\n{entries:.0} keys and common prefixes a second, {:.1} a page",
                entries / self.total.per_second
            )?;
        }
        if self.total.absent > 0 {
            write!(table, "\n{} found no object", self.total.absent)?;
        }
        for (kind, count) in &self.failures {
            write!(table, "\nFAILED {count} x {kind}")?;
        }
        Ok(())
    }
}

fn total(tally: &Tally, seconds: f64) -> (Row, Histogram<u64>) {
    let mut latencies: Option<Histogram<u64>> = None;
    let (mut counts, mut absent, mut entries) = ((0, 0), 0, 0);
    for series in tally.series.values() {
        counts = (counts.0 + series.completed, counts.1 + series.bytes);
        absent += series.absent;
        entries += series.entries;
        match &mut latencies {
            Some(sum) => sum.add(&series.latencies).expect("histograms of one shape"),
            None => latencies = Some(series.latencies.clone()),
        }
    }
    let latencies = latencies.unwrap_or_else(|| Histogram::new(3).expect("three digits"));
    let entries_per_second = entries_per_second(entries, seconds);
    let row = Row { absent, entries_per_second, ..row("all", counts, &latencies, seconds) };
    (row, latencies)
}

#[expect(clippy::cast_precision_loss, reason = "figures of a report, not of a ledger")]
fn row(
    operation: &'static str,
    (count, bytes): (u64, u64),
    latencies: &Histogram<u64>,
    seconds: f64,
) -> Row {
    let at = |quantile: f64| micros(latencies.value_at_quantile(quantile));
    Row {
        operation,
        count,
        per_second: count as f64 / seconds,
        bytes_per_second: bytes as f64 / seconds,
        absent: 0,
        entries_per_second: None,
        latency_count: latencies.len(),
        p50_us: at(0.5),
        p99_us: at(0.99),
        p999_us: at(0.999),
        max_us: micros(latencies.max()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures of a report, not of a ledger")]
fn entries_per_second(count: u64, seconds: f64) -> Option<f64> {
    (count > 0).then(|| count as f64 / seconds)
}

/// Of the client, and of the server where it was watched.
#[expect(clippy::cast_precision_loss, reason = "figures of a report, not of a ledger")]
fn cpu_us_per_operation(tally: &Tally, count: u64) -> (f64, Option<f64>) {
    let (Some(begin), Some(end)) = (tally.begin, tally.end) else { return (0.0, None) };
    let share = |seconds: f64| seconds * 1e6 / count.max(1) as f64;
    let own = end.own_cpu.saturating_sub(begin.own_cpu).as_secs_f64();
    let server = begin.server.zip(end.server);
    (share(own), server.map(|(begin, end)| share(end.cpu_seconds_since(&begin))))
}

#[expect(clippy::cast_precision_loss, reason = "figures of a report, not of a ledger")]
fn device_bytes_per_operation(tally: &Tally, count: u64) -> (Option<f64>, Option<f64>) {
    let device = |mark: Option<Mark>| mark?.server?.device_bytes;
    let Some((begin, end)) = device(tally.begin).zip(device(tally.end)) else {
        return (None, None);
    };
    let share = |from: u64, to: u64| to.saturating_sub(from) as f64 / count.max(1) as f64;
    (Some(share(begin.read, end.read)), Some(share(begin.written, end.written)))
}

fn points(latencies: &Histogram<u64>) -> Vec<Point> {
    let us = |quantile| micros(latencies.value_at_quantile(quantile));
    QUANTILES.into_iter().map(|quantile| Point { quantile, us: us(quantile) }).collect()
}

/// Never 0, so that rates are numbers.
fn window_seconds(tally: &Tally) -> f64 {
    let (Some(begin), Some(end)) = (tally.begin, tally.end) else { return 1.0 };
    std::time::Duration::from_nanos(end.time.saturating_sub(begin.time).max(1)).as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a latency below 2^52 ns is exact")]
fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}
