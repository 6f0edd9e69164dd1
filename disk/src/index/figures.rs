//! What an index tells of itself.

use crate::{
    device::Directory,
    index::{
        Index,
        cache::{CacheFigures, Use},
        memory,
    },
};

/// Counts since the start, and sizes now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexFigures {
    /// Bytes of all memtables.
    pub memtable_bytes: usize,
    /// Memtables being flushed.
    pub frozen_count: usize,
    /// Tables, per level.
    pub level_tables: Vec<usize>,
    /// Bytes of tables, per level.
    pub level_bytes: Vec<u64>,
    /// Entries of all tables, tombstones and shadowed ones included.
    pub entry_count: u64,
    /// Tombstones of all tables.
    pub tombstone_count: u64,
    /// Replaced sets of tables that a view or reader still holds.
    pub retired_count: usize,
    /// Bytes in the block cache.
    pub cache_bytes: usize,
    /// Filters and block indexes looked for in the cache.
    pub metadata_cache: CacheFigures,
    /// Blocks of single keys looked for in the cache.
    pub point_cache: CacheFigures,
    /// Blocks of walks looked for in the cache.
    pub scan_cache: CacheFigures,
    /// Short payloads in data segments looked for in the cache.
    pub payload_cache: CacheFigures,
    /// Device reads of tables: blocks, filters, block indexes, windows of compaction.
    pub table_reads: u64,
    /// Filters asked for a key.
    pub filter_checks: u64,
    /// Tables that a filter ruled out.
    pub filter_skips: u64,
    /// Flushes done.
    pub flushes: u64,
    /// Bytes of tables that flushes wrote.
    pub flushed_bytes: u64,
    /// Compactions done, moves not counted.
    pub compactions: u64,
    /// Bytes of tables that compactions wrote.
    pub compacted_bytes: u64,
    /// Payload bytes that reclaim moved.
    pub relocated_bytes: u64,
    /// Segments with extents that could not be read.
    pub damaged_segments: Vec<u32>,
    /// Tables that compaction could not read: they stay where they are.
    pub damaged_tables: Vec<u32>,
    /// Tables with keys that were removed by a range and are not yet rewritten without them.
    pub trimmed_tables: usize,
}

impl<D: Directory> Index<D> {
    /// Its figures now.
    pub fn figures(&self) -> IndexFigures {
        let shared = &self.0;
        let state = shared.state.borrow();
        let levels = &state.version.levels;
        IndexFigures {
            memtable_bytes: memory(&state),
            frozen_count: state.frozen.len(),
            level_tables: levels.iter().map(Vec::len).collect(),
            level_bytes: levels
                .iter()
                .map(|level| level.iter().map(|table| table.meta.bytes).sum())
                .collect(),
            entry_count: state.version.tables().map(|table| table.meta.entries).sum(),
            tombstone_count: state.version.tables().map(|table| table.meta.tombstones).sum(),
            retired_count: state.retired.len(),
            cache_bytes: shared.cache.bytes(),
            metadata_cache: shared.cache.figures(Use::Metadata),
            point_cache: shared.cache.figures(Use::Point),
            scan_cache: shared.cache.figures(Use::Scan),
            payload_cache: shared.cache.figures(Use::Payload),
            table_reads: shared.cache.reads.get(),
            filter_checks: shared.cache.filter_checks.get(),
            filter_skips: shared.cache.filter_skips.get(),
            flushes: shared.counters.flushes.get(),
            flushed_bytes: shared.counters.flushed_bytes.get(),
            compactions: shared.counters.compactions.get(),
            compacted_bytes: shared.counters.compacted_bytes.get(),
            relocated_bytes: shared.counters.relocated_bytes.get(),
            damaged_segments: state.damaged.iter().copied().collect(),
            damaged_tables: state.version.damaged.iter().copied().collect(),
            trimmed_tables: state.version.hidden.len(),
        }
    }
}
