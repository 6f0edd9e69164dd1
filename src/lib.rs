//! The node: wiring between the network, the shards and the disk. The only crate that sees everything.

pub mod config;
pub mod credentials;
pub mod host;
pub mod limits;
pub mod mesh;
pub mod observe;
pub mod preflight;
pub mod sim;

#[cfg(test)]
mod tidy;
