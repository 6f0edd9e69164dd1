//! The keeper bounds the WAL, whatever is written; and what was purged from the log is in the state.

use std::{cell::Cell, rc::Rc, time::Duration};

use anode_disk::{
    index::{Batch, Entry, Payload},
    testing::SimDisk,
};
use bytes::Bytes;
use openraft_rt::AsyncRuntime;

use super::{GROUP, etag, put};
use crate::raft::{
    runtime::ShardRuntime,
    testing::{self, Machine},
};

const CLIENTS: u64 = 64;
const KEYS: u64 = 500;

#[test]
fn the_log_stays_bounded_over_100_000_commands() {
    bounded(100_000, 1);
}

/// Whatever is held by a view stays on the volume, and so does all that is replaced later.
#[test]
fn a_group_that_does_not_purge_holds_no_view_after_the_round() {
    let disk = SimDisk::new(3);
    testing::run(3, async {
        let machine = Machine::open(&disk).await.unwrap();
        let group = machine.group(GROUP).await.unwrap();
        group.propose(put("key", 1, Bytes::new())).await.unwrap();
        group.shutdown().await;
        machine.keeper.keep().await.unwrap();
        assert!(group.figures().purged_index < group.figures().applied_index, "it has stopped");
        let index = &machine.storage.index;
        for number in 0..20 {
            let mut batch = Batch::default();
            let entry = Entry { value: Bytes::from(vec![number; 100]), payload: Payload::None };
            batch.put(Bytes::from_static(b"key"), entry);
            index.write(batch);
            drop(index.flush().await.unwrap());
        }
        ShardRuntime::sleep(Duration::from_secs(1)).await;
        assert!(index.figures().compactions > 0);
        assert_eq!(index.figures().retired_count, 0);
        machine.close().await;
    });
}

fn bounded(commands: u64, seed: u64) {
    let disk = SimDisk::new(seed);
    let held_max = Cell::new(0);
    testing::run(seed, async {
        let machine = Machine::open(&disk).await.unwrap();
        let group = machine.group(GROUP).await.unwrap();
        let next = Rc::new(Cell::new(0));
        let clients = (0..CLIENTS).map(|_| async {
            loop {
                let number = next.get();
                if number == commands {
                    return;
                }
                next.set(number + 1);
                let key = format!("key-{}", number % KEYS);
                group.propose(put(&key, number, Bytes::new())).await.unwrap();
                held_max.set(held_max.get().max(machine.storage.wal.bytes_held()));
            }
        });
        futures::future::join_all(clients).await;
        let written = machine.storage.wal.figures().bytes_written;
        let held = held_max.get();
        assert!(held <= 8 << 20 && written > 2 * held, "{held} of {written}");
        assert!(machine.keeper.figures().flush_count > 3);
        group.shutdown().await;
        machine.close().await;
    });
    testing::run(seed, async {
        let machine = Machine::open(&disk).await.unwrap();
        let group = machine.group(GROUP).await.unwrap();
        let figures = group.figures();
        assert!(figures.applied_index > Some(commands));
        for number in commands - KEYS..commands {
            let key = format!("key-{}", number % KEYS);
            assert_eq!(etag(&group, &key).await, Some(number));
        }
        // With the whole log purged, too.
        machine.keeper.keep().await.unwrap();
        assert_eq!(group.figures().purged_index, group.figures().applied_index);
        group.shutdown().await;
        machine.close().await;

        let machine = Machine::open(&disk).await.unwrap();
        let group = machine.group(GROUP).await.unwrap();
        assert_eq!(etag(&group, "key-1").await, Some(commands - KEYS + 1));
        let written = group.propose(put("key-1", 7, Bytes::new())).await;
        assert!(written.is_ok(), "{written:?}");
        assert_eq!(etag(&group, "key-1").await, Some(7));
    });
}
