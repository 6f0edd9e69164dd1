//! A damaged log, read as far as it can be: batches and records that are whole, wherever they lie.
//!
//! A batch says its segment, its place and the WAL it is of, so one that lies behind damage counts like any other. Of a
//! batch whose header is whole, each record counts that is; the lengths in the others lead from one to the next, as long
//! as all of them together come out at the end that the header gives. What was torn off at the end, and nobody was told
//! of, is no damage: it is dropped, as at a recovery.
//!
//! What is missing is known by its gaps: batches are numbered, and so are the entries of a group. What a lost record at
//! the very end of a group's log was, nobody can know; [`Lost`] says how much that may be.
//!
//! Nothing is written but by [`Salvage::renew`]: a new log that holds a few slots' values in the place of all of this.

mod pieces;
mod renew;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use bytes::Bytes;

use self::pieces::{Piece, pieces};
use super::{
    GroupId, Record, Recovery, Slot, Wal, WalOptions,
    format::{Item, Kind},
    log::{Location, Log, SLOTS},
    recover::open_files,
    segments::{File, Segments, name},
    state::{Phase, Recovered, State},
};
use crate::{
    device::{Device, Directory, SECTOR_BYTES},
    error::Error,
    signal::Signal,
};

/// A damaged log.
pub struct Salvage<D: Directory> {
    directory: D,
    options: WalOptions,
    files: BTreeMap<u32, Rc<D::Device>>,
    logs: BTreeMap<GroupId, Found>,
    damages: Vec<Error>,
    lost: Lost,
    /// Above all that there is.
    next_generation: u32,
    next_sequence: u64,
}

/// What of a log can't be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Batches, or more than there were.
    pub batch_count: u64,
    /// Records in them, or more than there were.
    pub record_count_max: u64,
}

/// The generation of a segment, and an offset in it.
type Place = (u32, u64);

/// What can be read of one group.
#[derive(Debug, Default)]
struct Found {
    entries: BTreeMap<u64, Location>,
    slots: [Option<Bytes>; SLOTS],
}

/// Which entries of a group a log is to have: those from `from` on up to the first that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The group.
    pub group: GroupId,
    /// The first entry that is wanted.
    pub from: u64,
    /// The value of [`Slot::Purged`]; none for a group of which nothing was applied.
    pub purged: Option<Bytes>,
}

impl<D: Directory> Salvage<D> {
    /// Reads what there is in the directory of a log.
    ///
    /// # Errors
    ///
    /// [`Error::Version`] for a log of another release, [`Error::Corrupt`] for that of another volume.
    pub async fn open(directory: D, options: WalOptions) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        let mut all = Vec::new();
        for File { generation, device } in open_files(&directory).await? {
            let place = (generation, options.identity);
            all.extend(pieces(&*device, place, &directory.path()).await?);
            files.insert(generation, device);
        }
        let next = files.last_key_value().map_or(0, |(generation, _)| *generation).checked_add(1);
        let sequence = all.iter().map(|piece| piece.header.sequence).max().unwrap_or(0);
        let mut salvage = Self {
            directory,
            options,
            files,
            logs: BTreeMap::new(),
            damages: Vec::new(),
            lost: Lost::default(),
            next_generation: next.expect("2^32 segments are 64 PiB of log"),
            next_sequence: sequence.saturating_add(1),
        };
        salvage.take(all);
        Ok(salvage)
    }

    /// Where something is missing or can't be read, with file and offset.
    pub fn damages(&self) -> &[Error] {
        &self.damages
    }

    /// How much that is.
    pub fn lost(&self) -> Lost {
        self.lost
    }

    /// The groups of which anything can be read.
    pub fn groups(&self) -> Vec<GroupId> {
        self.logs.keys().copied().collect()
    }

    /// The last value of a slot that can be read.
    pub fn slot(&self, group: GroupId, slot: Slot) -> Option<Bytes> {
        self.logs.get(&group)?.slots[slot as usize].clone()
    }

    /// The entries of a group that can be read, in order; there may be holes.
    pub fn indexes(&self, group: GroupId) -> Vec<u64> {
        self.logs
            .get(&group)
            .map(|found| found.entries.keys().copied().collect())
            .unwrap_or_default()
    }

    /// The index behind the last entry that can be read of those from `from` on without a hole.
    pub fn unbroken_end(&self, group: GroupId, from: u64) -> u64 {
        let entries =
            self.logs.get(&group).into_iter().flat_map(|found| found.entries.range(from..));
        entries.zip(from..).take_while(|((index, _), expected)| *index == expected).count() as u64
            + from
    }

    /// Reads an entry.
    pub async fn read(&self, group: GroupId, index: u64) -> Result<Record, Error> {
        let absent = || Error::Absent { name: format!("entry {index} of group {group}") };
        let found = self.logs.get(&group).and_then(|found| found.entries.get(&index));
        let location = found.copied().ok_or_else(absent)?;
        let device = self.files.get(&location.segment).ok_or_else(absent)?;
        let start = u64::from(location.offset) / SECTOR_BYTES as u64 * SECTOR_BYTES as u64;
        let end = u64::from(location.offset) + u64::from(location.length);
        let length = usize::try_from(end - start).expect("a record fits in memory");
        let bytes = device.read(start, length.next_multiple_of(SECTOR_BYTES)).await?;
        let at = usize::try_from(u64::from(location.offset) - start).expect("within a sector");
        let item = Item::decode(location.segment, location.offset, &bytes.slice(at..));
        let item = item.filter(|item| (item.group, item.index) == (group, index));
        item.map(|Item { index, head, body, .. }| Record { index, head, body }).ok_or_else(|| {
            Error::Corrupt {
                location: self.location((location.segment, u64::from(location.offset))),
                finding: format!("record {index} of group {group} does not verify"),
            }
        })
    }

    /// A log to be read, and no more: it takes no records. `directory` is that of [`Self::open`].
    pub fn wal(&self, directory: D, kept: &[Kept]) -> Wal<D> {
        let mut segments = Segments::new(self.next_generation);
        for (generation, device) in &self.files {
            segments.add_live(File { generation: *generation, device: Rc::clone(device) });
        }
        let mut logs = BTreeMap::new();
        for Kept { group, from, purged } in kept {
            let mut log = Log::default();
            let end = self.unbroken_end(*group, *from);
            let entries = self.logs.get(group).into_iter();
            for (index, location) in entries.flat_map(|found| found.entries.range(*from..end)) {
                let item = item(Kind::Entry, *group, *index, Bytes::new());
                log.write(&item, *location, &mut segments).expect("there is no hole");
            }
            if let (Some(purged), Some((newest, _))) = (purged, self.files.last_key_value()) {
                let location = Location { segment: *newest, offset: 0, length: 0 };
                let item = item(Kind::Purged, *group, 0, purged.clone());
                log.write(&item, location, &mut segments).expect("a slot takes any value");
            }
            log.adopt();
            logs.insert(*group, log);
        }
        let facts = Recovery::default();
        let recovered = Recovered { logs, segments, sequence: 0, facts };
        let mut state = State::new(self.options.clone(), recovered);
        state.phase = Phase::Stopped;
        Wal(Rc::new(super::Shared {
            directory,
            reserve: None,
            segment_bytes: self.options.segment_bytes,
            state: state.into(),
            work: Signal::default(),
            upkeep: Signal::default(),
            space: Signal::default(),
        }))
    }

    /// Puts what was found together, and notes what is missing.
    fn take(&mut self, all: Vec<Piece>) {
        let whole = |piece: &&Piece| piece.is_whole();
        let last = all.iter().filter(whole).max_by_key(|piece| piece.header.sequence);
        let oldest = last.map_or(0, |last| last.header.oldest);
        let last = last.map_or(0, |last| last.header.sequence);
        let durable = all.iter().map(|piece| piece.header.durable).max().unwrap_or(0).max(last);
        let sound: BTreeSet<u64> =
            all.iter().filter(whole).map(|piece| piece.header.sequence).collect();
        // A batch that was torn off and dropped at a recovery has a successor of the same number in another segment. One
        // that isn't whole is the one that counted, where the next one lies right behind it.
        let starts: BTreeSet<(u64, Place)> =
            all.iter().map(|piece| (piece.header.sequence, piece.start())).collect();
        let has_counted = |piece: &Piece| {
            let (generation, _) = piece.start();
            let next = piece.header.sequence.saturating_add(1);
            let is_last = sound.contains(&piece.header.sequence);
            let follows = |place| starts.contains(&(next, place));
            !is_last && (follows(piece.end()) || follows((generation.saturating_add(1), 0)))
        };
        let counts = |piece: &Piece| {
            let is_known = piece.header.sequence <= durable && piece.header.generation >= oldest;
            is_known && (piece.is_whole() || has_counted(piece))
        };
        let mut before: Option<(u64, Place)> = None;
        for piece in all.into_iter().filter(counts) {
            let (header, start) = (piece.header, piece.start());
            match before {
                None => self.miss_start(oldest, start),
                Some((sequence, end)) if header.sequence > sequence + 1 => {
                    // Where the next one isn't the first of its segment, that one is what is missing at least.
                    let is_start = end.0 != start.0 && start.1 > 0;
                    let place = if is_start { (start.0, 0) } else { end };
                    self.miss(header.sequence - sequence - 1, place);
                }
                Some(_) => {}
            }
            if !piece.is_whole() {
                self.break_off(&piece, start);
            }
            before = Some((header.sequence, piece.end()));
            for (item, location) in &piece.items {
                self.apply(item, *location);
            }
        }
        let (sequence, end) = before.unwrap_or((0, (oldest, 0)));
        if sequence < durable {
            self.miss(durable - sequence, end);
        }
    }

    /// What was before the first piece of a log that should begin at the start of the oldest segment.
    fn miss_start(&mut self, oldest: u32, start: Place) {
        if start == (oldest, 0) {
            return;
        }
        let sectors = self.options.segment_bytes / SECTOR_BYTES as u64;
        let batches =
            u64::from(start.0.saturating_sub(oldest)) * sectors + start.1 / SECTOR_BYTES as u64;
        self.lose(batches.max(1));
        let finding = "what the log begins with is not there".to_owned();
        self.damages.push(Error::Corrupt { location: self.location((oldest, 0)), finding });
    }

    fn miss(&mut self, batches: u64, place: Place) {
        self.lose(batches);
        let finding = format!("{batches} batches that were durable are not valid there");
        self.damages.push(Error::Corrupt { location: self.location(place), finding });
    }

    fn break_off(&mut self, piece: &Piece, place: Place) {
        self.lost.batch_count += 1;
        let there = u64::from(piece.header.count);
        let lost = there.saturating_sub(piece.items.len() as u64);
        self.lost.record_count_max += lost;
        let finding = format!("{lost} of the {there} records of a batch are not valid");
        self.damages.push(Error::Corrupt { location: self.location(place), finding });
    }

    fn lose(&mut self, batches: u64) {
        self.lost.batch_count += batches;
        let longest = self.files.values().map(|device| device.size()).max().unwrap_or(0);
        let longest = longest.max(self.options.segment_bytes);
        let records = batches.saturating_mul(longest / super::format::RECORD_BYTES as u64);
        self.lost.record_count_max = self.lost.record_count_max.saturating_add(records);
    }

    fn apply(&mut self, item: &Item, location: Location) {
        let found = self.logs.entry(item.group).or_default();
        let mut keep = |slot: Slot| found.slots[slot as usize] = Some(item.head.clone());
        match item.kind {
            Kind::Entry => {
                // Where others are there, the record that dropped them is lost.
                drop(found.entries.split_off(&item.index));
                found.entries.insert(item.index, location);
            }
            Kind::Truncate => drop(found.entries.split_off(&item.index)),
            Kind::Purge => {
                keep(Slot::Purged);
                found.entries = found.entries.split_off(&item.index.saturating_add(1));
            }
            Kind::Purged => keep(Slot::Purged),
            Kind::Vote => keep(Slot::Vote),
            Kind::Committed => keep(Slot::Committed),
            Kind::Remove => {
                self.logs.remove(&item.group);
            }
        }
    }

    fn location(&self, (generation, offset): Place) -> String {
        format!("{}/{} at {offset}", self.directory.path(), name(generation))
    }
}

fn item(kind: Kind, group: GroupId, index: u64, head: Bytes) -> Item {
    Item { kind, group, index, head, body: Bytes::new() }
}

impl<D: Directory> std::fmt::Debug for Salvage<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Salvage")
            .field("damages", &self.damages)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}
