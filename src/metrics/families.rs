//! The list of all metrics: name, kind, unit, what it means, and where its value comes from.
//!
//! A row is a *family*: samples of one name that differ in labels. On the wire a name is `anode_`, the row's name, its unit,
//! and `_total` where it counts; a family of shards has the label `shard` in front of its own. Counters begin with the
//! process unless a row says otherwise.

mod classes;
mod node;
mod requests;
mod storage;

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry,
};

use super::{
    counts::{BUCKETS, OperationFigures},
    figures::{ShardFigures, StorageFigures},
    gather::NodeFigures,
};

/// What every name begins with.
pub const PREFIX: &str = "anode";

/// Samples of one name.
#[derive(Debug)]
pub struct Family {
    /// The name without prefix, unit and suffix.
    pub name: &'static str,
    /// How the values move.
    pub kind: MetricType,
    /// What they are in.
    pub unit: Unit,
    /// What they mean, in a sentence.
    pub help: &'static str,
    read: Read,
}

/// What values are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things that are counted.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// Where the samples of a family come from.
#[derive(Clone, Copy, Debug)]
enum Read {
    Node(fn(&NodeFigures, &mut Samples<'_>) -> fmt::Result),
    Shards(fn(&ShardFigures, &mut Samples<'_>) -> fmt::Result),
    Storages(fn(&StorageFigures, &mut Samples<'_>) -> fmt::Result),
}

/// All families, in the order in which they are shown.
pub fn all() -> impl Iterator<Item = &'static Family> {
    node::FAMILIES
        .iter()
        .chain(&requests::FAMILIES)
        .chain(&storage::FAMILIES)
        .chain(&classes::FAMILIES)
}

const fn family(kind: MetricType, name: &'static str, help: &'static str, read: Read) -> Family {
    Family { name, kind, unit: Unit::Count, help, read }
}

const fn gauge(name: &'static str, help: &'static str, read: Read) -> Family {
    family(MetricType::Gauge, name, help, read)
}

const fn counter(name: &'static str, help: &'static str, read: Read) -> Family {
    family(MetricType::Counter, name, help, read)
}

impl Family {
    const fn in_bytes(self) -> Self {
        Self { unit: Unit::Bytes, ..self }
    }

    const fn in_seconds(self) -> Self {
        Self { unit: Unit::Seconds, ..self }
    }

    /// The whole name, as in a query; that of a histogram without its suffixes.
    pub fn full_name(&self) -> String {
        let unit = match self.unit {
            Unit::Count => "",
            Unit::Bytes => "_bytes",
            Unit::Seconds => "_seconds",
        };
        let suffix = match self.kind {
            MetricType::Counter => "_total",
            MetricType::Info => "_info",
            MetricType::Gauge | MetricType::Histogram | MetricType::Unknown => "",
        };
        format!("{PREFIX}_{}{unit}{suffix}", self.name)
    }

    /// Writes it.
    pub(super) fn write(
        &self,
        node: &NodeFigures,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> fmt::Result {
        let unit = match self.unit {
            Unit::Count => None,
            Unit::Bytes => Some(&registry::Unit::Bytes),
            Unit::Seconds => Some(&registry::Unit::Seconds),
        };
        let encoder = encoder.encode_descriptor(self.name, self.help, unit, self.kind)?;
        let mut samples = Samples { kind: self.kind, shard: None, encoder };
        match self.read {
            Read::Node(read) => read(node, &mut samples)?,
            Read::Shards(read) => {
                for (shard, figures) in node.answered() {
                    samples.shard = Some(shard.to_string());
                    read(figures, &mut samples)?;
                }
            }
            Read::Storages(read) => {
                for (shard, figures) in node.answered() {
                    samples.shard = Some(shard.to_string());
                    figures.storage.iter().try_for_each(|storage| read(storage, &mut samples))?;
                }
            }
        }
        Ok(())
    }
}

/// Where the samples of one family go.
struct Samples<'a> {
    kind: MetricType,
    /// The label that all of them have, where they are a shard's.
    shard: Option<String>,
    encoder: MetricEncoder<'a>,
}

impl Samples<'_> {
    /// One sample with these labels.
    fn put(&mut self, labels: &[(&str, &str)], value: u64) -> fmt::Result {
        let kind = self.kind;
        self.with(labels, |mut metric| match kind {
            MetricType::Counter => metric.encode_counter::<NoLabelSet, _, u64>(&value, None),
            MetricType::Gauge | MetricType::Histogram | MetricType::Info | MetricType::Unknown => {
                metric.encode_gauge(&value)
            }
        })
    }

    /// One sample of milliseconds, in seconds.
    fn put_milliseconds(&mut self, milliseconds: u64) -> fmt::Result {
        self.put_milliseconds_with(&[], milliseconds)
    }

    /// The same with these labels.
    fn put_milliseconds_with(&mut self, labels: &[(&str, &str)], milliseconds: u64) -> fmt::Result {
        let seconds = std::time::Duration::from_millis(milliseconds).as_secs_f64();
        self.with(labels, |mut metric| metric.encode_gauge(&seconds))
    }

    /// The histogram of an operation.
    fn put_histogram(
        &mut self,
        labels: &[(&str, &str)],
        figures: &OperationFigures,
    ) -> fmt::Result {
        let seconds = |nanoseconds| std::time::Duration::from_nanos(nanoseconds).as_secs_f64();
        let ends = BUCKETS.iter().map(|end| seconds(*end)).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = ends.zip(figures.buckets).collect();
        let (sum, count) = (seconds(figures.nanoseconds), figures.count());
        self.with(labels, |mut metric| {
            metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        })
    }

    /// The one sample of an info, which is all labels.
    fn put_info(&mut self, labels: &[(&str, &str)]) -> fmt::Result {
        self.encoder.encode_info(&labels)
    }

    fn with(
        &mut self,
        labels: &[(&str, &str)],
        encode: impl FnOnce(MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let shard = self.shard.iter().map(|shard| ("shard", shard.as_str()));
        let labels: Vec<(&str, &str)> = shard.chain(labels.iter().copied()).collect();
        encode(self.encoder.encode_family(&labels)?)
    }
}

#[cfg(test)]
mod tests;
