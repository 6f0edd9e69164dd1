//! The seam between Anode and the machine it runs on: clocks, randomness, tasks, files, connections, messages.
//!
//! A host is one shard's view of the world. The real one is `glommio.rs` beside this file, the simulated one
//! `src/sim`. No method has a default, so that neither can leak into the other.

pub mod glommio;

use std::{future::Future, net::SocketAddr, time::Duration};

use anode_disk::Directory;
use anode_net::Stream;
use anode_shards::raft::runtime::on_grid;

use crate::mesh::Message;

/// Nanoseconds on the host's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

/// Nanoseconds since 1970-01-01T00:00:00Z on the host's wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub u64);

/// Everything one shard may ask of the outside world.
#[expect(async_fn_in_trait, reason = "a shard is one thread; its futures are never Send")]
pub trait Host: Clone + 'static {
    /// A volume's files.
    type Directory: Directory;
    /// A connection.
    type Stream: Stream;
    /// Where connections come from.
    type Listener: Listener<Stream = Self::Stream>;

    /// Which shard of the node this is, from 0.
    fn shard(&self) -> usize;
    /// How many shards the node has.
    fn shard_count(&self) -> usize;
    /// Reads the monotonic clock.
    fn now(&self) -> Instant;
    /// Reads the wall clock.
    fn wall_clock(&self) -> WallTime;
    /// Draws from this shard's stream of randomness.
    fn random(&self) -> u64;
    /// Completes after `duration`.
    async fn sleep(&self, duration: Duration);
    /// Memory that the process has, in bytes, where the machine tells.
    fn resident_bytes(&self) -> Option<u64>;
    /// Starts a task on this shard; it runs until it ends.
    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + 'static);
    /// Opens a data directory; makes it where it is absent.
    async fn open(&self, path: &str) -> Result<Self::Directory, anode_disk::Error>;
    /// Listens; every shard of a node listens on the same address.
    async fn listen(&self, address: SocketAddr)
    -> Result<Self::Listener, anode_net::stream::Error>;
    /// Looks up where a host of the network is.
    async fn resolve(
        &self,
        name: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, anode_net::stream::Error>;
    /// Connects to a peer.
    async fn connect(&self, address: SocketAddr) -> Result<Self::Stream, anode_net::stream::Error>;
    /// Sends to a shard of this node; messages between two shards keep their order. Waits while the queue is full.
    async fn send(&self, shard: usize, message: Message);
    /// The next message to this shard.
    async fn receive(&self) -> Message;
}

/// A listening socket.
#[expect(async_fn_in_trait, reason = "a shard is one thread; its futures are never Send")]
pub trait Listener: 'static {
    /// What is accepted.
    type Stream: Stream;
    /// The address bound, with the real port.
    fn address(&self) -> SocketAddr;
    /// The next connection.
    async fn accept(&self) -> Result<Self::Stream, anode_net::stream::Error>;
}

/// Makes `host` what openraft's runtime on this thread runs on.
fn install_runtime(host: &(impl Host + anode_shards::raft::runtime::Handle)) {
    anode_shards::raft::runtime::install(std::rc::Rc::new(host.clone()));
}

/// Completes after `duration` or up to 100 ms later, together with others that doze: so they wake an idle shard once, not each by
/// itself. The runtime of the groups has theirs wait so, too ([`on_grid`]). What keeps to a rate sleeps.
pub async fn doze<H: Host>(host: &H, duration: Duration) {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    host.sleep(Duration::from_nanos(on_grid(host.now().0, nanos))).await;
}

/// Waits for `work` for `duration`, or a little longer ([`doze`]); `None` where it took longer, and then `work` is dropped.
pub async fn within<H: Host, T>(
    host: &H,
    duration: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let (work, sleep) = (std::pin::pin!(work), std::pin::pin!(doze(host, duration)));
    // `select` polls its first future first: work that is ready never loses to the clock.
    match futures::future::select(work, sleep).await {
        futures::future::Either::Left((value, _)) => Some(value),
        futures::future::Either::Right(((), _)) => None,
    }
}
