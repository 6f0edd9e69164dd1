//! What is stored of an object, an upload, a part, a bucket and a credential.
//!
//! All of it crosses cores and goes to disk: fields are numbered, unknown ones are skipped, numbers are never
//! used twice.

use std::{fmt, ops::Range};

use anode_disk::segment::Class;
use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

use crate::{
    acl::Acl,
    encryption::{Encryption, stored_bytes},
    limits::CHUNK_BYTES_MAX,
    lock::Lock,
    version::{ObjectVersion, VersionId, VersionName, Versioning},
};

mod summary;

pub use summary::{ChecksumName, ChecksumSummary, HeaderSummary, ObjectSummary};

/// The name of the header that holds an object's storage class, among [`Object::headers`].
pub const STORAGE_CLASS: &str = "x-amz-storage-class";

/// What [`Checksum::algorithm`] may be.
pub const CHECKSUM_NAMES: [&str; 5] = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"];

/// Names a bucket for good: a bucket made again under the same name has another id.
pub type BucketId = u64;

/// Names the bytes of one object or part, chosen at random by who stages them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BodyId(pub u128);

/// Names what a chunk holds: the SHA-256 of its bytes, and the class of segments that they are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ContentId(pub [u8; 32]);

/// Names a multipart upload; ids of one proposer sort by the time of their making.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UploadId(pub u128);

impl ContentId {
    /// The name of the same bytes in another class of segments: the class is in the first byte. So bytes are shared by the
    /// objects of one class alone, and each class has all that its objects need.
    #[must_use]
    pub fn of_class(mut self, class: Class) -> Self {
        self.0[0] ^= class.number();
        self
    }

    /// Whether it names bytes of this SHA-256, in whatever class.
    pub fn names(self, digest: &[u8]) -> bool {
        let Some((first, rest)) = digest.split_first() else { return false };
        self.0[1..] == *rest && (self.0[0] ^ first) < Class::COUNT
    }
}

impl UploadId {
    /// Makes an id of a time in milliseconds (its upper 48 bits) and 80 bits of randomness.
    pub fn new(now_ms: u64, random: u128) -> Self {
        Self(u128::from(now_ms) << 80 | (random & ((1 << 80) - 1)))
    }
}

impl fmt::Display for BodyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A version of an object, all but its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Object {
    /// Its length in bytes.
    #[n(0)]
    pub size: u64,
    /// Its `ETag` without quotes.
    #[n(1)]
    pub etag: String,
    /// When it was written, in milliseconds since the epoch.
    #[n(2)]
    pub last_modified_ms: u64,
    /// The headers to give back, in order: lower-case name, value.
    #[n(3)]
    pub headers: Vec<(String, String)>,
    /// User metadata, in order: name without `x-amz-meta-`, value.
    #[n(4)]
    pub metadata: Vec<(String, String)>,
    /// The checksum of the whole.
    #[n(5)]
    pub checksum: Option<Checksum>,
    /// Where its bytes are.
    #[n(6)]
    pub body: Body,
    /// The upload that made it, so that a completion that is sent again finds it done.
    #[n(7)]
    pub upload: Option<UploadId>,
    /// Which version it is; none where it was written before its bucket kept versions: then it is the null version.
    #[n(8)]
    pub version: Option<ObjectVersion>,
    /// Its tags, in order: key, value.
    #[n(9)]
    #[cbor(default)]
    pub tags: Vec<(String, String)>,
    /// What keeps it from being removed, where anything ever did.
    #[n(10)]
    pub lock: Option<Lock>,
    /// How it is encrypted, where it is.
    #[n(11)]
    pub encryption: Option<Box<Encryption>>,
    /// Who owns it and what is granted; none where the bucket's owner has it alone.
    #[n(12)]
    pub acl: Option<Box<Acl>>,
    /// The parts of [`Body::Parts`], in order. They are kept beside the record: a listing leaves them out.
    #[cbor(skip)]
    pub parts: Vec<ObjectPart>,
}

/// Where the bytes of an object are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub enum Body {
    /// It has none.
    #[default]
    #[n(0)]
    Empty,
    /// This many bytes, beside the record.
    #[n(1)]
    Inline(#[n(0)] u32),
    /// The chunks of one body.
    #[n(2)]
    Whole(#[n(0)] BodyId),
    /// The chunks of one body a part; this many parts.
    #[n(3)]
    Parts(#[n(0)] u32),
}

/// A part of a completed object.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct ObjectPart {
    /// The number that the client gave it, from 1.
    #[n(0)]
    pub number: u16,
    /// Its length in bytes.
    #[n(1)]
    pub size: u64,
    /// Its bytes.
    #[n(2)]
    pub body: BodyId,
    /// Its checksum as sent on the wire, by the algorithm of the object.
    #[n(3)]
    pub checksum: Option<String>,
}

/// A checksum as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Checksum {
    /// Its name, one of [`CHECKSUM_NAMES`].
    #[n(0)]
    pub algorithm: String,
    /// In base64, with `-N` where it is composed of N parts' checksums.
    #[n(1)]
    pub value: String,
    /// Of what it is.
    #[n(2)]
    pub kind: ChecksumKind,
}

/// Of what a checksum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum ChecksumKind {
    /// All bytes of the object.
    #[default]
    #[n(0)]
    FullObject,
    /// The checksums of the parts.
    #[n(1)]
    Composite,
}

/// A multipart upload in progress.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Upload {
    /// When it was made, in milliseconds since the epoch.
    #[n(0)]
    pub initiated_ms: u64,
    /// Who made it: an access key.
    #[n(1)]
    pub initiator: String,
    /// The headers of the object to be, as in [`Object::headers`].
    #[n(2)]
    pub headers: Vec<(String, String)>,
    /// The user metadata of the object to be.
    #[n(3)]
    pub metadata: Vec<(String, String)>,
    /// The algorithm of its checksum, where one was asked for.
    #[n(4)]
    pub checksum_algorithm: Option<String>,
    /// Of what the checksum will be.
    #[n(5)]
    pub checksum_kind: Option<ChecksumKind>,
    /// The tags of the object to be.
    #[n(6)]
    #[cbor(default)]
    pub tags: Vec<(String, String)>,
    /// What will keep the object to be.
    #[n(7)]
    pub lock: Option<Lock>,
    /// How its parts are encrypted, and the object to be.
    #[n(8)]
    pub encryption: Option<Box<Encryption>>,
    /// The ACL of the object to be, as in [`Object::acl`].
    #[n(9)]
    pub acl: Option<Box<Acl>>,
}

/// A part of an upload in progress.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Part {
    /// From 1 to [`crate::limits::PART_NUMBER_MAX`].
    #[n(0)]
    pub number: u16,
    /// Its length in bytes.
    #[n(1)]
    pub size: u64,
    /// Its `ETag` without quotes: the MD5 in hex.
    #[n(2)]
    pub etag: String,
    /// When it was put, in milliseconds since the epoch.
    #[n(3)]
    pub last_modified_ms: u64,
    /// Its checksum.
    #[n(4)]
    pub checksum: Option<Checksum>,
    /// Its bytes: always chunks, also when they are few.
    #[n(5)]
    pub body: BodyId,
    /// Whether they are encrypted, as its upload has it.
    #[n(6)]
    #[cbor(default)]
    pub is_encrypted: bool,
}

/// A bucket, in the meta group.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Bucket {
    /// Given by the meta group.
    #[n(0)]
    pub id: BucketId,
    /// Its name.
    #[n(1)]
    pub name: String,
    /// When it was made, in milliseconds since the epoch.
    #[n(2)]
    pub created_ms: u64,
    /// The access key of who made it.
    #[n(3)]
    pub owner: String,
    /// The location constraint that it was made with.
    #[n(4)]
    pub location: Option<String>,
    /// Whether it keeps versions, as all object groups do by now.
    #[n(5)]
    #[cbor(default)]
    pub versioning: Versioning,
    /// The number of the last change of its versioning that was begun.
    #[n(6)]
    #[cbor(default)]
    pub versioning_change: u64,
    /// The account that owns it; empty for the node's first.
    #[n(7)]
    #[cbor(default)]
    pub account: String,
}

/// An access key with its secret, in the meta group.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Credential {
    /// The public half.
    #[n(0)]
    pub access_key: String,
    /// The other half.
    #[n(1)]
    pub secret: Secret,
    /// What people call it.
    #[n(2)]
    pub name: String,
    /// When it was made, in milliseconds since the epoch.
    #[n(3)]
    pub created_ms: u64,
}

/// The key that data keys are encrypted with where the node is given none, in the meta group.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct MasterKey {
    /// 256 bits in hex.
    #[n(0)]
    pub key: Secret,
    /// When it was made, in milliseconds since the epoch.
    #[n(1)]
    pub created_ms: u64,
}

/// A string that never shows in logs.
#[derive(Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct Secret(#[n(0)] pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Bytes to be read from one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRange {
    /// Of this body,
    pub body: BodyId,
    /// this chunk, from 0,
    pub chunk: u32,
    /// these bytes, relative to the chunk.
    pub range: Range<u32>,
}

/// How many chunks a body of `bytes` has; none for none.
pub fn chunk_count(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(CHUNK_BYTES_MAX)).expect("a body is at most BODY_BYTES_MAX long")
}

impl Object {
    /// Which version it is. That of an object from before its bucket kept versions is older than all others.
    pub fn version(&self) -> ObjectVersion {
        let first = ObjectVersion { id: VersionId::default(), is_null: true, is_marker: false };
        self.version.unwrap_or(first)
    }

    /// What clients call its version.
    pub fn version_name(&self) -> VersionName {
        self.version().name()
    }

    /// Whether it is a delete marker.
    pub fn is_marker(&self) -> bool {
        self.version().is_marker
    }

    /// The bodies of it with their lengths in bytes as they are stored, in order.
    pub fn bodies(&self) -> impl Iterator<Item = (BodyId, u64)> {
        self.plain_bodies().map(|(body, bytes)| (body, self.stored_length(bytes)))
    }

    /// How many bytes of it are stored.
    pub fn stored_bytes(&self) -> u64 {
        if self.parts.is_empty() {
            return self.stored_length(self.size);
        }
        self.bodies().map(|(_, bytes)| bytes).sum()
    }

    fn stored_length(&self, bytes: u64) -> u64 {
        if self.encryption.is_some() { stored_bytes(bytes) } else { bytes }
    }

    /// The bodies of it with their lengths in bytes as clients see them, in order.
    pub fn plain_bodies(&self) -> impl Iterator<Item = (BodyId, u64)> {
        let whole = match self.body {
            Body::Whole(body) => Some((body, self.size)),
            Body::Empty | Body::Inline(_) | Body::Parts(_) => None,
        };
        whole.into_iter().chain(self.parts.iter().map(|part| (part.body, part.size)))
    }

    /// The pieces of chunks that hold the bytes `range` of it as it is stored, in order; nothing beyond its end. Not for
    /// [`Body::Inline`], which has no chunks.
    pub fn chunks(&self, range: Range<u64>) -> impl Iterator<Item = ChunkRange> {
        self.bodies()
            .scan(0_u64, |offset, (body, bytes)| {
                let start = *offset;
                *offset = start.saturating_add(bytes);
                Some((body, start, bytes))
            })
            .flat_map(move |(body, start, bytes)| {
                let from = range.start.clamp(start, start + bytes) - start;
                let upto = range.end.clamp(start, start + bytes) - start;
                body_chunks(body, from..upto)
            })
    }
}

impl Part {
    /// How many bytes of it are stored.
    pub fn stored_bytes(&self) -> u64 {
        if self.is_encrypted { stored_bytes(self.size) } else { self.size }
    }
}

fn body_chunks(body: BodyId, range: Range<u64>) -> impl Iterator<Item = ChunkRange> {
    let first = range.start / CHUNK_BYTES_MAX;
    let end = if range.is_empty() { first } else { range.end.div_ceil(CHUNK_BYTES_MAX) };
    (first..end).map(move |chunk| {
        let base = chunk * CHUNK_BYTES_MAX;
        let within = |offset: u64| {
            u32::try_from(offset.saturating_sub(base).min(CHUNK_BYTES_MAX))
                .expect("a chunk is smaller than 4 GiB")
        };
        ChunkRange {
            body,
            chunk: u32::try_from(chunk).expect("a body is at most BODY_BYTES_MAX long"),
            range: within(range.start)..within(range.end),
        }
    })
}

impl<C> Encode<C> for BodyId {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.bytes(&self.0.to_le_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for BodyId {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        id(d).map(Self)
    }
}

impl<C> Encode<C> for ContentId {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for ContentId {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let bytes = d.bytes()?.try_into().map_err(|error| {
            DecodeError::message(format!("the name of a content has 32 bytes: {error}"))
        })?;
        Ok(Self(bytes))
    }
}

impl<C> Encode<C> for UploadId {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.bytes(&self.0.to_le_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for UploadId {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        id(d).map(Self)
    }
}

#[expect(clippy::result_large_err, reason = "minicbor's own error")]
fn id(d: &mut Decoder<'_>) -> Result<u128, DecodeError> {
    let bytes = <[u8; 16]>::try_from(d.bytes()?)
        .map_err(|error| DecodeError::message(format!("an id has 16 bytes: {error}")))?;
    Ok(u128::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(object: &Object, range: Range<u64>) -> Vec<(u128, u64)> {
        object
            .chunks(range)
            .flat_map(|piece| {
                piece.range.map(move |byte| {
                    (piece.body.0, u64::from(piece.chunk) * CHUNK_BYTES_MAX + u64::from(byte))
                })
            })
            .collect()
    }

    // H18: ranges that cross a chunk's or a part's edge.
    #[test]
    fn ranges_meet_exactly_at_every_edge() {
        let part =
            |number, size, body| ObjectPart { number, size, body: BodyId(body), checksum: None };
        let sizes = [CHUNK_BYTES_MAX + 3, 0, 5, CHUNK_BYTES_MAX, 1];
        let object = Object {
            size: sizes.iter().sum(),
            body: Body::Parts(5),
            parts: sizes.iter().zip(1..).map(|(size, n)| part(n, *size, u128::from(n))).collect(),
            ..Object::default()
        };
        let bytes: Vec<(u128, u64)> = sizes
            .iter()
            .zip(1..)
            .flat_map(|(size, n)| (0..*size).map(move |offset| (n, offset)))
            .collect();
        let edges = [0, 1, CHUNK_BYTES_MAX, CHUNK_BYTES_MAX + 3, CHUNK_BYTES_MAX + 8, object.size];
        for start in edges.iter().flat_map(|edge| edge.saturating_sub(1)..=edge + 1) {
            for length in [0, 1, 2, 9] {
                let end = (start + length).min(object.size);
                let expected =
                    bytes.get(usize::try_from(start).unwrap()..usize::try_from(end).unwrap());
                assert_eq!(read(&object, start..start + length), expected.unwrap_or_default());
            }
        }
        assert_eq!(read(&object, 0..u64::MAX), bytes);
    }

    #[test]
    fn a_secret_never_shows() {
        let credential =
            Credential { secret: Secret("canary".to_owned()), ..Credential::default() };
        assert!(!format!("{credential:?}").contains("canary"));
    }

    #[test]
    fn upload_ids_sort_by_time() {
        assert!(UploadId::new(1, u128::MAX) < UploadId::new(2, 0));
    }
}
