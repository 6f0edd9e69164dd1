//! The seam between the engine and a disk: whole sectors in owned buffers, named files in a directory.
//!
//! Every name is relative, has no slash, and is chosen by this crate: no byte of a request ever becomes a file
//! name. Offsets and lengths are multiples of [`SECTOR_BYTES`]; buffers are owned, because the kernel holds on to
//! them while an operation is in flight.

use std::{fmt::Debug, ops::DerefMut};

use bytes::Bytes;

use crate::error::Error;

/// The unit of every read and write, in bytes.
pub const SECTOR_BYTES: usize = 4096;

/// When a completed write to a file is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As soon as the write completes (`O_DSYNC`).
    EachWrite,
    /// After the next completed [`Device::sync`].
    AtSync,
}

/// What a new file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Nothing: the file has no length and grows by writes.
    Empty,
    /// This many bytes of real, written, durable zeros: overwriting them later changes no metadata.
    Zeros(u64),
    /// This many bytes of reserved space that reads as zeros.
    Reserved(u64),
}

/// The space of the file system that a directory is on, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// What may still be taken by whoever asks: less than what is free where some is kept for root.
    pub free_bytes: u64,
    /// All of it.
    pub total_bytes: u64,
}

/// One open file, read and written in whole sectors.
///
/// Dropping it closes it. Dropping a write in flight leaves it unknown whether the bytes land: nobody drops one.
#[expect(async_fn_in_trait, reason = "a shard is one thread; its futures are never Send")]
pub trait Device: 'static {
    /// Sector-aligned memory, to be written.
    type Buffer: DerefMut<Target = [u8]> + Debug + 'static;

    /// How many bytes the file holds.
    fn size(&self) -> u64;
    /// Makes a zeroed buffer of `length` bytes, a multiple of [`SECTOR_BYTES`].
    fn buffer(&self, length: usize) -> Self::Buffer;
    /// Reads exactly `length` bytes; an end of file before that is [`Error::Corrupt`].
    async fn read(&self, offset: u64, length: usize) -> Result<Bytes, Error>;
    /// Writes the whole buffer; beyond the end, the file grows.
    async fn write(&self, offset: u64, source: Self::Buffer) -> Result<(), Error>;
    /// Makes every completed write durable, with the file's length. Never retried after an error.
    async fn sync(&self) -> Result<(), Error>;
}

/// A directory of files.
#[expect(async_fn_in_trait, reason = "a shard is one thread; its futures are never Send")]
pub trait Directory: Sized + 'static {
    /// What it holds.
    type Device: Device;

    /// Where it is, for messages to people.
    fn path(&self) -> String;
    /// Opens a directory inside this one; makes it, durably, where it is absent.
    async fn directory(&self, name: &str) -> Result<Self, Error>;
    /// Opens an existing file for reading and writing; [`Error::Absent`] where there is none.
    async fn open(&self, name: &str, durability: Durability) -> Result<Self::Device, Error>;
    /// Makes a new file; an existing one of that name is [`Error::Exists`]. The name is durable after [`Self::sync`].
    async fn create(
        &self,
        name: &str,
        fill: Fill,
        durability: Durability,
    ) -> Result<Self::Device, Error>;
    /// Renames a file, replacing `target`. Durable after [`Self::sync`].
    async fn rename(&self, source: &str, target: &str) -> Result<(), Error>;
    /// Removes a file. Durable after [`Self::sync`].
    async fn remove(&self, name: &str) -> Result<(), Error>;
    /// The names of the files and directories here, sorted.
    async fn list(&self) -> Result<Vec<String>, Error>;
    /// Makes creations, renames and removals durable.
    async fn sync(&self) -> Result<(), Error>;
    /// How much space there is.
    async fn capacity(&self) -> Result<Capacity, Error>;
}
