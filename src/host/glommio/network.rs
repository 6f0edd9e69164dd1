//! Connections over TCP: tried at once, and waited for on the shard's uring where the kernel has nothing yet.

use std::{
    cell::RefCell,
    io::{ErrorKind, IoSlice, Read as _},
    net::SocketAddr,
    os::fd::{AsRawFd as _, OwnedFd},
    rc::Rc,
};

use anode_net::stream::{Error, Stream};
use bytes::{Buf as _, Bytes, BytesMut};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, Backlog, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind,
        connect, listen, sendmsg, setsockopt, socket, sockopt,
    },
};

use super::uring::{Descriptor, Readiness, Uring};
use crate::host::Listener;

/// How many parts one system call sends.
const PARTS_MAX: usize = 64;
/// Connections that the kernel completes before they are accepted.
const BACKLOG_COUNT: i32 = 1024;
/// What one system call receives at most, in bytes.
const RECEIVE_BYTES_MAX: usize = 128 << 10;

thread_local! {
    /// Where bytes are received before it is known how many there are: one a shard, not one a connection.
    static RECEIVED: RefCell<Vec<u8>> = RefCell::new(vec![0; RECEIVE_BYTES_MAX]);
}

/// A listening socket; every shard binds its own to the same address, and the kernel spreads the connections.
#[derive(Debug)]
pub struct TcpListener {
    listener: Rc<std::net::TcpListener>,
    uring: Rc<Uring>,
    address: SocketAddr,
}

/// One connection.
#[derive(Debug)]
pub struct TcpConnection {
    stream: Rc<std::net::TcpStream>,
    uring: Rc<Uring>,
    peer: String,
    /// Whether the last read took all it was to: there is more at once, most likely.
    more: bool,
}

impl TcpListener {
    pub(super) fn bind(uring: &Rc<Uring>, address: SocketAddr) -> Result<Self, Error> {
        let bound = || -> std::io::Result<std::net::TcpListener> {
            let socket = open(address)?;
            // A node that starts again takes its address at once, and every shard has a socket on it.
            setsockopt(&socket, sockopt::ReuseAddr, &true)?;
            setsockopt(&socket, sockopt::ReusePort, &true)?;
            bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
            listen(&socket, Backlog::new(BACKLOG_COUNT)?)?;
            Ok(socket.into())
        };
        let listener = bound()
            .map_err(|error| Error::Closed(format!("cannot listen on {address}: {error}")))?;
        let address = listener.local_addr().map_err(closed)?;
        Ok(Self { listener: Rc::new(listener), uring: Rc::clone(uring), address })
    }
}

impl Listener for TcpListener {
    type Stream = TcpConnection;

    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn accept(&self) -> Result<TcpConnection, Error> {
        loop {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(true).map_err(closed)?;
                    return TcpConnection::new(&self.uring, stream, peer);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let listener: Descriptor = Rc::<std::net::TcpListener>::clone(&self.listener);
                    wait(&self.uring, &listener, Readiness::Readable).await?;
                }
                // The peer went away before it was accepted.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => return Err(closed(error)),
            }
        }
    }
}

impl TcpConnection {
    pub(super) async fn connect(uring: &Rc<Uring>, address: SocketAddr) -> Result<Self, Error> {
        let socket = open(address).map_err(closed)?;
        let begun = connect(socket.as_raw_fd(), &SockaddrStorage::from(address));
        let connection = Self::new(uring, std::net::TcpStream::from(socket), address)?;
        match begun {
            Ok(()) => Ok(connection),
            Err(Errno::EINPROGRESS) => {
                wait(uring, &connection.descriptor(), Readiness::Writable).await?;
                match connection.stream.take_error().map_err(closed)? {
                    None => Ok(connection),
                    Some(error) => Err(closed(error)),
                }
            }
            Err(errno) => Err(closed(errno)),
        }
    }

    fn new(
        uring: &Rc<Uring>,
        stream: std::net::TcpStream,
        peer: SocketAddr,
    ) -> Result<Self, Error> {
        // Without it, a small response waits 40 ms for the peer's delayed acknowledgement.
        stream.set_nodelay(true).map_err(closed)?;
        let (uring, peer) = (Rc::clone(uring), peer.to_string());
        Ok(Self { stream: Rc::new(stream), uring, peer, more: false })
    }

    fn descriptor(&self) -> Descriptor {
        Rc::<std::net::TcpStream>::clone(&self.stream)
    }

    /// Takes what has arrived; `None` where nothing has.
    fn receive_now(
        &mut self,
        target: &mut BytesMut,
        length_max: usize,
    ) -> Result<Option<usize>, Error> {
        let length_max = length_max.min(RECEIVE_BYTES_MAX);
        RECEIVED.with_borrow_mut(|received| {
            loop {
                match (&*self.stream).read(&mut received[..length_max]) {
                    Ok(count) => {
                        target.extend_from_slice(&received[..count]);
                        self.more = count == length_max;
                        return Ok(Some(count));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(closed(error)),
                }
            }
        })
    }

    /// Sends as much as the socket takes at once; 0 where it takes nothing now.
    fn send_now(&self, parts: &[Bytes]) -> Result<usize, Error> {
        let slices: Vec<IoSlice<'_>> =
            parts.iter().take(PARTS_MAX).map(|part| IoSlice::new(part)).collect();
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match sendmsg::<SockaddrStorage>(self.stream.as_raw_fd(), &slices, &[], flags, None) {
            Ok(sent) => Ok(sent),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(errno) => Err(Error::Closed(errno.to_string())),
        }
    }
}

impl Stream for TcpConnection {
    fn peer(&self) -> String {
        self.peer.clone()
    }

    async fn read(&mut self, target: &mut BytesMut, length_max: usize) -> Result<usize, Error> {
        // A client that waits for its answer has sent nothing more: to look would be a system call for nothing.
        if !std::mem::take(&mut self.more) {
            wait(&self.uring, &self.descriptor(), Readiness::Readable).await?;
        }
        loop {
            if let Some(count) = self.receive_now(target, length_max)? {
                return Ok(count);
            }
            wait(&self.uring, &self.descriptor(), Readiness::Readable).await?;
        }
    }

    async fn write(&mut self, mut parts: Vec<Bytes>) -> Result<(), Error> {
        parts.retain(|part| !part.is_empty());
        while !parts.is_empty() {
            let sent = self.send_now(&parts)?;
            if sent == 0 {
                wait(&self.uring, &self.descriptor(), Readiness::Writable).await?;
            }
            advance(&mut parts, sent);
        }
        Ok(())
    }

    async fn shutdown(&mut self) -> Result<(), Error> {
        self.stream.shutdown(std::net::Shutdown::Write).map_err(closed)
    }
}

/// A socket for this kind of address that never blocks.
fn open(address: SocketAddr) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    socket(family, SockType::Stream, flags, SockProtocol::Tcp)
}

async fn wait(uring: &Rc<Uring>, socket: &Descriptor, readiness: Readiness) -> Result<(), Error> {
    uring.ready(socket, readiness).await.result.map(drop).map_err(closed)
}

fn advance(parts: &mut Vec<Bytes>, mut sent: usize) {
    let mut whole = 0;
    for part in parts.iter_mut() {
        let step = sent.min(part.len());
        part.advance(step);
        sent -= step;
        if !part.is_empty() {
            break;
        }
        whole += 1;
    }
    parts.drain(..whole);
}

fn closed(error: impl std::fmt::Display) -> Error {
    Error::Closed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_advance_over_their_edges() {
        let whole = b"abcdefgh";
        for sent in 0..=8 {
            let mut parts = vec![
                Bytes::from_static(b"abc"),
                Bytes::from_static(b"d"),
                Bytes::from_static(b"efgh"),
            ];
            advance(&mut parts, sent);
            assert_eq!(parts.concat(), whole[sent..], "after {sent} bytes");
            assert!(parts.iter().all(|part| !part.is_empty()), "after {sent} bytes");
        }
    }
}
