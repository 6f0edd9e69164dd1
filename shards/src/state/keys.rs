//! Where a group keeps what in the index of its shard.
//!
//! ```text
//! group u32 | space u8 | rest                                                    (integers big-endian: keys sort)
//!   0 META        "applied"                                   last applied log id and membership (raft's)
//!                 "bucket"                                    the id of the next bucket, u64 LE
//!                 "round"                                     the number of the last round of quotas, u64
//!                 "iam"                                       how often IAM's records were changed, u64
//!                 "pending"                                   PendingDelete; nothing where nothing is condemned
//!                 "master"                                    MasterKey
//!                 "events"                                    EventQueue; nothing where there never was an event
//!   1 BUCKET      bucket name                                 Bucket
//!   2 CREDENTIAL  access key                                  Credential
//!   3 OBJECT      bucket u64 | escaped key | 00 01 | version u64    Object; payload: inline bytes or the parts
//!   4 UPLOAD      bucket u64 | escaped key | 00 01 | upload u128    Upload
//!   5 PART        upload u128 | number u16                    Part
//!   6 CHUNK       body u128 | number u32                      the name of its content
//!   7 BUCKET_STATE bucket u64                                 BucketState; nothing where it is open, without versioning
//!   8 CONDEMNED   time u64 | body u128                        Condemned
//!   9 CONTENT     its name, 32 bytes                          payload: the chunk
//!  10 SHARED      name of a content                           how often it is referred to, where not once
//!  11 CONFIGURATION bucket u64 | kind u8                       a configuration of a bucket, as it was given
//!  12 VERSION     bucket u64 | escaped key | 00 01 | !sequence u64  Object, not the current one; payload as there
//!  13 NULL        bucket u64 | escaped key | 00 01            the sequence of the null version, where it is a VERSION
//!  14 IAM         kind u8 | name                             a record of who there is, as it was given
//!  15 USAGE       bucket u64                                 Usage; nothing where there is nothing
//!  16 ALLOWANCE   bucket u64                                 Allowance; nothing where there is no hard quota
//!  17 EVENT       escaped target | 00 01 | sequence u64       Event that waits for the target
//! ```
//!
//! An escaped key has 00 FF for each 00, so that 00 01 behind it sorts before all that a longer key can have there, and
//! the order of index keys is the order of object keys as bytes. The current version is 0 and sorts first; the sequences
//! of the others are inverted, so that the newest is first. Where a delete marker is the newest, it is a VERSION, and there is
//! no OBJECT: what is an OBJECT is what a GET finds. A version lies in one place and moves there with its payload.

use std::ops::Range;

use anode_disk::wal::GroupId;
use bytes::Bytes;

use super::{damage::Struck, reclaim::CondemnedId};
use crate::object::{BodyId, BucketId, ContentId, UploadId};

pub(super) const META: u8 = 0;
pub(super) const BUCKET: u8 = 1;
pub(super) const CREDENTIAL: u8 = 2;
pub(super) const OBJECT: u8 = 3;
pub(super) const UPLOAD: u8 = 4;
pub(super) const PART: u8 = 5;
pub(super) const CHUNK: u8 = 6;
pub(super) const BUCKET_STATE: u8 = 7;
pub(super) const CONDEMNED: u8 = 8;
pub(super) const CONTENT: u8 = 9;
pub(super) const SHARED: u8 = 10;
pub(super) const CONFIGURATION: u8 = 11;
pub(super) const VERSION: u8 = 12;
pub(super) const NULL: u8 = 13;
pub(super) const IAM: u8 = 14;
pub(super) const USAGE: u8 = 15;
pub(super) const ALLOWANCE: u8 = 16;
pub(super) const EVENT: u8 = 17;

const VERSION_CURRENT: u64 = 0;
const KEY_END: [u8; 2] = [0x00, 0x01];

/// Of the state that the group's Raft keeps with each applied entry.
pub(crate) fn meta(group: GroupId) -> Bytes {
    index_key(group, META, &[b"applied"])
}

/// Everything of a group: for installing a snapshot.
pub fn group_range(group: GroupId) -> Range<Bytes> {
    span(number(group).to_vec())
}

pub(crate) fn next_bucket(group: GroupId) -> Bytes {
    index_key(group, META, &[b"bucket"])
}

pub(crate) fn pending(group: GroupId) -> Bytes {
    index_key(group, META, &[b"pending"])
}

pub(crate) fn master_key(group: GroupId) -> Bytes {
    index_key(group, META, &[b"master"])
}

/// That all of the group is counted.
pub(crate) fn counted(group: GroupId) -> Bytes {
    index_key(group, META, &[b"counted"])
}

pub(crate) fn usage(group: GroupId, bucket: BucketId) -> Bytes {
    index_key(group, USAGE, &[&wide(bucket)])
}

/// The figures of all buckets.
pub(crate) fn all_usages(group: GroupId) -> Range<Bytes> {
    span(joined(group, USAGE, &[]))
}

/// The number of the last round of quotas.
pub(crate) fn round(group: GroupId) -> Bytes {
    index_key(group, META, &[b"round"])
}

pub(crate) fn allowance(group: GroupId, bucket: BucketId) -> Bytes {
    index_key(group, ALLOWANCE, &[&wide(bucket)])
}

/// The allowances of all buckets.
pub(crate) fn all_allowances(group: GroupId) -> Range<Bytes> {
    span(joined(group, ALLOWANCE, &[]))
}

pub(crate) fn event_queue(group: GroupId) -> Bytes {
    index_key(group, META, &[b"events"])
}

/// All events that wait for a target.
pub(crate) fn events(group: GroupId, target: &str) -> Range<Bytes> {
    span(joined(group, EVENT, &[&place(target)]))
}

pub(crate) fn event(group: GroupId, target: &str, sequence: u64) -> Bytes {
    index_key(group, EVENT, &[&place(target), &wide(sequence)])
}

pub(crate) fn bucket(group: GroupId, name: &str) -> Bytes {
    index_key(group, BUCKET, &[name.as_bytes()])
}

pub(crate) fn buckets(group: GroupId) -> Range<Bytes> {
    span(joined(group, BUCKET, &[]))
}

pub(crate) fn configuration(group: GroupId, bucket: BucketId, kind: u8) -> Bytes {
    index_key(group, CONFIGURATION, &[&wide(bucket), &[kind]])
}

/// The configurations of a bucket.
pub(crate) fn configurations(group: GroupId, bucket: BucketId) -> Range<Bytes> {
    span(joined(group, CONFIGURATION, &[&wide(bucket)]))
}

/// The configurations of all buckets.
pub(crate) fn all_configurations(group: GroupId) -> Range<Bytes> {
    span(joined(group, CONFIGURATION, &[]))
}

/// The bucket and the kind that end the key of a configuration.
#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
pub(crate) fn configuration_of(rest: &[u8]) -> Option<(BucketId, u8)> {
    let (bucket, kind) = rest.split_first_chunk()?;
    let [kind] = *kind else { return None };
    Some((u64::from_be_bytes(*bucket), kind))
}

/// How often the records of IAM were changed.
pub(crate) fn iam_revision(group: GroupId) -> Bytes {
    index_key(group, META, &[b"iam"])
}

pub(crate) fn iam(group: GroupId, kind: u8, name: &str) -> Bytes {
    index_key(group, IAM, &[&[kind], name.as_bytes()])
}

pub(crate) fn all_iam(group: GroupId) -> Range<Bytes> {
    span(joined(group, IAM, &[]))
}

/// The kind and the name that end the key of a record of IAM.
pub(crate) fn iam_of(rest: &[u8]) -> Option<(u8, &str)> {
    let (kind, name) = rest.split_first()?;
    Some((*kind, std::str::from_utf8(name).ok()?))
}

pub(crate) fn credential(group: GroupId, access_key: &str) -> Bytes {
    index_key(group, CREDENTIAL, &[access_key.as_bytes()])
}

pub(crate) fn credentials(group: GroupId) -> Range<Bytes> {
    span(joined(group, CREDENTIAL, &[]))
}

pub(crate) fn object(group: GroupId, bucket: BucketId, key: &str) -> Bytes {
    Bytes::from(placed((group, OBJECT), bucket, key, &wide(VERSION_CURRENT)))
}

/// What the index keys of all objects of a bucket begin with.
pub(crate) fn objects(group: GroupId, bucket: BucketId) -> Vec<u8> {
    joined(group, OBJECT, &[&wide(bucket)])
}

/// A version that isn't the current one.
pub(crate) fn version(group: GroupId, bucket: BucketId, key: &str, sequence: u64) -> Bytes {
    Bytes::from(placed((group, VERSION), bucket, key, &wide(!sequence)))
}

/// What the index keys of all versions of a bucket begin with that aren't current.
pub(crate) fn versions(group: GroupId, bucket: BucketId) -> Vec<u8> {
    joined(group, VERSION, &[&wide(bucket)])
}

/// All versions of a key but the current one, the newest first.
pub(crate) fn versions_of(group: GroupId, bucket: BucketId, key: &str) -> Range<Bytes> {
    span(placed((group, VERSION), bucket, key, &[]))
}

/// Where the null version of a key is, if it isn't the current one.
pub(crate) fn null(group: GroupId, bucket: BucketId, key: &str) -> Bytes {
    Bytes::from(placed((group, NULL), bucket, key, &[]))
}

pub(crate) fn upload(group: GroupId, bucket: BucketId, key: &str, upload: UploadId) -> Bytes {
    Bytes::from(placed((group, UPLOAD), bucket, key, &widest(upload.0)))
}

/// What the index keys of all uploads of a bucket begin with.
pub(crate) fn uploads(group: GroupId, bucket: BucketId) -> Vec<u8> {
    joined(group, UPLOAD, &[&wide(bucket)])
}

pub(crate) fn part(group: GroupId, upload: UploadId, part: u16) -> Bytes {
    index_key(group, PART, &[&widest(upload.0), &short(part)])
}

/// The parts of an upload from this number on.
pub(crate) fn parts(group: GroupId, upload: UploadId, from: u16) -> Range<Bytes> {
    let all = span(joined(group, PART, &[&widest(upload.0)]));
    part(group, upload, from)..all.end
}

pub(crate) fn chunk(group: GroupId, body: BodyId, chunk: u32) -> Bytes {
    index_key(group, CHUNK, &[&widest(body.0), &number(chunk)])
}

/// The chunks of all bodies.
pub(crate) fn all_chunks(group: GroupId) -> Range<Bytes> {
    span(joined(group, CHUNK, &[]))
}

pub(crate) fn content(group: GroupId, content: ContentId) -> Bytes {
    index_key(group, CONTENT, &[&content.0])
}

pub(crate) fn shared(group: GroupId, content: ContentId) -> Bytes {
    index_key(group, SHARED, &[&content.0])
}

pub(crate) fn bucket_state(group: GroupId, bucket: BucketId) -> Bytes {
    index_key(group, BUCKET_STATE, &[&wide(bucket)])
}

/// Sorts by the time of the condemnation: the oldest is found first.
pub(crate) fn condemned(group: GroupId, id: CondemnedId) -> Bytes {
    let (since, body) = (wide(id.since_ms), widest(id.body.0));
    index_key(group, CONDEMNED, &[&since, &body])
}

pub(crate) fn condemned_all(group: GroupId) -> Range<Bytes> {
    span(joined(group, CONDEMNED, &[]))
}

/// What ends the key of a condemned body.
#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
pub(crate) fn condemned_id(rest: &[u8]) -> Option<CondemnedId> {
    let (since, body) = rest.split_first_chunk()?;
    let body = BodyId(u128::from_be_bytes(body.try_into().ok()?));
    Some(CondemnedId { since_ms: u64::from_be_bytes(*since), body })
}

/// All objects of the group.
pub(crate) fn all_objects(group: GroupId) -> Range<Bytes> {
    span(joined(group, OBJECT, &[]))
}

/// All versions of the group that aren't current.
pub(crate) fn all_versions(group: GroupId) -> Range<Bytes> {
    span(joined(group, VERSION, &[]))
}

/// Where all null versions of the group are that aren't current.
pub(crate) fn all_nulls(group: GroupId) -> Range<Bytes> {
    span(joined(group, NULL, &[]))
}

/// All uploads of the group.
pub(crate) fn all_uploads(group: GroupId) -> Range<Bytes> {
    span(joined(group, UPLOAD, &[]))
}

/// What all chunks of the group hold.
pub(crate) fn all_contents(group: GroupId) -> Range<Bytes> {
    span(joined(group, CONTENT, &[]))
}

/// The counts of all contents of the group that are referred to more than once.
pub(crate) fn all_shared(group: GroupId) -> Range<Bytes> {
    span(joined(group, SHARED, &[]))
}

/// The parts of all uploads of the group.
pub(crate) fn all_parts(group: GroupId) -> Range<Bytes> {
    span(joined(group, PART, &[]))
}

/// The group of an index key.
#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
pub(crate) fn group(index_key: &[u8]) -> Option<GroupId> {
    index_key.first_chunk().map(|bytes| GroupId::from_be_bytes(*bytes))
}

/// What an index key names; nothing where it is of the group's own state.
#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
pub(crate) fn named(index_key: &[u8]) -> Option<Struck> {
    let (space, rest) = index_key.get(4..)?.split_first()?;
    match *space {
        OBJECT | VERSION | UPLOAD => {
            let (bucket, rest) = rest.split_first_chunk()?;
            let (key, rest) = split_place(rest)?;
            if *space == UPLOAD {
                return Some(Struck::Upload { upload: upload_id(rest)? });
            }
            Some(Struck::Object { bucket: u64::from_be_bytes(*bucket), key })
        }
        PART => Some(Struck::Upload { upload: upload_id(rest.get(..16)?)? }),
        CHUNK => {
            let (body, chunk) = body_chunk(rest)?;
            Some(Struck::Chunk { body, chunk })
        }
        CONTENT => Some(Struck::Content(ContentId(rest.try_into().ok()?))),
        _ => None,
    }
}

/// The body and the number that end the key of a chunk.
#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
pub(crate) fn body_chunk(rest: &[u8]) -> Option<(BodyId, u32)> {
    let (body, number) = rest.split_first_chunk()?;
    let number = u32::from_be_bytes(number.try_into().ok()?);
    Some((BodyId(u128::from_be_bytes(*body)), number))
}

/// An object key as it sorts among the keys of its bucket, its end included.
pub(crate) fn place(key: &str) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(escaped_length(key) + KEY_END.len());
    escape_into(&mut escaped, key);
    escaped.extend_from_slice(&KEY_END);
    escaped
}

/// The beginning of the places of all object keys that begin with `prefix`.
pub(crate) fn escape(prefix: &str) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(escaped_length(prefix));
    escape_into(&mut escaped, prefix);
    escaped
}

fn escaped_length(key: &str) -> usize {
    key.len() + key.bytes().filter(|byte| *byte == 0x00).count()
}

fn escape_into(target: &mut Vec<u8>, key: &str) {
    // Hardly any key holds a byte 00: what lies between two is copied in one piece.
    for (at, piece) in key.as_bytes().split(|byte| *byte == 0x00).enumerate() {
        if at > 0 {
            target.extend_from_slice(&[0x00, 0xFF]);
        }
        target.extend_from_slice(piece);
    }
}

/// Takes the place of an object key apart from what follows it: the key, and the rest.
pub(crate) fn split_place(bytes: &[u8]) -> Option<(String, &[u8])> {
    // Hardly any key holds a byte 00: what is up to the first is copied in one piece.
    let plain = bytes.iter().position(|byte| *byte == 0x00)?;
    let (plain, mut rest) = bytes.split_at_checked(plain)?;
    let mut key = plain.to_vec();
    loop {
        match rest {
            [0x00, 0xFF, tail @ ..] => {
                key.push(0x00);
                rest = tail;
            }
            [0x00, 0x01, tail @ ..] => return Some((String::from_utf8(key).ok()?, tail)),
            [0x00, ..] | [] => return None,
            [byte, tail @ ..] => {
                key.push(*byte);
                rest = tail;
            }
        }
    }
}

/// The least bytes above everything that begins with `prefix`; none where there are none.
pub(crate) fn successor(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if let Some(next) = last.checked_add(1) {
            prefix.push(next);
            return Some(prefix);
        }
    }
    None
}

fn span(prefix: Vec<u8>) -> Range<Bytes> {
    let end =
        successor(prefix.clone()).expect("no space and no object group ends in bytes FF alone");
    Bytes::from(prefix)..Bytes::from(end)
}

/// An index key of these parts. Each command and each read makes some of these: of its final length at once, a key is one
/// allocation.
fn index_key(group: GroupId, space: u8, parts: &[&[u8]]) -> Bytes {
    Bytes::from(joined(group, space, parts))
}

fn joined(group: GroupId, space: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut bytes = begun((group, space), length);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// What is of an object key, with what follows the key's place.
fn placed(space: (GroupId, u8), bucket: BucketId, key: &str, end: &[u8]) -> Vec<u8> {
    let bucket = wide(bucket);
    let length = bucket.len() + escaped_length(key) + KEY_END.len() + end.len();
    let mut bytes = begun(space, length);
    bytes.extend_from_slice(&bucket);
    escape_into(&mut bytes, key);
    bytes.extend_from_slice(&KEY_END);
    bytes.extend_from_slice(end);
    bytes
}

/// The beginning of an index key, and room for `length` bytes more.
fn begun((group, space): (GroupId, u8), length: usize) -> Vec<u8> {
    let group = number(group);
    let mut bytes = Vec::with_capacity(group.len() + 1 + length);
    bytes.extend_from_slice(&group);
    bytes.push(space);
    bytes
}

#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
fn short(number: u16) -> [u8; 2] {
    number.to_be_bytes()
}

#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
fn number(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
fn wide(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
fn widest(number: u128) -> [u8; 16] {
    number.to_be_bytes()
}

/// The upload that ends the key of an upload.
pub(crate) fn upload_id(rest: &[u8]) -> Option<UploadId> {
    rest.try_into().ok().map(u128::from_be_bytes).map(UploadId)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        let letter =
            proptest::sample::select(vec!['\0', '\u{1}', 'a', '/', '\u{7F}', '\u{10FFFF}']);
        prop::collection::vec(letter, 0..6).prop_map(|letters| letters.into_iter().collect())
    }

    proptest! {
        #[test]
        fn index_keys_sort_as_object_keys(a in text(), b in text(), x in any::<u64>(), y in any::<u64>()) {
            let (one, other) = (object(3, x, &a), object(3, y, &b));
            prop_assert_eq!(one.cmp(&other), (x, a.as_bytes()).cmp(&(y, b.as_bytes())));
        }

        #[test]
        fn a_place_comes_apart(key in text(), id in any::<u128>()) {
            let whole = upload(3, 9, &key, UploadId(id));
            let (found, rest) = split_place(&whole[uploads(3, 9).len()..]).unwrap();
            prop_assert_eq!((found, upload_id(rest)), (key, Some(UploadId(id))));
        }

        #[test]
        fn what_begins_with_a_prefix_is_between_it_and_its_successor(key in text(), prefix in text()) {
            let (start, place) = (escape(&prefix), place(&key));
            let within = place >= start && successor(start).is_none_or(|end| place < end);
            prop_assert_eq!(within, key.starts_with(&prefix));
        }
    }

    #[test]
    fn damaged_places_are_refused() {
        assert_eq!(split_place(b"abc"), None);
        assert_eq!(split_place(b"a\0"), None);
        assert_eq!(split_place(b"a\0\x02"), None);
        assert_eq!(split_place(b"\xFE\0\x01"), None);
    }
}
