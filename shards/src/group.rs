//! A placement group on this shard: one replica of one openraft instance, over the shard's storage.
//!
//! Opening a group recovers it: its state is brought up to the log before the first request is taken. A group of one
//! voter elects itself at once. `initialize` is called on a log that has never held anything, and only there (H6); a
//! log that is empty beside a state that is not was lost, and the group refuses to open (H5, H7).

mod reads;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use anode_disk::{
    device::Directory,
    error::Error,
    index::View,
    storage::Storage,
    wal::{GroupId, LOCAL},
};
use openraft::{
    Config, Raft, RaftMetrics, ReadPolicy, ServerState, SnapshotPolicy,
    async_runtime::watch::WatchReceiver,
    errors::{
        ClientWriteError, Fatal, ForwardReason, ForwardToLeader, LinearizableReadError, RaftError,
    },
};
use openraft_rt::{AsyncRuntime, Instant as _};
use tokio::sync::Notify;

use crate::{
    command::{Command, Reply},
    raft::{
        channels::WatchView,
        log_store::LogStore,
        network::Network,
        runtime::{Instant, ShardRuntime},
        snapshot,
        state_store::StateStore,
        types::{LogId, Membership, Node, Types},
    },
    staging::Staging,
    state::State,
};

/// How long a request waits for a leader that can take it.
const LEADER_WAIT: Duration = Duration::from_secs(5);
/// How long a request waits before it asks again.
const RETRY_WAIT: Duration = Duration::from_millis(2);
/// How long opening waits until the state has caught up with the log.
const RECOVERY_WAIT: Duration = Duration::from_mins(10);

/// What a group is.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// Its number in the cluster.
    pub group: GroupId,
    /// The cluster-wide id of this shard, which names the replica.
    pub shard: u64,
    /// Where other nodes reach this shard.
    pub address: String,
    /// Raft's times.
    pub timing: Timing,
}

/// Raft's times, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two heartbeats of a leader.
    pub heartbeat_ms: u64,
    /// The least silence after which a replica stands for election.
    pub election_ms_min: u64,
    /// The longest such silence.
    pub election_ms_max: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { heartbeat_ms: 500, election_ms_min: 1_500, election_ms_max: 3_000 }
    }
}

/// Why a group didn't do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Storage refused: while the group was opened, the shard doesn't start; else the request fails as its error says.
    #[error("storage refused group {group}: {source}")]
    Storage {
        /// Which one.
        group: GroupId,
        /// What storage said.
        source: Error,
    },
    /// What is on disk contradicts itself: the shard doesn't start, an operator decides.
    #[error("group {group} is damaged: {finding}")]
    Damaged {
        /// Which one.
        group: GroupId,
        /// The contradiction.
        finding: String,
    },
    /// The group has stopped, for good; a command in flight may or may not be applied after a restart.
    #[error("group {group} has stopped: {reason}")]
    Stopped {
        /// Which one.
        group: GroupId,
        /// The failure, or that it was shut down.
        reason: String,
    },
    /// Nothing was done: no leader that can take requests. Ask again later, or ask `leader`.
    #[error("group {group} has no leader here that can take requests")]
    NoLeader {
        /// Which one.
        group: GroupId,
        /// The shard that leads, if one is known.
        leader: Option<u64>,
    },
    /// The command may still be applied, or not: only a read tells.
    #[error("it is unknown whether group {group} applies the command")]
    Unknown {
        /// Which one.
        group: GroupId,
    },
}

/// What a group has done so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFigures {
    /// Raft's term.
    pub term: u64,
    /// The shard that leads, if one is known.
    pub leader: Option<u64>,
    /// Whether that is the shard of this replica.
    pub is_leader: bool,
    /// Index of the last entry of the log.
    pub log_index: Option<u64>,
    /// Index of the last entry applied.
    pub applied_index: Option<u64>,
    /// Index of the last entry that a snapshot contains.
    pub snapshot_index: Option<u64>,
    /// Index of the last entry purged.
    pub purged_index: Option<u64>,
    /// Why the group has stopped, if it has.
    pub failure: Option<String>,
}

/// A placement group. A clone is the same group.
pub struct Group<D: Directory>(Rc<Inner<D>>);

struct Inner<D: Directory> {
    id: GroupId,
    raft: Raft<Types, StateStore<D>>,
    metrics: WatchView<RaftMetrics<Types>>,
    log: LogStore<D>,
    store: StateStore<D>,
    state: Rc<State<D>>,
    staging: Rc<Staging<D>>,
}

impl<D: Directory> Group<D> {
    /// Opens a group and waits until it takes requests. The WAL must be running.
    pub async fn open(
        options: GroupOptions,
        storage: Rc<Storage<D>>,
        staging: Rc<Staging<D>>,
    ) -> Result<Self, GroupError> {
        let id = options.group;
        assert!(id != LOCAL, "the shard's own log is not a group's");
        let refused = |source| GroupError::Storage { group: id, source };
        snapshot::finish(&storage.index, id).await.map_err(refused)?;
        let state = Rc::new(State::open(id, Rc::clone(&storage), Rc::clone(&staging)));
        state.begin_counting().await.map_err(refused)?;
        let log = LogStore::new(id, storage.wal.clone());
        let store = StateStore::open(id, storage.index.clone(), Rc::clone(&state)).await;
        let store = store.map_err(|error| unopened(id, &error))?;
        check_history(id, &log, &store)?;

        let config = Arc::new(config(id, options.timing));
        let network = Network::new();
        let (log_clone, store_clone) = (log.clone(), store.clone());
        let raft = Raft::new(options.shard, config, network, log_clone, store_clone)
            .await
            .map_err(|fatal| stopped(id, &fatal))?;
        let metrics = raft.metrics();
        let group = Self(Rc::new(Inner { id, raft, metrics, log, store, state, staging }));
        group.lead(options).await?;
        Ok(group)
    }

    /// Its number in the cluster.
    pub fn id(&self) -> GroupId {
        self.0.id
    }

    /// What it holds; its own reads don't wait for what was just acknowledged elsewhere.
    pub fn state(&self) -> &Rc<State<D>> {
        &self.0.state
    }

    /// Has a command agreed on, made durable and applied, and gives its answer.
    pub async fn propose(&self, command: Command) -> Result<Reply, GroupError> {
        let deadline = Instant::now() + LEADER_WAIT;
        loop {
            // A clone shares the bytes of the command.
            let forward = match self.0.raft.client_write(command.clone()).await {
                Ok(response) => return Ok(response.data),
                // Refused before it was appended: asking again can't apply it twice (H11).
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => forward,
                Err(RaftError::APIError(
                    ClientWriteError::LogEntryDiscarded(_)
                    | ClientWriteError::ChangeMembershipError(_)
                    | ClientWriteError::PreconditionFailed(_),
                )) => return Err(GroupError::Unknown { group: self.0.id }),
                Err(RaftError::Fatal(fatal)) => return Err(self.stopped(&fatal)),
            };
            self.wait_for_leader(forward, deadline).await?;
        }
    }

    /// Waits until the state here contains every command whose answer was given before this call.
    pub async fn linearizable(&self) -> Result<(), GroupError> {
        if self.leads_alone() {
            return Ok(());
        }
        let deadline = Instant::now() + LEADER_WAIT;
        loop {
            let forward = match self.0.raft.ensure_linearizable(ReadPolicy::LeaseRead).await {
                Ok(_read_log_id) => return Ok(()),
                Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                    forward
                }
                Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                    ForwardToLeader::empty()
                }
                Err(RaftError::Fatal(fatal)) => return Err(self.stopped(&fatal)),
            };
            self.wait_for_leader(forward, deadline).await?;
        }
    }

    /// Whether this replica leads, is the only voter, and has applied all from before its term. Then nobody else can have
    /// answered a command, and what was answered is applied here: a read asks nobody, and costs no turn of openraft's
    /// tasks (a tenth of a small GET's CPU). A second voter is in the metrics before the first message to it is sent, so
    /// before it could elect another leader.
    fn leads_alone(&self) -> bool {
        let metrics = self.0.metrics.borrow_watched();
        let applied_term = metrics.last_applied.as_ref().map(|applied| applied.leader_id.term);
        metrics.state == ServerState::Leader
            && metrics.running_state.is_ok()
            && applied_term == Some(metrics.current_term)
            && is_only_voter(metrics.membership_config.membership(), metrics.id)
    }

    /// Stops taking requests and ends openraft's tasks. Storage goes on.
    pub async fn shutdown(&self) {
        if let Err(error) = self.0.raft.shutdown().await {
            tracing::error!(group = self.0.id, %error, "the group was not shut down");
        }
    }

    /// What it has done so far.
    pub fn figures(&self) -> GroupFigures {
        let metrics = self.0.metrics.borrow_watched();
        let index = |log_id: &Option<LogId>| log_id.as_ref().map(LogId::index);
        GroupFigures {
            term: metrics.current_term,
            leader: metrics.current_leader,
            is_leader: metrics.current_leader == Some(metrics.id),
            log_index: metrics.last_log_index,
            applied_index: index(&metrics.last_applied),
            snapshot_index: index(&metrics.snapshot),
            purged_index: index(&metrics.purged),
            failure: failure(&metrics),
        }
    }

    /// Tells `notify` of every append to the log from now on.
    pub(crate) fn notify_of_appends(&self, notify: Rc<Notify>) {
        self.0.log.notify_of_appends(notify);
    }

    /// Makes a snapshot from a flushed view and purges the log as far as the view reaches. Gives up after `limit`.
    pub(crate) async fn purge(&self, view: &View<D>, limit: Duration) -> io::Result<()> {
        let Some(target) = self.0.store.applied_in(view).await? else {
            return Ok(());
        };
        if self.0.log.purged()? >= Some(target) {
            return Ok(());
        }
        self.0.store.offer(view.clone());
        // A group that has stopped purges nothing: its figures say why.
        drop(self.0.raft.trigger().snapshot().await);
        let purged = |metrics: &RaftMetrics<Types>| {
            metrics.purged >= Some(target) || metrics.running_state.is_err()
        };
        let waited = self.0.raft.wait(Some(limit)).metrics(purged, "purge").await;
        // openraft makes no snapshot where it is at one already; a view that nobody took would hold on to its space.
        self.0.store.withdraw();
        if let Err(error) = waited {
            tracing::debug!(group = self.0.id, %error, "the log is not purged yet");
        }
        Ok(())
    }

    /// Makes this replica lead, if it is the only voter, and waits until its state has caught up with its log.
    async fn lead(&self, options: GroupOptions) -> Result<(), GroupError> {
        let Inner { id, raft, .. } = &*self.0;
        let initialized = raft.is_initialized().await;
        if initialized.map_err(|fatal| self.stopped(&fatal))? {
            let elected = raft.trigger().elect(false).await;
            elected.map_err(|fatal| self.stopped(&fatal))?;
        } else {
            let node = Node { address: options.address };
            let members = BTreeMap::from([(options.shard, node)]);
            raft.initialize(members).await.map_err(|error| stopped(*id, &error))?;
        }
        let caught_up = |metrics: &RaftMetrics<Types>| {
            let applied = metrics.last_applied.as_ref().map(LogId::index);
            let leads = metrics.state == ServerState::Leader && applied == metrics.last_log_index;
            leads || metrics.running_state.is_err()
        };
        let waited = raft.wait(Some(RECOVERY_WAIT));
        match waited.metrics(caught_up, "lead").await {
            Ok(metrics) => match failure(&metrics) {
                Some(reason) => Err(GroupError::Stopped { group: *id, reason }),
                None => Ok(()),
            },
            Err(error) => Err(GroupError::Stopped { group: *id, reason: error.to_string() }),
        }
    }

    /// Waits a little where this replica is about to lead; else says who does.
    async fn wait_for_leader(
        &self,
        forward: ForwardToLeader<Types>,
        deadline: Instant,
    ) -> Result<(), GroupError> {
        let leads_elsewhere =
            forward.reason == ForwardReason::NotLeader && forward.leader_id.is_some();
        if leads_elsewhere || Instant::now() >= deadline {
            return Err(GroupError::NoLeader { group: self.0.id, leader: forward.leader_id });
        }
        ShardRuntime::sleep(RETRY_WAIT).await;
        Ok(())
    }

    fn stopped(&self, fatal: &Fatal<Types>) -> GroupError {
        stopped(self.0.id, fatal)
    }
}

/// Refuses a log and a state that can't belong together (H7, H9). openraft takes a state ahead of its log for a snapshot
/// that was installed a moment before a crash; this release receives none.
pub(crate) fn check_history<D: Directory>(
    group: GroupId,
    log: &LogStore<D>,
    store: &StateStore<D>,
) -> Result<(), GroupError> {
    let refused = |error| unopened(group, &error);
    let last = log.last_index().map_err(refused)?;
    let purged = log.purged().map_err(refused)?.map(|purged| purged.index());
    let applied = store.applied().map(|applied| applied.index());
    if applied > last {
        let finding = format!("its state has applied {applied:?}, but its log ends at {last:?}");
        return Err(GroupError::Damaged { group, finding });
    }
    if purged > applied {
        let finding = format!("its log begins behind {purged:?}, but its state is at {applied:?}");
        return Err(GroupError::Damaged { group, finding });
    }
    Ok(())
}

/// Whether nobody else votes, in any of the configurations that a change of them goes through.
fn is_only_voter(membership: &Membership, id: u64) -> bool {
    let configurations = membership.get_joint_config();
    let is_alone = |voters: &BTreeSet<u64>| voters.len() == 1 && voters.contains(&id);
    !configurations.is_empty() && configurations.iter().all(is_alone)
}

fn config(group: GroupId, timing: Timing) -> Config {
    let config = Config {
        cluster_name: format!("group {group}"),
        heartbeat_interval: timing.heartbeat_ms,
        election_timeout_min: timing.election_ms_min,
        election_timeout_max: timing.election_ms_max,
        // The keeper decides when: one flush serves all groups of the shard.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        purge_batch_size: 1,
        // Bounded queues: what is above waits in its own request.
        api_channel_size: Some(4096),
        notification_channel_size: Some(4096),
        state_machine_channel_size: Some(1024),
        // A new election commits everything that is in the log; a restored leader would not know what was committed.
        enable_leader_restore: Some(false),
        ..Config::default()
    };
    config.validate().expect("heartbeat < least election time < longest election time")
}

/// Bytes that make no sense are damage; else it is storage that doesn't answer.
fn unopened(group: GroupId, error: &io::Error) -> GroupError {
    if error.kind() == io::ErrorKind::InvalidData {
        let finding = error.to_string();
        return GroupError::Damaged { group, finding };
    }
    stopped(group, error)
}

fn stopped(group: GroupId, error: &dyn fmt::Display) -> GroupError {
    let reason = error.to_string();
    GroupError::Stopped { group, reason }
}

fn failure(metrics: &RaftMetrics<Types>) -> Option<String> {
    let state = metrics.running_state.as_ref();
    state.err().map(ToString::to_string)
}

impl<D: Directory> Clone for Group<D> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<D: Directory> fmt::Debug for Group<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({})", self.0.id)
    }
}

#[cfg(test)]
mod tests;
