//! A simulated node that scrubs: how fast, and what it says of damage.

use std::time::Duration;

use anode_disk::{checksum::crc32c, storage::StorageOptions, testing::SimDisk};

use super::ScrubPlan;
use crate::sim::{
    client::Request,
    rig::{Rig, RigOptions},
};

const RATE: u64 = 1 << 20;
const MARK: [u8; 16] = *b"a mark to find  ";

impl Rig {
    /// Some large objects, and so many small ones that the index is flushed and tables refer to all of them.
    async fn fill(&mut self) {
        // Numbered, so that no two chunks are equal and stored once.
        let numbered = |number: u64| [MARK.as_slice(), &number.to_le_bytes()].concat();
        self.put("/bucket/large", (0..133_000).flat_map(numbered).collect()).await;
        for number in 0..120 {
            self.put(&format!("/bucket/small-{number}"), vec![3; 32 << 10]).await;
        }
        self.world.sleep(Duration::from_secs(2)).await;
    }

    fn path_of(&self, part: &str) -> String {
        let files = self.node.disk().files();
        files.into_iter().map(|(path, _)| path).find(|path| path.contains(part)).unwrap()
    }

    /// The first mark of the large object: in which segment, at what offset.
    fn find_mark(&self) -> (String, usize) {
        let path = self.path_of("/segment-");
        let content = self.node.disk().bytes(&path);
        let at = content.windows(MARK.len()).position(|window| window == MARK).unwrap();
        (path, at)
    }

    /// What the node tells of damage, as soon as it does.
    async fn told(&self) -> String {
        loop {
            self.world.sleep(Duration::from_millis(100)).await;
            if let Some(told) = self.node.failure() {
                return told;
            }
        }
    }

    /// The last pass that ended, as it was saved: when it began and ended, in milliseconds, and its bytes.
    async fn ended_pass(&self) -> (u64, u64, u64) {
        loop {
            self.world.sleep(Duration::from_millis(10)).await;
            let files = self.node.disk().files();
            let Some((path, _)) = files.into_iter().find(|(path, _)| path.ends_with("/scrub"))
            else {
                continue;
            };
            let saved = self.node.disk().bytes(&path);
            let field = |slot: usize, at: usize| {
                let at = slot * 8192 + at;
                u64::from_le_bytes(saved[at..at + 8].try_into().unwrap())
            };
            let slot = usize::from(field(1, 16) > field(0, 16));
            let is_between = saved[slot * 8192 + 80] == 0;
            // Not one of before the store was filled.
            if is_between && field(slot, 56) > 5 << 20 {
                return (field(slot, 40), field(slot, 48), field(slot, 56));
            }
        }
    }
}

fn run(plan: ScrubPlan, scenario: impl AsyncFnOnce(&mut Rig)) {
    let storage = StorageOptions { wal_segment_bytes: 1 << 18, ..StorageOptions::default() };
    Rig::run(RigOptions { memory_bytes: 20 << 20, scrub: Some(plan), storage }, scenario);
}

#[test]
fn a_pass_reads_at_the_set_rate() {
    let plan = ScrubPlan { period: Duration::from_secs(1), rate_bytes_max: RATE };
    run(plan, async |rig| {
        rig.fill().await;
        let (began, ended, bytes) = rig.ended_pass().await;
        let milliseconds = ended - began;
        // The last piece isn't paid for any more: at most a chunk with its header, or a segment of the WAL.
        let least = (bytes - (2 << 20)) * 1000 / RATE;
        assert!(milliseconds >= least, "{bytes} bytes in {milliseconds} ms");
        assert!(milliseconds < bytes * 2000 / RATE, "{bytes} bytes in {milliseconds} ms");
        assert_eq!(rig.node.failure(), None);
    });
}

#[test]
fn damage_is_told_with_the_object_that_it_strikes_and_get_refuses_it() {
    let plan = ScrubPlan { period: Duration::from_secs(1), rate_bytes_max: 64 << 20 };
    run(plan, async |rig| {
        rig.fill().await;
        rig.ended_pass().await;
        assert_eq!(rig.node.failure(), None);
        let (path, at) = rig.find_mark();
        rig.node.disk().flip(&path, at as u64 + 1_500_000, 1);
        let told = rig.told().await;
        assert!(told.contains("object bucket/large, chunk "), "{told}");
        assert!(told.contains("segment-"), "{told}");
        let answer = rig.client.send(&Request::new("GET", "/bucket/large")).await;
        assert!(answer.is_err(), "no wrong bytes: the body ends early");
    });
}

/// Changes a byte of the data of the extent around an offset, and makes its checksums right again, by the table of
/// `docs/formats.md`.
fn forge(disk: &SimDisk, path: &str, within: usize) {
    let content = disk.bytes(path);
    let header_at = content[..within].windows(4).rposition(|window| window == b"AEXT").unwrap();
    let field = |at: usize| {
        let bytes = content[header_at + at..][..4].try_into().unwrap();
        usize::try_from(u32::from_le_bytes(bytes)).unwrap()
    };
    let (header_bytes, data_bytes) = (field(20), field(24));
    let mut data = content[header_at + header_bytes..][..data_bytes].to_vec();
    let (at, block) = (3 * 4096 + 17, 3);
    data[at] ^= 1;
    let mut header = content[header_at..][..header_bytes].to_vec();
    let sum = crc32c(&[&data[block * 4096..(block + 1) * 4096]]);
    header[32 + 4 * block..][..4].copy_from_slice(&sum.to_le_bytes());
    let sum = crc32c(&[&header[..8], &header[12..]]);
    header[8..12].copy_from_slice(&sum.to_le_bytes());
    disk.patch(path, header_at as u64, &[header, data].concat());
}

#[test]
fn a_chunk_with_right_checksums_and_other_bytes_than_its_name_says_is_told() {
    let plan = ScrubPlan { period: Duration::from_secs(1), rate_bytes_max: 64 << 20 };
    run(plan, async |rig| {
        rig.fill().await;
        rig.ended_pass().await;
        assert_eq!(rig.node.failure(), None);
        let (path, at) = rig.find_mark();
        forge(rig.node.disk(), &path, at + 200_000);
        let told = rig.told().await;
        assert!(told.contains("not those that their key names"), "{told}");
        assert!(told.contains("object bucket/large, chunk "), "{told}");
    });
}
