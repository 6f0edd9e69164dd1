//! The node: wiring between the network, the shards and the disk.

pub mod host;
pub mod mesh;
