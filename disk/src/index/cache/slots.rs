//! The blocks that are kept, in four lines, each with the next to go first.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{File, Place, Use};

/// What a slot costs beyond its content, in bytes.
pub(super) const SLOT_OVERHEAD_BYTES: usize = 128;

/// Where a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Filters and block indexes.
    Metadata,
    /// Blocks and payloads of single keys, used more than once.
    Proven,
    /// Blocks and payloads of single keys, used once so far.
    Trial,
    /// Blocks of walks.
    Scan,
}

const LINES: [Line; 4] = [Line::Metadata, Line::Proven, Line::Trial, Line::Scan];

#[derive(Debug, Default)]
pub(super) struct Slots {
    map: BTreeMap<Place, Slot>,
    queues: [Queue; LINES.len()],
    ticks: u64,
}

#[derive(Debug, Default)]
struct Queue {
    order: BTreeMap<u64, Place>,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Slot {
    content: Bytes,
    line: Line,
    /// It was read ahead and no walk has come to it: when one does, that is its first use and not a second.
    awaited: bool,
    /// Since it got its place in the line.
    used: bool,
    tick: u64,
}

impl Slot {
    pub(super) fn new(content: Bytes, line: Line) -> Self {
        Self { content, line, awaited: false, used: false, tick: 0 }
    }

    pub(super) fn awaited(content: Bytes) -> Self {
        Self { awaited: true, ..Self::new(content, Line::Scan) }
    }

    pub(super) fn line(&self) -> Line {
        self.line
    }

    /// What it takes, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.content.len() + SLOT_OVERHEAD_BYTES
    }
}

impl Slots {
    /// What all take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.queues.iter().map(|queue| queue.bytes).sum()
    }

    /// What a line takes, in bytes.
    pub(super) fn bytes_of(&self, line: Line) -> usize {
        self.queues[line as usize].bytes
    }

    pub(super) fn contains(&self, place: Place) -> bool {
        self.map.contains_key(&place)
    }

    pub(super) fn get(&mut self, place: Place, kind: Use) -> Option<Bytes> {
        let slot = self.map.get_mut(&place)?;
        let content = slot.content.clone();
        match (slot.line, kind) {
            (Line::Scan, Use::Scan) => slot.used |= !std::mem::take(&mut slot.awaited),
            (Line::Scan, Use::Point | Use::Metadata | Use::Payload) => {
                self.stand(place, Line::Trial);
            }
            (Line::Trial, Use::Point | Use::Metadata | Use::Payload) => {
                self.stand(place, Line::Proven);
            }
            // A walk over a block that is kept for single keys says nothing of those.
            (Line::Trial | Line::Proven | Line::Metadata, Use::Scan) => {}
            (Line::Proven | Line::Metadata, Use::Point | Use::Metadata | Use::Payload) => {
                slot.used = true;
            }
        }
        Some(content)
    }

    /// Puts a block that is not there at the end of its line.
    pub(super) fn insert(&mut self, place: Place, slot: Slot) {
        let line = slot.line;
        let before = self.map.insert(place, slot);
        assert!(before.is_none(), "a block is kept once");
        self.add(place, line);
    }

    /// Of which line a block goes first where `exceeds` says which have more than their part; none where there is none.
    pub(super) fn first_to_go(&self, exceeds: impl Fn(Line) -> bool) -> Option<Line> {
        let exceeding = [Line::Metadata, Line::Scan, Line::Trial].into_iter();
        let else_first = [Line::Proven, Line::Trial, Line::Scan, Line::Metadata].into_iter();
        exceeding
            .filter(|line| exceeds(*line))
            .chain(else_first)
            .find(|line| self.bytes_of(*line) > 0)
    }

    /// Removes the next block of a line, which has one: the first that was not used since it got its place there. Returns
    /// what it took, in bytes.
    pub(super) fn evict(&mut self, line: Line) -> (Place, usize) {
        loop {
            let first = self.queues[line as usize].order.first_key_value();
            let place = *first.expect("only a line that has blocks is chosen").1;
            let slot = self.map.get_mut(&place).expect("every block in a line is there");
            if !std::mem::take(&mut slot.used) {
                return (place, self.remove(place));
            }
            self.stand(place, line);
        }
    }

    /// Removes what is of a file.
    pub(super) fn forget(&mut self, file: File) {
        let of_file = self.map.range((file, 0)..=(file, u64::MAX));
        let places: Vec<Place> = of_file.map(|(place, _)| *place).collect();
        for place in places {
            self.remove(place);
        }
    }

    fn remove(&mut self, place: Place) -> usize {
        self.leave(place);
        self.map.remove(&place).map_or(0, |slot| slot.cost())
    }

    /// Moves a block to the end of a line.
    fn stand(&mut self, place: Place, line: Line) {
        self.leave(place);
        self.add(place, line);
    }

    fn add(&mut self, place: Place, line: Line) {
        self.ticks += 1;
        let slot = self.map.get_mut(&place).expect("it was just there");
        (slot.line, slot.tick) = (line, self.ticks);
        let queue = &mut self.queues[line as usize];
        queue.order.insert(slot.tick, place);
        queue.bytes += slot.cost();
    }

    fn leave(&mut self, place: Place) {
        let Some(slot) = self.map.get(&place) else { return };
        let queue = &mut self.queues[slot.line as usize];
        queue.order.remove(&slot.tick);
        queue.bytes -= slot.cost();
    }
}
