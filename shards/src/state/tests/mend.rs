//! After entries of a group were lost, what is left agrees with itself, and nothing else is gone.

use anode_disk::{index::Batch, testing::SimDisk};
use bytes::Bytes;

use crate::{
    command::{Command, CreateUpload, WriteCondition},
    object::{BodyId, ContentId, UploadId},
    state::{Survey, keys},
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
