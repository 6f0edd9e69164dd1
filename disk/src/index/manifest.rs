//! The table manifest: which tables make the index, as a log of edits in one file `manifest-%08x`.
//!
//! | sector | what |
//! | --- | --- |
//! | 0 | header |
//! | 1, 2 | marks, written in turn: how far edits are known durable |
//! | 3.. | edits, each padded with zeros to a sector (`edit.rs`) |
//!
//! The header and a mark, each padded with zeros to a sector:
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 4 | CRC32C of bytes 4 to 32 |
//! | 4 | 8 | magic `ANODEMAN` (header), `ANODEMRK` (mark) |
//! | 12 | 4 | format version, 1 |
//! | 16 | 4 | manifest id |
//! | 20 | 4 | zero |
//! | 24 | 8 | zero (header), sequence of the last durable edit (mark) |
//!
//! An edit is durable, then its mark, then the commit is done. So at recovery an unreadable edit above the mark is
//! a commit that never ended, and is dropped; one at or below it is damage, and is reported.
//!
//! Every start writes the whole state into a new file, and so does a commit that no longer fits. The new file gets
//! its name by a rename once it is durable: the file with the highest id is the manifest, the others are removed.

use std::{collections::BTreeMap, rc::Rc};

use bytes::Bytes;

use crate::{
    device::{Device, Directory, Durability, Fill, SECTOR_BYTES},
    error::Error,
    index::{
        codec::{Malformed, Reader},
        levels::Hidden,
        manifest::edit::{Edit, decode_edit, encode_edit},
        table::TableMeta,
    },
};

pub(crate) mod edit;
mod verify;

const HEADER_MAGIC: [u8; 8] = *b"ANODEMAN";
const MARK_MAGIC: [u8; 8] = *b"ANODEMRK";
const VERSION: u32 = 1;
const FIELDS_BYTES: usize = 32;
const SECTOR: u64 = SECTOR_BYTES as u64;
const FIRST_EDIT: u64 = 3 * SECTOR;
/// The whole state is written in edits of about this size.
const STATE_EDIT_BYTES: usize = 64 << 10;
const READ_BYTES: u64 = 1 << 20;
const DRAFT_NAME: &str = "manifest-draft";

/// What the manifest says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableState {
    /// Per id its level and what is known of it.
    pub(crate) tables: BTreeMap<u32, (u8, TableMeta)>,
    /// Per id the keys in it that count no more.
    pub(crate) hidden: Hidden,
    pub(crate) next_table: u32,
    pub(crate) next_segment: u32,
}

impl TableState {
    /// Applies an edit; an edit that doesn't fit changes nothing.
    pub(crate) fn apply(&mut self, edit: &Edit) -> Result<(), Malformed> {
        for id in &edit.removed {
            if !self.tables.contains_key(id) {
                return Err(Malformed("an edit removes a table that isn't there"));
            }
        }
        for (_, meta) in &edit.added {
            if self.tables.contains_key(&meta.id) && !edit.removed.contains(&meta.id) {
                return Err(Malformed("an edit adds a table twice"));
            }
        }
        let stays = |id: &u32| self.tables.contains_key(id) && !edit.removed.contains(id);
        let comes = |id: &u32| edit.added.iter().any(|(_, meta)| meta.id == *id);
        if !edit.hidden.keys().all(|id| stays(id) || comes(id)) {
            return Err(Malformed("an edit hides keys of a table that isn't there"));
        }
        for id in &edit.removed {
            self.tables.remove(id);
            self.hidden.remove(id);
        }
        self.hidden.extend(edit.hidden.iter().map(|(id, ranges)| (*id, Rc::clone(ranges))));
        for (level, meta) in &edit.added {
            self.tables.insert(meta.id, (*level, meta.clone()));
        }
        self.next_table = self.next_table.max(edit.next_table);
        self.next_segment = self.next_segment.max(edit.next_segment);
        Ok(())
    }

    /// Per segment the bytes that tables refer to.
    pub(crate) fn live(&self) -> BTreeMap<u32, u64> {
        let mut live = BTreeMap::new();
        for (_, meta) in self.tables.values() {
            for (segment, bytes) in meta.references.iter() {
                *live.entry(*segment).or_default() += bytes;
            }
        }
        live
    }

    fn edits(&self) -> Vec<Edit> {
        let ids = Edit {
            next_table: self.next_table,
            next_segment: self.next_segment,
            ..Edit::default()
        };
        let mut edits = vec![ids.clone()];
        let mut bytes = 0;
        for (level, meta) in self.tables.values() {
            if bytes >= STATE_EDIT_BYTES {
                edits.push(ids.clone());
                bytes = 0;
            }
            bytes += 64 + meta.smallest.len() + meta.largest.len() + meta.references.len() * 12;
            let edit = edits.last_mut().expect("there is one");
            if let Some(ranges) = self.hidden.get(&meta.id) {
                bytes += ranges
                    .iter()
                    .map(|range| 4 + range.start.len() + range.end.len())
                    .sum::<usize>();
                edit.hidden.insert(meta.id, Rc::clone(ranges));
            }
            edit.added.push((*level, meta.clone()));
        }
        edits
    }
}

/// The open manifest.
pub(crate) struct Manifest<D: Directory> {
    device: D::Device,
    id: u32,
    /// Of the last edit.
    sequence: u64,
    /// Where the next edit goes.
    end: u64,
    bytes_min: u64,
    state: TableState,
}

impl<D: Directory> Manifest<D> {
    /// Reads the manifest of a directory and starts a new one with the same state; an empty directory gets an empty one.
    pub(crate) async fn open(directory: &D, bytes_min: u64) -> Result<Self, Error> {
        let (ids, state) = newest(directory).await?;
        // Those that a crash left or brought back go first: a full volume may have space for two, not for three.
        let (newest, older) = match ids.split_last() {
            Some((newest, older)) => (Some(*newest), older),
            None => (None, &[][..]),
        };
        for id in older {
            directory.remove(&manifest_name(*id)).await?;
        }
        let id = newest.map_or(1, |id| id + 1);
        let manifest = Self::start(directory, id, bytes_min, state).await?;
        if let Some(id) = newest {
            directory.remove(&manifest_name(id)).await?;
        }
        Ok(manifest)
    }

    pub(crate) fn state(&self) -> &TableState {
        &self.state
    }

    /// Makes an edit durable. After any error but [`Error::NoSpace`] it is unknown whether it is, and no other may follow.
    pub(crate) async fn commit(&mut self, directory: &D, edit: &Edit) -> Result<(), Error> {
        let place = Place { manifest: self.id, sequence: self.sequence + 1, offset: self.end };
        let bytes = encode_edit(edit, place);
        if self.end + bytes.len() as u64 > self.device.size() {
            let mut state = self.state.clone();
            state.apply(edit).expect("edits are made from this state");
            return self.restart(directory, state).await;
        }
        in_doubt(write(&self.device, self.end, &bytes).await)?;
        self.end += bytes.len() as u64;
        self.sequence += 1;
        in_doubt(self.mark().await)?;
        self.state.apply(edit).expect("edits are made from this state");
        Ok(())
    }

    /// Goes on in a new file that holds `state`.
    async fn restart(&mut self, directory: &D, state: TableState) -> Result<(), Error> {
        let old = manifest_name(self.id);
        *self = Self::start(directory, self.id + 1, self.bytes_min, state).await?;
        directory.remove(&old).await
    }

    async fn start(
        directory: &D,
        id: u32,
        bytes_min: u64,
        state: TableState,
    ) -> Result<Self, Error> {
        match directory.remove(DRAFT_NAME).await {
            Ok(()) | Err(Error::Absent { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut content = fields(HEADER_MAGIC, id, 0);
        content.resize(3 * SECTOR_BYTES, 0);
        let mut sequence = 0;
        for edit in state.edits() {
            sequence += 1;
            let place = Place { manifest: id, sequence, offset: content.len() as u64 };
            content.extend_from_slice(&encode_edit(&edit, place));
        }
        let end = content.len() as u64;
        let size = bytes_min.max(end.saturating_mul(2)).next_multiple_of(SECTOR);
        let device = directory.create(DRAFT_NAME, Fill::Zeros(size), Durability::EachWrite).await?;
        write(&device, 0, &content).await?;
        let manifest = Self { device, id, sequence, end, bytes_min, state };
        manifest.mark().await?;
        // From the rename on, the new file may be what recovery finds: an error is in doubt.
        in_doubt(directory.rename(DRAFT_NAME, &manifest_name(id)).await)?;
        in_doubt(directory.sync().await)?;
        Ok(manifest)
    }

    async fn mark(&self) -> Result<(), Error> {
        let mark = fields(MARK_MAGIC, self.id, self.sequence);
        write(&self.device, mark_offset(self.sequence), &mark).await
    }
}

/// What identifies an edit: a valid one in another place is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) manifest: u32,
    pub(crate) sequence: u64,
    pub(crate) offset: u64,
}

pub(crate) fn manifest_name(id: u32) -> String {
    format!("manifest-{id:08x}")
}

fn manifest_id(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("manifest-")?;
    if digits.len() == 8 { u32::from_str_radix(digits, 16).ok() } else { None }
}

/// Space inside the file is there already: running out of it now is a failure like any other.
fn in_doubt(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::NoSpace { attempted }) => Err(Error::Device {
            attempted,
            reason: "no space left in the midst of a commit".to_owned(),
        }),
        other => other,
    }
}

async fn write<V: Device>(device: &V, offset: u64, bytes: &[u8]) -> Result<(), Error> {
    let mut buffer = device.buffer(bytes.len().next_multiple_of(SECTOR_BYTES));
    buffer[..bytes.len()].copy_from_slice(bytes);
    device.write(offset, buffer).await
}

fn mark_offset(sequence: u64) -> u64 {
    SECTOR * (1 + sequence % 2)
}

fn fields(magic: [u8; 8], id: u32, sequence: u64) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&magic);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&sequence.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Version and sequence of a header or mark.
fn read_fields(sector: &[u8], magic: [u8; 8], id: u32) -> Result<(u32, u64), Malformed> {
    let fields = sector.get(..FIELDS_BYTES).ok_or(Malformed("it ends too early"))?;
    let mut reader = Reader::new(fields);
    if reader.u32()? != crc32c::crc32c(&fields[4..]) || reader.array()? != magic {
        return Err(Malformed("the checksum doesn't match"));
    }
    let version = reader.u32()?;
    if reader.u32()? != id {
        return Err(Malformed("it is of another manifest"));
    }
    reader.u32()?;
    Ok((version, reader.u64()?))
}

/// The ids of the manifests of a directory, and what the newest says; changes nothing.
pub(crate) async fn newest<D: Directory>(directory: &D) -> Result<(Vec<u32>, TableState), Error> {
    let names = directory.list().await?;
    let mut ids: Vec<u32> = names.iter().filter_map(|name| manifest_id(name)).collect();
    ids.sort_unstable();
    let state = match ids.last() {
        Some(&id) => read_state(directory, id).await?,
        None if names.iter().any(|name| name.starts_with("table-")) => {
            return Err(Error::Corrupt {
                location: directory.path(),
                finding: "there are tables but no manifest".to_owned(),
            });
        }
        None => TableState::default(),
    };
    Ok((ids, state))
}

async fn read_state<D: Directory>(directory: &D, id: u32) -> Result<TableState, Error> {
    let name = manifest_name(id);
    let location = format!("{}/{name}", directory.path());
    let device = directory.open(&name, Durability::EachWrite).await?;
    let content = read_whole(&device).await?;
    let corrupt = |offset: u64, malformed: Malformed| Error::Corrupt {
        location: format!("{location} at {offset}"),
        finding: malformed.0.to_owned(),
    };
    let (version, _) =
        read_fields(&content, HEADER_MAGIC, id).map_err(|malformed| corrupt(0, malformed))?;
    if version != VERSION {
        return Err(Error::Version { location, found: version, readable: VERSION.to_string() });
    }
    let mark = [SECTOR, 2 * SECTOR]
        .into_iter()
        .filter_map(|offset| {
            let start = usize::try_from(offset).ok()?;
            read_fields(content.get(start..)?, MARK_MAGIC, id).ok().map(|(_, sequence)| sequence)
        })
        .max()
        .ok_or_else(|| corrupt(SECTOR, Malformed("neither mark can be read")))?;
    let mut state = TableState::default();
    let mut place = Place { manifest: id, sequence: 1, offset: FIRST_EDIT };
    loop {
        let start = usize::try_from(place.offset).expect("it was read into memory");
        let rest = content.get(start..).unwrap_or_default();
        let decoded =
            decode_edit(rest, place).and_then(|(edit, length)| state.apply(&edit).map(|()| length));
        match decoded {
            Ok(length) => place.offset += length as u64,
            Err(malformed) if place.sequence <= mark => {
                return Err(corrupt(place.offset, malformed));
            }
            Err(_) => return Ok(state),
        }
        place.sequence += 1;
    }
}

async fn read_whole<V: Device>(device: &V) -> Result<Bytes, Error> {
    let size = device.size() / SECTOR * SECTOR;
    let mut content = Vec::new();
    let mut offset = 0;
    while offset < size {
        let length = READ_BYTES.min(size - offset);
        let piece =
            device.read(offset, usize::try_from(length).expect("at most a mebibyte")).await?;
        content.extend_from_slice(&piece);
        offset += length;
    }
    Ok(Bytes::from(content))
}

#[cfg(test)]
mod tests;
