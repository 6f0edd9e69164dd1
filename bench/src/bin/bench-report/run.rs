//! The results of one run of `bench-compare`, and the figures of its rounds.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::Failure;
use crate::numbers::median;

/// A figure of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Microseconds.
    P50,
    P99,
    P999,
    /// The longest of all rounds.
    Max,
    PerSecond,
    BytesPerSecond,
    /// Keys and common prefixes of full listings.
    EntriesPerSecond,
    /// Microseconds an operation.
    ServerCpu,
    ClientCpu,
    /// An operation.
    BytesRead,
    BytesWritten,
    /// The most of all rounds, in bytes.
    ResidentPeak,
    /// In bytes.
    Resident,
    /// Of one core.
    CpuShare,
}

/// A server and what it promises.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) durability: String,
    /// Why it was not measured.
    pub(crate) problem: Option<String>,
}

/// A line of the results.
#[derive(Debug, Deserialize)]
struct Line {
    kind: String,
    /// Empty for limits.
    server: String,
    label: String,
    problem: Option<String>,
    #[serde(flatten)]
    figures: BTreeMap<String, Value>,
}

/// A run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) machine: BTreeMap<String, Value>,
    pub(crate) servers: Vec<Server>,
    /// What could not be measured: the server, the label and why.
    pub(crate) problems: Vec<String>,
    /// The rounds of each server and label.
    rounds: BTreeMap<(String, String), Vec<Value>>,
    /// Labels in the order of the run.
    pub(crate) labels: Vec<String>,
}

impl Field {
    fn pointer(self) -> &'static str {
        match self {
            Self::P50 => "/total/p50_us",
            Self::P99 => "/total/p99_us",
            Self::P999 => "/total/p999_us",
            Self::Max => "/total/max_us",
            Self::PerSecond => "/total/per_second",
            Self::BytesPerSecond => "/total/bytes_per_second",
            Self::EntriesPerSecond => "/total/entries_per_second",
            Self::ServerCpu => "/server_cpu_us_per_operation",
            Self::ClientCpu => "/client_cpu_us_per_operation",
            Self::BytesRead => "/server_read_bytes_per_operation",
            Self::BytesWritten => "/server_written_bytes_per_operation",
            Self::ResidentPeak => "/server_resident_bytes_peak",
            Self::Resident => "/resident_bytes",
            Self::CpuShare => "/cpu_share",
        }
    }

    /// Of the rounds: the worst of what must never be, the median of the others.
    fn of_rounds(self, values: &[f64]) -> Option<f64> {
        if matches!(self, Self::Max | Self::ResidentPeak) {
            values.iter().copied().reduce(f64::max)
        } else {
            median(values)
        }
    }
}

impl Run {
    /// Reads a file of results.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(Failure::file(path))?;
        Self::parse(&text).map_err(|problem| Failure::Content { path: path.to_owned(), problem })
    }

    /// Takes lines of results.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut run = Self {
            machine: BTreeMap::new(),
            servers: Vec::new(),
            problems: Vec::new(),
            rounds: BTreeMap::new(),
            labels: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            let line = serde_json::from_str(line);
            run.take(line.map_err(|error| format!("line {}: {error}", index + 1))?);
        }
        if run.machine.is_empty() {
            return Err("the line of the machine is missing".to_owned());
        }
        Ok(run)
    }

    fn take(&mut self, line: Line) {
        let text = |name: &str| {
            line.figures.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        match (line.kind.as_str(), &line.problem) {
            ("machine", _) => self.machine = line.figures,
            ("server", _) => self.servers.push(Server {
                version: text("version"),
                durability: text("durability"),
                name: line.server,
                problem: line.problem,
            }),
            (_, Some(problem)) => {
                let problem = format!("{} {}: {problem}", line.server, line.label);
                let problem = problem.trim().to_owned();
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
            }
            _ => {
                if !self.labels.contains(&line.label) {
                    self.labels.push(line.label.clone());
                }
                let figures = Value::Object(line.figures.into_iter().collect());
                self.rounds.entry((line.server, line.label)).or_default().push(figures);
            }
        }
    }

    /// When it began.
    pub(crate) fn date(&self) -> String {
        self.told("date")
    }

    /// What its file is called: date and commit.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.date().replace([':', 'Z'], ""), self.told("commit"))
    }

    /// What the machine's line says.
    pub(crate) fn told(&self, name: &str) -> String {
        match self.machine.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        }
    }

    /// The same as a number.
    pub(crate) fn told_number(&self, name: &str) -> Option<f64> {
        self.machine.get(name)?.as_f64()
    }

    /// The rounds of a server, or of a limit where `server` is empty.
    fn rounds(&self, server: &str, label: &str) -> &[Value] {
        let key = (server.to_owned(), label.to_owned());
        self.rounds.get(&key).map(Vec::as_slice).unwrap_or_default()
    }

    fn values(&self, server: &str, label: &str, field: Field) -> Vec<f64> {
        let value = |round: &Value| round.pointer(field.pointer()).and_then(Value::as_f64);
        self.rounds(server, label).iter().filter_map(value).collect()
    }

    /// A figure over all rounds.
    pub(crate) fn figure(&self, server: &str, label: &str, field: Field) -> Option<f64> {
        field.of_rounds(&self.values(server, label, field))
    }

    /// The least and the greatest of the rounds.
    pub(crate) fn spread(&self, server: &str, label: &str, field: Field) -> Option<[f64; 2]> {
        let values = self.values(server, label, field);
        let least = values.iter().copied().reduce(f64::min)?;
        Some([least, values.iter().copied().reduce(f64::max)?])
    }

    /// The most memory of a server under any load, in bytes.
    pub(crate) fn resident_peak(&self, server: &str) -> Option<f64> {
        let peaks = self.labels.iter();
        peaks.filter_map(|label| self.figure(server, label, Field::ResidentPeak)).reduce(f64::max)
    }

    /// Points of the latency distribution, by quantile: the median of the rounds, in microseconds.
    pub(crate) fn distribution(&self, server: &str, label: &str) -> Vec<[f64; 2]> {
        let mut points: Vec<[f64; 2]> = Vec::new();
        let rounds = self.rounds(server, label);
        let quantiles = rounds.first().and_then(|round| round["latencies"].as_array());
        for (index, point) in quantiles.into_iter().flatten().enumerate() {
            let at = |round: &Value| round["latencies"][index]["us"].as_f64();
            let values: Vec<f64> = rounds.iter().filter_map(at).collect();
            if let Some((quantile, value)) = point["quantile"].as_f64().zip(median(&values)) {
                points.push([quantile, value]);
            }
        }
        points
    }

    /// The servers that were measured.
    pub(crate) fn measured(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| server.problem.is_none())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Field, Run};

    /// Two rounds of a limit and a server, and a peer that is absent.
    pub(crate) const TEXT: &str = r#"{"kind":"machine","server":"","round":0,"cores":2,"date":"2026-01-02T03:04:05Z","commit":"abc","memory_budget_bytes":536870912,"label":"machine"}
{"kind":"server","server":"anode","round":0,"version":"anode 1","durability":"flushed","label":"server"}
{"kind":"server","server":"garage-fsync","round":0,"problem":"not installed","durability":"on","label":"server"}
{"kind":"limit","server":"","round":1,"total":{"p50_us":100.0},"label":"fio-write-4k"}
{"kind":"limit","server":"","round":2,"total":{"p50_us":80.0},"label":"fio-write-4k"}
{"kind":"load","server":"anode","round":1,"total":{"p50_us":110.0,"max_us":500.0,"per_second":10.0},"server_resident_bytes_peak":1000,"latencies":[{"quantile":0.5,"us":110.0},{"quantile":1.0,"us":500.0}],"label":"put-1k-c1"}
{"kind":"load","server":"anode","round":2,"total":{"p50_us":130.0,"max_us":900.0,"per_second":20.0},"server_resident_bytes_peak":3000,"latencies":[{"quantile":0.5,"us":130.0},{"quantile":1.0,"us":900.0}],"label":"put-1k-c1"}
{"kind":"problem","server":"anode","round":1,"problem":"it broke","label":"get-1k-c1"}
"#;

    #[test]
    fn rounds_become_figures() {
        let run = Run::parse(TEXT).unwrap();
        assert_eq!(run.name(), "2026-01-02T030405-abc");
        assert_eq!(run.figure("", "fio-write-4k", Field::P50), Some(90.0));
        assert_eq!(run.figure("anode", "put-1k-c1", Field::P50), Some(120.0));
        assert_eq!(run.figure("anode", "put-1k-c1", Field::Max), Some(900.0));
        assert_eq!(run.spread("anode", "put-1k-c1", Field::PerSecond), Some([10.0, 20.0]));
        assert_eq!(run.figure("anode", "get-1k-c1", Field::P50), None);
        assert_eq!(run.resident_peak("anode"), Some(3000.0));
        assert_eq!(run.distribution("anode", "put-1k-c1"), [[0.5, 120.0], [1.0, 700.0]]);
        assert_eq!(run.problems, ["anode get-1k-c1: it broke"]);
        assert_eq!(run.measured().count(), 1);
        assert!(Run::parse("").is_err() && Run::parse("{}").is_err());
    }
}
