//! A data segment whose file is gone: what was acknowledged is refused when it is read, and never forgotten.

use anode_disk::{
    Directory, Error,
    segment::Class,
    testing::{SimDirectory, SimDisk},
};
use bytes::Bytes;

use super::put;
use crate::{
    command::{Command, Reply},
    group::{Group, GroupError},
    object::{Body, BodyId, ContentId},
    raft::testing::{self, Machine},
    staging::Cut,
};

const GROUP: u32 = 1;
/// A quarter of a segment: what has three of them isn't thin, and stays where it is.
const BYTES: usize = 1 << 20;

/// Writes an object whose bytes are one chunk: all of them `fill`, which also is the name of them.
async fn write(machine: &Machine, group: &Group<SimDirectory>, key: &str, body: u128, fill: u8) {
    let Command::PutObject(mut command) = put(key, 1, Bytes::new()) else {
        unreachable!("it is a put")
    };
    let (body, content) = (BodyId(body), ContentId([fill; 32]));
    let data = Bytes::from(vec![fill; BYTES]);
    machine
        .staging
        .stage(GROUP, body, Cut { number: 0, content, class: Class::OWN, data })
        .await
        .unwrap();
    machine.staging.settle(GROUP, body).await.unwrap();
    (command.object.body, command.object.size) = (Body::Whole(body), BYTES as u64);
    command.contents = vec![content];
    let reply = group.propose(Command::PutObject(command)).await.unwrap();
    assert!(matches!(reply, Reply::Stored(_)), "{reply:?}");
}

async fn read(group: &Group<SimDirectory>, body: u128) -> Result<Bytes, GroupError> {
    group.chunk(BodyId(body), 0, 0..u32::try_from(BYTES).unwrap()).await
}

fn is_lost(read: &Result<Bytes, GroupError>) -> bool {
    let Err(GroupError::Storage { source: Error::Corrupt { location, .. }, .. }) = read else {
        return false;
    };
    location.contains("segment-")
}

/// A stopped machine without its newest segment. `body` 1 is flushed in an older one; 2 has bytes of its own, and 3 those of
/// 1 again, both in the newest. Whether the tables know of these is up to `is_flushed`.
async fn without_newest_segment(seed: u64, is_flushed: bool) -> SimDisk {
    let disk = SimDisk::new(seed);
    let mut machine = Machine::open(&disk).await.unwrap();
    for life in 0..2 {
        let group = machine.group(GROUP).await.unwrap();
        if life == 0 {
            write(&machine, &group, "first", 1, 7).await;
            write(&machine, &group, "second", 11, 11).await;
            write(&machine, &group, "third", 12, 12).await;
            machine.keeper.keep().await.unwrap();
        } else {
            write(&machine, &group, "own", 2, 8).await;
            if is_flushed {
                machine.keeper.keep().await.unwrap();
            } else {
                // The same bytes once more: the copy of the log alone is the worse one.
                write(&machine, &group, "again", 3, 7).await;
            }
        }
        group.shutdown().await;
        machine.close().await;
        machine = Machine::open(&disk).await.unwrap();
    }
    machine.close().await;
    let segments = disk.reopen().directory("segments").await.unwrap();
    let newest = segments.list().await.unwrap().into_iter().max().unwrap();
    segments.remove(&newest).await.unwrap();
    segments.sync().await.unwrap();
    disk
}

#[test]
fn what_was_acknowledged_in_a_lost_segment_is_refused_and_the_rest_is_served() {
    for is_flushed in [true, false] {
        testing::run(11, async {
            let disk = without_newest_segment(11, is_flushed).await;
            for life in 0..2 {
                let machine = Machine::open(&disk).await.unwrap();
                let group = machine.group(GROUP).await.unwrap();
                let there = group.object(1, "own").await.unwrap();
                assert!(there.is_some(), "the acknowledged object is forgotten in life {life}");
                let lost = read(&group, 2).await;
                assert!(is_lost(&lost), "flushed {is_flushed}, life {life}: {lost:?}");
                assert_eq!(read(&group, 1).await.unwrap(), vec![7; BYTES]);
                if !is_flushed {
                    // A copy that is there isn't replaced by one that is lost.
                    assert_eq!(read(&group, 3).await.unwrap(), vec![7; BYTES]);
                }
                // From here on the tables refer to it.
                machine.keeper.keep().await.unwrap();
                assert!(is_lost(&read(&group, 2).await));
                group.shutdown().await;
                machine.close().await;
            }
            // What is written again is whole again.
            let machine = Machine::open(&disk).await.unwrap();
            let group = machine.group(GROUP).await.unwrap();
            write(&machine, &group, "own", 4, 8).await;
            assert_eq!(read(&group, 4).await.unwrap(), vec![8; BYTES]);
            machine.keeper.keep().await.unwrap();
            assert_eq!(read(&group, 4).await.unwrap(), vec![8; BYTES]);
            group.shutdown().await;
            machine.close().await;
        });
    }
}
