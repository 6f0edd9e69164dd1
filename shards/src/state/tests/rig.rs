//! A state on a simulated disk with a log of one voter: what Raft does for it, less Raft.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use anode_disk::{
    index::{Entry, ScanLimit},
    segment::Class,
    storage::{Storage, StorageOptions},
    testing::{SimDirectory, SimDisk, block_on},
    wal::{self, Record},
};
use bytes::Bytes;
use futures::future::join;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::{
    command::{Command, PutObject, PutPart, Reply, WriteCondition},
    limits::CHUNK_BYTES_MAX,
    object::{Body, BodyId, BucketId, ContentId, Object, Part, UploadId},
    reclaim::Reclaimer,
    staging::{Cut, Staging},
    state::{ListQuery, PendingDelete, State, Usage, group_range, keys, meta_key, named::Named},
    version::WantedVersion,
};

pub(super) const GROUP: wal::GroupId = 3;
const INLINE_BYTES: usize = 600;
const CHUNK_BYTES: usize = 1 << 20;
pub(super) const PART_BYTES_MIN: u64 = 300;

pub(super) struct Rig {
    pub(super) state: State<SimDirectory>,
    pub(super) staging: Rc<Staging<SimDirectory>>,
    pub(super) storage: Rc<Storage<SimDirectory>>,
    reclaimer: Reclaimer,
    applied: Cell<u64>,
}

/// Opens what is on the disk, replays the log, runs the scenario, and stops.
pub(super) fn run(disk: &SimDisk, scenario: impl AsyncFnOnce(&Rig)) {
    run_with(disk, StorageOptions::default(), scenario);
}

/// As [`run`], with other sizes.
pub(super) fn run_with(disk: &SimDisk, options: StorageOptions, scenario: impl AsyncFnOnce(&Rig)) {
    block_on(async {
        let storage = Storage::open(disk.reopen(), options).await.unwrap();
        let main = async {
            let rig = Rig::open(Rc::clone(&storage)).await;
            scenario(&rig).await;
            storage.wal.stop();
        };
        let (outcome, ()) = join(storage.wal.run(), main).await;
        outcome.unwrap();
    });
}

/// A name for bytes, in place of their SHA-256: any will do that differs where they do.
pub(super) fn content_of(data: &[u8]) -> ContentId {
    let mut name = [0; 32];
    for (seed, half) in (0..).zip(name.chunks_exact_mut(16)) {
        half.copy_from_slice(&xxh3_128_with_seed(data, seed).to_le_bytes());
    }
    ContentId(name)
}

fn contents(bytes: &[u8]) -> Vec<ContentId> {
    bytes.chunks(CHUNK_BYTES).map(content_of).collect()
}

pub(super) fn everything() -> ListQuery {
    ListQuery { entries_max: 1000, ..ListQuery::default() }
}

impl Rig {
    /// Opens a disk with other sizes. Nothing runs yet: the log is empty.
    pub(super) async fn start(disk: &SimDisk, options: StorageOptions) -> Self {
        Self::open(Storage::open(disk.reopen(), options).await.unwrap()).await
    }

    async fn open(storage: Rc<Storage<SimDirectory>>) -> Self {
        let staging = Staging::open(Rc::clone(&storage)).await.unwrap();
        let mut state = State::open(GROUP, Rc::clone(&storage), Rc::clone(&staging));
        state.part_bytes_min = PART_BYTES_MIN;
        state.begin_counting().await.unwrap();
        let meta = storage.index.get(&meta_key(GROUP)).await.unwrap();
        let applied =
            meta.map_or(0, |entry| u64::from_le_bytes(entry.value.as_ref().try_into().unwrap()));
        let applied = Cell::new(applied);
        let rig = Self { state, staging, storage, reclaimer: Reclaimer::default(), applied };
        if let Some((_, last)) = rig.storage.wal.range(GROUP) {
            while rig.applied.get() < last {
                let range = rig.applied.get() + 1..last + 1;
                for record in rig.storage.wal.read(GROUP, range, 1 << 20).await.unwrap() {
                    let command = Command::decode(&record.head, record.body).unwrap();
                    rig.apply(&command).await;
                }
            }
        }
        rig.staging.drop_unclaimed();
        rig
    }

    /// Logs a command durably and applies it.
    pub(super) async fn propose(&self, command: &Command) -> Reply {
        let (head, body) = command.encode();
        let record = Record { index: self.applied.get() + 1, head, body };
        wal::flushed(|done| self.storage.wal.append(GROUP, vec![record], done)).await.unwrap();
        self.apply(command).await
    }

    async fn apply(&self, command: &Command) -> Reply {
        let index = self.applied.get() + 1;
        let meta = Bytes::copy_from_slice(&index.to_le_bytes());
        let reply = self.state.apply(command, (meta_key(GROUP), meta)).await.unwrap();
        self.applied.set(index);
        reply
    }

    pub(super) async fn flush(&self) {
        let (mark, applied) = (self.staging.mark(), self.applied.get());
        self.storage.index.flush().await.unwrap();
        self.staging.after_flush(mark).await.unwrap();
        if applied > 0 {
            let purge = |done| self.storage.wal.purge(GROUP, applied, Bytes::new(), done);
            wal::flushed(purge).await.unwrap();
        }
        self.storage.index.segments().sweep().await.unwrap();
    }

    pub(super) async fn reclaim(&self) {
        while let Some(command) = self.reclaimer.next(&self.state).await.unwrap() {
            assert_eq!(self.propose(&command).await, Reply::Done);
        }
    }

    pub(super) async fn put(
        &self,
        (bucket, key): (BucketId, &str),
        bytes: &[u8],
        condition: WriteCondition,
        id: u64,
    ) -> Command {
        let (body, inline) = match bytes.len() {
            0 => (Body::Empty, Bytes::new()),
            length if length <= INLINE_BYTES => {
                (Body::Inline(u32::try_from(length).unwrap()), Bytes::copy_from_slice(bytes))
            }
            _ => (Body::Whole(self.stage(id, bytes).await), Bytes::new()),
        };
        let size = u64::try_from(bytes.len()).unwrap();
        let etag = format!("etag-{id}");
        let object = Object { size, etag, last_modified_ms: id, body, ..Object::default() };
        let key = key.to_owned();
        let contents = if inline.is_empty() { contents(bytes) } else { Vec::new() };
        let (nonce, notice) = (id, None);
        let put = PutObject { bucket, key, object, condition, contents, nonce, notice, inline };
        Command::PutObject(Box::new(put))
    }

    pub(super) async fn part(
        &self,
        (bucket, key, upload): (BucketId, &str, UploadId),
        number: u16,
        bytes: &[u8],
        id: u64,
    ) -> Command {
        let body = self.stage(id, bytes).await;
        let (etag, size) = (format!("part-{id}"), u64::try_from(bytes.len()).unwrap());
        let part = Part {
            number,
            size,
            etag,
            last_modified_ms: id,
            checksum: None,
            body,
            is_encrypted: false,
        };
        let (key, contents) = (key.to_owned(), contents(bytes));
        Command::PutPart(Box::new(PutPart { bucket, key, upload, part, contents }))
    }

    pub(super) async fn stage(&self, id: u64, bytes: &[u8]) -> BodyId {
        let body = BodyId(u128::from(id));
        for (number, data) in (0..).zip(bytes.chunks(CHUNK_BYTES)) {
            let data = Bytes::copy_from_slice(data);
            let cut = Cut { number, content: content_of(&data), class: Class::OWN, data };
            self.staging.stage(GROUP, body, cut).await.unwrap();
        }
        self.staging.settle(GROUP, body).await.unwrap();
        body
    }

    pub(super) fn discard(&self, command: &Command) {
        if let Command::PutObject(put) = command {
            if let Body::Whole(body) = put.object.body {
                self.staging.discard(GROUP, body);
            }
        } else if let Command::PutPart(put) = command {
            self.staging.discard(GROUP, put.part.body);
        } else {
            unreachable!("{command} has no body");
        }
    }

    pub(super) async fn read(&self, bucket: BucketId, key: &str) -> Vec<u8> {
        self.read_version(bucket, key, WantedVersion::Current).await.1
    }

    pub(super) async fn read_version(
        &self,
        bucket: BucketId,
        key: &str,
        wanted: WantedVersion,
    ) -> (Object, Vec<u8>) {
        let read = self.state.version_inline((bucket, key), wanted).await.unwrap();
        let (object, inline) = read.expect("it was acknowledged");
        let mut bytes = inline.unwrap_or_default().to_vec();
        for piece in object.chunks(0..object.stored_bytes()) {
            let data = self.state.chunk(piece.body, piece.chunk, piece.range).await.unwrap();
            bytes.extend_from_slice(&data);
        }
        (object, bytes)
    }

    /// What is condemned, body by body.
    /// The figures of buckets are what a count of everything finds.
    pub(super) async fn assert_usage(&self) {
        let mut counted = self.state.counted_anew().await.unwrap();
        counted.retain(|_, usage| *usage != Usage::default());
        let mut kept = BTreeMap::new();
        for (key, entry) in self.entries().await {
            if key.get(4) == Some(&keys::USAGE) {
                kept.insert(key, minicbor::decode::<Usage>(&entry.value).unwrap());
            }
        }
        let expected = counted.iter().map(|(bucket, usage)| (keys::usage(GROUP, *bucket), *usage));
        assert_eq!(kept, expected.collect(), "kept, and counted");
        let total = counted.values().fold(Usage::default(), |sum, usage| sum.plus(*usage));
        assert_eq!(self.state.total_usage(), Some(total));
        for (bucket, usage) in counted {
            assert_eq!(self.state.usage(bucket).await.unwrap(), Some(usage));
        }
    }

    pub(super) async fn condemned(&self) -> PendingDelete {
        let (found, next) = self.state.condemned(None).await.unwrap();
        assert_eq!(next, None, "more bodies than one look finds");
        found.iter().fold(PendingDelete::default(), |sum, (id, condemned)| {
            let removed = u64::from(condemned.removed) * CHUNK_BYTES_MAX;
            let (bytes, oldest_ms) = (condemned.bytes - removed, Some(id.since_ms));
            sum.plus(PendingDelete { bodies: 1, bytes, oldest_ms })
        })
    }

    /// How often each content is referred to, by a walk over the chunks of all bodies; asserts that the group has
    /// written down just that, and has no other contents.
    pub(super) async fn references(&self) -> BTreeMap<ContentId, u64> {
        let mut walked = BTreeMap::new();
        let mut contents = BTreeSet::new();
        let mut shared = BTreeMap::new();
        for (key, entry) in self.entries().await {
            match Named::of(&key).unwrap().1 {
                Named::Chunk(..) => {
                    let name = entry.value.as_ref().try_into().unwrap();
                    *walked.entry(ContentId(name)).or_insert(0) += 1;
                }
                Named::Content(content) => {
                    let length = u32::try_from(entry.payload.length()).unwrap();
                    let bytes = self.storage.index.payload(&key, &entry, 0..length).await.unwrap();
                    assert!(content.names(&content_of(&bytes).0), "other bytes under a name");
                    contents.insert(content);
                }
                Named::Shared(content) => {
                    shared.insert(content, minicbor::decode::<u64>(&entry.value).unwrap());
                }
                Named::Applied
                | Named::NextBucket
                | Named::PendingDelete
                | Named::MasterKey
                | Named::EventQueue
                | Named::Counted
                | Named::IamRevision
                | Named::Round
                | Named::Iam(_)
                | Named::Usage(_)
                | Named::Allowance(_)
                | Named::Event(_)
                | Named::Bucket(_)
                | Named::Credential(_)
                | Named::Object(..)
                | Named::Upload(..)
                | Named::Part(..)
                | Named::Configuration(..)
                | Named::NullVersion(..)
                | Named::BucketState(_)
                | Named::Condemned(_)
                | Named::Unknown => {}
            }
        }
        assert!(contents.iter().eq(walked.keys()), "a content too many, or one is missing");
        let several = walked.iter().filter(|(_, count)| **count > 1);
        let several: BTreeMap<_, _> = several.map(|(content, count)| (*content, *count)).collect();
        assert_eq!(shared, several, "counts and a walk over the bodies");
        walked
    }

    async fn entries(&self) -> Vec<(Bytes, Entry)> {
        let limit = ScanLimit { entries: 1000, bytes: 1 << 20 };
        let mut range = group_range(GROUP);
        let mut entries = Vec::new();
        loop {
            let page = self.storage.index.scan(range.clone(), limit).await.unwrap();
            entries.extend(page.entries);
            let Some(next) = page.next else { return entries };
            range.start = next;
        }
    }

    /// How many index entries the group has, but what it always has.
    pub(super) async fn left_over(&self) -> usize {
        let always = [meta_key(GROUP), keys::counted(GROUP), keys::event_queue(GROUP)];
        self.entries().await.iter().filter(|(key, _)| !always.contains(key)).count()
    }
}
