//! The way to a group's other replicas: this release has none, so every call says so.
//!
//! A group of one voter never calls. If a log ever names other voters, written by a later release, the group finds no
//! quorum and refuses requests, instead of pretending that somebody answered.

use std::future::Future;

use anode_disk::device::Directory;
use openraft::{
    OptionalSend, RaftNetworkFactory, RaftNetworkV2,
    errors::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use std::marker::PhantomData;

use super::{
    snapshot::SnapshotData,
    types::{Node, Snapshot, Types, Vote},
};

/// Makes ways to peers.
#[derive(Debug)]
pub struct Network<D>(PhantomData<D>);

/// The way to one peer.
#[derive(Debug)]
pub struct Peer<D> {
    refusal: NoPeers,
    _directory: PhantomData<D>,
}

/// Why a peer is not reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shard {shard} at {address:?} is not asked: this release has no peers")]
pub struct NoPeers {
    shard: u64,
    address: String,
}

impl<D> Network<D> {
    /// A network without peers.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<D> Default for Network<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Directory> RaftNetworkFactory<Types> for Network<D> {
    type Network = Peer<D>;

    async fn new_client(&mut self, target: u64, node: &Node) -> Peer<D> {
        let address = node.address.clone();
        Peer { refusal: NoPeers { shard: target, address }, _directory: PhantomData }
    }
}

impl<D> Peer<D> {
    fn refuse<T>(&self) -> Result<T, RPCError<Types>> {
        Err(RPCError::Unreachable(Unreachable::new(&self.refusal)))
    }
}

impl<D: Directory> RaftNetworkV2<Types> for Peer<D> {
    type SnapshotData = SnapshotData<D>;

    async fn append_entries(
        &mut self,
        _rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        self.refuse()
    }

    async fn vote(
        &mut self,
        _rpc: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.refuse()
    }

    async fn pre_vote(
        &mut self,
        _rpc: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.refuse()
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: Snapshot<D>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(StreamingError::Unreachable(Unreachable::new(&self.refusal)))
    }

    async fn transfer_leader(
        &mut self,
        _req: TransferLeaderRequest<Types>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        self.refuse()
    }
}
