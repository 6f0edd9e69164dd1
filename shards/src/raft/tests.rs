//! openraft's own suite for stores, on the simulated disk: as it is, and with a restart before every call.

use std::{cell::RefCell, fmt::Debug, future::Future, io, ops::RangeBounds, rc::Rc};

use anode_disk::testing::{SimDirectory, SimDisk};
use openraft::{
    OptionalSend, RaftLogReader, RaftSnapshotBuilder, StorageError,
    storage::{EntryResponder, IOFlushed, LogState, RaftLogStorage, RaftStateMachine},
    testing::log::{StoreBuilder, Suite},
};

use super::{
    log_store::LogStore,
    snapshot::SnapshotData,
    state_store::StateStore,
    testing::{self, Machine},
    types::{Entry, LogId, Snapshot, SnapshotMeta, StoredMembership, Types, Vote},
};

const GROUP: u32 = 3;

struct Plain;

impl StoreBuilder<Types, LogStore<SimDirectory>, StateStore<SimDirectory>> for Plain {
    async fn build(
        &self,
    ) -> Result<((), LogStore<SimDirectory>, StateStore<SimDirectory>), StorageError<Types>> {
        let stores = Stores::open(&SimDisk::new(1)).await;
        Ok(((), stores.log, stores.state))
    }
}

#[test]
fn openraft_accepts_the_stores() {
    testing::run(1, Suite::test_all(Plain)).unwrap();
}

#[test]
fn openraft_accepts_the_stores_when_every_call_follows_a_restart() {
    testing::run(1, Suite::test_all(Restarting)).unwrap();
}

/// The stores of one group, and what runs beneath them.
struct Stores {
    machine: Machine,
    log: LogStore<SimDirectory>,
    state: StateStore<SimDirectory>,
}

impl Stores {
    async fn open(disk: &SimDisk) -> Self {
        let machine = Machine::open(disk).await.unwrap();
        let index = &machine.storage.index;
        super::snapshot::finish(index, GROUP).await.unwrap();
        let inner = machine.state(GROUP);
        let state = StateStore::open(GROUP, index.clone(), inner).await.unwrap();
        let log = LogStore::new(GROUP, machine.storage.wal.clone());
        Self { machine, log, state }
    }
}

struct Restarting;

impl StoreBuilder<Types, Twice<Log>, Twice<State>> for Restarting {
    async fn build(&self) -> Result<((), Twice<Log>, Twice<State>), StorageError<Types>> {
        let disk = SimDisk::new(1);
        let stores = Stores::open(&disk).await;
        let shared = Rc::new(Shared { disk, stores: RefCell::new(Some(stores)) });
        Ok(((), Twice(Rc::clone(&shared), Log), Twice(Rc::clone(&shared), State)))
    }
}

struct Shared {
    disk: SimDisk,
    stores: RefCell<Option<Stores>>,
}

struct Log;
struct State;

/// A store that is closed and opened again before each call.
struct Twice<T>(Rc<Shared>, T);

impl<T> Twice<T> {
    async fn restart(&self) {
        let before = self.0.stores.take().unwrap();
        // The suite applies entries that are in no log: nothing else would bring them back.
        drop(before.machine.storage.index.flush().await.unwrap());
        before.machine.close().await;
        let after = Stores::open(&self.0.disk).await;
        *self.0.stores.borrow_mut() = Some(after);
    }

    fn log(&self) -> LogStore<SimDirectory> {
        self.0.stores.borrow().as_ref().unwrap().log.clone()
    }

    fn state(&self) -> StateStore<SimDirectory> {
        self.0.stores.borrow().as_ref().unwrap().state.clone()
    }
}

impl RaftLogReader<Types> for Twice<Log> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        self.restart().await;
        self.log().try_get_log_entries(range).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.restart().await;
        self.log().read_vote().await
    }
}

impl RaftLogStorage<Types> for Twice<Log> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        self.restart().await;
        self.log().get_log_state().await
    }

    async fn get_log_reader(&mut self) -> Self {
        Self(Rc::clone(&self.0), Log)
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.restart().await;
        self.log().save_vote(vote).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.restart().await;
        self.log().save_committed(committed).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.restart().await;
        self.log().read_committed().await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.restart().await;
        self.log().append(entries, callback).await
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        self.restart().await;
        self.log().truncate_after(last_log_id).await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        self.restart().await;
        self.log().purge(log_id).await
    }
}

impl RaftSnapshotBuilder<Types> for Twice<State> {
    type SnapshotData = SnapshotData<SimDirectory>;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot<SimDirectory>> {
        self.restart().await;
        self.state().build_snapshot().await
    }
}

impl RaftStateMachine<Types> for Twice<State> {
    type SnapshotData = SnapshotData<SimDirectory>;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        self.restart().await;
        self.state().applied_state().await
    }

    async fn apply<S>(&mut self, entries: S) -> io::Result<()>
    where
        S: futures::Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        self.restart().await;
        self.state().apply(entries).await
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        Self(Rc::clone(&self.0), State)
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotData<SimDirectory>,
    ) -> io::Result<()> {
        self.restart().await;
        self.state().install_snapshot(meta, snapshot).await
    }

    // No restart here: a snapshot isn't kept over one, openraft has it built again.
    fn get_current_snapshot(
        &mut self,
    ) -> impl Future<Output = io::Result<Option<Snapshot<SimDirectory>>>> {
        let mut state = self.state();
        async move { state.get_current_snapshot().await }
    }
}
