//! Reads a manifest from its two files: each part from whichever has it whole.
//!
//! They hold the same bytes at the same places. What one has lost and the other has is no loss, and is told as a flaw; the
//! next start writes both anew.

use bytes::Bytes;

use super::{
    FIRST_EDIT, HEADER_MAGIC, MARK_MAGIC, Place, SECTOR, TableState, VERSION, VERSION_ALONE,
    edit::decode_edit, file_names, manifest_id, read_fields,
};
use crate::{
    device::{Device, Directory, Durability, SECTOR_BYTES},
    error::Error,
    index::codec::Malformed,
};

const READ_BYTES: u64 = 1 << 20;

/// What a directory has of manifests.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The files of all of them.
    pub(crate) names: Vec<String>,
    /// The newest; none in an empty directory.
    pub(crate) id: Option<u32>,
    /// What that says.
    pub(crate) state: TableState,
    /// What is wrong with one of its files, where the other one has it.
    pub(crate) flaws: Vec<Error>,
}

/// Reads the newest manifest of a directory; changes nothing.
pub(crate) async fn newest<D: Directory>(directory: &D) -> Result<Known, Error> {
    let mut names = directory.list().await?;
    let has_tables = names.iter().any(|name| name.starts_with("table-"));
    names.retain(|name| manifest_id(name).is_some());
    let Some(id) = names.iter().filter_map(|name| manifest_id(name)).max() else {
        if has_tables {
            let finding = "there are tables but no manifest".to_owned();
            return Err(Error::Corrupt { location: directory.path(), finding });
        }
        return Ok(Known::default());
    };
    let (state, flaws) = read_state(directory, id).await?;
    Ok(Known { names, id: Some(id), state, flaws })
}

/// What a manifest says, and what one of its files lacks.
async fn read_state<D: Directory>(
    directory: &D,
    id: u32,
) -> Result<(TableState, Vec<Error>), Error> {
    let mut files = Vec::new();
    for name in file_names(id) {
        let location = format!("{}/{name}", directory.path());
        files.push(match directory.open(&name, Durability::EachWrite).await {
            Ok(device) => Source::read(&device, location).await?,
            Err(Error::Absent { .. }) => Source::missing(location),
            Err(error) => return Err(error),
        });
    }
    merge(id, &files)
}

/// What one of the files says, without the other.
pub(super) async fn read_alone<V: Device>(
    device: &V,
    id: u32,
    location: String,
) -> Result<TableState, Error> {
    let source = Source::read(device, location).await?;
    let (state, flaws) = merge(id, std::slice::from_ref(&source))?;
    flaws.into_iter().next().map_or(Ok(state), Err)
}

/// One of the two files.
struct Source {
    location: String,
    /// Zeros where it can't be read.
    content: Bytes,
    /// Why not all of it could be read.
    error: Option<Error>,
}

impl Source {
    fn missing(location: String) -> Self {
        let finding = "it is missing".to_owned();
        let error = Some(Error::Corrupt { location: location.clone(), finding });
        Self { location, content: Bytes::new(), error }
    }

    async fn read<V: Device>(device: &V, location: String) -> Result<Self, Error> {
        let size = device.size() / SECTOR * SECTOR;
        let (mut content, mut error) = (Vec::new(), None);
        let mut offset = 0;
        while offset < size {
            let length = in_memory(READ_BYTES.min(size - offset));
            match device.read(offset, length).await {
                Ok(piece) => content.extend_from_slice(&piece),
                Err(Error::Stopped) => return Err(Error::Stopped),
                // A bad sector says nothing about its neighbours.
                Err(_) => {
                    let failed = read_sectors(device, (offset, length), &mut content).await?;
                    error = error.or(failed);
                }
            }
            offset += length as u64;
        }
        Ok(Self { location, content: Bytes::from(content), error })
    }

    fn from(&self, offset: u64) -> &[u8] {
        self.content.get(in_memory(offset)..).unwrap_or_default()
    }

    fn corrupt(&self, offset: u64, malformed: Malformed) -> Error {
        self.error.clone().unwrap_or_else(|| Error::Corrupt {
            location: format!("{} at {offset}", self.location),
            finding: malformed.0.to_owned(),
        })
    }

    /// The sequence of the last edit that it knows to be durable.
    fn mark(&self, id: u32) -> Option<u64> {
        let mark = |offset| read_fields(self.from(offset), MARK_MAGIC, id).ok();
        [SECTOR, 2 * SECTOR].into_iter().filter_map(mark).map(|(_, sequence)| sequence).max()
    }
}

/// Adds the sectors of a piece, zeros for those that can't be read; the error of the first of these.
async fn read_sectors<V: Device>(
    device: &V,
    (offset, length): (u64, usize),
    content: &mut Vec<u8>,
) -> Result<Option<Error>, Error> {
    let mut failed = None;
    for at in (offset..offset + length as u64).step_by(SECTOR_BYTES) {
        match device.read(at, SECTOR_BYTES).await {
            Ok(sector) => content.extend_from_slice(&sector),
            Err(Error::Stopped) => return Err(Error::Stopped),
            Err(error) => {
                content.resize(content.len() + SECTOR_BYTES, 0);
                failed.get_or_insert(error);
            }
        }
    }
    Ok(failed)
}

/// The state that the files make together, and what is wrong with each that can be told without it.
fn merge(id: u32, files: &[Source]) -> Result<(TableState, Vec<Error>), Error> {
    let mut flaws: Vec<Option<Error>> = files.iter().map(|file| file.error.clone()).collect();
    let mut note = |at: usize, offset, malformed| {
        flaws[at].get_or_insert_with(|| files[at].corrupt(offset, malformed));
    };
    let mut version = None;
    for (at, file) in files.iter().enumerate() {
        match read_fields(file.from(0), HEADER_MAGIC, id) {
            Ok((found, _)) if ![VERSION_ALONE, VERSION].contains(&found) => {
                let readable = format!("{VERSION_ALONE} and {VERSION}");
                return Err(Error::Version { location: file.location.clone(), found, readable });
            }
            Ok((found, _)) => version = version.or(Some(found)),
            Err(malformed) => note(at, 0, malformed),
        }
    }
    for (at, file) in files.iter().enumerate() {
        if file.mark(id).is_none() {
            note(at, SECTOR, Malformed("neither mark can be read"));
        }
    }
    let mark = files.iter().filter_map(|file| file.mark(id)).max();
    let (Some(version), Some(mark)) = (version, mark) else {
        return Err(flaws.swap_remove(0).expect("it lacks what no file has"));
    };
    let state = edits(id, mark, files, &mut note)?;
    // One of the first version has no copy to miss.
    flaws.truncate(if version == VERSION_ALONE { 1 } else { files.len() });
    Ok((state, flaws.into_iter().flatten().collect()))
}

/// The state after all edits; `note` is told of each that one of the files should have.
fn edits(
    id: u32,
    mark: u64,
    files: &[Source],
    note: &mut impl FnMut(usize, u64, Malformed),
) -> Result<TableState, Error> {
    let mut state = TableState::default();
    let mut place = Place { manifest: id, sequence: 1, offset: FIRST_EDIT };
    loop {
        let is_durable = place.sequence <= mark;
        let (mut found, mut refused) = (None, None);
        for (at, file) in files.iter().enumerate() {
            match decode_edit(file.from(place.offset), place) {
                Ok(decoded) => found = found.or(Some(decoded)),
                Err(malformed) if is_durable => {
                    refused.get_or_insert(malformed);
                    note(at, place.offset, malformed);
                }
                Err(_) => {}
            }
        }
        let applied = match &found {
            Some((edit, _)) => state.apply(edit).err(),
            None => refused,
        };
        match (found, applied) {
            (Some((_, length)), None) => place.offset += length as u64,
            (_, Some(malformed)) if is_durable => {
                return Err(files[0].corrupt(place.offset, malformed));
            }
            (_, _) => return Ok(state),
        }
        place.sequence += 1;
    }
}

fn in_memory(length: u64) -> usize {
    usize::try_from(length).expect("a manifest is read into memory")
}
