use std::{cell::Cell, rc::Rc, sync::mpsc};

use anode_disk::{Device as _, Directory as _, Durability, Error, device::Fill};
use anode_net::Stream as _;
use anode_shards::raft::runtime::{ShardRuntime, install_launcher};

use bytes::{Bytes, BytesMut};

use super::*;
use crate::host::{Listener as _, within};

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

/// A node that nobody asked anything ended after some minutes: each time the poller woke up and fell asleep it left two
/// wakers with glommio, which counts up to 32,767.
#[test]
fn a_shard_may_wake_up_and_fall_asleep_without_end() {
    let wake_count = 17_000;
    run_alone(move |host| async move {
        for _ in 0..wake_count {
            host.0.uring.wake_submitter();
            // Longer than the poller watches before it sleeps again.
            host.sleep(Duration::from_micros(500)).await;
        }
    })
    .unwrap();
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

#[test]
fn connections_carry_more_than_their_sockets_hold() {
    const BYTES: usize = 32 << 20;
    run_alone(|host| async move {
        let listener = Host::listen(&host, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.address();
        let (sent, received) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0_usize)));
        let (client, is_sent) = (host.clone(), Rc::clone(&sent));
        host.spawn("client", async move {
            let mut stream = Host::connect(&client, address).await.unwrap();
            let parts =
                vec![Bytes::from(vec![1; BYTES - 5]), Bytes::new(), Bytes::from_static(b"after")];
            stream.write(parts).await.unwrap();
            is_sent.set(true);
            stream.shutdown().await.unwrap();
        });
        let mut stream = listener.accept().await.unwrap();
        // The socket fills: the sender waits, and nothing is lost.
        host.sleep(Duration::from_millis(50)).await;
        assert!(!sent.get(), "nobody reads yet");
        let mut target = BytesMut::new();
        let mut last = Bytes::new();
        while stream.read(&mut target, 64 << 10).await.unwrap() > 0 {
            received.set(received.get() + target.len());
            last = target.split().freeze();
        }
        assert_eq!(received.get(), BYTES);
        assert!(last.ends_with(b"after"));
    })
    .unwrap();
}

#[test]
fn a_wait_that_is_dropped_ends_and_leaves_the_connection_as_it_was() {
    run_alone(|host| async move {
        let listener = Host::listen(&host, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let mut client = Host::connect(&host, listener.address()).await.unwrap();
        let mut server = listener.accept().await.unwrap();
        let mut target = BytesMut::new();
        for round in 0..100_u8 {
            let read = within(&host, Duration::from_micros(50), server.read(&mut target, 10)).await;
            assert!(read.is_none(), "nothing was sent");
            client.write(vec![Bytes::copy_from_slice(&[round])]).await.unwrap();
            assert_eq!(server.read(&mut target, 10).await, Ok(1));
            assert_eq!(target.split().as_ref(), [round]);
        }
        // The dropped waits were cancelled: only what is waited for now is with the kernel.
        host.sleep(Duration::from_millis(5)).await;
        assert_eq!(host.0.uring.in_flight(), 0);
    })
    .unwrap();
}

#[test]
fn memory_lent_to_the_kernel_outlives_the_read_that_is_dropped() {
    let scratch = Scratch::new("dropped");
    let path = scratch.path();
    run_alone(move |host| async move {
        let root = host.open(&path).await.unwrap();
        let device = root.create("a", Fill::Zeros(1 << 20), Durability::AtSync).await.unwrap();
        for _ in 0..50 {
            let read = futures::FutureExt::now_or_never(device.read(0, 1 << 20));
            assert!(read.is_none(), "it was only begun");
        }
        assert!(host.0.uring.in_flight() >= 1);
        // The executor ends with reads in flight: the uring waits for them before it frees their memory.
    })
    .unwrap();
}

#[test]
fn messages_keep_their_order_through_a_full_queue() {
    const COUNT: u64 = 20_000;
    let (sender, receiver) = mpsc::channel();
    let threads = run_shards(2, &Cores::allowed(), move |host| {
        let sender = sender.clone();
        async move {
            if host.shard() == 0 {
                for version in 0..COUNT {
                    host.send(1, Message::Seen { version }).await;
                }
                return;
            }
            for expected in 0..COUNT {
                if expected == 0 {
                    // Long enough for the queue to fill.
                    host.sleep(Duration::from_millis(20)).await;
                }
                let Message::Seen { version } = host.receive().await else { return };
                assert_eq!(version, expected);
            }
            sender.send(()).unwrap();
        }
    })
    .unwrap();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(receiver.iter().count(), 1, "every message came");
}

#[test]
fn an_idle_shard_sleeps() {
    run_alone(|host| async move {
        let used =
            || nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
        host.sleep(Duration::from_millis(50)).await;
        let before = Duration::from(used());
        host.sleep(Duration::from_millis(500)).await;
        let spent = Duration::from(used()).saturating_sub(before);
        assert!(spent < Duration::from_millis(50), "an idle half second took {spent:?} of CPU");
    })
    .unwrap();
}

// glommio parks with tasks to run where its preempt timer has fired before its first look, as it does when the thread had
// to wait for the CPU: without the heartbeat these two hang, one run in some dozens on a machine with more to do.
#[test]
fn a_call_beside_the_shard_wakes_it_whenever_the_answer_comes() {
    const COUNT: u64 = 30_000;
    run_alone(|host| async move {
        for number in 0..COUNT {
            // Around the moment at which the shard falls asleep.
            let spins = (number % 97) * 40;
            let call = host.0.aside.call(move || {
                (0..spins).for_each(|_| std::hint::spin_loop());
                Ok(number)
            });
            assert_eq!(call.await.unwrap(), number);
        }
    })
    .unwrap();
}

#[test]
fn a_flush_wakes_the_shard_whenever_it_completes() {
    const COUNT: u64 = 3_000;
    let scratch = Scratch::new("flushes");
    let path = scratch.path();
    run_alone(move |host| async move {
        let root = host.open(&path).await.unwrap();
        let device = root.create("a", Fill::Zeros(1 << 20), Durability::AtSync).await.unwrap();
        for number in 0..COUNT {
            let offset = (number % 256) * 4096;
            let write = async {
                device.write(offset, device.buffer(4096)).await.unwrap();
                device.sync().await.unwrap();
                device.read(offset, 4096).await.unwrap();
            };
            write.await;
        }
    })
    .unwrap();
}

#[test]
fn a_shard_that_does_little_beats_slowly() {
    let second = Duration::from_secs(1);
    assert_eq!(next_beat(IDLE_RUNS_PER_SECOND_MAX, second), IDLE_HEARTBEAT);
    assert_eq!(next_beat(IDLE_RUNS_PER_SECOND_MAX + 1, second), HEARTBEAT);
    // The ticks of an idle shard come together; a busy one is known by less.
    assert_eq!(next_beat(15, IDLE_HEARTBEAT), IDLE_HEARTBEAT);
    assert_eq!(next_beat(15, HEARTBEAT), HEARTBEAT);
    assert_eq!(next_beat(0, Duration::ZERO), IDLE_HEARTBEAT);
}
