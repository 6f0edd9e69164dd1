//! The real host: one pinned io_uring executor a shard.
//!
//! glommio is named in this file and its folder only: it is hardly maintained, so nothing else may lean on it.

#![expect(clippy::disallowed_types, reason = "this host is where the clock is read")]

mod files;
mod network;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{Future, poll_fn},
    net::SocketAddr,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

pub use files::{DmaDevice, DmaDirectory, DmaMemory};
use futures::future::LocalBoxFuture;
use glommio::{
    ExecutorJoinHandle, LocalExecutorBuilder, Placement,
    channels::shared_channel::{self, ConnectedSender, SharedReceiver, SharedSender},
};
pub use network::{TcpConnection, TcpListener};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{Host, Instant, WallTime};
use crate::mesh::Message;

/// Messages that may wait between two shards before the sender waits.
const MESH_QUEUE_COUNT_MAX: usize = 1024;
/// How long an idle shard polls before it parks: a round trip between shards takes 15 us instead of 83 us.
const SPIN_BEFORE_PARK: Duration = Duration::from_micros(50);
/// Registered I/O memory of a shard; what doesn't fit comes from the allocator.
const IO_MEMORY_BYTES: usize = 4 << 20;

/// Where the shards run.
#[derive(Clone, Debug)]
pub struct Cores {
    /// The CPUs that this process may use; shard *i* runs on `cpus[i % cpus.len()]`.
    pub cpus: Vec<usize>,
}

impl Cores {
    /// The CPUs that the process's affinity mask allows (taskset, cgroup cpusets, systemd's `CPUAffinity`).
    pub fn allowed() -> Self {
        let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0))
            .expect("the affinity mask of the calling process can always be read");
        let cpus = (0..nix::sched::CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false));
        Self { cpus: cpus.collect() }
    }
}

/// One shard's view of the machine.
#[derive(Clone)]
pub struct GlommioHost(Rc<Inner>);

struct Inner {
    shard: usize,
    started: std::time::Instant,
    random: RefCell<StdRng>,
    senders: Vec<Option<ConnectedSender<Message>>>,
    inbox: RefCell<VecDeque<Message>>,
    receiver: Cell<Option<Waker>>,
}

impl std::fmt::Debug for GlommioHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GlommioHost(shard {})", self.0.shard)
    }
}

/// Starts `shard_count` shards, each running `body` on its own pinned thread until it ends.
pub fn run_shards<B, F>(
    shard_count: usize,
    cores: &Cores,
    body: B,
) -> std::io::Result<Vec<ShardThread>>
where
    B: Fn(GlommioHost) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    let started = std::time::Instant::now();
    let mut ends = mesh(shard_count);
    let mut threads = Vec::with_capacity(shard_count);
    for shard in 0..shard_count {
        let (senders, receivers) = ends.remove(0);
        let body = body.clone();
        let handle =
            LocalExecutorBuilder::new(Placement::Fixed(cores.cpus[shard % cores.cpus.len()]))
                .name(&format!("shard-{shard}"))
                .spin_before_park(SPIN_BEFORE_PARK)
                .io_memory(IO_MEMORY_BYTES)
                .ring_depth(512)
                .spawn(move || async move {
                    let host = GlommioHost::connect_mesh(shard, started, senders, receivers).await;
                    super::install_runtime(&host);
                    body(host).await;
                })
                .map_err(std::io::Error::from)?;
        threads.push(ShardThread(handle));
    }
    Ok(threads)
}

/// Runs one future on an executor of its own, unpinned: for offline commands and tests.
pub fn run_alone<B, F, T>(body: B) -> std::io::Result<T>
where
    B: FnOnce(GlommioHost) -> F + Send + 'static,
    F: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let started = std::time::Instant::now();
    let handle = LocalExecutorBuilder::new(Placement::Unbound)
        .name("alone")
        .io_memory(IO_MEMORY_BYTES)
        .spawn(move || async move {
            let host = GlommioHost::connect_mesh(0, started, vec![None], vec![None]).await;
            super::install_runtime(&host);
            body(host).await
        })
        .map_err(std::io::Error::from)?;
    handle.join().map_err(std::io::Error::from)
}

/// Starts executors for openraft's own test suite.
#[derive(Clone, Copy, Debug)]
pub struct GlommioLauncher;

impl anode_shards::raft::runtime::Launcher for GlommioLauncher {
    fn launch(&self, task: LocalBoxFuture<'_, ()>) {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .io_memory(IO_MEMORY_BYTES)
            .make()
            .expect("the test machine allows io_uring");
        executor.run(async {
            let started = std::time::Instant::now();
            let host = GlommioHost::connect_mesh(0, started, vec![None], vec![None]).await;
            super::install_runtime(&host);
            task.await;
        });
    }
}

/// A running shard.
#[derive(Debug)]
pub struct ShardThread(ExecutorJoinHandle<()>);

impl ShardThread {
    /// Waits for the shard's body to end.
    pub fn join(self) -> std::io::Result<()> {
        self.0.join().map_err(std::io::Error::from)
    }
}

type MeshEnds = (Vec<Option<SharedSender<Message>>>, Vec<Option<SharedReceiver<Message>>>);

/// A channel from each shard to each other.
fn mesh(shard_count: usize) -> Vec<MeshEnds> {
    let mut ends: Vec<MeshEnds> = (0..shard_count)
        .map(|_| {
            ((0..shard_count).map(|_| None).collect(), (0..shard_count).map(|_| None).collect())
        })
        .collect();
    for source in 0..shard_count {
        for target in (0..shard_count).filter(|&target| target != source) {
            let (sender, receiver) = shared_channel::new_bounded(MESH_QUEUE_COUNT_MAX);
            ends[source].0[target] = Some(sender);
            ends[target].1[source] = Some(receiver);
        }
    }
    ends
}

impl GlommioHost {
    async fn connect_mesh(
        shard: usize,
        started: std::time::Instant,
        senders: Vec<Option<SharedSender<Message>>>,
        receivers: Vec<Option<SharedReceiver<Message>>>,
    ) -> Self {
        // Both ends wait for their peer to connect, so all of them connect at once.
        let senders = futures::future::join_all(senders.into_iter().map(|sender| async {
            match sender {
                Some(sender) => Some(sender.connect().await),
                None => None,
            }
        }));
        let receivers =
            futures::future::join_all(receivers.into_iter().flatten().map(SharedReceiver::connect));
        let (senders, receivers) = futures::future::join(senders, receivers).await;
        let host = Self(Rc::new(Inner {
            shard,
            started,
            random: RefCell::new(StdRng::from_seed(seed())),
            senders,
            inbox: RefCell::default(),
            receiver: Cell::default(),
        }));
        for receiver in receivers {
            let host = host.clone();
            glommio::spawn_local(async move {
                while let Some(message) = receiver.recv().await {
                    host.deliver(message);
                }
            })
            .detach();
        }
        host
    }

    fn deliver(&self, message: Message) {
        self.0.inbox.borrow_mut().push_back(message);
        if let Some(waker) = self.0.receiver.take() {
            waker.wake();
        }
    }
}

fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the kernel's random source is always there after boot");
    seed
}

impl Host for GlommioHost {
    type Directory = DmaDirectory;
    type Stream = TcpConnection;
    type Listener = TcpListener;

    fn shard(&self) -> usize {
        self.0.shard
    }

    fn shard_count(&self) -> usize {
        self.0.senders.len()
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.0.started.elapsed().as_nanos()).expect("below 584 years"))
    }

    #[expect(clippy::disallowed_types, reason = "the host is where clocks are read")]
    fn wall_clock(&self) -> WallTime {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        WallTime(u64::try_from(since.as_nanos()).expect("before the year 2554"))
    }

    fn random(&self) -> u64 {
        self.0.random.borrow_mut().random()
    }

    async fn sleep(&self, duration: Duration) {
        glommio::timer::sleep(duration).await;
    }

    fn spawn(&self, _name: &'static str, task: impl Future<Output = ()> + 'static) {
        glommio::spawn_local(task).detach();
    }

    async fn open(&self, path: &str) -> Result<DmaDirectory, anode_disk::Error> {
        DmaDirectory::open_volume(path).await
    }

    async fn listen(&self, address: SocketAddr) -> Result<TcpListener, anode_net::stream::Error> {
        TcpListener::bind(address)
    }

    async fn connect(
        &self,
        address: SocketAddr,
    ) -> Result<TcpConnection, anode_net::stream::Error> {
        TcpConnection::connect(address).await
    }

    async fn send(&self, shard: usize, message: Message) {
        match &self.0.senders[shard] {
            // A closed channel is a shard that has ended: the node is going down, nobody waits for this.
            Some(sender) => drop(sender.send(message).await),
            None => self.deliver(message),
        }
    }

    async fn receive(&self) -> Message {
        poll_fn(|context| {
            if let Some(message) = self.0.inbox.borrow_mut().pop_front() {
                return Poll::Ready(message);
            }
            self.0.receiver.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

/// What openraft's runtime asks of this host.
impl anode_shards::raft::runtime::Handle for GlommioHost {
    fn now(&self) -> u64 {
        Host::now(self).0
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        glommio::spawn_local(task).detach();
    }

    fn sleep(&self, nanos: u64) -> LocalBoxFuture<'static, ()> {
        Box::pin(async move {
            glommio::timer::sleep(Duration::from_nanos(nanos)).await;
        })
    }

    fn random(&self) -> u64 {
        Host::random(self)
    }
}

#[cfg(test)]
mod tests;
