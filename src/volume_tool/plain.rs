//! Files of a stopped node by ordinary reads and writes: an offline command needs no uring.
//!
//! What only looks at them does so through [`anode_disk::check::ReadOnly`].

use std::{
    cell::Cell,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anode_disk::{
    Device, Directory, Durability, Error,
    device::{Capacity, Fill, SECTOR_BYTES},
};
use bytes::Bytes;

use crate::space::capacity_of;

/// Zeros that are written at once.
const FILL_BYTES: u64 = 1 << 20;

/// A directory.
#[derive(Debug)]
pub(super) struct PlainDirectory(PathBuf);

/// A file.
#[derive(Debug)]
pub(super) struct PlainFile {
    file: File,
    name: String,
    size: Cell<u64>,
    durability: Durability,
}

impl PlainDirectory {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    fn open_with(
        &self,
        name: &str,
        durability: Durability,
        existing: Existing,
    ) -> Result<PlainFile, Error> {
        let path = self.0.join(name);
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match existing {
            // A look must be possible where nothing may be written.
            Existing::Needed => options.write(can_write(&path)),
            Existing::Refused => options.write(true).create_new(true),
        };
        let opened = options.open(&path).and_then(|file| {
            if existing == Existing::Refused {
                give_to_owner(&self.0, &path)?;
            }
            Ok((file.metadata()?.len(), file))
        });
        let (size, file) = opened.map_err(|error| failed("open", &path, &error))?;
        let (name, size) = (path.display().to_string(), Cell::new(size));
        Ok(PlainFile { file, name, size, durability })
    }
}

/// What becomes of a file that is there when one is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Existing {
    /// It is opened.
    Needed,
    /// It is an error.
    Refused,
}

impl PlainFile {
    /// Fills a new file with zeros, durably.
    fn fill(&self, length: u64) -> Result<(), Error> {
        let fill = || {
            let zeros = vec![0; usize::try_from(FILL_BYTES).expect("a mebibyte fits memory")];
            let mut file = &self.file;
            let mut left = length;
            while left > 0 {
                let piece = left.min(FILL_BYTES);
                file.write_all(&zeros[..usize::try_from(piece).expect("at most a mebibyte")])?;
                left -= piece;
            }
            self.file.sync_all()
        };
        fill().map_err(|error: io::Error| failed("fill", Path::new(&self.name), &error))?;
        self.size.set(length);
        Ok(())
    }
}

impl Directory for PlainDirectory {
    type Device = PlainFile;

    fn path(&self) -> String {
        self.0.display().to_string()
    }

    async fn directory(&self, name: &str) -> Result<Self, Error> {
        let path = self.0.join(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {
                let given = give_to_owner(&self.0, &path);
                given.map_err(|error| failed("make the directory", &path, &error))?;
                self.sync().await?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("make the directory", &path, &error)),
        }
        Ok(Self(path))
    }

    async fn open(&self, name: &str, durability: Durability) -> Result<PlainFile, Error> {
        self.open_with(name, durability, Existing::Needed)
    }

    async fn create(
        &self,
        name: &str,
        fill: Fill,
        durability: Durability,
    ) -> Result<PlainFile, Error> {
        let file = self.open_with(name, durability, Existing::Refused)?;
        match fill {
            Fill::Empty => {}
            Fill::Zeros(length) | Fill::Reserved(length) => file.fill(length)?,
        }
        Ok(file)
    }

    async fn rename(&self, source: &str, target: &str) -> Result<(), Error> {
        let path = self.0.join(source);
        let renamed = std::fs::rename(&path, self.0.join(target));
        renamed.map_err(|error| failed("rename", &path, &error))
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.0.join(name);
        std::fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))
    }

    async fn list(&self) -> Result<Vec<String>, Error> {
        let listed = || {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(&self.0)? {
                // A name that is not UTF-8 is none of ours.
                names.extend(entry?.file_name().into_string().ok());
            }
            names.sort();
            Ok(names)
        };
        listed().map_err(|error| failed("list", &self.0, &error))
    }

    #[expect(clippy::disallowed_methods, reason = "no shard runs here")]
    async fn sync(&self) -> Result<(), Error> {
        let synced = File::open(&self.0).and_then(|directory| directory.sync_all());
        synced.map_err(|error| failed("flush", &self.0, &error))
    }

    async fn capacity(&self) -> Result<Capacity, Error> {
        capacity_of(&self.0).map_err(|error| failed("ask for the space of", &self.0, &error))
    }
}

impl Device for PlainFile {
    type Buffer = Vec<u8>;

    fn size(&self) -> u64 {
        self.size.get()
    }

    fn buffer(&self, length: usize) -> Vec<u8> {
        assert!(length.is_multiple_of(SECTOR_BYTES), "buffers are whole sectors");
        vec![0; length]
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes, Error> {
        let mut buffer = vec![0; length];
        match self.file.read_exact_at(&mut buffer, offset) {
            Ok(()) => Ok(Bytes::from(buffer)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Error::Corrupt {
                location: format!("{} at {offset}", self.name),
                finding: format!("it ends before {length} bytes"),
            }),
            Err(error) => Err(Error::Corrupt {
                location: format!("{} at {offset}", self.name),
                finding: format!("it can't be read: {error}"),
            }),
        }
    }

    async fn write(&self, offset: u64, source: Vec<u8>) -> Result<(), Error> {
        let written = self.file.write_all_at(&source, offset);
        let end = offset + source.len() as u64;
        self.size.set(self.size.get().max(end));
        let durable = written.and_then(|()| match self.durability {
            Durability::EachWrite => self.file.sync_data(),
            Durability::AtSync => Ok(()),
        });
        durable.map_err(|error| failed("write", Path::new(&self.name), &error))
    }

    async fn sync(&self) -> Result<(), Error> {
        let synced = self.file.sync_all();
        synced.map_err(|error| failed("flush", Path::new(&self.name), &error))
    }
}

/// Gives what was made in a directory to that directory's owner: whoever repairs is often root, and the node is not.
pub(super) fn give_to_owner(directory: &Path, made: &Path) -> io::Result<()> {
    let (owner, now) = (std::fs::metadata(directory)?, std::fs::metadata(made)?);
    if (owner.uid(), owner.gid()) == (now.uid(), now.gid()) {
        return Ok(());
    }
    std::os::unix::fs::chown(made, Some(owner.uid()), Some(owner.gid()))
}

/// Whether this process may write a file.
fn can_write(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_ok()
}

fn failed(action: &str, path: &Path, error: &io::Error) -> Error {
    let name = path.display().to_string();
    if error.kind() == io::ErrorKind::NotFound {
        return Error::Absent { name };
    }
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return Error::NoSpace { attempted: format!("{action} {name}") };
    }
    Error::Device { attempted: format!("{action} {name}"), reason: error.to_string() }
}
