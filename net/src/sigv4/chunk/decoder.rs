//! Takes an `aws-chunked` body apart and verifies it.
//!
//! Data is handed on as it comes, without a copy and without holding a chunk back; a chunk that arrives whole is
//! verified first. A wrong signature is reported before anything that follows the chunk. So what was handed on may be
//! forged until [`ChunkDecoder::finish`] says `Ok`: **nothing may be committed before that.**
//!
//! - The result doesn't depend on how the input is split.
//! - Memory is bounded by one line of [`LINE_BYTES_MAX`].
//! - After an error every call fails.

use bytes::{Buf as _, Bytes};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::chain::Chain;
use crate::checksum::Algorithm;
use crate::sigv4::{Error, PayloadMode, RequestParts, Verified};

/// The longest line, a chunk's head or a trailer.
pub(super) const LINE_BYTES_MAX: usize = 512;
/// The smallest chunk but the last, as at AWS.
pub(super) const CHUNK_BYTES_MIN: u64 = 8 * 1024;
/// The most line ends that clients send around the trailers.
const LINE_END_BYTES_MAX: u32 = 8;

/// What [`ChunkDecoder::decode`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Bytes of the object.
    Data(Bytes),
    /// The input is used up.
    NeedMore,
    /// The last chunk and the trailers are here and right. The HTTP body may still hold line ends: pass them on too.
    End,
}

/// Takes one body apart.
#[derive(Debug)]
pub struct ChunkDecoder {
    /// The chain and the running hash of this chunk's data; `None` where chunks aren't signed.
    chain: Option<(Chain, Sha256)>,
    mode: PayloadMode,
    state: State,
    /// The start of a line whose end hasn't come.
    line: Vec<u8>,
    /// This chunk's signature, as its head states it.
    stated: [u8; 32],
    /// A chunk below the least size: no data may follow it.
    small: Option<u64>,
    decoded_length: u64,
    decoded_count: u64,
    line_end_count: u32,
    announced: Vec<Algorithm>,
    trailers: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Data { left: u64 },
    DataEnd,
    Trailers,
    End,
    Failed,
}

impl ChunkDecoder {
    /// A decoder for a request's body. `mode` is one of the chunked ones; `verified` is needed where chunks are signed.
    ///
    /// Refuses a missing (`MissingContentLength`) or malformed `x-amz-decoded-content-length`, and an `x-amz-trailer` that
    /// names more than one checksum or anything else (`InvalidRequest`).
    pub fn new(
        mode: PayloadMode,
        parts: &RequestParts<'_>,
        verified: Option<&Verified>,
    ) -> Result<Self, Error> {
        assert!(mode.is_chunked(), "a plain body has no chunks");
        let chain = match (mode.signs_chunks(), verified) {
            (false, _) => None,
            (true, Some(verified)) => Some((Chain::new(verified), Sha256::new())),
            (true, None) => {
                return Err(Error::new("AccessDenied", "Signed chunks need a signed request."));
            }
        };
        Ok(Self {
            chain,
            mode,
            state: State::Head,
            line: Vec::new(),
            stated: [0; 32],
            small: None,
            decoded_length: decoded_length(parts)?,
            decoded_count: 0,
            line_end_count: 0,
            announced: if mode.has_trailers() { announced(parts)? } else { Vec::new() },
            trailers: Vec::new(),
        })
    }

    /// How many bytes the object has, as `x-amz-decoded-content-length` states and [`ChunkDecoder::finish`] confirms.
    pub const fn decoded_length(&self) -> u64 {
        self.decoded_length
    }

    /// Takes from `input` up to the next piece of data, the end, or the end of `input`, which is then empty.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Decoded, Error> {
        let decoded = self.advance(input);
        if decoded.is_err() {
            self.state = State::Failed;
        }
        decoded
    }

    /// After the last byte of the HTTP body: whether the object is complete and verified.
    pub fn finish(&mut self) -> Result<(), Error> {
        // Some clients leave the last line end out, after trailers that nobody signed.
        let is_end = match self.state {
            State::End => true,
            State::Trailers => {
                self.chain.is_none() && self.line.is_empty() && self.has_all_trailers()
            }
            State::Head | State::Data { .. } | State::DataEnd | State::Failed => false,
        };
        if is_end {
            self.state = State::End;
            return Ok(());
        }
        self.state = State::Failed;
        Err(incomplete("The request body ended before its last chunk and trailers."))
    }

    /// The trailers: announced names in lower case, values; whole and verified after [`ChunkDecoder::finish`].
    pub fn trailers(&self) -> &[(String, String)] {
        &self.trailers
    }

    fn advance(&mut self, input: &mut Bytes) -> Result<Decoded, Error> {
        loop {
            match self.state {
                State::Head => match self.take_line(input)? {
                    None => return Ok(Decoded::NeedMore),
                    Some(line) => self.open(&line)?,
                },
                State::Data { left } => return self.take_data(input, left),
                State::DataEnd => match self.take_line(input)? {
                    None => return Ok(Decoded::NeedMore),
                    Some(line) if line == b"\r\n" => self.state = State::Head,
                    Some(_) => {
                        return Err(malformed("a chunk's data is not followed by a line end"));
                    }
                },
                State::Trailers => match self.take_line(input)? {
                    None => return Ok(Decoded::NeedMore),
                    Some(line) => self.take_trailer(&line)?,
                },
                State::End => {
                    self.take_line_ends(input)?;
                    return Ok(Decoded::End);
                }
                State::Failed => return Err(incomplete("The request body was refused before.")),
            }
        }
    }

    /// A line with its end, once that is here. What is left over when input runs out stays in `self.line`.
    fn take_line(&mut self, input: &mut Bytes) -> Result<Option<Vec<u8>>, Error> {
        let end = memchr::memchr(b'\n', input);
        let count = end.map_or(input.len(), |at| at + 1);
        if self.line.len() + count > LINE_BYTES_MAX {
            return Err(malformed("a line is too long"));
        }
        self.line.extend_from_slice(&input.split_to(count));
        Ok(end.map(|_| std::mem::take(&mut self.line)))
    }

    /// Reads a chunk's head.
    fn open(&mut self, line: &[u8]) -> Result<(), Error> {
        let head = line.strip_suffix(b"\r\n").and_then(|head| std::str::from_utf8(head).ok());
        let head = head.ok_or_else(|| malformed("a chunk's head is not a line of text"))?;
        let (size, extension) = head.split_once(';').unwrap_or((head, ""));
        let is_hex =
            (1..=16).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = is_hex.then(|| u64::from_str_radix(size, 16).ok()).flatten();
        let size = size.ok_or_else(|| malformed("a chunk's size is not a hexadecimal number"))?;
        if self.chain.is_some() {
            let signature = extension.strip_prefix("chunk-signature=");
            hex::decode_to_slice(signature.unwrap_or(""), &mut self.stated)
                .map_err(|_malformed| malformed("a chunk's head has no signature"))?;
        }
        let left = self.decoded_length - self.decoded_count;
        if size > left {
            return Err(incomplete(
                "The request body has more bytes than x-amz-decoded-content-length states.",
            ));
        }
        if size == 0 {
            return self.end_data(left);
        }
        if let Some(small) = self.small {
            let message = format!(
                "Only the last chunk is allowed to have a size less than {CHUNK_BYTES_MIN} bytes"
            );
            return Err(Error::new("InvalidChunkSizeError", message)
                .with([("BadChunkSizeInBytes", small.to_string())]));
        }
        self.small = (size < CHUNK_BYTES_MIN).then_some(size);
        self.state = State::Data { left: size };
        Ok(())
    }

    /// The empty chunk that ends the data.
    fn end_data(&mut self, left: u64) -> Result<(), Error> {
        if left > 0 {
            return Err(incomplete(
                "The request body has fewer bytes than x-amz-decoded-content-length states.",
            ));
        }
        self.check_chunk()?;
        self.state = if self.mode.has_trailers() { State::Trailers } else { State::End };
        Ok(())
    }

    fn take_data(&mut self, input: &mut Bytes, left: u64) -> Result<Decoded, Error> {
        if input.is_empty() {
            return Ok(Decoded::NeedMore);
        }
        let count = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let data = input.split_to(count);
        if let Some((_, hasher)) = &mut self.chain {
            hasher.update(&data);
        }
        let count = u64::try_from(count).expect("a length fits 64 bits");
        self.decoded_count += count;
        self.state = State::Data { left: left - count };
        if left == count {
            self.check_chunk()?;
            self.state = State::DataEnd;
        }
        Ok(Decoded::Data(data))
    }

    /// Compares the signature of the chunk that is complete now.
    fn check_chunk(&mut self) -> Result<(), Error> {
        let Some((chain, hasher)) = &mut self.chain else { return Ok(()) };
        let computed = chain.chunk(hasher.finalize_reset().into());
        if bool::from(computed.ct_eq(&self.stated)) { Ok(()) } else { Err(Error::mismatch()) }
    }

    /// Clients end a trailer with CRLF, with LF, or with both one after the other.
    fn take_trailer(&mut self, line: &[u8]) -> Result<(), Error> {
        let text = line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let text =
            text.and_then(|line| std::str::from_utf8(line).ok()).ok_or_else(malformed_trailer)?;
        if text.is_empty() {
            return self.take_empty_line(line.len());
        }
        let (name, value) = text.split_once(':').ok_or_else(malformed_trailer)?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned());
        if name == "x-amz-trailer-signature" && self.chain.is_some() {
            return self.check_trailers(&value);
        }
        let is_announced = self.announced.iter().any(|algorithm| algorithm.header() == name);
        let is_repeated = self.trailers.iter().any(|(held, _)| *held == name);
        if !is_announced || is_repeated {
            return Err(malformed_trailer());
        }
        self.trailers.push((name, value));
        Ok(())
    }

    /// Ends unsigned trailers; before the signature of signed ones it means nothing.
    fn take_empty_line(&mut self, length: usize) -> Result<(), Error> {
        if self.chain.is_some() {
            return self.count_line_ends(length);
        }
        if !self.has_all_trailers() {
            return Err(malformed_trailer());
        }
        self.state = State::End;
        Ok(())
    }

    fn check_trailers(&mut self, stated: &str) -> Result<(), Error> {
        if !self.has_all_trailers() {
            return Err(malformed_trailer());
        }
        let mut signature = [0; 32];
        hex::decode_to_slice(stated, &mut signature).map_err(|_malformed| malformed_trailer())?;
        let (chain, _) = self.chain.as_mut().expect("asked only where chunks are signed");
        let computed = chain
            .trailers(self.trailers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if !bool::from(computed.ct_eq(&signature)) {
            return Err(Error::mismatch());
        }
        self.state = State::End;
        Ok(())
    }

    fn has_all_trailers(&self) -> bool {
        self.trailers.len() == self.announced.len()
    }

    fn take_line_ends(&mut self, input: &mut Bytes) -> Result<(), Error> {
        if input.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
            return Err(malformed("there are bytes after its end"));
        }
        let count = input.len();
        input.advance(count);
        self.count_line_ends(count)
    }

    fn count_line_ends(&mut self, length: usize) -> Result<(), Error> {
        self.line_end_count =
            self.line_end_count.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
        if self.line_end_count > LINE_END_BYTES_MAX {
            Err(malformed("there are bytes after its end"))
        } else {
            Ok(())
        }
    }
}

fn decoded_length(parts: &RequestParts<'_>) -> Result<u64, Error> {
    let name = "x-amz-decoded-content-length";
    let value = parts.single(name)?.ok_or_else(|| {
        Error::new("MissingContentLength", format!("You must provide the {name} HTTP header."))
    })?;
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| value.parse().ok()).flatten().ok_or_else(|| {
        Error::new("InvalidArgument", format!("The value of {name} is not a length."))
            .with([("ArgumentName", name.to_owned()), ("ArgumentValue", value.to_owned())])
    })
}

/// The trailers that `x-amz-trailer` announces: at most one, a checksum.
fn announced(parts: &RequestParts<'_>) -> Result<Vec<Algorithm>, Error> {
    let names = parts.values("x-amz-trailer").flat_map(|value| value.split(','));
    let names = names.map(|name| name.trim_matches([' ', '\t'])).filter(|name| !name.is_empty());
    let algorithms: Option<Vec<Algorithm>> = names.map(Algorithm::from_header).collect();
    let algorithms = algorithms.ok_or_else(|| {
        Error::new(
            "InvalidRequest",
            "The value specified in the x-amz-trailer header is not supported",
        )
    })?;
    if algorithms.len() > 1 {
        let message =
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
        return Err(Error::new("InvalidRequest", message));
    }
    Ok(algorithms)
}

fn malformed(what: &str) -> Error {
    Error::new("InvalidRequest", format!("The aws-chunked body is malformed: {what}."))
}

fn malformed_trailer() -> Error {
    Error::new(
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    )
}

fn incomplete(message: &str) -> Error {
    Error::new("IncompleteBody", message)
}
