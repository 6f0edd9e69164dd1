//! Listing the objects, uploads and parts of one group.
//!
//! A common prefix costs one seek past it, whatever the number of keys under it. A page ends when it has the entries
//! asked for, or has looked at [`LIST_SCAN_MAX`] index entries or [`LIST_BYTES_MAX`] bytes.

use anode_disk::{
    Directory, Error,
    index::{Entry, ScanLimit},
};
use bytes::Bytes;

use super::{
    State, keys,
    merge::{Merge, Want},
    page::{ListEntry, ListPage, Position, common_prefix},
    read,
};
use crate::{
    limits::{LIST_BYTES_MAX, LIST_ENTRIES_MAX, LIST_SCAN_MAX},
    object::{BucketId, Object, ObjectSummary, Part, Upload, UploadId},
};

/// What to list.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListQuery {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Where to begin.
    pub start: Position,
    /// Keys that have this behind the prefix count as one.
    pub delimiter: Option<String>,
    /// How many entries at most; more than [`LIST_ENTRIES_MAX`] counts as that.
    pub entries_max: usize,
}

/// An upload as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadListed {
    /// Its id.
    pub id: UploadId,
    /// What is kept of it.
    pub upload: Upload,
}

/// Parts of an upload, by number.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PartPage {
    /// The parts.
    pub parts: Vec<Part>,
    /// Whether there are more behind the last one.
    pub more: bool,
}

/// After a seek this many index entries are looked at; then ever more, as long as no seek follows.
const SCAN_ENTRIES_FIRST: usize = 7;
const SCAN_ENTRIES_MAX: usize = 1024;
/// A page of versions is given up after so many of what it is merged from: it says where to go on.
const VERSION_PAGES_MAX: usize = 16;
/// A page of versions is read anew so often where some moved from one place to another meanwhile.
const LIST_ATTEMPTS_MAX: u8 = 4;
const SCAN_BYTES: usize = 1 << 20;

const _: () = assert!((SCAN_ENTRIES_FIRST + 1) * (LIST_ENTRIES_MAX + 1) < LIST_SCAN_MAX);

impl<D: Directory> State<D> {
    /// Objects of a bucket, as far as listings show them.
    pub async fn list(
        &self,
        bucket: BucketId,
        query: &ListQuery,
    ) -> Result<ListPage<ObjectSummary>, Error> {
        let base = keys::objects(self.group, bucket);
        let base_bytes = base.len();
        let read = |_key: &str, _rest: &[u8], index_key: &Bytes, entry: &Entry| {
            let object = read::decode(index_key, &entry.value)?;
            Ok((Position::behind(index_key.slice(base_bytes..)), object))
        };
        self.walk(Walk::new(base, query), read).await
    }

    /// Versions of the objects of a bucket, without their parts: by key, then the newest first.
    pub async fn list_versions(
        &self,
        bucket: BucketId,
        query: &ListQuery,
    ) -> Result<ListPage<Object>, Error> {
        let mut attempts_left = LIST_ATTEMPTS_MAX;
        loop {
            let moves = self.moves.get();
            let mut page = self.try_list_versions(bucket, query).await?;
            if self.moves.get() == moves || attempts_left == 0 {
                // One that moved meanwhile may have been seen in both places.
                page.entries.dedup_by(|next, before| next.end == before.end);
                return Ok(page);
            }
            attempts_left -= 1;
        }
    }

    async fn try_list_versions(
        &self,
        bucket: BucketId,
        query: &ListQuery,
    ) -> Result<ListPage<Object>, Error> {
        let current = keys::objects(self.group, bucket);
        let others = keys::versions(self.group, bucket);
        let read = |key: &str, _rest: &[u8], index_key: &Bytes, entry: &Entry| {
            let object: Object = read::decode(index_key, &entry.value)?;
            Ok((Position::after_version(key, object.version().id.sequence), object))
        };
        let entries_max = query.entries_max.min(LIST_ENTRIES_MAX);
        let mut merge = Merge::new(2, &query.start, entries_max);
        for _ in 0..VERSION_PAGES_MAX {
            let wanted = merge.wants();
            for Want { place, start, entries_max } in &wanted {
                let base = if *place == 0 { &current } else { &others };
                let query =
                    ListQuery { start: start.clone(), entries_max: *entries_max, ..query.clone() };
                merge.feed(*place, self.walk(Walk::new(base.clone(), &query), read).await?);
            }
            if wanted.is_empty() {
                break;
            }
        }
        Ok(merge.finish())
    }

    /// Uploads of a bucket: by key, then by id.
    pub async fn uploads(
        &self,
        bucket: BucketId,
        query: &ListQuery,
    ) -> Result<ListPage<UploadListed>, Error> {
        let base = keys::uploads(self.group, bucket);
        let read = |key: &str, rest: &[u8], index_key: &Bytes, entry: &Entry| {
            let id = keys::upload_id(rest)
                .ok_or_else(|| read::corrupt(index_key, "the key names no upload".to_owned()))?;
            let upload = read::decode(index_key, &entry.value)?;
            Ok((Position::after_upload(key, id), UploadListed { id, upload }))
        };
        self.walk(Walk::new(base, query), read).await
    }

    /// Up to `parts_max` parts of an upload with numbers above `after`.
    pub async fn parts(
        &self,
        upload: UploadId,
        after: u16,
        parts_max: usize,
    ) -> Result<PartPage, Error> {
        let mut found = PartPage::default();
        let Some(first) = after.checked_add(1) else { return Ok(found) };
        let range = keys::parts(self.group, upload, first);
        let mut start = Some(range.start);
        while let Some(from) = start {
            let entries = (parts_max - found.parts.len() + 1).min(SCAN_ENTRIES_MAX);
            let limit = ScanLimit { entries, bytes: SCAN_BYTES };
            let page = self.storage.index.scan(from..range.end.clone(), limit).await?;
            for (key, entry) in &page.entries {
                if found.parts.len() == parts_max {
                    found.more = true;
                    return Ok(found);
                }
                found.parts.push(read::decode(key, &entry.value)?);
            }
            start = page.next;
        }
        Ok(found)
    }

    async fn walk<T>(
        &self,
        mut walk: Walk<'_, T>,
        read: impl Fn(&str, &[u8], &Bytes, &Entry) -> Result<(Position, T), Error>,
    ) -> Result<ListPage<T>, Error> {
        if walk.entries_max == 0 {
            return Ok(ListPage { entries: Vec::new(), next: None });
        }
        while walk.from < walk.end {
            let limit = ScanLimit { entries: walk.scan_entries(), bytes: SCAN_BYTES };
            let range = walk.from.clone()..walk.end.clone();
            let page = self.storage.index.scan(range, limit).await?;
            for (index_key, entry) in &page.entries {
                walk.scanned += 1;
                walk.scanned_bytes += index_key.len() + entry.value.len();
                if *index_key < walk.from {
                    continue; // under the common prefix that was found last
                }
                if walk.entries.len() == walk.entries_max {
                    return Ok(walk.cut());
                }
                let (key, rest) =
                    index_key.get(walk.base.len()..).and_then(keys::split_place).ok_or_else(
                        || read::corrupt(index_key, "the key names no object".to_owned()),
                    )?;
                if let Some(prefix) = walk.group(&key) {
                    walk.add(ListEntry::prefix(prefix));
                } else {
                    let (end, value) = read(&key, rest, index_key, entry)?;
                    walk.add(ListEntry::item(key, end, value));
                }
            }
            let Some(next) = page.next else { break };
            walk.from = walk.from.max(next);
            if walk.scanned >= LIST_SCAN_MAX || walk.scanned_bytes >= LIST_BYTES_MAX {
                return Ok(walk.cut());
            }
        }
        Ok(ListPage { entries: walk.entries, next: None })
    }
}

struct Walk<'a, T> {
    base: Vec<u8>,
    query: &'a ListQuery,
    entries_max: usize,
    from: Bytes,
    end: Bytes,
    entries: Vec<ListEntry<T>>,
    scan_entries: usize,
    scanned: usize,
    scanned_bytes: usize,
}

impl<'a, T> Walk<'a, T> {
    fn new(base: Vec<u8>, query: &'a ListQuery) -> Self {
        let prefix = [base.as_slice(), &keys::escape(&query.prefix)].concat();
        let start = [base.as_slice(), &query.start.to_bytes()].concat();
        let end = keys::successor(prefix.clone()).expect("a space's number is below 255");
        Self {
            query,
            entries_max: query.entries_max.min(LIST_ENTRIES_MAX),
            from: Bytes::from(prefix.max(start)),
            end: Bytes::from(end),
            entries: Vec::new(),
            scan_entries: SCAN_ENTRIES_FIRST,
            scanned: 0,
            scanned_bytes: 0,
            base,
        }
    }

    fn scan_entries(&mut self) -> usize {
        let entries = match self.query.delimiter {
            Some(_) => self.scan_entries,
            None => SCAN_ENTRIES_MAX,
        };
        self.scan_entries = (self.scan_entries * 2).min(SCAN_ENTRIES_MAX);
        // One more than fits says whether the page is the last.
        entries.min(self.entries_max - self.entries.len() + 1)
    }

    fn group(&self, key: &str) -> Option<String> {
        let delimiter = self.query.delimiter.as_deref()?;
        common_prefix(key, &self.query.prefix, delimiter).map(str::to_owned)
    }

    fn add(&mut self, entry: ListEntry<T>) {
        // Behind an item stands the next index entry anyway.
        if matches!(entry.listed, super::Listed::Prefix(_)) {
            self.from = Bytes::from([self.base.as_slice(), &entry.end.to_bytes()].concat());
            self.scan_entries = SCAN_ENTRIES_FIRST;
        }
        self.entries.push(entry);
    }

    /// The page so far; it goes on behind its last entry, or, where it has none, where the scan stands.
    fn cut(self) -> ListPage<T> {
        let stands = self.from.slice(self.base.len()..);
        let next = self.entries.last().map(|last| last.end.clone());
        let next = next.unwrap_or_else(|| Position::from_bytes(stands));
        ListPage { entries: self.entries, next: Some(next) }
    }
}
