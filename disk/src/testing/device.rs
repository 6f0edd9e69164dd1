//! A handle of a simulated file.

use bytes::Bytes;

use super::{
    apart::apart_while,
    disk::SimDisk,
    fault::{Fault, Operation},
    folder::FileRef,
};
use crate::{
    device::{Device, Durability, SECTOR_BYTES},
    error::Error,
};

/// An open file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimDevice {
    disk: SimDisk,
    file: FileRef,
    path: String,
    durability: Durability,
    life: u64,
}

impl SimDevice {
    pub(super) fn new(disk: SimDisk, file: FileRef, path: String, durability: Durability) -> Self {
        let life = disk.life();
        Self { disk, file, path, durability, life }
    }

    /// The fill with zeros is written: it is durable.
    pub(super) fn filled(&self) {
        self.file.borrow_mut().settle_all();
    }
}

impl Device for SimDevice {
    type Buffer = Vec<u8>;

    fn size(&self) -> u64 {
        self.file.borrow().current.length
    }

    fn buffer(&self, length: usize) -> Vec<u8> {
        assert!(length.is_multiple_of(SECTOR_BYTES), "buffers are whole sectors");
        vec![0; length]
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes, Error> {
        apart_while(self.perform_read(offset, length)).await
    }

    async fn write(&self, offset: u64, source: Vec<u8>) -> Result<(), Error> {
        apart_while(self.perform_write(offset, source)).await
    }

    async fn sync(&self) -> Result<(), Error> {
        apart_while(self.perform_sync()).await
    }
}

impl SimDevice {
    async fn perform_read(&self, offset: u64, length: usize) -> Result<Bytes, Error> {
        assert_aligned(offset, length);
        self.disk.check(self.life)?;
        self.disk.count_read(wide(length));
        let fault = self.disk.start(Operation::Read, &self.path, [offset, wide(length)]);
        self.disk.elapse(self.life).await?;
        if fault.is_some() {
            return Err(failed("read", &self.path, "input/output error"));
        }
        let file = self.file.borrow();
        let within = offset.checked_add(wide(length)).is_some_and(|end| end <= file.current.length);
        if !within {
            return Err(Error::Corrupt {
                location: format!("{} at {offset}", self.path),
                finding: format!("the file ends before {length} bytes were read"),
            });
        }
        Ok(file.current.read(offset, length))
    }

    async fn perform_write(&self, offset: u64, source: Vec<u8>) -> Result<(), Error> {
        assert_aligned(offset, source.len());
        self.disk.check(self.life)?;
        let checksum = u64::from(crc32c::crc32c(&source));
        let end = offset + wide(source.len());
        let growth = end.saturating_sub(self.file.borrow().current.length);
        let full = (!self.disk.has_room(growth)).then_some(Fault::NoSpace);
        let fault = self.disk.start(Operation::Write, &self.path, [offset, checksum]).or(full);
        self.disk.count_written(wide(source.len()));
        if self.durability == Durability::EachWrite {
            self.disk.count_flush();
        }
        let ticket = self.file.borrow_mut().submit(offset, &Bytes::from(source));
        let in_flight = InFlight { device: self, ticket };
        self.disk.elapse(self.life).await?;
        in_flight.end(fault);
        match fault {
            None => Ok(()),
            Some(Fault::NoSpace) => {
                Err(Error::NoSpace { attempted: format!("write {}", self.path) })
            }
            Some(Fault::ShortWrite) => Err(failed("write", &self.path, "short write")),
            Some(Fault::Io | Fault::ReadError | Fault::SyncError) => {
                Err(failed("write", &self.path, "input/output error"))
            }
        }
    }

    async fn perform_sync(&self) -> Result<(), Error> {
        self.disk.check(self.life)?;
        self.disk.count_flush();
        let mark = self.file.borrow().sync_mark();
        let fault = self.disk.start(Operation::Sync, &self.path, [mark, 0]);
        self.disk.elapse(self.life).await?;
        let mut file = self.file.borrow_mut();
        if fault.is_some() {
            self.disk.with_random(|random| file.sync_failed(random));
            return Err(failed("sync", &self.path, "input/output error"));
        }
        file.synced(mark);
        Ok(())
    }
}

/// A write between its submission and its completion; dropped there, nobody knows whether it lands.
struct InFlight<'a> {
    device: &'a SimDevice,
    ticket: u64,
}

impl InFlight<'_> {
    fn end(self, fault: Option<Fault>) {
        let mut file = self.device.file.borrow_mut();
        match fault {
            None => file.complete(self.ticket, self.device.durability),
            Some(Fault::NoSpace) => file.withdraw(self.ticket),
            Some(Fault::Io | Fault::ReadError | Fault::ShortWrite | Fault::SyncError) => {
                self.device.disk.with_random(|random| file.fail(self.ticket, random));
            }
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let Ok(mut file) = self.device.file.try_borrow_mut() else { return };
        self.device.disk.with_random(|random| file.abandon(self.ticket, random));
    }
}

pub(super) fn failed(attempted: &str, path: &str, reason: &str) -> Error {
    Error::Device { attempted: format!("{attempted} {path}"), reason: reason.to_owned() }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).expect("a buffer's length fits")
}

fn assert_aligned(offset: u64, length: usize) {
    let sector = wide(SECTOR_BYTES);
    assert!(offset.is_multiple_of(sector), "offset {offset} is not on a sector");
    assert!(length.is_multiple_of(SECTOR_BYTES), "length {length} is not whole sectors");
    assert!(length > 0, "an operation moves at least one sector");
}
