//! Writes on a volume that is short of space: they wait for a while, and are refused after it.

use std::time::Duration;

use anode_disk::storage::StorageOptions;
use bytes::Bytes;

use crate::{
    limits,
    sim::{
        client::Request,
        rig::{Rig, RigOptions},
    },
};

/// Less than any margin.
const FREE_BYTES: u64 = 100_000;

fn run(scenario: impl AsyncFnOnce(&mut Rig)) {
    let storage = StorageOptions {
        wal_segment_bytes: 1 << 18,
        segment_bytes: 2 << 20,
        ..StorageOptions::default()
    };
    Rig::run(RigOptions { memory_bytes: 20 << 20, scrub: None, storage }, scenario);
}

impl Rig {
    /// Has the volume run short of space, and its shard know it.
    async fn run_short(&self) {
        let disk = self.node.disk();
        let used_bytes: u64 = disk.files().iter().map(|(_, bytes)| *bytes).sum();
        disk.set_capacity(Some(used_bytes + FREE_BYTES));
        self.world.sleep(2 * limits::SPACE_POLL).await;
    }

    /// The status of a request, and how long its answer took.
    async fn timed(&mut self, method: &'static str, path: &str) -> (u16, Duration) {
        let before = self.world.now();
        let request = Request::new(method, path).body(Bytes::from_static(b"some bytes"));
        let answer = self.client.send(&request).await.unwrap();
        (answer.status, Duration::from_nanos(self.world.now() - before))
    }
}

#[test]
fn a_write_waits_for_space_that_comes_back() {
    run(async |rig| {
        rig.run_short().await;
        let (world, disk) = (rig.world.clone(), rig.node.disk().clone());
        let pause = limits::SHORT_GRACE / 2;
        let easing = async {
            world.sleep(pause).await;
            disk.set_capacity(None);
        };
        let ((status, took), ()) = futures::join!(rig.timed("PUT", "/bucket/key"), easing);
        assert_eq!(status, 200);
        assert!(took >= pause && took < limits::SHORT_GRACE, "{took:?}");
    });
}

#[test]
fn a_shortage_that_lasts_refuses_writes_at_once_until_it_ends() {
    run(async |rig| {
        rig.put("/bucket/old", b"old".to_vec()).await;
        rig.run_short().await;
        let (status, took) = rig.timed("PUT", "/bucket/key").await;
        assert_eq!(status, 507);
        assert!(took > limits::SHORT_GRACE / 2 && took < 2 * limits::SHORT_GRACE, "{took:?}");
        let (status, took) = rig.timed("PUT", "/bucket/key").await;
        assert_eq!(status, 507);
        assert!(took < limits::SPACE_POLL, "{took:?}");
        let (status, took) = rig.timed("DELETE", "/bucket/old").await;
        assert_eq!(status, 204);
        assert!(took < limits::SPACE_POLL, "{took:?}");
        rig.node.disk().set_capacity(None);
        rig.world.sleep(2 * limits::SPACE_POLL).await;
        assert_eq!(rig.timed("PUT", "/bucket/key").await.0, 200);
    });
}
