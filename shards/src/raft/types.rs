//! The types openraft is compiled with, and short names for those that carry them.

use openraft::type_config::alias::{
    EntryOf, LeaderIdOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf,
};

use super::{runtime::ShardRuntime, snapshot::SnapshotData};
use crate::command::{Command, Reply};

openraft::declare_raft_types!(
    /// Anode's choice of types: a replica is named by its shard's cluster-wide id, which is never used again.
    pub Types:
        D = Command,
        R = Reply,
        NodeId = u64,
        Node = Node,
        AsyncRuntime = ShardRuntime,
);

/// Where a replica's shard is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Address and port of its node, for other nodes; empty where there are none.
    pub address: String,
}

/// Term and leader of a vote or an entry.
pub type LeaderId = LeaderIdOf<Types>;
/// Position in a group's log.
pub type LogId = LogIdOf<Types>;
/// What a replica promised to whom.
pub type Vote = VoteOf<Types>;
/// One entry of a group's log.
pub type Entry = EntryOf<Types>;
/// Voters and learners, with the position that made them so.
pub type StoredMembership = StoredMembershipOf<Types>;
/// Voters and learners.
pub type Membership = openraft::Membership<u64, Node>;
/// Up to where a snapshot reaches.
pub type SnapshotMeta = SnapshotMetaOf<Types>;
/// A snapshot of a group.
pub type Snapshot<D> = SnapshotOf<Types, SnapshotData<D>>;
