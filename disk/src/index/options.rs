//! What may be set of an index: every bound it keeps, with its unit.

use crate::segment::{EXTENT_DATA_BYTES_MAX, EXTENT_KEY_BYTES_MAX};

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 4096;
/// Longest value and longest inline payload, in bytes.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// Levels of tables: the first holds flushed tables as they come, each other one a sorted run.
pub(crate) const LEVEL_COUNT: usize = 7;

/// The bounds of one index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexOptions {
    /// Bytes of all memtables together, the active and the frozen ones.
    pub memtable_bytes_max: usize,
    /// Bytes of cached table blocks, filters and block indexes, as the first share of the budget.
    pub block_cache_bytes_max: usize,
    /// What the caller's cache of chunks brings into the same budget ([`crate::budget`]), in bytes.
    pub chunk_cache_bytes_max: usize,
    /// A data block is closed at this size.
    pub block_bytes: usize,
    /// A compaction closes a table at this size.
    pub table_bytes_max: u64,
    /// Inline payloads of this size and more move to data segments at flush; smaller ones stay in the table.
    pub inline_keep_bytes: usize,
    /// This many flushed tables are merged into level one; up to twice as many where they are small beside it.
    pub level_zero_tables: usize,
    /// With this many flushed tables, a flush compacts before it adds another.
    pub level_zero_tables_max: usize,
    /// What level one holds before it spills into level two, in bytes.
    pub level_one_bytes: u64,
    /// How many times more each further level holds.
    pub level_ratio: u64,
    /// The table manifest is rewritten when so many bytes are full in each of its two files.
    pub manifest_bytes: u64,
    /// A segment with a smaller share of live bytes than this is reclaimed, in percent.
    pub reclaim_percent: u32,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self {
            memtable_bytes_max: 64 << 20,
            block_cache_bytes_max: 64 << 20,
            chunk_cache_bytes_max: 0,
            block_bytes: 16 << 10,
            table_bytes_max: 32 << 20,
            inline_keep_bytes: 256,
            level_zero_tables: 4,
            level_zero_tables_max: 16,
            level_one_bytes: 64 << 20,
            level_ratio: 10,
            manifest_bytes: 512 << 10,
            reclaim_percent: 50,
        }
    }
}

const _: () = assert!(VALUE_BYTES_MAX <= EXTENT_DATA_BYTES_MAX);
const _: () = assert!(KEY_BYTES_MAX <= EXTENT_KEY_BYTES_MAX);
const _: () =
    assert!(KEY_BYTES_MAX <= u16::MAX as usize, "the manifest has 16 bits for a key's length");
