//! One connection: a request out, a response in, never blocking once it is open.

use std::io::{self, ErrorKind, IoSlice, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use crate::content::Content;
use crate::request::Request;
use crate::response::{Answer, Reader};

/// Pieces that one system call sends: a head, and a body that may wrap around the pool.
const SLICE_COUNT: usize = 4;
/// How long opening a connection may take.
const CONNECT_SECONDS_MAX: u64 = 5;

/// A connection with at most one request under way.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// To be written by the author, then sent by [`Connection::start`].
    pub(crate) request: Request,
    sent_bytes: u64,
    reader: Reader,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let (request, reader) = (Request::new(), Reader::new());
        Ok(Self { stream: connect(address)?, request, sent_bytes: 0, reader })
    }

    /// The socket, to be watched.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Opens another socket in the place of this one.
    pub(crate) fn reopen(&mut self, address: SocketAddr) -> io::Result<()> {
        self.stream = connect(address)?;
        self.reader.reset();
        Ok(())
    }

    /// Begins to send the request that was written.
    pub(crate) fn start(&mut self, content: &Content) -> io::Result<()> {
        self.sent_bytes = 0;
        self.reader.expect(self.request.method, self.request.sink);
        self.send(content)
    }

    /// Sends and receives what goes without waiting. `scratch` is where bytes pass through.
    pub(crate) fn drive(
        &mut self,
        content: &Content,
        scratch: &mut [u8],
    ) -> io::Result<Option<Answer>> {
        if self.sent_bytes < self.request_bytes()
            && let Err(error) = self.send(content)
            // A server that refuses a body may answer and close: the answer says more than the broken pipe.
            && !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
        {
            return Err(error);
        }
        loop {
            let appetite = self.reader.appetite(scratch.len());
            let space = &mut scratch[..appetite.length];
            // tcp(7): with MSG_TRUNC the received bytes are dropped, not copied.
            let flags = if appetite.blind { MsgFlags::MSG_TRUNC } else { MsgFlags::empty() };
            let count = match recv(self.stream.as_raw_fd(), space, flags) {
                Ok(0) => {
                    let message = "the server closed the connection without an answer";
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, message));
                }
                Ok(count) => count,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            if let Some(answer) = self.reader.take(&space[..count], content)? {
                return Ok(Some(answer));
            }
            // epoll(7): a short read has emptied the socket; more bytes are another edge.
            if count < appetite.length {
                return Ok(None);
            }
        }
    }

    /// Can another request be sent after this answer?
    pub(crate) fn is_reusable(&self, answer: &Answer) -> bool {
        answer.response.keep_alive() && self.sent_bytes == self.request_bytes()
    }

    /// Has the server closed the idle connection?
    pub(crate) fn is_closed(&self) -> bool {
        let mut byte = [0];
        let peeked = recv(self.stream.as_raw_fd(), &mut byte, MsgFlags::MSG_PEEK);
        !matches!(peeked, Err(Errno::EAGAIN | Errno::EINTR))
    }

    fn request_bytes(&self) -> u64 {
        self.request.head.len() as u64 + self.request.body.length
    }

    fn send(&mut self, content: &Content) -> io::Result<()> {
        let head_bytes = self.request.head.len() as u64;
        while self.sent_bytes < self.request_bytes() {
            let mut slices = [IoSlice::new(&[]); SLICE_COUNT];
            let mut count = 0;
            if self.sent_bytes < head_bytes {
                let sent = usize::try_from(self.sent_bytes).expect("below the head's length");
                slices[0] = IoSlice::new(&self.request.head[sent..]);
                count = 1;
            }
            let skipped = self.sent_bytes.saturating_sub(head_bytes);
            count += content.slices(self.request.body, skipped, &mut slices[count..]);
            match self.stream.write_vectored(&slices[..count]) {
                Ok(sent) => self.sent_bytes += sent as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(CONNECT_SECONDS_MAX))?;
    // Without it, a small request may wait 40 ms for the server's delayed acknowledgement.
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
