//! After entries of a group were lost, what is left agrees with itself, and nothing else is gone.

use anode_disk::{index::Batch, testing::SimDisk};
use bytes::Bytes;

use crate::{
    command::{Command, CreateUpload, SetVersioning, VersioningStep, WriteCondition},
    object::{BodyId, ContentId, UploadId},
    state::{Survey, keys},
    version::{VersionId, Versioning, WantedVersion},
};

use super::rig::{GROUP, Rig, content_of, everything, run};

const MEBIBYTE: usize = 1 << 20;

fn body(seed: u8, chunks: usize) -> Vec<u8> {
    (0..chunks).flat_map(|chunk| vec![seed + u8::try_from(chunk).unwrap(); MEBIBYTE]).collect()
}

fn forget(rig: &Rig, keys: impl IntoIterator<Item = Bytes>) {
    let mut batch = Batch::default();
    keys.into_iter().for_each(|key| batch.delete(key));
    rig.storage.index.write(batch);
}

fn content(bytes: &[u8]) -> Bytes {
    keys::content(GROUP, content_of(bytes))
}

/// Objects that share chunks, an inline one, an upload with a part, and something condemned.
async fn fill(rig: &Rig) {
    let puts =
        [("a", body(1, 3)), ("b", body(2, 2)), ("gone", body(50, 1)), ("small", vec![9; 20])];
    for (number, (key, bytes)) in (1..).zip(puts) {
        let put = rig.put((7, key), &bytes, WriteCondition::default(), number).await;
        rig.propose(&put).await;
    }
    let put = rig.put((7, "gone"), b"new", WriteCondition::default(), 20).await;
    rig.propose(&put).await;
    let upload = UploadId(5);
    let create = CreateUpload { bucket: 7, key: "c".to_owned(), upload, ..CreateUpload::default() };
    rig.propose(&Command::CreateUpload(Box::new(create))).await;
    let part = rig.part((7, "c", upload), 1, &body(70, 2), 30).await;
    rig.propose(&part).await;
}

async fn listed(rig: &Rig) -> usize {
    rig.state.list(7, &everything()).await.unwrap().entries.len()
}

/// Mends, and asserts that everything agrees afterwards and can be reclaimed to the end.
async fn mend(rig: &Rig) {
    let survey = rig.state.survey(99).await.unwrap();
    rig.state.mend(survey).await.unwrap();
    rig.flush().await;
    let again = rig.state.survey(99).await.unwrap();
    assert!(again.is_empty(), "{again:?}");
    rig.references().await;
    assert_eq!(rig.condemned().await, rig.state.pending_delete().await.unwrap());
    rig.reclaim().await;
    rig.references().await;
    assert_eq!(rig.state.survey(99).await.unwrap(), Survey::default());
}

#[test]
fn nothing_is_found_where_nothing_was_lost() {
    run(&SimDisk::new(1), async |rig| {
        fill(rig).await;
        assert_eq!(rig.state.survey(99).await.unwrap(), Survey::default());
    });
}

#[test]
fn a_lost_content_takes_every_object_and_part_that_has_it_and_no_other() {
    run(&SimDisk::new(2), async |rig| {
        fill(rig).await;
        // The last chunk of `a` is the second of `b`; the second of the part is no other's.
        forget(rig, [content(&vec![3; MEBIBYTE]), content(&vec![71; MEBIBYTE])]);
        let survey = rig.state.survey(99).await.unwrap();
        let keys: Vec<_> = survey.objects.iter().map(|damaged| damaged.key.as_str()).collect();
        assert_eq!((keys, &*survey.parts), (vec!["a", "b"], &[(UploadId(5), 1)][..]));
        mend(rig).await;
        assert_eq!(rig.state.object(7, "a").await.unwrap(), None);
        assert_eq!(rig.read(7, "small").await, vec![9; 20]);
        assert_eq!(rig.read(7, "gone").await, b"new");
        assert_eq!(listed(rig).await, 2);
        assert!(rig.state.all_parts(UploadId(5)).await.unwrap().is_empty());
    });
}

#[test]
fn lost_records_leave_no_bytes_behind() {
    run(&SimDisk::new(3), async |rig| {
        fill(rig).await;
        forget(rig, [keys::object(GROUP, 7, "a"), keys::upload(GROUP, 7, "c", UploadId(5))]);
        mend(rig).await;
        assert_eq!(rig.read(7, "b").await, body(2, 2));
        let references = rig.references().await;
        let left: Vec<ContentId> = references.into_keys().collect();
        let mut expected = vec![content_of(&vec![2; MEBIBYTE]), content_of(&vec![3; MEBIBYTE])];
        expected.sort();
        assert_eq!(left, expected);
    });
}

#[test]
fn lost_counts_and_figures_are_counted_anew() {
    run(&SimDisk::new(4), async |rig| {
        fill(rig).await;
        let shared = |seed: u8| keys::shared(GROUP, content_of(&vec![seed; MEBIBYTE]));
        forget(rig, [shared(2), shared(3), keys::pending(GROUP)]);
        let survey = rig.state.survey(99).await.unwrap();
        assert!(survey.objects.is_empty() && !survey.is_empty(), "{survey:?}");
        mend(rig).await;
        assert_eq!(rig.read(7, "a").await, body(1, 3));
        assert_eq!(rig.read(7, "b").await, body(2, 2));
    });
}

#[test]
fn lost_chunks_take_their_object_along() {
    run(&SimDisk::new(5), async |rig| {
        fill(rig).await;
        forget(rig, [keys::chunk(GROUP, BodyId(1), 2)]);
        mend(rig).await;
        assert_eq!(rig.state.object(7, "a").await.unwrap(), None);
        assert_eq!(rig.read(7, "b").await, body(2, 2));
    });
}

/// Versions of `k`: a null one, two others, and a delete marker behind `last`.
async fn fill_versions(rig: &Rig) {
    let set = |versioning, change| {
        let step = VersioningStep::Apply(change);
        let set = SetVersioning { bucket: 7, versioning, step, ..SetVersioning::default() };
        Command::SetVersioning(set)
    };
    let put = async |number, bytes: &[u8]| {
        let put = rig.put((7, "k"), bytes, WriteCondition::default(), number).await;
        rig.propose(&put).await;
    };
    put(1, &body(1, 1)).await;
    rig.propose(&set(Versioning::Enabled, 1)).await;
    put(2, &body(2, 1)).await;
    put(3, &body(3, 1)).await;
}

fn id(sequence: u64) -> WantedVersion {
    WantedVersion::Id(VersionId { sequence, nonce: sequence + 1 })
}

#[test]
fn versions_agree_with_themselves_and_the_newest_that_is_left_becomes_current() {
    run(&SimDisk::new(7), async |rig| {
        fill_versions(rig).await;
        assert!(rig.state.survey(99).await.unwrap().is_empty(), "nothing was lost");
        forget(rig, [content(&vec![3; MEBIBYTE])]);
        mend(rig).await;
        assert_eq!(rig.read(7, "k").await, body(2, 1));
        assert_eq!(rig.read_version(7, "k", WantedVersion::Null).await.1, body(1, 1));
        assert_eq!(rig.state.version((7, "k"), id(2)).await.unwrap(), None);
        forget(rig, [content(&vec![2; MEBIBYTE])]);
        mend(rig).await;
        assert_eq!(rig.read_version(7, "k", WantedVersion::Null).await.1, body(1, 1));
        assert_eq!(rig.read(7, "k").await, body(1, 1));
    });
}

#[test]
fn a_null_version_is_found_again_and_one_that_is_gone_is_not_named() {
    run(&SimDisk::new(8), async |rig| {
        fill_versions(rig).await;
        let null = keys::null(GROUP, 7, "k");
        forget(rig, [null.clone()]);
        assert_eq!(rig.state.version((7, "k"), WantedVersion::Null).await.unwrap(), None);
        mend(rig).await;
        assert_eq!(rig.read_version(7, "k", WantedVersion::Null).await.1, body(1, 1));
        forget(rig, [keys::version(GROUP, 7, "k", 0)]);
        mend(rig).await;
        assert_eq!(rig.storage.index.get(&null).await.unwrap(), None);
    });
}

// A mend that was cut off between two writes leaves a version in both places: its bytes are named by one alone.
#[test]
fn a_version_that_is_in_two_places_is_taken_out_of_one() {
    run(&SimDisk::new(9), async |rig| {
        fill_versions(rig).await;
        let object = keys::object(GROUP, 7, "k");
        let entry = rig.storage.index.get(&object).await.unwrap().unwrap();
        let mut batch = Batch::default();
        batch.put(keys::version(GROUP, 7, "k", 2), entry);
        rig.storage.index.write(batch);
        mend(rig).await;
        assert_eq!(rig.read(7, "k").await, body(3, 1));
        assert_eq!(rig.storage.index.get(&keys::version(GROUP, 7, "k", 2)).await.unwrap(), None);
    });
}
