//! What a node tells of itself: `GET /metrics`, in the text forms of OpenMetrics and Prometheus.
//!
//! A shard counts requests by itself and in plain numbers (`counts`); its storage keeps its own figures (`figures` puts
//! them together). The shard that takes a scrape asks all others by message, and waits for none of them beyond a bound
//! (`gather`). [`families`] is *the* list of what is shown: its twin for people is `docs/metrics.md`, and a test holds
//! them to each other. `text` writes the list in the form that the scraper understands.
//!
//! Labels are drawn from fixed sets (shards, groups, levels, operations, classes of status): never from what clients send.

mod counts;
pub mod families;
mod figures;
mod gather;
mod text;

pub(crate) use counts::Counts;
pub use counts::{BUCKETS, CLASSES, Counted, OPERATION_COUNT, OperationFigures, RequestFigures};
pub use figures::{ScrubFigures, ShardFigures, StorageFigures};
pub use gather::NodeFigures;
pub(crate) use gather::{Surveys, gather};
pub use text::Form;

/// For whom something is: metrics, SSE-C over plain HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exposure {
    /// Whoever connects from a loopback address, on this machine, and for nobody else.
    #[default]
    Loopback,
    /// Everybody who can connect.
    All,
    /// Nobody.
    Off,
}
