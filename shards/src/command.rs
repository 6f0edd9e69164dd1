//! What a group agrees on: commands, as entries of its log, and what each of them answers.
//!
//! A command is written as a head (CBOR, numbered fields; unknown ones are skipped, an unknown command is an error)
//! and a body, the inline bytes of an object, which is never copied through the encoder. A command carries all that
//! its effects depend on: times and ids come from the proposer, so that every replica does the same.

use std::fmt;

use bytes::Bytes;
use minicbor::{Decode, Encode};

use crate::object::{
    Body, BodyId, BucketId, Checksum, ContentId, Credential, MasterKey, Object, Part, Upload,
    UploadId,
};
use crate::{
    acl::Acl,
    cbor,
    event::{Notice, RemoveEvents},
    iam::ChangeIam,
    lock::{Leave, Retention},
    quota::Amount,
    version::{Versioning, WantedVersion},
};

pub use reply::{Deleted, Refusal, Reply, Stored};
pub use transition::Transition;

mod reply;
mod transition;

/// One step of a group's state. Numbers are never used twice.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Command {
    /// Meta group: makes a bucket.
    #[n(0)]
    CreateBucket(#[n(0)] CreateBucket),
    /// Meta group: removes a bucket that is sealed in every group.
    #[n(1)]
    RemoveBucket(#[n(0)] RemoveBucket),
    /// Meta group: adds or replaces a credential.
    #[n(2)]
    PutCredential(#[n(0)] Credential),
    /// Meta group: removes the credential with this access key.
    #[n(3)]
    RemoveCredential(#[n(0)] String),
    /// Writes an object.
    #[n(4)]
    PutObject(#[n(0)] Box<PutObject>),
    /// Removes an object.
    #[n(5)]
    DeleteObject(#[n(0)] DeleteObject),
    /// Removes several objects, at most [`crate::limits::DELETE_KEYS_MAX`], each as if alone.
    #[n(6)]
    DeleteObjects(#[n(0)] Vec<DeleteObject>),
    /// Begins a multipart upload.
    #[n(7)]
    CreateUpload(#[n(0)] Box<CreateUpload>),
    /// Adds or replaces a part.
    #[n(8)]
    PutPart(#[n(0)] Box<PutPart>),
    /// Makes an object of the parts of an upload.
    #[n(9)]
    CompleteUpload(#[n(0)] Box<CompleteUpload>),
    /// Ends an upload and its parts.
    #[n(10)]
    AbortUpload(#[n(0)] AbortUpload),
    /// Refuses new objects and uploads of an empty bucket from now on.
    #[n(11)]
    SealBucket(#[n(0)] BucketId),
    /// Takes a seal back.
    #[n(12)]
    UnsealBucket(#[n(0)] BucketId),
    /// Removes chunks of condemned bodies.
    #[n(13)]
    Reclaim(#[n(0)] Vec<ReclaimStep>),
    /// Has a bucket keep versions, or not any more, in the three steps of [`VersioningStep`].
    #[n(14)]
    SetVersioning(#[n(0)] SetVersioning),
    /// Meta group: sets or removes a configuration of a bucket.
    #[n(15)]
    Configure(#[n(0)] Configure),
    /// Changes what is kept beside the bytes of a version.
    #[n(16)]
    Amend(#[n(0)] Box<Amend>),
    /// Meta group: changes the records of who there is.
    #[n(17)]
    ChangeIam(#[n(0)] ChangeIam),
    /// Meta group: keeps a key for data keys, unless there is one.
    #[n(18)]
    PutMasterKey(#[n(0)] MasterKey),
    /// Meta group: gives a number to a round of [`crate::quota`] that no other has, above this one, which somebody knows.
    #[n(19)]
    NumberRound(#[n(0)] u64),
    /// A step of such a round.
    #[n(20)]
    Allot(#[n(0)] Allot),
    /// Removes events that were delivered, or that nobody is to hear of any more.
    #[n(21)]
    RemoveEvents(#[n(0)] RemoveEvents),
}

/// See [`Command::CreateBucket`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct CreateBucket {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// The access key of who makes it.
    #[n(1)]
    pub owner: String,
    /// The location constraint, where one was sent.
    #[n(2)]
    pub location: Option<String>,
    /// The proposer's time in milliseconds since the epoch.
    #[n(3)]
    pub now_ms: u64,
    /// The account that will own it; empty for the node's first.
    #[n(4)]
    #[cbor(default)]
    pub account: String,
}

/// See [`Command::RemoveBucket`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct RemoveBucket {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// The id that was sealed: a bucket made again meanwhile stays.
    #[n(1)]
    pub bucket: BucketId,
}

/// What must hold for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct WriteCondition {
    /// `If-None-Match: *`: there is no such object.
    #[n(0)]
    pub if_none_match_any: bool,
    /// `If-Match`: the object has this `ETag` (without quotes), or `*`: there is such an object.
    #[n(1)]
    pub if_match: Option<String>,
}

/// See [`Command::PutObject`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct PutObject {
    /// Of this bucket,
    #[n(0)]
    pub bucket: BucketId,
    /// under this key,
    #[n(1)]
    pub key: String,
    /// this object, its body [`Body::Empty`], [`Body::Inline`] or a staged and settled [`Body::Whole`],
    #[n(2)]
    pub object: Object,
    /// where this holds.
    #[n(3)]
    pub condition: WriteCondition,
    /// What the chunks of [`Body::Whole`] hold, in order.
    #[n(4)]
    pub contents: Vec<ContentId>,
    /// Half of the id of its version, chosen at random.
    #[n(5)]
    #[cbor(default)]
    pub nonce: u64,
    /// Who is told of it, where anybody is.
    #[n(6)]
    pub notice: Option<Box<Notice>>,
    /// The bytes of [`Body::Inline`]: the body of the log's record.
    #[cbor(skip)]
    pub inline: Bytes,
}

/// See [`Command::DeleteObject`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct DeleteObject {
    /// Of this bucket,
    #[n(0)]
    pub bucket: BucketId,
    /// the object under this key,
    #[n(1)]
    pub key: String,
    /// where it has this `ETag` (without quotes), or `*`: where there is one.
    #[n(2)]
    pub if_match: Option<String>,
    /// The proposer's time in milliseconds since the epoch.
    #[n(3)]
    pub now_ms: u64,
    /// Which version; without one, what is current is hidden or removed, as the bucket's versioning has it.
    #[n(4)]
    #[cbor(default)]
    pub version: WantedVersion,
    /// Half of the id of the delete marker that it makes, chosen at random.
    #[n(5)]
    #[cbor(default)]
    pub nonce: u64,
    /// Whether retention in governance mode keeps nothing.
    #[n(6)]
    #[cbor(default)]
    pub bypasses_governance: bool,
    /// When what is meant was written, where nothing else is to be deleted: what was written since stays.
    #[n(7)]
    pub seen_ms: Option<u64>,
    /// Who is told of it, where anybody is.
    #[n(8)]
    pub notice: Option<Box<Notice>>,
}

impl DeleteObject {
    /// Whether it is about this version, and not one that was written since.
    pub fn means(&self, found: &Object) -> bool {
        self.seen_ms.is_none_or(|seen_ms| seen_ms == found.last_modified_ms)
    }

    /// Who asks, and when.
    pub fn leave(&self) -> Leave {
        Leave { now_ms: self.now_ms, bypasses_governance: self.bypasses_governance }
    }
}

/// See [`Command::Configure`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Configure {
    /// The bucket's name.
    #[n(0)]
    pub name: String,
    /// Its id: a bucket made again meanwhile stays as it is.
    #[n(1)]
    pub bucket: BucketId,
    /// Which configuration, by a number that means nothing here.
    #[n(2)]
    pub kind: u8,
    /// The configuration, up to [`crate::limits::CONFIGURATION_BYTES_MAX`]; none removes it.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub document: Option<Vec<u8>>,
}

/// See [`Command::Amend`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Amend {
    /// Of this bucket,
    #[n(0)]
    pub bucket: BucketId,
    /// this key,
    #[n(1)]
    pub key: String,
    /// this version.
    #[n(2)]
    pub version: WantedVersion,
    /// What becomes of it.
    #[n(3)]
    pub change: Amendment,
    /// Who is told of it, where anybody is.
    #[n(4)]
    pub notice: Option<Box<Notice>>,
}

/// What can be changed of a version.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Amendment {
    /// It has these tags.
    #[n(0)]
    Tags(#[n(0)] Vec<(String, String)>),
    /// It has this retention, or none, if what it has lets whoever asks.
    #[n(1)]
    Retention(#[n(0)] Option<Retention>, #[n(1)] Leave),
    /// Its legal hold is on or off.
    #[n(2)]
    LegalHold(#[n(0)] bool),
    /// It has the second ACL, if it has the first one now; none is that of the bucket's owner alone.
    #[n(3)]
    Acl(#[n(0)] Option<Box<Acl>>, #[n(1)] Option<Box<Acl>>),
    /// Bytes of it lie elsewhere.
    #[n(4)]
    Transition(#[n(0)] Box<Transition>),
}

/// See [`Command::SetVersioning`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct SetVersioning {
    /// The bucket's name.
    #[n(0)]
    pub name: String,
    /// Its id: a bucket made again meanwhile stays as it is.
    #[n(1)]
    pub bucket: BucketId,
    /// What it shall do; never [`Versioning::Off`].
    #[n(2)]
    pub versioning: Versioning,
    /// Which step.
    #[n(3)]
    pub step: VersioningStep,
}

/// The steps of a change of a bucket's versioning. Of two at once, the later one is what all groups have in the end: they
/// know it by its number, which the meta group gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub enum VersioningStep {
    /// Meta group: gives the change a number, in [`crate::object::Bucket::versioning_change`].
    #[default]
    #[n(0)]
    Begin,
    /// Each object group: from now on writes are what the change has them be, unless there was a later one.
    #[n(1)]
    Apply(#[n(0)] u64),
    /// Meta group: all object groups do so, unless a later change has begun.
    #[n(2)]
    Commit(#[n(0)] u64),
}

/// See [`Command::Allot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Allot {
    /// The bucket.
    #[n(0)]
    pub bucket: BucketId,
    /// The number of the round.
    #[n(1)]
    pub round: u64,
    /// Which step.
    #[n(2)]
    pub step: AllotStep,
}

/// The steps of a round, in each group of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub enum AllotStep {
    /// What the bucket has in the group doesn't grow any more, unless there was a later round.
    #[default]
    #[n(0)]
    Freeze,
    /// It may grow up to this, where this round froze it and no other did since.
    #[n(1)]
    Grant(#[n(0)] Amount),
    /// It may grow without end, unless there was a later round.
    #[n(2)]
    Lift,
}

/// See [`Command::CreateUpload`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct CreateUpload {
    /// Of this bucket,
    #[n(0)]
    pub bucket: BucketId,
    /// for this key.
    #[n(1)]
    pub key: String,
    /// Its id.
    #[n(2)]
    pub upload: UploadId,
    /// What to keep of it.
    #[n(3)]
    pub record: Upload,
}

/// See [`Command::PutPart`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct PutPart {
    /// Of this bucket,
    #[n(0)]
    pub bucket: BucketId,
    /// this key,
    #[n(1)]
    pub key: String,
    /// this upload.
    #[n(2)]
    pub upload: UploadId,
    /// The part, its body staged and settled.
    #[n(3)]
    pub part: Part,
    /// What its chunks hold, in order.
    #[n(4)]
    pub contents: Vec<ContentId>,
}

/// See [`Command::CompleteUpload`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct CompleteUpload {
    /// Of this bucket,
    #[n(0)]
    pub bucket: BucketId,
    /// this key,
    #[n(1)]
    pub key: String,
    /// this upload.
    #[n(2)]
    pub upload: UploadId,
    /// The parts to use, as the client named them and the proposer saw them.
    #[n(3)]
    pub parts: Vec<NamedPart>,
    /// The `ETag` of the whole, computed of those.
    #[n(4)]
    pub etag: String,
    /// The checksum of the whole, computed of those.
    #[n(5)]
    pub checksum: Option<Checksum>,
    /// What must hold.
    #[n(6)]
    pub condition: WriteCondition,
    /// The proposer's time in milliseconds since the epoch.
    #[n(7)]
    pub now_ms: u64,
    /// The retention that the object gets where the upload asked for none.
    #[n(8)]
    pub default_retention: Option<Retention>,
    /// Who is told of it, where anybody is.
    #[n(9)]
    pub notice: Option<Box<Notice>>,
}

/// A part as a completion names it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct NamedPart {
    /// Its number.
    #[n(0)]
    pub number: u16,
    /// Its `ETag` without quotes.
    #[n(1)]
    pub etag: String,
    /// Its checksum in base64, to be that of the stored part where given.
    #[n(2)]
    pub checksum: Option<String>,
}

/// See [`Command::AbortUpload`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct AbortUpload {
    /// Of this bucket,
    #[n(0)]
    pub bucket: BucketId,
    /// this key,
    #[n(1)]
    pub key: String,
    /// this upload.
    #[n(2)]
    pub upload: UploadId,
    /// The proposer's time in milliseconds since the epoch.
    #[n(3)]
    pub now_ms: u64,
}

/// Chunks of one condemned body, to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct ReclaimStep {
    /// The body.
    #[n(0)]
    pub body: BodyId,
    /// The first chunk to remove: all before it are removed already.
    #[n(1)]
    pub start: u32,
    /// The end of those to remove.
    #[n(2)]
    pub end: u32,
    /// When the body was condemned.
    #[n(3)]
    pub since_ms: u64,
}

/// Bytes that are no command of this release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The head can't be read: damage, or a command of a later release.
    #[error("the head is no command that this release knows: {0}")]
    Head(String),
    /// The body is not what the head says.
    #[error("the head says {said} inline bytes and {found} are there")]
    Inline {
        /// By the head.
        said: u64,
        /// The length of the body.
        found: u64,
    },
}

impl Command {
    /// The head and the body of the log's record; the head behind these bytes, which are the log's own.
    pub(crate) fn encode_behind(&self, head: &[u8]) -> (Bytes, Bytes) {
        let head = cbor::encode_behind(head, self);
        let body = if let Self::PutObject(put) = self { put.inline.clone() } else { Bytes::new() };
        (head, body)
    }

    /// The head and the body of the log's record.
    #[expect(clippy::same_name_method, reason = "the derived one writes the head alone")]
    pub fn encode(&self) -> (Bytes, Bytes) {
        self.encode_behind(&[])
    }

    /// Reads back what [`Self::encode`] made.
    #[expect(clippy::same_name_method, reason = "the derived one reads the head alone")]
    pub fn decode(head: &[u8], body: Bytes) -> Result<Self, DecodeError> {
        let mut command: Self =
            minicbor::decode(head).map_err(|error| DecodeError::Head(error.to_string()))?;
        let said = command.inline_bytes();
        let found = u64::try_from(body.len()).expect("a length fits in 64 bits");
        if said != found {
            return Err(DecodeError::Inline { said, found });
        }
        if let Self::PutObject(put) = &mut command {
            put.inline = body;
        }
        Ok(command)
    }

    fn inline_bytes(&self) -> u64 {
        let Self::PutObject(put) = self else { return 0 };
        match put.object.body {
            Body::Inline(bytes) => u64::from(bytes),
            Body::Empty | Body::Whole(_) | Body::Parts(_) => 0,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateBucket(create) => write!(f, "CreateBucket {:?}", create.name),
            Self::RemoveBucket(remove) => {
                write!(f, "RemoveBucket {:?} ({})", remove.name, remove.bucket)
            }
            Self::PutCredential(credential) => {
                write!(f, "PutCredential {:?}", credential.access_key)
            }
            Self::RemoveCredential(access_key) => write!(f, "RemoveCredential {access_key:?}"),
            Self::PutObject(put) => {
                write!(f, "PutObject {}/{:?} of {} bytes", put.bucket, put.key, put.object.size)
            }
            Self::DeleteObject(delete) => {
                write!(f, "DeleteObject {}/{:?}", delete.bucket, delete.key)
            }
            Self::DeleteObjects(deletes) => write!(f, "DeleteObjects, {} keys", deletes.len()),
            Self::CreateUpload(create) => {
                write!(f, "CreateUpload {}/{:?} {}", create.bucket, create.key, create.upload)
            }
            Self::PutPart(put) => write!(f, "PutPart {} of {}", put.part.number, put.upload),
            Self::CompleteUpload(complete) => {
                write!(f, "CompleteUpload {} of {} parts", complete.upload, complete.parts.len())
            }
            Self::AbortUpload(abort) => write!(f, "AbortUpload {}", abort.upload),
            Self::SealBucket(bucket) => write!(f, "SealBucket {bucket}"),
            Self::UnsealBucket(bucket) => write!(f, "UnsealBucket {bucket}"),
            Self::Reclaim(steps) => write!(f, "Reclaim, {} bodies", steps.len()),
            Self::SetVersioning(set) => {
                write!(f, "SetVersioning {:?} {:?} {:?}", set.name, set.versioning, set.step)
            }
            Self::ChangeIam(change) => write!(f, "ChangeIam, {} records", change.changes.len()),
            Self::Configure(set) => write!(f, "Configure {:?} {}", set.name, set.kind),
            Self::PutMasterKey(_) => f.write_str("PutMasterKey"),
            Self::NumberRound(above) => write!(f, "NumberRound above {above}"),
            Self::Allot(allot) => {
                write!(f, "Allot {} {:?} in round {}", allot.bucket, allot.step, allot.round)
            }
            Self::RemoveEvents(remove) => {
                write!(f, "RemoveEvents of {:?} to {:x}", remove.target, remove.last)
            }
            Self::Amend(amend) => write!(f, "Amend {}/{:?}", amend.bucket, amend.key),
        }
    }
}

#[cfg(test)]
mod tests;
