//! Files of a stopped node by ordinary reads: an offline command needs no uring, and changes nothing on the volume.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use anode_disk::{
    Device, Directory, Durability, Error,
    device::{Capacity, Fill, SECTOR_BYTES},
};
use bytes::Bytes;

/// A directory that is only read.
#[derive(Debug)]
pub(super) struct PlainDirectory(PathBuf);

/// A file that is only read.
#[derive(Debug)]
pub(super) struct PlainFile {
    file: File,
    name: String,
    size: u64,
}

impl PlainDirectory {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Directory for PlainDirectory {
    type Device = PlainFile;

    fn path(&self) -> String {
        self.0.display().to_string()
    }

    async fn directory(&self, name: &str) -> Result<Self, Error> {
        Ok(Self(self.0.join(name)))
    }

    #[expect(clippy::disallowed_methods, reason = "no shard runs here")]
    async fn open(&self, name: &str, _durability: Durability) -> Result<PlainFile, Error> {
        let path = self.0.join(name);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (size, file) = opened.map_err(|error| failed("open", &path, &error))?;
        Ok(PlainFile { file, name: path.display().to_string(), size })
    }

    async fn create(
        &self,
        name: &str,
        _fill: Fill,
        _durability: Durability,
    ) -> Result<PlainFile, Error> {
        refused(&self.0.join(name))
    }

    async fn rename(&self, source: &str, _target: &str) -> Result<(), Error> {
        refused(&self.0.join(source))
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        refused(&self.0.join(name))
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

    async fn sync(&self) -> Result<(), Error> {
        refused(&self.0)
    }

    async fn capacity(&self) -> Result<Capacity, Error> {
        refused(&self.0)
    }
}

impl Device for PlainFile {
    type Buffer = Vec<u8>;

    fn size(&self) -> u64 {
        self.size
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

    async fn write(&self, _offset: u64, _source: Vec<u8>) -> Result<(), Error> {
        refused(Path::new(&self.name))
    }

    async fn sync(&self) -> Result<(), Error> {
        refused(Path::new(&self.name))
    }
}

fn refused<T>(path: &Path) -> Result<T, Error> {
    let attempted = format!("change {}", path.display());
    Err(Error::Device { attempted, reason: "it is only looked at".to_owned() })
}

fn failed(action: &str, path: &Path, error: &io::Error) -> Error {
    let name = path.display().to_string();
    if error.kind() == io::ErrorKind::NotFound {
        return Error::Absent { name };
    }
    Error::Device { attempted: format!("{action} {name}"), reason: error.to_string() }
}
