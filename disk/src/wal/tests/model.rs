//! The reference model: what was asked for, in order, as a plain list. After a crash the WAL must be what some prefix of
//! the list makes, and that prefix has everything that was acknowledged.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use futures::future::join;

use super::{SimWal, small, turn};
use crate::{
    error::Error,
    testing::{Random, SimDisk, block_on},
    wal::{GroupId, LOCAL, Record, Slot, Wal, flushed},
};

const GROUPS: [GroupId; 3] = [0, 7, LOCAL];

/// One thing asked for.
#[derive(Clone, Debug)]
enum Ask {
    Append(Record),
    Truncate(u64),
    Purge(u64, Bytes),
    Vote(Bytes),
    Remove,
}

/// What one group should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Group {
    records: Vec<Record>,
    vote: Option<Bytes>,
    purged: Option<Bytes>,
}

type Groups = BTreeMap<GroupId, Group>;

fn apply(groups: &mut Groups, group: GroupId, ask: &Ask) {
    let state = groups.entry(group).or_default();
    match ask {
        Ask::Append(record) => state.records.push(record.clone()),
        Ask::Truncate(from) => state.records.retain(|record| record.index < *from),
        Ask::Purge(upto, value) => {
            state.records.retain(|record| record.index > *upto);
            state.purged = Some(value.clone());
        }
        Ask::Vote(value) => state.vote = Some(value.clone()),
        Ask::Remove => *state = Group::default(),
    }
}

/// The model of one disk over its lives.
#[derive(Default)]
struct Model {
    /// What is certainly there: everything before the list.
    base: Groups,
    asked: Vec<(GroupId, Ask)>,
    /// How many of the list were acknowledged.
    acknowledged: usize,
    /// How many at the end of the list nobody waits for.
    unattended: usize,
    /// The state after the whole list.
    current: Groups,
    /// Where each group goes on; never reused, so that old records can't look right.
    nonce: u64,
    /// Each lazy value put in this life, and how much was asked for before it.
    lazy: BTreeMap<(GroupId, u64), usize>,
}

impl Model {
    /// After a restart: finds the prefix that the WAL is, and how long it is.
    fn settle(&mut self, found: &Groups) -> usize {
        let mut state = std::mem::take(&mut self.base);
        let mut matching = None;
        for number in 0..=self.asked.len() {
            if number >= self.acknowledged && same(&state, found) {
                // The longest one: an entry may have been dropped again.
                matching = Some((number, state.clone()));
            }
            if let Some((group, ask)) = self.asked.get(number) {
                apply(&mut state, *group, ask);
            }
        }
        assert!(
            matching.is_some(),
            "no prefix of {} asked with {} acknowledged is {:?}; the whole is {:?}",
            self.asked.len(),
            self.acknowledged,
            brief(found),
            brief(&state)
        );
        let (length, base) = matching.expect("asserted above");
        self.base = base;
        self.current = self.base.clone();
        self.asked.clear();
        (self.acknowledged, self.unattended) = (0, 0);
        length
    }
}

fn same(one: &Groups, other: &Groups) -> bool {
    GROUPS.iter().all(|group| {
        one.get(group).cloned().unwrap_or_default() == other.get(group).cloned().unwrap_or_default()
    })
}

fn brief(groups: &Groups) -> Vec<String> {
    let brief = |(group, state): (&GroupId, &Group)| {
        let indexes: Vec<u64> = state.records.iter().map(|record| record.index).collect();
        format!("{group}: {indexes:?} {:?} {:?}", state.vote, state.purged)
    };
    groups.iter().map(brief).collect()
}

async fn observe(wal: &SimWal) -> Result<Groups, Error> {
    let mut groups = Groups::new();
    for group in GROUPS {
        let mut records = Vec::new();
        while let Some((_, last)) = wal.range(group) {
            let next = records.last().map_or(0, |record: &Record| record.index + 1);
            if next > last {
                break;
            }
            records.extend(wal.read(group, next..u64::MAX, 5000).await?);
        }
        let (vote, purged) = (wal.slot(group, Slot::Vote), wal.slot(group, Slot::Purged));
        groups.insert(group, Group { records, vote, purged });
    }
    Ok(groups)
}

/// Asks for something, in the model and of the WAL.
fn ask(wal: &SimWal, model: &Rc<RefCell<Model>>, random: &mut Random) {
    let mut guard = model.borrow_mut();
    let state = &mut *guard;
    let group = GROUPS[usize::try_from(random.below(3)).unwrap()];
    let records = &state.current.entry(group).or_default().records;
    let first = records.first().map_or(0, |record| record.index);
    let next = records.last().map_or_else(|| random.below(50) + 1, |record| record.index + 1);
    let some = first + random.below(next.saturating_sub(first) + 2);
    state.nonce += 1;
    let nonce = Bytes::from(state.nonce.to_string());
    let asks: Vec<Ask> = match random.below(100) {
        0..55 => (next..next + 1 + random.below(4))
            .map(|index| Ask::Append(make(index, &nonce, random)))
            .collect(),
        55..65 => vec![Ask::Truncate(some)],
        65..80 => vec![Ask::Purge(some, nonce)],
        80..82 => vec![Ask::Remove],
        82..90 => {
            wal.put_lazy(group, Slot::Committed, nonce).unwrap_or_default();
            state.lazy.insert((group, state.nonce), state.asked.len());
            return;
        }
        _ => vec![Ask::Vote(nonce)],
    };
    for ask in &asks {
        apply(&mut state.current, group, ask);
        state.asked.push((group, ask.clone()));
    }
    let number = state.asked.len();
    if matches!(asks.last(), Some(Ask::Append(_))) && random.below(4) == 0 {
        state.unattended += asks.len();
        // Refused only where all is over, as an append would be.
        drop(wal.append_lazy(group, appended(asks)));
        return;
    }
    state.unattended = 0;
    drop(guard);
    let model = Rc::clone(model);
    let done = Box::new(move |result: Result<(), Error>| {
        let mut model = model.borrow_mut();
        if result.is_ok() {
            assert!(model.acknowledged <= number, "completions come in order");
            model.acknowledged = number;
        }
    });
    submit(wal, group, asks, done);
}

fn appended(asks: Vec<Ask>) -> Vec<Record> {
    let record = |ask| match ask {
        Ask::Append(record) => record,
        Ask::Truncate(_) | Ask::Purge(..) | Ask::Vote(_) | Ask::Remove => unreachable!(),
    };
    asks.into_iter().map(record).collect()
}

fn submit(wal: &SimWal, group: GroupId, mut asks: Vec<Ask>, done: crate::wal::Completion) {
    match asks.pop().unwrap() {
        last @ Ask::Append(_) => {
            asks.push(last);
            wal.append(group, appended(asks), done);
        }
        Ask::Truncate(from) => wal.truncate(group, from, done),
        Ask::Purge(upto, value) => wal.purge(group, upto, value, done),
        Ask::Vote(value) => wal.put(group, Slot::Vote, value, done),
        Ask::Remove => wal.remove_group(group, done),
    }
}

fn make(index: u64, nonce: &Bytes, random: &mut Random) -> Record {
    let bytes = match random.below(20) {
        0 => random.below(30_000),
        1..6 => random.below(5000),
        _ => random.below(200),
    };
    let fill = u8::try_from(random.below(256)).unwrap();
    let body = Bytes::from(vec![fill; usize::try_from(bytes).unwrap()]);
    Record { index, head: nonce.clone(), body }
}

/// One life: opens, compares, asks at random, ends by a stop or a crash at a random point, which may be the opening.
async fn live(
    disk: &SimDisk,
    model: &Rc<RefCell<Model>>,
    random: &mut Random,
) -> Result<(), Error> {
    if random.below(3) > 0 {
        disk.crash_at(disk.io_count() + random.below(80));
    }
    let wal = Wal::open(disk.reopen(), small()).await?;
    let found = observe(&wal).await?;
    let length = model.borrow_mut().settle(&found);
    let lazy = std::mem::take(&mut model.borrow_mut().lazy);
    for group in GROUPS {
        let Some(value) = wal.slot(group, Slot::Committed) else { continue };
        let nonce: u64 = str::from_utf8(&value).unwrap().parse().unwrap();
        let before = lazy.get(&(group, nonce)).copied().unwrap_or(0);
        assert!(before <= length, "lazy {nonce} of {group} overtook {before} to {length}");
    }
    let life = disk.crash_count();
    let scenario = async {
        for _ in 0..random.below(60) {
            if disk.crash_count() != life {
                break;
            }
            ask(&wal, model, random);
            match random.below(10) {
                0 => drop(flushed(|done| wal.append(0, Vec::new(), done)).await),
                1 => wal.room().await,
                2 => {
                    if let Ok(found) = observe(&wal).await {
                        let model = model.borrow();
                        let at_once = disk.crash_count() != life || same(&model.current, &found);
                        assert!(at_once, "{:?} for {:?}", brief(&found), brief(&model.current));
                    }
                }
                3..6 => {
                    for _ in 0..random.below(12) {
                        turn().await;
                    }
                }
                _ => {}
            }
        }
        wal.stop();
    };
    let (run, ()) = join(wal.run(), scenario).await;
    if run.is_ok() {
        let model = &mut *model.borrow_mut();
        let told = model.asked.len() - model.unattended;
        assert_eq!(model.acknowledged, told, "a stop writes everything");
        model.acknowledged = model.asked.len();
    }
    run
}

#[test]
fn after_any_crash_the_log_is_a_prefix_with_all_that_was_acknowledged() {
    for seed in 0..400 {
        check(seed);
    }
}

fn check(seed: u64) {
    let _replay = Replay(seed);
    let disk = SimDisk::new(seed);
    let mut random = Random::new(!seed);
    let model = Rc::new(RefCell::new(Model::default()));
    for _ in 0..8 {
        let ended = block_on(live(&disk, &model, &mut random));
        // `Stopped` is the crash that was planned.
        assert!(matches!(ended, Ok(()) | Err(Error::Stopped)), "{ended:?}");
        disk.heal();
    }
}

/// Says how to replay a seed that panics.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay: wal::tests::model, check({})", self.0);
        }
    }
}
