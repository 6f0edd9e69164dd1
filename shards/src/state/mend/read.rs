//! What there is in a group, before it is compared with what refers to it.

use std::{collections::BTreeMap, ops::Range, vec};

use anode_disk::{
    Directory, Error,
    index::{Entry, ScanLimit},
};
use bytes::Bytes;

use super::chunks_of;
use crate::{
    limits::CHUNK_BYTES_MAX,
    object::{BodyId, ContentId},
    state::{Condemned, State, keys, read},
};

const PAGE: ScanLimit = ScanLimit { entries: 1000, bytes: 1 << 20 };

/// The contents and bodies of a group.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// How often chunks refer to each content that is there.
    pub(super) contents: BTreeMap<ContentId, u64>,
    pub(super) bodies: BTreeMap<BodyId, HeldBody>,
}

/// What is there of a body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeldBody {
    /// Its chunks that are there, and their bytes.
    chunk_count: u32,
    bytes: u64,
    /// The number behind its last chunk, there or not, and the bytes of that one.
    chunks_end: u32,
    last_bytes: u64,
    pub(super) is_named: bool,
}

impl Held {
    /// Reads the contents and chunks of a group. Chunks that refer to nothing are to go.
    pub(super) async fn read<D: Directory>(
        state: &State<D>,
        changes: &mut Vec<(Bytes, Option<Entry>)>,
    ) -> Result<Self, Error> {
        let mut lengths = BTreeMap::new();
        let mut entries = Entries::of(keys::all_contents(state.group));
        while let Some((key, entry)) = entries.next(state).await? {
            let content = key.get(5..).and_then(|name| name.try_into().ok()).map(ContentId);
            lengths.extend(content.map(|content| (content, entry.payload.length())));
        }
        let contents = lengths.keys().map(|content| (*content, 0)).collect();
        let mut held = Self { contents, bodies: BTreeMap::new() };
        let mut entries = Entries::of(keys::all_chunks(state.group));
        while let Some((key, entry)) = entries.next(state).await? {
            let content = read::content_id(&key, &entry)?;
            let Some((body, number)) = key.get(5..).and_then(keys::body_chunk) else { continue };
            held.bodies.entry(body).or_default().add(number, lengths.get(&content).copied());
            match held.contents.get_mut(&content) {
                Some(count) => *count += 1,
                None => changes.push((key, None)),
            }
        }
        Ok(held)
    }

    /// Whether all chunks of a body of so many bytes are there.
    pub(super) fn is_whole(&self, body: BodyId, bytes: u64) -> bool {
        let Some(chunk_count) = chunks_of(bytes) else { return false };
        match self.bodies.get(&body) {
            Some(found) => {
                (found.chunk_count, found.chunks_end, found.bytes)
                    == (chunk_count, chunk_count, bytes)
            }
            None => chunk_count == 0,
        }
    }

    pub(super) fn name(&mut self, bodies: impl Iterator<Item = BodyId>) {
        for body in bodies {
            if let Some(found) = self.bodies.get_mut(&body) {
                found.is_named = true;
            }
        }
    }
}

impl HeldBody {
    fn add(&mut self, number: u32, bytes: Option<u64>) {
        self.chunk_count += u32::from(bytes.is_some());
        self.bytes += bytes.unwrap_or(0);
        if number >= self.chunks_end {
            self.chunks_end = number.saturating_add(1);
            self.last_bytes = bytes.unwrap_or(CHUNK_BYTES_MAX);
        }
    }

    /// How it is reclaimed: as long as it is, whatever of it is missing.
    pub(super) fn condemned(&self) -> Condemned {
        let before = u64::from(self.chunks_end.saturating_sub(1)) * CHUNK_BYTES_MAX;
        let bytes = before + self.last_bytes.max(1);
        Condemned { chunks: self.chunks_end, removed: 0, bytes }
    }
}

/// A walk over all entries of a range, without their payloads.
#[derive(Debug)]
pub(super) struct Entries {
    page: vec::IntoIter<(Bytes, Entry)>,
    left: Option<Range<Bytes>>,
}

impl Entries {
    pub(super) fn of(range: Range<Bytes>) -> Self {
        Self { page: Vec::new().into_iter(), left: Some(range) }
    }

    /// The next of them; none at the end.
    pub(super) async fn next<D: Directory>(
        &mut self,
        state: &State<D>,
    ) -> Result<Option<(Bytes, Entry)>, Error> {
        loop {
            if let Some(entry) = self.page.next() {
                return Ok(Some(entry));
            }
            let Some(range) = self.left.take() else { return Ok(None) };
            let page = state.storage.index.scan(range.clone(), PAGE).await?;
            self.left = page.next.map(|start| start..range.end);
            self.page = page.entries.into_iter();
        }
    }
}
