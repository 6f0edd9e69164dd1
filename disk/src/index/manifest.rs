//! The table manifest: which tables make the index, as a log of edits in a file `manifest-%08x`, and the same again in
//! `manifest-copy-%08x`: from the tables alone nobody could tell which of them count, and what is hidden in them.
//!
//! | sector | what |
//! | --- | --- |
//! | 0 | header |
//! | 1, 2 | marks, written in turn, and to the two files in turn: how far edits are known durable |
//! | 3.. | edits, each padded with zeros to a sector (`edit.rs`) |
//!
//! The header and a mark, each padded with zeros to a sector:
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 4 | CRC32C of bytes 4 to 32 |
//! | 4 | 8 | magic `ANODEMAN` (header), `ANODEMRK` (mark) |
//! | 12 | 4 | format version: 2; 1 where there is no copy |
//! | 16 | 4 | manifest id |
//! | 20 | 4 | zero |
//! | 24 | 8 | zero (header), sequence of the last durable edit (mark) |
//!
//! An edit is durable in both files, then its mark in one of them (the other has that of the edit before), then the commit
//! is done. So at recovery an edit above all marks that neither file has whole is a commit that never ended, and is
//! dropped; one at or below a mark is damage, and is reported. Header, mark and each edit are taken from whichever file
//! has them (`read.rs`).
//!
//! Every start writes the whole state into new files, and so does a commit that no longer fits. They get their names by
//! renames once both are durable: what has the highest id, be it one file or two, is the manifest, the others are removed.

use std::{collections::BTreeMap, rc::Rc};

use self::edit::{Edit, encode_edit};
use crate::{
    device::{Device, Directory, Durability, Fill, SECTOR_BYTES},
    error::Error,
    index::{
        codec::{Malformed, Reader},
        levels::Hidden,
        table::TableMeta,
    },
};

pub(crate) mod edit;
mod read;
mod verify;

pub(crate) use read::{Known, newest};

const HEADER_MAGIC: [u8; 8] = *b"ANODEMAN";
const MARK_MAGIC: [u8; 8] = *b"ANODEMRK";
const VERSION: u32 = 2;
/// Of manifests that have no copy.
const VERSION_ALONE: u32 = 1;
const FIELDS_BYTES: usize = 32;
const SECTOR: u64 = SECTOR_BYTES as u64;
const FIRST_EDIT: u64 = 3 * SECTOR;
/// The whole state is written in edits of about this size.
const STATE_EDIT_BYTES: usize = 64 << 10;
const DRAFT_NAMES: [&str; 2] = ["manifest-draft", "manifest-copy-draft"];

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
    /// The file and its copy.
    devices: [D::Device; 2],
    id: u32,
    /// Of the last edit.
    sequence: u64,
    /// The mark that each file has.
    marked: [u64; 2],
    /// Where the next edit goes.
    end: u64,
    bytes_min: u64,
    state: TableState,
}

impl<D: Directory> Manifest<D> {
    /// Reads the manifest of a directory and starts a new one with the same state; an empty directory gets an empty one.
    /// What one of its files has no more is taken from the other, and whole in both from then on.
    pub(crate) async fn open(directory: &D, bytes_min: u64) -> Result<Self, Error> {
        let Known { names, id: known, state, .. } = newest(directory).await?;
        let newest: Vec<String> = known.map(file_names).into_iter().flatten().collect();
        // Those that a crash left or brought back go first: a full volume has no space for all.
        for name in names.iter().filter(|name| !newest.contains(name)) {
            directory.remove(name).await?;
        }
        let id = known.map_or(1, |id| id + 1);
        let manifest = Self::start(directory, id, bytes_min, state).await?;
        for name in names.iter().filter(|name| newest.contains(name)) {
            directory.remove(name).await?;
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
        if self.end + bytes.len() as u64 > self.size() {
            let mut state = self.state.clone();
            state.apply(edit).expect("edits are made from this state");
            return self.restart(directory, state).await;
        }
        in_doubt(write_both(&self.devices, self.end, &bytes).await)?;
        self.end += bytes.len() as u64;
        self.sequence += 1;
        let turn = usize::from(self.sequence % 2 == 1);
        in_doubt(write(&self.devices[turn], mark_offset(self.sequence), &self.mark()).await)?;
        self.marked[turn] = self.sequence;
        self.state.apply(edit).expect("edits are made from this state");
        Ok(())
    }

    /// Goes on in new files that hold `state`.
    async fn restart(&mut self, directory: &D, state: TableState) -> Result<(), Error> {
        let old = file_names(self.id);
        *self = Self::start(directory, self.id + 1, self.bytes_min, state).await?;
        for name in old {
            match directory.remove(&name).await {
                // Whoever lost it has the new one.
                Ok(()) | Err(Error::Absent { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn start(
        directory: &D,
        id: u32,
        bytes_min: u64,
        state: TableState,
    ) -> Result<Self, Error> {
        for name in DRAFT_NAMES {
            match directory.remove(name).await {
                Ok(()) | Err(Error::Absent { .. }) => {}
                Err(error) => return Err(error),
            }
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
        let [own, copy] = DRAFT_NAMES;
        let create = |name| directory.create(name, Fill::Zeros(size), Durability::EachWrite);
        let devices = [create(own).await?, create(copy).await?];
        write_both(&devices, 0, &content).await?;
        let manifest = Self { devices, id, sequence, marked: [sequence; 2], end, bytes_min, state };
        let mark = manifest.mark();
        write_both(&manifest.devices, mark_offset(sequence), &mark).await?;
        // From the first rename on, the new files may be what recovery finds: an error is in doubt.
        for (draft, name) in DRAFT_NAMES.into_iter().zip(file_names(id)) {
            in_doubt(directory.rename(draft, &name).await)?;
        }
        in_doubt(directory.sync().await)?;
        Ok(manifest)
    }

    /// That of the last edit.
    fn mark(&self) -> Vec<u8> {
        fields(MARK_MAGIC, self.id, self.sequence)
    }

    /// The length of each file.
    fn size(&self) -> u64 {
        let [own, copy] = &self.devices;
        own.size().min(copy.size())
    }
}

/// What identifies an edit: a valid one in another place is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) manifest: u32,
    pub(crate) sequence: u64,
    pub(crate) offset: u64,
}

/// The file of a manifest, and that of its copy.
fn file_names(id: u32) -> [String; 2] {
    [format!("manifest-{id:08x}"), format!("manifest-copy-{id:08x}")]
}

/// The id in the name of either file.
fn manifest_id(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("manifest-copy-").or_else(|| name.strip_prefix("manifest-"))?;
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

/// Both writes are over when it returns.
async fn write_both<V: Device>(devices: &[V; 2], offset: u64, bytes: &[u8]) -> Result<(), Error> {
    let [own, copy] = devices;
    let (own, copy) = futures::join!(write(own, offset, bytes), write(copy, offset, bytes));
    own.and(copy)
}

fn mark_offset(sequence: u64) -> u64 {
    // Every other one is of the same file.
    SECTOR * (1 + sequence / 2 % 2)
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

#[cfg(test)]
mod tests;
