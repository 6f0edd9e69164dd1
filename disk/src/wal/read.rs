//! Reading records back: from memory while they are recent, else from their segment, verified.
//!
//! While a read is under way the group may be truncated and the segment used again. So after each read from disk it is
//! asked again whether the record is still where it was; only then a failed check is damage.

use std::{ops::Range, rc::Rc};

use super::{
    GroupId, Record, Wal,
    format::{Item, Kind},
    log::{Location, Log},
    segments::name,
    state::{Phase, State},
};
use crate::{
    device::{Device, Directory, SECTOR_BYTES},
    error::Error,
};

/// Neighbours are read together up to this many bytes.
const READ_BYTES_MAX: u32 = 256 << 10;

/// What is still to be read, and what was.
struct Reading {
    group: GroupId,
    range: Range<u64>,
    bytes_left: usize,
    records: Vec<Record>,
}

/// Neighbouring records in one segment.
struct Run<F> {
    device: Rc<F>,
    locations: Vec<Location>,
}

impl<D: Directory> Wal<D> {
    pub(super) async fn read_records(
        &self,
        group: GroupId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Record>, Error> {
        let mut reading = Reading { group, range, bytes_left: bytes_max, records: Vec::new() };
        loop {
            let run = {
                let mut state = self.0.state.borrow_mut();
                if matches!(state.phase, Phase::Failed(_)) {
                    return Err(Error::Stopped);
                }
                let run = reading.collect(&state);
                state.counts.reads += u64::from(run.is_some());
                run
            };
            let Some(run) = run else { return Ok(reading.records) };
            self.read_run(&mut reading, &run).await?;
        }
    }

    async fn read_run(&self, reading: &mut Reading, run: &Run<D::Device>) -> Result<(), Error> {
        let (Some(first), Some(last)) = (run.locations.first(), run.locations.last()) else {
            return Ok(());
        };
        let start = u64::from(first.offset) / SECTOR_BYTES as u64 * SECTOR_BYTES as u64;
        let end = u64::from(last.offset) + u64::from(last.length);
        let length = usize::try_from(end - start).expect("a run fits in memory");
        let mut locations = run.locations.as_slice();
        let bytes = match run.device.read(start, length.next_multiple_of(SECTOR_BYTES)).await {
            // Alone: a bad sector of a neighbour says nothing about this record.
            Err(_neighbour) if locations.len() > 1 => {
                locations = &locations[..1];
                let length = usize::try_from(u64::from(first.offset + first.length) - start);
                let length = length.expect("a record fits in memory");
                run.device.read(start, length.next_multiple_of(SECTOR_BYTES)).await?
            }
            other => other?,
        };
        for location in locations {
            let index = reading.range.start;
            let state = self.0.state.borrow();
            let same = state.logs.get(&reading.group).is_some_and(|log| {
                is_current(log, index) && log.location(index) == Some(*location)
            });
            if !same {
                return Ok(());
            }
            let at = usize::try_from(u64::from(location.offset) - start).expect("within the run");
            let found = Item::decode(location.segment, location.offset, &bytes.slice(at..));
            let record = found
                .filter(|item| item.kind == Kind::Entry && item.group == reading.group)
                .filter(|item| item.index == index)
                .map(|Item { index, head, body, .. }| Record { index, head, body });
            let Some(record) = record else {
                return Err(Error::Corrupt {
                    location: format!(
                        "{}/{} at {}",
                        self.0.directory.path(),
                        name(location.segment),
                        location.offset
                    ),
                    finding: format!("record {index} of group {} does not verify", reading.group),
                });
            };
            if !reading.push(record) {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Reading {
    /// Takes the records that are in memory, up to the first that must be read from disk: gives it and its neighbours.
    fn collect<F: Device>(&mut self, state: &State<F>) -> Option<Run<F>> {
        let log = state.logs.get(&self.group)?;
        let (first, last) = log.range()?;
        if self.records.is_empty() {
            self.range.start = self.range.start.max(first);
        }
        self.range.end = self.range.end.min(last + 1);
        while self.range.start >= first
            && !self.range.is_empty()
            && let Some(recent) = log.recent(self.range.start)
        {
            if !self.push(recent.record.clone()) {
                return None;
            }
        }
        if self.range.is_empty() || self.range.start < first {
            return None;
        }
        let first = log.location(self.range.start).expect("a record is in memory or on disk");
        let device = state.segments.device(first.segment).expect("a needed segment is live");
        let mut run = Run { device, locations: vec![first] };
        let mut bytes = usize::try_from(first.length).ok()?;
        for index in self.range.start + 1..self.range.end {
            let Some(next) = log.location(index).filter(|_| log.recent(index).is_none()) else {
                break;
            };
            bytes = bytes.saturating_add(usize::try_from(next.length).ok()?);
            let spread = (next.offset + next.length).saturating_sub(first.offset);
            if next.segment != first.segment
                || next.offset < first.offset
                || spread > READ_BYTES_MAX
                || bytes > self.bytes_left
            {
                break;
            }
            run.locations.push(next);
        }
        Some(run)
    }

    /// Takes the record that `range` starts with, if there is room for it or none was taken yet; says whether.
    fn push(&mut self, record: Record) -> bool {
        let bytes = record.head.len() + record.body.len();
        if bytes > self.bytes_left && !self.records.is_empty() {
            self.range.end = self.range.start;
            return false;
        }
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.range.start = record.index + 1;
        self.records.push(record);
        true
    }
}

/// Whether `location` is right for the index: submitted, not dropped, and not waiting to be written again.
fn is_current(log: &Log, index: u64) -> bool {
    log.range().is_some_and(|(first, last)| (first..=last).contains(&index))
        && log.recent(index).is_none()
}
