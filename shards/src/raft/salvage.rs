//! What is left of a group's log when the shard's WAL is damaged, and the slots of the one that takes its place.
//!
//! Only for a group of one voter: nobody else has an entry or a vote of it.
//!
//! - What the flushed state has applied is not needed in the log. What follows it counts up to the first entry that can't
//!   be read: a command is decided on the state that all before it have left.
//! - The new log has no entries: all that counts is applied and flushed before. It begins behind what is applied (H7).
//! - Its vote is above every one that may have been saved, read or not (H1): each lost batch has at most one of a group,
//!   as a vote is durable before the next one is cast.
//! - A group of which nothing was ever applied has no slots at all: it begins as one that never was (H6).

use anode_disk::{
    Directory, Error,
    wal::{GroupId, Kept, Salvage, Slot},
};
use bytes::Bytes;
use openraft::vote::RaftLeaderId as _;

use super::{
    codec::{self, CodecError, Position},
    types::{LeaderId, LogId, Vote},
};

/// How a group stands whose log is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which group.
    pub group: GroupId,
    /// Up to where the flushed state has applied the log.
    pub applied: Option<LogId>,
    /// The first entry that is not applied.
    pub first: u64,
    /// The first from there on that can't be read, or the one behind the last.
    pub end: u64,
    /// Entries behind that which can be read, in order.
    pub beyond: Vec<u64>,
}

impl Standing {
    /// How the group stands whose flushed state is at `position`.
    pub fn of<D: Directory>(salvage: &Salvage<D>, group: GroupId, position: &Position) -> Self {
        let applied = position.applied;
        let first = applied.map_or(0, |applied| applied.index() + 1);
        let end = salvage.unbroken_end(group, first);
        let beyond = salvage.indexes(group).into_iter().filter(|index| *index >= end).collect();
        Self { group, applied, first, end, beyond }
    }

    /// How many entries are lost for certain: those between others that can be read.
    pub fn missing_count(&self) -> u64 {
        let after = self.beyond.last().map_or(self.end, |last| last + 1);
        after - self.end - u64::try_from(self.beyond.len()).expect("a count fits in 64 bits")
    }

    /// What the log keeps of the group until it is applied.
    pub fn kept(&self) -> Kept {
        let purged = self.applied.as_ref().map(codec::encode_log_id);
        Kept { group: self.group, from: self.first, purged }
    }
}

/// The slots of a new log for a group whose flushed state has applied the old one up to `applied`; `node` is the id of
/// the shard.
///
/// # Errors
///
/// [`Error::Corrupt`] where a record that is whole makes no sense.
pub async fn slots<D: Directory>(
    salvage: &Salvage<D>,
    node: u64,
    (group, applied): (GroupId, Option<LogId>),
) -> Result<Vec<(GroupId, Slot, Bytes)>, Error> {
    let Some(applied) = applied else { return Ok(Vec::new()) };
    let mut term = applied.committed_leader_id().term;
    let senseless = |error: CodecError| Error::Corrupt {
        location: format!("the log of group {group}"),
        finding: error.to_string(),
    };
    if let Some(vote) = salvage.slot(group, Slot::Vote) {
        term = term.max(codec::decode_vote(&vote).map_err(senseless)?.leader_id.term);
    }
    if let Some(last) = salvage.indexes(group).last() {
        let record = salvage.read(group, *last).await?;
        let log_id = codec::decode_entry_log_id(&record).map_err(senseless)?;
        term = term.max(log_id.committed_leader_id().term);
    }
    let term = term.saturating_add(salvage.lost().batch_count).saturating_add(1);
    let vote = Vote { leader_id: LeaderId::new(term, node), committed: false };
    let log_id = codec::encode_log_id(&applied);
    Ok(vec![
        (group, Slot::Vote, codec::encode_vote(&vote)),
        (group, Slot::Purged, log_id.clone()),
        (group, Slot::Committed, log_id),
    ])
}
