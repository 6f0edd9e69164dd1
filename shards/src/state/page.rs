//! Pages of listings, and the positions between their entries.

use bytes::Bytes;

use super::keys;
use crate::object::UploadId;

/// A place between two keys of a bucket, where a listing begins or goes on. Positions compare as the keys around them.
///
/// Its bytes are stable: a continuation token may carry them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    bytes: Bytes,
    /// Behind these bytes and before all others that are greater: so the end of an entry is in the memory of its key.
    is_behind: bool,
}

/// One page of a listing: complete and in order from where it was asked to begin up to `next`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage<T> {
    /// Keys and common prefixes in order of their bytes.
    pub entries: Vec<ListEntry<T>>,
    /// Where to go on; none at the end. A page may be short, even empty, and have a next: its work is bounded.
    pub next: Option<Position>,
}

/// An entry, and the position behind it and all that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry<T> {
    /// What is here.
    pub listed: Listed<T>,
    /// Where a listing goes on that has this entry.
    pub end: Position,
}

/// What a listing finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed<T> {
    /// A key and what is under it.
    Item {
        /// The object key.
        key: String,
        /// The object, or an upload of it.
        value: T,
    },
    /// All keys that begin with this, up to and with the delimiter.
    Prefix(String),
}

impl Position {
    /// Before all keys.
    pub fn start() -> Self {
        Self::default()
    }

    /// Behind a key, and all uploads of it.
    pub fn after_key(key: &str) -> Self {
        let mut bytes = keys::escape(key);
        // Above 00 01, the key's own end, and below 00 FF, a longer key.
        bytes.extend_from_slice(&[0x00, 0x02]);
        Self::at(bytes)
    }

    /// Behind what lies at these bytes of an index key, and before all else that is behind them.
    pub(super) fn behind(bytes: Bytes) -> Self {
        Self { bytes, is_behind: true }
    }

    /// Behind all keys that begin with a prefix, which isn't empty.
    pub fn after_prefix(prefix: &str) -> Self {
        let bytes = keys::successor(keys::escape(prefix));
        Self::at(bytes.expect("text that isn't empty has no byte FF but after 00"))
    }

    /// Behind an upload of a key.
    pub fn after_upload(key: &str, upload: UploadId) -> Self {
        let mut bytes = keys::place(key);
        #[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
        bytes.extend_from_slice(&upload.0.to_be_bytes());
        bytes.push(0x00);
        Self::at(bytes)
    }

    /// Behind a version of a key, and before all older ones of it.
    #[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
    pub fn after_version(key: &str, sequence: u64) -> Self {
        let mut bytes = keys::place(key);
        bytes.extend_from_slice(&(!sequence).to_be_bytes());
        bytes.push(0x00);
        Self::at(bytes)
    }

    /// Where S3's `marker`, `start-after` and `key-marker` point: behind the key, or, where the marker is just a common
    /// prefix as a page before returned it, behind all that it stands for.
    pub fn after_marker(marker: &str, prefix: &str, delimiter: Option<&str>) -> Self {
        let common = delimiter.and_then(|delimiter| common_prefix(marker, prefix, delimiter));
        match common {
            Some(common) if common == marker => Self::after_prefix(marker),
            Some(_) | None if marker.is_empty() => Self::start(),
            Some(_) | None => Self::after_key(marker),
        }
    }

    /// For a token.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        bytes.extend(self.is_behind.then_some(0x00));
        bytes
    }

    /// From a token. Any bytes are a position somewhere.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self { bytes, is_behind: false }
    }

    fn at(bytes: Vec<u8>) -> Self {
        Self::from_bytes(Bytes::from(bytes))
    }
}

impl<T> ListEntry<T> {
    pub(super) fn item(key: String, end: Position, value: T) -> Self {
        Self { listed: Listed::Item { key, value }, end }
    }

    pub(super) fn prefix(prefix: String) -> Self {
        let end = Position::after_prefix(&prefix);
        Self { listed: Listed::Prefix(prefix), end }
    }

    /// The key, or the prefix.
    pub fn name(&self) -> &str {
        match &self.listed {
            Listed::Item { key, .. } => key,
            Listed::Prefix(prefix) => prefix,
        }
    }

    /// The last position of which it is known that nothing before it belongs to this entry.
    pub(super) fn start(&self) -> Position {
        match &self.listed {
            // Nothing is between an item and its end.
            Listed::Item { .. } => self.end.clone(),
            Listed::Prefix(prefix) => Position::at(keys::escape(prefix)),
        }
    }
}

/// The prefix that a key is counted under: up to and with the first delimiter behind `prefix`.
pub(super) fn common_prefix<'a>(key: &'a str, prefix: &str, delimiter: &str) -> Option<&'a str> {
    let rest = key.strip_prefix(prefix)?;
    let at = rest.find(delimiter).filter(|_| !delimiter.is_empty())?;
    key.get(..prefix.len() + at + delimiter.len())
}
