//! The batches of a segment file whose headers are whole, wherever they lie.

use bytes::Bytes;

use super::super::{
    format::{Found, HEADER_BYTES, Header, Item, Kind, RECORD_BYTES},
    log::Location,
    walk::{belongs, check_start, items},
};
use crate::{
    device::{Device, SECTOR_BYTES},
    error::Error,
};

/// How much is read at once, in bytes.
const READ_BYTES: usize = 1 << 20;

/// A batch whose header is whole.
pub(super) struct Piece {
    pub(super) header: Header,
    /// The records that are whole; entries without their bytes.
    pub(super) items: Vec<(Item, Location)>,
}

impl Piece {
    /// Its segment, and its offset there.
    pub(super) fn start(&self) -> (u32, u64) {
        (self.header.generation, u64::from(self.header.offset))
    }

    /// Where the next one is, if it is in the same segment.
    pub(super) fn end(&self) -> (u32, u64) {
        let (generation, start) = self.start();
        (generation, start + u64::from(self.header.length).next_multiple_of(SECTOR_BYTES as u64))
    }

    /// Whether all its records are.
    pub(super) fn is_whole(&self) -> bool {
        self.items.len() as u64 == u64::from(self.header.count)
    }
}

/// The batches of the segment of `(generation, identity)` in `path`, in order.
pub(super) async fn pieces<F: Device>(
    device: &F,
    place: (u32, u64),
    path: &str,
) -> Result<Vec<Piece>, Error> {
    let content = read(device).await?;
    let mut found = Vec::new();
    let mut at = 0;
    while at < content.len() {
        let sector = content.slice(at..at + SECTOR_BYTES);
        if at == 0 {
            check_start(&sector, place, path)?;
        }
        at += match Header::decode(&sector) {
            Found::Header(header) if belongs(&header, (at, content.len()), place) => {
                let length = usize::try_from(header.length).expect("it lies within the segment");
                let batch = content.slice(at..at + length);
                let items = items(&header, &batch).unwrap_or_else(|| whole_items(&header, &batch));
                let items = items.into_iter().map(|(item, location)| (slim(&item), location));
                found.push(Piece { header, items: items.collect() });
                length.next_multiple_of(SECTOR_BYTES)
            }
            Found::Header(_) | Found::Version(_) | Found::Nothing => SECTOR_BYTES,
        };
    }
    Ok(found)
}

/// Without the memory of the file that it was read with.
fn slim(item: &Item) -> Item {
    let head =
        if item.kind == Kind::Entry { Bytes::new() } else { Bytes::copy_from_slice(&item.head) };
    Item { kind: item.kind, group: item.group, index: item.index, head, body: Bytes::new() }
}

/// The whole sectors of a file; zeros where they can't be read.
async fn read<F: Device>(device: &F) -> Result<Bytes, Error> {
    let size = usize::try_from(device.size()).expect("a segment has at most 1 GiB");
    let mut content = vec![0; size / SECTOR_BYTES * SECTOR_BYTES];
    for (piece, start) in content.chunks_mut(READ_BYTES).zip((0..).step_by(READ_BYTES)) {
        let read = device.read(start, piece.len()).await;
        if let Ok(bytes) = read {
            piece.copy_from_slice(&bytes);
            continue;
        }
        for (sector, at) in piece.chunks_mut(SECTOR_BYTES).zip((start..).step_by(SECTOR_BYTES)) {
            match device.read(at, sector.len()).await {
                Ok(bytes) => sector.copy_from_slice(&bytes),
                Err(Error::Stopped) => return Err(Error::Stopped),
                Err(_unreadable) => {}
            }
        }
    }
    Ok(Bytes::from(content))
}

/// The records of a batch that are whole, where not all of them are: up to the first that isn't, and those behind where
/// the lengths that all of them give come out at the end of the batch.
fn whole_items(header: &Header, batch: &Bytes) -> Vec<(Item, Location)> {
    let mut found = Vec::new();
    let mut before_damage = None;
    let mut at = HEADER_BYTES;
    for _ in 0..header.count {
        let Some(rest) = batch.get(at..).filter(|rest| rest.len() >= RECORD_BYTES) else { break };
        let place = u32::try_from(at).ok().and_then(|at| header.offset.checked_add(at));
        let Some(offset) = place else { break };
        let length = Item::stated_bytes(rest);
        match Item::decode(header.generation, offset, &batch.slice(at..)) {
            Some(item) => {
                let length = u32::try_from(length).unwrap_or(u32::MAX);
                found.push((item, Location { segment: header.generation, offset, length }));
            }
            None => {
                before_damage.get_or_insert(found.len());
            }
        }
        at = at.saturating_add(length);
    }
    if at != batch.len() {
        found.truncate(before_damage.unwrap_or(found.len()));
    }
    found
}
