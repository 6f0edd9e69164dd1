//! One shard's storage: a WAL shared by its groups, an ordered index, data segments. Knows bytes and keys, not S3.
//!
//! Nothing here spawns, sleeps or reads a clock: loops are futures that the caller runs, and all I/O goes
//! through [`Directory`] and [`Device`], which have a real form (`src/host/glommio.rs`) and a simulated one
//! (`testing`).

#![forbid(unsafe_code)]

pub mod budget;
pub mod check;
pub mod checksum;
pub mod device;
pub mod error;
pub mod index;
mod owner;
mod planted;
pub mod reserve;
pub mod scrub;
pub mod segment;
mod signal;
#[cfg(test)]
mod stages;
pub mod storage;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod volume;
pub mod wal;

pub use device::{Device, Directory, Durability};
pub use error::Error;
pub use owner::{Owner, Unknowing};
