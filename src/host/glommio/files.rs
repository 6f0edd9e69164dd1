//! Files by direct I/O, on the shard's uring.
//!
//! Reads, writes and flushes are operations of the uring. What is rare, and has no asynchronous form that is worth its
//! care (opening, renaming, removing, listing, flushing a directory), runs on a thread beside the shard
//! (`aside`).

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    rc::Rc,
};

use anode_disk::{
    Device, Directory, Durability, Error,
    device::{Capacity, Fill, SECTOR_BYTES},
};
use bytes::Bytes;
use nix::{
    fcntl::{FallocateFlags, fallocate},
    libc,
};

use crate::space::capacity_of;

use super::{
    aside::Aside,
    memory::Memory,
    uring::{Descriptor, Outcome, Uring},
};

/// How many bytes of zeros one write carries when a file is filled.
const FILL_BYTES: usize = 1 << 20;

/// A directory on the volume's file system.
#[derive(Clone, Debug)]
pub struct FileDirectory {
    path: PathBuf,
    uring: Rc<Uring>,
    aside: Aside,
}

/// An open file.
pub struct FileDevice {
    file: Rc<File>,
    uring: Rc<Uring>,
    aside: Aside,
    name: String,
    size: std::cell::Cell<u64>,
}

impl std::fmt::Debug for FileDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileDevice({}, {} bytes)", self.name, self.size.get())
    }
}

impl FileDirectory {
    /// Opens a data directory, making it where it is absent.
    pub(super) async fn open_volume(
        uring: &Rc<Uring>,
        aside: &Aside,
        path: &str,
    ) -> Result<Self, Error> {
        // Absolute, so that messages name a place that people find.
        let path = std::path::absolute(path)
            .map_err(|error| refused("name the directory", path, &error))?;
        let made = aside.call({
            let path = path.clone();
            move || private_directories().recursive(true).create(&path)
        });
        made.await.map_err(|error| refused("make the directory", &path, &error))?;
        Ok(Self { path, uring: Rc::clone(uring), aside: aside.clone() })
    }

    async fn open_with(
        &self,
        name: &str,
        durability: Durability,
        make: bool,
    ) -> Result<FileDevice, Error> {
        let path = self.path.join(name);
        let flags = match durability {
            Durability::EachWrite => libc::O_DIRECT | libc::O_DSYNC,
            Durability::AtSync => libc::O_DIRECT,
        };
        let target = path.clone();
        let opened = self.aside.call(move || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(make).mode(0o600).custom_flags(flags);
            let file = options.open(target)?;
            let size = file.metadata()?.len();
            Ok((file, size))
        });
        let (file, size) = opened.await.map_err(|error| refused("open", &path, &error))?;
        Ok(FileDevice {
            file: Rc::new(file),
            uring: Rc::clone(&self.uring),
            aside: self.aside.clone(),
            name: path.display().to_string(),
            size: size.into(),
        })
    }
}

impl Directory for FileDirectory {
    type Device = FileDevice;

    fn path(&self) -> String {
        self.path.display().to_string()
    }

    async fn directory(&self, name: &str) -> Result<Self, Error> {
        let path = self.path.join(name);
        let target = path.clone();
        let made = self.aside.call(move || match private_directories().create(target) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        });
        if made.await.map_err(|error| refused("make the directory", &path, &error))? {
            self.sync().await?;
        }
        Ok(Self { path, uring: Rc::clone(&self.uring), aside: self.aside.clone() })
    }

    async fn open(&self, name: &str, durability: Durability) -> Result<FileDevice, Error> {
        self.open_with(name, durability, false).await
    }

    async fn create(
        &self,
        name: &str,
        fill: Fill,
        durability: Durability,
    ) -> Result<FileDevice, Error> {
        let device = self.open_with(name, durability, true).await?;
        match fill {
            Fill::Empty => {}
            Fill::Zeros(length) => device.write_zeros(length).await?,
            Fill::Reserved(length) => {
                device.reserve(length).await?;
            }
        }
        Ok(device)
    }

    async fn rename(&self, source: &str, target: &str) -> Result<(), Error> {
        let (source, target) = (self.path.join(source), self.path.join(target));
        let from = source.clone();
        let renamed = self.aside.call(move || std::fs::rename(from, target));
        renamed.await.map_err(|error| refused("rename", &source, &error))
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        let target = path.clone();
        let removed = self.aside.call(move || std::fs::remove_file(target));
        removed.await.map_err(|error| refused("remove", &path, &error))
    }

    async fn list(&self) -> Result<Vec<String>, Error> {
        let path = self.path.clone();
        let listed = self.aside.call(move || {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(path)? {
                // A name that is not UTF-8 is none of ours.
                names.extend(entry?.file_name().into_string().ok());
            }
            names.sort();
            Ok(names)
        });
        listed.await.map_err(|error| refused("list", &self.path, &error))
    }

    #[expect(clippy::disallowed_methods, reason = "a directory, opened beside the shard")]
    async fn sync(&self) -> Result<(), Error> {
        let path = self.path.clone();
        let flushed = self.aside.call(move || File::open(path)?.sync_all());
        flushed.await.map_err(|error| refused("flush", &self.path, &error))
    }

    async fn capacity(&self) -> Result<Capacity, Error> {
        let path = self.path.clone();
        let asked = self.aside.call(move || capacity_of(&path));
        asked.await.map_err(|error| refused("ask for the space of", &self.path, &error))
    }
}

impl FileDevice {
    fn descriptor(&self) -> Descriptor {
        Rc::<File>::clone(&self.file)
    }

    async fn write_zeros(&self, length: u64) -> Result<(), Error> {
        let mut offset = 0;
        while offset < length {
            let step = (length - offset).min(FILL_BYTES as u64);
            let step_bytes = usize::try_from(step).expect("at most FILL_BYTES");
            self.write(offset, self.buffer(step_bytes)).await?;
            offset += step;
        }
        self.sync().await
    }

    async fn reserve(&self, length: u64) -> Result<(), Error> {
        let file = self.file.try_clone();
        let reserved = self.aside.call(move || {
            let bytes = i64::try_from(length).map_err(std::io::Error::other)?;
            Ok(fallocate(file?, FallocateFlags::empty(), 0, bytes)?)
        });
        reserved.await.map_err(|error| refused("reserve space for", &self.name, &error))?;
        self.size.set(length);
        Ok(())
    }

    /// Whether an operation moved all the bytes it was to move.
    fn check(
        &self,
        action: &str,
        outcome: std::io::Result<usize>,
        length: usize,
    ) -> Result<(), Error> {
        match outcome {
            Ok(moved) if moved == length => Ok(()),
            Ok(moved) => Err(Error::Device {
                attempted: format!("{action} {}", self.name),
                reason: format!("{moved} of {length} bytes were taken"),
            }),
            Err(error) => Err(refused(action, &self.name, &error)),
        }
    }
}

impl Device for FileDevice {
    type Buffer = Memory;

    fn size(&self) -> u64 {
        self.size.get()
    }

    fn buffer(&self, length: usize) -> Memory {
        assert!(length.is_multiple_of(SECTOR_BYTES), "buffers are whole sectors");
        Memory::zeroed(length)
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes, Error> {
        let flight = self.uring.read(&self.descriptor(), offset, self.buffer(length));
        let Outcome { result, memory } = flight.await;
        if let Ok(read) = result
            && read < length
        {
            return Err(Error::Corrupt {
                location: format!("{} at {offset}", self.name),
                finding: format!("it ends after {read} of {length} bytes"),
            });
        }
        self.check("read", result, length)?;
        Ok(memory.expect("what was lent comes back").into_bytes())
    }

    async fn write(&self, offset: u64, source: Memory) -> Result<(), Error> {
        let length = source.len();
        let Outcome { result, .. } = self.uring.write(&self.descriptor(), offset, source).await;
        self.check("write", result, length)?;
        self.size.set(self.size.get().max(offset + length as u64));
        Ok(())
    }

    async fn sync(&self) -> Result<(), Error> {
        let Outcome { result, .. } = self.uring.sync(&self.descriptor()).await;
        self.check("flush", result, 0)
    }
}

/// Makes directories that only their owner can look into.
fn private_directories() -> std::fs::DirBuilder {
    let mut builder = std::fs::DirBuilder::new();
    builder.mode(0o700);
    builder
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the system has many errors; these have reactions"
)]
fn refused(action: &str, path: impl AsRef<Path>, error: &std::io::Error) -> Error {
    let name = path.as_ref().display().to_string();
    match error.kind() {
        std::io::ErrorKind::NotFound => Error::Absent { name },
        std::io::ErrorKind::AlreadyExists => Error::Exists { name },
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            Error::NoSpace { attempted: format!("{action} {name}") }
        }
        _ => Error::Device { attempted: format!("{action} {name}"), reason: error.to_string() },
    }
}
