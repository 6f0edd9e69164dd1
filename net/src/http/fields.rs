//! The header fields of a head: slices of its frozen bytes, names in lower case.
//!
//! Invariant: the bytes are UTF-8 as a whole, and every span is cut at an ASCII delimiter, so every slice is UTF-8.

use bytes::Bytes;

use super::limits;

/// Where a slice of a head is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// The place of `part`, which is a slice of `whole`.
    pub(super) fn of(part: &[u8], whole: &[u8]) -> Self {
        assert!(whole.len() <= limits::HEAD_BYTES_CEILING, "spans have 16 bits");
        if part.is_empty() {
            return Self::default(); // httparse's empty values lie elsewhere
        }
        let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr());
        let start = start.expect("httparse returns slices of its input");
        let end = start + part.len();
        assert!(end <= whole.len(), "httparse returns slices of its input");
        let narrow = |offset: usize| u16::try_from(offset).expect("the head was bounded above");
        Self { start: narrow(start), end: narrow(end) }
    }

    pub(super) fn range(self) -> std::ops::Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

/// A header: its name and its value without the space around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: Span,
    pub(super) value: Span,
}

/// The headers of a request or response, in the order in which they came.
#[derive(Clone)]
pub(super) struct Fields {
    bytes: Bytes,
    list: Vec<Field>,
}

impl Fields {
    /// `bytes` is the head, UTF-8, its names lower-case already.
    pub(super) fn new(bytes: Bytes, list: Vec<Field>) -> Self {
        debug_assert!(std::str::from_utf8(&bytes).is_ok());
        Self { bytes, list }
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(super) fn text(&self, span: Span) -> &str {
        std::str::from_utf8(&self.bytes[span.range()]).expect("a head is UTF-8, checked once whole")
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|field| (self.text(field.name), self.text(field.value)))
    }

    pub(super) fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.list
            .iter()
            .filter(move |field| {
                self.bytes[field.name.range()].eq_ignore_ascii_case(name.as_bytes())
            })
            .map(|field| self.text(field.value))
    }
}

/// May this byte be in a token (RFC 9110, 5.6.2)?
pub(super) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// Every byte of every header name is looked up.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

/// May this byte be in a field value (RFC 9110, 5.5)?
pub(super) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Takes spaces and tabs off both ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
