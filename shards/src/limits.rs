//! Every bound of this crate, each with its unit, asserted against its neighbours.

/// Bytes of a chunk; the last chunk of a body is shorter.
pub const CHUNK_BYTES_MAX: u64 = 1 << 20;
/// Objects up to this many bytes travel inside their command.
pub const INLINE_BYTES_MAX: u64 = 32 << 10;
/// Bytes of an object key.
pub const KEY_BYTES_MAX: usize = 1024;
/// Bytes of an object put in one request (5 GiB).
pub const BODY_BYTES_MAX: u64 = 5 << 30;
/// Bytes of an object put in parts (5 TiB).
pub const OBJECT_BYTES_MAX: u64 = 5 << 40;
/// The highest number of a part; the lowest is 1.
pub const PART_NUMBER_MAX: u16 = 10_000;
/// Bytes of every part but the last of a completed upload.
pub const PART_BYTES_MIN: u64 = 5 << 20;
/// Keys of one batched delete.
pub const DELETE_KEYS_MAX: usize = 1000;
/// Chunks that one reclaim command removes: each is looked up in apply, and other commands wait for that.
pub const RECLAIM_CHUNKS_MAX: u32 = 512;
/// Bodies that one reclaim command touches.
pub const RECLAIM_BODIES_MAX: usize = 256;
/// Chunks of a shard that are staged and named by no applied command.
pub const STAGED_CHUNKS_MAX: usize = 1 << 20;
/// Buckets whose figures a group keeps in memory.
pub const USAGES_CACHED_MAX: usize = 1024;
/// Buckets of which a group keeps in memory whether they are open, and keep versions.
pub const BUCKET_STATES_CACHED_MAX: usize = 1024;
/// Entries of one page of a listing.
pub const LIST_ENTRIES_MAX: usize = 1000;
/// Index entries that one page of a listing looks at.
pub const LIST_SCAN_MAX: usize = 8192;
/// Bytes of index keys and values that one page of a listing looks at.
pub const LIST_BYTES_MAX: usize = 4 << 20;
/// Groups of objects in a cluster, at least.
pub const GROUP_COUNT_MIN: u32 = 8;
/// Groups of objects in a cluster, at most.
pub const GROUP_COUNT_MAX: u32 = 1 << 16;

const _: () = {
    assert!(INLINE_BYTES_MAX < CHUNK_BYTES_MAX, "an inline object is smaller than a chunk");
    assert!(BODY_BYTES_MAX / CHUNK_BYTES_MAX < u32::MAX as u64, "chunk numbers fit in 32 bits");
    assert!(
        OBJECT_BYTES_MAX <= BODY_BYTES_MAX * PART_NUMBER_MAX as u64,
        "the largest object fits in the most parts"
    );
    assert!(KEY_BYTES_MAX * 2 + 64 <= 4096, "an escaped object key fits in an index key");
    assert!(LIST_SCAN_MAX > LIST_ENTRIES_MAX, "a page of plain keys is never cut by its work");
    assert!(GROUP_COUNT_MIN.is_power_of_two() && GROUP_COUNT_MAX.is_power_of_two());
};

/// The longest configuration of a bucket, in bytes.
pub const CONFIGURATION_BYTES_MAX: usize = 256 << 10;
/// The longest name of a target of events, in bytes.
pub const TARGET_NAME_BYTES_MAX: usize = 64;
/// Events that one command removes.
pub const EVENTS_REMOVED_MAX: usize = 1000;
/// The longest name of a record of IAM, in bytes.
pub const IAM_NAME_BYTES_MAX: usize = 512;
/// The longest record of IAM, in bytes.
pub const IAM_RECORD_BYTES_MAX: usize = 128 << 10;
/// Records of IAM that one command changes.
pub const IAM_CHANGES_MAX: usize = 1000;
