//! How much of a table a walk reads at once.
//!
//! A walk that needs the block where a read ended is in sequence, and likely to go on: it reads twice as much as that
//! read did, up to [`WINDOW_BYTES`]. One that leaps, as a listing with a delimiter does, never comes to where a read
//! ended, and reads block by block. One that finds gone again what was read ahead reads half as much: more walks are
//! under way than there is room for.
//!
//! A long listing is many scans, one a page. So what was read last is kept here, by table and offset, and not with a
//! cursor; and what was read ahead is kept in the cache.

use std::{cell::RefCell, collections::BTreeMap};

use crate::index::cache::Place;

/// The most that is read at once, in bytes.
pub(crate) const WINDOW_BYTES: u64 = 128 << 10;
/// Sequences that are followed. Each walk has one a level, and one a flushed table.
const SEQUENCE_COUNT_MAX: usize = 256;

/// The sequences of one index, by table and where their last read ended.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead(RefCell<Sequences>);

#[derive(Debug, Default)]
struct Sequences {
    by_end: BTreeMap<Place, Sequence>,
    /// Counts reads: which sequence is the oldest.
    ticks: u64,
}

#[derive(Clone, Copy, Debug)]
struct Sequence {
    start: u64,
    window_bytes: u64,
    tick: u64,
}

impl ReadAhead {
    /// How many bytes to read from `place` on, where a walk needs a block of `block_bytes` that is not in the cache:
    /// no fewer than these, and, if they are fewer than `bytes_max`, no more than that.
    pub(crate) fn window_bytes(&self, place: Place, block_bytes: u64, bytes_max: u64) -> u64 {
        let sequences = &mut *self.0.borrow_mut();
        let (file, offset) = place;
        let next = sequences.by_end.range(place..=(file, u64::MAX)).next();
        let window = match next.map(|(end, sequence)| (*end, *sequence)) {
            Some((end, sequence)) if end == place => {
                sequences.by_end.remove(&end);
                sequence.window_bytes.saturating_mul(2)
            }
            Some((end, sequence)) if sequence.start < offset => {
                sequences.by_end.remove(&end);
                sequence.window_bytes / 2
            }
            Some(_) | None => 0,
        };
        window.min(bytes_max).max(block_bytes)
    }

    /// A walk reads from `place` to before `end`, as far as whole blocks go in a window of `window_bytes`.
    pub(crate) fn note(&self, place: Place, end: u64, window_bytes: u64) {
        let sequences = &mut *self.0.borrow_mut();
        sequences.ticks += 1;
        let sequence = Sequence { start: place.1, window_bytes, tick: sequences.ticks };
        sequences.by_end.insert((place.0, end), sequence);
        if sequences.by_end.len() > SEQUENCE_COUNT_MAX {
            let oldest = sequences.by_end.iter().min_by_key(|(_, sequence)| sequence.tick);
            if let Some(oldest) = oldest.map(|(end, _)| *end) {
                sequences.by_end.remove(&oldest);
            }
        }
    }

    /// A walk found in the cache the block from `place` to before `end`: a sequence that ended there goes on behind it.
    pub(crate) fn pass(&self, place: Place, end: u64) {
        let sequences = &mut *self.0.borrow_mut();
        if let Some(sequence) = sequences.by_end.remove(&place) {
            sequences.by_end.insert((place.0, end), sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ReadAhead, SEQUENCE_COUNT_MAX, WINDOW_BYTES};
    use crate::index::cache::File::Table;

    const BLOCK: u64 = 16 << 10;

    /// Reads at `offset` of `table`; returns how many blocks.
    fn read(ahead: &ReadAhead, table: u32, offset: u64) -> u64 {
        let window = ahead.window_bytes((Table(table), offset), BLOCK, WINDOW_BYTES);
        ahead.note((Table(table), offset), offset + window, window);
        window / BLOCK
    }

    #[test]
    fn a_sequence_doubles_up_to_the_window_and_a_leap_reads_one_block() {
        let ahead = ReadAhead::default();
        let mut offset = 0;
        let mut sizes = Vec::new();
        for _ in 0..6 {
            sizes.push(read(&ahead, 1, offset));
            offset += sizes.last().unwrap() * BLOCK;
        }
        assert_eq!(sizes, [1, 2, 4, 8, 8, 8]);
        assert_eq!(read(&ahead, 1, offset + BLOCK), 1, "it leaped");
        assert_eq!(read(&ahead, 2, offset), 1, "another table");
        assert_eq!(read(&ahead, 1, offset), 8, "the first walk goes on");
    }

    #[test]
    fn blocks_that_are_in_the_cache_are_passed() {
        let ahead = ReadAhead::default();
        assert_eq!(read(&ahead, 1, 0), 1);
        ahead.pass((Table(1), BLOCK), 2 * BLOCK);
        ahead.pass((Table(1), 5 * BLOCK), 6 * BLOCK);
        assert_eq!(read(&ahead, 1, 2 * BLOCK), 2);
    }

    #[test]
    fn what_was_read_ahead_and_is_gone_is_read_in_smaller_pieces() {
        let ahead = ReadAhead::default();
        for offset in [0, 1, 3, 7] {
            read(&ahead, 1, offset * BLOCK);
        }
        assert_eq!(read(&ahead, 1, 8 * BLOCK), 4, "of the eight from 7 on one was still there");
        assert_eq!(read(&ahead, 1, 9 * BLOCK), 2);
    }

    #[test]
    fn the_oldest_sequence_is_forgotten() {
        let ahead = ReadAhead::default();
        let tables = u32::try_from(SEQUENCE_COUNT_MAX).unwrap() + 1;
        for table in 0..tables {
            read(&ahead, table, 0);
        }
        assert_eq!(ahead.0.borrow().by_end.len(), SEQUENCE_COUNT_MAX);
        assert_eq!(read(&ahead, 0, BLOCK), 1);
        assert_eq!(read(&ahead, tables - 1, BLOCK), 2);
    }
}
