//! Takes one response apart, with as little copied and kept as its use allows.

use std::io::{self, ErrorKind};

use anode_net::http::client::{Response, parse_response};
use anode_net::http::{BodyDecoder, BodyLength, Decoded, Method, Refusal};
use bytes::{Buf as _, BytesMut};

use crate::content::{Content, Span};
use crate::listing::is_page;

/// Of a body that is kept, in bytes: a page of 1,000 long keys fits.
const KEPT_BYTES_MAX: usize = 8 << 20;
/// What a read takes before the head is known, in bytes: a small response whole, little of a large one.
const HEAD_READ_BYTES: usize = 16 << 10;

/// What is to become of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Only its length counts.
    Drop,
    /// It is read by [`Answer::element`].
    Keep,
    /// It must be these bytes.
    Compare(Span),
    /// There is none (HEAD), and `content-length` must be this.
    Length(u64),
    /// It must be a listing: keys that follow each other.
    Listing,
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    /// The body where it was to be kept, or says what was wrong.
    pub(crate) body: Vec<u8>,
    /// The body's length.
    pub(crate) body_bytes: u64,
    /// Was the body what its sink asked for?
    pub(crate) matches: bool,
}

/// A response on its way in. One buffer serves all responses of a connection.
#[derive(Debug)]
pub(crate) struct Reader {
    buffer: BytesMut,
    state: State,
    method: Method,
    sink: Sink,
    kept: Vec<u8>,
    body_bytes: u64,
    matches: bool,
}

#[derive(Debug)]
enum State {
    Head,
    Sized { response: Response, left: u64 },
    Chunked { response: Response, decoder: BodyDecoder },
}

/// What the next read may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appetite {
    /// At most so many bytes.
    pub(crate) length: usize,
    /// Nobody looks at the bytes: the kernel may drop them.
    pub(crate) blind: bool,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            buffer: BytesMut::with_capacity(HEAD_READ_BYTES),
            state: State::Head,
            method: Method::Get,
            sink: Sink::Drop,
            kept: Vec::new(),
            body_bytes: 0,
            matches: true,
        }
    }

    /// The response to a request of this method comes next.
    pub(crate) fn expect(&mut self, method: Method, sink: Sink) {
        debug_assert!(matches!(self.state, State::Head), "one response at a time");
        (self.method, self.sink) = (method, sink);
        self.kept.clear();
        self.body_bytes = 0;
        self.matches = true;
    }

    /// Forgets what came, for another connection.
    pub(crate) fn reset(&mut self) {
        self.buffer.clear();
        self.state = State::Head;
    }

    /// How the next read into `space` bytes should be made.
    pub(crate) fn appetite(&self, space: usize) -> Appetite {
        match &self.state {
            State::Head => Appetite { length: HEAD_READ_BYTES.min(space), blind: false },
            State::Chunked { .. } => Appetite { length: space, blind: false },
            State::Sized { left, .. } => Appetite {
                length: usize::try_from(*left).unwrap_or(usize::MAX).min(space),
                blind: self.sink == Sink::Drop,
            },
        }
    }

    /// Takes what was read; an answer once it is complete.
    pub(crate) fn take(&mut self, data: &[u8], content: &Content) -> io::Result<Option<Answer>> {
        match &mut self.state {
            State::Sized { left, .. } => {
                *left -= data.len() as u64;
                self.consume(data, content);
            }
            State::Head => {
                self.buffer.extend_from_slice(data);
                if !self.take_head(content)? {
                    return Ok(None);
                }
            }
            State::Chunked { .. } => self.buffer.extend_from_slice(data),
        }
        if !self.is_complete(content)? {
            return Ok(None);
        }
        if !self.buffer.is_empty() {
            return Err(invalid("bytes follow the response that nobody asked for"));
        }
        let (State::Sized { response, .. } | State::Chunked { response, .. }) =
            std::mem::replace(&mut self.state, State::Head)
        else {
            unreachable!("a complete response has a head");
        };
        let matches = self.matches && self.final_check(&response);
        let (body, body_bytes) = (std::mem::take(&mut self.kept), self.body_bytes);
        Ok(Some(Answer { response, body, body_bytes, matches }))
    }

    /// Parses the head and takes what came with it of the body; false if the head isn't all there.
    fn take_head(&mut self, content: &Content) -> io::Result<bool> {
        let parsed =
            parse_response(&mut self.buffer, self.method).map_err(|refusal| refused(&refusal))?;
        let Some(response) = parsed else { return Ok(false) };
        if response.status >= 300 {
            self.sink = Sink::Keep;
        }
        let length = match response.body_length() {
            BodyLength::None => 0,
            BodyLength::Length(length) => length,
            BodyLength::Chunked => {
                let decoder = BodyDecoder::new(BodyLength::Chunked);
                self.state = State::Chunked { response, decoder };
                return Ok(true);
            }
        };
        let here = usize::try_from(length).unwrap_or(usize::MAX).min(self.buffer.len());
        self.state = State::Sized { response, left: length - here as u64 };
        // Out of self while it is consumed, and back: its capacity is used again.
        let mut buffer = std::mem::take(&mut self.buffer);
        self.consume(&buffer[..here], content);
        buffer.advance(here);
        self.buffer = buffer;
        Ok(true)
    }

    fn is_complete(&mut self, content: &Content) -> io::Result<bool> {
        loop {
            let data = match &mut self.state {
                State::Head => return Ok(false),
                State::Sized { left, .. } => return Ok(*left == 0),
                State::Chunked { decoder, .. } => {
                    match decoder.decode(&mut self.buffer).map_err(|refusal| refused(&refusal))? {
                        Decoded::Data(data) => data,
                        Decoded::NeedMore => return Ok(false),
                        Decoded::End => return Ok(true),
                    }
                }
            };
            self.consume(&data, content);
        }
    }

    fn consume(&mut self, data: &[u8], content: &Content) {
        match self.sink {
            Sink::Keep | Sink::Listing => {
                let room = KEPT_BYTES_MAX - self.kept.len();
                self.kept.extend_from_slice(&data[..data.len().min(room)]);
            }
            Sink::Compare(span) => self.matches &= content.matches(span, self.body_bytes, data),
            Sink::Drop | Sink::Length(_) => {}
        }
        self.body_bytes += data.len() as u64;
    }

    fn final_check(&self, response: &Response) -> bool {
        match self.sink {
            Sink::Drop | Sink::Keep => true,
            Sink::Compare(span) => self.body_bytes == span.length,
            Sink::Length(length) => {
                response.header("content-length") == Some(length.to_string().as_str())
            }
            Sink::Listing => is_page(&self.kept),
        }
    }
}

impl Answer {
    /// The text of the first XML element of that name.
    pub(crate) fn element(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.body);
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (value, _) = rest.split_once('<')?;
        Some(value.replace("&quot;", "\"").replace("&#34;", "\"").replace("&amp;", "&"))
    }

    /// What an error answer says of its kind.
    pub(crate) fn error_code(&self) -> String {
        self.element("Code").unwrap_or_else(|| "without an error code".to_owned())
    }
}

fn refused(refusal: &Refusal) -> io::Error {
    invalid(&format!("not a response: {}", refusal.message))
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use anode_net::http::Method;

    use super::{Answer, Reader, Sink};
    use crate::content::Content;

    /// Feeds `text` in pieces of so many bytes at most.
    fn read(text: &[u8], piece: usize, method: Method, sink: Sink) -> Result<Answer, String> {
        let content = Content::new("p");
        let mut reader = Reader::new();
        reader.expect(method, sink);
        let mut rest = text;
        while !rest.is_empty() {
            let length = reader.appetite(piece).length.min(rest.len());
            let (now, later) = rest.split_at(length);
            rest = later;
            match reader.take(now, &content).map_err(|error| error.to_string())? {
                Some(answer) if rest.is_empty() => return Ok(answer),
                Some(_) => return Err("bytes are left".to_owned()),
                None => {}
            }
        }
        Err("incomplete".to_owned())
    }

    #[test]
    fn bodies_are_read_however_they_are_split() {
        for text in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n<a>b</a>\n"[..],
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n<a>b\r\n5\r\n</a>\n\r\n0\r\n\r\n",
        ] {
            for piece in 1..=text.len() {
                let answer = read(text, piece, Method::Get, Sink::Keep).unwrap();
                assert_eq!((answer.body_bytes, answer.element("a")), (9, Some("b".to_owned())));
                let dropped = read(text, piece, Method::Get, Sink::Drop).unwrap();
                assert_eq!((dropped.body_bytes, dropped.body.len()), (9, 0));
                read(&text[..text.len() - 1], piece, Method::Get, Sink::Keep).unwrap_err();
            }
        }
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
        assert!(read(head, 99, Method::Head, Sink::Length(9)).unwrap().matches);
        assert!(!read(head, 99, Method::Head, Sink::Length(8)).unwrap().matches);
        let more = b"HTTP/1.1 204 No Content\r\n\r\nx";
        read(more, 99, Method::Delete, Sink::Drop).unwrap_err();
        read(b"SSH-2.0-x\r\n\r\n", 99, Method::Get, Sink::Drop).unwrap_err();
    }

    #[test]
    fn content_is_compared_to_its_last_byte() {
        let content = Content::new("p");
        let span = content.span(3, 0, 50);
        let mut slices = [std::io::IoSlice::new(&[]); 2];
        let count = content.slices(span, 0, &mut slices);
        let right: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        let with = |body: &[u8]| {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            let text = [head.as_bytes(), body].concat();
            read(&text, 7, Method::Get, Sink::Compare(span)).unwrap().matches
        };
        assert!(with(&right));
        assert!(!with(&right[..49]), "too short");
        assert!(!with(&[&right[..], b"x"].concat()), "too long");
        let mut wrong = right;
        wrong[49] ^= 1;
        assert!(!with(&wrong));
    }

    #[test]
    fn an_error_is_kept_whatever_was_asked() {
        let text = b"HTTP/1.1 503 x\r\ncontent-length: 21\r\n\r\n<Code>SlowDown</Code>";
        let answer = read(text, 99, Method::Get, Sink::Drop).unwrap();
        assert_eq!((answer.response.status, answer.error_code().as_str()), (503, "SlowDown"));
    }
}
