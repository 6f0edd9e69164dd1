//! The file of a form: everything up to the next delimiter, handed on without a copy.
//!
//! A delimiter starts with its only CR. So what looked like the start of one and turns out to be none holds no other
//! start, and has only to be given out late.

use bytes::{Buf as _, Bytes};

use super::FormError;

/// What a decoder found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileDecoded {
    /// The next bytes of the file, never empty.
    Data(Bytes),
    /// More input has to come first; all that was there is taken.
    NeedMore,
    /// The file is complete. What is left of the input means nothing.
    End,
}

/// Decodes the file of a form.
#[derive(Debug)]
pub struct FileDecoder {
    delimiter: Bytes,
    /// What came with the fields: it is before all input.
    early: Bytes,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the file; so many bytes of a delimiter were the last.
    File(usize),
    /// Behind the delimiter.
    Behind,
    /// Behind one hyphen after it.
    Hyphen,
    /// In the padding after it.
    Padding,
    /// Behind a CR after it.
    LineEnd,
    Done,
}

impl FileDecoder {
    pub(super) fn new(delimiter: Bytes, early: Bytes) -> Self {
        Self { delimiter, early, state: State::File(0) }
    }

    /// Takes the next piece of the file off `input`.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<FileDecoded, FormError> {
        let mut early = std::mem::take(&mut self.early);
        if !early.is_empty() {
            let decoded = self.step(&mut early);
            self.early = early;
            if decoded != Ok(FileDecoded::NeedMore) {
                return decoded;
            }
        }
        self.step(input)
    }

    fn step(&mut self, input: &mut Bytes) -> Result<FileDecoded, FormError> {
        while self.state != State::Done {
            if let State::File(matched) = self.state {
                match self.file(matched, input) {
                    Some(data) if data.is_empty() => {}
                    Some(data) => return Ok(FileDecoded::Data(data)),
                    None => return Ok(FileDecoded::NeedMore),
                }
                continue;
            }
            let Some(byte) = input.first().copied() else { return Ok(FileDecoded::NeedMore) };
            self.state = self.state.behind(byte)?;
            input.advance(1);
        }
        Ok(FileDecoded::End)
    }

    /// Bytes of the file, none where the state changed alone; `None` where the input is used up.
    fn file(&mut self, matched: usize, input: &mut Bytes) -> Option<Bytes> {
        if input.is_empty() {
            return None;
        }
        if matched > 0 {
            let expected = &self.delimiter[matched..];
            let same = expected.iter().zip(input.iter()).take_while(|(a, b)| a == b).count();
            if same == expected.len() {
                input.advance(same);
                self.state = State::Behind;
                return Some(Bytes::new());
            }
            if same == input.len() {
                input.advance(same);
                self.state = State::File(matched + same);
                return None;
            }
            self.state = State::File(0);
            return Some(self.delimiter.slice(..matched));
        }
        if let Some(length) = memchr::memmem::find(input, &self.delimiter) {
            let data = input.split_to(length);
            input.advance(self.delimiter.len());
            self.state = State::Behind;
            return Some(data);
        }
        let window_start = input.len().saturating_sub(self.delimiter.len() - 1);
        let start = memchr::memrchr(b'\r', &input[window_start..])
            .map(|at| window_start + at)
            .filter(|start| self.delimiter.starts_with(&input[*start..]))
            .unwrap_or(input.len());
        let data = input.split_to(start);
        self.state = State::File(input.len());
        input.clear();
        Some(data)
    }
}

impl State {
    /// The state after a byte behind the delimiter: two hyphens, or padding and a line end. A file that has the
    /// delimiter in it would be cut short without a word, so nothing else passes.
    fn behind(self, byte: u8) -> Result<Self, FormError> {
        match (self, byte) {
            (Self::Behind, b'-') => Ok(Self::Hyphen),
            (Self::Hyphen, b'-') | (Self::LineEnd, b'\n') => Ok(Self::Done),
            (Self::Behind | Self::Padding, b' ' | b'\t') => Ok(Self::Padding),
            (Self::Behind | Self::Padding, b'\r') => Ok(Self::LineEnd),
            _ => Err(FormError::Malformed("a boundary is followed by something else")),
        }
    }
}
