//! What is kept of objects that are set aside: their bytes as far as they can be read, and `objects-SHARD.json`, which
//! names them.
//!
//! The list is durable before anything that it names is taken out of the volume. No byte of a request is part of a file
//! name: files are numbered.

#![expect(clippy::disallowed_methods, reason = "no shard runs here")]

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anode_disk::{
    Directory, Error,
    index::{Entry, Index},
};
use anode_shards::{
    object::{Body, Object},
    state::{DamagedObject, State, UnnamedBody, object_of},
};
use serde::Serialize;

use self::keys::KeptKey;
use super::{buckets::Buckets, cut, set_aside::write_new};

mod commands;
mod keys;

pub(super) use commands::{CutGroup, LostLog, body_of, keys_of, objects_of_command};

/// Bytes of an inline object that are read at once: a block of a segment.
const PIECE_BYTES: u32 = 4096;
const CHUNK_BYTES: u64 = 1 << 20;

/// Where things of one shard are put.
#[derive(Debug)]
pub(super) struct Shelf {
    place: PathBuf,
    shard: u64,
    list: List,
    file_count: u64,
}

/// What was put there.
#[derive(Debug, Default, Serialize)]
pub(super) struct List {
    pub(super) shard: String,
    /// Objects that are gone from the node.
    pub(super) objects: Vec<Kept>,
    /// Bytes of objects whose record is lost, or of parts of uploads.
    pub(super) bodies: Vec<KeptBody>,
    /// Where keys were lost that nobody can name.
    pub(super) ranges: Vec<LostRange>,
    /// Parts of uploads that are gone: upload and number.
    pub(super) parts: Vec<String>,
    /// What is lost of the log; none where it was sound.
    pub(super) log: Option<LostLog>,
}

/// An object that was set aside.
#[derive(Debug, Serialize)]
pub(super) struct Kept {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) why: Why,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) last_modified_ms: u64,
    pub(super) headers: Vec<(String, String)>,
    pub(super) metadata: Vec<(String, String)>,
    /// Its bytes, beside the list; zeros where they are lost.
    pub(super) file: Option<String>,
    /// First byte and the one behind the last, of what is lost.
    pub(super) lost_bytes: Vec<[u64; 2]>,
    /// What the bytes can be decrypted by, together with the master key or the customer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) encryption: Option<KeptKey>,
}

/// Why an object was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Why {
    /// Bytes of it can't be read.
    Damaged,
    /// It may have been overwritten or deleted since: the record of that can't be read.
    MaybeOutdated,
}

/// Bytes that no record names.
#[derive(Debug, Serialize)]
pub(super) struct KeptBody {
    body: String,
    group: u32,
    file: String,
    /// Chunks of a mebibyte that are lost, from 0.
    lost_chunks: Vec<u32>,
}

/// Keys that can't be read.
#[derive(Debug, Serialize)]
pub(super) struct LostRange {
    /// File and offset.
    pub(super) location: String,
    /// Behind this key,
    pub(super) after: Option<String>,
    /// up to this one.
    pub(super) upto: String,
}

impl Shelf {
    pub(super) fn new(place: &Path, shard: u64) -> Self {
        let list = List { shard: format!("{shard:016x}"), ..List::default() };
        Self { place: place.to_owned(), shard, list, file_count: 0 }
    }

    pub(super) fn list(&mut self) -> &mut List {
        &mut self.list
    }

    pub(super) fn into_list(self) -> List {
        self.list
    }

    /// Keeps what an index entry has of an object with its bytes beside the record; nothing for other keys.
    pub(super) async fn keep_entry<D: Directory>(
        &mut self,
        index: &Index<D>,
        (key, entry, why): (&[u8], &Entry, Why),
        buckets: &Buckets,
    ) -> Result<(), String> {
        let Some(damaged) = object_of(key, &entry.value) else { return Ok(()) };
        let Body::Inline(bytes) = damaged.object.body else {
            // Its bodies are kept by themselves.
            self.list.objects.push(kept(damaged, why, buckets));
            return Ok(());
        };
        let (mut content, mut lost) = (Vec::new(), Vec::new());
        for start in (0..bytes).step_by(usize::try_from(PIECE_BYTES).expect("a block fits memory"))
        {
            let end = bytes.min(start + PIECE_BYTES);
            match index.payload(key, entry, start..end).await {
                Ok(piece) => content.extend_from_slice(&piece),
                Err(Error::Stopped) => return Err(Error::Stopped.to_string()),
                Err(_damage) => lose(&mut lost, u64::from(start)..u64::from(end)),
            }
            content.resize(usize::try_from(end).expect("inline bytes fit memory"), 0);
        }
        let file = self.new_file(|file| file.write_all(&content))?;
        let mut kept = kept(damaged, why, buckets);
        (kept.file, kept.lost_bytes) = (Some(file), lost);
        self.list.objects.push(kept);
        Ok(())
    }

    /// Keeps an object, chunk by chunk.
    pub(super) async fn keep_object<D: Directory>(
        &mut self,
        state: &State<D>,
        damaged: DamagedObject,
        buckets: &Buckets,
    ) -> Result<(), String> {
        let (mut lost, mut at) = (Vec::new(), 0);
        let name = self.next_name();
        let mut file = self.create(&name)?;
        // As it is stored: what is encrypted stays so.
        let size = damaged.object.stored_bytes();
        for piece in damaged.object.chunks(0..size) {
            let bytes = u64::from(piece.range.end - piece.range.start);
            match state.whole_chunk(piece.body, piece.chunk).await {
                Ok(chunk) => self.write_at(&mut file, at, &chunk)?,
                Err(Error::Stopped) => return Err(Error::Stopped.to_string()),
                Err(_damage) => lose(&mut lost, at..at + bytes),
            }
            at += bytes;
        }
        // Where its parts can't be read, all of it is lost, or kept as bodies.
        if at < size {
            lose(&mut lost, at..size);
        }
        self.finish(&file, size)?;
        let mut kept = kept(damaged, Why::Damaged, buckets);
        (kept.file, kept.lost_bytes) = (Some(name), lost);
        self.list.objects.push(kept);
        Ok(())
    }

    /// Keeps the bytes of a body that no record names.
    pub(super) async fn keep_body<D: Directory>(
        &mut self,
        state: &State<D>,
        unnamed: UnnamedBody,
    ) -> Result<(), String> {
        let mut lost_chunks = Vec::new();
        let name = self.next_name();
        let mut file = self.create(&name)?;
        let mut end = 0;
        for chunk in 0..unnamed.chunks_end {
            let at = u64::from(chunk) * CHUNK_BYTES;
            match state.whole_chunk(unnamed.body, chunk).await {
                Ok(bytes) => {
                    self.write_at(&mut file, at, &bytes)?;
                    end = at + bytes.len() as u64;
                }
                Err(Error::Stopped) => return Err(Error::Stopped.to_string()),
                Err(_damage) => lost_chunks.push(chunk),
            }
        }
        self.finish(&file, end)?;
        let (body, group) = (unnamed.body.to_string(), state.group());
        self.list.bodies.push(KeptBody { body, group, file: name, lost_chunks });
        Ok(())
    }

    /// Makes the list durable, in the place of an earlier one.
    pub(super) fn save(&self) -> Result<(), String> {
        let name = format!("objects-{:016x}.json", self.shard);
        let (path, draft) = (self.place.join(&name), self.place.join(format!("{name}-draft")));
        let text = serde_json::to_string_pretty(&self.list)
            .expect("a list has nothing that JSON can't say");
        let written = match std::fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => write_new(&draft, |file| file.write_all(text.as_bytes())),
        };
        let renamed = written
            .and_then(|()| cut::point())
            .and_then(|()| std::fs::rename(&draft, &path))
            .and_then(|()| cut::point())
            .and_then(|()| File::open(&self.place)?.sync_all());
        renamed.map_err(|error| self.failed(&error))
    }

    fn next_name(&mut self) -> String {
        let count = self.file_count;
        self.file_count += 1;
        format!("bytes-{:016x}-{count:06}", self.shard)
    }

    fn new_file(
        &mut self,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<String, String> {
        let name = self.next_name();
        write_new(&self.place.join(&name), write).map_err(|error| self.failed(&error))?;
        Ok(name)
    }

    fn create(&self, name: &str) -> Result<File, String> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = std::fs::OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let opened = cut::point().and_then(|()| options.open(self.place.join(name)));
        opened.map_err(|error| self.failed(&error))
    }

    fn write_at(&self, file: &mut File, at: u64, bytes: &[u8]) -> Result<(), String> {
        use std::os::unix::fs::FileExt as _;
        cut::point()
            .and_then(|()| file.write_all_at(bytes, at))
            .map_err(|error| self.failed(&error))
    }

    fn finish(&self, file: &File, bytes: u64) -> Result<(), String> {
        let cut = cut::point();
        let done = cut.and_then(|()| file.set_len(bytes)).and_then(|()| file.sync_all());
        done.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> String {
        format!("nothing could be set aside in {}: {error}", self.place.display())
    }
}

fn kept(damaged: DamagedObject, why: Why, buckets: &Buckets) -> Kept {
    let DamagedObject { bucket, key, object } = damaged;
    let encryption = KeptKey::of_object(bucket, &object);
    let Object { size, etag, last_modified_ms, headers, metadata, .. } = object;
    Kept {
        bucket: buckets.name(bucket),
        key,
        why,
        size,
        etag,
        last_modified_ms,
        headers,
        metadata,
        file: None,
        lost_bytes: Vec::new(),
        encryption,
    }
}

/// Adds what is lost; what touches is one.
fn lose(lost: &mut Vec<[u64; 2]>, range: std::ops::Range<u64>) {
    match lost.last_mut() {
        Some([_, end]) if *end == range.start => *end = range.end,
        Some(_) | None => lost.push([range.start, range.end]),
    }
}
