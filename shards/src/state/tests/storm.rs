//! An overwrite storm: keys that are written again and again take hardly more space than what is live.

use std::rc::Rc;

use anode_disk::{
    index::RESERVE_SEGMENTS,
    storage::StorageOptions,
    testing::{Random, SimDisk, block_on},
};
use futures::future::{join, join3};

use super::rig::Rig;
use crate::{
    command::{Reply, WriteCondition},
    keeper::{Keeper, KeeperOptions},
};

const ROUNDS: u64 = 50;
const SEGMENT_BYTES: u64 = 1 << 20;
const LIVE_BYTES: u64 = 4 << 20;

/// What is written in a round: objects of one size, 4 MiB together.
struct Storm {
    object_bytes: u64,
    random: Random,
    /// How many different contents there are, where not all differ.
    contents: Option<u64>,
}

impl Storm {
    /// Writes every key `ROUNDS` times, beside all upkeep; says how many bytes of segments there were at most.
    async fn rage(&mut self, rig: &Rig, disk: &SimDisk) -> u64 {
        let keys = LIVE_BYTES / self.object_bytes;
        let mut most = 0;
        for id in 0..ROUNDS * keys {
            rig.storage.index.room_in_segments().await;
            let key = format!("key-{}", self.random.below(keys));
            let mut random = match self.contents {
                Some(contents) => Random::new(self.random.below(contents)),
                None => Random::new(self.random.word()),
            };
            let bytes = random.bytes(usize::try_from(self.object_bytes).unwrap());
            let put = rig.put((1, &key), &bytes, WriteCondition::default(), id + 1).await;
            let reply = rig.propose(&put).await;
            assert!(matches!(reply, Reply::Stored(_)), "{reply:?}");
            if id % 8 == 0 {
                rig.reclaim().await;
            }
            most = most.max(segment_bytes(disk));
        }
        most
    }
}

fn segment_bytes(disk: &SimDisk) -> u64 {
    let files = disk.files();
    let segments = files.iter().filter(|(path, _)| path.contains("segment-"));
    segments.map(|(_, bytes)| bytes).sum()
}

fn storm(object_bytes: u64, contents: Option<u64>) {
    let seed = object_bytes;
    println!("seed {seed}");
    let disk = SimDisk::new(seed);
    let options = StorageOptions {
        memory_bytes: 8 << 20,
        segment_bytes: SEGMENT_BYTES,
        wal_segment_bytes: 1 << 18,
        ..StorageOptions::default()
    };
    block_on(async {
        let rig = Rig::start(&disk, options).await;
        let keeper_options = KeeperOptions { wal_bytes_max: 16 << 20 };
        let keeper = Keeper::new(Rc::clone(&rig.storage), Rc::clone(&rig.staging), keeper_options);
        let main = async {
            let mut storm = Storm { object_bytes, random: Random::new(seed), contents };
            let most = storm.rage(&rig, &disk).await;
            let live_bytes = contents.map_or(LIVE_BYTES, |contents| contents * object_bytes);
            let bound = live_bytes * 3 / 2 + RESERVE_SEGMENTS * SEGMENT_BYTES;
            assert!(most <= bound, "{most} bytes of segments for {live_bytes} that are live");
            keeper.stop();
            rig.storage.index.stop();
            rig.storage.wal.stop();
        };
        let upkeep = join(rig.storage.index.maintain(), keeper.run());
        let (committed, (maintained, kept), ()) = join3(rig.storage.wal.run(), upkeep, main).await;
        committed.and(maintained).and(kept).unwrap();
    });
}

#[test]
fn fifty_overwrites_of_chunks_stay_within_one_and_a_half_times_what_is_live() {
    storm(64 << 10, None);
}

#[test]
fn fifty_uploads_of_the_same_bytes_leave_one_copy_and_no_more_than_that_for_long() {
    storm(64 << 10, Some(4));
}
