//! The real host: one pinned io_uring executor a shard.
//!
//! glommio is named in this file and its folder only: it is hardly maintained, so nothing else may lean on it. It gives
//! the threads, the tasks and the timers. Files and sockets are on a uring of the
//! shard's own (`uring`), which costs a fraction of the system calls; `poller` is the shard's turn between them.

#![expect(clippy::disallowed_types, reason = "this host is where the clock is read")]

mod aside;
mod files;
mod memory;
mod names;
mod network;
mod poller;
mod process;
mod uring;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{Future, poll_fn},
    net::SocketAddr,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use aside::Aside;
pub use files::{FileDevice, FileDirectory};
use futures::{SinkExt as _, channel::mpsc, future::LocalBoxFuture, lock::Mutex};
use glommio::{ExecutorJoinHandle, Latency, LocalExecutorBuilder, Placement, Shares};
pub use memory::Memory;
use names::Names;
pub use network::{TcpConnection, TcpListener};
use poller::{Counted, Poller};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use uring::Uring;

use super::{Host, Instant, WallTime};
use crate::mesh::Message;

/// Messages that may wait for one shard before their senders wait.
const MESH_QUEUE_COUNT_MAX: usize = 1024;
/// Memory that glommio registers for files; they are not on its rings, so as little as it takes.
const IO_MEMORY_BYTES: usize = 64 << 10;
/// How often a busy shard looks at its timers: the poller keeps the executor from its own rings in between.
const TICK: Duration = Duration::from_millis(10);
/// The tick of an executor before its first task has run; see [`HEARTBEAT`]. A thread doesn't wait that long for its CPU.
const FIRST_TICK: Duration = Duration::from_mins(1);
/// The longest that an executor sleeps. glommio takes a round in which its tick came before the first task for one in
/// which there was none, and sleeps with tasks to run: a thread that had to wait for the CPU for longer than its tick
/// would then sleep until something else wakes it, perhaps for ever.
const HEARTBEAT: Duration = Duration::from_millis(20);
/// The same for a shard that has next to nothing to do: an idle one wakes up for its timers as often ([`super::doze`]), and for
/// nothing else.
const IDLE_HEARTBEAT: Duration = Duration::from_millis(100);
/// A shard whose tasks run more often than this a second isn't idle. The ticks of its groups are some 150.
const IDLE_RUNS_PER_SECOND_MAX: u64 = 400;

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
    uring: Rc<Uring>,
    aside: Aside,
    names: Names,
    /// To each shard; a sender waits in line for the lock where the queue is full, so messages keep their order.
    senders: Vec<Mutex<mpsc::Sender<Message>>>,
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
    let (senders, receivers) = mesh(shard_count);
    let mut threads = Vec::with_capacity(shard_count);
    for (shard, receiver) in receivers.into_iter().enumerate() {
        let senders = senders.clone();
        let body = body.clone();
        let handle =
            LocalExecutorBuilder::new(Placement::Fixed(cores.cpus[shard % cores.cpus.len()]))
                .name(&format!("shard-{shard}"))
                .io_memory(IO_MEMORY_BYTES)
                .preempt_timer(FIRST_TICK)
                .spawn(move || {
                    ticking(async move {
                        let host = GlommioHost::new(shard, started, senders, receiver)
                            .expect("the start-up check has made a uring");
                        super::install_runtime(&host);
                        Counted::new(body(host)).await;
                    })
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
        .preempt_timer(FIRST_TICK)
        .spawn(move || {
            ticking(async move {
                let (senders, mut receivers) = mesh(1);
                let host = GlommioHost::new(0, started, senders, receivers.remove(0))?;
                super::install_runtime(&host);
                Ok(Counted::new(body(host)).await)
            })
        })
        .map_err(std::io::Error::from)?;
    handle.join().map_err(std::io::Error::from)?
}

/// Runs what an executor is for in a task queue that ticks every [`TICK`]; all that it spawns runs there, too.
async fn ticking<T: 'static>(body: impl Future<Output = T> + 'static) -> T {
    let queue =
        glommio::executor().create_task_queue(Shares::default(), Latency::Matters(TICK), "shard");
    glommio::spawn_local_into(body, queue).expect("the queue was made just now").await
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
            let (senders, mut receivers) = mesh(1);
            let host = GlommioHost::new(0, started, senders, receivers.remove(0))
                .expect("the test machine allows io_uring");
            super::install_runtime(&host);
            Counted::new(task).await;
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

/// The ways to every shard, in order.
type Senders = Vec<mpsc::Sender<Message>>;

/// A queue a shard: the ways to all of them, and where each takes its messages from.
fn mesh(shard_count: usize) -> (Senders, Vec<mpsc::Receiver<Message>>) {
    (0..shard_count).map(|_| mpsc::channel(MESH_QUEUE_COUNT_MAX)).unzip()
}

impl GlommioHost {
    /// The host of this thread, with its poller running.
    fn new(
        shard: usize,
        started: std::time::Instant,
        senders: Senders,
        receiver: mpsc::Receiver<Message>,
    ) -> std::io::Result<Self> {
        let inner = Rc::new(Inner {
            shard,
            started,
            random: RefCell::new(StdRng::from_seed(seed())),
            uring: Rc::new(Uring::new()?),
            aside: Aside::start(format!("aside-{shard}"))?,
            names: Names::default(),
            senders: senders.into_iter().map(Mutex::new).collect(),
            inbox: RefCell::default(),
            receiver: Cell::default(),
        });
        glommio::spawn_local(Rc::clone(&inner.uring).hear_bell()).detach();
        glommio::spawn_local(Poller::new(Rc::clone(&inner), receiver)).detach();
        glommio::spawn_local(heartbeat(Rc::clone(&inner))).detach();
        Ok(Self(inner))
    }
}

/// Ends every sleep of the executor in time; see [`HEARTBEAT`].
#[expect(clippy::infinite_loop, reason = "it ends with its executor")]
async fn heartbeat(inner: Rc<Inner>) {
    let (mut beat, mut seen_count) = (HEARTBEAT, poller::run_count());
    loop {
        let now = inner.now();
        // With the timers, not behind them by one round more.
        let nanos = u64::try_from(beat.as_nanos()).expect("a beat is short");
        glommio::timer::sleep(Duration::from_nanos(nanos - now.0 % nanos)).await;
        inner.uring.wake_submitter();
        let (count, slept) = (poller::run_count(), inner.now().0 - now.0);
        beat = next_beat(count.wrapping_sub(seen_count), Duration::from_nanos(slept));
        seen_count = count;
    }
}

/// How long to the next heartbeat, after so many runs of tasks in so long.
fn next_beat(run_count: u64, slept: Duration) -> Duration {
    let runs_max = u128::from(IDLE_RUNS_PER_SECOND_MAX) * slept.as_micros() / 1_000_000;
    if u128::from(run_count) > runs_max { HEARTBEAT } else { IDLE_HEARTBEAT }
}

impl Inner {
    fn now(&self) -> Instant {
        Instant(u64::try_from(self.started.elapsed().as_nanos()).expect("below 584 years"))
    }

    fn deliver(&self, message: Message) {
        self.inbox.borrow_mut().push_back(message);
        if let Some(waker) = self.receiver.take() {
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
    type Directory = FileDirectory;
    type Stream = TcpConnection;
    type Listener = TcpListener;

    fn shard(&self) -> usize {
        self.0.shard
    }

    fn shard_count(&self) -> usize {
        self.0.senders.len()
    }

    fn now(&self) -> Instant {
        self.0.now()
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

    fn resident_bytes(&self) -> Option<u64> {
        process::resident_bytes()
    }

    fn spawn(&self, _name: &'static str, task: impl Future<Output = ()> + 'static) {
        glommio::spawn_local(Counted::new(task)).detach();
    }

    async fn open(&self, path: &str) -> Result<FileDirectory, anode_disk::Error> {
        FileDirectory::open_volume(&self.0.uring, &self.0.aside, path).await
    }

    async fn listen(&self, address: SocketAddr) -> Result<TcpListener, anode_net::stream::Error> {
        TcpListener::bind(&self.0.uring, address)
    }

    async fn resolve(
        &self,
        name: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, anode_net::stream::Error> {
        self.0.names.resolve(self.0.shard, name, port).await
    }

    async fn connect(
        &self,
        address: SocketAddr,
    ) -> Result<TcpConnection, anode_net::stream::Error> {
        TcpConnection::connect(&self.0.uring, address).await
    }

    async fn send(&self, shard: usize, message: Message) {
        if shard == self.0.shard {
            return self.0.deliver(message);
        }
        // A closed queue is a shard that has ended: the node is going down, nobody waits for this.
        drop(self.0.senders[shard].lock().await.send(message).await);
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
        glommio::spawn_local(Counted::new(task)).detach();
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
