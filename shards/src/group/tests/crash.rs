//! Crashes at random points of random work: what was acknowledged is there, once; what was not is there once or not.
//!
//! Clients make and remove buckets and overwrite objects. Bucket ids are counted up by the state: a command applied
//! twice, or applied again over its own effects, would skip an id or bring a removed bucket back.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use anode_disk::testing::{Delay, Random, SimDirectory, SimDisk};
use bytes::Bytes;
use openraft_rt::AsyncRuntime;

use super::{GROUP, bucket, put};
use crate::{
    command::{Command, RemoveBucket, Reply},
    group::{Group, GroupError},
    raft::{
        runtime::ShardRuntime,
        testing::{self, Machine},
    },
};

const CLIENTS: u64 = 4;
const LIVES: u64 = 6;

/// What a client knows. Only it touches its bucket and its key.
#[derive(Default)]
struct Client {
    /// The id of its bucket, if there is one.
    bucket: Option<u64>,
    /// The number it wrote last under its key.
    written: Option<u64>,
    /// What it asked for and got no answer to.
    unknown: Option<Asked>,
    numbers: u64,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Make,
    Remove,
    Put(u64),
}

#[derive(Default)]
struct Model {
    clients: BTreeMap<u64, Client>,
    /// Buckets made so far, for certain.
    made: u64,
    /// A bucket that was asked for without an answer, to see the next id.
    probe: Option<String>,
    answers: u64,
}

#[test]
fn what_was_acknowledged_is_there_once() {
    let mut answers = 0;
    let mut crashes = 0;
    for seed in 0..24 {
        let disk = SimDisk::new(seed);
        if seed % 4 != 0 {
            disk.set_delay(Some(delay(seed)));
        }
        let model = RefCell::new(Model::default());
        let mut random = Random::new(seed);
        for life in 0..=LIVES {
            if life < LIVES {
                // Often in the midst of recovery, too.
                let ahead = if random.coin() { 40 } else { 400 };
                disk.crash_at(disk.io_count() + random.below(ahead));
            }
            let before = disk.crash_count();
            let lived = testing::run(seed ^ life, live(&disk, &model, seed ^ (life << 32)));
            if let Err(error) = lived {
                assert!(
                    disk.crash_count() > before,
                    "seed {seed}, life {life}: {error} without a crash"
                );
            }
            if disk.crash_count() == before && life < LIVES {
                disk.crash();
            }
            crashes += disk.crash_count() - before;
        }
        answers += model.borrow().answers;
    }
    assert!(answers > 2_000 && crashes > 100, "{answers} {crashes}");
}

/// Makes each I/O take up to 300 us of virtual time, so that others go on meanwhile.
fn delay(seed: u64) -> Delay {
    let random = RefCell::new(Random::new(seed));
    Rc::new(move || {
        let micros = random.borrow_mut().below(300);
        Box::pin(ShardRuntime::sleep(Duration::from_micros(micros)))
    })
}

/// One start: checks what is there, then works until everything is done or the disk is gone.
async fn live(disk: &SimDisk, model: &RefCell<Model>, seed: u64) -> Result<(), String> {
    let machine = Machine::open(disk).await.map_err(|error| error.to_string())?;
    let opened = machine.group(GROUP).await;
    if let Err(GroupError::Damaged { finding, .. }) = &opened {
        unreachable!("seed {seed:#x}: {finding}");
    }
    let group = opened.map_err(|error| error.to_string())?;
    check(&group, model, seed).await?;
    let clients = (0..CLIENTS).map(|name| work(&group, model, name, seed));
    let worked = futures::future::join_all(clients).await;
    for worked in worked {
        worked.map_err(|error| error.to_string())?;
    }
    group.shutdown().await;
    machine.close().await;
    Ok(())
}

async fn work(
    group: &Group<SimDirectory>,
    model: &RefCell<Model>,
    name: u64,
    seed: u64,
) -> Result<(), GroupError> {
    let mut random = Random::new(seed ^ name.wrapping_mul(0x9e37));
    for _ in 0..60 {
        let (asked, command) = {
            let mut model = model.borrow_mut();
            let client = model.clients.entry(name).or_default();
            let (asked, command) = ask(client, name, &mut random);
            client.unknown = Some(asked);
            (asked, command)
        };
        let reply = group.propose(command).await?;
        let mut model = model.borrow_mut();
        model.answers += 1;
        let model = &mut *model;
        let client = model.clients.get_mut(&name).unwrap();
        client.unknown = None;
        match (asked, reply) {
            (Asked::Make, Reply::Bucket(bucket)) => {
                model.made += 1;
                client.bucket = Some(bucket.id);
            }
            (Asked::Remove, Reply::Done) => client.bucket = None,
            (Asked::Put(number), Reply::Stored(_)) => client.written = Some(number),
            other => unreachable!("{other:?}"),
        }
    }
    Ok(())
}

fn ask(client: &mut Client, name: u64, random: &mut Random) -> (Asked, Command) {
    let bucket_name = format!("bucket-{name}");
    if random.coin() {
        client.numbers += 1;
        let length = usize::try_from(random.below(12_000)).unwrap();
        let bytes = Bytes::from(random.bytes(length));
        let command = put(&format!("key-{name}"), client.numbers, bytes);
        return (Asked::Put(client.numbers), command);
    }
    match client.bucket {
        None => (Asked::Make, bucket(&bucket_name)),
        Some(id) => {
            let remove = RemoveBucket { name: bucket_name, bucket: id };
            (Asked::Remove, Command::RemoveBucket(remove))
        }
    }
}

/// Compares the group with what its clients know, and settles what they didn't know.
async fn check(
    group: &Group<SimDirectory>,
    model: &RefCell<Model>,
    seed: u64,
) -> Result<(), String> {
    let fail = |error: GroupError| error.to_string();
    group.linearizable().await.map_err(fail)?;
    let mut ids = Vec::new();
    for name in 0..CLIENTS {
        let state = group.state();
        let found = state.bucket(&format!("bucket-{name}")).await;
        let found = found.map_err(|error| error.to_string())?.map(|bucket| bucket.id);
        ids.extend(found);
        let object = state.object(1, &format!("key-{name}")).await;
        let object = object.map_err(|error| error.to_string())?;
        let written = object.map(|object| object.etag.parse::<u64>().unwrap());

        let mut model = model.borrow_mut();
        let model = &mut *model;
        let client = model.clients.entry(name).or_default();
        let told = format!("seed {seed:#x}, client {name}: {:?}", client.unknown);
        match client.unknown.take() {
            Some(Asked::Make) if found.is_some() => {
                model.made += 1;
                client.bucket = found;
            }
            Some(Asked::Remove) if found.is_none() => client.bucket = None,
            Some(Asked::Put(number)) if written == Some(number) => client.written = written,
            Some(_) | None => {}
        }
        assert_eq!(found, client.bucket, "{told}");
        assert_eq!(written, client.written, "{told}");
    }
    // Every id was given once, and none was skipped.
    let asked = model.borrow().probe.clone();
    if let Some(probe) = asked {
        let found = group.state().bucket(&probe).await;
        let found = found.map_err(|error| error.to_string())?.is_some();
        let mut model = model.borrow_mut();
        model.probe = None;
        model.made += u64::from(found);
    }
    let made = model.borrow().made;
    assert!(ids.iter().all(|id| *id <= made), "seed {seed:#x}: {ids:?} {made}");
    let probe = format!("probe-{seed}");
    model.borrow_mut().probe = Some(probe.clone());
    let reply = group.propose(bucket(&probe)).await.map_err(fail)?;
    let Reply::Bucket(bucket) = reply else { unreachable!("seed {seed:#x}: {reply:?}") };
    assert_eq!(bucket.id, made + 1, "seed {seed:#x}");
    let mut model = model.borrow_mut();
    model.probe = None;
    model.made += 1;
    Ok(())
}
