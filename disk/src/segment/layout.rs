//! How the items of one append lie in writes: small ones packed, large ones on sectors.
//!
//! Every write begins at a sector and is whole sectors, so that no write touches a sector of another. Packed extents
//! begin at multiples of [`PACK_BYTES`], where a scan looks for them. Data of [`ALIGNED_BYTES_MIN`] and more begins
//! at a sector, as does its header: a reader of a part gets whole blocks without a copy.

use std::ops::Range;

use bytes::Bytes;

use super::header::{
    EXTENT_DATA_BYTES_MAX, EXTENT_KEY_BYTES_MAX, HEADER_BYTES_MAX, header_bytes_min, length,
};
use crate::{device::SECTOR_BYTES, error::Error};

/// Data of this length, in bytes, and longer is aligned to sectors.
pub(super) const ALIGNED_BYTES_MIN: usize = 64 << 10;
/// The alignment of every header, in bytes.
pub(super) const PACK_BYTES: u32 = 8;

/// One write: some consecutive items of the append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Which items.
    pub(super) items: Range<usize>,
    /// For each of them, where its header begins in the write and how long it is, in bytes.
    pub(super) places: Vec<Place>,
    /// The length of the write, in bytes: whole sectors.
    pub(super) length: usize,
}

/// Where an item lies in its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: usize,
    pub(super) header_bytes: usize,
}

/// Lays items out into writes of at most `write_bytes_max`, unless one item alone is longer, and of at most
/// `segment_bytes` in any case.
pub(super) fn plan(
    items: &[(Bytes, Bytes)],
    write_bytes_max: usize,
    segment_bytes: usize,
) -> Result<Vec<Batch>, Error> {
    let bound = write_bytes_max.min(segment_bytes);
    let mut batches: Vec<Batch> = Vec::new();
    let mut open = Batch { items: 0..0, places: Vec::new(), length: 0 };
    let mut end = 0;
    for (index, (key, data)) in items.iter().enumerate() {
        check(key, data, segment_bytes)?;
        let (mut place, mut place_end) = place(end, key.len(), data.len());
        if place_end > bound && !open.places.is_empty() {
            let next = Batch { items: index..index, places: Vec::new(), length: 0 };
            batches.push(std::mem::replace(&mut open, next));
            (place, place_end) = self::place(0, key.len(), data.len());
        }
        end = place_end;
        open.items.end = index + 1;
        open.places.push(place);
        open.length = end.next_multiple_of(SECTOR_BYTES);
    }
    if !open.places.is_empty() {
        batches.push(open);
    }
    Ok(batches)
}

fn place(end: usize, key_bytes: usize, data_bytes: usize) -> (Place, usize) {
    let shortest = header_bytes_min(key_bytes, data_bytes);
    let place = if data_bytes < ALIGNED_BYTES_MIN {
        Place { offset: end.next_multiple_of(length(PACK_BYTES)), header_bytes: shortest }
    } else {
        let header_bytes = shortest.next_multiple_of(SECTOR_BYTES);
        Place { offset: end.next_multiple_of(SECTOR_BYTES), header_bytes }
    };
    (place, place.offset + place.header_bytes + data_bytes)
}

fn check(key: &Bytes, data: &Bytes, segment_bytes: usize) -> Result<(), Error> {
    let refuse = |what, found: usize, limit: usize| {
        let wide = |bytes| u64::try_from(bytes).unwrap_or(u64::MAX);
        Err(Error::Limit { what, found: wide(found), limit: wide(limit) })
    };
    if key.is_empty() || key.len() > EXTENT_KEY_BYTES_MAX {
        return refuse("the key of an extent, in bytes,", key.len(), EXTENT_KEY_BYTES_MAX);
    }
    let limit = EXTENT_DATA_BYTES_MAX.min(segment_bytes.saturating_sub(HEADER_BYTES_MAX));
    if data.len() > limit {
        return refuse("the data of an extent, in bytes,", data.len(), limit);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Batch, Place, plan};

    fn item(data_bytes: usize) -> (Bytes, Bytes) {
        (Bytes::from_static(b"key"), vec![1; data_bytes].into())
    }

    #[test]
    fn small_items_are_packed_and_large_ones_lie_on_sectors() {
        let batches = plan(&[item(1), item(10), item(1 << 16)], 1 << 20, 1 << 26).unwrap();
        let places = vec![
            Place { offset: 0, header_bytes: 39 },
            Place { offset: 40, header_bytes: 39 },
            Place { offset: 4096, header_bytes: 4096 },
        ];
        assert_eq!(batches, [Batch { items: 0..3, places, length: 8192 + (1 << 16) }]);
    }

    #[test]
    fn a_write_is_split_at_its_bound_and_never_inside_an_item() {
        let batches = plan(&[item(3000), item(3000), item(9000), item(10)], 8192, 1 << 20).unwrap();
        let cuts: Vec<_> =
            batches.iter().map(|batch| (batch.items.clone(), batch.length)).collect();
        assert_eq!(cuts, [(0..2, 8192), (2..3, 12288), (3..4, 4096)]);
    }

    #[test]
    fn lengths_beyond_the_limits_are_refused() {
        let long = Bytes::from(vec![0; 4097]);
        plan(&[(long, Bytes::new())], 1 << 20, 1 << 26).unwrap_err();
        plan(&[(Bytes::new(), Bytes::new())], 1 << 20, 1 << 26).unwrap_err();
        plan(&[item((8 << 20) + 1)], 1 << 20, 1 << 26).unwrap_err();
        plan(&[item(40_000)], 1 << 20, 1 << 15).unwrap_err();
    }
}
