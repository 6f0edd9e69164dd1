//! The bounds of HTTP, each with its unit.

/// The longest head that is read, by default.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The most headers of a request, by default.
pub const HEADER_COUNT_MAX: usize = 100;
/// No configuration goes above this: offsets into a head have 16 bits.
pub const HEAD_BYTES_CEILING: usize = 65_535;
/// No configuration goes above this: the parser's slots are on the stack.
pub const HEADER_COUNT_CEILING: usize = 128;
/// The longest line that starts a chunk, with its extension and line end.
pub const CHUNK_LINE_BYTES_MAX: usize = 1024;
/// The extensions of one body, together: they carry nothing here.
pub const CHUNK_EXTENSIONS_BYTES_MAX: usize = 16 * 1024;
/// The trailers of one body, together, with their line ends.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// The most trailers of one body.
pub const TRAILER_COUNT_MAX: usize = 32;
/// The most ranges of one `Range` header; one with more is ignored, as RFC 9110, section 14.2, allows.
pub const RANGE_COUNT_MAX: usize = 64;
/// All of a form before the bytes of its file: S3's limit.
pub const FORM_BYTES_MAX: usize = 20 * 1024;
/// The boundary of a form. (RFC 2046, 5.1.1)
pub const FORM_BOUNDARY_BYTES_MAX: usize = 70;

const _: () = assert!(FORM_BOUNDARY_BYTES_MAX < FORM_BYTES_MAX);
const _: () = assert!(HEAD_BYTES_MAX <= HEAD_BYTES_CEILING);
const _: () = assert!(HEADER_COUNT_MAX <= HEADER_COUNT_CEILING);
const _: () = assert!(CHUNK_LINE_BYTES_MAX <= CHUNK_EXTENSIONS_BYTES_MAX);

/// What a listener accepts of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest head, from the request line to the empty line; at most [`HEAD_BYTES_CEILING`] counts.
    pub head_bytes_max: usize,
    /// The most headers; at most [`HEADER_COUNT_CEILING`] counts.
    pub header_count_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes_max: HEAD_BYTES_MAX, header_count_max: HEADER_COUNT_MAX }
    }
}
