use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

use super::*;

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

fn sizes() -> impl Strategy<Value = (u64, u64, u64, u32)> {
    (1_u64..8, 1_u64..3, 1_u64..4, 3_u32..9)
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
        let mut joined = ring.clone();
        for member in new {
            let next = joined.join(member.clone()).unwrap();
            check(&next, count);
            let share = next.replicas_total() / next.members().len();
            prop_assert!(moved(&joined, &next) <= share);
            let came = next.groups_of(member.shard).filter(|group| *group != 0).count();
            prop_assert_eq!(came, moved(&joined, &next));
            prop_assert_eq!(next.epoch(), joined.epoch() + 1);
            prop_assert_eq!(next.shards_of(META_GROUP), joined.shards_of(META_GROUP));
            joined = next;
        }
        for member in new {
            let held = joined.groups_of(member.shard).filter(|group| *group != 0).count();
            let next = joined.leave(member.shard).unwrap();
            check(&next, count);
            prop_assert_eq!(moved(&joined, &next), held);
            joined = next;
        }
    }

    #[test]
    fn no_shard_is_overloaded((nodes, volumes, shards, bits) in sizes()) {
        let ring = Ring::new(members(nodes, volumes, shards), 1 << bits, 1).unwrap();
        let most = *ring.loads().values().max().unwrap();
        let average = ring.replicas_total().div_ceil(ring.members().len());
        prop_assert!(most <= (average * 5).div_ceil(4), "{most} where the average is {average}");
    }
}

#[test]
fn a_new_shard_gets_its_share() {
    let ring = Ring::new(members(4, 1, 2), 256, 3).unwrap();
    let zone = "z1".to_owned();
    let next = ring.join(Member { shard: 99, volume: 99, node: 99, zone }).unwrap();
    let share = next.replicas_total() / next.members().len();
    assert!(
        next.groups_of(99).count() * 10 >= share * 8,
        "{} of {share}",
        next.groups_of(99).count()
    );
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
    // Golden: data is where these say.
    assert_eq!(
        [group_of(1, "a", 16), group_of(2, "a", 16), group_of(1, "b", 65536)],
        [2, 7, 29994]
    );
}

#[test]
fn a_ring_comes_back() {
    let ring = Ring::new(members(3, 2, 2), 16, 3).unwrap();
    let bytes = minicbor::to_vec(&ring).unwrap();
    assert_eq!(minicbor::decode::<Ring>(&bytes).unwrap(), ring);
}
