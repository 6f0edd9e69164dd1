//! `multipart/form-data` (RFC 7578; RFC 2046, section 5.1), read as it comes: fields whole, the file in pieces.
//!
//! ```text
//! --boundary CR LF
//! Content-Disposition: form-data; name="key" CR LF
//! CR LF
//! value CR LF
//! --boundary CR LF
//! Content-Disposition: form-data; name="file"; filename="a.txt" CR LF
//! CR LF
//! bytes CR LF
//! --boundary--
//! ```
//!
//! All that precedes the bytes of the file is gathered in one buffer of at most [`FORM_BYTES_MAX`]; the file is never
//! gathered, and what follows it is not read. What is returned, put together, depends on the bytes only, never on how
//! they were split on their way.

mod file;
mod parameters;
#[cfg(test)]
pub(super) mod tests;

use bytes::{Buf as _, Bytes, BytesMut};

use super::fields::{is_token_byte, is_value_byte, trim};
use super::limits::{FORM_BOUNDARY_BYTES_MAX, FORM_BYTES_MAX};
use parameters::Parameters;

pub use file::{FileDecoded, FileDecoder};

/// The name of the field whose value is the file.
const FILE: &str = "file";

/// Why a form is refused. The framing of HTTP below it is not touched by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The body is something else.
    #[error("the body is not announced as multipart/form-data")]
    NotForm,
    /// It can't be read, or could be read in two ways.
    #[error("the form can't be read: {0}")]
    Malformed(&'static str),
    /// More than [`FORM_BYTES_MAX`] before the bytes of the file.
    #[error("the form has more than {FORM_BYTES_MAX} bytes before the file")]
    TooLarge,
}

/// A field that is not the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormField {
    /// Its name, in lower case: names of fields have no case in S3.
    pub name: String,
    /// Its value, as sent.
    pub value: String,
}

/// The file, whose bytes follow.
#[derive(Debug)]
pub struct FormFile {
    /// What it is called where it comes from, as sent; a path, from some clients.
    pub filename: Option<String>,
    /// Goes on with the input from here.
    pub decoder: FileDecoder,
}

/// What a decoder found.
#[derive(Debug)]
pub enum FormDecoded {
    /// The next field.
    Field(FormField),
    /// The file: this decoder is done, the file's goes on.
    File(FormFile),
    /// More input has to come first; all that was there is taken.
    NeedMore,
    /// The form ended without a file.
    End,
}

/// Decodes a form as far as its file.
#[derive(Debug)]
pub struct FormDecoder {
    /// CR LF, two hyphens, the boundary. Its only CR is the first byte.
    delimiter: Bytes,
    /// From the delimiter of the next part on.
    buffer: BytesMut,
    /// Bytes taken of the input.
    taken: usize,
}

/// What stands at the start of the buffer.
enum Part {
    Incomplete,
    Close,
    /// A head of so many bytes with the delimiter, and what it says.
    Head(usize, Head),
}

/// What the head of a part says.
struct Head {
    name: String,
    filename: Option<String>,
}

impl FormDecoder {
    /// A decoder for a body with this `Content-Type`.
    pub fn new(content_type: Option<&str>) -> Result<Self, FormError> {
        let content_type = content_type.unwrap_or_default();
        let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        if !trim(kind).eq_ignore_ascii_case("multipart/form-data") {
            return Err(FormError::NotForm);
        }
        let boundary = Parameters::parse(parameters)
            .and_then(|parameters| parameters.get("boundary").map(str::to_owned))
            .filter(|boundary| is_boundary(boundary))
            .ok_or(FormError::Malformed("the Content-Type has no valid boundary"))?;
        let delimiter = Bytes::from(format!("\r\n--{boundary}"));
        // RFC 2046, 5.1.1: the line end before a delimiter is part of it. The first may lack it.
        Ok(Self { delimiter, buffer: BytesMut::from(&b"\r\n"[..]), taken: 0 })
    }

    /// Takes the next field off `input`. Not to be called again after the file or the end.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<FormDecoded, FormError> {
        loop {
            if let Some(found) = self.next_part()? {
                return Ok(found);
            }
            if input.is_empty() {
                return Ok(FormDecoded::NeedMore);
            }
            let step = input.len().min(FORM_BYTES_MAX - self.taken);
            if step == 0 {
                return Err(FormError::TooLarge);
            }
            self.buffer.extend_from_slice(&input.split_to(step));
            self.taken += step;
        }
    }

    fn next_part(&mut self) -> Result<Option<FormDecoded>, FormError> {
        // Some clients send a line end before the first delimiter.
        if self.buffer.len() == self.taken + 2 {
            if self.taken < 2 {
                return Ok(None);
            }
            if self.buffer.starts_with(b"\r\n\r\n") {
                self.buffer.advance(2);
            }
        }
        match read_part(&self.buffer, &self.delimiter)? {
            Part::Incomplete => Ok(None),
            Part::Close => Ok(Some(FormDecoded::End)),
            Part::Head(head_bytes, head) if head.name == FILE => {
                self.buffer.advance(head_bytes);
                let early = self.buffer.split().freeze();
                let decoder = FileDecoder::new(self.delimiter.clone(), early);
                Ok(Some(FormDecoded::File(FormFile { filename: head.filename, decoder })))
            }
            Part::Head(head_bytes, head) => {
                Ok(self.field(head_bytes, head)?.map(FormDecoded::Field))
            }
        }
    }

    /// The field whose head is read, where its value is complete.
    fn field(&mut self, head_bytes: usize, head: Head) -> Result<Option<FormField>, FormError> {
        let value = &self.buffer[head_bytes..];
        let Some(length) = memchr::memmem::find(value, &self.delimiter) else { return Ok(None) };
        let value = std::str::from_utf8(&value[..length])
            .map_err(|_not_utf8| FormError::Malformed("a field is not UTF-8"))?
            .to_owned();
        self.buffer.advance(head_bytes + length);
        Ok(Some(FormField { name: head.name, value }))
    }
}

/// RFC 2046, 5.1.1: 1 to 70 characters of a small set, the last no space.
fn is_boundary(boundary: &str) -> bool {
    (1..=FORM_BOUNDARY_BYTES_MAX).contains(&boundary.len())
        && boundary
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte))
        && !boundary.ends_with(' ')
}

/// Reads the delimiter at the start of `buffer` and the head behind it.
fn read_part(buffer: &[u8], delimiter: &[u8]) -> Result<Part, FormError> {
    let Some(behind) = buffer.strip_prefix(delimiter) else {
        return if delimiter.starts_with(buffer) {
            Ok(Part::Incomplete)
        } else {
            Err(FormError::Malformed("the body doesn't start with the boundary"))
        };
    };
    if behind.starts_with(b"--") {
        return Ok(Part::Close);
    }
    // RFC 2046, 5.1.1: receivers must be able to handle padding there.
    let padding = behind.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let lines = &behind[padding..];
    if !lines.starts_with(b"\r\n") {
        return match (padding, lines) {
            (_, [] | [b'\r']) | (0, [b'-']) => Ok(Part::Incomplete),
            _ => Err(FormError::Malformed("a boundary is followed by something else")),
        };
    }
    let Some(length) = memchr::memmem::find(lines, b"\r\n\r\n") else {
        return Ok(Part::Incomplete);
    };
    let head = read_head(lines.get(2..length).unwrap_or_default())?;
    Ok(Part::Head(delimiter.len() + padding + length + 4, head))
}

/// Reads the header lines of a part. Only its disposition means anything here.
fn read_head(lines: &[u8]) -> Result<Head, FormError> {
    let malformed =
        || FormError::Malformed("the head of a field is not lines of a name and a value");
    let lines = std::str::from_utf8(lines).map_err(|_not_utf8| malformed())?;
    let mut head = None;
    for line in lines.split("\r\n") {
        let (name, value) = line.split_once(':').ok_or_else(malformed)?;
        if name.is_empty() || !name.bytes().all(is_token_byte) || !value.bytes().all(is_value_byte)
        {
            return Err(malformed());
        }
        let value = trim(value);
        if name.eq_ignore_ascii_case("content-disposition") {
            if head.replace(read_disposition(value)?).is_some() {
                return Err(FormError::Malformed("a field has two dispositions"));
            }
        } else if name.eq_ignore_ascii_case("content-transfer-encoding")
            && !["binary", "8bit", "7bit"].iter().any(|plain| value.eq_ignore_ascii_case(plain))
        {
            // RFC 7578, 4.7: not to be used. Stored as it is, the object would be another.
            return Err(FormError::Malformed("a field is encoded for its transfer"));
        }
    }
    head.ok_or(FormError::Malformed("a field has no disposition"))
}

/// RFC 7578, 4.2: `form-data; name="n"; filename="f"`.
fn read_disposition(value: &str) -> Result<Head, FormError> {
    let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
    let parameters = Parameters::parse(parameters)
        .filter(|_| trim(kind).eq_ignore_ascii_case("form-data"))
        .ok_or(FormError::Malformed(
            "the disposition of a field is not form-data with parameters",
        ))?;
    let name = parameters.get("name").filter(|name| !name.is_empty());
    let name = name.ok_or(FormError::Malformed("a field has no name"))?.to_ascii_lowercase();
    Ok(Head { name, filename: parameters.get("filename").map(str::to_owned) })
}
