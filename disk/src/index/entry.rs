//! What a key holds, and its form inside a data block.
//!
//! A stored change:
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | kind: 0 tombstone, 1 no payload, 2 inline payload, 3 extent |
//! | varint + n | the value (not after 0) |
//! | varint + n | the payload (after 2) |
//! | 16 | the extent (after 3) |

use bytes::Bytes;

use crate::{
    index::{
        codec::{Malformed, Reader, put_slice},
        options::{KEY_BYTES_MAX, VALUE_BYTES_MAX},
    },
    segment::Extent,
};

const TOMBSTONE: u8 = 0;
const NO_PAYLOAD: u8 = 1;
const INLINE: u8 = 2;
const EXTENT: u8 = 3;

/// Bytes that belong to an entry but are not read with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// None.
    None,
    /// In memory or in the table. At flush, long ones move to a data segment.
    Inline(Bytes),
    /// In a data segment, under the same key.
    Extent(Extent),
}

impl Payload {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Extent(extent) => u64::from(extent.data_bytes),
        }
    }
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Read with the key.
    pub value: Bytes,
    /// Read on demand, by [`crate::index::Index::payload`].
    pub payload: Payload,
}

/// What became of a key: an entry, or a tombstone.
pub(crate) type Change = Option<Entry>;

/// Changes that are visible together.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) changes: Vec<(Bytes, Change)>,
    /// Payload bytes in segments that its deletes let go of.
    pub(crate) released_bytes: u64,
}

impl Batch {
    /// Sets a key. With [`Payload::Extent`] one pin of the extent passes to the index.
    ///
    /// # Panics
    ///
    /// Keys have 1 to [`KEY_BYTES_MAX`] bytes, values and inline payloads up to [`VALUE_BYTES_MAX`].
    pub fn put(&mut self, key: Bytes, entry: Entry) {
        assert!((1..=KEY_BYTES_MAX).contains(&key.len()), "key of {} bytes", key.len());
        assert!(entry.value.len() <= VALUE_BYTES_MAX, "value of {} bytes", entry.value.len());
        if let Payload::Inline(bytes) = &entry.payload {
            assert!(bytes.len() <= VALUE_BYTES_MAX, "inline payload of {} bytes", bytes.len());
        }
        self.changes.push((key, Some(entry)));
    }

    /// Deletes a key.
    ///
    /// # Panics
    ///
    /// Keys have 1 to [`KEY_BYTES_MAX`] bytes.
    pub fn delete(&mut self, key: Bytes) {
        assert!((1..=KEY_BYTES_MAX).contains(&key.len()), "key of {} bytes", key.len());
        self.changes.push((key, None));
    }

    /// Deletes a key with a payload of `bytes` in a segment, so that upkeep knows what there is to be won before tables
    /// are compacted.
    ///
    /// # Panics
    ///
    /// As [`Self::delete`].
    pub fn release(&mut self, key: Bytes, bytes: u64) {
        self.delete(key);
        self.released_bytes += bytes;
    }

    /// How many changes it has.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// Appends the stored form of `change`.
pub(crate) fn encode_change(change: &Change, target: &mut Vec<u8>) {
    let Some(entry) = change else {
        target.push(TOMBSTONE);
        return;
    };
    match &entry.payload {
        Payload::None => {
            target.push(NO_PAYLOAD);
            put_slice(target, &entry.value);
        }
        Payload::Inline(bytes) => {
            target.push(INLINE);
            put_slice(target, &entry.value);
            put_slice(target, bytes);
        }
        Payload::Extent(extent) => {
            target.push(EXTENT);
            put_slice(target, &entry.value);
            target.extend_from_slice(&extent.encode());
        }
    }
}

/// An entry in the memory of a block or memtable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) value: &'a [u8],
    pub(crate) payload: StoredPayload<'a>,
}

/// Its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StoredPayload<'a> {
    None,
    Inline(&'a [u8]),
    Extent(Extent),
}

impl<'a> From<&'a Entry> for Stored<'a> {
    fn from(entry: &'a Entry) -> Self {
        let payload = match &entry.payload {
            Payload::None => StoredPayload::None,
            Payload::Inline(bytes) => StoredPayload::Inline(bytes),
            Payload::Extent(extent) => StoredPayload::Extent(*extent),
        };
        Self { value: &entry.value, payload }
    }
}

impl Stored<'_> {
    /// Bytes of value and inline payload.
    pub(crate) fn held_bytes(&self) -> usize {
        let inline = match self.payload {
            StoredPayload::Inline(bytes) => bytes.len(),
            StoredPayload::None | StoredPayload::Extent(_) => 0,
        };
        self.value.len() + inline
    }
}

/// Reads a stored change; value and payload share the memory of `source`.
pub(crate) fn decode_change(source: &Bytes) -> Result<Change, Malformed> {
    let Some(stored) = decode_stored(source)? else { return Ok(None) };
    let payload = match stored.payload {
        StoredPayload::None => Payload::None,
        StoredPayload::Inline(bytes) => Payload::Inline(source.slice_ref(bytes)),
        StoredPayload::Extent(extent) => Payload::Extent(extent),
    };
    Ok(Some(Entry { value: source.slice_ref(stored.value), payload }))
}

/// Reads a stored change where it is; none is a tombstone.
pub(crate) fn decode_stored(source: &[u8]) -> Result<Option<Stored<'_>>, Malformed> {
    let mut reader = Reader::new(source);
    let kind = reader.u8()?;
    let stored = if kind == TOMBSTONE {
        None
    } else {
        let value = reader.slice()?;
        let payload = match kind {
            NO_PAYLOAD => StoredPayload::None,
            INLINE => StoredPayload::Inline(reader.slice()?),
            EXTENT => StoredPayload::Extent(Extent::decode(reader.array()?)),
            _ => return Err(Malformed("an entry is of an unknown kind")),
        };
        Some(Stored { value, payload })
    };
    if reader.is_empty() {
        Ok(stored)
    } else {
        Err(Malformed("an entry is followed by more bytes"))
    }
}

/// The same entry in memory of its own, so that it doesn't hold on to the block it was read from.
pub(crate) fn detach(entry: &Entry) -> Entry {
    Entry {
        value: Bytes::copy_from_slice(&entry.value),
        payload: match &entry.payload {
            Payload::Inline(bytes) => Payload::Inline(Bytes::copy_from_slice(bytes)),
            other @ (Payload::None | Payload::Extent(_)) => other.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Change, Entry, Payload, decode_change, encode_change};
    use crate::segment::Extent;

    fn samples() -> Vec<Change> {
        let extent = Extent { segment: 7, offset: 4096, header_bytes: 60, data_bytes: 9000 };
        [Payload::None, Payload::Inline(Bytes::from_static(b"body")), Payload::Extent(extent)]
            .into_iter()
            .map(|payload| Some(Entry { value: Bytes::from_static(b"value"), payload }))
            .chain([None])
            .collect()
    }

    #[test]
    fn changes_come_back_and_cut_ones_are_refused() {
        for change in samples() {
            let mut bytes = Vec::new();
            encode_change(&change, &mut bytes);
            assert_eq!(decode_change(&Bytes::from(bytes.clone())), Ok(change));
            for length in 0..bytes.len() {
                decode_change(&Bytes::copy_from_slice(&bytes[..length])).unwrap_err();
            }
            bytes.push(0);
            decode_change(&Bytes::from(bytes)).unwrap_err();
        }
    }

    #[test]
    fn golden_bytes() {
        let mut bytes = Vec::new();
        let entry = Entry {
            value: Bytes::from_static(b"v"),
            payload: Payload::Inline(Bytes::from_static(b"pq")),
        };
        encode_change(&Some(entry), &mut bytes);
        assert_eq!(bytes, [2, 1, b'v', 2, b'p', b'q']);
    }
}
