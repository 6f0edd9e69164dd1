use super::*;

const CHUNK_BYTES: usize = 100_000;
const COST: usize = CHUNK_BYTES + ENTRY_OVERHEAD_BYTES;

/// A cache whose side of the budget is so many chunks, and half a one for what the budget keeps back.
fn cache_of(chunks: usize) -> Rc<ChunkCache> {
    ChunkCache::new(CacheBudget::new(0, chunks * COST + COST / 2))
}

fn name(number: u32) -> Name {
    (1, BodyId(7), number)
}

/// Reads a chunk, from the cache or to it; whether it was there.
fn read(cache: &ChunkCache, number: u32) -> bool {
    let found = cache.get(name(number)).is_some();
    if !found {
        cache.insert(name(number), Bytes::from(vec![0; CHUNK_BYTES]));
    }
    found
}

#[test]
fn the_budget_holds_and_the_least_recently_used_goes() {
    let cache = cache_of(16);
    for number in (0..4).chain(0..4) {
        read(&cache, number);
    }
    for number in 4..100 {
        read(&cache, number);
        assert!(read(&cache, number));
        assert!(read(&cache, 0), "what is used stays");
        assert!((COST..=16 * COST).contains(&cache.bytes()));
        assert_eq!(cache.bytes(), cache.budget.held(Side::Chunks));
    }
    assert!(cache.get(name(1)).is_none());
}

#[test]
fn one_pass_over_much_data_leaves_what_was_used_twice() {
    let cache = cache_of(16);
    for number in (0..12).chain(0..12) {
        read(&cache, number);
    }
    for number in 1000..2000 {
        read(&cache, number);
    }
    let before = cache.figures();
    assert!((0..12).all(|number| read(&cache, number)));
    assert_eq!(cache.figures(), (before.0 + 12, before.1));
}

#[test]
fn what_is_read_again_soon_after_it_was_let_go_is_kept() {
    let cache = cache_of(16);
    for number in (0..16).chain(0..16) {
        read(&cache, number);
    }
    // New ones, in a circle that is longer than the trial's part: no use finds its chunk there.
    let hits = (0..120).filter(|turn| read(&cache, 100 + turn % 10)).count();
    assert!(hits >= 90, "{hits} of 120");
    assert!(cache.budget.figures().chunk_regret_count >= 6);
}

/// A block cache that is full of what nobody uses.
struct Idle(Rc<CacheBudget>);

impl GivesWay for Idle {
    fn give_way(&self, bytes: usize) {
        self.0.hold(Side::Blocks, self.0.held(Side::Blocks).saturating_sub(bytes));
    }
}

#[test]
fn a_pass_takes_from_blocks_what_is_lent_and_hot_chunks_take_more() {
    let budget = CacheBudget::new(60 * COST, 20 * COST);
    let cache = ChunkCache::new(Rc::clone(&budget));
    let idle = Rc::new(Idle(Rc::clone(&budget)));
    let joining = Rc::downgrade(&idle);
    budget.join(Side::Blocks, joining);
    budget.hold(Side::Blocks, budget.figures().bytes_max);
    for number in 0..1000 {
        read(&cache, number);
    }
    let share = budget.figures().bytes_max - budget.figures().block_share_bytes;
    assert!(cache.bytes() <= share / TRIAL_PART, "a pass has the trial's part of the share");
    let rounds = (0..40).flat_map(|_| 2000..2050);
    let hits = rounds.filter(|number| read(&cache, *number)).count();
    assert!(hits >= 1500, "fifty hot chunks are more than the first share: {hits} hits of 2000");
    assert!(budget.held(Side::Blocks) < 35 * COST, "{budget:?}");
}

#[test]
fn a_share_of_less_than_a_chunk_grows_back() {
    let budget = CacheBudget::new(3 * COST, 3 * COST);
    let cache = ChunkCache::new(Rc::clone(&budget));
    budget.hold(Side::Blocks, budget.figures().bytes_max);
    let idle = Rc::new(Idle(Rc::clone(&budget)));
    let joining = Rc::downgrade(&idle);
    budget.join(Side::Blocks, joining);
    for _ in 0..1000 {
        budget.regret(Side::Blocks, COST);
    }
    assert!(budget.limit(Side::Chunks) < COST, "{budget:?}");
    let hits = (0..20).filter(|_| read(&cache, 1)).count();
    assert!(hits >= 10, "{hits} of 20");
}
