use proptest::prelude::{Strategy, prop, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::state::page::common_prefix;

/// Pages of one group's sorted keys, cut as the state cuts them: after so many keys looked at, or so many entries.
fn page(
    keys: &[String],
    (start, prefix, delimiter): (&Position, &str, &str),
    (entries_max, scan_max): (usize, usize),
) -> ListPage<()> {
    let mut entries: Vec<ListEntry<()>> = Vec::new();
    let mut stands = start.clone();
    let mut scanned = 0;
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let behind = Position::after_key(key);
        if behind <= stands {
            continue;
        }
        if entries.len() == entries_max || scanned == scan_max {
            let next = entries.last().map_or(stands, |last| last.end.clone());
            return ListPage { entries, next: Some(next) };
        }
        scanned += 1;
        let entry = match common_prefix(key, prefix, delimiter) {
            Some(common) => ListEntry::prefix(common.to_owned()),
            None => ListEntry::item(key.clone(), behind.clone(), ()),
        };
        stands = entry.end.clone();
        // Half of what a scan looks at are tombstones: no entry comes of them, and a page may end there.
        if scanned % 2 == 1 && scanned == scan_max && entries.is_empty() {
            let raw = Position::from_bytes(bytes::Bytes::from(crate::state::keys::place(key)));
            return ListPage { entries, next: Some(raw.max(start.clone())) };
        }
        entries.push(entry);
    }
    ListPage { entries, next: None }
}

fn naive(keys: &[String], prefix: &str, delimiter: &str) -> Vec<String> {
    let mut names: Vec<String> = keys
        .iter()
        .filter(|key| key.starts_with(prefix))
        .map(|key| common_prefix(key, prefix, delimiter).unwrap_or(key).to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn text() -> impl Strategy<Value = String> {
    let letter = proptest::sample::select(vec!['a', 'b', '/', '\0', '\u{1}', '\u{10FFFF}']);
    prop::collection::vec(letter, 0..5).prop_map(|letters| letters.into_iter().collect())
}

fn groups() -> impl Strategy<Value = Vec<Vec<String>>> {
    let key = text().prop_filter("a key", |key| !key.is_empty());
    prop::collection::btree_map(key, 0_usize..4, 0..40).prop_map(|keys| {
        let mut groups = vec![Vec::new(); 4];
        for (key, group) in keys {
            groups[group].push(key);
        }
        groups
    })
}

proptest! {
    // H20: pages of any length, cut anywhere, add up to the listing.
    #[test]
    fn pages_skip_nothing_and_repeat_nothing(
        groups in groups(),
        prefix in text(),
        delimiter in proptest::sample::select(vec!["", "/", "a/", "b"]),
        entries_max in 1_usize..6,
        scan_max in 2_usize..6,
        patience in 0_usize..5,
    ) {
        let mut start = Position::start();
        let mut names: Vec<String> = Vec::new();
        loop {
            let mut merge = Merge::new(groups.len(), &start, entries_max);
            let mut rounds = 0;
            loop {
                let wants = merge.wants();
                // The caller may give up at any time; but each page has to make some way.
                if wants.is_empty() || rounds > 8 * (patience + 1) {
                    break;
                }
                for want in wants {
                    let query = (&want.start, prefix.as_str(), delimiter);
                    let limits = (want.entries_max, scan_max);
                    merge.feed(want.place, page(&groups[want.place], query, limits));
                }
                rounds += 1;
            }
            let found = merge.finish();
            prop_assert!(found.entries.len() <= entries_max);
            names.extend(found.entries.iter().map(|entry| entry.name().to_owned()));
            match found.next {
                None => break,
                Some(next) => {
                    prop_assert!(next > start, "no way was made");
                    start = next;
                }
            }
        }
        let all = groups.concat();
        prop_assert_eq!(names, naive(&all, &prefix, delimiter));
    }
}

#[test]
fn a_full_page_that_is_the_last_says_so() {
    let groups = [vec!["a".to_owned()], vec!["b".to_owned()]];
    for (entries_max, more) in [(1, true), (2, false), (3, false)] {
        let mut merge = Merge::new(2, &Position::start(), entries_max);
        while let Some(Want { place, start, entries_max }) = merge.wants().first().cloned() {
            merge.feed(place, page(&groups[place], (&start, "", ""), (entries_max, 10)));
        }
        assert_eq!(merge.finish().next.is_some(), more, "{entries_max} entries");
    }
}

/// Rounds of asking, and entries that groups gave, for one page of 1,000.
fn cost(groups: &[Vec<String>]) -> (usize, usize) {
    let mut merge = Merge::new(groups.len(), &Position::start(), 1000);
    let (mut round_count, mut entry_count) = (0, 0);
    loop {
        let wants = merge.wants();
        if wants.is_empty() {
            break;
        }
        round_count += 1;
        for Want { place, start, entries_max } in wants {
            let found = page(&groups[place], (&start, "", ""), (entries_max, 10_000));
            entry_count += found.entries.len();
            merge.feed(place, found);
        }
    }
    assert_eq!(merge.finish().entries.len(), 1000);
    (round_count, entry_count)
}

#[test]
fn a_page_asks_groups_for_little_more_than_it_shows_and_soon_has_it_where_one_group_has_all() {
    for group_count in [2_usize, 8, 64] {
        let keys = (0..6000_usize).map(|number| format!("{number:05}"));
        let mut groups = vec![Vec::new(); group_count];
        for (number, key) in keys.clone().enumerate() {
            // A fixed mix, as the hash of a key does it.
            let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            groups[usize::try_from(mixed).unwrap() % group_count].push(key);
        }
        let (round_count, entry_count) = cost(&groups);
        assert!(round_count <= 2, "{round_count} rounds of {group_count} groups");
        assert!(entry_count <= 2000, "{entry_count} entries of {group_count} groups");
        let mut skewed = vec![Vec::new(); group_count];
        skewed[group_count - 1] = keys.collect();
        let (round_count, _) = cost(&skewed);
        assert!(round_count <= 7, "{round_count} rounds where one of {group_count} has all");
    }
}

#[test]
fn a_listing_of_nothing_is_not_truncated() {
    let merge = Merge::<()>::new(3, &Position::start(), 0);
    assert!(merge.wants().is_empty());
    assert_eq!(merge.finish(), ListPage { entries: Vec::new(), next: None });
}

#[test]
fn markers_that_are_common_prefixes_stand_for_all_under_them() {
    let after = |marker| Position::after_marker(marker, "", Some("/"));
    assert_eq!(after("a/"), Position::after_prefix("a/"));
    assert_eq!(after("a/b"), Position::after_key("a/b"));
    assert_eq!(after(""), Position::start());
    assert!(Position::after_key("a") < Position::after_key("a\0"));
    assert!(Position::after_prefix("a\0") > Position::after_key("a\0\u{10FFFF}"));
    assert!(Position::after_prefix("a\0") < Position::after_key("a\u{1}"));
}
