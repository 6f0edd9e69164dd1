//! Index keys taken apart, for people: what a key is of, by the names that clients know.

use anode_disk::wal::GroupId;
use bytes::Bytes;
use minicbor::Decode as _;

use super::keys::{self, split_place};
use crate::{
    limits::CHUNK_BYTES_MAX,
    object::{Body, BodyId, Bucket, BucketId, ContentId, Object, ObjectPart, UploadId},
};

/// What an index key is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// The position of a group's state.
    Applied,
    /// The id of the next bucket.
    NextBucket,
    /// The figures of what waits to be reclaimed.
    PendingDelete,
    /// The key for data keys.
    MasterKey,
    /// What is known of the events that wait.
    EventQueue,
    /// Since when all of the group is counted.
    Counted,
    /// How often what IAM knows was changed.
    IamRevision,
    /// The number of the last round of quotas.
    Round,
    /// Who there is: a record of IAM by its name.
    Iam(String),
    /// What the group holds of a bucket, in figures.
    Usage(BucketId),
    /// What the group may hold of a bucket.
    Allowance(BucketId),
    /// An event that waits for this target.
    Event(String),
    /// A bucket, by its name.
    Bucket(String),
    /// A configuration of a bucket, by its number.
    Configuration(BucketId, u8),
    /// A credential, by its access key.
    Credential(String),
    /// An object: a version of it.
    Object(BucketId, String),
    /// An upload of a key.
    Upload(BucketId, String),
    /// A part of an upload.
    Part(UploadId, u16),
    /// A chunk of a body.
    Chunk(BodyId, u32),
    /// What a chunk holds.
    Content(ContentId),
    /// How often a content is referred to.
    Shared(ContentId),
    /// What the group knows of a bucket.
    BucketState(BucketId),
    /// Where the null version of an object is.
    NullVersion(BucketId, String),
    /// A body that waits to be reclaimed.
    Condemned(BodyId),
    /// None of these.
    Unknown,
}

impl Named {
    /// Takes an index key apart: its group, and what it is of. None where it is too short to have a group.
    pub fn of(index_key: &[u8]) -> Option<(GroupId, Self)> {
        let (group, rest) = index_key.split_first_chunk::<4>()?;
        let named = rest.split_first().and_then(|(space, rest)| Self::in_space(*space, rest));
        Some((number(*group), named.unwrap_or(Self::Unknown)))
    }

    fn in_space(space: u8, rest: &[u8]) -> Option<Self> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        Some(match space {
            keys::META if rest == b"bucket" => Self::NextBucket,
            keys::META if rest == b"pending" => Self::PendingDelete,
            keys::META if rest == b"master" => Self::MasterKey,
            keys::META if rest == b"events" => Self::EventQueue,
            keys::META if rest == b"counted" => Self::Counted,
            keys::META if rest == b"iam" => Self::IamRevision,
            keys::META if rest == b"round" => Self::Round,
            keys::META => Self::Applied,
            keys::IAM => Self::Iam(keys::iam_of(rest)?.1.to_owned()),
            keys::USAGE => Self::Usage(wide(rest.try_into().ok()?)),
            keys::ALLOWANCE => Self::Allowance(wide(rest.try_into().ok()?)),
            keys::BUCKET => Self::Bucket(text(rest)?),
            keys::CREDENTIAL => Self::Credential(text(rest)?),
            keys::OBJECT | keys::VERSION | keys::UPLOAD | keys::NULL => {
                let (bucket, place) = rest.split_first_chunk::<8>()?;
                let (key, _version) = split_place(place)?;
                match space {
                    keys::UPLOAD => Self::Upload(wide(*bucket), key),
                    keys::NULL => Self::NullVersion(wide(*bucket), key),
                    _ => Self::Object(wide(*bucket), key),
                }
            }
            keys::EVENT => Self::Event(split_place(rest)?.0),
            keys::CONFIGURATION => {
                let (bucket, kind) = keys::configuration_of(rest)?;
                Self::Configuration(bucket, kind)
            }
            keys::PART => {
                let (upload, part) = rest.split_first_chunk::<16>()?;
                Self::Part(UploadId(widest(*upload)), short(part.try_into().ok()?))
            }
            keys::CHUNK => {
                let (body, chunk) = keys::body_chunk(rest)?;
                Self::Chunk(body, chunk)
            }
            keys::CONTENT => Self::Content(ContentId(rest.try_into().ok()?)),
            keys::SHARED => Self::Shared(ContentId(rest.try_into().ok()?)),
            keys::BUCKET_STATE => Self::BucketState(wide(rest.try_into().ok()?)),
            keys::CONDEMNED => Self::Condemned(keys::condemned_id(rest)?.body),
            _ => return None,
        })
    }
}

/// A bucket's record; none where the bytes make no sense.
pub fn bucket_record(value: &[u8]) -> Option<Bucket> {
    minicbor::decode(value).ok()
}

/// The record of [`Named::NextBucket`].
pub fn next_bucket_record(value: &[u8]) -> Option<BucketId> {
    minicbor::decode(value).ok()
}

/// An object's record, and whether its parts are in the payload.
pub fn object_record(value: &[u8]) -> Option<(Object, bool)> {
    let object: Object = minicbor::decode(value).ok()?;
    let has_parts = matches!(object.body, Body::Parts(_));
    Some((object, has_parts))
}

/// The parts in the payload of an object's record.
pub fn object_parts(payload: &[u8]) -> Option<Vec<ObjectPart>> {
    Vec::decode(&mut minicbor::Decoder::new(payload), &mut ()).ok()
}

/// The index keys of the first and the last chunk of a body of so many bytes.
pub fn chunk_keys(group: GroupId, body: BodyId, bytes: u64) -> [Bytes; 2] {
    let last = bytes.saturating_sub(1) / CHUNK_BYTES_MAX;
    let last = u32::try_from(last).unwrap_or(u32::MAX);
    [keys::chunk(group, body, 0), keys::chunk(group, body, last)]
}

/// The index key of what a chunk holds, of the value under the chunk's own key.
pub fn content_key(group: GroupId, value: &[u8]) -> Option<Bytes> {
    Some(keys::content(group, ContentId(value.try_into().ok()?)))
}

/// The index key of an object.
pub fn object_key(group: GroupId, bucket: BucketId, key: &str) -> Bytes {
    keys::object(group, bucket, key)
}

#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
fn short(bytes: [u8; 2]) -> u16 {
    u16::from_be_bytes(bytes)
}

#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
fn number(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes)
}

#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
fn wide(bytes: [u8; 8]) -> u64 {
    u64::from_be_bytes(bytes)
}

#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
fn widest(bytes: [u8; 16]) -> u128 {
    u128::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::{BodyId, ContentId, Named, UploadId, keys};
    use crate::state::CondemnedId;

    #[test]
    fn every_kind_of_key_comes_apart() {
        let key = "a/\0b";
        let condemned = CondemnedId { since_ms: 4, body: BodyId(8) };
        let samples = [
            (keys::meta(5), Named::Applied),
            (keys::next_bucket(5), Named::NextBucket),
            (keys::pending(5), Named::PendingDelete),
            (keys::master_key(5), Named::MasterKey),
            (keys::event_queue(5), Named::EventQueue),
            (keys::event(5, "t", 7), Named::Event("t".to_owned())),
            (keys::counted(5), Named::Counted),
            (keys::iam_revision(5), Named::IamRevision),
            (keys::round(5), Named::Round),
            (keys::iam(5, 2, "n"), Named::Iam("n".to_owned())),
            (keys::usage(5, 7), Named::Usage(7)),
            (keys::allowance(5, 7), Named::Allowance(7)),
            (keys::bucket(5, "name"), Named::Bucket("name".to_owned())),
            (keys::credential(5, "AKIA"), Named::Credential("AKIA".to_owned())),
            (keys::object(5, 7, key), Named::Object(7, key.to_owned())),
            (keys::upload(5, 7, key, UploadId(9)), Named::Upload(7, key.to_owned())),
            (keys::part(5, UploadId(9), 3), Named::Part(UploadId(9), 3)),
            (keys::chunk(5, BodyId(8), 2), Named::Chunk(BodyId(8), 2)),
            (keys::content(5, ContentId([9; 32])), Named::Content(ContentId([9; 32]))),
            (keys::shared(5, ContentId([9; 32])), Named::Shared(ContentId([9; 32]))),
            (keys::version(5, 7, key, 3), Named::Object(7, key.to_owned())),
            (keys::null(5, 7, key), Named::NullVersion(7, key.to_owned())),
            (keys::configuration(5, 7, 2), Named::Configuration(7, 2)),
            (keys::bucket_state(5, 7), Named::BucketState(7)),
            (keys::condemned(5, condemned), Named::Condemned(BodyId(8))),
        ];
        for (index_key, named) in samples {
            assert_eq!(Named::of(&index_key), Some((5, named)));
        }
        assert_eq!(Named::of(&[0, 0, 1]), None);
        assert_eq!(Named::of(&[0, 0, 0, 1, 3, 9]), Some((1, Named::Unknown)));
        assert_eq!(Named::of(&[0, 0, 0, 1, 99]), Some((1, Named::Unknown)));
    }
}
