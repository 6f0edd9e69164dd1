//! The WAL's segment files: those needed, the one prepared to be next, and spare ones to be used again.
//!
//! Segments are given up in the order they were filled, never out of it: so a record can't come back to life because
//! the truncation after it was given up first.

use std::{collections::BTreeMap, rc::Rc};

use super::log::{Need, Needs};
use crate::{device::Device, error::Error};

/// How many spare files are kept at most.
pub(super) const SPARE_MAX: usize = 4;
/// How many batches are written between two attempts to make a segment on a full volume.
const RETRY_BATCHES: u64 = 64;

/// The name of a segment file.
pub(super) fn name(generation: u32) -> String {
    format!("wal-{generation:08x}")
}

/// The generation that a file name has, where it is a segment's.
pub(super) fn generation(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("wal-")?;
    let generation = u32::from_str_radix(digits, 16).ok()?;
    (self::name(generation) == name).then_some(generation)
}

/// An open file with the generation that its name has.
pub(super) struct File<F> {
    pub(super) generation: u32,
    pub(super) device: Rc<F>,
}

/// A segment that is needed, or the one being filled.
struct Live<F> {
    device: Rc<F>,
    entries: u64,
    slots: u64,
}

/// All segment files.
pub(super) struct Segments<F> {
    live: BTreeMap<u32, Live<F>>,
    /// Where the next batch goes: generation, offset in bytes.
    current: Option<(u32, u64)>,
    prepared: Option<File<F>>,
    spare: Vec<File<F>>,
    /// The generation of the next file.
    next: u32,
    /// The committer waits for a segment.
    wanted: bool,
    short: Option<Shortage>,
}

struct Shortage {
    error: Error,
    retry_at: u64,
}

/// What is to be done about files.
pub(super) enum Upkeep<F> {
    /// Make this file the next segment: by renaming a spare one, else anew.
    Prepare(u32, Option<File<F>>),
    /// Remove a file that isn't needed.
    Remove(File<F>),
    /// Nothing more, ever: the committer has ended.
    End,
}

impl<F: Device> Segments<F> {
    /// No segment in use; the next file has the generation `next`.
    pub(super) fn new(next: u32) -> Self {
        Self {
            live: BTreeMap::new(),
            current: None,
            prepared: None,
            spare: Vec::new(),
            next,
            wanted: false,
            short: None,
        }
    }

    /// Adds a segment found full of records at recovery.
    pub(super) fn add_live(&mut self, file: File<F>) {
        self.live.insert(file.generation, Live { device: file.device, entries: 0, slots: 0 });
    }

    /// Adds a file to be used again. On a full volume that is a reason to try at once.
    pub(super) fn add_spare(&mut self, file: File<F>) {
        self.spare.push(file);
        if let Some(short) = &mut self.short {
            short.retry_at = 0;
        }
    }

    /// The open file of a segment in use.
    pub(super) fn device(&self, generation: u32) -> Option<Rc<F>> {
        self.live.get(&generation).map(|live| Rc::clone(&live.device))
    }

    /// Where the next batch goes: generation, offset in bytes.
    pub(super) fn current(&self) -> Option<(u32, u64)> {
        self.current
    }

    /// The segments in use above `generation`, oldest first.
    pub(super) fn above(&self, generation: Option<u32>) -> impl Iterator<Item = u32> {
        let above = move |live: &&u32| generation.is_none_or(|generation| **live > generation);
        self.live.keys().filter(above).copied()
    }

    /// Whether a batch of `length` bytes fits into the segment being filled.
    pub(super) fn has_room(&self, length: usize) -> bool {
        let Some((generation, offset)) = self.current else { return false };
        let live = self.live.get(&generation).expect("the segment being filled is live");
        length as u64 <= live.device.size().saturating_sub(offset)
    }

    /// Goes past a batch that was written.
    pub(super) fn advance(&mut self, length: usize) {
        if let Some((_, offset)) = &mut self.current {
            *offset += length as u64;
        }
    }

    /// Takes the prepared segment into use. Without one, it is wanted from now on.
    pub(super) fn switch(&mut self) -> bool {
        let Some(file) = self.prepared.take() else {
            self.wanted = true;
            return false;
        };
        self.current = Some((file.generation, 0));
        self.add_live(file);
        true
    }

    /// What a wait for a segment came to, if anything yet.
    pub(super) fn outcome(&self) -> Option<Result<(), Error>> {
        if self.prepared.is_some() {
            return Some(Ok(()));
        }
        let short = self.short.as_ref().filter(|_| !self.wanted)?;
        Some(Err(short.error.clone()))
    }

    /// The oldest segment in use.
    pub(super) fn oldest(&self) -> Option<u32> {
        self.live.first_key_value().map(|(generation, _)| *generation)
    }

    /// The oldest segment, where no entry in it is needed and it isn't the one being filled.
    pub(super) fn idle(&self) -> Option<u32> {
        let (generation, live) = self.live.first_key_value()?;
        let current = self.current.map(|(current, _)| current);
        (live.entries == 0 && Some(*generation) != current).then_some(*generation)
    }

    /// Gives up the oldest segment. Nothing in it is needed once the batch that says so is durable; until then the
    /// caller holds it, then it is a spare.
    pub(super) fn release(&mut self, generation: u32) -> File<F> {
        let live = self.live.remove(&generation).expect("an idle segment is live");
        assert!(live.entries == 0 && live.slots == 0, "a released segment is not needed");
        File { generation, device: live.device }
    }

    /// What to do next about files, if anything. `batches` is how many were written, `stopping` whether no more
    /// records will come.
    pub(super) fn upkeep(&mut self, batches: u64, stopping: bool) -> Option<Upkeep<F>> {
        let retry = match &self.short {
            Some(short) => self.wanted || batches >= short.retry_at,
            None => self.wanted || !stopping,
        };
        if self.prepared.is_none() && retry {
            let generation = self.next;
            self.next = self.next.checked_add(1).expect("2^32 segments are 64 PiB of log");
            return Some(Upkeep::Prepare(generation, self.spare.pop()));
        }
        (self.spare.len() > SPARE_MAX).then(|| Upkeep::Remove(self.spare.remove(0)))
    }

    /// A segment is ready to be used next: its name is durable.
    pub(super) fn ready(&mut self, file: File<F>) {
        self.prepared = Some(file);
        self.short = None;
        self.wanted = false;
    }

    /// No segment could be made: the volume is full.
    pub(super) fn refused(&mut self, error: Error, batches: u64) {
        self.short = Some(Shortage { error, retry_at: batches.saturating_add(RETRY_BATCHES) });
        self.wanted = false;
    }

    /// Whether the next segment could not be made.
    pub(super) fn is_short(&self) -> bool {
        self.short.is_some()
    }

    /// How many segments are in use, and how many bytes they take.
    pub(super) fn held(&self) -> (usize, u64) {
        (self.live.len(), self.live.values().map(|live| live.device.size()).sum())
    }

    /// How many files wait to be used again, with the prepared one.
    pub(super) fn spare_count(&self) -> usize {
        self.spare.len() + usize::from(self.prepared.is_some())
    }

    fn live(&mut self, generation: u32) -> &mut Live<F> {
        self.live.get_mut(&generation).expect("a segment with needed records is live")
    }
}

impl<F: Device> Needs for Segments<F> {
    fn entry(&mut self, segment: u32, needed: Need) {
        adjust(&mut self.live(segment).entries, needed);
    }

    fn slot(&mut self, segment: u32, needed: Need) {
        adjust(&mut self.live(segment).slots, needed);
    }
}

fn adjust(count: &mut u64, needed: Need) {
    *count = match needed {
        Need::More => count.checked_add(1),
        Need::Less => count.checked_sub(1),
    }
    .expect("each need ends once");
}

#[cfg(test)]
mod tests {
    use super::{generation, name};

    #[test]
    fn names_and_generations_are_one_to_one() {
        assert_eq!(name(0x1a), "wal-0000001a");
        assert_eq!(generation("wal-0000001a"), Some(0x1a));
        for other in ["wal-1a", "wal-0000001A", "wal-+000001a", "wal-0000000001", "table-00000001"]
        {
            assert_eq!(generation(other), None, "{other}");
        }
    }
}
