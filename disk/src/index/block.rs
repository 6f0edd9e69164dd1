//! A sorted block of keys and values, prefix-compressed: the content of data blocks and of block indexes.
//!
//! | bytes | what |
//! | --- | --- |
//! | .. | entries: varint shared, varint unshared, varint value length, the unshared key bytes, the value |
//! | 4 each | restarts: offsets of the entries that share nothing, every 16th |
//! | 4 | how many restarts |
//!
//! A search is binary over the restarts, then steps through at most 16 entries.

use bytes::Bytes;

use crate::index::codec::{Malformed, Reader, put_varint};

/// Every how many entries the whole key is written.
const RESTART_INTERVAL: usize = 16;
const WORD_BYTES: usize = 4;

/// Collects one block, keys ascending.
#[derive(Debug, Default)]
pub(crate) struct BlockWriter {
    content: Vec<u8>,
    restarts: Vec<u32>,
    key: Vec<u8>,
    since_restart: usize,
}

impl BlockWriter {
    /// Adds an entry. Keys must ascend.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        let first = self.content.is_empty();
        assert!(first || key > self.key.as_slice(), "keys of a block ascend");
        let restart = first || self.since_restart == RESTART_INTERVAL;
        if restart {
            self.restarts
                .push(u32::try_from(self.content.len()).expect("a block is far below 4 GiB"));
            self.since_restart = 0;
        }
        self.since_restart += 1;
        let shared = if restart { 0 } else { shared_length(&self.key, key) };
        put_varint(&mut self.content, shared as u64);
        put_varint(&mut self.content, (key.len() - shared) as u64);
        put_varint(&mut self.content, value.len() as u64);
        self.content.extend_from_slice(&key[shared..]);
        self.content.extend_from_slice(value);
        self.key.clear();
        self.key.extend_from_slice(key);
    }

    /// How long the content would be.
    pub(crate) fn length(&self) -> usize {
        self.content.len() + (self.restarts.len() + 1) * WORD_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// The last key added.
    pub(crate) fn last_key(&self) -> &[u8] {
        &self.key
    }

    /// The content; the writer is empty again.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let mut content = std::mem::take(&mut self.content);
        for restart in &self.restarts {
            content.extend_from_slice(&restart.to_le_bytes());
        }
        let count = u32::try_from(self.restarts.len()).expect("a block is far below 4 GiB");
        content.extend_from_slice(&count.to_le_bytes());
        self.restarts.clear();
        self.since_restart = 0;
        content
    }
}

/// A place in a block: on an entry, or past the last one.
#[derive(Clone, Debug)]
pub(crate) struct BlockCursor {
    content: Bytes,
    entries_bytes: usize,
    restart_count: usize,
    next: usize,
    key: Vec<u8>,
    value: Option<(usize, usize)>,
}

impl BlockCursor {
    /// A cursor before the first entry.
    pub(crate) fn new(content: Bytes) -> Result<Self, Malformed> {
        let (body, count) =
            content.split_last_chunk::<WORD_BYTES>().ok_or(Malformed("a block has no restarts"))?;
        let restart_count = u32::from_le_bytes(*count) as usize;
        let entries_bytes = restart_count
            .checked_mul(WORD_BYTES)
            .and_then(|bytes| body.len().checked_sub(bytes))
            .ok_or(Malformed("a block's restarts don't fit it"))?;
        Ok(Self { entries_bytes, restart_count, next: 0, key: Vec::new(), value: None, content })
    }

    /// Goes to the first entry whose key is `key` or greater; false where there is none.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<bool, Malformed> {
        let (mut low, mut high) = (0, self.restart_count);
        while low + 1 < high {
            let middle = low.midpoint(high);
            if self.restart_key(middle)? <= key {
                low = middle;
            } else {
                high = middle;
            }
        }
        self.next = if self.restart_count == 0 { self.entries_bytes } else { self.restart(low)? };
        self.key.clear();
        while self.advance()? {
            if self.key.as_slice() >= key {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Goes to the next entry; false past the last one.
    pub(crate) fn advance(&mut self) -> Result<bool, Malformed> {
        if self.next >= self.entries_bytes {
            self.value = None;
            return Ok(false);
        }
        let source = self
            .content
            .get(self.next..self.entries_bytes)
            .ok_or(Malformed("an entry lies outside"))?;
        let mut reader = Reader::new(source);
        let (shared, unshared, value_bytes) =
            (reader.length()?, reader.length()?, reader.length()?);
        if shared > self.key.len() {
            return Err(Malformed("an entry shares more than there is"));
        }
        let suffix = reader.take(unshared)?;
        self.key.truncate(shared);
        self.key.extend_from_slice(suffix);
        let start = self.entries_bytes - reader.rest().len();
        reader.take(value_bytes)?;
        self.value = Some((start, start + value_bytes));
        self.next = start + value_bytes;
        Ok(true)
    }

    /// The key it stands on.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.value.map(|_| self.key.as_slice())
    }

    /// The value it stands on, in the block's memory.
    pub(crate) fn stored(&self) -> Option<&[u8]> {
        self.value.map(|(start, end)| &self.content[start..end])
    }

    /// The value it stands on, sharing the block's memory.
    pub(crate) fn value(&self) -> Option<Bytes> {
        self.value.map(|(start, end)| self.content.slice(start..end))
    }

    fn restart(&self, position: usize) -> Result<usize, Malformed> {
        let start = self.entries_bytes + position * WORD_BYTES;
        let bytes = self
            .content
            .get(start..start + WORD_BYTES)
            .ok_or(Malformed("a restart lies outside"))?;
        Ok(Reader::new(bytes).u32()? as usize)
    }

    fn restart_key(&self, position: usize) -> Result<&[u8], Malformed> {
        let start = self.restart(position)?;
        let source = self
            .content
            .get(start..self.entries_bytes)
            .ok_or(Malformed("a restart lies outside"))?;
        let mut reader = Reader::new(source);
        let (shared, unshared, _) = (reader.length()?, reader.length()?, reader.length()?);
        if shared != 0 {
            return Err(Malformed("a restart shares a prefix"));
        }
        reader.take(unshared)
    }
}

fn shared_length(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{BlockCursor, BlockWriter};

    fn block(count: usize) -> (Vec<Vec<u8>>, Bytes) {
        let keys: Vec<Vec<u8>> =
            (0..count).map(|n| format!("key/{:05}", n * 2).into_bytes()).collect();
        let mut writer = BlockWriter::default();
        for key in &keys {
            writer.add(key, &key[4..]);
        }
        let length = writer.length();
        let content = writer.finish();
        assert_eq!(content.len(), length);
        assert!(writer.is_empty());
        (keys, Bytes::from(content))
    }

    #[test]
    fn every_key_is_found_and_every_gap_gives_the_next() {
        for count in [1, 2, 15, 16, 17, 33, 200] {
            let (keys, content) = block(count);
            let mut cursor = BlockCursor::new(content).unwrap();
            for (position, key) in keys.iter().enumerate() {
                assert!(cursor.seek(key).unwrap());
                assert_eq!(cursor.key().unwrap(), key);
                assert_eq!(cursor.value().unwrap(), &key[4..]);
                let mut after = key.clone();
                after.push(0);
                assert_eq!(cursor.seek(&after).unwrap(), position + 1 < count);
                assert_eq!(cursor.key(), keys.get(position + 1).map(Vec::as_slice));
            }
        }
    }

    #[test]
    fn a_walk_gives_all_in_order() {
        let (keys, content) = block(70);
        let mut cursor = BlockCursor::new(content).unwrap();
        let mut seen = Vec::new();
        while cursor.advance().unwrap() {
            seen.push(cursor.key().unwrap().to_vec());
        }
        assert_eq!(seen, keys);
        assert!(cursor.key().is_none());
    }

    #[test]
    fn golden_bytes() {
        let mut writer = BlockWriter::default();
        writer.add(b"ab", b"1");
        writer.add(b"ac", b"22");
        let expected =
            [0, 2, 1, b'a', b'b', b'1', 1, 1, 2, b'c', b'2', b'2', 0, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(writer.finish(), expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic() {
        let (_, content) = block(40);
        for position in 0..content.len() {
            for mask in [1_u8, 0x80, 0xff] {
                let mut damaged = content.to_vec();
                damaged[position] ^= mask;
                let Ok(mut cursor) = BlockCursor::new(Bytes::from(damaged)) else { continue };
                let _found = cursor.seek(b"key/00030");
                let walked = (0..100).take_while(|_| matches!(cursor.advance(), Ok(true))).count();
                assert!(walked <= 100);
            }
        }
    }
}
