//! Files by direct I/O.
//!
//! **The probe.** The first `DmaFile` opened on a device makes glommio read once on an IOPOLL uring; where that
//! read "succeeds" on an empty file, polling is believed supported and later reads fail with EOPNOTSUPP in the
//! whole process. So before any other file of a volume, an ordinary file of 8 KiB is written and opened once.

use std::{
    ops::{Deref, DerefMut},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anode_disk::{
    Device, Directory, Durability, Error,
    device::{Fill, SECTOR_BYTES},
};
use bytes::Bytes;
use glommio::{
    GlommioError,
    io::{DmaBuffer, DmaFile, OpenOptions},
};

/// How many bytes of zeros one write carries when a file is filled.
const FILL_BYTES: usize = 1 << 20;
const PROBE_NAME: &str = "direct-io-probe";

/// A directory on the volume's file system.
#[derive(Clone, Debug)]
pub struct DmaDirectory {
    path: PathBuf,
}

/// An open file.
#[derive(Debug)]
pub struct DmaDevice {
    // Taken when dropped: the file is closed by a task of its own, as closing is an operation on the uring.
    file: Option<DmaFile>,
    name: String,
    size: std::cell::Cell<u64>,
}

/// Sector-aligned memory.
#[derive(Debug)]
pub struct DmaMemory(DmaBuffer);

impl Deref for DmaMemory {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl DerefMut for DmaMemory {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.as_bytes_mut()
    }
}

impl DmaDirectory {
    /// Opens a data directory, making it where it is absent, and gets past the probe.
    pub(super) async fn open_volume(path: &str) -> Result<Self, Error> {
        // glommio opens directories relative to none: a path must be absolute.
        let path = std::path::absolute(path)
            .map_err(|error| refused("name the directory", path, &error))?;
        let made = blocking({
            let path = path.clone();
            move || private_directories().recursive(true).create(&path)
        });
        made.await.map_err(|error| refused("make the directory", &path, &error))?;
        let directory = Self { path };
        directory.probe().await?;
        Ok(directory)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the probe file must be an ordinary write, on another thread"
    )]
    async fn probe(&self) -> Result<(), Error> {
        // Every shard gets past its own probe.
        let path = self.path.join(format!("{PROBE_NAME}-{}", glommio::executor().id()));
        let target = path.clone();
        blocking(move || std::fs::write(target, [0_u8; 2 * SECTOR_BYTES]))
            .await
            .map_err(|error| refused("write", &path, &error))?;
        let file = DmaFile::open(&path)
            .await
            .map_err(|error| failed("open by direct I/O", &path, &error))?;
        file.close().await.map_err(|error| failed("close", &path, &error))?;
        glommio::io::remove(&path).await.map_err(|error| failed("remove", &path, &error))
    }

    async fn open_with(
        &self,
        name: &str,
        durability: Durability,
        make: bool,
    ) -> Result<DmaDevice, Error> {
        let path = self.path.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(make).mode(0o600);
        if durability == Durability::EachWrite {
            options.custom_flags(nix::libc::O_DSYNC);
        }
        let file = options.dma_open(&path).await.map_err(|error| failed("open", &path, &error))?;
        let size =
            file.file_size().await.map_err(|error| failed("read the size of", &path, &error))?;
        Ok(DmaDevice { file: Some(file), name: path.display().to_string(), size: size.into() })
    }
}

impl Directory for DmaDirectory {
    type Device = DmaDevice;

    fn path(&self) -> String {
        self.path.display().to_string()
    }

    async fn directory(&self, name: &str) -> Result<Self, Error> {
        let path = self.path.join(name);
        let target = path.clone();
        let made = blocking(move || match private_directories().create(target) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        });
        if made.await.map_err(|error| refused("make the directory", &path, &error))? {
            self.sync().await?;
        }
        Ok(Self { path })
    }

    async fn open(&self, name: &str, durability: Durability) -> Result<DmaDevice, Error> {
        self.open_with(name, durability, false).await
    }

    async fn create(
        &self,
        name: &str,
        fill: Fill,
        durability: Durability,
    ) -> Result<DmaDevice, Error> {
        let device = self.open_with(name, durability, true).await?;
        match fill {
            Fill::Empty => {}
            Fill::Zeros(length) => device.write_zeros(length).await?,
            Fill::Reserved(length) => {
                let reserved = device.file().pre_allocate(length, false).await;
                reserved.map_err(|error| failed("reserve space for", &device.name, &error))?;
                device.size.set(length);
            }
        }
        Ok(device)
    }

    async fn rename(&self, source: &str, target: &str) -> Result<(), Error> {
        let (source, target) = (self.path.join(source), self.path.join(target));
        let renamed = glommio::io::rename(&source, target).await;
        renamed.map_err(|error| failed("rename", &source, &error))
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        glommio::io::remove(&path).await.map_err(|error| failed("remove", &path, &error))
    }

    async fn list(&self) -> Result<Vec<String>, Error> {
        let path = self.path.clone();
        let listed = blocking(move || {
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

    async fn sync(&self) -> Result<(), Error> {
        let directory = glommio::io::Directory::open(&self.path)
            .await
            .map_err(|error| failed("open", &self.path, &error))?;
        directory.sync().await.map_err(|error| failed("flush", &self.path, &error))?;
        directory.close().await.map_err(|error| failed("close", &self.path, &error))
    }
}

impl DmaDevice {
    fn file(&self) -> &DmaFile {
        self.file.as_ref().expect("the file is there until the device is dropped")
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
}

impl Device for DmaDevice {
    type Buffer = DmaMemory;

    fn size(&self) -> u64 {
        self.size.get()
    }

    fn buffer(&self, length: usize) -> DmaMemory {
        assert!(length.is_multiple_of(SECTOR_BYTES), "buffers are whole sectors");
        let mut memory = DmaMemory(self.file().alloc_dma_buffer(length));
        memory.fill(0);
        memory
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes, Error> {
        let read = self.file().read_at_aligned(offset, length).await;
        let read = read.map_err(|error| failed("read", &self.name, &error))?;
        if read.len() != length {
            return Err(Error::Corrupt {
                location: format!("{} at {offset}", self.name),
                finding: format!("it ends after {} of {length} bytes", read.len()),
            });
        }
        Ok(Bytes::copy_from_slice(&read))
    }

    async fn write(&self, offset: u64, source: DmaMemory) -> Result<(), Error> {
        let length = source.len();
        let written = self.file().write_at(source.0, offset).await;
        let written = written.map_err(|error| failed("write", &self.name, &error))?;
        if written != length {
            let attempted = format!("write {}", self.name);
            return Err(Error::Device {
                attempted,
                reason: format!("{written} of {length} bytes were taken"),
            });
        }
        self.size.set(self.size.get().max(offset + length as u64));
        Ok(())
    }

    async fn sync(&self) -> Result<(), Error> {
        self.file().fdatasync().await.map_err(|error| failed("flush", &self.name, &error))
    }
}

impl Drop for DmaDevice {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // A failed close loses nothing that a completed flush promised.
            glommio::spawn_local(async move { drop(file.close().await) }).detach();
        }
    }
}

/// Makes directories that only their owner can look into.
fn private_directories() -> std::fs::DirBuilder {
    let mut builder = std::fs::DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// Runs what the kernel offers no asynchronous form for on the executor's own helper thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    glommio::executor().spawn_blocking(work).await
}

fn failed(action: &str, path: impl AsRef<Path>, error: &GlommioError<()>) -> Error {
    let system = match error.raw_os_error() {
        Some(number) => std::io::Error::from_raw_os_error(number),
        None => std::io::Error::other(error.to_string()),
    };
    refused(action, path, &system)
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
