//! How much of the data segments is needed, and what is done when it is too little.
//!
//! Bytes die in four places, and each has its way back: in memory only (a memtable's pins go at once, [`Index::write`]
//! asks for a sweep); behind tombstones that are not flushed (a flush for the sake of space); behind tombstones and
//! overwrites in level zero (a compaction of level zero); in segments that are partly live (a rewrite of the segment).
//!
//! What is *needed* is what tables and memory refer to, less what tombstones have let go of. Above a quarter more than
//! that and [`SLACK_SEGMENTS`] all four are pressed: then every sealed segment that is less than four fifths live is
//! rewritten, so that what upkeep leaves is within the quarter again. Above half more and [`RESERVE_SEGMENTS`] writers
//! wait, for as long as upkeep has something to do.
//!
//! While little is left on the volume (`reserve.rs`) all that is dead is worth getting at: a twentieth more than what is
//! needed and a segment presses, segments are rewritten up to nine tenths live, and tombstones are carried down however few
//! they are. While the shard is short of space, a quarter of a segment is worth that, too: what a rewrite leaves of the
//! active segment is what the shortage ends by.
//!
//! The directory of another class is pressed when it has refused new bytes for want of space, for itself: then all four go on
//! whatever the rest is like, its segments are rewritten up to nine tenths live, and nobody else waits or is refused.
//!
//! What tombstones have let go of is known since the start, for the tables of level zero. Deeper, where levels differ
//! by a factor in size, the share of tombstones alone decides, as for tables themselves.

use crate::{
    device::Directory,
    error::Error,
    index::{
        Index,
        compact::MOVE_BYTES_MAX,
        memtable::Memtable,
        shared::{Shared, State},
    },
    segment::{Class, Thinness},
};

/// Segments that may be held for nothing before upkeep is pressed. Under overwrites most of them die whole when they are left
/// alone for a moment; to rewrite them sooner costs the writers more than the space is worth.
const SLACK_SEGMENTS: u64 = 8;
/// Segments that may be held for nothing before writers wait.
pub const RESERVE_SEGMENTS: u64 = 16;
/// Under pressure a segment with a smaller share of live bytes is rewritten, in percent.
const PRESSING_PERCENT: u32 = 80;
/// But one with a smaller share is, however little fits into a segment.
const PERCENT_MIN: u32 = 50;

/// The same while little is left on the volume. Not more, and not more than [`full_percent`]: chunks fill a segment only
/// nearly, and what is rewritten must come out fuller than it went in, or it is rewritten again and again.
const TIGHT_PERCENT: u32 = 90;

const _: () = assert!(SLACK_SEGMENTS < RESERVE_SEGMENTS, "upkeep is pressed before writers wait");

/// What data segments take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes of all segments.
    pub used_bytes: u64,
    /// Bytes of them that something refers to.
    pub needed_bytes: u64,
    /// Bytes of one segment.
    pub segment_bytes: u64,
    /// What is left of the active segments, in bytes.
    pub room_bytes: u64,
    /// Little is left on the volume.
    pub is_tight: bool,
    /// So little that writes wait or are refused.
    pub is_short: bool,
}

impl Space {
    /// Whether upkeep is to get space back with urgency.
    pub fn is_pressing(&self) -> bool {
        let tight = self.needed_bytes + self.needed_bytes / 20;
        if self.is_short {
            return self.used_bytes > tight + self.segment_bytes / 4 + self.room_bytes;
        }
        if self.is_tight {
            return self.used_bytes > tight + self.segment_bytes;
        }
        let allowed = self.needed_bytes + self.needed_bytes / 4;
        self.used_bytes > allowed + SLACK_SEGMENTS * self.segment_bytes
    }

    /// Whether writers are to wait for upkeep.
    pub fn is_excessive(&self) -> bool {
        let allowed = self.needed_bytes + self.needed_bytes / 2;
        self.used_bytes > allowed + RESERVE_SEGMENTS * self.segment_bytes
    }

    /// Dead bytes that are worth a flush or a compaction of level zero.
    fn worthwhile_bytes(&self) -> u64 {
        let share = if self.is_tight { 0 } else { self.needed_bytes / 16 };
        share + self.segment_bytes / 2
    }
}

impl<D: Directory> Index<D> {
    /// What its segments take, and what of it is needed.
    pub fn space(&self) -> Space {
        space(&self.0, &self.0.state.borrow())
    }

    /// Back-pressure for the sake of space: waits while segments hold too much that is dead and upkeep is getting it
    /// back. Where there is nothing that upkeep can do, nobody waits.
    pub async fn room_in_segments(&self) {
        loop {
            let seen = self.0.eased.count();
            if !self.space().is_excessive() || self.is_stopping() {
                return;
            }
            if !self.0.tidying.get() && !self.0.flushing_now() {
                return;
            }
            self.0.eased.moved(seen).await;
        }
    }
}

impl<D: Directory> Index<D> {
    /// Wakes upkeep where a segment has become free by something else than a write, and while little is left on
    /// the volume: to be called after a [`crate::segment::Segments::let_go`], and then every now and then.
    pub fn look_after_space(&self) {
        if self.0.segments.take_freed() || self.0.wants_space() {
            self.0.moved.notify();
        }
    }
}

impl<D: Directory> Shared<D> {
    fn flushing_now(&self) -> bool {
        self.flushing.try_lock().is_none()
    }
}

/// Whether a segment may be rewritten. On a volume that is all but full a rewrite takes a new segment before it gives one
/// back: the reserve is given up for that, and what is left must do for flushes and merges, or nothing would come back
/// ever again.
pub(super) async fn may_rewrite<D: Directory>(
    shared: &Shared<D>,
    class: Class,
) -> Result<bool, Error> {
    if class != Class::OWN {
        return Ok(shared.segments.may_rewrite(class).await);
    }
    let Some(reserve) = shared.reserve.as_ref().filter(|reserve| reserve.is_tight()) else {
        return Ok(true);
    };
    let segment_bytes = shared.segments.segment_bytes();
    let enough = segment_bytes + segment_bytes / 2;
    Ok(reserve.free_bytes().await? >= enough
        || (reserve.give().await? && reserve.free_bytes().await? >= enough))
}

/// How thin a segment must be to be rewritten now.
pub(super) fn thinness<D: Directory>(shared: &Shared<D>, state: &State<D>) -> Thinness {
    let space = space(shared, state);
    if space.is_pressing() {
        let full = full_percent(space.segment_bytes);
        Thinness::Pressing(full.min(if space.is_tight { TIGHT_PERCENT } else { PRESSING_PERCENT }))
    } else {
        Thinness::Calm(shared.options.reclaim_percent)
    }
}

/// How thin a segment of a class must be to be rewritten that has no space for new bytes.
pub(super) fn thinness_of_full<D: Directory>(shared: &Shared<D>) -> Thinness {
    Thinness::Pressing(full_percent(shared.segments.segment_bytes()).min(TIGHT_PERCENT))
}

/// How full a segment is for certain that a rewrite has filled, in percent: a move that doesn't fit any more goes to the
/// next one whole, and the last of its extents may go beyond what moves have.
fn full_percent(segment_bytes: u64) -> u32 {
    let left = (MOVE_BYTES_MAX + MOVE_BYTES_MAX / 2) * 100 / segment_bytes.max(1);
    100_u32.saturating_sub(u32::try_from(left).unwrap_or(u32::MAX)).max(PERCENT_MIN)
}

/// Whether a flush now brings space back: tombstones have let go of enough, or enough was written since the last one
/// for pins of the memtable to be what keeps thin segments.
pub(super) fn flush_frees<D: Directory>(shared: &Shared<D>, state: &State<D>) -> bool {
    if state.active.is_empty() {
        return false;
    }
    let written_bytes = shared.segments.written_bytes() - state.written_before;
    let space = space(shared, state);
    let released_bytes = state.active.released_bytes + state.active.struck_bytes;
    if shared.segments.has_full_class() {
        // What of it is of that class nobody knows: a flush more does no harm, and without it nothing would come back.
        let class_bytes = shared.segments.class_written_bytes() - state.class_written_before;
        if class_bytes + released_bytes >= space.segment_bytes / 2 {
            return true;
        }
    }
    written_bytes + released_bytes >= space.worthwhile_bytes() && space.is_pressing()
}

/// Whether compacting level zero brings space back: by its tombstones, or by what its entries may replace in deeper
/// tables (no more than they refer to themselves, where sizes are alike).
pub(super) fn level_zero_frees<D: Directory>(shared: &Shared<D>, state: &State<D>) -> bool {
    let level_zero = &state.version.levels[0];
    let released: u64 =
        level_zero.iter().filter_map(|table| state.released.get(&table.meta.id)).sum();
    let space = space(shared, state);
    let is_much = released >= space.worthwhile_bytes();
    if is_much || (shared.segments.has_full_class() && released >= space.segment_bytes / 2) {
        return true;
    }
    let references = level_zero.iter().flat_map(|table| table.meta.references.iter());
    let replacing: u64 = references.map(|(_, bytes)| *bytes).sum();
    let deeper = shared.segments.live_bytes().saturating_sub(replacing);
    replacing.min(deeper) > deeper / 4 + SLACK_SEGMENTS * space.segment_bytes
}

/// Whether upkeep is to get space back with urgency.
pub(super) fn is_pressing<D: Directory>(shared: &Shared<D>, state: &State<D>) -> bool {
    space(shared, state).is_pressing()
}

fn space<D: Directory>(shared: &Shared<D>, state: &State<D>) -> Space {
    let let_go = |memtable: &Memtable| memtable.released_bytes + memtable.struck_bytes;
    let in_memory = state.frozen.iter().map(|memtable| let_go(memtable)).sum::<u64>();
    let released = in_memory + let_go(&state.active) + state.released.values().sum::<u64>();
    let referred = shared.segments.live_bytes() + shared.segments.pinned_bytes();
    Space {
        used_bytes: shared.segments.held_bytes(),
        needed_bytes: referred.saturating_sub(released),
        segment_bytes: shared.segments.segment_bytes(),
        room_bytes: shared.segments.all_room_bytes(),
        is_tight: shared.is_tight(),
        is_short: shared.is_short(),
    }
}
