//! What reading an object costs the device, counted on a simulated node.

use std::time::Duration;

use anode_disk::storage::StorageOptions;
use anode_net::Stream as _;
use bytes::BytesMut;

use super::{Place, Room};
use crate::{
    limits,
    sim::{
        client::Request,
        rig::{Rig, RigOptions},
    },
};

const MIB: u64 = 1 << 20;
const BLOCK: u64 = 4096;
/// What says whose bytes an extent has: the checksums of a chunk's 256 blocks, and its key.
const HEADER: u64 = 4096;
/// Enough for [`limits::READ_AHEAD_COUNT_MAX`] chunks.
const MEMORY_BYTES: u64 = 256 << 20;

fn run(memory_bytes: u64, scenario: impl AsyncFnOnce(&mut Rig)) {
    let storage = StorageOptions::default();
    Rig::run(RigOptions { memory_bytes, scrub: None, storage }, scenario);
}

impl Rig {
    /// PUTs an object, and waits until what that leaves to be done is done: then reads can be counted.
    async fn settle(&mut self, path: &str, body: Vec<u8>) {
        self.put(path, body).await;
        self.world.sleep(Duration::from_secs(2)).await;
    }

    /// Device reads and their bytes of a GET that answers this many bytes.
    async fn cost(&mut self, path: &str, range: Option<&str>, bytes: u64) -> (u64, u64) {
        let mut request = Request::new("GET", path);
        if let Some(range) = range {
            request = request.header("range", format!("bytes={range}"));
        }
        let before = self.node.disk().reads();
        let answer = self.client.send(&request).await.unwrap();
        assert_eq!(answer.body.len() as u64, bytes);
        let after = self.node.disk().reads();
        (after.0 - before.0, after.1 - before.1)
    }
}

fn content(bytes: u64) -> Vec<u8> {
    (0..bytes).map(|position| (position / 5 % 251) as u8).collect()
}

#[test]
fn a_footer_costs_its_blocks_and_a_whole_object_its_bytes() {
    run(MEMORY_BYTES, async |rig| {
        rig.settle("/bucket/large", content(100 * MIB)).await;
        rig.settle("/bucket/chunk", content(MIB)).await;
        // A range that begins within a block ends in one more.
        for (range, rim) in
            [("-65536", 0), ("104726528-104792063", 0), ("1234567-1300102", 2 * BLOCK)]
        {
            let (_, bytes) = rig.cost("/bucket/large", Some(range), 65536).await;
            assert!(bytes <= 65536 + rim + HEADER + 65536 / 100, "{range}: {bytes} bytes");
        }
        let (reads, bytes) = rig.cost("/bucket/chunk", None, MIB).await;
        assert!(bytes <= MIB + MIB / 100, "{bytes} bytes");
        assert_eq!(reads, 1);
        let (reads, bytes) = rig.cost("/bucket/large", None, 100 * MIB).await;
        assert!(bytes <= 101 * MIB, "{bytes} bytes");
        assert_eq!(reads, 100);
    });
}

#[test]
fn an_object_of_less_than_a_chunk_is_kept_and_a_range_of_it_is_not() {
    run(MEMORY_BYTES, async |rig| {
        for (path, bytes) in [("/bucket/ranged", 100_000), ("/bucket/read", 100_001)] {
            rig.settle(path, content(bytes)).await;
        }
        for _again in 0..2 {
            let (_, bytes) = rig.cost("/bucket/ranged", Some("0-49999"), 50_000).await;
            assert!(bytes >= 50_000, "{bytes}");
        }
        let (_, bytes) = rig.cost("/bucket/read", None, 100_001).await;
        assert!(bytes >= 100_001, "{bytes}");
        assert_eq!(rig.cost("/bucket/read", None, 100_001).await, (0, 0));
        assert_eq!(rig.cost("/bucket/read", Some("7-8"), 2).await, (0, 0));
    });
}

#[test]
fn a_client_that_takes_much_is_read_ahead_of_and_one_that_takes_little_is_not() {
    run(MEMORY_BYTES, async |rig| {
        rig.settle("/bucket/large", content(40 * MIB)).await;
        let mut read = Vec::new();
        // Nothing is taken; a good part is taken.
        for taken in [0, 20 * MIB] {
            let before = rig.node.disk().reads().1;
            let request = Request::new("GET", "/bucket/large");
            let mut stream = rig.client.ask(&request).await.unwrap();
            let mut buffer = BytesMut::new();
            while (buffer.len() as u64) < taken {
                assert!(stream.read(&mut buffer, 128 << 10).await.unwrap() > 0);
            }
            rig.world.sleep(Duration::from_secs(1)).await;
            read.push((rig.node.disk().reads().1 - before).saturating_sub(taken) / MIB);
            drop(stream);
            rig.world.sleep(Duration::from_secs(1)).await;
        }
        let ahead = |count: usize| count as u64;
        assert!(read[0] <= ahead(limits::READ_AHEAD_COUNT_MIN) + 2, "{read:?}");
        assert!(read[1] >= ahead(limits::READ_AHEAD_COUNT_MAX) - 2, "{read:?}");
        assert!(read[1] <= ahead(limits::READ_AHEAD_COUNT_MAX) + 2, "{read:?}");
    });
}

#[test]
fn a_shard_without_memory_to_spare_reads_only_what_is_waited_for() {
    let room = Room::of(limits::READ_AHEAD_SHARE * 2 * MIB);
    let held: Vec<Place> = std::iter::from_fn(|| room.take()).collect();
    assert_eq!(held.len(), 2);
    drop(held);
    assert!(room.take().is_some(), "a place that is given back is taken again");
    // The least memory that a shard's storage works with is enough to read an object of many chunks.
    run(20 << 20, async |rig| {
        rig.settle("/bucket/large", content(8 * MIB)).await;
        let (reads, _) = rig.cost("/bucket/large", None, 8 * MIB).await;
        assert_eq!(reads, 8);
    });
}
