//! The bounds of S3 requests, each with its unit last; AWS's where AWS has one.

/// Object keys, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 1024;
/// User metadata of one object: names without `x-amz-meta-`, and values, in bytes of UTF-8.
pub const METADATA_BYTES_MAX: usize = 2048;
/// One of the system headers kept with an object, in bytes.
pub const HEADER_BYTES_MAX: usize = 4096;
/// A body of XML, in bytes.
pub const XML_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How deep elements may nest.
pub const XML_DEPTH_MAX: usize = 16;
/// Objects in one `DeleteObjects` request.
pub const DELETE_COUNT_MAX: usize = 1000;
/// Entries of one page of a listing.
pub const PAGE_COUNT_MAX: u32 = 1000;
/// Buckets of one page of `ListBuckets`.
pub const BUCKET_PAGE_COUNT_MAX: u32 = 10_000;
/// The largest part number, and so the most parts.
pub const PART_NUMBER_MAX: u16 = 10_000;
/// Every part but the last has at least this many bytes.
pub const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// One `PutObject`, part or copied object, in bytes.
pub const PUT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// One object, in bytes.
pub const OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024 * 1024;
/// Upload ids, in bytes.
pub const UPLOAD_ID_BYTES_MAX: usize = 256;
/// A field of a form with the file's name put into it, in bytes: no more than a form may have at all.
pub const FORM_VALUE_BYTES_MAX: usize = 20 * 1024;
/// The encryption context of an object, in bytes of base64: what KMS takes.
pub const ENCRYPTION_CONTEXT_BYTES_MAX: usize = 8192;
/// Entity tags in one condition header.
pub const ETAG_COUNT_MAX: usize = 64;

const _: () = assert!(PART_NUMBER_MAX as u64 * PUT_BYTES_MAX >= OBJECT_BYTES_MAX);
const _: () = assert!(XML_BYTES_MAX > PART_NUMBER_MAX as usize * 200);
