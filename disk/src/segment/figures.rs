//! What data segments hold, and what was read and written for them.

use super::{Class, Segments, area::Area};
use crate::device::Directory;

/// What data segments hold and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentFigures {
    /// Segment files.
    pub segment_count: u64,
    /// What they take on the device, in bytes.
    pub bytes: u64,
    /// What tables refer to, in bytes, headers included.
    pub live_bytes: u64,
    /// What memory refers to, in bytes; an extent pinned twice counts twice.
    pub pinned_bytes: u64,
    /// Reads of the device since the start.
    pub read_count: u64,
    /// Bytes read from the device since the start.
    pub read_bytes: u64,
    /// Writes to the device since the start.
    pub write_count: u64,
    /// Bytes written to the device since the start.
    pub write_bytes: u64,
    /// Flushes since the start: fewer than the calls of [`Segments::sync`] that they served.
    pub flush_count: u64,
}

/// What the segments of one class take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassFigures {
    /// Which class.
    pub class: Class,
    /// What its segments take on the device, in bytes.
    pub bytes: u64,
    /// What tables refer to, in bytes, headers included.
    pub live_bytes: u64,
    /// It has no space for new bytes.
    pub is_full: bool,
    /// A write or flush there has failed: it takes no more.
    pub has_failed: bool,
}

impl<D: Directory> Segments<D> {
    /// What there is and what was done.
    pub fn figures(&self) -> SegmentFigures {
        let ledger = self.0.ledger.borrow();
        let segment_count = ledger.segment_count();
        SegmentFigures {
            segment_count,
            bytes: segment_count * self.0.options.segment_bytes,
            live_bytes: ledger.live_bytes(),
            pinned_bytes: ledger.pinned_bytes(),
            read_count: self.0.counts.reads.get(),
            read_bytes: self.0.counts.read_bytes.get(),
            write_count: self.0.counts.writes.get(),
            write_bytes: self.0.counts.write_bytes.get(),
            flush_count: self.0.areas().map(|area| area.flusher.count()).sum(),
        }
    }

    /// What each class has that has a directory, the shard's own first.
    pub fn class_figures(&self) -> Vec<ClassFigures> {
        let ledger = self.0.ledger.borrow();
        let figures = |area: &Area<D>| {
            let (segment_count, live_bytes) = ledger.of_class(area.class);
            ClassFigures {
                class: area.class,
                bytes: segment_count * self.0.options.segment_bytes,
                live_bytes,
                is_full: area.is_full(),
                has_failed: area.has_failed(),
            }
        };
        self.0.areas().map(figures).collect()
    }
}
