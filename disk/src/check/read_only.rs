//! A directory that nothing can be changed through: what a recovery would tidy up stays, what it would write is refused.
//!
//! Removals and flushes are answered as done, because a recovery makes them on its way and what it finds doesn't depend
//! on them; everything that would put bytes or names on the volume is an error.

use bytes::Bytes;

use crate::{
    device::{Capacity, Device, Directory, Durability, Fill},
    error::Error,
};

/// A directory to look at.
#[derive(Debug)]
pub struct ReadOnly<D>(D);

/// A file of it.
#[derive(Debug)]
pub struct ReadOnlyFile<V>(V);

impl<D> ReadOnly<D> {
    /// Looks at `directory`.
    pub fn new(directory: D) -> Self {
        Self(directory)
    }
}

fn refused<T>(attempted: String) -> Result<T, Error> {
    Err(Error::Device { attempted, reason: "the volume is only looked at".to_owned() })
}

impl<D: Directory> Directory for ReadOnly<D> {
    type Device = ReadOnlyFile<D::Device>;

    fn path(&self) -> String {
        self.0.path()
    }

    async fn directory(&self, name: &str) -> Result<Self, Error> {
        // The seam makes a directory that is absent; here that is a finding.
        if self.0.list().await?.iter().all(|known| known != name) {
            return Err(Error::Absent { name: format!("{}/{name}", self.path()) });
        }
        self.0.directory(name).await.map(Self)
    }

    async fn open(&self, name: &str, durability: Durability) -> Result<Self::Device, Error> {
        self.0.open(name, durability).await.map(ReadOnlyFile)
    }

    async fn create(
        &self,
        name: &str,
        _fill: Fill,
        _durability: Durability,
    ) -> Result<Self::Device, Error> {
        refused(format!("make {}/{name}", self.path()))
    }

    async fn rename(&self, source: &str, _target: &str) -> Result<(), Error> {
        refused(format!("rename {}/{source}", self.path()))
    }

    async fn remove(&self, _name: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn list(&self) -> Result<Vec<String>, Error> {
        self.0.list().await
    }

    async fn sync(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn capacity(&self) -> Result<Capacity, Error> {
        self.0.capacity().await
    }
}

impl<V: Device> Device for ReadOnlyFile<V> {
    type Buffer = V::Buffer;

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn buffer(&self, length: usize) -> V::Buffer {
        self.0.buffer(length)
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes, Error> {
        self.0.read(offset, length).await
    }

    async fn write(&self, _offset: u64, _source: V::Buffer) -> Result<(), Error> {
        refused("write".to_owned())
    }

    async fn sync(&self) -> Result<(), Error> {
        Ok(())
    }
}
