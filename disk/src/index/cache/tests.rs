use std::{collections::BTreeMap, rc::Rc};

use bytes::Bytes;

use super::{
    Cache,
    File::{Segment, Table},
    Place, Use,
    slots::SLOT_OVERHEAD_BYTES,
};
use crate::{
    budget::{CacheBudget, GivesWay, Side},
    segment::Extent,
    testing::Random,
};

const COST: usize = 100 + SLOT_OVERHEAD_BYTES;

/// A cache for so many blocks, alone with its budget.
fn cache_of(blocks: usize) -> Rc<Cache> {
    // Half a block more, for what the budget keeps back.
    Cache::new(CacheBudget::new(blocks * COST + COST / 2, 0))
}

fn block() -> Bytes {
    Bytes::from(vec![0; 100])
}

/// Reads a block for a key, from the cache or to it; whether it was there.
fn read(cache: &Cache, place: Place) -> bool {
    let found = cache.get(place, Use::Point).is_some();
    if !found {
        cache.insert(place, block(), Use::Point);
    }
    found
}

#[test]
fn it_keeps_to_its_budget_and_prefers_what_is_used() {
    let cache = cache_of(10);
    for offset in 0..10 {
        cache.insert((Table(1), offset), block(), Use::Point);
    }
    assert!(cache.get((Table(1), 0), Use::Point).is_some());
    cache.insert((Table(2), 0), block(), Use::Point);
    assert_eq!(cache.bytes(), 10 * COST);
    assert!(cache.get((Table(1), 0), Use::Point).is_some(), "it was used");
    assert!(cache.get((Table(1), 1), Use::Point).is_none(), "it was not");
    cache.insert((Table(3), 0), Bytes::from(vec![0; 10 * COST]), Use::Point);
    assert!(cache.get((Table(3), 0), Use::Point).is_none(), "beyond the budget by itself");
    let figures = cache.figures(Use::Point);
    assert_eq!((figures.hit_count, figures.miss_count), (2, 2));
    cache.forget(Table(1));
    assert_eq!(cache.bytes(), COST);
    cache.forget(Table(2));
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn walks_push_out_neither_points_nor_metadata_and_points_no_metadata() {
    let cache = cache_of(32);
    for offset in 0..8 {
        cache.insert((Table(1), offset), block(), Use::Metadata);
    }
    for offset in 0..20 {
        cache.insert((Table(2), offset), block(), Use::Point);
    }
    for offset in 0..1000 {
        cache.insert((Table(3), offset), block(), Use::Scan);
        assert!(cache.get((Table(3), offset), Use::Scan).is_some(), "the last of a walk is there");
    }
    assert!((0..20).all(|offset| cache.get((Table(2), offset), Use::Point).is_some()));
    for offset in 0..1000 {
        cache.insert((Table(4), offset), block(), Use::Point);
    }
    assert!((0..8).all(|offset| cache.get((Table(1), offset), Use::Metadata).is_some()));
    assert_eq!(cache.bytes(), 32 * COST);
}

#[test]
fn a_walk_takes_its_part_of_a_full_cache_and_all_of_an_empty_one() {
    let cache = cache_of(16);
    for offset in 0..16 {
        cache.insert((Table(1), offset), block(), Use::Point);
    }
    for offset in 0..100 {
        cache.insert((Table(2), offset), block(), Use::Scan);
    }
    let kept =
        (0..16).filter(|offset| cache.get((Table(1), *offset), Use::Point).is_some()).count();
    assert_eq!(kept, 14);
    assert!(cache.get((Table(2), 99), Use::Scan).is_some());
    cache.forget(Table(1));
    cache.forget(Table(2));
    for offset in 0..16 {
        cache.insert((Table(3), offset), block(), Use::Scan);
    }
    assert_eq!(cache.bytes(), 16 * COST);
    for offset in 0..14 {
        read(&cache, (Table(4), offset));
    }
    let kept = (0..16).filter(|offset| cache.get((Table(3), *offset), Use::Scan).is_some()).count();
    assert_eq!(kept, 2, "single keys took the rest back");
}

#[test]
fn a_pass_over_cold_blocks_leaves_those_that_were_used_twice() {
    let cache = cache_of(16);
    for offset in (0..12).chain(0..12) {
        read(&cache, (Table(1), offset));
    }
    for offset in 0..1000 {
        read(&cache, (Table(2), offset));
    }
    assert!((0..12).all(|offset| cache.get((Table(1), offset), Use::Point).is_some()));
    // And what becomes hot gets in, although it is never used twice while it is on trial.
    let hot = |offset: u64| (Table(3), offset % 12);
    let hits = (0..240).filter(|turn| read(&cache, hot(*turn))).count();
    assert!(hits >= 180, "{hits} of 240");
}

#[test]
fn metadata_leaves_a_quarter_and_a_block_used_by_a_point_outlives_the_walk() {
    let cache = cache_of(16);
    for offset in 0..4 {
        cache.insert((Table(1), offset), block(), Use::Point);
    }
    for offset in 0..100 {
        cache.insert((Table(2), offset), block(), Use::Metadata);
    }
    assert!((0..4).all(|offset| cache.get((Table(1), offset), Use::Point).is_some()));
    cache.forget(Table(2));
    cache.insert((Table(3), 0), block(), Use::Scan);
    assert!(cache.get((Table(3), 0), Use::Point).is_some());
    for offset in 1..100 {
        cache.insert((Table(3), offset), block(), Use::Scan);
    }
    assert!(cache.get((Table(3), 0), Use::Point).is_some());
}

#[test]
fn what_is_read_ahead_counts_as_used_from_its_second_use_on() {
    let cache = cache_of(16);
    for offset in 0..14 {
        cache.insert((Table(1), offset), block(), Use::Metadata);
    }
    cache.insert_ahead((Table(2), 0), block());
    cache.insert_ahead((Table(2), 1), block());
    assert!(cache.get((Table(2), 0), Use::Scan).is_some());
    cache.insert_ahead((Table(2), 2), block());
    assert!(cache.get((Table(2), 0), Use::Scan).is_none(), "the walk has passed it");
    assert!(cache.get((Table(2), 1), Use::Scan).is_some(), "the walk will come to it");
}

#[test]
fn a_payload_is_given_to_its_key_alone_and_goes_with_its_segment() {
    let cache = cache_of(16);
    let extent = Extent { segment: 1, offset: 4096, header_bytes: 40, data_bytes: 100 };
    cache.insert((Table(1), 4096), block(), Use::Point);
    cache.insert_payload(extent, b"key", &Bytes::from(vec![7; 100]));
    assert_eq!(cache.payload(extent, b"key"), Some(Bytes::from(vec![7; 100])));
    assert_eq!(cache.payload(extent, b"kez"), None, "a reference in the wrong place");
    assert_eq!(cache.payload(extent, b"ke"), None);
    assert_eq!(cache.payload(Extent { data_bytes: 99, ..extent }, b"key\x07"), None);
    assert_eq!(cache.payload(Extent { data_bytes: 99, ..extent }, b"key"), None);
    cache.forget(Table(1));
    assert!(cache.payload(extent, b"key").is_some(), "a segment's number is not a table's");
    cache.forget(Segment(1));
    assert_eq!(cache.payload(extent, b"key"), None);
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn whatever_is_done_it_gives_what_it_took_and_holds_what_the_budget_says() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let cache = cache_of(20);
        let budget = Rc::clone(cache.budget());
        let bytes_max = budget.figures().bytes_max;
        let mut model: BTreeMap<Place, Bytes> = BTreeMap::new();
        for _ in 0..4000 {
            let place = (Table(u32::try_from(random.below(4)).unwrap()), random.below(40));
            let kind = [Use::Metadata, Use::Point, Use::Payload, Use::Scan]
                [usize::try_from(random.below(4)).unwrap()];
            match random.below(40) {
                0 => {
                    cache.forget(place.0);
                    model.retain(|held, _| held.0 != place.0);
                }
                1 => {
                    let before = cache.bytes();
                    let bytes = usize::try_from(random.below(bytes_max as u64)).unwrap();
                    cache.give_way(bytes);
                    assert!(cache.bytes() <= before.saturating_sub(bytes), "seed {seed}");
                }
                // Chunks come and go beside it.
                2 => {
                    let room = bytes_max - cache.bytes();
                    budget.hold(
                        Side::Chunks,
                        usize::try_from(random.below(room as u64 + 1)).unwrap(),
                    );
                }
                _ => {
                    if let Some(found) = cache.get(place, kind) {
                        assert_eq!(Some(&found), model.get(&place), "seed {seed}");
                        continue;
                    }
                    let length = usize::try_from(random.below(200)).unwrap();
                    let content = Bytes::from(random.bytes(length));
                    model.insert(place, content.clone());
                    if kind == Use::Scan && random.coin() {
                        cache.insert_ahead(place, content);
                    } else {
                        cache.insert(place, content, kind);
                    }
                }
            }
            assert_eq!(cache.bytes(), budget.held(Side::Blocks), "seed {seed}");
            assert!(cache.bytes() + budget.held(Side::Chunks) <= bytes_max, "seed {seed}");
        }
        let figures =
            [Use::Metadata, Use::Point, Use::Scan, Use::Payload].map(|kind| cache.figures(kind));
        assert!(figures.iter().all(|kind| kind.hit_count > 0 && kind.miss_count > 0));
        drop(cache);
        assert_eq!(budget.held(Side::Blocks), 0);
    }
}
