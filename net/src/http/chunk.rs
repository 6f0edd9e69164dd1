//! The chunked transfer coding (RFC 9112, section 7.1): its lines, read and written.
//!
//! ```text
//! size-in-hex [ ;extension ] CR LF
//! size bytes CR LF
//! ...
//! 0 [ ;extension ] CR LF
//! [ name: value CR LF ] ...
//! CR LF
//! ```

use bytes::{Buf, Bytes, BytesMut};

use super::fields::{is_token_byte, is_value_byte, trim};
use super::refusal::Refusal;

/// What ends a chunked body without trailers.
pub const CHUNKS_END: &[u8] = b"0\r\n\r\n";

/// Frames data as one chunk, for a vectored write. Empty data gives nothing: an empty chunk would end the body.
pub fn chunk(data: Bytes) -> Vec<Bytes> {
    if data.is_empty() {
        return Vec::new();
    }
    vec![Bytes::from(format!("{:x}\r\n", data.len())), data, Bytes::from_static(b"\r\n")]
}

/// What the line before a chunk says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChunkLine {
    pub(super) data_bytes: u64,
    pub(super) extension_bytes: usize,
}

/// Takes a line off `input` and returns it without its end. A line with its end has at most `length_max` bytes.
pub(super) fn take_line(input: &mut BytesMut, length_max: usize) -> Result<Option<Bytes>, Refusal> {
    let window = &input[..input.len().min(length_max)];
    let Some(line_end) = memchr::memchr(b'\n', window) else {
        if window.len() < length_max {
            return Ok(None);
        }
        return Err(Refusal::malformed("A line of the chunked body is too long."));
    };
    if line_end == 0 || window[line_end - 1] != b'\r' {
        return Err(Refusal::malformed("A line of the chunked body ends with a bare LF."));
    }
    let line = input.split_to(line_end - 1).freeze();
    input.advance(2);
    Ok(Some(line))
}

/// Reads the line before a chunk. The extension is skipped, but it must be clean text.
pub(super) fn parse_chunk_line(line: &[u8]) -> Result<ChunkLine, Refusal> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at(digits);
    // 16 digits are 64 bits; leading zeros beyond that are refused too: some readers drop them, some don't.
    if size.is_empty() || size.len() > 16 {
        return Err(Refusal::malformed(
            "The size of a chunk is not a hexadecimal number of 64 bits.",
        ));
    }
    if !extension.is_empty() && extension[0] != b';' {
        return Err(Refusal::malformed("The size of a chunk is followed by something else."));
    }
    if !extension.iter().all(|byte| is_value_byte(*byte)) {
        return Err(Refusal::malformed("The extension of a chunk has a control character."));
    }
    let data_bytes = size.iter().fold(0_u64, |sum, digit| (sum << 4) | hex_value(*digit));
    Ok(ChunkLine { data_bytes, extension_bytes: extension.len() })
}

/// Reads a trailer: its name in lower case, its value without the space around it.
pub(super) fn parse_trailer(line: &[u8]) -> Result<(String, String), Refusal> {
    let malformed = || Refusal::malformed("A trailer is not a name, a colon and a value.");
    let line = std::str::from_utf8(line).map_err(|_not_utf8| malformed())?;
    let (name, value) = line.split_once(':').ok_or_else(malformed)?;
    if name.is_empty() || !name.bytes().all(is_token_byte) || !value.bytes().all(is_value_byte) {
        return Err(malformed());
    }
    let name = name.to_ascii_lowercase();
    // RFC 9110, 6.5.1: nothing that would have changed how the message was read, had it come in time.
    if FORBIDDEN_TRAILERS.contains(&name.as_str()) {
        return Err(Refusal::malformed(format!("The header {name} comes too late, as a trailer.")));
    }
    Ok((name, trim(value).to_owned()))
}

const FORBIDDEN_TRAILERS: [&str; 10] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "expect",
    "host",
    "trailer",
    "transfer-encoding",
];

fn hex_value(digit: u8) -> u64 {
    char::from(digit).to_digit(16).map_or(0, u64::from)
}
