//! What a command answers once it is applied: an effect, or a refusal that changed nothing.

use crate::{
    object::{Bucket, Checksum},
    quota::Amount,
    version::VersionName,
};

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done, and there is nothing to say. `RemoveBucket`, credentials, `CreateUpload`, `AbortUpload`, seals,
    /// `Reclaim`, `SetVersioning`, `Configure`, `ChangeIam`, other steps of `Allot`, `RemoveEvents`.
    Done,
    /// `CreateBucket`, the meta group's steps of `SetVersioning`: the bucket.
    Bucket(Bucket),
    /// `PutObject`, `PutPart`, `CompleteUpload`: it is stored. A completion that is sent again gets what the first
    /// one got.
    Stored(Stored),
    /// `DeleteObject`: it is not there any more.
    Deleted(Deleted),
    /// `DeleteObjects`: for each key in order, what became of it, or why it stays.
    DeletedEach(Vec<Result<Deleted, Refusal>>),
    /// `Amend`: it is changed.
    Amended {
        /// The version; none where the bucket never kept versions.
        version: Option<VersionName>,
    },
    /// `NumberRound`: the number.
    Numbered(u64),
    /// `Allot` that freezes: what the group holds of the bucket.
    Frozen(Amount),
    /// Nothing was changed.
    Refused(Refusal),
}

/// What became of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Deleted {
    /// Whether what was to be deleted was there.
    pub found: bool,
    /// The version that was removed, or the delete marker that was made. None where the bucket never kept versions, or
    /// the version was not there.
    pub version: Option<VersionName>,
    /// Whether that is a delete marker.
    pub is_marker: bool,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Stored {
    /// Its `ETag` without quotes.
    pub etag: String,
    /// In bytes.
    pub size: u64,
    /// In milliseconds since the epoch.
    pub last_modified_ms: u64,
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// Its version; none where the bucket never kept versions, and for parts.
    pub version: Option<VersionName>,
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `If-Match` or `If-None-Match` doesn't hold (412).
    #[error("a condition of the request does not hold")]
    PreconditionFailed,
    /// `If-Match` for an object that isn't there (404).
    #[error("there is no object under this key to match")]
    NoSuchKey,
    /// What is named is a delete marker (405).
    #[error("it is a delete marker")]
    IsMarker,
    /// Retention or a legal hold keeps it (403).
    #[error("object lock keeps it")]
    Locked,
    /// There is no such upload of this key (404).
    #[error("there is no such upload")]
    NoSuchUpload,
    /// A named part isn't there, or is another one than named (400).
    #[error("part {number} was not found, or its etag or checksum is another")]
    InvalidPart {
        /// Which one.
        number: u16,
    },
    /// The named parts aren't in ascending order (400).
    #[error("part {number} is not in ascending order")]
    InvalidPartOrder {
        /// The first that isn't.
        number: u16,
    },
    /// A part that isn't the last is too small (400).
    #[error("part {number} has {bytes} bytes; all but the last need {bytes_min}")]
    EntityTooSmall {
        /// Which one.
        number: u16,
        /// Its length.
        bytes: u64,
        /// The least length.
        bytes_min: u64,
    },
    /// The whole would be larger than an object can be (400).
    #[error("the parts have {bytes} bytes together, more than an object can have")]
    EntityTooLarge {
        /// Their sum.
        bytes: u64,
    },
    /// The bucket is being removed, or is (404).
    #[error("the bucket is being removed")]
    BucketSealed,
    /// There is no such bucket, or it is another one by now (404).
    #[error("there is no such bucket")]
    NoSuchBucket,
    /// There are objects or uploads (409).
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// There is a bucket of this name, this one (409, or 200 to its owner).
    #[error("a bucket of this name exists")]
    BucketExists(Box<Bucket>),
    /// The bucket would grow beyond what the group may hold of it (403, where the other groups have no room to give).
    #[error("the bucket may not grow by {} bytes and {} versions in this group", growth.bytes, growth.objects)]
    OverQuota {
        /// By how much it would.
        growth: Amount,
    },
    /// The bucket has a quota, and the group can't tell what it holds before the next start (503).
    #[error("what the bucket holds is not known")]
    Uncounted,
    /// What it was decided on has changed: it is to be decided again.
    #[error("what this was decided on has changed")]
    Outdated,
    /// There is no such credential.
    #[error("there is no such credential")]
    NoSuchCredential,
    /// Chunks that the command names are not here: they were discarded before it was applied (500, to be retried).
    #[error("bytes of the body are missing")]
    BodyMissing,
    /// The command contradicts itself: a fault of its proposer (500).
    #[error("the command is not well formed: {0}")]
    Malformed(&'static str),
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
