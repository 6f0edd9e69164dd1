//! What the meta group keeps: buckets, their versioning and configurations, credentials, who there is.

use anode_disk::{
    index::{Batch, Entry, Payload},
    testing::SimDisk,
};
use bytes::Bytes;

use super::rig::run;
use crate::{
    cbor::encode,
    command::{
        Command, Configure, CreateBucket, Refusal, RemoveBucket, Reply, SetVersioning,
        VersioningStep,
    },
    iam::{ChangeIam, ENDED_ACCOUNT_KIND, IamChange},
    limits::CONFIGURATION_BYTES_MAX,
    object::{Credential, Secret},
    state::keys,
    version::{BucketState, Versioning},
};

#[test]
fn buckets_and_credentials_of_the_meta_group() {
    let disk = SimDisk::new(1);
    let create = |name: &str| {
        let (name, owner) = (name.to_owned(), "me".to_owned());
        Command::CreateBucket(CreateBucket { name, owner, now_ms: 5, ..CreateBucket::default() })
    };
    run(&disk, async |rig| {
        let Reply::Bucket(one) = rig.propose(&create("one")).await else { unreachable!() };
        let Reply::Bucket(two) = rig.propose(&create("two")).await else { unreachable!() };
        assert_ne!(one.id, two.id);
        let again = rig.propose(&create("one")).await;
        assert_eq!(again, Reply::Refused(Refusal::BucketExists(Box::new(one.clone()))));
        rig.flush().await;
        let remove = RemoveBucket { name: "one".to_owned(), bucket: one.id };
        let stale = RemoveBucket { bucket: 77, ..remove.clone() };
        let no_such = Reply::Refused(Refusal::NoSuchBucket);
        assert_eq!(rig.propose(&Command::RemoveBucket(stale)).await, no_such);
        assert_eq!(rig.propose(&Command::RemoveBucket(remove.clone())).await, Reply::Done);
        assert_eq!(rig.propose(&Command::RemoveBucket(remove)).await, no_such);
        let Reply::Bucket(third) = rig.propose(&create("one")).await else { unreachable!() };
        assert!(third.id > two.id, "an id was used again");
        assert_eq!(rig.state.buckets().await.unwrap(), [third, two]);
        let credential = Credential {
            access_key: "AK".to_owned(),
            secret: Secret("s".to_owned()),
            ..Credential::default()
        };
        assert_eq!(rig.propose(&Command::PutCredential(credential.clone())).await, Reply::Done);
    });
    disk.crash();
    run(&disk, async |rig| {
        assert_eq!(rig.state.buckets().await.unwrap().len(), 2);
        assert_eq!(rig.state.credentials().await.unwrap().len(), 1);
        assert_eq!(rig.state.credential("AK").await.unwrap().unwrap().secret.0, "s");
        let remove = Command::RemoveCredential("AK".to_owned());
        assert_eq!(rig.propose(&remove).await, Reply::Done);
        assert_eq!(rig.propose(&remove).await, Reply::Refused(Refusal::NoSuchCredential));
    });
}

// Whoever decides on what has changed since is refused, and what was changed is there after a crash.
#[test]
fn records_of_iam_change_from_one_revision_to_the_next() {
    let disk = SimDisk::new(3);
    let one = |kind, name: &str, record: Option<&[u8]>| IamChange {
        kind,
        name: name.to_owned(),
        record: record.map(<[u8]>::to_vec),
    };
    let change = |revision, changes| Command::ChangeIam(ChangeIam { revision, changes });
    run(&disk, async |rig| {
        let made = vec![one(2, "b", Some(b"1")), one(1, "z", Some(b"2")), one(2, "a", Some(b""))];
        let first = change(0, made);
        assert_eq!(rig.propose(&first).await, Reply::Done);
        assert_eq!(rig.propose(&first).await, Reply::Refused(Refusal::Outdated));
        let second = change(1, vec![one(2, "b", None), one(2, "c", Some(b"3"))]);
        assert_eq!(rig.propose(&second).await, Reply::Done);
        let long = change(2, vec![one(2, &"n".repeat(513), Some(b""))]);
        let refused = Reply::Refused(Refusal::Malformed("a record of IAM is too long"));
        assert_eq!(rig.propose(&long).await, refused);
    });
    disk.crash();
    run(&disk, async |rig| {
        let found = rig.state.iam().await.unwrap();
        assert_eq!(found.revision, 2);
        let names = found.records.iter().map(|one| (one.kind, one.name.as_str()));
        assert_eq!(names.collect::<Vec<_>>(), [(1, "z"), (2, "a"), (2, "c")]);
        assert_eq!(found.records[2].record.as_ref(), b"3");
        assert!(!format!("{found:?}").contains('3'), "a record's bytes are secret");
    });
}

// Two changes at once: every group has the later one in the end, and so says the meta group.
#[test]
fn the_later_of_two_changes_of_versioning_stays() {
    run(&SimDisk::new(9), async |rig| {
        let create = CreateBucket { name: "one".to_owned(), ..CreateBucket::default() };
        let reply = rig.propose(&Command::CreateBucket(create)).await;
        let Reply::Bucket(bucket) = reply else { unreachable!() };
        let set = |versioning, step| {
            let (name, bucket) = ("one".to_owned(), bucket.id);
            Command::SetVersioning(SetVersioning { name, bucket, versioning, step })
        };
        let begin = async |versioning| {
            let Reply::Bucket(bucket) = rig.propose(&set(versioning, VersioningStep::Begin)).await
            else {
                unreachable!()
            };
            bucket.versioning_change
        };
        let first = begin(Versioning::Enabled).await;
        let second = begin(Versioning::Suspended).await;
        for (versioning, change) in [(Versioning::Suspended, second), (Versioning::Enabled, first)]
        {
            for step in [VersioningStep::Apply(change), VersioningStep::Commit(change)] {
                rig.propose(&set(versioning, step)).await;
            }
        }
        let stays = rig.state.bucket_state(bucket.id).await.unwrap().versioning;
        assert_eq!(stays, Versioning::Suspended);
        assert_eq!(rig.state.bucket("one").await.unwrap().unwrap().versioning, stays);
        let undone = rig.propose(&set(Versioning::Off, VersioningStep::Begin)).await;
        assert!(matches!(undone, Reply::Refused(Refusal::Malformed(_))));
    });
}

#[test]
fn what_is_known_of_a_bucket_changes_with_the_command_and_with_an_installed_snapshot() {
    run(&SimDisk::new(11), async |rig| {
        let state = async || rig.state.bucket_state(7).await.unwrap();
        assert_eq!(state().await, BucketState::OPEN);
        rig.propose(&Command::SealBucket(7)).await;
        assert!(!state().await.is_open);
        rig.propose(&Command::UnsealBucket(7)).await;
        assert_eq!(state().await, BucketState::OPEN);
        // As a snapshot does: the record is another one, and no command said so.
        let sealed = BucketState { is_open: false, ..BucketState::OPEN };
        let mut batch = Batch::default();
        let entry = Entry { value: encode(&sealed), payload: Payload::None };
        batch.put(keys::bucket_state(rig.state.group(), 7), entry);
        rig.storage.index.write(batch);
        rig.state.begin_counting().await.unwrap();
        assert_eq!(state().await, sealed);
    });
}

#[test]
fn configurations_go_with_their_bucket() {
    run(&SimDisk::new(12), async |rig| {
        let create = CreateBucket { name: "one".to_owned(), ..CreateBucket::default() };
        let create = Command::CreateBucket(create);
        let Reply::Bucket(bucket) = rig.propose(&create).await else { unreachable!() };
        let set = |kind, document: Option<&[u8]>| {
            let (name, document) = ("one".to_owned(), document.map(<[u8]>::to_vec));
            Command::Configure(Configure { name, bucket: bucket.id, kind, document })
        };
        for (kind, document) in [(1, Some(&b"first"[..])), (2, Some(b"x")), (1, Some(b"second"))] {
            assert_eq!(rig.propose(&set(kind, document)).await, Reply::Done);
        }
        rig.propose(&set(2, None)).await;
        let found = rig.state.configurations().await.unwrap();
        assert_eq!(found, [(bucket.id, 1, Bytes::from_static(b"second"))]);
        let long = vec![0; CONFIGURATION_BYTES_MAX + 1];
        let refused = rig.propose(&set(3, Some(&long))).await;
        assert!(matches!(refused, Reply::Refused(Refusal::Malformed(_))));
        let remove = RemoveBucket { name: "one".to_owned(), bucket: bucket.id };
        rig.propose(&Command::RemoveBucket(remove)).await;
        assert_eq!(rig.state.configurations().await.unwrap(), []);
        let late = rig.propose(&set(1, Some(b"late"))).await;
        assert_eq!(late, Reply::Refused(Refusal::NoSuchBucket));
    });
}

#[test]
fn an_account_ends_only_without_buckets_and_then_gets_none() {
    let end = |revision| {
        let record = Some(Vec::new());
        let change = IamChange { kind: ENDED_ACCOUNT_KIND, name: "1234".to_owned(), record };
        Command::ChangeIam(ChangeIam { revision, changes: vec![change] })
    };
    let create = |name: &str, account: &str| {
        let (name, account) = (name.to_owned(), account.to_owned());
        Command::CreateBucket(CreateBucket { name, account, ..CreateBucket::default() })
    };
    let outdated = Reply::Refused(Refusal::Outdated);
    run(&SimDisk::new(13), async |rig| {
        let Reply::Bucket(made) = rig.propose(&create("a", "1234")).await else { unreachable!() };
        assert!(matches!(rig.propose(&create("b", "12345")).await, Reply::Bucket(_)));
        assert_eq!(rig.propose(&end(0)).await, outdated);
        let remove = RemoveBucket { bucket: made.id, name: "a".to_owned() };
        assert_eq!(rig.propose(&Command::RemoveBucket(remove)).await, Reply::Done);
        assert_eq!(rig.propose(&end(0)).await, Reply::Done);
        assert_eq!(rig.propose(&create("a", "1234")).await, outdated);
        assert!(matches!(rig.propose(&create("a", "12345")).await, Reply::Bucket(_)));
        assert!(matches!(rig.propose(&create("c", "")).await, Reply::Bucket(_)));
    });
}
