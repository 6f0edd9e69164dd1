//! A state on a simulated disk with a log of one voter: what Raft does for it, less Raft.

use std::{cell::Cell, rc::Rc};

use anode_disk::{
    index::ScanLimit,
    storage::{Storage, StorageOptions},
    testing::{SimDirectory, SimDisk, block_on},
    wal::{self, Record},
};
use bytes::Bytes;
use futures::future::join;

use crate::{
    command::{Command, PutObject, PutPart, Reply, WriteCondition},
    limits::CHUNK_BYTES_MAX,
    object::{Body, BodyId, BucketId, Object, Part, UploadId},
    reclaim::Reclaimer,
    staging::Staging,
    state::{ListQuery, PendingDelete, State, group_range, meta_key},
};

const GROUP: wal::GroupId = 3;
const INLINE_BYTES: usize = 600;
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
        let meta = storage.index.get(&meta_key(GROUP)).await.unwrap();
        let applied =
            meta.map_or(0, |entry| u64::from_le_bytes(entry.value.as_ref().try_into().unwrap()));
        let applied = Cell::new(applied);
        let rig = Self { state, staging, storage, reclaimer: Reclaimer::default(), applied };
        if let Some((_, last)) = rig.storage.wal.range(GROUP) {
            while rig.applied.get() < last {
                let range = rig.applied.get() + 1..last + 1;
                for record in rig.storage.wal.read(GROUP, range, 1 << 20).await.unwrap() {
                    let command = Command::decode(record.head, record.body).unwrap();
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
        Command::PutObject(Box::new(PutObject { bucket, key, object, condition, inline }))
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
        let part = Part { number, size, etag, last_modified_ms: id, checksum: None, body };
        Command::PutPart(Box::new(PutPart { bucket, key: key.to_owned(), upload, part }))
    }

    pub(super) async fn stage(&self, id: u64, bytes: &[u8]) -> BodyId {
        let body = BodyId(u128::from(id));
        let chunk_bytes = usize::try_from(CHUNK_BYTES_MAX).unwrap();
        for (chunk, data) in (0..).zip(bytes.chunks(chunk_bytes)) {
            let data = Bytes::copy_from_slice(data);
            self.staging.stage(GROUP, body, chunk, data).await.unwrap();
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
        let read = self.state.object_read(bucket, key).await.unwrap().unwrap();
        let mut bytes = read.inline.unwrap_or_default().to_vec();
        for piece in read.object.chunks(0..read.object.size) {
            let data = self.state.chunk(piece.body, piece.chunk, piece.range).await.unwrap();
            bytes.extend_from_slice(&data);
        }
        bytes
    }

    /// What is condemned, body by body.
    pub(super) async fn condemned(&self) -> PendingDelete {
        let (found, next) = self.state.condemned(None).await.unwrap();
        assert_eq!(next, None, "more bodies than one look finds");
        found.iter().fold(PendingDelete::default(), |sum, (id, condemned)| {
            let removed = u64::from(condemned.removed) * CHUNK_BYTES_MAX;
            let (bytes, oldest_ms) = (condemned.bytes - removed, Some(id.since_ms));
            sum.plus(PendingDelete { bodies: 1, bytes, oldest_ms })
        })
    }

    /// How many index entries the group has, but what it always has.
    pub(super) async fn left_over(&self) -> usize {
        let limit = ScanLimit { entries: 1000, bytes: 1 << 20 };
        let page = self.storage.index.scan(group_range(GROUP), limit).await.unwrap();
        page.entries.iter().filter(|(key, _)| *key != meta_key(GROUP)).count()
    }
}
