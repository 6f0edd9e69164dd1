use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

use super::*;

/// Moves of one replica that lacks or is to go: a chain is hardly ever longer than a shard or two.
const CHAIN_MEAN_MAX: usize = 2;

fn members(nodes: u64, volumes: u64, shards: u64) -> Vec<Member> {
    let mut members = Vec::new();
    for node in 0..nodes {
        for volume in 0..volumes {
            for shard in 0..shards {
                let volume = node * volumes + volume;
                let shard = volume * shards + shard + 10;
                members.push(Member { shard, volume, node, zone: format!("z{}", node % 3) });
            }
        }
    }
    members
}

fn check(ring: &Ring, replicas: usize) {
    let member = |shard: &ShardId| ring.members().iter().find(|m| m.shard == *shard).unwrap();
    let domain = ring.domain().unwrap();
    for group in 0..=ring.group_count() {
        let shards = ring.shards_of(group);
        assert_eq!(shards.len(), replicas);
        let domains: BTreeSet<_> = shards.iter().map(|shard| domain.of(member(shard))).collect();
        assert_eq!(domains.len(), replicas, "group {group} twice in one domain: {shards:?}");
    }
}

/// How many replicas are where they were not before.
fn moved(before: &Ring, after: &Ring) -> usize {
    (1..=before.group_count())
        .map(|group| {
            let held = before.shards_of(group);
            after.shards_of(group).iter().filter(|shard| !held.contains(shard)).count()
        })
        .sum()
}

/// How many replicas each shard holds, the meta group's apart.
fn loads(ring: &Ring) -> Vec<usize> {
    let held = |member: &Member| ring.groups_of(member.shard).filter(|group| *group != 0).count();
    ring.members().iter().map(held).collect()
}

/// Every shard has as many replicas as the others, or one more.
fn assert_even(ring: &Ring) {
    let loads = loads(ring);
    let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
    assert!(most - least <= 1, "{loads:?}");
}

/// No replica could go to a shard with at least two less.
fn assert_settled(ring: &Ring) {
    let domain = ring.domain().unwrap();
    let loads = loads(ring);
    let members = || ring.members().iter().zip(&loads);
    for group in 1..=ring.group_count() {
        let held = ring.shards_of(group);
        for (source, source_load) in members().filter(|(member, _)| held.contains(&member.shard)) {
            let others = members()
                .filter(|(other, _)| held.contains(&other.shard) && other.shard != source.shard);
            let taken: Vec<_> = others.map(|(other, _)| domain.of(other)).collect();
            for (target, load) in members().filter(|(to, _)| !held.contains(&to.shard)) {
                let is_legal = !taken.contains(&domain.of(target));
                assert!(
                    !is_legal || load + 2 > *source_load,
                    "group {group}: {source:?} {target:?}"
                );
            }
        }
    }
}

/// Nodes, volumes of each, shards of each, and the power of two that is the count of groups.
fn sizes() -> impl Strategy<Value = (u64, u64, u64, u32)> {
    (1_u64..8, 1_u64..3, 1_u64..4, 3_u32..9)
}

/// So many shards of one volume.
fn alone(shards: u64) -> Vec<Member> {
    members(1, 1, shards)
}

proptest! {
    #[test]
    fn replicas_are_apart_and_changes_move_the_least((nodes, volumes, shards, bits) in sizes()) {
        let all = members(nodes + 1, volumes, shards);
        let (old, new) = all.split_at(all.len() - usize::try_from(volumes * shards).unwrap());
        let replicas = nodes.min(3);
        let count = usize::try_from(replicas).unwrap();
        let ring = Ring::new(old.to_vec(), 1 << bits, u32::try_from(replicas).unwrap()).unwrap();
        check(&ring, count);
        assert_settled(&ring);
        let mut joined = ring.clone();
        for member in new {
            let next = joined.join(member.clone()).unwrap();
            check(&next, count);
            assert_settled(&next);
            let came = next.groups_of(member.shard).filter(|group| *group != 0).count();
            prop_assert!(moved(&joined, &next) <= came * CHAIN_MEAN_MAX, "{came}");
            prop_assert_eq!(next.epoch(), joined.epoch() + 1);
            prop_assert_eq!(next.shards_of(META_GROUP), joined.shards_of(META_GROUP));
            joined = next;
        }
        for member in new {
            let held = joined.groups_of(member.shard).filter(|group| *group != 0).count();
            let next = joined.leave(member.shard).unwrap();
            check(&next, count);
            assert_settled(&next);
            prop_assert!((held..=held * CHAIN_MEAN_MAX).contains(&moved(&joined, &next)), "{held}");
            joined = next;
        }
    }

    #[test]
    fn nodes_of_one_size_hold_the_same(nodes in 1_u64..9, shards in 1_u64..5, bits in 3_u32..9) {
        let mut members = members(nodes, 1, shards);
        for member in &mut members {
            member.zone.clear();
        }
        let replicas = u32::try_from(nodes.min(3)).unwrap();
        assert_even(&Ring::new(members, 1 << bits, replicas).unwrap());
    }

    #[test]
    fn a_change_of_one_shard_moves_its_share_and_nothing_else(shards in 1_u64..=64, bits in 3_u32..10) {
        let all = alone(shards + 1);
        let (last, old) = all.split_last().unwrap();
        let ring = Ring::new(old.to_vec(), 1 << bits, 1).unwrap();
        assert_even(&ring);
        let joined = ring.join(last.clone()).unwrap();
        assert_even(&joined);
        let share = (1 << bits) / all.len();
        prop_assert_eq!(moved(&ring, &joined), share);
        for gone in [last.shard, old[0].shard] {
            let held = joined.groups_of(gone).filter(|group| *group != 0).count();
            let left = joined.leave(gone).unwrap();
            assert_even(&left);
            prop_assert_eq!(moved(&joined, &left), held);
        }
    }

    #[test]
    fn the_order_of_shards_is_no_matter(shards in 2_u64..=64, turn in 0_usize..64) {
        let mut turned = alone(shards);
        let ring = Ring::new(turned.clone(), 64, 1).unwrap();
        let by = turn % turned.len();
        turned.rotate_left(by);
        turned.swap(0, 1);
        prop_assert_eq!(Ring::new(turned, 64, 1).unwrap(), ring);
    }
}

#[test]
fn no_shard_of_a_new_node_is_left_without_groups() {
    for shards in 1..=64 {
        let count = group_count_default(usize::try_from(shards).unwrap());
        let ring = Ring::new(alone(shards), count, 1).unwrap();
        assert_even(&ring);
        assert!(loads(&ring).iter().all(|load| *load > 0), "{shards} shards");
    }
}

#[test]
fn what_was_placed_in_one_zone_moves_apart_when_there_are_enough_zones() {
    let zone = |mut member: Member, zone: &str| {
        member.zone = zone.to_owned();
        member
    };
    let all: Vec<Member> = members(4, 1, 1);
    let near = all[..3].iter().map(|member| zone(member.clone(), "near")).collect();
    let ring = Ring::new(near, 16, 2).unwrap();
    let next = ring.join(zone(all[3].clone(), "far")).unwrap();
    check(&next, 2);
    assert_eq!(next.groups_of(all[3].shard).count(), 17, "each has a replica in the other zone");
}

#[test]
fn a_standalone_node_has_its_meta_group_on_the_lowest_shard() {
    let ring = Ring::standalone(&[7, 5, 9]).unwrap();
    assert_eq!((ring.group_count(), ring.shards_of(META_GROUP)), (8, [5].as_slice()));
    assert_eq!(group_count_default(5), 16);
    assert_eq!(ring.shards_of(9), [0_u64; 0]);
    let held: usize = [5, 7, 9].iter().map(|shard| ring.groups_of(*shard).count()).sum();
    assert_eq!(held, 9);
}

#[test]
fn what_can_not_be_is_refused() {
    let one = || members(1, 1, 1);
    assert_eq!(Ring::new(one(), 12, 1), Err(RingError::GroupCount { found: 12 }));
    assert_eq!(Ring::new(one(), 8, 2), Err(RingError::Domains { replicas: 2, found: 1 }));
    assert_eq!(Ring::new([one(), one()].concat(), 8, 1), Err(RingError::Twice(10)));
    let ring = Ring::new(one(), 8, 1).unwrap();
    assert_eq!(ring.leave(3), Err(RingError::Absent(3)));
    ring.leave(10).unwrap_err();
}

#[test]
fn keys_spread_evenly_and_stay() {
    let mut counts = [0_u32; 17];
    for key in 0..16_000 {
        counts[usize::try_from(group_of(1, &format!("key-{key}"), 16)).unwrap()] += 1;
    }
    assert_eq!(counts[0], 0);
    assert!(counts[1..].iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    // Golden: objects are where these say.
    assert_eq!(
        [group_of(1, "a", 16), group_of(2, "a", 16), group_of(1, "b", 65536)],
        [2, 7, 29994]
    );
}

#[test]
fn groups_stay_where_they_are() {
    // Golden: another placement is another `PLACEMENT_VERSION`.
    let ring = Ring::new(alone(3), 8, 1).unwrap();
    let held: Vec<Vec<GroupId>> =
        ring.members().iter().map(|member| ring.groups_of(member.shard).collect()).collect();
    assert_eq!(held, [[0, 2, 3], [5, 6, 8], [1, 4, 7]]);
}

#[test]
fn a_ring_comes_back() {
    let ring = Ring::new(members(3, 2, 2), 16, 3).unwrap();
    let bytes = minicbor::to_vec(&ring).unwrap();
    assert_eq!(minicbor::decode::<Ring>(&bytes).unwrap(), ring);
}
