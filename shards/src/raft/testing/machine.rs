//! A shard's storage on a simulated disk, with the tasks that run it.

use std::{cell::RefCell, rc::Rc};

use anode_disk::{
    error::Error,
    storage::{MEMORY_BYTES_MIN, Storage, StorageOptions},
    testing::{SimDirectory, SimDisk},
    wal::GroupId,
};
use openraft_rt::AsyncRuntime;

use crate::{
    group::{Group, GroupError, GroupOptions, Timing},
    keeper::{Keeper, KeeperOptions},
    raft::runtime::{JoinHandle, ShardRuntime},
    staging::Staging,
    state::State,
};

type Running = JoinHandle<Result<(), Error>>;

/// What is open between two starts.
pub(crate) struct Machine {
    pub(crate) storage: Rc<Storage<SimDirectory>>,
    pub(crate) staging: Rc<Staging<SimDirectory>>,
    pub(crate) keeper: Keeper<SimDirectory>,
    tasks: RefCell<Vec<Running>>,
}

impl Machine {
    /// Opens what is on the disk, with bounds so small that tests reach them.
    pub(crate) async fn open(disk: &SimDisk) -> Result<Self, Error> {
        let options = StorageOptions {
            memory_bytes: MEMORY_BYTES_MIN,
            chunk_cache_bytes: 0,
            wal_segment_bytes: 1 << 20,
            segment_bytes: 4 << 20,
            wal_identity: 1,
        };
        let keeper_options = KeeperOptions { wal_bytes_max: 3 << 20 };
        let storage = Storage::open(disk.reopen(), options).await?;
        let staging = Staging::open(Rc::clone(&storage)).await?;
        let keeper = Keeper::new(Rc::clone(&storage), Rc::clone(&staging), keeper_options);
        let (wal, index, keeps) = (storage.wal.clone(), storage.index.clone(), keeper.clone());
        let tasks = vec![
            ShardRuntime::spawn(async move { wal.run().await }),
            ShardRuntime::spawn(async move { index.maintain().await }),
            ShardRuntime::spawn(async move { keeps.run().await }),
        ];
        Ok(Self { storage, staging, keeper, tasks: RefCell::new(tasks) })
    }

    /// The state of a group, without openraft.
    pub(crate) fn state(&self, group: GroupId) -> Rc<State<SimDirectory>> {
        let (storage, staging) = (Rc::clone(&self.storage), Rc::clone(&self.staging));
        Rc::new(State::open(group, storage, staging))
    }

    /// Opens a group and has it kept.
    pub(crate) async fn group(&self, group: GroupId) -> Result<Group<SimDirectory>, GroupError> {
        let options =
            GroupOptions { group, shard: 7, address: String::new(), timing: Timing::default() };
        let (storage, staging) = (Rc::clone(&self.storage), Rc::clone(&self.staging));
        let group = Group::open(options, storage, staging).await?;
        self.keeper.add(&group);
        Ok(group)
    }

    /// Stops the tasks in order; groups are shut down before.
    pub(crate) async fn close(self) {
        self.keeper.stop();
        self.storage.index.stop();
        self.storage.wal.stop();
        for task in self.tasks.take() {
            // After a crash they have ended with the error of the dead disk.
            drop(task.await);
        }
    }
}
