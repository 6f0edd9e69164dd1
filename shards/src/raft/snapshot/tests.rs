//! An installation that is cut off at every I/O leaves the state before it or the state it brings, never a mixture.

use std::collections::BTreeMap;

use anode_disk::{
    index::ScanLimit,
    testing::{Random, SimDirectory, SimDisk},
};
use bytes::Bytes;
use openraft::{RaftSnapshotBuilder, storage::RaftStateMachine, vote::RaftLeaderId};

use super::{copy_of, finish};
use crate::{
    command::{Command, PutObject},
    object::{Body, Object},
    raft::{
        codec::{Position, encode_position},
        state_store::StateStore,
        testing::{self, Machine},
        types::{LeaderId, LogId, StoredMembership},
    },
    state::{group_range, meta_key},
    version::WantedVersion,
};

const GROUP: u32 = 3;
const NEIGHBOUR: u32 = 4;

type Content = BTreeMap<String, Bytes>;

fn position(index: u64) -> Position {
    Position {
        applied: Some(LogId::new(LeaderId::new(1, 7), index)),
        membership: StoredMembership::default(),
    }
}

/// Brings a group to `content`, applied up to `index`.
async fn fill(machine: &Machine, group: u32, content: &Content, index: u64) {
    let state = machine.state(group);
    for (key, bytes) in content {
        let length = u32::try_from(bytes.len()).unwrap();
        let put = PutObject {
            bucket: 1,
            key: key.clone(),
            object: Object {
                size: u64::from(length),
                body: Body::Inline(length),
                ..Object::default()
            },
            inline: bytes.clone(),
            ..PutObject::default()
        };
        let meta = (meta_key(group), encode_position(&position(index)));
        let command = Command::PutObject(Box::new(put));
        state.apply(&command, meta).await.unwrap();
    }
    drop(machine.storage.index.flush().await.unwrap());
}

/// Everything a group holds.
async fn content(machine: &Machine, group: u32) -> Content {
    let state = machine.state(group);
    let mut content = Content::new();
    for number in 0..60 {
        let key = format!("key-{number}");
        if let Some((_, bytes)) =
            state.version_inline((1, &key), WantedVersion::Current).await.unwrap()
        {
            content.insert(key, bytes.unwrap());
        }
    }
    content
}

fn random_content(seed: u64, keys: std::ops::Range<u64>) -> Content {
    let mut random = Random::new(seed);
    let entry = |number| {
        let length = usize::try_from(1 + random.below(200_000)).unwrap();
        (format!("key-{number}"), Bytes::from(random.bytes(length)))
    };
    keys.map(entry).collect()
}

async fn open(machine: &Machine) -> std::io::Result<StateStore<SimDirectory>> {
    let index = machine.storage.index.clone();
    StateStore::open(GROUP, index, machine.state(GROUP)).await
}

/// A target whose installation is cut off at its `nth` I/O, and whose recovery is cut off at another; what it is then.
fn cut_off(nth: u64, source: &Content, before: &Content) -> bool {
    let disk = SimDisk::new(nth);
    let origin = SimDisk::new(1);
    let other = random_content(9, 0..5);
    let finished = testing::run(nth, async {
        let sender = Machine::open(&origin).await.unwrap();
        fill(&sender, GROUP, source, 9).await;
        let mut sent = open(&sender).await.unwrap();
        let snapshot = sent.build_snapshot().await.unwrap();
        let machine = Machine::open(&disk).await.unwrap();
        fill(&machine, GROUP, before, 5).await;
        fill(&machine, NEIGHBOUR, &other, 2).await;
        let mut target = open(&machine).await.unwrap();
        disk.crash_at(disk.io_count() + nth);
        let installed = target.install_snapshot(&snapshot.meta, snapshot.snapshot).await;
        installed.is_ok()
    });
    // Recovery is cut off, too; then it is left alone.
    let recovered = testing::run(nth, async {
        if disk.crash_count() == 0 {
            disk.crash();
        }
        disk.crash_at(disk.io_count() + nth % 17);
        let machine = Machine::open(&disk).await?;
        finish(&machine.storage.index, GROUP).await
    });
    drop(recovered);
    testing::run(nth, async {
        disk.crash();
        let machine = Machine::open(&disk).await.unwrap();
        finish(&machine.storage.index, GROUP).await.unwrap();
        let mut target = open(&machine).await.unwrap();
        let (applied, _) = target.applied_state().await.unwrap();
        let is_new = applied == position(9).applied;
        let expected = if is_new { source } else { before };
        assert!(is_new || applied == position(5).applied, "{nth}: {applied:?}");
        assert!(is_new || !finished, "{nth}: an installation is durable when it ends");
        // Not `assert_eq`: nobody reads megabytes.
        assert!(content(&machine, GROUP).await == *expected, "{nth}: a mixture");
        assert!(content(&machine, NEIGHBOUR).await == other, "{nth}: the neighbour");
        let limit = ScanLimit { entries: 1, bytes: 1 };
        let rest = machine.storage.index.scan(group_range(copy_of(GROUP)), limit);
        assert!(rest.await.unwrap().entries.is_empty(), "{nth}: a copy is left");
    });
    finished
}

#[test]
fn an_installation_is_whole_or_not_at_all() {
    let source = random_content(2, 20..60);
    let before = random_content(3, 0..40);
    let mut nth = 0;
    // Until one is not cut off any more.
    while !cut_off(nth, &source, &before) {
        nth += 1;
    }
    assert!(nth > 10, "{nth}");
}
