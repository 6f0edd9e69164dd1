//! The state against a model of S3 that is a few maps, over a simulated disk with flushes and crashes in between.

mod cases;
mod damage;
mod encrypted;
mod events;
mod mend;
mod meta;
mod model;
mod quota;
mod rig;
mod shared;
mod storm;
mod transition;
mod usage;

use anode_disk::testing::{Random, SimDisk};

use crate::{
    command::{
        AbortUpload, Command, CompleteUpload, CreateUpload, DeleteObject, Deleted, NamedPart,
        ReclaimStep, Reply, SetVersioning, VersioningStep, WriteCondition,
    },
    object::{BucketId, Upload, UploadId, chunk_count},
    state::{ListQuery, Position},
    version::{ObjectVersion, VersionId, VersionName, Versioning, WantedVersion},
};
use model::Model;
use rig::{Rig, run};

const SEEDS: u64 = 60;
const STEPS: u64 = 60;

#[test]
fn random_commands_do_what_the_model_does() {
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let disk = SimDisk::new(seed);
        let mut script = Script::new(seed);
        for _ in 0..3 {
            run(&disk, async |rig| {
                script.check(rig).await;
                for _ in 0..STEPS / 3 {
                    script.step(rig).await;
                }
                script.check(rig).await;
            });
            disk.crash();
        }
        run(&disk, async |rig| {
            script.check(rig).await;
            script.empty(rig).await;
        });
    }
}

struct Script {
    random: Random,
    model: Model,
    events: events::Model,
    drawn: u64,
}

impl Script {
    fn new(seed: u64) -> Self {
        let (model, events) = (Model::default(), events::Model::default());
        Self { random: Random::new(seed), model, events, drawn: 0 }
    }

    async fn step(&mut self, rig: &Rig) {
        match self.random.below(18) {
            0..4 => self.put_object(rig).await,
            4..6 => self.delete(rig).await,
            6 => self.delete_several(rig).await,
            7 => self.create_upload(rig).await,
            8..11 => self.put_part(rig).await,
            11 => self.complete(rig).await,
            12 => self.abort(rig).await,
            13 => self.seal(rig).await,
            14 => rig.flush().await,
            15 => self.set_versioning(rig).await,
            16 => self.events.remove(rig, &mut self.random).await,
            _ => rig.reclaim().await,
        }
        match self.random.below(8) {
            0 => self.list(rig).await,
            1 => self.list_versions(rig).await,
            _ => {}
        }
    }

    async fn put_object(&mut self, rig: &Rig) {
        let bytes = self.bytes();
        let (bucket, key) = (self.bucket(), self.key());
        let condition = self.condition(bucket, &key);
        let mut command = rig.put((bucket, &key), &bytes, condition, self.draw()).await;
        let again = self.random.below(8) == 0;
        let is_told = self.random.coin();
        if let Command::PutObject(put) = &mut command
            && is_told
        {
            put.notice = Some(events::notice("put"));
        }
        let reply = rig.propose(&command).await;
        let Command::PutObject(put) = &command else { unreachable!() };
        if let (Reply::Stored(stored), true) = (&reply, is_told) {
            self.events.stored("put", &key, stored);
        }
        assert_eq!(reply, self.model.put(put, &bytes), "{command}");
        if matches!(reply, Reply::Refused(_)) {
            rig.discard(&command);
        } else if again && put.condition == WriteCondition::default() {
            // H11: the same command once more changes nothing.
            assert_eq!(rig.propose(&command).await, reply);
            // Where there are no versions, nothing tells the two apart: told twice.
            if let (Reply::Stored(stored), true) = (&reply, is_told && !reply_is_versioned(&reply))
            {
                self.events.stored("put", &key, stored);
            }
        }
    }

    async fn delete(&mut self, rig: &Rig) {
        let delete = self.one_delete();
        let reply = rig.propose(&Command::DeleteObject(delete.clone())).await;
        let expected = match self.model.delete(&delete) {
            Ok(deleted) => {
                self.tell_deleted(&delete, &deleted);
                Reply::Deleted(deleted)
            }
            Err(refusal) => Reply::Refused(refusal),
        };
        assert_eq!(reply, expected, "{delete:?}");
    }

    /// Bucket 3 never keeps versions.
    async fn set_versioning(&mut self, rig: &Rig) {
        let bucket = 1 + self.random.below(2);
        let versioning =
            if self.random.coin() { Versioning::Enabled } else { Versioning::Suspended };
        let step = VersioningStep::Apply(self.draw());
        let set = SetVersioning { bucket, versioning, step, ..SetVersioning::default() };
        let reply = rig.propose(&Command::SetVersioning(set)).await;
        assert_eq!(reply, self.model.set_versioning(bucket, versioning));
    }

    async fn delete_several(&mut self, rig: &Rig) {
        let deletes: Vec<_> = (0..self.random.below(5)).map(|_| self.one_delete()).collect();
        let reply = rig.propose(&Command::DeleteObjects(deletes.clone())).await;
        let expected: Vec<_> = deletes.iter().map(|delete| self.model.delete(delete)).collect();
        for (delete, deleted) in deletes.iter().zip(&expected) {
            if let Ok(deleted) = deleted {
                self.tell_deleted(delete, deleted);
            }
        }
        assert_eq!(reply, Reply::DeletedEach(expected), "{deletes:?}");
    }

    fn tell_deleted(&mut self, delete: &DeleteObject, deleted: &Deleted) {
        if delete.notice.is_some() {
            self.events.deleted(delete, deleted);
        }
    }

    async fn create_upload(&mut self, rig: &Rig) {
        let (bucket, key) = (self.bucket(), self.key());
        let upload = UploadId(u128::from(self.draw()));
        let record = Upload { initiated_ms: self.drawn, ..Upload::default() };
        let create = CreateUpload { bucket, key, upload, record };
        let reply = rig.propose(&Command::CreateUpload(Box::new(create.clone()))).await;
        assert_eq!(reply, self.model.create_upload(&create));
    }

    async fn put_part(&mut self, rig: &Rig) {
        let (bucket, key, upload) = self.upload();
        let number = u16::try_from(1 + self.random.below(4)).unwrap();
        let bytes = self.bytes();
        let command = rig.part((bucket, &key, upload), number, &bytes, self.draw()).await;
        let Command::PutPart(put) = &command else { unreachable!() };
        let reply = rig.propose(&command).await;
        assert_eq!(reply, self.model.put_part(put, &bytes), "{command}");
        if matches!(reply, Reply::Refused(_)) {
            rig.discard(&command);
        } else if self.random.below(8) == 0 {
            assert_eq!(rig.propose(&command).await, reply);
        }
    }

    async fn complete(&mut self, rig: &Rig) {
        let (bucket, key, upload) = self.upload();
        let mut parts: Vec<NamedPart> = self
            .model
            .parts(bucket, &key, upload)
            .map(|(number, etag)| NamedPart { number, etag, checksum: None })
            .collect();
        match self.random.below(8) {
            0 => parts.reverse(),
            1 => parts.truncate(1),
            2 => parts.push(NamedPart { number: 9, ..NamedPart::default() }),
            3 => parts.iter_mut().for_each(|part| part.etag.push('x')),
            _ => {}
        }
        let condition = self.condition(bucket, &key);
        let etag = format!("{}-{}", self.draw(), parts.len());
        let now_ms = self.drawn;
        let complete = CompleteUpload {
            bucket,
            key,
            upload,
            parts,
            etag,
            condition,
            now_ms,
            notice: Some(events::notice("complete")),
            ..CompleteUpload::default()
        };
        let command = Command::CompleteUpload(Box::new(complete.clone()));
        let is_there = self.model.every_upload().iter().any(|known| {
            (known.0, &known.1, known.2) == (complete.bucket, &complete.key, complete.upload)
        });
        let expected = self.model.complete(&complete);
        assert_eq!(rig.propose(&command).await, expected, "{complete:?}");
        if let (Reply::Stored(stored), true) = (&expected, is_there) {
            self.events.stored("complete", &complete.key, stored);
        }
        if self.random.coin() {
            // A completion that is sent again finds the object as long as it is there.
            let expected = self.model.complete(&complete);
            assert_eq!(rig.propose(&command).await, expected, "again: {complete:?}");
        }
    }

    async fn abort(&mut self, rig: &Rig) {
        let (bucket, key, upload) = self.upload();
        let abort = AbortUpload { bucket, key, upload, now_ms: self.draw() };
        let reply = rig.propose(&Command::AbortUpload(abort.clone())).await;
        assert_eq!(reply, self.model.abort(&abort));
    }

    async fn seal(&mut self, rig: &Rig) {
        let bucket = 2 + self.random.below(2);
        let reply = rig.propose(&Command::SealBucket(bucket)).await;
        assert_eq!(reply, self.model.seal(bucket));
        if self.random.coin() {
            assert_eq!(rig.propose(&Command::UnsealBucket(bucket)).await, Reply::Done);
            self.model.unseal(bucket);
        }
        // Nothing is condemned under this name: passed over.
        let step = ReclaimStep { end: 1, ..ReclaimStep::default() };
        assert_eq!(rig.propose(&Command::Reclaim(vec![step])).await, Reply::Done);
    }

    async fn list(&mut self, rig: &Rig) {
        let bucket = self.bucket();
        let prefix = ["", "a", "a/", "b\0"][usize::try_from(self.random.below(4)).unwrap()];
        let delimiter =
            [None, Some("/"), Some("/b")][usize::try_from(self.random.below(3)).unwrap()];
        let entries_max = usize::try_from(1 + self.random.below(4)).unwrap();
        let mut start = Some(Position::start());
        let mut names = Vec::new();
        let mut pages = 0;
        while let Some(from) = start {
            let query = ListQuery {
                prefix: prefix.to_owned(),
                start: from,
                delimiter: delimiter.map(str::to_owned),
                entries_max,
            };
            let page = rig.state.list(bucket, &query).await.unwrap();
            assert!(page.entries.len() <= entries_max);
            names.extend(page.entries.iter().map(|entry| entry.name().to_owned()));
            start = page.next;
            pages += 1;
        }
        let expected = self.model.list(bucket, prefix, delimiter);
        assert_eq!(names, expected);
        assert_eq!(pages, expected.len().div_ceil(entries_max).max(1), "a page more than needed");
    }

    async fn list_versions(&mut self, rig: &Rig) {
        let bucket = self.bucket();
        let entries_max = usize::try_from(1 + self.random.below(4)).unwrap();
        let mut start = Some(Position::start());
        let mut found = Vec::new();
        while let Some(from) = start {
            let query = ListQuery { start: from, entries_max, ..ListQuery::default() };
            let page = rig.state.list_versions(bucket, &query).await.unwrap();
            assert!(page.entries.len() <= entries_max);
            for entry in page.entries {
                let super::Listed::Item { key, value } = entry.listed else { unreachable!() };
                found.push((key, value.version()));
            }
            start = page.next;
        }
        let expected = self.model.versions().filter(|(name, _)| name.0 == bucket);
        let expected: Vec<_> = expected.map(|((_, key), one)| (key.clone(), one.version)).collect();
        assert_eq!(found, expected);
    }

    async fn check(&mut self, rig: &Rig) {
        for ((bucket, key), expected) in self.model.versions() {
            let version = expected.version;
            let (object, bytes) = rig.read_version(*bucket, key, wanted(version)).await;
            assert_eq!((object.version(), &object.etag), (version, &expected.etag));
            assert!(bytes == expected.bytes, "other bytes: {object:?}");
        }
        for ((bucket, key), expected) in self.model.objects() {
            let object =
                rig.state.object(*bucket, key).await.unwrap().expect("it was acknowledged");
            assert_eq!(object.etag, expected.etag);
            assert!(rig.read(*bucket, key).await == expected.bytes, "other bytes: {object:?}");
        }
        for bucket in 1..4 {
            let page = rig.state.uploads(bucket, &rig::everything()).await.unwrap();
            let found: Vec<_> = page
                .entries
                .iter()
                .map(|entry| match &entry.listed {
                    super::Listed::Item { key, value } => (key.clone(), value.id),
                    super::Listed::Prefix(_) => unreachable!("no delimiter was asked for"),
                })
                .collect();
            assert_eq!(found, self.model.uploads(bucket));
        }
        let pending = rig.state.pending_delete().await.unwrap();
        assert_eq!(pending, rig.condemned().await, "the figures and a walk over the bodies");
        rig.assert_usage().await;
        self.events.check(rig).await;
        self.check_references(rig).await;
        assert_eq!(rig.staging.count(), 0, "everything is claimed or discarded");
    }

    /// Counts are what a walk finds, and every body that has chunks is named by something or waits to be reclaimed.
    async fn check_references(&mut self, rig: &Rig) {
        let references: u64 = rig.references().await.values().sum();
        let mut chunks = 0;
        for ((bucket, key), one) in self.model.versions() {
            let wanted = wanted(one.version);
            let object = rig.state.version((*bucket, key), wanted).await.unwrap().unwrap();
            chunks += object.bodies().map(|(_, bytes)| chunk_count(bytes)).sum::<u32>();
        }
        for (_, _, upload) in self.model.every_upload() {
            let parts = rig.state.all_parts(upload).await.unwrap();
            chunks += parts.iter().map(|part| chunk_count(part.size)).sum::<u32>();
        }
        for (_, condemned) in rig.state.condemned(None).await.unwrap().0 {
            chunks += condemned.chunks - condemned.removed;
        }
        assert_eq!(references, u64::from(chunks), "bodies that nothing names");
    }

    /// Ends everything, and finds nothing left over.
    async fn empty(&mut self, rig: &Rig) {
        for bucket in [2, 3] {
            rig.propose(&Command::UnsealBucket(bucket)).await;
        }
        let versions: Vec<_> = self.model.versions().collect();
        let mut deletes = Vec::new();
        for ((bucket, key), one) in versions {
            let (bucket, key, version) = (*bucket, key.clone(), wanted(one.version));
            let now_ms = 1 + u64::try_from(deletes.len()).unwrap();
            deletes.push(DeleteObject { bucket, key, now_ms, version, ..DeleteObject::default() });
        }
        let reply = rig.propose(&Command::DeleteObjects(deletes)).await;
        let Reply::DeletedEach(each) = reply else { unreachable!("{reply:?}") };
        assert!(each.iter().all(|deleted| deleted.as_ref().is_ok_and(|deleted| deleted.found)));
        for bucket in 1..4 {
            for (key, upload) in self.model.uploads(bucket) {
                let abort = AbortUpload { bucket, key, upload, now_ms: self.draw() };
                assert_eq!(rig.propose(&Command::AbortUpload(abort)).await, Reply::Done);
            }
        }
        rig.reclaim().await;
        while !rig.state.events("target", 1000).await.unwrap().is_empty() {
            self.events.remove(rig, &mut self.random).await;
        }
        rig.flush().await;
        assert_eq!(rig.left_over().await, self.model.versioned_buckets());
        let figures = rig.storage.index.segments().figures();
        assert_eq!(figures.pinned_bytes, 0, "an extent that nothing lets go of");
    }

    fn one_delete(&mut self) -> DeleteObject {
        let (bucket, key) = (self.bucket(), self.key());
        let if_match = self.condition(bucket, &key).if_match;
        let named = self.model.versions().filter(|(name, _)| **name == (bucket, key.clone()));
        let mut named: Vec<_> = named.map(|(_, one)| wanted(one.version)).collect();
        named.extend([WantedVersion::Current, WantedVersion::Current, WantedVersion::Null]);
        named.push(WantedVersion::Id(VersionId { sequence: 1, nonce: u64::MAX }));
        let drawn = self.random.below(u64::try_from(named.len()).unwrap());
        let version = named[usize::try_from(drawn).unwrap()];
        let now_ms = self.draw();
        let nonce = now_ms;
        let notice = self.random.coin().then(|| events::notice("delete"));
        let delete = DeleteObject { bucket, key, if_match, now_ms, version, ..Default::default() };
        DeleteObject { nonce, notice, ..delete }
    }

    fn condition(&mut self, bucket: BucketId, key: &str) -> WriteCondition {
        let etag = self.model.etag(bucket, key);
        let (if_none_match_any, if_match) = match self.random.below(8) {
            0 => (true, None),
            1 => (false, Some("*".to_owned())),
            2 => (false, Some("another".to_owned())),
            3 => (false, etag),
            _ => (false, None),
        };
        WriteCondition { if_none_match_any, if_match }
    }

    fn upload(&mut self) -> (BucketId, String, UploadId) {
        let known = self.model.every_upload();
        if known.is_empty() || self.random.below(8) == 0 {
            return (self.bucket(), self.key(), UploadId(u128::from(self.random.below(20))));
        }
        let count = u64::try_from(known.len()).unwrap();
        known[usize::try_from(self.random.below(count)).unwrap()].clone()
    }

    /// Often those of other bodies, so that they share chunks; some have the same chunk twice.
    fn bytes(&mut self) -> Vec<u8> {
        if self.random.coin() {
            let byte = u8::try_from(self.random.below(3)).unwrap();
            let length = [900, 9000, 1 << 20, (2 << 20) + 900];
            return vec![byte; length[usize::try_from(self.random.below(4)).unwrap()]];
        }
        let length = match self.random.below(8) {
            0 => 0,
            1 => 1,
            2..5 => self.random.below(700),
            5..7 => self.random.below(20_000),
            _ => (1 << 20) - 1 + self.random.below(3),
        };
        let first = self.random.word();
        let byte = |at: u64| u8::try_from((first.wrapping_add(at * at)) % 251).unwrap();
        (0..length).map(byte).collect()
    }

    fn bucket(&mut self) -> BucketId {
        1 + self.random.below(3)
    }

    fn key(&mut self) -> String {
        const KEYS: [&str; 9] =
            ["a", "a/", "a/b", "a/b/c", "a/b\u{10FFFF}", "a\0", "b\0", "b\0/x", "\u{1}"];
        KEYS[usize::try_from(self.random.below(9)).unwrap()].to_owned()
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }
}

fn reply_is_versioned(reply: &Reply) -> bool {
    matches!(reply, Reply::Stored(stored) if stored.version.is_some())
}

fn wanted(version: ObjectVersion) -> WantedVersion {
    match version.name() {
        VersionName::Null => WantedVersion::Null,
        VersionName::Id(id) => WantedVersion::Id(id),
    }
}
