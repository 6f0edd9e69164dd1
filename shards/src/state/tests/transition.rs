//! Bytes that go to another class: the same object, and nothing left of where they were.

use anode_disk::{segment::Class, testing::SimDisk};

use super::{
    cases::{delete, put},
    rig::{GROUP, Rig, content_of, run},
};
use crate::{
    command::{Amend, Amendment, Command, Refusal, Reply, Transition},
    object::{Body, BodyId, Object, STORAGE_CLASS},
    staging::Cut,
    version::WantedVersion,
};

const MEBIBYTE: usize = 1 << 20;

fn class() -> Class {
    Class::new(1).unwrap()
}

/// Stages the bytes of a body under the names of the class; the command that moves it, as of `object`.
async fn transition(rig: &Rig, object: &Object, (body, bytes): (BodyId, &[u8])) -> Command {
    let mut contents = Vec::new();
    let staged = staged_as(body);
    for (number, data) in (0..).zip(bytes.chunks(MEBIBYTE)) {
        let data = bytes::Bytes::copy_from_slice(data);
        let content = content_of(&data).of_class(class());
        contents.push(content);
        // Where it lies is no matter of the state: the rig has no directory for a class.
        let cut = Cut { number, content, class: Class::OWN, data };
        rig.staging.stage(GROUP, staged, cut).await.unwrap();
    }
    rig.staging.settle(GROUP, staged).await.unwrap();
    let transition = Transition {
        etag: object.etag.clone(),
        last_modified_ms: object.last_modified_ms,
        body: Some(body),
        staged,
        contents,
        class: Some("COLD".to_owned()),
    };
    Command::Amend(Box::new(Amend {
        bucket: 1,
        key: "k".to_owned(),
        version: WantedVersion::Current,
        change: Amendment::Transition(Box::new(transition)),
        notice: None,
    }))
}

fn staged_as(body: BodyId) -> BodyId {
    BodyId(body.0 + 1000)
}

fn body_of(object: &Object) -> BodyId {
    let Body::Whole(body) = object.body else { unreachable!("it has chunks") };
    body
}

async fn found(rig: &Rig) -> Object {
    rig.state.object(1, "k").await.unwrap().unwrap()
}

fn is_cold(object: &Object) -> bool {
    object.headers.contains(&(STORAGE_CLASS.to_owned(), "COLD".to_owned()))
}

#[test]
fn chunks_are_named_anew_and_the_old_ones_go_unless_others_have_them() {
    let disk = SimDisk::new(1);
    let bytes = [vec![1; MEBIBYTE], vec![2; 100_000]].concat();
    run(&disk, async |rig| {
        put(rig, "k", &bytes, 1).await;
        put(rig, "other", &bytes[..MEBIBYTE], 2).await;
        let before = found(rig).await;
        let command = transition(rig, &before, (body_of(&before), &bytes)).await;
        assert!(matches!(rig.propose(&command).await, Reply::Amended { .. }));
        let after = found(rig).await;
        assert!(is_cold(&after));
        let headers = before.headers.clone();
        assert_eq!(Object { headers, ..after }, before, "nothing else is changed");
        assert_eq!(rig.read(1, "k").await, bytes);
        let references = rig.references().await;
        let named = |data: &[u8]| content_of(data);
        assert_eq!(references.get(&named(&bytes[..MEBIBYTE])), Some(&1), "the other's");
        assert_eq!(references.get(&named(&bytes[MEBIBYTE..])), None);
        assert_eq!(references.get(&named(&bytes[MEBIBYTE..]).of_class(class())), Some(&1));
    });
    disk.crash();
    run(&disk, async |rig| {
        assert_eq!(rig.read(1, "k").await, bytes);
        // Once more, as after a pass that was cut off.
        let before = found(rig).await;
        let command = transition(rig, &before, (body_of(&before), &bytes)).await;
        assert!(matches!(rig.propose(&command).await, Reply::Amended { .. }));
        assert_eq!(rig.read(1, "k").await, bytes);
        rig.references().await;
        for key in ["k", "other"] {
            delete(rig, key).await;
        }
        rig.reclaim().await;
        rig.reclaim().await;
        assert_eq!(rig.left_over().await, 0);
    });
}

#[test]
fn inline_bytes_become_a_body() {
    let disk = SimDisk::new(2);
    run(&disk, async |rig| {
        put(rig, "k", &[3; 500], 1).await;
        let before = found(rig).await;
        assert!(matches!(before.body, Body::Inline(_)));
        let command = transition(rig, &before, (BodyId(77), &[3; 500])).await;
        assert!(matches!(rig.propose(&command).await, Reply::Amended { .. }));
        assert!(is_cold(&found(rig).await));
        assert_eq!(rig.read(1, "k").await, [3; 500]);
    });
    disk.crash();
    run(&disk, async |rig| {
        assert_eq!(rig.read(1, "k").await, [3; 500]);
        delete(rig, "k").await;
        rig.reclaim().await;
        assert_eq!(rig.left_over().await, 0);
    });
}

#[test]
fn what_was_written_meanwhile_stays_where_it_is() {
    run(&SimDisk::new(3), async |rig| {
        let (old, new) = (vec![4; MEBIBYTE], vec![5; MEBIBYTE]);
        put(rig, "k", &old, 1).await;
        let before = found(rig).await;
        let command = transition(rig, &before, (body_of(&before), &old)).await;
        put(rig, "k", &new, 2).await;
        assert_eq!(rig.propose(&command).await, Reply::Refused(Refusal::Outdated));
        rig.staging.discard(GROUP, staged_as(body_of(&before)));
        assert!(!is_cold(&found(rig).await));
        assert_eq!(rig.read(1, "k").await, new);
        // Nor is an inline object taken for another of its time.
        put(rig, "k", &[6; 10], 3).await;
        let mut other = found(rig).await;
        other.etag = "another".to_owned();
        let command = transition(rig, &other, (BodyId(78), &[6; 10])).await;
        assert_eq!(rig.propose(&command).await, Reply::Refused(Refusal::Outdated));
        rig.staging.discard(GROUP, staged_as(BodyId(78)));
        assert_eq!(rig.read(1, "k").await, [6; 10]);
        rig.references().await;
    });
}
