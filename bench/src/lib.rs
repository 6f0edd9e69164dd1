//! What the programs of this crate share: the named workloads, and the figures of processes.

#![forbid(unsafe_code)]

pub mod named;
pub mod process;
