//! The simulated host: one shard of a simulated node.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{Future, poll_fn},
    net::SocketAddr,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use anode_disk::testing::{SimDirectory, SimDisk, apart::apart};
use futures::future::LocalBoxFuture;

use super::{
    executor::{Owner, World},
    network::{Network, SimListener, SimStream},
};
use crate::{
    host::{Host, Instant, WallTime},
    mesh::Message,
};

/// The longest way of a message between two shards of a node, in nanoseconds.
const MESSAGE_NANOSECONDS_MAX: u64 = 50_000;

/// One shard's view of the simulated world.
#[derive(Clone)]
pub struct SimHost {
    world: World,
    network: Network,
    disk: SimDisk,
    owner: Owner,
    inboxes: Rc<[Inbox]>,
}

#[derive(Default)]
struct Inbox {
    messages: RefCell<VecDeque<(u64, Message)>>,
    waker: Cell<Option<Waker>>,
}

impl std::fmt::Debug for SimHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimHost({:?})", self.owner)
    }
}

impl SimHost {
    /// The hosts of a node's shards, freshly started.
    pub fn node(
        world: &World,
        network: &Network,
        disk: &SimDisk,
        node: usize,
        shard_count: usize,
    ) -> Vec<Self> {
        let inboxes: Rc<[Inbox]> = (0..shard_count).map(|_| Inbox::default()).collect();
        let host = |shard| Self {
            world: world.clone(),
            network: network.clone(),
            disk: disk.clone(),
            owner: Owner { node, shard },
            inboxes: Rc::clone(&inboxes),
        };
        (0..shard_count).map(host).collect()
    }

    /// The world it lives in.
    pub fn world(&self) -> &World {
        &self.world
    }
}

impl Host for SimHost {
    type Directory = SimDirectory;
    type Stream = SimStream;
    type Listener = SimListener;

    fn shard(&self) -> usize {
        self.owner.shard
    }

    fn shard_count(&self) -> usize {
        self.inboxes.len()
    }

    fn now(&self) -> Instant {
        Instant(self.world.now())
    }

    fn wall_clock(&self) -> WallTime {
        WallTime(self.world.wall_clock())
    }

    fn random(&self) -> u64 {
        self.world.random()
    }

    async fn sleep(&self, duration: Duration) {
        self.world.sleep(duration).await;
    }

    /// A simulated node has no process of its own.
    fn resident_bytes(&self) -> Option<u64> {
        None
    }

    fn spawn(&self, _name: &'static str, task: impl Future<Output = ()> + 'static) {
        self.world.spawn(self.owner, Box::pin(task));
    }

    async fn open(&self, path: &str) -> Result<SimDirectory, anode_disk::Error> {
        use anode_disk::Directory as _;
        let name = path.trim_matches('/').replace('/', "-");
        let directory = self.disk.root().directory(&name).await?;
        Ok(directory)
    }

    async fn listen(&self, address: SocketAddr) -> Result<SimListener, anode_net::stream::Error> {
        self.network.listen(self.owner, address)
    }

    /// The simulated network has no names.
    async fn resolve(
        &self,
        name: &str,
        _port: u16,
    ) -> Result<Vec<SocketAddr>, anode_net::stream::Error> {
        Err(anode_net::stream::Error::Closed(format!("nobody is called {name}")))
    }

    async fn connect(&self, address: SocketAddr) -> Result<SimStream, anode_net::stream::Error> {
        self.network.connect(self.owner, address).await
    }

    async fn send(&self, shard: usize, message: Message) {
        let inbox = &self.inboxes[shard];
        let earliest = inbox.messages.borrow().back().map_or(0, |(at, _)| *at);
        let at = self.world.now() + self.world.below(MESSAGE_NANOSECONDS_MAX);
        if shard != self.owner.shard {
            self.world.count_message();
        }
        apart(|| inbox.messages.borrow_mut().push_back((at.max(earliest), message)));
        if let Some(waker) = inbox.waker.take() {
            waker.wake();
        }
    }

    async fn receive(&self) -> Message {
        let inbox = &self.inboxes[self.owner.shard];
        loop {
            let at = poll_fn(|context| {
                if let Some((at, _)) = inbox.messages.borrow().front() {
                    return Poll::Ready(*at);
                }
                inbox.waker.set(Some(context.waker().clone()));
                Poll::Pending
            })
            .await;
            if at <= self.world.now() {
                let (_, message) =
                    inbox.messages.borrow_mut().pop_front().expect("it was just seen");
                return message;
            }
            self.world.sleep(Duration::from_nanos(at - self.world.now())).await;
        }
    }
}

/// What openraft's runtime asks of the simulated world: its answers depend on the task being polled.
#[derive(Debug)]
pub struct SimRuntime(pub World);

impl anode_shards::raft::runtime::Handle for SimRuntime {
    fn now(&self) -> u64 {
        self.0.now()
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.0.spawn(self.0.current(), task);
    }

    fn sleep(&self, nanos: u64) -> LocalBoxFuture<'static, ()> {
        Box::pin(self.0.sleep(Duration::from_nanos(nanos)))
    }

    fn random(&self) -> u64 {
        self.0.random()
    }
}

/// Starts worlds for openraft's own test suite.
#[derive(Clone, Copy, Debug)]
pub struct SimLauncher;

impl anode_shards::raft::runtime::Launcher for SimLauncher {
    fn launch(&self, task: LocalBoxFuture<'_, ()>) {
        let world = World::new(1);
        anode_shards::raft::runtime::install(Rc::new(SimRuntime(world.clone())));
        world.run(task);
    }
}

#[cfg(test)]
mod tests {
    use anode_shards::raft::runtime::{ShardRuntime, install_launcher};

    use super::*;

    #[test]
    fn openrafts_runtime_suite_passes() {
        install_launcher(Rc::new(SimLauncher));
        openraft_rt::testing::Suite::<ShardRuntime>::test_all();
    }
}
