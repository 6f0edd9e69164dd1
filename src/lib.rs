//! The node: wiring between the network, the shards and the disk. The only crate that sees everything.

pub mod config;
pub mod layout;
pub mod lifecycle;
pub mod limits;
pub mod notification;
pub mod outbound;
pub mod preflight;
pub mod credentials;
pub mod observe;
pub mod node;
pub mod quota;
pub mod scrub;
pub mod upkeep;
pub mod shard;
pub mod connection;
pub mod transport;
pub mod exchange;
pub mod encryption;
pub mod authorize;
pub mod gateway;
pub mod mesh;
pub mod meta;
pub mod metrics;
mod answer;
mod chunk_cache;
mod ending;
mod names;
mod outage;
mod permission;
mod space;
pub mod storage_class;
mod told;
pub mod host;
pub mod iam;
pub mod volume_tool;
pub mod sim;

#[cfg(test)]
mod tidy;
