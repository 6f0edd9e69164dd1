//! Payloads: reading them where they are, and moving them to data segments.

use std::ops::Range;

use bytes::Bytes;

use crate::{
    device::Directory,
    error::Error,
    index::entry::{Change, Payload},
    segment::{Class, Extent, Segments},
};

/// Payload bytes moved in one piece of work.
pub(crate) const MOVE_BYTES_MAX: u64 = 1 << 20;
/// Entries handled in one piece of work.
pub(crate) const MOVE_ENTRIES_MAX: usize = 256;

/// The longest payload that the block cache takes, in bytes: whoever has longer ones caches them by other rules.
const CACHED_BYTES_MAX: u32 = 32 << 10;

/// Keys with their changes, ascending: one piece of work of a flush or compaction.
pub(crate) type Lot = Vec<(Bytes, Change)>;

/// Reads `range` of a payload.
pub(crate) async fn read_payload<D: Directory>(
    segments: &Segments<D>,
    key: &[u8],
    payload: &Payload,
    range: Range<u32>,
) -> Result<Bytes, Error> {
    if range.start > range.end || u64::from(range.end) > payload.length() {
        let (found, limit) = (u64::from(range.start.max(range.end)), payload.length());
        return Err(Error::Limit {
            what: "the end of a range of a payload, in bytes,",
            found,
            limit,
        });
    }
    if range.is_empty() {
        return Ok(Bytes::new());
    }
    match payload {
        Payload::None => Ok(Bytes::new()),
        Payload::Inline(bytes) => Ok(bytes.slice(range.start as usize..range.end as usize)),
        Payload::Extent(extent) => segments.read(*extent, key, range).await,
    }
}

/// Where a payload lies of which the block cache may have `range`: just all of it.
pub(crate) fn cached_extent(payload: &Payload, range: &Range<u32>) -> Option<Extent> {
    let Payload::Extent(extent) = payload else { return None };
    let is_whole = *range == (0..extent.data_bytes);
    (is_whole && extent.data_bytes <= CACHED_BYTES_MAX).then_some(*extent)
}

/// Moves inline payloads of `keep_bytes` and more to data segments. The new extents, pinned, are added to `moved`.
pub(crate) async fn move_inline<D: Directory>(
    segments: &Segments<D>,
    lot: &mut Lot,
    keep_bytes: usize,
    moved: &mut Vec<Extent>,
) -> Result<(), Error> {
    let mut places = Vec::new();
    let mut items = Vec::new();
    for (position, (key, change)) in lot.iter().enumerate() {
        if let Some(entry) = change
            && let Payload::Inline(bytes) = &entry.payload
            && bytes.len() >= keep_bytes.max(1)
        {
            places.push(position);
            items.push((key.clone(), bytes.clone()));
        }
    }
    let extents = if items.is_empty() { Vec::new() } else { segments.append(items).await? };
    replace(lot, &places, extents, moved);
    Ok(())
}

/// Moves the extents of `segment` elsewhere, in its class. Returns false where one could not be read: it stays where it is.
pub(crate) async fn move_extents<D: Directory>(
    segments: &Segments<D>,
    lot: &mut Lot,
    segment: u32,
    moved: &mut Vec<Extent>,
) -> Result<bool, Error> {
    let mut places = Vec::new();
    let mut items = Vec::new();
    let mut sound = true;
    for (position, (key, change)) in lot.iter().enumerate() {
        let Some(extent) = in_segment(change, segment) else { continue };
        match segments.read(extent, key, 0..extent.data_bytes).await {
            Ok(data) => {
                places.push(position);
                items.push((key.clone(), data));
            }
            // A bad sector is no reason to end storage: what can be read is read, by clients as here.
            Err(Error::Corrupt { .. } | Error::Device { .. }) => sound = false,
            Err(error) => return Err(error),
        }
    }
    let class = Class::of_segment(segment);
    let extents =
        if items.is_empty() { Vec::new() } else { segments.move_to(class, items).await? };
    replace(lot, &places, extents, moved);
    Ok(sound)
}

/// The extent of a change, if it lies in `segment`.
pub(crate) fn in_segment(change: &Change, segment: u32) -> Option<Extent> {
    match change.as_ref()?.payload {
        Payload::Extent(extent) if extent.segment == segment => Some(extent),
        Payload::Extent(_) | Payload::None | Payload::Inline(_) => None,
    }
}

/// Has the entries at these places refer to new extents, which are added to `moved`.
fn replace(lot: &mut Lot, places: &[usize], extents: Vec<Extent>, moved: &mut Vec<Extent>) {
    assert_eq!(extents.len(), places.len(), "an extent for each item");
    moved.extend(&extents);
    for (position, extent) in places.iter().zip(extents) {
        if let Some((_, Some(entry))) = lot.get_mut(*position) {
            entry.payload = Payload::Extent(extent);
        }
    }
}
