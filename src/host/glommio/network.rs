//! Connections over TCP.

use std::{io::IoSlice, net::SocketAddr, os::fd::AsRawFd, pin::Pin};

use anode_net::stream::{Error, Stream};
use bytes::{Buf as _, Bytes, BytesMut};
use futures::io::{AsyncReadExt as _, AsyncWriteExt as _};
use glommio::net;
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, SockaddrStorage, sendmsg},
};

use crate::host::Listener;

/// How many parts one system call sends.
const PARTS_MAX: usize = 64;

/// A listening socket; every shard binds its own to the same address, and the kernel spreads the connections.
#[derive(Debug)]
pub struct TcpListener {
    listener: net::TcpListener,
    address: SocketAddr,
}

/// One connection.
#[derive(Debug)]
pub struct TcpConnection {
    stream: net::TcpStream,
    peer: String,
}

impl TcpListener {
    pub(super) fn bind(address: SocketAddr) -> Result<Self, Error> {
        let listener = net::TcpListener::bind(address)
            .map_err(|error| Error::Closed(format!("cannot listen on {address}: {error}")))?;
        let address = listener.local_addr().map_err(closed)?;
        Ok(Self { listener, address })
    }
}

impl Listener for TcpListener {
    type Stream = TcpConnection;

    fn address(&self) -> SocketAddr {
        self.address
    }

    async fn accept(&self) -> Result<TcpConnection, Error> {
        let stream = self.listener.accept().await.map_err(closed)?;
        TcpConnection::new(stream)
    }
}

impl TcpConnection {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self, Error> {
        Self::new(net::TcpStream::connect(address).await.map_err(closed)?)
    }

    fn new(stream: net::TcpStream) -> Result<Self, Error> {
        // Without it, a small response waits 40 ms for the peer's delayed acknowledgement.
        stream.set_nodelay(true).map_err(closed)?;
        let peer = stream.peer_addr().map_err(closed)?.to_string();
        Ok(Self { stream, peer })
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
        let filled = target.len();
        target.resize(filled + length_max, 0);
        let read = ReadGuard { target, filled };
        let count =
            Pin::new(&mut self.stream).read(&mut read.target[filled..]).await.map_err(closed)?;
        let mut read = read;
        read.filled = filled + count;
        Ok(count)
    }

    async fn write(&mut self, mut parts: Vec<Bytes>) -> Result<(), Error> {
        parts.retain(|part| !part.is_empty());
        while !parts.is_empty() {
            let mut sent = self.send_now(&parts)?;
            if sent == 0 {
                // The socket is full: glommio waits for it and sends from the first part.
                sent = Pin::new(&mut self.stream).write(&parts[0]).await.map_err(closed)?;
            }
            advance(&mut parts, sent);
        }
        Ok(())
    }

    async fn shutdown(&mut self) -> Result<(), Error> {
        self.stream.shutdown(std::net::Shutdown::Write).await.map_err(closed)
    }
}

/// Cuts the target back to what was read, also where the read is dropped half-way.
struct ReadGuard<'a> {
    target: &'a mut BytesMut,
    filled: usize,
}

impl Drop for ReadGuard<'_> {
    fn drop(&mut self) {
        self.target.truncate(self.filled);
    }
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
