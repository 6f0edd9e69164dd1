//! Rounds of several groups, random and cut short, with messages that come late: never above the quota, and nothing is
//! refused for which there is room.

use std::collections::BTreeMap;

use anode_disk::testing::Random;

use super::*;

const GROUPS: u32 = 5;
const SEEDS: u64 = 3_000;
const STEPS: u64 = 150;

fn bytes(bytes: u64) -> Amount {
    Amount { bytes, objects: 0 }
}

#[test]
fn all_of_a_quota_is_dealt_out_and_no_more() {
    let quota = Amount { bytes: 100, objects: u64::MAX };
    let held = [(1, bytes(10)), (2, bytes(0)), (3, bytes(20))];
    let dealt = deal(quota, &held, Some((2, bytes(50))));
    assert!(dealt.is_met);
    let expected = [(1, 10 + 6), (2, 50 + 6 + 2), (3, 20 + 6)];
    let limits = dealt.grants.iter().map(|(group, amount)| (*group, amount.bytes));
    assert_eq!(limits.collect::<Vec<_>>(), expected);
    assert!(dealt.grants.iter().all(|(_, amount)| amount.objects == u64::MAX));
    // All of it to one group.
    let dealt = deal(quota, &held, Some((2, bytes(70))));
    assert!(dealt.is_met);
    assert_eq!(dealt.grants[1].1.bytes, 70);
    let dealt = deal(quota, &held, Some((2, bytes(71))));
    assert!(!dealt.is_met);
    assert_eq!(dealt.grants.iter().map(|(_, amount)| amount.bytes).sum::<u64>(), 30 + 3 * 23);
}

#[test]
fn where_more_is_held_than_the_quota_nothing_may_grow() {
    let held = [(1, Amount { bytes: 101, objects: 1 }), (2, Amount { bytes: 0, objects: 1 })];
    let dealt = deal(Amount { bytes: 100, objects: 4 }, &held, None);
    let objects = |objects| Amount { bytes: 0, objects };
    assert_eq!(dealt.grants, [(1, objects(2)), (2, objects(2))]);
    assert!(deal(Amount { bytes: 100, objects: 1 }, &held, None).grants.is_empty());
    // What doesn't grow in bytes needs none.
    assert!(deal(Amount { bytes: 100, objects: 4 }, &held, Some((1, objects(2)))).is_met);
}

#[test]
fn a_quota_without_a_limit_limits_nothing() {
    let held = [(1, Amount { bytes: 5, objects: 5 })];
    assert_eq!(deal(Amount::UNLIMITED, &held, None).grants, [(1, Amount::UNLIMITED)]);
    let allowance = Allowance { round: 1, granted: Some(Amount::UNLIMITED) };
    assert!(is_settled(Amount::UNLIMITED, &[(held[0].1, Some(allowance)); 3]));
    assert!(!is_settled(
        Amount { bytes: 10, ..Amount::UNLIMITED },
        &[(held[0].1, Some(allowance))]
    ));
    assert!(!is_settled(Amount::UNLIMITED, &[(held[0].1, None)]));
}

/// What a message does to a group.
#[derive(Clone, Copy, Debug)]
enum Step {
    Freeze,
    Grant(Amount),
}

/// A group as apply has it be, in a few lines.
#[derive(Clone, Copy, Debug, Default)]
struct Model {
    held: Amount,
    allowance: Option<Allowance>,
}

impl Model {
    fn take(&mut self, round: u64, step: Step) -> Option<Amount> {
        let known = self.allowance;
        match step {
            Step::Freeze if known.is_none_or(|known| known.round < round) => {
                self.allowance = Some(Allowance { round, granted: None });
                Some(self.held)
            }
            Step::Grant(amount) if known == Some(Allowance { round, granted: None }) => {
                self.allowance = Some(Allowance { round, granted: Some(amount) });
                Some(self.held)
            }
            Step::Freeze | Step::Grant(_) => None,
        }
    }

    fn grow(&mut self, growth: Amount) -> bool {
        let limit = self.allowance.map_or(Amount::UNLIMITED, Allowance::limit);
        let has_room = limit.has_room(self.held, growth);
        if has_room {
            self.held = self.held.plus(growth);
        }
        has_room
    }
}

/// A round under way: what it has frozen, and what it still has to say.
struct Round {
    number: u64,
    wanted: Option<(GroupId, Amount)>,
    to_freeze: Vec<GroupId>,
    frozen: Vec<(GroupId, Amount)>,
    is_overtaken: bool,
}

struct World {
    random: Random,
    quota: Amount,
    groups: BTreeMap<GroupId, Model>,
    rounds: Vec<Round>,
    /// Grants on their way, in any order, some for ever.
    late: Vec<(GroupId, u64, Amount)>,
    next: u64,
    /// What the bucket may hold at most: its quota, or what it held when that was set.
    most: Amount,
}

impl World {
    fn sum(&self) -> Amount {
        self.groups.values().fold(Amount::default(), |sum, group| sum.plus(group.held))
    }

    fn growth(&mut self) -> (GroupId, Amount) {
        let group = 1 + u32::try_from(self.random.below(u64::from(GROUPS))).unwrap();
        (group, Amount { bytes: self.random.below(12), objects: self.random.below(2) })
    }

    fn begin(&mut self, wanted: Option<(GroupId, Amount)>) {
        self.next += 1;
        let (number, to_freeze) = (self.next, (1..=GROUPS).collect());
        let (frozen, is_overtaken) = (Vec::new(), false);
        self.rounds.push(Round { number, wanted, to_freeze, frozen, is_overtaken });
    }

    /// A message of a round arrives, or its last answer has grants sent.
    fn advance(&mut self) {
        if self.rounds.is_empty() {
            return;
        }
        let at = usize::try_from(self.random.below(self.rounds.len() as u64)).unwrap();
        let round = &mut self.rounds[at];
        if let Some(group) = round.to_freeze.pop() {
            match self.groups.get_mut(&group).unwrap().take(round.number, Step::Freeze) {
                Some(held) => round.frozen.push((group, held)),
                None => round.is_overtaken = true,
            }
            return;
        }
        let round = self.rounds.swap_remove(at);
        if !round.is_overtaken {
            let dealt = deal(self.quota, &round.frozen, round.wanted);
            self.late.extend(dealt.grants.iter().map(|(group, to)| (*group, round.number, *to)));
        }
    }

    fn deliver(&mut self) {
        if !self.late.is_empty() {
            let at = usize::try_from(self.random.below(self.late.len() as u64)).unwrap();
            let (group, round, amount) = self.late.swap_remove(at);
            self.groups.get_mut(&group).unwrap().take(round, Step::Grant(amount));
        }
    }

    /// Every round ends, as where one runs at a time; then what there is room for is taken, and nothing else.
    fn check_room(&mut self) {
        self.rounds.clear();
        let (group, growth) = self.growth();
        let has_room = self.quota.has_room(self.sum(), growth);
        self.begin(Some((group, growth)));
        while !self.rounds.is_empty() {
            self.advance();
        }
        while self.late.iter().any(|(_, round, _)| *round == self.next) {
            self.deliver();
        }
        let groups: Vec<_> =
            self.groups.values().map(|group| (group.held, group.allowance)).collect();
        assert!(is_settled(self.quota, &groups));
        assert_eq!(self.groups.get_mut(&group).unwrap().grow(growth), has_room, "{growth:?}");
    }

    fn step(&mut self) {
        match self.random.below(16) {
            0..5 => {
                let (group, growth) = self.growth();
                if !self.groups.get_mut(&group).unwrap().grow(growth) && self.random.below(4) == 0 {
                    self.begin(Some((group, growth)));
                }
            }
            5 => {
                let (group, shrink) = self.growth();
                let held = &mut self.groups.get_mut(&group).unwrap().held;
                held.bytes = held.bytes.saturating_sub(shrink.bytes);
                held.objects = held.objects.saturating_sub(shrink.objects);
            }
            6 => self.check_room(),
            // A node ends, with all that was under way.
            7 if self.random.below(4) == 0 => self.rounds.clear(),
            7 => self.begin(None),
            8..13 => self.advance(),
            _ => self.deliver(),
        }
        // Once at its quota or below it, it never passes that again.
        let sum = self.sum();
        let keep = |most: u64, sum: u64, quota: u64| most.min(sum.max(quota));
        self.most = Amount {
            bytes: keep(self.most.bytes, sum.bytes, self.quota.bytes),
            objects: keep(self.most.objects, sum.objects, self.quota.objects),
        };
        assert!(sum.bytes <= self.most.bytes, "{sum:?} of {:?}", self.most);
        assert!(sum.objects <= self.most.objects, "{sum:?} of {:?}", self.most);
    }
}

#[test]
fn no_order_of_messages_has_a_bucket_pass_its_quota() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let quota = Amount { bytes: random.below(60), objects: random.below(12) };
        // Before there was a quota, it held what it held.
        let groups = (1..=GROUPS).map(|group| {
            let held = Amount { bytes: random.below(12), objects: random.below(3) };
            (group, Model { held, allowance: None })
        });
        let groups = groups.collect();
        let (rounds, late, most) = (Vec::new(), Vec::new(), Amount::UNLIMITED);
        let mut world = World { random, quota, groups, rounds, late, next: 0, most };
        // The quota is set: this returns when all groups keep to it.
        world.check_room();
        let sum = world.sum();
        let most = |quota: u64, sum: u64| quota.max(sum);
        let (bytes, objects) = (most(quota.bytes, sum.bytes), most(quota.objects, sum.objects));
        world.most = Amount { bytes, objects };
        for _ in 0..STEPS {
            world.step();
        }
    }
}
