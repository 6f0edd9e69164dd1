//! Groups on the simulated disk: opening, recovery, refusals, failures. Crashes are in [`crash`], bounds in [`bounds`].

mod bounds;
mod crash;
mod lost;
mod salvage;

use std::{collections::BTreeMap, time::Duration};

use anode_disk::{
    Directory,
    segment::Class,
    testing::{Fault, SimDirectory, SimDisk},
    wal,
};
use bytes::Bytes;
use futures::FutureExt as _;
use openraft::vote::RaftLeaderId;
use openraft_rt::AsyncRuntime;

use super::{Group, GroupError, is_only_voter};
use crate::{
    command::{Command, CreateBucket, PutObject, Reply},
    object::{Body, BodyId, ContentId, Object},
    raft::{
        codec,
        runtime::ShardRuntime,
        testing::{self, Machine},
        types::{LeaderId, LogId, Membership, Node},
    },
    staging::Cut,
};

pub(super) const GROUP: u32 = 0;

/// A command that makes a bucket.
pub(super) fn bucket(name: &str) -> Command {
    let name = name.to_owned();
    Command::CreateBucket(CreateBucket { name, ..CreateBucket::default() })
}

/// A command that writes `bytes` under `key` of bucket 1.
pub(super) fn put(key: &str, etag: u64, bytes: Bytes) -> Command {
    let size = u32::try_from(bytes.len()).unwrap();
    let object = Object {
        size: u64::from(size),
        etag: etag.to_string(),
        body: if size == 0 { Body::Empty } else { Body::Inline(size) },
        ..Object::default()
    };
    Command::PutObject(Box::new(PutObject {
        bucket: 1,
        key: key.to_owned(),
        object,
        inline: bytes,
        ..PutObject::default()
    }))
}

/// The number that [`put`] wrote last under a key.
pub(super) async fn etag(group: &Group<SimDirectory>, key: &str) -> Option<u64> {
    let object = group.state().object(1, key).await.unwrap()?;
    Some(object.etag.parse().unwrap())
}

async fn made(group: &Group<SimDirectory>, name: &str) -> u64 {
    let reply = group.propose(bucket(name)).await.unwrap();
    let Reply::Bucket(bucket) = reply else { unreachable!("{reply:?}") };
    bucket.id
}

#[test]
fn a_group_takes_commands_and_has_them_after_a_restart() {
    let disk = SimDisk::new(1);
    testing::run(1, async {
        let machine = Machine::open(&disk).await.unwrap();
        let group = machine.group(GROUP).await.unwrap();
        assert_eq!(made(&group, "a").await, 1);
        assert_eq!(made(&group, "b").await, 2);
        group.linearizable().await.unwrap();
        assert!(group.state().bucket("b").await.unwrap().is_some());
        let term = group.figures().term;
        group.shutdown().await;
        machine.close().await;

        let machine = Machine::open(&disk).await.unwrap();
        let group = machine.group(GROUP).await.unwrap();
        group.linearizable().await.unwrap();
        assert_eq!(group.state().bucket("a").await.unwrap().unwrap().id, 1);
        assert_eq!(made(&group, "c").await, 3);
        // Initialized once: the second start is an election in the same history.
        assert!(group.figures().term > term);
        assert_eq!(group.figures().failure, None);
        group.shutdown().await;
        machine.close().await;
    });
}

#[test]
fn a_flush_that_the_end_of_the_log_overtakes_is_no_failure() {
    let disk = SimDisk::new(9);
    testing::run(9, async {
        let machine = Machine::open(&disk).await.unwrap();
        let cut = Cut {
            number: 0,
            content: ContentId([1; 32]),
            class: Class::OWN,
            data: Bytes::from(vec![1; 5000]),
        };
        machine.staging.stage(GROUP, BodyId(1), cut).await.unwrap();
        machine.staging.settle(GROUP, BodyId(1)).await.unwrap();
        let keeper = machine.keeper.clone();
        keeper.stop();
        machine.storage.wal.stop();
        assert_eq!(keeper.keep().await, Ok(()));
        machine.close().await;
    });
}

#[test]
fn many_groups_share_one_log_and_one_index() {
    let disk = SimDisk::new(2);
    testing::run(2, async {
        for start in 0..3_u64 {
            let machine = Machine::open(&disk).await.unwrap();
            let opened = (0..8).map(|group| machine.group(group));
            let groups = futures::future::try_join_all(opened).await.unwrap();
            let puts = groups.iter().map(|group| async move {
                if start > 0 {
                    let own = u64::from(group.id()) * 10 + start - 1;
                    assert_eq!(etag(group, "k").await, Some(own));
                }
                let own = u64::from(group.id()) * 10 + start;
                let written = group.propose(put("k", own, Bytes::new())).await;
                assert!(matches!(written, Ok(Reply::Stored(_))), "{written:?}");
            });
            futures::future::join_all(puts).await;
            for group in groups {
                group.shutdown().await;
            }
            machine.close().await;
        }
    });
}

#[test]
fn an_idle_group_answers_at_once() {
    testing::run(3, async {
        let machine = Machine::open(&SimDisk::new(3)).await.unwrap();
        let group = machine.group(GROUP).await.unwrap();
        for _ in 0..3 {
            ShardRuntime::sleep(Duration::from_mins(10)).await;
            group.linearizable().await.unwrap();
            group.propose(put("k", 1, Bytes::new())).await.unwrap();
        }
        assert_eq!(group.figures().leader, Some(7));
    });
}

#[test]
fn after_shutdown_requests_are_refused() {
    testing::run(4, async {
        let machine = Machine::open(&SimDisk::new(4)).await.unwrap();
        let group = machine.group(GROUP).await.unwrap();
        group.shutdown().await;
        let refused = group.propose(bucket("a")).await.unwrap_err();
        assert!(matches!(refused, GroupError::Stopped { .. }), "{refused}");
        let refused = group.linearizable().await.unwrap_err();
        assert!(matches!(refused, GroupError::Stopped { .. }), "{refused}");
    });
}

/// It needs nobody's word, so no turn of another task; once it has failed, its own word is worth nothing.
#[test]
fn the_only_voter_answers_reads_in_the_same_turn_until_it_has_failed() {
    let disk = SimDisk::new(9);
    testing::run(9, async {
        let machine = Machine::open(&disk).await.unwrap();
        let group = machine.group(GROUP).await.unwrap();
        assert_eq!(made(&group, "a").await, 1);
        let answered = group.linearizable().now_or_never();
        assert!(matches!(answered, Some(Ok(()))), "{answered:?}");
        disk.fail_at(disk.io_count(), Fault::Io, false);
        group.propose(bucket("b")).await.unwrap_err();
        let refused = group.linearizable().await.unwrap_err();
        assert!(matches!(refused, GroupError::Stopped { .. }), "{refused}");
    });
}

/// H12: one failed write stops every group of the shard.
#[test]
fn a_failed_write_of_the_log_stops_all_groups() {
    let disk = SimDisk::new(5);
    testing::run(5, async {
        let machine = Machine::open(&disk).await.unwrap();
        let first = machine.group(0).await.unwrap();
        let second = machine.group(1).await.unwrap();
        assert_eq!(made(&first, "a").await, 1);
        disk.fail_at(disk.io_count(), Fault::Io, false);
        let failed = first.propose(bucket("b")).await.unwrap_err();
        assert!(matches!(failed, GroupError::Stopped { .. }), "{failed}");
        disk.heal();
        let failed = second.propose(put("k", 1, Bytes::new())).await.unwrap_err();
        assert!(matches!(failed, GroupError::Stopped { .. }), "{failed}");
        assert!(first.figures().failure.is_some());
        // Reads of what was acknowledged go on, without the promise to be the newest.
        assert!(first.state().bucket("a").await.unwrap().is_some());
    });
}

/// H5: a state without its log is refused, not started anew.
#[test]
fn a_lost_log_is_noticed() {
    let disk = SimDisk::new(6);
    testing::run(6, async {
        let machine = Machine::open(&disk).await.unwrap();
        let group = machine.group(GROUP).await.unwrap();
        assert_eq!(made(&group, "a").await, 1);
        machine.keeper.keep().await.unwrap();
        group.shutdown().await;
        machine.close().await;

        let log = disk.reopen().directory("wal").await.unwrap();
        for name in log.list().await.unwrap() {
            log.remove(&name).await.unwrap();
        }
        log.sync().await.unwrap();
        let machine = Machine::open(&disk).await.unwrap();
        let refused = machine.group(GROUP).await.unwrap_err();
        assert!(matches!(refused, GroupError::Damaged { .. }), "{refused}");
    });
}

/// H9: a log that was purged further than the state reaches is refused.
#[test]
fn a_state_behind_the_purged_log_is_noticed() {
    testing::run(7, async {
        let machine = Machine::open(&SimDisk::new(7)).await.unwrap();
        let purged = LogId::new(LeaderId::new(1, 7), 10);
        let state = codec::encode_log_id(&purged);
        let log = &machine.storage.wal;
        wal::flushed(|done| log.purge(GROUP, 10, state, done)).await.unwrap();
        let refused = machine.group(GROUP).await.unwrap_err();
        assert!(matches!(refused, GroupError::Damaged { .. }), "{refused}");
    });
}

#[test]
fn what_was_acknowledged_is_in_the_next_read() {
    testing::run(8, async {
        let machine = Machine::open(&SimDisk::new(8)).await.unwrap();
        let group = machine.group(GROUP).await.unwrap();
        for number in 0..50 {
            let bytes = Bytes::from(vec![7; 100]);
            group.propose(put("k", number, bytes.clone())).await.unwrap();
            let object = group.object(1, "k").await.unwrap().unwrap();
            assert_eq!(object.etag, number.to_string());
        }
        assert_eq!(group.object(1, "j").await.unwrap(), None);
        group.shutdown().await;
        assert!(matches!(group.object(1, "k").await, Err(GroupError::Stopped { .. })));
    });
}

#[test]
fn a_replica_votes_alone_where_no_configuration_has_another() {
    let of = |configurations: &[&[u64]]| {
        let voters = configurations.iter().map(|voters| voters.iter().copied().collect()).collect();
        let nodes: BTreeMap<u64, Node> = (1..4).map(|id| (id, Node::default())).collect();
        is_only_voter(&Membership::new(voters, nodes).unwrap(), 1)
    };
    assert!(of(&[&[1]]) && of(&[&[1], &[1]]));
    for others in [&[&[1_u64, 2][..]][..], &[&[1], &[1, 2]], &[&[1, 2], &[1]], &[&[2]]] {
        assert!(!of(others), "{others:?}");
    }
    assert!(!is_only_voter(&Membership::default(), 1));
}
