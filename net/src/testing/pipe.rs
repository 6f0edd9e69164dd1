//! A connection in memory: [`pipe`] returns its two ends.
//!
//! Each direction is a [`Lane`]: a bounded queue of bytes with two ways to finish. *Ended*: the writer shut down or was
//! dropped; the reader drains what is queued and then reads 0. *Gone*: the reader was dropped, or the connection was
//! aborted; writes fail, and after an abort reads fail too and queued bytes are lost. Nothing here spawns, sleeps or
//! draws randomness: a waiting end is woken by what the other end does.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};

use crate::stream::{Error, Stream};

/// How a simulated connection behaves.
#[derive(Clone, Debug)]
pub struct PipeOptions {
    /// Bytes a direction holds before its writer waits; at least 1.
    pub capacity_bytes: usize,
    /// The most a single read returns, to make every split of the bytes happen; at least 1.
    pub read_bytes_max: usize,
    /// The address of the first end, as the second sees it.
    pub source: String,
    /// The address of the second end, as the first sees it.
    pub target: String,
}

impl Default for PipeOptions {
    fn default() -> Self {
        Self {
            capacity_bytes: 64 * 1024,
            read_bytes_max: usize::MAX,
            source: "simulated-source:0".to_owned(),
            target: "simulated-target:0".to_owned(),
        }
    }
}

/// The two ends of a connection with the default options.
pub fn pipe() -> (SimStream, SimStream) {
    pipe_with(&PipeOptions::default())
}

/// The two ends of a connection.
pub fn pipe_with(options: &PipeOptions) -> (SimStream, SimStream) {
    assert!(options.capacity_bytes > 0 && options.read_bytes_max > 0, "a pipe must let bytes pass");
    let forward = Lane::new(options.capacity_bytes);
    let back = Lane::new(options.capacity_bytes);
    let source = SimStream {
        incoming: Rc::clone(&back),
        outgoing: Rc::clone(&forward),
        read_bytes_max: options.read_bytes_max,
        peer: options.target.clone(),
    };
    let target = SimStream {
        incoming: forward,
        outgoing: back,
        read_bytes_max: options.read_bytes_max,
        peer: options.source.clone(),
    };
    (source, target)
}

/// One end of a simulated connection. Dropping it ends its sending half and makes the peer's writes fail.
pub struct SimStream {
    incoming: Rc<RefCell<Lane>>,
    outgoing: Rc<RefCell<Lane>>,
    read_bytes_max: usize,
    peer: String,
}

impl SimStream {
    /// A hold on the connection for whoever wants to break it while both ends are in use.
    pub fn cord(&self) -> Cord {
        Cord { lanes: [Rc::clone(&self.incoming), Rc::clone(&self.outgoing)] }
    }

    /// Resets the connection: both ends fail from now on, and bytes in flight are lost.
    pub fn abort(self) {
        self.cord().cut();
    }

    fn poll_read(
        &self,
        context: &Context<'_>,
        target: &mut BytesMut,
        length_max: usize,
    ) -> Poll<Result<usize, Error>> {
        let mut lane = self.incoming.borrow_mut();
        if lane.end == End::Aborted {
            return Poll::Ready(Err(reset()));
        }
        let length = lane.queue.len().min(length_max).min(self.read_bytes_max);
        if length > 0 {
            target.extend_from_slice(&lane.queue[..length]);
            lane.queue.advance(length);
            wake(&mut lane.writer);
            return Poll::Ready(Ok(length));
        }
        if lane.end == End::Ended || length_max == 0 {
            return Poll::Ready(Ok(0));
        }
        lane.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// Queues as much of `part` as fits and takes it off `part`; ready when nothing is left.
    fn poll_write(&self, context: &Context<'_>, part: &mut Bytes) -> Poll<Result<(), Error>> {
        let mut lane = self.outgoing.borrow_mut();
        let closed = match lane.end {
            End::Open => None,
            End::Ended => Some(Error::Closed("the sending half was shut down".to_owned())),
            End::ReaderGone => Some(Error::Closed("the peer is gone".to_owned())),
            End::Aborted => Some(reset()),
        };
        if let Some(error) = closed {
            return Poll::Ready(Err(error));
        }
        let room = lane.capacity_bytes.saturating_sub(lane.queue.len()).min(part.len());
        lane.queue.extend_from_slice(&part.split_to(room));
        if room > 0 {
            wake(&mut lane.reader);
        }
        if part.is_empty() {
            return Poll::Ready(Ok(()));
        }
        lane.writer = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Stream for SimStream {
    fn peer(&self) -> String {
        self.peer.clone()
    }

    async fn read(&mut self, target: &mut BytesMut, length_max: usize) -> Result<usize, Error> {
        poll_fn(|context| self.poll_read(context, target, length_max)).await
    }

    async fn write(&mut self, parts: Vec<Bytes>) -> Result<(), Error> {
        for mut part in parts {
            poll_fn(|context| self.poll_write(context, &mut part)).await?;
        }
        Ok(())
    }

    async fn shutdown(&mut self) -> Result<(), Error> {
        let mut lane = self.outgoing.borrow_mut();
        if lane.end == End::Aborted {
            return Err(reset());
        }
        lane.finish(End::Ended);
        Ok(())
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.outgoing.borrow_mut().finish(End::Ended);
        self.incoming.borrow_mut().finish(End::ReaderGone);
    }
}

impl fmt::Debug for SimStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStream").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// A hold on a connection that breaks it from outside.
#[derive(Clone)]
pub struct Cord {
    lanes: [Rc<RefCell<Lane>>; 2],
}

impl Cord {
    /// Resets the connection: both ends fail from now on, and bytes in flight are lost.
    pub fn cut(&self) {
        for lane in &self.lanes {
            let mut lane = lane.borrow_mut();
            lane.queue.clear();
            lane.finish(End::Aborted);
        }
    }
}

impl fmt::Debug for Cord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cord")
    }
}

/// What has become of a direction; a later one is the stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Open,
    Ended,
    ReaderGone,
    Aborted,
}

/// One direction.
struct Lane {
    queue: BytesMut,
    capacity_bytes: usize,
    end: End,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Lane {
    fn new(capacity_bytes: usize) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            queue: BytesMut::new(),
            capacity_bytes,
            end: End::Open,
            reader: None,
            writer: None,
        }))
    }

    fn finish(&mut self, end: End) {
        self.end = self.end.max(end);
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn reset() -> Error {
    Error::Closed("the connection was reset".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use futures::future::join;

    async fn read_all(stream: &mut SimStream) -> Vec<u8> {
        let mut all = BytesMut::new();
        while stream.read(&mut all, 1 << 20).await.expect("a clean end") > 0 {}
        all.to_vec()
    }

    #[test]
    fn bytes_arrive_in_order_through_a_buffer_smaller_than_they_are() {
        let options =
            PipeOptions { capacity_bytes: 7, read_bytes_max: 3, ..PipeOptions::default() };
        let (mut source, mut target) = pipe_with(&options);
        let sent: Vec<u8> = (0..=255).collect();
        let (head, tail) =
            (Bytes::copy_from_slice(&sent[..100]), Bytes::copy_from_slice(&sent[100..]));
        let write = async {
            source.write(vec![head, Bytes::new(), tail]).await.expect("written");
            source.shutdown().await.expect("ended");
        };
        let ((), received) = block_on(join(write, read_all(&mut target)));
        assert_eq!(received, sent);
    }

    #[test]
    fn half_close_leaves_the_other_direction_open() {
        let (mut source, mut target) = pipe();
        block_on(async {
            source.write(vec![Bytes::from_static(b"request")]).await.expect("written");
            source.shutdown().await.expect("ended");
            assert!(source.write(vec![Bytes::from_static(b"more")]).await.is_err());
            assert_eq!(read_all(&mut target).await, b"request");
            target.write(vec![Bytes::from_static(b"response")]).await.expect("written");
            drop(target);
            assert_eq!(read_all(&mut source).await, b"response");
        });
    }

    #[test]
    fn a_peer_that_is_gone_fails_a_waiting_write() {
        let options = PipeOptions { capacity_bytes: 1, ..PipeOptions::default() };
        let (mut source, target) = pipe_with(&options);
        let write = source.write(vec![Bytes::from_static(b"does not fit")]);
        let (written, ()) = block_on(join(write, async { drop(target) }));
        assert_eq!(written, Err(Error::Closed("the peer is gone".to_owned())));
    }

    #[test]
    fn a_cut_connection_fails_both_ends_and_loses_what_was_in_flight() {
        let (mut source, mut target) = pipe();
        let cord = source.cord();
        block_on(async {
            target.write(vec![Bytes::from_static(b"lost")]).await.expect("written");
            cord.cut();
            assert_eq!(source.read(&mut BytesMut::new(), 10).await, Err(reset()));
            assert_eq!(target.read(&mut BytesMut::new(), 10).await, Err(reset()));
            assert_eq!(target.write(vec![Bytes::from_static(b"x")]).await, Err(reset()));
        });
    }

    #[test]
    fn a_dropped_read_loses_nothing() {
        let (mut source, mut target) = pipe();
        let mut buffer = BytesMut::new();
        block_on(async {
            let waiting = target.read(&mut buffer, 10);
            futures::pin_mut!(waiting);
            assert!(futures::poll!(waiting.as_mut()).is_pending());
        });
        block_on(source.write(vec![Bytes::from_static(b"here")])).expect("written");
        assert_eq!(block_on(target.read(&mut buffer, 10)), Ok(4));
        assert_eq!(&buffer[..], b"here");
    }
}
