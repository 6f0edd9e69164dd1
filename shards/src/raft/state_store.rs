//! A group's state on the shard's index, as openraft sees it.
//!
//! - Every entry writes its effects and META, the position they bring the state to, in one atomic batch (H8).
//! - The index becomes durable at flushes only, so after a restart the state may be behind the log, never ahead of it
//!   (H7): openraft applies the rest again, from the position in META.
//! - A snapshot is a flush of the index and its view: what META says *in the view* is durable, and up to there the log
//!   may be purged (H9). The flush is shared by all groups of the shard: see [`crate::keeper`].

use std::{
    cell::{Cell, RefCell},
    fmt, io,
    rc::Rc,
};

use anode_disk::{
    device::Directory,
    index::{Index, View},
    wal::GroupId,
};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine},
};

use super::{
    codec::{self, Position},
    log_store::{refused, unreadable},
    snapshot::{self, SnapshotData},
    types::{self, LogId, Snapshot, SnapshotMeta, StoredMembership, Types},
};
use crate::{
    command::Reply,
    state::{self, State},
};

/// The state of one group. A clone is the same state.
pub struct StateStore<D: Directory>(Rc<Inner<D>>);

struct Inner<D: Directory> {
    group: GroupId,
    index: Index<D>,
    state: Rc<State<D>>,
    /// Where the position is in the index.
    meta_key: Bytes,
    position: RefCell<Position>,
    /// A view that somebody has flushed for the next snapshot.
    offered: RefCell<Option<View<D>>>,
    /// Whether there has been a snapshot since the start.
    has_snapshot: Cell<bool>,
}

impl<D: Directory> StateStore<D> {
    /// The state of `group`, at the position that the index has. [`snapshot::finish`] comes before.
    pub async fn open(group: GroupId, index: Index<D>, state: Rc<State<D>>) -> io::Result<Self> {
        let meta_key = state::meta_key(group);
        let meta = index.get(&meta_key).await.map_err(refused)?;
        let position = match meta {
            Some(entry) => codec::decode_position(&entry.value).map_err(unreadable)?,
            None => Position::default(),
        };
        Ok(Self(Rc::new(Inner {
            group,
            index,
            state,
            meta_key,
            position: RefCell::new(position),
            offered: RefCell::new(None),
            has_snapshot: Cell::new(false),
        })))
    }

    /// The last entry applied.
    pub fn applied(&self) -> Option<LogId> {
        self.0.position.borrow().applied
    }

    /// How many replicas vote, as far as the state has applied its log.
    pub fn voter_count(&self) -> usize {
        self.0.position.borrow().membership.voter_ids().count()
    }

    /// The last entry applied in a view of the index.
    pub async fn applied_in(&self, view: &View<D>) -> io::Result<Option<LogId>> {
        Ok(self.position_in(view).await?.applied)
    }

    /// Gives the next snapshot a view to be made from, so that groups share a flush.
    pub fn offer(&self, view: View<D>) {
        drop(self.0.offered.replace(Some(view)));
    }

    /// Ends an offer that nobody has taken.
    pub fn withdraw(&self) {
        drop(self.0.offered.take());
    }

    /// Applies one entry: its effects and the position in one batch.
    pub(super) async fn apply_one(&self, entry: types::Entry) -> io::Result<Reply> {
        let Inner { index, state, meta_key, position, .. } = &*self.0;
        index.room().await.map_err(refused)?;
        let membership = match &entry.payload {
            EntryPayload::Membership(membership) => {
                Some(StoredMembership::new(Some(entry.log_id), membership.clone()))
            }
            EntryPayload::Normal(_) | EntryPayload::Blank => None,
        };
        let value = {
            let known = &position.borrow().membership;
            let membership = membership.as_ref().unwrap_or(known);
            codec::encode_position_of(Some(&entry.log_id), membership)
        };
        let meta = (meta_key.clone(), value);
        let reply = if let EntryPayload::Normal(command) = &entry.payload {
            state.apply(command, meta).await.map_err(refused)?
        } else {
            state.advance(meta);
            Reply::Done
        };
        let mut position = position.borrow_mut();
        position.applied = Some(entry.log_id);
        if let Some(membership) = membership {
            position.membership = membership;
        }
        Ok(reply)
    }

    async fn position_in(&self, view: &View<D>) -> io::Result<Position> {
        match view.get(&self.0.meta_key).await.map_err(refused)? {
            Some(entry) => codec::decode_position(&entry.value).map_err(unreadable),
            None => Ok(Position::default()),
        }
    }

    /// Makes a snapshot from a view: its meta is what the view itself says.
    async fn snapshot(&self, view: View<D>) -> io::Result<Snapshot<D>> {
        let position = self.position_in(&view).await?;
        self.0.has_snapshot.set(true);
        Ok(Snapshot {
            meta: SnapshotMeta {
                last_log_id: position.applied,
                last_membership: position.membership,
            },
            snapshot: SnapshotData::new(self.0.group, view),
        })
    }
}

impl<D: Directory> RaftStateMachine<Types> for StateStore<D> {
    type SnapshotData = SnapshotData<D>;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let position = self.0.position.borrow();
        Ok((position.applied, position.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let reply = self.apply_one(entry).await?;
            if let Some(responder) = responder {
                responder.send(reply);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData<D>,
    ) -> io::Result<()> {
        let position =
            Position { applied: meta.last_log_id, membership: meta.last_membership.clone() };
        let value = codec::encode_position(&position);
        snapshot::install(&self.0.index, &snapshot, value).await.map_err(refused)?;
        self.0.position.replace(position);
        self.0.has_snapshot.set(true);
        self.0.state.begin_counting().await.map_err(refused)?;
        Ok(())
    }

    /// A new snapshot each time, once there has been one: kept views would hold on to space that others want back.
    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot<D>>> {
        if !self.0.has_snapshot.get() {
            return Ok(None);
        }
        self.build_snapshot().await.map(Some)
    }
}

impl<D: Directory> RaftSnapshotBuilder<Types> for StateStore<D> {
    type SnapshotData = SnapshotData<D>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot<D>> {
        let offered = self.0.offered.take();
        let view = match offered {
            Some(view) => view,
            None => self.0.index.flush().await.map_err(refused)?,
        };
        self.snapshot(view).await
    }
}

impl<D: Directory> Clone for StateStore<D> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<D: Directory> fmt::Debug for StateStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateStore({})", self.0.group)
    }
}
