//! A damaged log is applied up to what is lost and begun anew: the state is one that the group was in, whatever is crashed
//! on the way, and the group goes on from it.

use std::{collections::BTreeMap, rc::Rc};

use anode_disk::{
    check::ShardFiles,
    segment::Class,
    storage::{MEMORY_BYTES_MIN, Storage, StorageOptions},
    testing::{Random, SimDirectory, SimDisk},
    wal::{Kept, LOCAL, Salvage},
};
use bytes::Bytes;

use super::{etag, put};
use crate::{
    command::{Command, Reply},
    object::{Body, BodyId, ContentId},
    raft::{
        codec::{Position, decode_position},
        replay::{Lacking, replay},
        salvage::{Standing, slots},
        testing::{self, Machine},
    },
    staging::{Cut, Staging},
    state::{State, meta_key},
};

const GROUPS: [u32; 2] = [1, 2];
const KEYS: u64 = 5;

/// A write that was acknowledged: which entry it is, its key and its number.
#[derive(Debug)]
struct Written {
    group: u32,
    entry: u64,
    key: String,
    number: u64,
}

/// The same with its bytes in a chunk.
fn with_chunk(command: Command, body: BodyId, content: ContentId, bytes: u64) -> Command {
    let Command::PutObject(mut put) = command else { unreachable!("it is a put") };
    (put.object.body, put.object.size, put.contents) = (Body::Whole(body), bytes, vec![content]);
    Command::PutObject(put)
}

/// Two groups with overwritten keys, every third with a chunk; some of it is flushed, and the node was started twice.
async fn fill(disk: &SimDisk, random: &mut Random) -> Vec<Written> {
    let mut written = Vec::new();
    for life in 0..2 {
        let machine = Machine::open(disk).await.unwrap();
        let mut groups = Vec::new();
        for group in GROUPS {
            groups.push(machine.group(group).await.unwrap());
        }
        for number in 0..40 {
            let number = life * 40 + number;
            let group = &groups[usize::try_from(random.below(2)).unwrap()];
            let key = format!("key-{}", random.below(KEYS));
            let mut command = put(&key, number, Bytes::new());
            if number % 3 == 0 {
                let body = BodyId(u128::from(number) + 1);
                let data = Bytes::from(random.bytes(3000));
                // A name for the bytes, in place of their SHA-256: no two bodies have the same.
                let content = ContentId([u8::try_from(number).unwrap(); 32]);
                command = with_chunk(command, body, content, 3000);
                machine
                    .staging
                    .stage(group.id(), body, Cut { number: 0, content, class: Class::OWN, data })
                    .await
                    .unwrap();
                machine.staging.settle(group.id(), body).await.unwrap();
            }
            let reply = group.propose(command).await.unwrap();
            assert!(matches!(reply, Reply::Stored(_)), "{reply:?}");
            let entry = group.figures().applied_index.unwrap();
            written.push(Written { group: group.id(), entry, key, number });
            if number == 25 && random.coin() {
                machine.keeper.keep().await.unwrap();
            }
        }
        for group in &groups {
            group.shutdown().await;
        }
        machine.close().await;
    }
    written
}

async fn positions(disk: &SimDisk) -> BTreeMap<u32, Position> {
    let files = ShardFiles::open(disk.reopen(), 1).await;
    let index = files.index.unwrap();
    let mut found = BTreeMap::new();
    for group in GROUPS {
        let entry = index.current(&meta_key(group)).await.unwrap();
        let position = entry.map(|entry| decode_position(&entry.value).unwrap());
        found.insert(group, position.unwrap_or_default());
    }
    found
}

/// What `anode volume check --set-aside` does; an error is that of a crash. Gives the standings.
async fn mend(disk: &SimDisk) -> Result<Vec<Standing>, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let files = ShardFiles::open(disk.reopen(), 1).await;
    let index = files.index.map_err(|error| said(&error))?;
    let salvage: Salvage<SimDirectory> =
        Storage::salvage(&disk.reopen(), 1).await.map_err(|error| said(&error))?;
    let mut standings = Vec::new();
    for group in GROUPS {
        let entry = index.current(&meta_key(group)).await.map_err(|error| said(&error))?;
        let position =
            entry.map(|entry| decode_position(&entry.value).unwrap()).unwrap_or_default();
        standings.push(Standing::of(&salvage, group, &position));
    }
    let kept: Vec<Kept> = standings.iter().map(Standing::kept).collect();
    let options = StorageOptions {
        memory_bytes: MEMORY_BYTES_MIN,
        segment_bytes: 4 << 20,
        wal_identity: 1,
        ..StorageOptions::default()
    };
    let storage = Storage::open_salvaged(disk.reopen(), options, (&salvage, &kept)).await;
    let storage = storage.map_err(|error| said(&error))?;
    let mut records = Vec::new();
    for index in salvage.indexes(LOCAL) {
        records.push(salvage.read(LOCAL, index).await.map_err(|error| said(&error))?);
    }
    let staging =
        Staging::of_records(Rc::clone(&storage), records).map_err(|error| said(&error))?;
    for group in GROUPS {
        let state = Rc::new(State::open(group, Rc::clone(&storage), Rc::clone(&staging)));
        let replayed = replay(group, &storage, &state, Lacking::Ends).await;
        replayed.map_err(|error| said(&error))?;
    }
    storage.index.flush().await.map_err(|error| said(&error))?;
    let mut all = Vec::new();
    for group in GROUPS {
        let entry = storage.index.get(&meta_key(group)).await.map_err(|error| said(&error))?;
        let applied = entry.and_then(|entry| decode_position(&entry.value).unwrap().applied);
        all.extend(slots(&salvage, 7, (group, applied)).await.map_err(|error| said(&error))?);
    }
    drop((staging, storage));
    salvage.renew(&all).await.map_err(|error| said(&error))?;
    Ok(standings)
}

/// Each group is in the state that it had when its last entry was applied; how many writes are gone.
async fn check(disk: &SimDisk, written: &[Written], terms: u64) -> usize {
    let applied = positions(disk).await;
    let machine = Machine::open(disk).await.unwrap();
    let mut gone = 0;
    for id in GROUPS {
        let group = machine.group(id).await.unwrap();
        assert!(group.figures().term > terms, "{} after {terms}", group.figures().term);
        let upto = applied[&id].applied.map(|applied| applied.index());
        let own = || written.iter().filter(|written| written.group == id);
        gone += own().filter(|written| Some(written.entry) > upto).count();
        for key in (0..KEYS).map(|number| format!("key-{number}")) {
            let last = own().rfind(|written| written.key == key && Some(written.entry) <= upto);
            assert_eq!(etag(&group, &key).await, last.map(|written| written.number), "{key}");
        }
        let survey = group.state().survey(1).await.unwrap();
        assert!(survey.is_empty(), "{survey:?}");
        group.propose(put("new", 1000, Bytes::from_static(b"new"))).await.unwrap();
        group.shutdown().await;
    }
    machine.close().await;
    gone
}

/// Flips bytes of the log where they are damage.
fn damage(disk: &SimDisk, random: &mut Random) {
    let names: Vec<String> = disk
        .files()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.contains("wal/wal-"))
        .collect();
    for name in &names {
        let bytes = disk.bytes(name);
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        if !used.is_empty() && (random.coin() || names.len() == 1) {
            let at = used[usize::try_from(random.below(used.len() as u64)).unwrap()];
            disk.flip(name, at as u64, 1 << random.below(8));
        }
    }
}

fn is_damaged(disk: &SimDisk) -> bool {
    testing::run(1, async {
        let files = ShardFiles::open(disk.reopen(), 1).await;
        files.wal.is_err()
    })
}

/// A filled disk with a damaged log, and what was written there; none where what was struck is not needed.
fn damaged(seed: u64) -> Option<(SimDisk, Vec<Written>)> {
    let disk = SimDisk::new(seed);
    let mut random = Random::new(seed);
    let written = testing::run(seed, fill(&disk, &mut random));
    damage(&disk, &mut random);
    is_damaged(&disk).then_some((disk, written))
}

#[test]
fn the_state_is_one_that_was_and_the_group_goes_on() {
    let (mut mended, mut gone) = (0, 0);
    for seed in 0..60 {
        let Some((disk, written)) = damaged(seed) else { continue };
        mended += 1;
        let before = testing::run(seed, positions(&disk));
        let standings = testing::run(seed, mend(&disk)).unwrap();
        for standing in &standings {
            assert_eq!(standing.applied, before[&standing.group].applied);
        }
        let after = testing::run(seed, positions(&disk));
        let is_whole = |standing: &Standing| {
            let applied = after[&standing.group].applied.map_or(0, |applied| applied.index() + 1);
            standing.beyond.is_empty() && applied == standing.end
        };
        let lost = testing::run(seed, check(&disk, &written, 2));
        if standings.iter().all(is_whole) {
            // What is last of a group, and nothing else.
            assert!(lost <= 2, "seed {seed}: {lost}");
        }
        gone += lost;
        // Once more: the log is a sound one.
        assert!(!is_damaged(&disk));
    }
    assert!(mended > 20 && gone > 40, "{mended} mended, {gone} gone");
}

#[test]
fn whatever_is_crashed_on_the_way_another_try_ends_it_the_same() {
    let mut crashes = 0;
    for seed in 0..6 {
        let Some((disk, written)) = damaged(seed) else { continue };
        let whole = disk.copy(seed);
        testing::run(seed, mend(&whole)).unwrap();
        let expected = testing::run(seed, positions(&whole));
        let (mut random, mut nth_io) = (Random::new(seed), 0);
        loop {
            let copy = disk.copy(seed ^ nth_io);
            copy.crash_at(copy.io_count() + nth_io);
            if testing::run(seed, mend(&copy)).is_ok() {
                break;
            }
            crashes += 1;
            copy.crash();
            copy.heal();
            if is_damaged(&copy) {
                testing::run(seed, mend(&copy)).unwrap();
            }
            let found = testing::run(seed, positions(&copy));
            assert_eq!(found, expected, "seed {seed}, crashed at {nth_io}");
            testing::run(seed, check(&copy, &written, 2));
            nth_io += 1 + random.below(4);
        }
    }
    assert!(crashes > 50, "{crashes}");
}
