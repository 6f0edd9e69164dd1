//! The keeper of a shard: flushes its index and purges its groups' logs, so that memory and WAL stay bounded.
//!
//! One flush serves all groups. In this order, because the log may be purged only as far as the state is durable (H9):
//! flush the index; let [`Staging`] purge the shard's local log and let go of what the flush made needless; let each
//! group make its snapshot from the flushed view and purge its log up to there. It starts when a memtable is above its
//! share, when the WAL holds more than [`KeeperOptions::wal_bytes_max`], or when it is asked for.
//!
//! A view keeps all space that was in use when it was made, so none may outlive the round: a group that hasn't purged
//! in time tries again in the next.
//!
//! The keeper must run before groups are opened: applying a long log again waits for room in memory.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    pin::pin,
    rc::Rc,
    time::Duration,
};

use anode_disk::{device::Directory, error::Error, storage::Storage, wal::GroupId};
use futures::{
    FutureExt,
    future::{join_all, select},
};
use openraft_rt::AsyncRuntime;
use tokio::sync::Notify;

use crate::{group::Group, raft::runtime::ShardRuntime, staging::Staging};

/// How long the groups get to purge their logs after a flush. Nothing is flushed meanwhile.
const PURGE_WAIT: Duration = Duration::from_millis(500);
/// How long a full volume is left alone before the next attempt.
const SPACE_WAIT: Duration = Duration::from_secs(1);

/// When the keeper flushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeeperOptions {
    /// The WAL's segments may hold this many bytes before a flush is started for their sake.
    pub wal_bytes_max: u64,
}

impl Default for KeeperOptions {
    fn default() -> Self {
        Self { wal_bytes_max: 256 << 20 }
    }
}

/// What the keeper has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeeperFigures {
    /// Flushes ended.
    pub flush_count: u64,
    /// Flushes refused because the volume is full.
    pub refused_count: u64,
}

/// The keeper of a shard. A clone is the same keeper.
pub struct Keeper<D: Directory>(Rc<Inner<D>>);

struct Inner<D: Directory> {
    storage: Rc<Storage<D>>,
    staging: Rc<Staging<D>>,
    options: KeeperOptions,
    groups: RefCell<BTreeMap<GroupId, Group<D>>>,
    appended: Rc<Notify>,
    /// What the WAL may hold before the next flush.
    wal_bytes_next: Cell<u64>,
    /// Somebody asked for a flush.
    asked: Cell<bool>,
    stopping: Cell<bool>,
    stopped: Notify,
    figures: Cell<KeeperFigures>,
}

impl<D: Directory> Keeper<D> {
    /// A keeper without groups.
    pub fn new(storage: Rc<Storage<D>>, staging: Rc<Staging<D>>, options: KeeperOptions) -> Self {
        Self(Rc::new(Inner {
            storage,
            staging,
            options,
            groups: RefCell::default(),
            appended: Rc::default(),
            wal_bytes_next: Cell::new(options.wal_bytes_max),
            asked: Cell::new(false),
            stopping: Cell::new(false),
            stopped: Notify::new(),
            figures: Cell::default(),
        }))
    }

    /// Keeps this group's log, too.
    pub fn add(&self, group: &Group<D>) {
        group.notify_of_appends(Rc::clone(&self.0.appended));
        let before = self.0.groups.borrow_mut().insert(group.id(), group.clone());
        assert!(before.is_none(), "a group is added once");
        self.0.appended.notify_one();
    }

    /// The loop; the caller spawns it. Ends after [`Self::stop`], or with the first failure of the device.
    pub async fn run(&self) -> Result<(), Error> {
        while self.wanted().await {
            self.keep().await?;
        }
        Ok(())
    }

    /// Flushes and purges once, now.
    pub async fn keep(&self) -> Result<(), Error> {
        let Inner { storage, staging, figures, .. } = &*self.0;
        let mut counted = figures.get();
        let mark = staging.mark();
        let view = match storage.index.flush().await {
            Ok(view) => view,
            Err(error @ Error::NoSpace { .. }) => {
                tracing::warn!(%error, "the index can't be flushed");
                counted.refused_count += 1;
                figures.set(counted);
                ShardRuntime::sleep(SPACE_WAIT).await;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        counted.flush_count += 1;
        figures.set(counted);
        match staging.after_flush(mark).await {
            // The log ended in the midst of this: what wasn't purged is after the next start.
            Err(Error::Stopped) if self.0.stopping.get() => return Ok(()),
            kept => kept?,
        }
        let groups: Vec<_> = self.0.groups.borrow().values().cloned().collect();
        let purged = groups.iter().map(|group| group.purge(&view, PURGE_WAIT));
        for (group, purged) in groups.iter().zip(join_all(purged).await) {
            if let Err(error) = purged {
                tracing::error!(group = group.id(), %error, "the log can't be purged");
            }
        }
        tracing::debug!(space = ?storage.index.space(), "flushed and purged");
        // Where a flush frees little, the next one waits until there is more to free.
        let held = storage.wal.bytes_held();
        let bytes_max = self.0.options.wal_bytes_max;
        self.0.wal_bytes_next.set(bytes_max.max(held + bytes_max / 2));
        Ok(())
    }

    /// Asks for a flush, whatever there is to flush: on a volume that is short of space, what was deleted since the last one
    /// takes its space until then, and so does the log.
    pub fn ask(&self) {
        self.0.asked.set(true);
        self.0.appended.notify_one();
    }

    /// Ends [`Self::run`] after what it is doing.
    pub fn stop(&self) {
        self.0.stopping.set(true);
        self.0.stopped.notify_one();
    }

    /// What it has done.
    pub fn figures(&self) -> KeeperFigures {
        self.0.figures.get()
    }

    /// Waits until there is something to do: true. False when the keeper is to stop.
    async fn wanted(&self) -> bool {
        if !self.0.stopping.get() {
            let memory = pin!(self.0.storage.index.flush_wanted());
            let wal = pin!(self.wal_is_long());
            let stopped = pin!(self.0.stopped.notified());
            // Whichever comes first: the others are asked again next time.
            select(stopped, select(memory, wal)).map(drop).await;
        }
        !self.0.stopping.get()
    }

    async fn wal_is_long(&self) {
        while self.0.storage.wal.bytes_held() <= self.0.wal_bytes_next.get() && !self.0.asked.take()
        {
            self.0.appended.notified().await;
        }
    }
}

impl<D: Directory> Clone for Keeper<D> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<D: Directory> fmt::Debug for Keeper<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("options", &self.0.options)
            .field("figures", &self.figures())
            .finish_non_exhaustive()
    }
}
