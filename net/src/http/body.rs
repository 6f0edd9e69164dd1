//! Takes a body off the connection's buffer, without copying it.
//!
//! What is returned, put together, depends on the bytes only, never on how they were split on their way: a line is
//! consumed when it is complete, and refused for its length at the same byte however it came. The decoder doesn't bound
//! the body: the caller counts what it accepts.

use bytes::{Buf, Bytes, BytesMut};

use super::chunk::{ChunkLine, parse_chunk_line, parse_trailer, take_line};
use super::framing::BodyLength;
use super::limits::{
    CHUNK_EXTENSIONS_BYTES_MAX, CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX, TRAILER_COUNT_MAX,
};
use super::refusal::Refusal;

/// What a decoder found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// The next bytes of the body, never empty: a slice of the buffer.
    Data(Bytes),
    /// The buffer has to grow first.
    NeedMore,
    /// The body is complete; what is left in the buffer is the next request.
    End,
}

/// Decodes one body.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    extensions_bytes: usize,
    trailer_bytes: usize,
    trailers: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Bytes left of a body of known length.
    Length(u64),
    /// Before the line that starts a chunk.
    ChunkStart,
    /// Bytes left of a chunk.
    Chunk(u64),
    /// Before the line end that closes a chunk.
    ChunkEnd,
    /// Before a trailer or the last empty line.
    Trailers,
    Done,
}

impl BodyDecoder {
    /// A decoder for a body that is delimited so.
    pub fn new(length: BodyLength) -> Self {
        let state = match length {
            BodyLength::None | BodyLength::Length(0) => State::Done,
            BodyLength::Length(bytes) => State::Length(bytes),
            BodyLength::Chunked => State::ChunkStart,
        };
        Self { state, extensions_bytes: 0, trailer_bytes: 0, trailers: Vec::new() }
    }

    /// Takes the next piece of the body off `input`. After a refusal the connection can't be used any more.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, Refusal> {
        loop {
            match self.state {
                State::Done => return Ok(Decoded::End),
                State::Length(left) | State::Chunk(left) => {
                    if input.is_empty() {
                        return Ok(Decoded::NeedMore);
                    }
                    return Ok(Decoded::Data(self.take_data(input, left)));
                }
                State::ChunkStart => {
                    let Some(line) = take_line(input, CHUNK_LINE_BYTES_MAX)? else {
                        return Ok(Decoded::NeedMore);
                    };
                    self.start_chunk(&line)?;
                }
                State::ChunkEnd => match &input[..input.len().min(2)] {
                    b"\r\n" => {
                        input.advance(2);
                        self.state = State::ChunkStart;
                    }
                    [] | b"\r" => return Ok(Decoded::NeedMore),
                    _ => return Err(Refusal::malformed("A chunk is longer than its size says.")),
                },
                State::Trailers => {
                    let left = TRAILER_BYTES_MAX - self.trailer_bytes;
                    let Some(line) = take_line(input, left)? else {
                        return Ok(Decoded::NeedMore);
                    };
                    self.take_trailer(&line)?;
                }
            }
        }
    }

    /// Has the whole body been returned?
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailers that followed a chunked body, names in lower case; complete at [`Decoded::End`].
    pub fn trailers(&self) -> &[(String, String)] {
        &self.trailers
    }

    /// Takes what is there of the `left` bytes that are expected.
    fn take_data(&mut self, input: &mut BytesMut, left: u64) -> Bytes {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let data = input.split_to(length).freeze();
        let left = left - u64::try_from(length).expect("a length has at most 64 bits");
        self.state = match (self.state, left) {
            (State::Chunk(_), 0) => State::ChunkEnd,
            (State::Chunk(_), _) => State::Chunk(left),
            (_, 0) => State::Done,
            (_, _) => State::Length(left),
        };
        data
    }

    fn start_chunk(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let ChunkLine { data_bytes, extension_bytes } = parse_chunk_line(line)?;
        self.extensions_bytes += extension_bytes;
        if self.extensions_bytes > CHUNK_EXTENSIONS_BYTES_MAX {
            return Err(Refusal::malformed("The chunks have too many bytes of extensions."));
        }
        self.state = if data_bytes == 0 { State::Trailers } else { State::Chunk(data_bytes) };
        Ok(())
    }

    fn take_trailer(&mut self, line: &[u8]) -> Result<(), Refusal> {
        if line.is_empty() {
            self.state = State::Done;
            return Ok(());
        }
        self.trailer_bytes += line.len() + 2;
        if self.trailers.len() == TRAILER_COUNT_MAX {
            return Err(Refusal::malformed("The body has too many trailers."));
        }
        let (name, value) = parse_trailer(line)?;
        if self.trailers.iter().any(|(earlier, _)| *earlier == name) {
            return Err(Refusal::malformed(format!("The trailer {name} comes twice.")));
        }
        self.trailers.push((name, value));
        Ok(())
    }
}
