//! The deterministic simulation: whole nodes in one thread, with virtual time, simulated disks and a simulated
//! network, all drawn from one seed. The same seed gives the same trace.
//!
//! What it does not cover: real kernels (io_uring, direct I/O, TCP), more than one thread, time that passes while
//! code runs (an operation takes no time, only I/O and sleeps do).

pub mod executor;
pub mod host;
pub mod network;
pub mod node;
pub mod client;
pub mod history;
pub mod workload;
pub mod scenario;
pub mod costs;

#[cfg(test)]
pub(crate) mod rig;
#[cfg(test)]
mod tests;

pub use executor::{Owner, World};
pub use host::SimHost;
pub use scenario::{Report, Violation, run};
