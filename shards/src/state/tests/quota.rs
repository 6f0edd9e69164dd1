//! Hard quotas: whatever grows a bucket is held against what its group may hold, and nothing else is; also after crashes.

use anode_disk::testing::{Random, SimDisk};

use super::rig::{GROUP, Rig, run};
use crate::{
    command::{
        AbortUpload, Allot, AllotStep, Command, CompleteUpload, CreateUpload, DeleteObject,
        NamedPart, Refusal, Reply, SetVersioning, VersioningStep, WriteCondition,
    },
    object::UploadId,
    quota::{Allowance, Amount},
    state::{Planned, Usage, keys},
    version::{Versioning, WantedVersion},
};

const BUCKET: u64 = 7;
const UPLOAD: UploadId = UploadId(5);
const SEEDS: u64 = 60;
const STEPS: u64 = 60;

fn allot(round: u64, step: AllotStep) -> Command {
    Command::Allot(Allot { bucket: BUCKET, round, step })
}

fn bytes(bytes: u64) -> Amount {
    Amount { bytes, objects: u64::MAX }
}

async fn put(rig: &Rig, key: &str, length: usize, id: u64) -> Reply {
    let put = rig.put((BUCKET, key), &vec![1; length], WriteCondition::default(), id).await;
    let told = rig.state.rehearse(&put).await.unwrap();
    let planned = Planned::Object { key: key.to_owned(), bytes: u64::try_from(length).unwrap() };
    assert_eq!(rig.state.check_planned(BUCKET, &planned).await.unwrap(), told, "told before");
    let reply = rig.propose(&put).await;
    assert_eq!(told, over(&reply), "apply is as its rehearsal");
    if told.is_some() && length > 600 {
        rig.discard(&put);
    }
    reply
}

fn over(reply: &Reply) -> Option<Refusal> {
    let Reply::Refused(refusal @ Refusal::OverQuota { .. }) = reply else { return None };
    Some(refusal.clone())
}

async fn delete(rig: &Rig, key: &str, version: WantedVersion, id: u64) {
    let (key, nonce) = (key.to_owned(), id);
    let delete = DeleteObject { bucket: BUCKET, key, version, nonce, ..DeleteObject::default() };
    let reply = rig.propose(&Command::DeleteObject(delete)).await;
    assert!(matches!(reply, Reply::Deleted(_)), "a deletion is never refused: {reply:?}");
}

#[test]
fn a_frozen_bucket_shrinks_and_does_not_grow() {
    run(&SimDisk::new(1), async |rig| {
        put(rig, "a", 100, 1).await;
        let frozen = rig.propose(&allot(3, AllotStep::Freeze)).await;
        assert_eq!(frozen, Reply::Frozen(Amount { bytes: 100, objects: 1 }));
        for (key, length, is_refused) in
            [("a", 101, true), ("b", 0, true), ("a", 100, false), ("a", 70, false), ("a", 71, true)]
        {
            let reply = put(rig, key, length, 10).await;
            assert_eq!(over(&reply).is_some(), is_refused, "{key} {length}");
        }
        rig.propose(&allot(3, AllotStep::Grant(bytes(90)))).await;
        assert!(over(&put(rig, "b", 21, 11).await).is_some());
        assert_eq!(over(&put(rig, "b", 20, 12).await), None);
        delete(rig, "a", WantedVersion::Current, 13).await;
        assert!(over(&put(rig, "c", 70_000, 14).await).is_some());
        assert_eq!(over(&put(rig, "c", 70, 15).await), None);
        rig.propose(&allot(4, AllotStep::Lift)).await;
        assert_eq!(over(&put(rig, "c", 70_000, 16).await), None);
        assert_eq!(rig.state.allowance(BUCKET), None);
        rig.assert_usage().await;
    });
}

#[test]
fn a_step_of_a_round_that_was_overtaken_is_refused() {
    run(&SimDisk::new(2), async |rig| {
        let outdated = Reply::Refused(Refusal::Outdated);
        let grant = AllotStep::Grant(bytes(9));
        assert_eq!(rig.propose(&allot(1, grant)).await, outdated, "nothing is frozen");
        assert_eq!(
            rig.propose(&allot(3, AllotStep::Freeze)).await,
            Reply::Frozen(Amount::default())
        );
        for (round, step) in [
            (3, AllotStep::Freeze),
            (2, AllotStep::Freeze),
            (2, grant),
            (4, grant),
            (3, AllotStep::Lift),
            (2, AllotStep::Lift),
        ] {
            assert_eq!(rig.propose(&allot(round, step)).await, outdated, "{round} {step:?}");
        }
        assert_eq!(rig.propose(&allot(3, grant)).await, Reply::Done);
        assert_eq!(rig.propose(&allot(3, grant)).await, outdated, "a grant is given once");
        let granted = Some(Allowance { round: 3, granted: Some(bytes(9)) });
        assert_eq!(rig.state.allowance(BUCKET), granted);
    });
}

#[test]
fn numbers_are_given_once() {
    let disk = SimDisk::new(3);
    for (above, expected) in [(0, 1), (0, 2), (7, 8), (3, 9)] {
        run(&disk, async |rig| {
            let reply = rig.propose(&Command::NumberRound(above)).await;
            assert_eq!(reply, Reply::Numbered(expected));
        });
        disk.crash();
    }
}

#[test]
fn versions_and_parts_count_and_delete_markers_do_not() {
    run(&SimDisk::new(4), async |rig| {
        let set = SetVersioning {
            bucket: BUCKET,
            versioning: Versioning::Enabled,
            step: VersioningStep::Apply(1),
            ..SetVersioning::default()
        };
        rig.propose(&Command::SetVersioning(set)).await;
        rig.propose(&allot(1, AllotStep::Freeze)).await;
        rig.propose(&allot(1, AllotStep::Grant(Amount { bytes: 1000, objects: 2 }))).await;
        let (bucket, key) = (BUCKET, "u".to_owned());
        let create = CreateUpload { bucket, key, upload: UPLOAD, ..CreateUpload::default() };
        rig.propose(&Command::CreateUpload(Box::new(create))).await;
        let part = async |number, length, id| {
            let part = rig.part((BUCKET, "u", UPLOAD), number, &vec![2; length], id).await;
            let bytes = u64::try_from(length).unwrap();
            let planned = Planned::Part { upload: UPLOAD, number, bytes };
            let told = rig.state.check_planned(BUCKET, &planned).await.unwrap();
            let reply = rig.propose(&part).await;
            assert_eq!(told, over(&reply));
            if told.is_some() {
                rig.discard(&part);
            }
            reply
        };
        assert_eq!(over(&part(1, 900, 1).await), None);
        assert!(over(&part(2, 101, 2).await).is_some());
        assert_eq!(over(&part(1, 800, 3).await), None, "in place of the first");
        assert_eq!(over(&put(rig, "a", 100, 4).await), None);
        assert_eq!(over(&put(rig, "a", 100, 5).await), None);
        let growth = Amount { bytes: 0, objects: 1 };
        assert_eq!(over(&put(rig, "a", 0, 6).await), Some(Refusal::OverQuota { growth }));
        let parts = vec![NamedPart { number: 1, etag: "part-3".to_owned(), checksum: None }];
        let (bucket, key) = (BUCKET, "u".to_owned());
        let complete =
            CompleteUpload { bucket, key, upload: UPLOAD, parts, ..CompleteUpload::default() };
        let complete = Command::CompleteUpload(Box::new(complete));
        assert!(over(&rig.propose(&complete).await).is_some(), "a third version");
        delete(rig, "a", WantedVersion::Current, 7).await;
        delete(rig, "b", WantedVersion::Current, 8).await;
        assert!(over(&rig.propose(&complete).await).is_some(), "markers take no version away");
        delete(rig, "a", WantedVersion::Id(oldest(rig, "a").await), 9).await;
        assert_eq!(over(&rig.propose(&complete).await), None);
        rig.assert_usage().await;
    });
}

async fn oldest(rig: &Rig, key: &str) -> crate::version::VersionId {
    let range = keys::versions_of(GROUP, BUCKET, key);
    let all =
        rig.storage.index.scan(range, anode_disk::index::ScanLimit { entries: 9, bytes: 1 << 20 });
    let (_, entry) = all.await.unwrap().entries.pop().unwrap();
    let object: crate::object::Object = minicbor::decode(&entry.value).unwrap();
    object.version().id
}

#[test]
fn a_bucket_that_is_not_counted_does_not_grow() {
    run(&SimDisk::new(5), async |rig| {
        put(rig, "a", 10, 1).await;
        rig.propose(&allot(1, AllotStep::Freeze)).await;
        rig.propose(&allot(1, AllotStep::Grant(bytes(1000)))).await;
        rig.state.forget_usage();
        let uncounted = Reply::Refused(Refusal::Uncounted);
        assert_eq!(rig.propose(&allot(2, AllotStep::Freeze)).await, uncounted);
        let more = rig.put((BUCKET, "b"), &[1; 10], WriteCondition::default(), 2).await;
        assert_eq!(rig.state.rehearse(&more).await.unwrap(), Some(Refusal::Uncounted));
        assert_eq!(rig.propose(&more).await, uncounted);
        delete(rig, "a", WantedVersion::Current, 3).await;
        rig.state.begin_counting().await.unwrap();
        assert!(matches!(rig.propose(&more).await, Reply::Stored(_)));
    });
}

/// What a quota is about, by the figures, which other tests hold against a count.
async fn held(rig: &Rig) -> Amount {
    rig.state.usage(BUCKET).await.unwrap().as_ref().map(Usage::amount).unwrap()
}

struct Script {
    random: Random,
    /// What the group may hold, as a map of one bucket has it.
    allowance: Option<Allowance>,
    drawn: u64,
    grown: u64,
    refused: u64,
}

impl Script {
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let count = u64::try_from(all.len()).unwrap();
        all[usize::try_from(self.random.below(count)).unwrap()]
    }

    fn length(&mut self) -> usize {
        self.one_of(&[0, 10, 300, 599, 700, 2_000])
    }

    async fn step(&mut self, rig: &Rig) {
        let key = self.one_of(&["a", "b", "c"]).to_owned();
        let (id, length) = (self.draw(), self.length());
        let bucket = BUCKET;
        let command = match self.random.below(16) {
            0..5 => rig.put((bucket, &key), &vec![3; length], WriteCondition::default(), id).await,
            5..7 => {
                let wanted =
                    if self.random.coin() { WantedVersion::Current } else { WantedVersion::Null };
                let delete = DeleteObject {
                    bucket,
                    key,
                    version: wanted,
                    nonce: id,
                    ..DeleteObject::default()
                };
                Command::DeleteObject(delete)
            }
            7 => {
                let versioning =
                    if self.random.coin() { Versioning::Enabled } else { Versioning::Suspended };
                let step = VersioningStep::Apply(id);
                Command::SetVersioning(SetVersioning {
                    bucket,
                    versioning,
                    step,
                    ..SetVersioning::default()
                })
            }
            8 => {
                let create = CreateUpload {
                    bucket,
                    key: "u".to_owned(),
                    upload: UPLOAD,
                    ..CreateUpload::default()
                };
                Command::CreateUpload(Box::new(create))
            }
            9..11 => rig.part((bucket, "u", UPLOAD), 1, &vec![4; length.max(1)], id).await,
            11 => self.end_upload(rig).await,
            12 => return rig.flush().await,
            _ => return self.allot(rig).await,
        };
        self.write(rig, &command).await;
    }

    async fn end_upload(&mut self, rig: &Rig) -> Command {
        let (bucket, key, now_ms) = (BUCKET, "u".to_owned(), self.draw());
        if self.random.below(3) == 0 {
            return Command::AbortUpload(AbortUpload { bucket, key, upload: UPLOAD, now_ms });
        }
        let parts = rig.state.all_parts(UPLOAD).await.unwrap();
        let named = |part: &crate::object::Part| NamedPart {
            number: part.number,
            etag: part.etag.clone(),
            checksum: None,
        };
        let parts = parts.iter().map(named).collect();
        let complete = CompleteUpload {
            bucket,
            key,
            upload: UPLOAD,
            parts,
            now_ms,
            ..CompleteUpload::default()
        };
        Command::CompleteUpload(Box::new(complete))
    }

    async fn allot(&mut self, rig: &Rig) {
        let known = self.allowance.map_or(0, |allowance| allowance.round);
        let round = (known + self.random.below(3)).saturating_sub(1);
        let held = held(rig).await;
        let amount = Amount {
            bytes: held.bytes + self.random.below(1_500),
            objects: held.objects + self.random.below(3),
        };
        let step = self.one_of(&[
            AllotStep::Freeze,
            AllotStep::Grant(amount),
            AllotStep::Grant(amount),
            AllotStep::Lift,
        ]);
        let is_new = self.allowance.is_none_or(|allowance| allowance.round < round);
        let is_frozen = self.allowance == Some(Allowance { round, granted: None });
        let expected = match step {
            AllotStep::Freeze if is_new => {
                self.allowance = Some(Allowance { round, granted: None });
                Reply::Frozen(held)
            }
            AllotStep::Grant(amount) if is_frozen => {
                self.allowance = Some(Allowance { round, granted: Some(amount) });
                Reply::Done
            }
            AllotStep::Lift if is_new => {
                self.allowance = None;
                Reply::Done
            }
            AllotStep::Freeze | AllotStep::Grant(_) | AllotStep::Lift => {
                Reply::Refused(Refusal::Outdated)
            }
        };
        assert_eq!(rig.propose(&allot(round, step)).await, expected);
    }

    async fn write(&mut self, rig: &Rig, command: &Command) {
        let before = held(rig).await;
        let limit = self.allowance.map_or(Amount::UNLIMITED, Allowance::limit);
        let reply = rig.propose(command).await;
        let after = held(rig).await;
        let grows = |before: u64, after: u64, limit: u64| after > before && after > limit;
        assert!(
            !grows(before.bytes, after.bytes, limit.bytes),
            "{command}: {after:?} of {limit:?}"
        );
        assert!(!grows(before.objects, after.objects, limit.objects), "{command}");
        self.grown += u64::from(after.bytes > before.bytes);
        if let Reply::Refused(refusal) = &reply {
            assert_eq!(after, before, "{command} was refused");
            if let Refusal::OverQuota { growth } = refusal {
                self.refused += 1;
                assert!(!limit.has_room(before, *growth), "{command}: {before:?} of {limit:?}");
            }
            if let Command::PutPart(_) = command {
                rig.discard(command);
            } else if let Command::PutObject(put) = command
                && matches!(put.object.body, crate::object::Body::Whole(_))
            {
                rig.discard(command);
            }
        }
    }
}

#[test]
fn random_commands_never_grow_a_bucket_beyond_its_allowance() {
    let (mut grown, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let disk = SimDisk::new(seed);
        let random = Random::new(seed);
        let mut script = Script { random, allowance: None, drawn: 0, grown: 0, refused: 0 };
        for _ in 0..3 {
            run(&disk, async |rig| {
                assert_eq!(rig.state.allowance(BUCKET), script.allowance, "after a crash");
                rig.assert_usage().await;
                for _ in 0..STEPS / 3 {
                    script.step(rig).await;
                }
                rig.assert_usage().await;
            });
            disk.crash();
        }
        (grown, refused) = (grown + script.grown, refused + script.refused);
    }
    assert!(grown > SEEDS * 3 && refused > SEEDS, "{grown} writes grew it, {refused} were refused");
}
