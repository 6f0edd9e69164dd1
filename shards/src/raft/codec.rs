//! What openraft keeps, as bytes.
//!
//! ```text
//! log id     version 1 | term u64 | node u64 | index u64                                  25 bytes
//! vote       version 1 | term u64 | node u64 | committed 0 or 1                           18 bytes
//! entry      version 1 | kind     | term u64 | node u64 | rest                            in a WAL record's head
//!            kind 0 blank, 1 command (rest: its head; its body is the record's body), 2 membership (rest: CBOR)
//! position   version 2 | CBOR {0: applied log id, 1: membership}                          value of META
//! ```
//!
//! The version of the position is that of the group's whole state: a release that stores it otherwise has another one,
//! so that a state that can't be read is refused at the start. 2: chunks refer to contents.
//!
//! Integers are little-endian. CBOR has numbered fields; unknown ones are skipped. An entry's index is its record's.

use std::collections::{BTreeMap, BTreeSet};

use anode_disk::wal::Record;
use bytes::{BufMut, Bytes, BytesMut};
use minicbor::{Decode, Encode};
use openraft::{EntryPayload, vote::RaftLeaderId};

use super::types::{Entry, LeaderId, LogId, Membership, Node, StoredMembership, Vote};
use crate::{cbor, command::Command};

const VERSION: u8 = 1;
const STATE_VERSION: u8 = 2;
const ENTRY_HEAD_BYTES: usize = 18;
const BLANK: u8 = 0;
const COMMAND: u8 = 1;
const MEMBERSHIP: u8 = 2;

/// Up to where a group's state has applied its log, kept with the effects it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The last entry applied.
    pub applied: Option<LogId>,
    /// The last membership applied.
    pub membership: StoredMembership,
}

/// Bytes that no release, or none that this one knows, has written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} can't be read: {finding}")]
pub struct CodecError {
    what: &'static str,
    finding: String,
}

impl CodecError {
    fn new(what: &'static str, finding: impl Into<String>) -> Self {
        Self { what, finding: finding.into() }
    }
}

/// Encodes a log id.
pub fn encode_log_id(log_id: &LogId) -> Bytes {
    let mut target = BytesMut::with_capacity(25);
    target.put_u8(VERSION);
    put_leader(&mut target, log_id.committed_leader_id());
    target.put_u64_le(log_id.index());
    target.freeze()
}

/// Decodes a log id.
pub fn decode_log_id(source: &[u8]) -> Result<LogId, CodecError> {
    const WHAT: &str = "a log id";
    let mut source = Source::new(WHAT, source)?;
    let leader = source.leader()?;
    let index = source.u64()?;
    source.end()?;
    Ok(LogId::new(leader, index))
}

/// Encodes a vote.
pub fn encode_vote(vote: &Vote) -> Bytes {
    let mut target = BytesMut::with_capacity(18);
    target.put_u8(VERSION);
    put_leader(&mut target, &vote.leader_id);
    target.put_u8(u8::from(vote.committed));
    target.freeze()
}

/// Decodes a vote.
pub fn decode_vote(source: &[u8]) -> Result<Vote, CodecError> {
    const WHAT: &str = "a vote";
    let mut source = Source::new(WHAT, source)?;
    let leader_id = source.leader()?;
    let committed = match source.u8()? {
        0 => false,
        1 => true,
        other => return Err(CodecError::new(WHAT, format!("committed is {other}"))),
    };
    source.end()?;
    Ok(Vote { leader_id, committed })
}

/// Encodes an entry, its head in one allocation; a command's body is passed on without a copy.
pub fn encode_entry(entry: &Entry) -> Record {
    let kind = match &entry.payload {
        EntryPayload::Blank => BLANK,
        EntryPayload::Normal(_) => COMMAND,
        EntryPayload::Membership(_) => MEMBERSHIP,
    };
    let leader = entry.log_id.committed_leader_id();
    let mut head = [0; ENTRY_HEAD_BYTES];
    let mut target = head.as_mut_slice();
    target.put_u8(VERSION);
    target.put_u8(kind);
    put_leader(&mut target, leader);
    let (head, body) = match &entry.payload {
        EntryPayload::Blank => (Bytes::copy_from_slice(&head), Bytes::new()),
        EntryPayload::Normal(command) => command.encode_behind(&head),
        EntryPayload::Membership(membership) => {
            (cbor::encode_behind(&head, &MembershipRecord(membership)), Bytes::new())
        }
    };
    Record { index: entry.log_id.index(), head, body }
}

/// Decodes an entry.
pub fn decode_entry(record: Record) -> Result<Entry, CodecError> {
    const WHAT: &str = "an entry";
    let (kind, log_id) = decode_entry_head(&record)?;
    // The head was just read from there.
    let rest = record.head.get(ENTRY_HEAD_BYTES..).unwrap_or_default();
    let payload = match kind {
        BLANK => EntryPayload::Blank,
        COMMAND => EntryPayload::Normal(
            Command::decode(rest, record.body)
                .map_err(|error| CodecError::new(WHAT, error.to_string()))?,
        ),
        MEMBERSHIP => {
            let wire: MembershipWire =
                minicbor::decode(rest).map_err(|error| CodecError::new(WHAT, error.to_string()))?;
            EntryPayload::Membership(wire.membership(WHAT)?)
        }
        other => return Err(CodecError::new(WHAT, format!("its kind is {other}"))),
    };
    Ok(Entry { log_id, payload })
}

/// Decodes the command of an entry; none where it has none.
pub fn decode_command(record: Record) -> Result<Option<Command>, CodecError> {
    Ok(match decode_entry(record)?.payload {
        EntryPayload::Normal(command) => Some(command),
        EntryPayload::Blank | EntryPayload::Membership(_) => None,
    })
}

/// Decodes only where an entry stands.
pub fn decode_entry_log_id(record: &Record) -> Result<LogId, CodecError> {
    decode_entry_head(record).map(|(_kind, log_id)| log_id)
}

/// Encodes the value of META.
pub fn encode_position(position: &Position) -> Bytes {
    encode_position_of(position.applied.as_ref(), &position.membership)
}

/// As [`encode_position`]: the last entry applied, and the last membership.
pub fn encode_position_of(applied: Option<&LogId>, membership: &StoredMembership) -> Bytes {
    let wire = PositionWire {
        applied: applied.map(LogIdWire::from),
        membership_log_id: membership.log_id().as_ref().map(LogIdWire::from),
        membership: MembershipRecord(membership.membership()),
    };
    cbor::encode_behind(&[STATE_VERSION], &wire)
}

/// Decodes the value of META.
pub fn decode_position(source: &[u8]) -> Result<Position, CodecError> {
    const WHAT: &str = "the applied position";
    let source = Source::of_version(STATE_VERSION, WHAT, source)?;
    let wire: PositionWire<MembershipWire> =
        minicbor::decode(source.rest).map_err(|error| CodecError::new(WHAT, error.to_string()))?;
    let membership = wire.membership.membership(WHAT)?;
    let log_id = wire.membership_log_id.map(LogIdWire::log_id);
    Ok(Position {
        applied: wire.applied.map(LogIdWire::log_id),
        membership: StoredMembership::new(log_id, membership),
    })
}

fn put_leader(target: &mut impl BufMut, leader: &LeaderId) {
    target.put_u64_le(leader.term);
    target.put_u64_le(leader.node_id);
}

fn decode_entry_head(record: &Record) -> Result<(u8, LogId), CodecError> {
    let mut source = Source::new("an entry", &record.head)?;
    let kind = source.u8()?;
    let leader = source.leader()?;
    Ok((kind, LogId::new(leader, record.index)))
}

/// Bytes from outside, read from their start.
struct Source<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Source<'a> {
    fn new(what: &'static str, source: &'a [u8]) -> Result<Self, CodecError> {
        Self::of_version(VERSION, what, source)
    }

    fn of_version(version: u8, what: &'static str, source: &'a [u8]) -> Result<Self, CodecError> {
        let mut source = Self { what, rest: source };
        let found = source.u8()?;
        if found != version {
            let finding = format!("it has version {found}; this release reads {version}");
            return Err(CodecError::new(what, finding));
        }
        Ok(source)
    }

    fn u8(&mut self) -> Result<u8, CodecError> {
        let (byte, rest) = self.rest.split_first().ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(*byte)
    }

    fn u64(&mut self) -> Result<u64, CodecError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.short())?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn leader(&mut self) -> Result<LeaderId, CodecError> {
        Ok(LeaderId::new(self.u64()?, self.u64()?))
    }

    fn end(&self) -> Result<(), CodecError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(CodecError::new(self.what, "bytes are left over"))
    }

    fn short(&self) -> CodecError {
        CodecError::new(self.what, "it ends early")
    }
}

#[derive(Clone, Copy, Encode, Decode)]
#[cbor(map)]
struct LogIdWire {
    #[n(0)]
    term: u64,
    #[n(1)]
    node: u64,
    #[n(2)]
    index: u64,
}

impl From<&LogId> for LogIdWire {
    fn from(log_id: &LogId) -> Self {
        Self {
            term: log_id.committed_leader_id().term,
            node: log_id.committed_leader_id().node_id,
            index: log_id.index(),
        }
    }
}

impl LogIdWire {
    fn log_id(self) -> LogId {
        LogId::new(LeaderId::new(self.term, self.node), self.index)
    }
}

/// A membership as it is read.
#[derive(Decode)]
#[cbor(map)]
struct MembershipWire {
    /// The voters, in a joint configuration one set each.
    #[n(0)]
    configurations: Vec<BTreeSet<u64>>,
    /// Every replica, voters and learners.
    #[n(1)]
    nodes: BTreeMap<u64, NodeWire>,
}

#[derive(Decode)]
#[cbor(map)]
struct NodeWire {
    #[n(0)]
    address: String,
}

/// A membership as it is written: as [`MembershipWire`], without a copy, for each entry that is applied writes one.
struct MembershipRecord<'a>(&'a Membership);

impl<C> Encode<C> for MembershipRecord<'_> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.map(2)?.u8(0)?;
        self.0.get_joint_config().encode(e, ctx)?;
        let count = u64::try_from(self.0.nodes().count()).expect("a count fits in 64 bits");
        e.u8(1)?.map(count)?;
        for (id, node) in self.0.nodes() {
            e.u64(*id)?.map(1)?.u8(0)?.str(&node.address)?;
        }
        Ok(())
    }
}

impl MembershipWire {
    fn membership(self, what: &'static str) -> Result<Membership, CodecError> {
        let nodes: BTreeMap<u64, Node> = self
            .nodes
            .into_iter()
            .map(|(id, node)| {
                let address = node.address;
                (id, Node { address })
            })
            .collect();
        Membership::new(self.configurations, nodes)
            .map_err(|error| CodecError::new(what, error.to_string()))
    }
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct PositionWire<M> {
    #[n(0)]
    applied: Option<LogIdWire>,
    #[n(1)]
    membership_log_id: Option<LogIdWire>,
    #[n(2)]
    membership: M,
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use openraft::{EntryPayload, vote::RaftLeaderId};

    use super::{
        LeaderId, LogId, Membership, Node, Position, StoredMembership, Vote, decode_entry,
        decode_log_id, decode_position, decode_vote, encode_entry, encode_log_id, encode_position,
        encode_vote,
    };
    use crate::raft::types::Entry;

    fn log_id() -> LogId {
        LogId::new(LeaderId::new(3, 0x0102), 9)
    }

    fn membership() -> Membership {
        let nodes = [(1, "a:1"), (2, "b:2"), (7, "")].map(|(id, address)| {
            let address = address.to_owned();
            (id, Node { address })
        });
        let voters = vec![BTreeSet::from([1]), BTreeSet::from([1, 2])];
        Membership::new(voters, BTreeMap::from(nodes)).unwrap()
    }

    #[test]
    fn bytes_of_this_release() {
        let golden = [1, 3, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(encode_log_id(&log_id()).as_ref(), golden);
        let vote = Vote { leader_id: LeaderId::new(3, 0x0102), committed: true };
        let golden = [1, 3, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(encode_vote(&vote).as_ref(), golden);
        let position = Position {
            applied: Some(log_id()),
            membership: StoredMembership::new(None, membership()),
        };
        assert_eq!(
            hex(&encode_position(&position)),
            "02a200a300030119010202090 2a200828101820102 01a301a10063613a3102a10063623a3207a10060"
                .replace(' ', "")
        );
    }

    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write as _;
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    #[test]
    fn everything_comes_back() {
        assert_eq!(decode_log_id(&encode_log_id(&log_id())), Ok(log_id()));
        for committed in [false, true] {
            let vote = Vote { leader_id: LeaderId::new(u64::MAX, 5), committed };
            assert_eq!(decode_vote(&encode_vote(&vote)), Ok(vote));
        }
        for payload in [
            EntryPayload::Blank,
            EntryPayload::Membership(membership()),
            EntryPayload::Membership(Membership::default()),
        ] {
            let entry = Entry { log_id: log_id(), payload };
            let back = decode_entry(encode_entry(&entry)).unwrap();
            assert_eq!(back.log_id, entry.log_id);
            assert_eq!(format!("{back:?}"), format!("{entry:?}"));
        }
        let position = Position {
            applied: Some(log_id()),
            membership: StoredMembership::new(Some(log_id()), membership()),
        };
        assert_eq!(decode_position(&encode_position(&position)), Ok(position));
        let nothing = Position::default();
        assert_eq!(decode_position(&encode_position(&nothing)), Ok(nothing));
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let vote = Vote { leader_id: LeaderId::new(1, 5), committed: false };
        for (good, decode) in [
            (
                encode_log_id(&log_id()),
                (|bytes| decode_log_id(bytes).is_err()) as fn(&[u8]) -> bool,
            ),
            (encode_vote(&vote), |bytes| decode_vote(bytes).is_err()),
            (encode_position(&Position::default()), |bytes| decode_position(bytes).is_err()),
        ] {
            assert!(!decode(&good));
            for length in 0..good.len() {
                assert!(decode(&good[..length]), "{length} of {good:?}");
            }
            let mut newer = good.to_vec();
            newer[0] += 1;
            assert!(decode(&newer));
        }
    }
}
