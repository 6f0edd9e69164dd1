//! Messages between the shards of one node: what a connection's shard asks of the shard that holds a group.
//!
//! A request is answered by one reply with the same id. Everything in a message is owned: object bytes travel as
//! `Bytes`, so that no message copies them.

use std::{ops::Range, sync::Arc};

use anode_disk::wal::GroupId;
use anode_shards::{
    command::{Command, Refusal, Reply},
    object::{BodyId, BucketId, Object, ObjectSummary, Upload, UploadId},
    quota::{Allowance, Amount},
    staging::Cut,
    state::{ListPage, ListQuery, PartPage, Planned, UploadListed, Usage},
    version::WantedVersion,
};
use bytes::Bytes;

use crate::{meta::MetaView, metrics::ShardFigures, quota::Wish};

/// What one shard sends to another.
#[derive(Debug)]
pub enum Message {
    /// Asks for something of a group; answered by [`Message::Reply`].
    Request {
        /// The shard that asks.
        source: usize,
        /// Chosen by the shard that asks.
        id: u64,
        /// The group.
        group: GroupId,
        /// What is asked.
        ask: Box<Ask>,
    },
    /// Answers a request.
    Reply {
        /// The request's id.
        id: u64,
        /// The answer.
        answer: Result<Answer, AskError>,
    },
    /// A shard has recovered its groups.
    Recovered {
        /// Which one.
        shard: usize,
    },
    /// A volume has failed: nothing on it can be read or written until the next start.
    VolumeFailed {
        /// Its place among the data directories.
        volume: usize,
    },
    /// A shard that is to stop has no connection left.
    Drained {
        /// Which one.
        shard: usize,
    },
    /// Buckets and credentials have changed; answered by [`Message::Seen`].
    Meta {
        /// The shard that holds the meta group.
        source: usize,
        /// The whole new state.
        view: Arc<MetaView>,
    },
    /// A shard has taken a new [`MetaView`].
    Seen {
        /// Its version.
        version: u64,
    },
    /// Asks a shard what it tells of itself; answered by [`Message::Surveyed`].
    Survey {
        /// The shard that asks.
        source: usize,
        /// Chosen by the shard that asks.
        id: u64,
    },
    /// Answers a [`Message::Survey`].
    Surveyed {
        /// Its id.
        id: u64,
        /// What the shard tells.
        figures: Box<ShardFigures>,
    },
}

/// What can be asked of a group.
#[derive(Debug)]
pub enum Ask {
    /// Agree on a command and apply it. Staged chunks of `settle` are made durable first.
    Propose {
        /// The command.
        command: Command,
        /// The body it names, where it was staged.
        settle: Option<BodyId>,
    },
    /// An object's record, and its bytes where they are inline.
    Object {
        /// Its bucket.
        bucket: BucketId,
        /// Its key.
        key: String,
        /// Which version; the answer may be a delete marker.
        version: WantedVersion,
        /// What for.
        access: Access,
    },
    /// Ends the pin of an [`Ask::Object`].
    Unpin {
        /// Its id.
        pin: PinId,
    },
    /// Bytes of one chunk.
    Chunk {
        /// The body.
        body: BodyId,
        /// The chunk's number, from 0.
        chunk: u32,
        /// Bytes of the chunk.
        range: Range<u32>,
        /// The chunk's length.
        chunk_bytes: u32,
    },
    /// Write a chunk that a later command will name.
    Stage {
        /// The body.
        body: BodyId,
        /// The chunk.
        chunk: Cut,
    },
    /// Forget the staged chunks of a body: no command will name them.
    Discard {
        /// The body.
        body: BodyId,
    },
    /// A page of objects.
    List {
        /// The bucket.
        bucket: BucketId,
        /// Which page.
        query: ListQuery,
    },
    /// A page of objects with all their versions.
    ListVersions {
        /// The bucket.
        bucket: BucketId,
        /// Which page.
        query: ListQuery,
    },
    /// A page of uploads.
    Uploads {
        /// The bucket.
        bucket: BucketId,
        /// Which page.
        query: ListQuery,
    },
    /// An upload's record.
    Upload {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The upload.
        upload: UploadId,
    },
    /// Parts of an upload.
    Parts {
        /// The bucket.
        bucket: BucketId,
        /// The key.
        key: String,
        /// The upload.
        upload: UploadId,
        /// Only those behind this number; 0 for all.
        after: u16,
        /// At most so many.
        count_max: usize,
    },
    /// How much of a bucket is in the group, and may be.
    Standing {
        /// The bucket.
        bucket: BucketId,
    },
    /// Whether there is room for a write in the group, by the quota of its bucket.
    Planned {
        /// The bucket.
        bucket: BucketId,
        /// The write.
        planned: Planned,
    },
    /// Of the meta group: that there be room in a group, by the quota of a bucket.
    MakeRoom(Wish),
    /// How much is in a bucket.
    Usage {
        /// The bucket.
        bucket: BucketId,
    },
}

/// The answer to an [`Ask`].
#[derive(Debug)]
pub enum Answer {
    /// To [`Ask::Propose`].
    Applied(Reply),
    /// To [`Ask::Object`]; none where there is no such object.
    Object(Option<Box<ObjectFound>>),
    /// To [`Ask::Chunk`].
    Chunk(Bytes),
    /// To [`Ask::List`].
    List(ListPage<ObjectSummary>),
    /// To [`Ask::ListVersions`].
    Versions(ListPage<Object>),
    /// To [`Ask::Uploads`].
    Uploads(ListPage<UploadListed>),
    /// To [`Ask::Upload`].
    Upload(Option<Upload>),
    /// To [`Ask::Parts`].
    Parts(PartPage),
    /// To [`Ask::Usage`]; none where it isn't known.
    Usage(Option<Usage>),
    /// To [`Ask::Standing`].
    Standing {
        /// What a quota is about; none where it isn't known.
        held: Option<Amount>,
        /// None where there may be all.
        allowance: Option<Allowance>,
    },
    /// To [`Ask::Planned`]: why it would be refused.
    Planned(Option<Refusal>),
    /// To [`Ask::MakeRoom`]: whether there is.
    Room(bool),
    /// To [`Ask::Stage`], [`Ask::Discard`] and [`Ask::Unpin`].
    Done,
}

/// What an object is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its record alone.
    Record,
    /// Its bytes too: inline ones come with the record, chunks are kept from being reclaimed until [`Ask::Unpin`].
    Bytes,
}

/// Names a pin of a shard, until it is ended.
pub type PinId = u64;

/// An object as its group has it.
#[derive(Debug)]
pub struct ObjectFound {
    /// Its record, with its parts.
    pub object: Object,
    /// Its bytes, where they are inline and were asked for.
    pub inline: Bytes,
    /// The hold on its chunks, where it has some and its bytes were asked for.
    pub pin: Option<PinId>,
}

/// Why a shard could not answer: one variant a reaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The volume is full.
    #[error("the volume is full")]
    Full,
    /// Stored bytes are damaged.
    #[error("stored bytes are damaged: {0}")]
    Damaged(String),
    /// A read of the device failed, or it fails for good, which its volume will tell. A command may still be applied, or not.
    #[error("a device of this node failed: {0}")]
    DeviceFailed(String),
    /// Too much is under way, or nobody leads: nothing was done, try again later.
    #[error("the shard is overloaded")]
    Overloaded,
    /// The volume of the group has failed, and the node goes on without it. A command may still be applied, or not.
    #[error("data directory {path} has failed")]
    VolumeFailed {
        /// The volume.
        path: String,
    },
    /// The shard is starting, stopping or has failed. A command may still be applied, or not.
    #[error("the shard can't serve: {0}")]
    Unavailable(String),
}
