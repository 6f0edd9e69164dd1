//! Writes the figures of a node in the text form that its reader asked for.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, prometheus_text, text},
    registry::Registry,
};

use super::{families, gather::NodeFigures};

/// A text form of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus's own, 0.0.4: for whoever doesn't ask for the other.
    Prometheus,
}

impl Form {
    /// What a reader gets that sends this `Accept`.
    pub fn accepted(accept: Option<&str>) -> Self {
        let is_open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        if is_open { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
        }
    }

    /// Writes all families.
    pub(crate) fn encode(self, node: NodeFigures) -> String {
        let mut registry = Registry::with_prefix(families::PREFIX);
        registry.register_collector(Box::new(node));
        let mut buffer = String::new();
        let encoded = match self {
            Self::OpenMetrics => text::encode(&mut buffer, &registry),
            Self::Prometheus => prometheus_text::encode(&mut buffer, &registry),
        };
        encoded.expect("a string takes all that is written to it");
        buffer
    }
}

impl Collector for NodeFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        families::all().try_for_each(|family| family.write(self, &mut encoder))
    }
}
