//! A simulated disk: whole file systems in memory, seeded, that lose and tear what was not flushed.
//!
//! What it models, each decided by the seed at [`SimDisk::crash`]:
//!
//! - a write with [`crate::Durability::EachWrite`] is durable when it completes; in flight it is lost, whole or torn;
//! - a write with [`crate::Durability::AtSync`] is lost, whole or torn, independently of the others, until a sync that
//!   started after its completion completes; a file's growth likewise, independently of the bytes;
//! - a created, renamed or removed name is lost or kept until the directory's sync, independently of unrelated names;
//! - a torn write keeps a prefix, or any subset, of its units of 512 B or 4 KiB.
//!
//! What it does not cover: a device that lies about a flush, wear, latency (see [`SimDisk::set_delay`]), permissions.

pub mod apart;
mod content;
mod copy;
mod device;
mod directory;
mod disk;
mod fault;
mod file;
mod folder;
mod random;
pub mod targets;

pub use device::SimDevice;
pub use directory::SimDirectory;
pub use disk::{Delay, DiskFigures, SimDisk};
pub use fault::Fault;
pub use random::Random;
#[cfg(test)]
pub(crate) use random::mix;

/// Runs a future to its end on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    futures::executor::block_on(future)
}

#[cfg(test)]
mod tests;
