use std::{rc::Rc, sync::mpsc};

use anode_disk::{Device as _, Directory as _, Durability, Error, device::Fill};
use anode_shards::raft::runtime::{ShardRuntime, install_launcher};

use super::*;

/// A directory on the real file system, removed at the end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let base = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/scratch");
        let path = base.join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn openrafts_runtime_suite_passes() {
    install_launcher(Rc::new(GlommioLauncher));
    openraft_rt::testing::Suite::<ShardRuntime>::test_all();
}

#[test]
fn files_keep_what_is_written_by_direct_io() {
    let scratch = Scratch::new("files");
    let path = scratch.path();
    run_alone(move |host| async move {
        let root = host.open(&path).await.unwrap();
        let inner = root.directory("inner").await.unwrap();
        let device = inner.create("a", Fill::Zeros(16384), Durability::EachWrite).await.unwrap();
        assert_eq!(device.size(), 16384);
        let mut buffer = device.buffer(4096);
        buffer.fill(7);
        device.write(4096, buffer).await.unwrap();
        let read = device.read(0, 12288).await.unwrap();
        assert!(
            read[..4096].iter().all(|byte| *byte == 0)
                && read[8192..].iter().all(|byte| *byte == 0)
        );
        assert!(read[4096..8192].iter().all(|byte| *byte == 7));
        assert!(matches!(device.read(12288, 8192).await, Err(Error::Corrupt { .. })));
        let again = inner.create("a", Fill::Empty, Durability::AtSync).await;
        assert!(matches!(again, Err(Error::Exists { .. })));
        let grown = inner.create("b", Fill::Empty, Durability::AtSync).await.unwrap();
        grown.write(0, grown.buffer(8192)).await.unwrap();
        grown.sync().await.unwrap();
        assert_eq!(grown.size(), 8192);
        inner.rename("b", "c").await.unwrap();
        inner.sync().await.unwrap();
        assert_eq!(inner.list().await.unwrap(), ["a", "c"]);
        inner.remove("a").await.unwrap();
        assert!(matches!(inner.open("a", Durability::AtSync).await, Err(Error::Absent { .. })));
    })
    .unwrap();
}

#[test]
fn every_shard_has_its_own_thread_and_clock() {
    let (sender, receiver) = mpsc::channel();
    let cores = Cores::allowed();
    let threads = run_shards(3, &cores, move |host| {
        let sender = sender.clone();
        async move {
            let first = Host::now(&host);
            host.sleep(Duration::from_millis(1)).await;
            assert!(Host::now(&host) > first);
            sender.send((host.shard(), host.shard_count(), std::thread::current().id())).unwrap();
        }
    })
    .unwrap();
    for thread in threads {
        thread.join().unwrap();
    }
    let mut found: Vec<_> = receiver.iter().collect();
    found.sort_by_key(|(shard, ..)| *shard);
    assert_eq!(
        found.iter().map(|(shard, count, _)| (*shard, *count)).collect::<Vec<_>>(),
        [(0, 3), (1, 3), (2, 3)]
    );
    assert!(found[0].2 != found[1].2 && found[1].2 != found[2].2);
}
