//! Single cases that random commands seldom meet.

use anode_disk::{Error, storage::StorageOptions, testing::SimDisk};

use super::rig::{Rig, content_of, run, run_with};
use crate::{
    acl::Acl,
    command::{
        Amend, Amendment, Command, CompleteUpload, CreateUpload, DeleteObject, Deleted, NamedPart,
        PutObject, ReclaimStep, Refusal, Reply, SetVersioning, VersioningStep, WriteCondition,
    },
    lock::{Leave, Retention, RetentionMode},
    object::{Body, BodyId, Object, UploadId},
    state::{ListQuery, Listed, PendingDelete, Position},
    version::{VersionId, VersionName, Versioning, WantedVersion},
};

pub(super) async fn put(rig: &Rig, key: &str, bytes: &[u8], id: u64) -> Reply {
    let command = rig.put((1, key), bytes, WriteCondition::default(), id).await;
    rig.propose(&command).await
}

pub(super) async fn delete(rig: &Rig, key: &str) {
    let delete = DeleteObject { bucket: 1, key: key.to_owned(), ..DeleteObject::default() };
    assert_eq!(
        rig.propose(&Command::DeleteObject(delete)).await,
        Reply::Deleted(Deleted { found: true, ..Deleted::default() })
    );
}

// A version that is current again when its removal is applied is not what was seen among the others.
#[test]
fn what_has_become_current_since_stays() {
    run(&SimDisk::new(14), async |rig| {
        let step = VersioningStep::Apply(1);
        let versioning = Versioning::Enabled;
        let set = SetVersioning { bucket: 1, versioning, step, ..SetVersioning::default() };
        rig.propose(&Command::SetVersioning(set)).await;
        put(rig, "k", b"first", 1).await;
        put(rig, "k", b"second", 2).await;
        let id = |sequence| WantedVersion::Id(VersionId { sequence, nonce: sequence });
        let delete = |version, seen_ms| {
            let (bucket, key) = (1, "k".to_owned());
            Command::DeleteObject(DeleteObject {
                bucket,
                key,
                version,
                seen_ms,
                ..DeleteObject::default()
            })
        };
        rig.propose(&delete(id(2), None)).await;
        let nothing = Reply::Deleted(Deleted::default());
        assert_eq!(rig.propose(&delete(id(1), Some(1))).await, nothing);
        assert_eq!(rig.read(1, "k").await, b"first");
    });
}

#[test]
fn what_was_written_since_stays() {
    run(&SimDisk::new(13), async |rig| {
        let delete = |version, seen_ms| {
            let (key, seen_ms) = ("k".to_owned(), Some(seen_ms));
            let delete =
                DeleteObject { bucket: 1, key, version, seen_ms, ..DeleteObject::default() };
            Command::DeleteObject(delete)
        };
        let nothing = Reply::Deleted(Deleted::default());
        for versioning in [None, Some(Versioning::Enabled)] {
            if let Some(versioning) = versioning {
                let step = VersioningStep::Apply(1);
                let set = SetVersioning { bucket: 1, versioning, step, ..SetVersioning::default() };
                rig.propose(&Command::SetVersioning(set)).await;
            }
            put(rig, "k", b"now", 8).await;
            for version in [WantedVersion::Current, WantedVersion::Null] {
                assert_eq!(rig.propose(&delete(version, 7)).await, nothing);
            }
            assert_eq!(rig.read(1, "k").await, b"now");
            let reply = rig.propose(&delete(WantedVersion::Current, 8)).await;
            assert!(matches!(reply, Reply::Deleted(Deleted { found: true, .. })), "{reply:?}");
            assert_eq!(rig.propose(&delete(WantedVersion::Current, 8)).await, nothing);
        }
    });
}

// Every way in which a version can go: by its id, by a batch, by an overwrite of a null version.
#[test]
fn a_locked_version_stays() {
    run(&SimDisk::new(10), async |rig| {
        let versioned = |versioning, change| {
            let step = VersioningStep::Apply(change);
            let set = SetVersioning { bucket: 1, versioning, step, ..SetVersioning::default() };
            Command::SetVersioning(set)
        };
        put(rig, "k", b"null", 1).await;
        rig.propose(&versioned(Versioning::Enabled, 1)).await;
        put(rig, "k", &[1; 5000], 2).await;
        let amend = |version, change| {
            let key = "k".to_owned();
            let amend = Amend { bucket: 1, key, version, change, notice: None };
            Command::Amend(Box::new(amend))
        };
        let until = |until_ms| Retention { mode: RetentionMode::Governance, until_ms };
        let leave = Leave { now_ms: 5, bypasses_governance: false };
        let newest = WantedVersion::Id(VersionId { sequence: 1, nonce: 2 });
        let retain = |until_ms| amend(newest, Amendment::Retention(Some(until(until_ms)), leave));
        let name = VersionName::Id(VersionId { sequence: 1, nonce: 2 });
        let amended = Reply::Amended { version: Some(name) };
        assert_eq!(rig.propose(&retain(100)).await, amended);
        assert_eq!(rig.propose(&retain(99)).await, Reply::Refused(Refusal::Locked));
        let hold = amend(WantedVersion::Null, Amendment::LegalHold(true));
        rig.propose(&hold).await;
        rig.flush().await;

        let delete = |version, bypasses_governance| DeleteObject {
            bucket: 1,
            key: "k".to_owned(),
            now_ms: 50,
            version,
            bypasses_governance,
            ..DeleteObject::default()
        };
        for version in [newest, WantedVersion::Null] {
            let reply = rig.propose(&Command::DeleteObject(delete(version, false))).await;
            assert_eq!(reply, Reply::Refused(Refusal::Locked));
            let batch = Command::DeleteObjects(vec![delete(version, false)]);
            let refused = Reply::DeletedEach(vec![Err(Refusal::Locked)]);
            assert_eq!(rig.propose(&batch).await, refused);
        }
        rig.propose(&versioned(Versioning::Suspended, 2)).await;
        assert_eq!(put(rig, "k", b"over", 3).await, Reply::Refused(Refusal::Locked));
        let mark = Command::DeleteObject(delete(WantedVersion::Current, true));
        assert_eq!(rig.propose(&mark).await, Reply::Refused(Refusal::Locked));
        assert_eq!(rig.read_version(1, "k", WantedVersion::Null).await.1, b"null");
        assert_eq!(rig.read(1, "k").await, [1; 5000]);

        let bypassed = rig.propose(&Command::DeleteObject(delete(newest, true))).await;
        assert!(matches!(bypassed, Reply::Deleted(_)), "{bypassed:?}");
        rig.propose(&amend(WantedVersion::Null, Amendment::LegalHold(false))).await;
        assert!(matches!(put(rig, "k", b"over", 4).await, Reply::Stored(_)));
    });
}

#[test]
fn what_is_beside_the_bytes_changes_without_them() {
    run(&SimDisk::new(11), async |rig| {
        let tags = |key: &str| {
            let (key, change) = (key.to_owned(), Amendment::Tags(vec![("a".into(), "b".into())]));
            let version = WantedVersion::Current;
            Command::Amend(Box::new(Amend { bucket: 1, key, version, change, notice: None }))
        };
        for (id, key, bytes) in [(1, "inline", 500), (2, "chunks", 5000), (3, "none", 0)] {
            put(rig, key, &vec![7; bytes], id).await;
            rig.flush().await;
            assert_eq!(rig.propose(&tags(key)).await, Reply::Amended { version: None });
            let (object, found) = rig.read_version(1, key, WantedVersion::Current).await;
            assert_eq!((object.tags.len(), object.last_modified_ms), (1, id));
            assert_eq!(found, vec![7; bytes]);
        }
        assert_eq!(rig.propose(&tags("absent")).await, Reply::Refused(Refusal::NoSuchKey));
    });
}

#[test]
fn an_acl_is_replaced_only_where_it_is_the_one_that_was_seen() {
    run(&SimDisk::new(13), async |rig| {
        let acl = |owner: &str| Some(Box::new(Acl { owner: owner.to_owned(), grants: Vec::new() }));
        let replace = |before, after| {
            let (key, change) = ("k".to_owned(), Amendment::Acl(before, after));
            let version = WantedVersion::Current;
            Command::Amend(Box::new(Amend { bucket: 1, key, version, change, notice: None }))
        };
        put(rig, "k", &[7; 500], 1).await;
        let amended = Reply::Amended { version: None };
        assert_eq!(rig.propose(&replace(None, acl("a"))).await, amended);
        let outdated = Reply::Refused(Refusal::Outdated);
        for before in [None, acl("b")] {
            assert_eq!(rig.propose(&replace(before, acl("b"))).await, outdated);
        }
        rig.flush().await;
        let (object, bytes) = rig.read_version(1, "k", WantedVersion::Current).await;
        assert_eq!((object.acl, bytes), (acl("a"), vec![7; 500]));
        // Whoever overwrites it owns it.
        put(rig, "k", b"another", 2).await;
        assert_eq!(rig.propose(&replace(acl("a"), acl("a"))).await, outdated);
        assert_eq!(rig.read_version(1, "k", WantedVersion::Current).await.0.acl, None);
    });
}

// H14: a body is not reclaimed while a reader holds it, nor while a look-up that may find it is under way.
#[test]
fn what_a_reader_holds_stays() {
    run(&SimDisk::new(2), async |rig| {
        put(rig, "k", &[7; 5000], 1).await;
        let (object, pin) = rig.state.object_pinned(1, "k").await.unwrap().unwrap();
        delete(rig, "k").await;
        rig.flush().await;
        rig.reclaim().await;
        rig.reclaim().await;
        let piece = object.chunks(0..10).next().unwrap();
        let read = || rig.state.chunk(piece.body, 0, piece.range.clone());
        assert_eq!(read().await.unwrap(), [7; 10].as_slice());
        let ticket = rig.state.pins().begin();
        drop(pin);
        rig.reclaim().await;
        assert!(read().await.is_ok(), "a look-up from before the delete was not waited for");
        drop(ticket);
        rig.reclaim().await;
        rig.reclaim().await;
        assert!(matches!(read().await, Err(Error::Absent { .. })));
        assert_eq!(rig.left_over().await, 0);
    });
}

#[test]
fn a_body_that_is_not_staged_is_refused_and_changes_nothing() {
    run(&SimDisk::new(3), async |rig| {
        put(rig, "k", b"before", 1).await;
        let command = rig.put((1, "k"), &[1; 5000], WriteCondition::default(), 2).await;
        rig.discard(&command);
        assert_eq!(rig.propose(&command).await, Reply::Refused(Refusal::BodyMissing));
        assert_eq!(rig.read(1, "k").await, b"before");
        // Nor can a body be named that another object has had.
        put(rig, "other", &[2; 5000], 3).await;
        let body = Body::Whole(BodyId(3));
        let object = Object { size: 5000, body, ..Object::default() };
        let (key, condition) = ("k".to_owned(), WriteCondition::default());
        let contents = vec![content_of(&[2; 5000])];
        let theft =
            PutObject { bucket: 1, key, object, condition, contents, ..PutObject::default() };
        let reply = rig.propose(&Command::PutObject(Box::new(theft))).await;
        assert_eq!(reply, Reply::Refused(Refusal::BodyMissing));
    });
}

#[test]
fn commands_that_contradict_themselves_are_refused() {
    run(&SimDisk::new(4), async |rig| {
        let object = |size, body| Object { size, body, ..Object::default() };
        let wrong = [
            ("k", object(1, Body::Empty)),
            ("k", object(0, Body::Whole(BodyId(1)))),
            ("k", object(u64::MAX, Body::Whole(BodyId(1)))),
            ("k", object(9, Body::Parts(1))),
            ("", object(0, Body::Empty)),
        ];
        for (key, object) in wrong {
            let put = PutObject { bucket: 1, key: key.to_owned(), object, ..PutObject::default() };
            let reply = rig.propose(&Command::PutObject(Box::new(put))).await;
            assert!(matches!(reply, Reply::Refused(Refusal::Malformed(_))), "{reply:?}");
        }
        assert_eq!(rig.left_over().await, 0);
    });
}

#[test]
fn chunks_staged_before_a_crash_are_dropped_unless_a_command_names_them() {
    let disk = SimDisk::new(5);
    let mut command = None;
    run(&disk, async |rig| {
        rig.stage(1, &[1; 5000]).await;
        command = Some(rig.put((1, "k"), &[2; 9000], WriteCondition::default(), 2).await);
        // Recorded again by flushes as long as nothing claims them.
        rig.flush().await;
        rig.flush().await;
        assert_eq!(rig.staging.count(), 2);
        let reply = rig.propose(command.as_ref().unwrap()).await;
        assert!(matches!(reply, Reply::Stored(_)));
    });
    disk.crash();
    run(&disk, async |rig| {
        assert_eq!(rig.read(1, "k").await, [2; 9000]);
        assert_eq!(rig.staging.count(), 0);
        rig.flush().await;
    });
    disk.crash();
    run(&disk, async |rig| assert_eq!(rig.read(1, "k").await, [2; 9000]));
}

#[test]
fn an_upload_of_many_parts_is_read_back_by_ranges() {
    let disk = SimDisk::new(6);
    run(&disk, async |rig| {
        let (key, upload) = ("k".to_owned(), UploadId(9));
        let create =
            CreateUpload { bucket: 1, key: key.clone(), upload, ..CreateUpload::default() };
        rig.propose(&Command::CreateUpload(Box::new(create))).await;
        let mut parts = Vec::new();
        for number in 1..=50_u16 {
            let bytes = vec![u8::try_from(number).unwrap(); 300];
            let command = rig.part((1, &key, upload), number, &bytes, u64::from(number)).await;
            rig.propose(&command).await;
            let etag = format!("part-{number}");
            parts.push(NamedPart { number, etag, checksum: None });
        }
        let page = rig.state.parts(upload, 10, 20).await.unwrap();
        assert_eq!((page.parts[0].number, page.parts.len(), page.more), (11, 20, true));
        let page = rig.state.parts(upload, 30, 20).await.unwrap();
        assert_eq!((page.parts[0].number, page.parts.len(), page.more), (31, 20, false));
        let complete =
            CompleteUpload { bucket: 1, key, upload, parts, ..CompleteUpload::default() };
        rig.propose(&Command::CompleteUpload(Box::new(complete))).await;
        rig.flush().await;
        let object = rig.state.object(1, "k").await.unwrap().unwrap();
        assert_eq!((object.size, object.parts.len()), (15_000, 50));
        let pieces: Vec<_> = object.chunks(299..601).collect();
        assert_eq!(pieces.iter().map(|piece| piece.range.len()).collect::<Vec<_>>(), [1, 300, 1]);
        assert_eq!(rig.read(1, "k").await[14_999], 50);
    });
}

#[test]
fn uploads_are_listed_by_key_then_id_with_prefixes_and_markers() {
    run(&SimDisk::new(7), async |rig| {
        for (key, id) in [("a", 2), ("a", 1), ("a\0", 1), ("b/x", 1), ("b/y", 1), ("c", 1)] {
            let upload = UploadId(id);
            let create =
                CreateUpload { bucket: 1, key: key.to_owned(), upload, ..CreateUpload::default() };
            rig.propose(&Command::CreateUpload(Box::new(create))).await;
        }
        let mut query = ListQuery {
            delimiter: Some("/".to_owned()),
            entries_max: 2,
            start: Position::start(),
            prefix: String::new(),
        };
        let mut found = Vec::new();
        loop {
            let page = rig.state.uploads(1, &query).await.unwrap();
            for entry in &page.entries {
                let id = match &entry.listed {
                    Listed::Item { value, .. } => value.id.0,
                    Listed::Prefix(_) => 0,
                };
                found.push((entry.name().to_owned(), id));
            }
            let Some(next) = page.next else { break };
            query.start = next;
        }
        let names = [("a", 1), ("a", 2), ("a\0", 1), ("b/", 0), ("c", 1)];
        assert_eq!(found, names.map(|(name, id)| (name.to_owned(), id)));
        query.start = Position::after_upload("a", UploadId(1));
        let page = rig.state.uploads(1, &query).await.unwrap();
        assert_eq!(page.entries[0].name(), "a");
        query.start = Position::after_marker("a", "", None);
        let page = rig.state.uploads(1, &query).await.unwrap();
        assert_eq!(page.entries[0].name(), "a\0");
    });
}

#[test]
fn a_reclaim_that_comes_late_removes_nothing() {
    run(&SimDisk::new(8), async |rig| {
        put(rig, "k", &vec![3; 3 << 20], 1).await;
        let pin = rig.state.object_pinned(1, "k").await.unwrap();
        delete(rig, "k").await;
        let reclaim = |start, end| {
            Command::Reclaim(vec![ReclaimStep { body: BodyId(1), start, end, since_ms: 0 }])
        };
        let left = async || rig.left_over().await;
        // Three chunks, what they hold and how often, the condemned body and the figures.
        assert_eq!(left().await, 7);
        // Out of turn, beyond the end, then in turn, then once more.
        for (start, end, expected) in
            [(1, 2, 7), (0, 4, 7), (0, 2, 4), (0, 2, 4), (2, 3, 0), (2, 3, 0)]
        {
            assert_eq!(rig.propose(&reclaim(start, end)).await, Reply::Done);
            assert_eq!(left().await, expected, "after {start}..{end}");
        }
        drop(pin);
    });
}

#[test]
fn what_waits_to_be_reclaimed_is_counted_exactly_also_after_a_restart() {
    let disk = SimDisk::new(11);
    let pending = |bodies, bytes, oldest_ms| PendingDelete { bodies, bytes, oldest_ms };
    let step =
        |body, start, end, since_ms| ReclaimStep { body: BodyId(body), start, end, since_ms };
    let reclaim = async |rig: &Rig, steps: Vec<ReclaimStep>| {
        assert_eq!(rig.propose(&Command::Reclaim(steps)).await, Reply::Done);
        let found = rig.state.pending_delete().await.unwrap();
        assert_eq!(found, rig.condemned().await);
        found
    };
    run(&disk, async |rig| {
        assert_eq!(rig.state.pending_delete().await.unwrap(), PendingDelete::default());
        // Overwritten at 20, 21 and 22: bodies 10, 20 and 21 are condemned in that order.
        for (id, bytes) in [(10, (2 << 20) + 5), (20, 5000), (21, 700), (22, 9000)] {
            put(rig, "k", &vec![1; bytes], id).await;
        }
        let bytes = (2 << 20) + 5 + 5000 + 700;
        assert_eq!(rig.state.pending_delete().await.unwrap(), pending(3, bytes, Some(20)));
        let names: Vec<_> = rig.state.condemned(None).await.unwrap().0;
        assert_eq!(names.iter().map(|(id, _)| id.body.0).collect::<Vec<_>>(), [10, 20, 21]);
        rig.flush().await;
        // A part of the oldest, and the one in the middle.
        let left = reclaim(rig, vec![step(10, 0, 2, 20), step(20, 0, 1, 21)]).await;
        assert_eq!(left, pending(2, 705, Some(20)));
    });
    disk.crash();
    run(&disk, async |rig| {
        let found = rig.state.pending_delete().await.unwrap();
        assert_eq!(found, pending(2, 705, Some(20)));
        // What comes twice, or names no body, counts for nothing.
        assert_eq!(reclaim(rig, vec![step(10, 0, 2, 20), step(9, 0, 1, 21)]).await, found);
        assert_eq!(reclaim(rig, vec![step(10, 2, 3, 20)]).await, pending(1, 700, Some(22)));
        assert_eq!(reclaim(rig, vec![step(21, 0, 1, 22)]).await, PendingDelete::default());
    });
}

#[test]
fn another_upload_of_the_key_is_not_taken_for_the_completed_one() {
    run(&SimDisk::new(9), async |rig| {
        let key = "k".to_owned();
        for upload in [UploadId(1), UploadId(2)] {
            let create =
                CreateUpload { bucket: 1, key: key.clone(), upload, ..CreateUpload::default() };
            rig.propose(&Command::CreateUpload(Box::new(create))).await;
        }
        let part = rig.part((1, &key, UploadId(1)), 1, b"part", 1).await;
        rig.propose(&part).await;
        let parts = vec![NamedPart { number: 1, etag: "part-1".to_owned(), checksum: None }];
        let complete = |upload, now_ms| {
            let (key, parts) = (key.clone(), parts.clone());
            let complete = CompleteUpload {
                bucket: 1,
                key,
                upload,
                parts,
                now_ms,
                ..CompleteUpload::default()
            };
            Command::CompleteUpload(Box::new(complete))
        };
        let first = rig.propose(&complete(UploadId(1), 5)).await;
        assert!(matches!(first, Reply::Stored(_)));
        assert_eq!(rig.propose(&complete(UploadId(1), 6)).await, first);
        let no_such = Reply::Refused(Refusal::NoSuchUpload);
        assert_eq!(rig.propose(&complete(UploadId(3), 7)).await, no_such);
        put(rig, &key, b"over it", 8).await;
        assert_eq!(rig.propose(&complete(UploadId(1), 9)).await, no_such);
    });
}

// H11: what was claimed and removed again since the last flush must be found by a replay all the same.
#[test]
fn a_replay_decides_as_before_though_a_body_was_reclaimed_since() {
    let disk = SimDisk::new(10);
    let options = StorageOptions { segment_bytes: 2 << 20, ..StorageOptions::default() };
    run_with(&disk, options.clone(), async |rig| {
        put(rig, "k", &vec![1; 1 << 20], 1).await;
        let condition =
            WriteCondition { if_match: Some("etag-1".to_owned()), ..WriteCondition::default() };
        let second = rig.put((1, "k"), &vec![2; 1 << 20], condition, 2).await;
        assert!(matches!(rig.propose(&second).await, Reply::Stored(_)));
        rig.reclaim().await;
        put(rig, "other", &vec![3; 1 << 20], 3).await;
        rig.storage.index.segments().sweep().await.unwrap();
    });
    disk.crash();
    run_with(&disk, options, async |rig| {
        assert_eq!(rig.read(1, "k").await, vec![2; 1 << 20]);
        let held = rig.storage.index.segments().figures().segment_count;
        rig.flush().await;
        assert!(rig.storage.index.segments().figures().segment_count < held, "kept for good");
    });
}
