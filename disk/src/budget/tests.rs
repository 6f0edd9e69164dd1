//! Two least-recently-used caches under one budget: each as simple as can be, so that what is seen is the budget's doing.

use std::{cell::RefCell, rc::Rc};

use super::{CacheBudget, FLOOR_PART, Ghosts, GivesWay, Side};
use crate::testing::Random;

const BLOCK_BYTES: usize = 16 << 10;
const CHUNK_BYTES: usize = 1 << 20;

/// Names and their bytes, the least recently used first.
struct Plain {
    side: Side,
    budget: Rc<CacheBudget>,
    held: RefCell<Vec<(u64, usize)>>,
    ghosts: RefCell<Ghosts<u64>>,
}

impl Plain {
    fn new(budget: &Rc<CacheBudget>, side: Side) -> Rc<Self> {
        let plain = Rc::new(Self {
            side,
            budget: Rc::clone(budget),
            held: RefCell::default(),
            ghosts: RefCell::new(Ghosts::new(budget.ghost_bytes())),
        });
        let joining = Rc::downgrade(&plain);
        budget.join(side, joining);
        plain
    }

    /// Uses a content, from the cache or to it; whether it was there.
    fn read(&self, name: u64, bytes: usize) -> bool {
        let found = self.held.borrow().iter().position(|held| held.0 == name);
        if let Some(position) = found {
            let used = self.held.borrow_mut().remove(position);
            self.held.borrow_mut().push(used);
            return true;
        }
        if let Some(regretted) = self.ghosts.borrow_mut().take(name) {
            self.budget.regret(self.side, regretted);
        }
        while self.sum() > 0 && self.sum() + bytes > self.budget.limit(self.side) {
            self.evict();
        }
        if self.budget.make_room(self.side, bytes) {
            self.held.borrow_mut().push((name, bytes));
            self.budget.hold(self.side, self.sum());
        }
        false
    }

    fn evict(&self) {
        let (name, bytes) = self.held.borrow_mut().remove(0);
        self.ghosts.borrow_mut().add(name, bytes);
        self.budget.hold(self.side, self.sum());
    }

    fn sum(&self) -> usize {
        self.held.borrow().iter().map(|held| held.1).sum()
    }
}

impl GivesWay for Plain {
    fn give_way(&self, bytes: usize) {
        let target = self.sum().saturating_sub(bytes);
        while self.sum() > target {
            self.evict();
        }
    }
}

struct Pair {
    budget: Rc<CacheBudget>,
    blocks: Rc<Plain>,
    chunks: Rc<Plain>,
}

fn both(block_bytes: usize, chunk_bytes: usize) -> Pair {
    let budget = CacheBudget::new(block_bytes, chunk_bytes);
    let blocks = Plain::new(&budget, Side::Blocks);
    let chunks = Plain::new(&budget, Side::Chunks);
    Pair { budget, blocks, chunks }
}

#[test]
fn whatever_is_read_the_two_never_hold_more_than_the_budget_and_each_gets_its_floor() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let sum = 1 << (20 + random.below(5));
        let Pair { budget, blocks, chunks } = both(sum / 3, sum - sum / 3);
        let bytes_max = budget.figures().bytes_max;
        for _ in 0..3000 {
            let (cache, unit) =
                if random.below(4) == 0 { (&chunks, sum / 16) } else { (&blocks, sum / 256) };
            let bytes = 1 + usize::try_from(random.below(unit as u64)).unwrap();
            cache.read(random.below(400), bytes);
            let figures = budget.figures();
            assert_eq!(figures.block_bytes, blocks.sum(), "seed {seed}");
            assert_eq!(figures.chunk_bytes, chunks.sum(), "seed {seed}");
            assert!(figures.block_bytes + figures.chunk_bytes <= bytes_max, "seed {seed}");
            let floor = bytes_max / FLOOR_PART;
            for side in [Side::Blocks, Side::Chunks] {
                let limit = budget.limit(side);
                assert!(
                    (floor..=bytes_max).contains(&limit),
                    "seed {seed}: {limit} of {bytes_max}"
                );
            }
        }
    }
}

#[test]
fn a_side_that_is_used_alone_has_all_and_gives_back_down_to_its_share() {
    let Pair { budget, blocks, chunks } = both(16 << 20, 16 << 20);
    let figures = budget.figures();
    for name in 0..4000 {
        blocks.read(name, BLOCK_BYTES);
    }
    assert!(budget.held(Side::Blocks) > figures.bytes_max - BLOCK_BYTES, "{budget:?}");
    for name in 0..100 {
        chunks.read(name, CHUNK_BYTES);
    }
    let (held, share) = (budget.held(Side::Blocks), figures.block_share_bytes);
    assert!(held <= share + CHUNK_BYTES && held + BLOCK_BYTES > share, "{held} of {share}");
    assert_eq!(budget.figures().block_share_bytes, share, "nothing was read twice");
}

#[test]
fn the_share_goes_to_the_side_that_reads_again_what_it_let_go_and_back_when_that_changes() {
    let Pair { budget, blocks, chunks } = both(16 << 20, 16 << 20);
    let bytes_max = budget.figures().bytes_max;
    let mut random = Random::new(7);
    let mut cold = 1 << 32;
    // Of both sides as much is read as the budget has; of one again and again, of the other once.
    let mut run = |hot: Side, turns: u64| {
        for turn in 0..turns {
            cold += 1;
            match hot {
                Side::Blocks => {
                    blocks.read(random.below(1700), BLOCK_BYTES);
                    if turn % 64 == 0 {
                        chunks.read(cold, CHUNK_BYTES);
                    }
                }
                Side::Chunks => {
                    blocks.read(cold, BLOCK_BYTES);
                    if turn % 64 == 0 {
                        chunks.read(random.below(27), CHUNK_BYTES);
                    }
                }
            }
        }
        budget.figures().block_share_bytes
    };
    let share = run(Side::Blocks, 20_000);
    assert!(share > bytes_max * 3 / 4, "blocks got {share} of {bytes_max}");
    let share = run(Side::Chunks, 20_000);
    assert!(share < bytes_max / 4, "blocks kept {share} of {bytes_max}");
    assert!(share >= bytes_max / FLOOR_PART);
    assert!(budget.held(Side::Chunks) > bytes_max * 5 / 8, "{budget:?}");
}

#[test]
fn a_regret_of_a_chunk_weighs_what_its_read_costs() {
    let moved_by = |side, bytes| {
        let budget = CacheBudget::new(64 << 20, 64 << 20);
        let before = budget.figures().block_share_bytes;
        budget.regret(side, bytes);
        budget.figures().block_share_bytes.abs_diff(before)
    };
    let block = moved_by(Side::Blocks, BLOCK_BYTES);
    let chunk = moved_by(Side::Chunks, CHUNK_BYTES);
    // A read of 1 MiB takes some six times as long as one of 16 KiB, and its bytes are sixty-four times as many.
    assert!((5..=7).contains(&(chunk / block)), "{chunk} and {block}");
}

#[test]
fn a_side_that_regrets_without_end_leaves_the_other_its_floor() {
    for hot in [Side::Blocks, Side::Chunks] {
        let Pair { budget, blocks, chunks } = both(16 << 20, 16 << 20);
        let (held, other) =
            if hot == Side::Blocks { (&blocks, &chunks) } else { (&chunks, &blocks) };
        for name in 0..4000 {
            held.read(name, BLOCK_BYTES);
        }
        for _ in 0..10_000 {
            budget.regret(hot, CHUNK_BYTES);
        }
        let floor = budget.figures().bytes_max / FLOOR_PART;
        assert_eq!(budget.limit(hot.other()), floor);
        for name in 0..4000 {
            other.read(name, BLOCK_BYTES);
        }
        let kept = budget.held(hot.other());
        assert!(kept <= floor && floor < kept + BLOCK_BYTES, "{kept} of {floor}");
    }
}
