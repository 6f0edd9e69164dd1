//! A simulated network: byte streams with seeded delay and fragmentation, listeners by address.
//!
//! Bytes arrive in order after a delay, cut into pieces of any size, so that a parser sees every split. A crash of
//! a node ends its connections at once: what was under way to it is lost. It does not model loss and
//! retransmission (TCP hides them) nor congestion.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    net::SocketAddr,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use anode_disk::testing::apart::apart;
use anode_net::stream::{Error, Stream};
use bytes::{Buf as _, Bytes, BytesMut};

use super::executor::{Owner, World};
use crate::host::Listener;

/// The longest way of a piece of bytes, in nanoseconds.
const DELAY_NANOSECONDS_MAX: u64 = 200_000;
/// Bytes under way in one direction before the sender waits.
const WINDOW_BYTES_MAX: usize = 256 << 10;

type Listeners = BTreeMap<(SocketAddr, Owner), Rc<Backlog>>;
/// Each direction, with who reads it or writes it.
type Connections = Vec<(Owner, Rc<Direction>)>;

/// All listeners and connections.
#[derive(Clone)]
pub struct Network {
    world: World,
    listeners: Rc<RefCell<Listeners>>,
    connections: Rc<RefCell<Connections>>,
}

#[derive(Default)]
struct Backlog {
    waiting: RefCell<VecDeque<SimStream>>,
    waker: Cell<Option<Waker>>,
}

/// One direction of a connection.
#[derive(Default)]
struct Direction {
    under_way: RefCell<VecDeque<(u64, Bytes)>>,
    bytes: Cell<usize>,
    ended: Cell<bool>,
    aborted: Cell<bool>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
}

impl Direction {
    fn wake(&self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    fn abort(&self) {
        self.aborted.set(true);
        self.wake();
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Network({} listeners)", self.listeners.borrow().len())
    }
}

impl Network {
    /// A network without listeners.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), listeners: Rc::default(), connections: Rc::default() }
    }

    /// Listens; the shards of a node share an address.
    pub fn listen(&self, owner: Owner, address: SocketAddr) -> Result<SimListener, Error> {
        let mut listeners = self.listeners.borrow_mut();
        if listeners.keys().any(|(bound, holder)| *bound == address && holder.node != owner.node) {
            return Err(Error::Closed(format!("cannot listen on {address}: address in use")));
        }
        let backlog = Rc::new(Backlog::default());
        listeners.insert((address, owner), Rc::clone(&backlog));
        Ok(SimListener { address, backlog })
    }

    /// Connects to one of the shards that listen there, drawn from the seed.
    pub async fn connect(&self, owner: Owner, address: SocketAddr) -> Result<SimStream, Error> {
        self.world.sleep(Duration::from_nanos(self.world.below(DELAY_NANOSECONDS_MAX))).await;
        let (peer, backlog) = {
            let listeners = self.listeners.borrow();
            let found: Vec<_> =
                listeners.iter().filter(|((bound, _), _)| *bound == address).collect();
            if found.is_empty() {
                return Err(Error::Closed(format!("{address}: connection refused")));
            }
            let nth =
                usize::try_from(self.world.below(found.len() as u64)).expect("below a length");
            (found[nth].0.1, Rc::clone(found[nth].1))
        };
        let (there, back) = (Rc::new(Direction::default()), Rc::new(Direction::default()));
        self.connections.borrow_mut().extend(
            [owner, peer]
                .into_iter()
                .flat_map(|end| [(end, Rc::clone(&there)), (end, Rc::clone(&back))]),
        );
        let near = SimStream::new(&self.world, address.to_string(), &back, &there);
        let far = SimStream::new(&self.world, format!("client of {address}"), &there, &back);
        backlog.waiting.borrow_mut().push_back(far);
        if let Some(waker) = backlog.waker.take() {
            waker.wake();
        }
        Ok(near)
    }

    /// Ends every listener and connection of a node.
    pub fn drop_node(&self, node: usize) {
        self.listeners.borrow_mut().retain(|(_, owner), _| owner.node != node);
        let gone: Vec<Rc<Direction>> = {
            let mut connections = self.connections.borrow_mut();
            let gone = connections.iter().filter(|(owner, _)| owner.node == node);
            let gone = gone.map(|(_, direction)| Rc::clone(direction)).collect();
            connections
                .retain(|(owner, direction)| owner.node != node && Rc::strong_count(direction) > 2);
            gone
        };
        for direction in gone {
            direction.abort();
        }
    }
}

/// A listener of one shard.
pub struct SimListener {
    address: SocketAddr,
    backlog: Rc<Backlog>,
}

impl std::fmt::Debug for SimListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimListener({})", self.address)
    }
}

impl Listener for SimListener {
    type Stream = SimStream;

    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn accept(&self) -> Result<SimStream, Error> {
        poll_fn(|context| {
            if let Some(stream) = self.backlog.waiting.borrow_mut().pop_front() {
                return Poll::Ready(Ok(stream));
            }
            self.backlog.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

/// One end of a connection.
pub struct SimStream {
    world: World,
    peer: String,
    incoming: Rc<Direction>,
    outgoing: Rc<Direction>,
}

impl std::fmt::Debug for SimStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimStream({})", self.peer)
    }
}

impl SimStream {
    fn new(
        world: &World,
        peer: String,
        incoming: &Rc<Direction>,
        outgoing: &Rc<Direction>,
    ) -> Self {
        let (incoming, outgoing) = (Rc::clone(incoming), Rc::clone(outgoing));
        Self { world: world.clone(), peer, incoming, outgoing }
    }

    /// When the first piece under way is here, if there is one.
    fn arrival(&self) -> Option<u64> {
        self.incoming.under_way.borrow().front().map(|(at, _)| *at)
    }

    fn take(&self, target: &mut BytesMut, length_max: usize) -> usize {
        let mut under_way = self.incoming.under_way.borrow_mut();
        let (_, piece) = under_way.front_mut().expect("the caller saw it arrive");
        let length = piece.len().min(length_max);
        target.extend_from_slice(&piece[..length]);
        piece.advance(length);
        if piece.is_empty() {
            under_way.pop_front();
        }
        self.incoming.bytes.set(self.incoming.bytes.get() - length);
        if let Some(waker) = self.incoming.writer.take() {
            waker.wake();
        }
        length
    }

    /// Waits until bytes are under way to this end, or none will be.
    async fn stirred(&self) {
        let direction = &self.incoming;
        poll_fn(|context| {
            if direction.aborted.get() || direction.ended.get() || self.arrival().is_some() {
                return Poll::Ready(());
            }
            direction.reader.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    async fn send(&self, mut part: Bytes) -> Result<(), Error> {
        while !part.is_empty() {
            poll_fn(|context| {
                if self.outgoing.aborted.get() || self.outgoing.bytes.get() < WINDOW_BYTES_MAX {
                    return Poll::Ready(());
                }
                self.outgoing.writer.set(Some(context.waker().clone()));
                Poll::Pending
            })
            .await;
            if self.outgoing.aborted.get() {
                return Err(Error::Closed("connection reset by peer".to_owned()));
            }
            // One piece in three is cut at a drawn place, the rest go whole.
            let whole = part.len().min(WINDOW_BYTES_MAX);
            let cut = if self.world.below(3) == 0 {
                self.world.below(whole as u64) + 1
            } else {
                whole as u64
            };
            let cut = usize::try_from(cut).expect("at most a length");
            let piece = apart(|| part.split_to(cut));
            let mut under_way = self.outgoing.under_way.borrow_mut();
            let earliest = under_way.back().map_or(0, |(at, _)| *at);
            let at = self.world.now() + self.world.below(DELAY_NANOSECONDS_MAX);
            self.outgoing.bytes.set(self.outgoing.bytes.get() + piece.len());
            apart(|| under_way.push_back((at.max(earliest), piece)));
            drop(under_way);
            if let Some(waker) = self.outgoing.reader.take() {
                waker.wake();
            }
        }
        Ok(())
    }
}

impl Stream for SimStream {
    fn peer(&self) -> String {
        self.peer.clone()
    }

    async fn read(&mut self, target: &mut BytesMut, length_max: usize) -> Result<usize, Error> {
        loop {
            if self.incoming.aborted.get() {
                return Err(Error::Closed("connection reset by peer".to_owned()));
            }
            match self.arrival() {
                Some(at) if at <= self.world.now() => return Ok(self.take(target, length_max)),
                Some(at) => self.world.sleep(Duration::from_nanos(at - self.world.now())).await,
                None if self.incoming.ended.get() => return Ok(0),
                None => self.stirred().await,
            }
        }
    }

    async fn write(&mut self, parts: Vec<Bytes>) -> Result<(), Error> {
        if self.outgoing.ended.get() {
            return Err(Error::Closed("the sending half has ended".to_owned()));
        }
        for part in parts {
            self.send(part).await?;
        }
        Ok(())
    }

    async fn shutdown(&mut self) -> Result<(), Error> {
        self.outgoing.ended.set(true);
        self.outgoing.wake();
        Ok(())
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        // Like a closed socket: the peer reads what is under way and then the end; its writes fail.
        self.outgoing.ended.set(true);
        self.outgoing.wake();
        self.incoming.abort();
    }
}
