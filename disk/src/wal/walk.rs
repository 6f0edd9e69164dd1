//! Walking through a segment file: the valid batches from its start, and the first header behind them that isn't
//! one of them.

use bytes::Bytes;

use super::{
    format::{Found, HEADER_BYTES, Header, Item, VERSION},
    log::Location,
    segments::name,
};
use crate::{
    device::{Device, SECTOR_BYTES},
    error::Error,
    planted::{self, Bug},
};

const SECTOR: u64 = SECTOR_BYTES as u64;
/// How much is read at once, in bytes, if a batch isn't longer.
const WINDOW_BYTES: u64 = 1 << 20;

/// A valid batch.
pub(super) struct Whole {
    pub(super) header: Header,
    pub(super) items: Vec<(Item, Location)>,
}

/// What a segment holds.
pub(super) struct Walk {
    /// The last of the valid batches that follow one another from the start.
    pub(super) last: Option<Header>,
    /// Where the next one should be.
    pub(super) end: u64,
    /// Of the headers there and behind, the one that knew most to be durable.
    pub(super) later: Option<Header>,
}

/// Walks through the segment of `(generation, identity)`; `apply` sees each valid batch in order.
pub(super) async fn walk<F: Device>(
    device: &F,
    place: (u32, u64),
    path: &str,
    mut apply: impl FnMut(Whole) -> Result<(), Error>,
) -> Result<Walk, Error> {
    let mut window = Window { device, start: 0, bytes: Bytes::new() };
    let mut walk = Walk { last: None, end: 0, later: None };
    let size = device.size() / SECTOR * SECTOR;
    if size > 0 {
        check_start(&window.get(0, SECTOR).await?, place, path)?;
    }
    while walk.end < size {
        let Some(header) = window.header(walk.end, place).await? else { break };
        if walk.last.is_some_and(|last| header.sequence != last.sequence + 1) {
            break;
        }
        let bytes = window.get(walk.end, u64::from(header.length)).await?;
        let Some(items) = items(&header, &bytes) else { break };
        walk.last = Some(header);
        walk.end += u64::from(header.length).next_multiple_of(SECTOR);
        apply(Whole { header, items })?;
    }
    let mut offset = walk.end;
    while offset < size {
        if let Some(header) = window.header(offset, place).await?
            && walk.later.is_none_or(|later| later.durable < header.durable)
        {
            walk.later = Some(header);
        }
        offset += SECTOR;
    }
    Ok(walk)
}

/// Refuses a segment of another WAL or another release. Only its first sector counts: it always has a header, of this
/// life of the file or an earlier one, while any other sector may have whatever a client has stored.
pub(super) fn check_start(
    sector: &[u8],
    (generation, identity): (u32, u64),
    path: &str,
) -> Result<(), Error> {
    let location = || format!("{path}/{}", name(generation));
    match Header::decode(sector) {
        Found::Version(found) => {
            Err(Error::Version { location: location(), found, readable: VERSION.to_string() })
        }
        Found::Header(header) if header.identity != identity => Err(Error::Corrupt {
            location: location(),
            finding: "it belongs to another volume".to_owned(),
        }),
        Found::Header(_) | Found::Nothing => Ok(()),
    }
}

/// Whether a header that was found at an offset of a file, both in whole sectors, is that of a batch there.
pub(super) fn belongs(
    header: &Header,
    (offset, file_bytes): (usize, usize),
    (generation, identity): (u32, u64),
) -> bool {
    let room = file_bytes - offset;
    let length = usize::try_from(header.length).unwrap_or(usize::MAX);
    (header.generation == generation || planted::is(Bug::StaleBatchAccepted))
        && header.identity == identity
        && usize::try_from(header.offset) == Ok(offset)
        && header.durable < header.sequence
        && (HEADER_BYTES..=room).contains(&length)
}

/// The records of a batch, where each is whole and valid and together they fill it.
pub(super) fn items(header: &Header, batch: &Bytes) -> Option<Vec<(Item, Location)>> {
    let mut items = Vec::new();
    let mut at = HEADER_BYTES;
    for _ in 0..header.count {
        let offset = header.offset.checked_add(u32::try_from(at).ok()?)?;
        let item = Item::decode(header.generation, offset, &batch.slice(at..))?;
        let length = u32::try_from(item.bytes()).ok()?;
        at += item.bytes();
        items.push((item, Location { segment: header.generation, offset, length }));
    }
    (at == batch.len()).then_some(items)
}

/// A part of the file in memory.
struct Window<'a, F> {
    device: &'a F,
    start: u64,
    bytes: Bytes,
}

impl<F: Device> Window<'_, F> {
    /// The header at `offset`, where there is one that belongs there.
    async fn header(&mut self, offset: u64, place: (u32, u64)) -> Result<Option<Header>, Error> {
        let Found::Header(header) = Header::decode(&self.get(offset, SECTOR).await?) else {
            return Ok(None);
        };
        let file_bytes = in_memory(self.device.size() / SECTOR * SECTOR);
        let belongs = belongs(&header, (in_memory(offset), file_bytes), place);
        Ok(belongs.then_some(header))
    }

    /// `length` bytes from the sector at `offset` on; they must be in the file.
    async fn get(&mut self, offset: u64, length: u64) -> Result<Bytes, Error> {
        let end = offset + length;
        if offset < self.start || end > self.start + self.bytes.len() as u64 {
            let wanted = length.next_multiple_of(SECTOR).max(WINDOW_BYTES);
            let size = self.device.size() / SECTOR * SECTOR;
            let wanted = in_memory(wanted.min(size - offset));
            self.bytes = self.device.read(offset, wanted).await?;
            self.start = offset;
        }
        Ok(self.bytes.slice(in_memory(offset - self.start)..in_memory(end - self.start)))
    }
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a segment has at most 1 GiB")
}
