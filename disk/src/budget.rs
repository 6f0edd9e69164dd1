//! One budget of bytes for two caches: of blocks of tables, and of whole chunks.
//!
//! Each side has a *share*; the two are the budget. What one side leaves of its share the other may use, and gives back
//! when it is asked to: so a side that alone is used has all. Which share is worth more is learned from *regrets*: a side
//! remembers the names of what it let go lately ([`Ghosts`]), of as many bytes as the budget has, and when one is read
//! again, a larger share would have spared that read. Each regret moves the boundary by a part of what the read
//! cost, so it comes to rest where the next byte is worth the same on either side. No share falls below
//! [`FLOOR_PART`] of the budget.
//!
//! Invariant: what both sides hold together never exceeds the budget. A side holds back before it takes anything in: it
//! evicts of its own down to its *limit*, and has the other side give way for the rest.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

mod ghosts;

pub use ghosts::Ghosts;

/// Every share is at least one part in so many of the budget.
pub const FLOOR_PART: usize = 8;
/// Of the budget one part in so many is kept back for the names in [`Ghosts`].
const NAMES_PART: usize = 128;
/// A read costs as much time as moving so many bytes, and the bytes.
const READ_COST_BYTES: usize = 192 << 10;
/// A regret moves the boundary by one part in so many of the read's cost.
const MOVE_PART: usize = 4;
/// And by one part in so many of the budget at most.
const MOVE_PART_MIN: usize = 64;

/// One of the two caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Blocks, filters and block indexes of tables.
    Blocks,
    /// Chunks that were read whole.
    Chunks,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Blocks => Self::Chunks,
            Self::Chunks => Self::Blocks,
        }
    }
}

/// A cache that has joined a budget.
pub trait GivesWay {
    /// Evicts at least `bytes`, or all that it holds, and says so by [`CacheBudget::hold`].
    fn give_way(&self, bytes: usize);
}

/// How the budget stands: bytes, and counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetFigures {
    /// What both sides may hold together, in bytes.
    pub bytes_max: usize,
    /// The share of blocks, in bytes; the rest is the share of chunks.
    pub block_share_bytes: usize,
    /// What blocks take, in bytes.
    pub block_bytes: usize,
    /// What chunks take, in bytes.
    pub chunk_bytes: usize,
    /// Blocks that were read again soon after they had been let go.
    pub block_regret_count: u64,
    /// Chunks of which the same is true.
    pub chunk_regret_count: u64,
}

/// The budget of one shard.
pub struct CacheBudget {
    figures: Cell<BudgetFigures>,
    blocks: RefCell<Weak<dyn GivesWay>>,
    chunks: RefCell<Weak<dyn GivesWay>>,
}

/// Until a cache joins.
struct Nobody;

impl GivesWay for Nobody {
    fn give_way(&self, _bytes: usize) {}
}

impl CacheBudget {
    /// A budget of `block_bytes` and `chunk_bytes`, and these as the first shares.
    pub fn new(block_bytes: usize, chunk_bytes: usize) -> Rc<Self> {
        let sum = block_bytes.saturating_add(chunk_bytes);
        let bytes_max = sum - sum / NAMES_PART;
        let nobody = || RefCell::new(Weak::<Nobody>::new() as Weak<dyn GivesWay>);
        let budget = Self { figures: Cell::default(), blocks: nobody(), chunks: nobody() };
        budget.figures.set(BudgetFigures { bytes_max, ..BudgetFigures::default() });
        budget.set_block_share(block_bytes);
        Rc::new(budget)
    }

    /// Who gives way on a side.
    pub fn join(&self, side: Side, cache: Weak<dyn GivesWay>) {
        *self.cache(side).borrow_mut() = cache;
    }

    /// How it stands.
    pub fn figures(&self) -> BudgetFigures {
        self.figures.get()
    }

    /// What a side holds, in bytes.
    pub fn held(&self, side: Side) -> usize {
        let figures = self.figures.get();
        match side {
            Side::Blocks => figures.block_bytes,
            Side::Chunks => figures.chunk_bytes,
        }
    }

    /// What a side may hold at most, in bytes: all but what the other side holds of its share.
    pub fn limit(&self, side: Side) -> usize {
        let other = side.other();
        self.figures.get().bytes_max - self.held(other).min(self.share(other))
    }

    /// A side holds this much now, in bytes.
    ///
    /// # Panics
    ///
    /// Where that is more than [`Self::make_room`] made room for.
    pub fn hold(&self, side: Side, bytes: usize) {
        let mut figures = self.figures.get();
        match side {
            Side::Blocks => figures.block_bytes = bytes,
            Side::Chunks => figures.chunk_bytes = bytes,
        }
        let sum = figures.block_bytes + figures.chunk_bytes;
        assert!(sum <= figures.bytes_max, "caches keep to their budget: {figures:?}");
        self.figures.set(figures);
    }

    /// Whether `bytes` more would be more than the budget, whichever side holds them.
    pub fn is_short_of(&self, bytes: usize) -> bool {
        self.shortage(bytes) > 0
    }

    /// Has the other side give way, so that `side`, which stays within its limit, may hold `bytes` more. False where it
    /// may not.
    pub fn make_room(&self, side: Side, bytes: usize) -> bool {
        if self.held(side) + bytes > self.limit(side) {
            return false;
        }
        let shortage = self.shortage(bytes);
        if shortage > 0
            && let Some(other) = self.cache(side.other()).borrow().upgrade()
        {
            other.give_way(shortage);
        }
        !self.is_short_of(bytes)
    }

    /// A side read again what it had let go lately: `bytes` that a larger share would have kept.
    pub fn regret(&self, side: Side, bytes: usize) {
        let mut figures = self.figures.get();
        let cost = READ_COST_BYTES.saturating_add(bytes);
        let moved = (cost / MOVE_PART).min(figures.bytes_max / MOVE_PART_MIN);
        let share = match side {
            Side::Blocks => {
                figures.block_regret_count += 1;
                figures.block_share_bytes.saturating_add(moved)
            }
            Side::Chunks => {
                figures.chunk_regret_count += 1;
                figures.block_share_bytes.saturating_sub(moved)
            }
        };
        self.figures.set(figures);
        self.set_block_share(share);
    }

    /// Of how many bytes a side remembers the names in its [`Ghosts`]: of all that could be hot, so that also what is read
    /// in a circle is seen to fit.
    pub fn ghost_bytes(&self) -> usize {
        self.figures.get().bytes_max
    }

    fn share(&self, side: Side) -> usize {
        let figures = self.figures.get();
        match side {
            Side::Blocks => figures.block_share_bytes,
            Side::Chunks => figures.bytes_max - figures.block_share_bytes,
        }
    }

    fn set_block_share(&self, bytes: usize) {
        let mut figures = self.figures.get();
        let floor = figures.bytes_max / FLOOR_PART;
        figures.block_share_bytes = bytes.clamp(floor, figures.bytes_max - floor);
        self.figures.set(figures);
    }

    fn shortage(&self, bytes: usize) -> usize {
        let figures = self.figures.get();
        (figures.block_bytes + figures.chunk_bytes)
            .saturating_add(bytes)
            .saturating_sub(figures.bytes_max)
    }

    fn cache(&self, side: Side) -> &RefCell<Weak<dyn GivesWay>> {
        match side {
            Side::Blocks => &self.blocks,
            Side::Chunks => &self.chunks,
        }
    }
}

impl std::fmt::Debug for CacheBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CacheBudget").field(&self.figures.get()).finish()
    }
}

#[cfg(test)]
mod tests;
