use super::*;
use crate::{
    encryption::Encryption,
    event::Route,
    iam::IamChange,
    lock::Lock,
    object::{ChecksumKind, Secret},
    version::ObjectVersion,
};

fn acl(owner: &str) -> Acl {
    let grants = vec![("b".to_owned(), "READ".to_owned())];
    Acl { owner: owner.to_owned(), grants }
}

fn put(bytes: &'static [u8]) -> Command {
    Command::PutObject(Box::new(PutObject {
        bucket: 7,
        key: "a/\u{1F600}".to_owned(),
        object: Object {
            size: u64::try_from(bytes.len()).unwrap(),
            etag: "etag".to_owned(),
            last_modified_ms: 12,
            headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
            metadata: vec![("a".to_owned(), "b".to_owned())],
            checksum: Some(Checksum {
                algorithm: "CRC32".to_owned(),
                value: "AAAAAA==".to_owned(),
                kind: ChecksumKind::Composite,
            }),
            body: Body::Inline(u32::try_from(bytes.len()).unwrap()),
            upload: Some(UploadId(u128::MAX - 1)),
            version: Some(ObjectVersion { is_marker: true, ..ObjectVersion::default() }),
            tags: vec![("a".to_owned(), "b".to_owned())],
            lock: Some(Lock { retention: None, legal_hold: Some(true) }),
            encryption: Some(Box::new(Encryption {
                key: "one".to_owned(),
                ..Encryption::default()
            })),
            acl: Some(Box::new(acl("a"))),
            parts: Vec::new(),
        },
        condition: WriteCondition { if_none_match_any: true, if_match: Some("x".to_owned()) },
        contents: vec![ContentId([5; 32])],
        nonce: 7,
        notice: Some(Box::new(notice())),
        inline: Bytes::from_static(bytes),
    }))
}

fn notice() -> Notice {
    let route = |event: &str| Route { event: event.to_owned(), ..Route::default() };
    Notice {
        if_done: Some(route("ObjectRemoved:Delete")),
        if_hidden: Some(route("ObjectRemoved:DeleteMarkerCreated")),
        source: "127.0.0.1".to_owned(),
        now_ms: 9,
        ..Notice::default()
    }
}

fn every() -> Vec<Command> {
    let part = Part { number: 3, size: 9, etag: "e".to_owned(), ..Part::default() };
    vec![
        put(b"inline"),
        Command::CreateBucket(CreateBucket { name: "b".to_owned(), ..CreateBucket::default() }),
        Command::RemoveBucket(RemoveBucket { name: "b".to_owned(), bucket: 9 }),
        Command::PutCredential(Credential {
            access_key: "AK".to_owned(),
            secret: Secret("canary".to_owned()),
            ..Credential::default()
        }),
        Command::RemoveCredential("AK".to_owned()),
        Command::DeleteObject(DeleteObject { key: "k".to_owned(), ..DeleteObject::default() }),
        Command::DeleteObjects(vec![DeleteObject::default(), DeleteObject::default()]),
        Command::CreateUpload(Box::default()),
        Command::PutPart(Box::new(PutPart {
            part,
            contents: vec![ContentId([6; 32])],
            ..PutPart::default()
        })),
        Command::CompleteUpload(Box::new(CompleteUpload {
            parts: vec![NamedPart { number: 1, etag: "e".to_owned(), checksum: None }],
            ..CompleteUpload::default()
        })),
        Command::AbortUpload(AbortUpload::default()),
        Command::SealBucket(1),
        Command::UnsealBucket(1),
        Command::Reclaim(vec![ReclaimStep { body: BodyId(5), start: 0, end: 3, since_ms: 8 }]),
        Command::Configure(Configure { document: Some(vec![7]), ..Configure::default() }),
        Command::Amend(Box::new(Amend {
            bucket: 3,
            key: "k".to_owned(),
            version: WantedVersion::Null,
            change: Amendment::Retention(None, Leave { now_ms: 4, bypasses_governance: true }),
            notice: None,
        })),
        Command::ChangeIam(ChangeIam {
            revision: 4,
            changes: vec![IamChange { kind: 2, name: "n".to_owned(), record: Some(vec![8]) }],
        }),
        Command::PutMasterKey(MasterKey { key: Secret("ab".to_owned()), created_ms: 4 }),
        Command::Amend(Box::new(Amend {
            bucket: 3,
            key: "k".to_owned(),
            version: WantedVersion::Current,
            change: Amendment::Acl(None, Some(Box::new(acl("b")))),
            notice: Some(Box::new(notice())),
        })),
        Command::NumberRound(6),
        Command::Allot(Allot { bucket: 3, round: 7, step: AllotStep::Freeze }),
        Command::Allot(Allot {
            bucket: 3,
            round: 7,
            step: AllotStep::Grant(Amount { bytes: 5, objects: u64::MAX }),
        }),
        Command::Allot(Allot { bucket: 3, round: 8, step: AllotStep::Lift }),
        Command::DeleteObject(DeleteObject {
            notice: Some(Box::new(notice())),
            ..DeleteObject::default()
        }),
        Command::CompleteUpload(Box::new(CompleteUpload {
            notice: Some(Box::new(notice())),
            ..CompleteUpload::default()
        })),
        Command::RemoveEvents(RemoveEvents { target: "t".to_owned(), last: 9, forgets: true }),
        Command::SetVersioning(SetVersioning {
            versioning: Versioning::Enabled,
            ..SetVersioning::default()
        }),
    ]
}

#[test]
fn every_command_comes_back() {
    for command in every() {
        let (head, body) = command.encode();
        assert_eq!(Command::decode(&head, body).unwrap(), command);
    }
}

#[test]
fn inline_bytes_are_handed_through_and_not_into_the_head() {
    let Command::PutObject(put) = put(b"a needle of bytes") else { unreachable!() };
    let pointer = put.inline.as_ptr();
    let (head, body) = Command::PutObject(put).encode();
    assert!(!head.windows(6).any(|window| window == b"needle"));
    assert_eq!(body.as_ptr(), pointer);
    let Command::PutObject(back) = Command::decode(&head, body).unwrap() else { unreachable!() };
    assert_eq!(back.inline.as_ptr(), pointer);
}

#[test]
fn a_body_of_another_length_is_refused() {
    let (head, _) = put(b"inline").encode();
    assert_eq!(
        Command::decode(&head, Bytes::from_static(b"inlin")),
        Err(DecodeError::Inline { said: 6, found: 5 })
    );
}

#[test]
fn an_unknown_command_is_an_error_and_an_unknown_field_is_not() {
    let unknown = minicbor::to_vec((99_u32, [1_u32])).unwrap();
    assert!(matches!(Command::decode(&unknown, Bytes::new()), Err(DecodeError::Head(_))));
    // A removal (variant 1, one field) whose record has a third field that this release doesn't know.
    let later = minicbor::to_vec((1_u32, [("b", 9_u64, "later")])).unwrap();
    assert_eq!(
        Command::decode(&later, Bytes::new()).unwrap(),
        Command::RemoveBucket(RemoveBucket { name: "b".to_owned(), bucket: 9 })
    );
}

#[test]
fn damaged_heads_never_panic() {
    for command in every() {
        let (head, _) = command.encode();
        for at in 0..head.len() {
            for mask in [1_u8, 0x20, 0x80, 0xFF] {
                let mut damaged = head.to_vec();
                damaged[at] ^= mask;
                let _outcome = Command::decode(&damaged, Bytes::new());
            }
            Command::decode(&head[..at], Bytes::new()).unwrap_err();
        }
    }
}

#[test]
fn the_written_form_stays() {
    let (head, _) =
        Command::RemoveBucket(RemoveBucket { name: "b".to_owned(), bucket: 9 }).encode();
    assert_eq!(head.as_ref(), [0x82, 0x01, 0x81, 0x82, 0x61, b'b', 0x09]);
}

#[test]
fn neither_form_of_text_shows_a_secret() {
    for command in every() {
        assert!(!format!("{command:?} {command}").contains("canary"));
    }
}
