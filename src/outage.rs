//! A volume fails and the node goes on: which shard stores on which volume, which have failed, and what ends then.
//!
//! A failed write or flush of one shard ends storage on all shards of its volume, for they share the device; nothing
//! on it is tried again before the next start. Questions to their groups are answered at once, those under way too.
//! The threads of these shards live on: they take connections, ask the groups of other volumes, and pass messages
//! on, so nothing waits for a shard that is gone. Buckets and credentials are what every request needs: where the
//! volume of the meta group fails, or the only one, or one before the node serves, the node ends.

use std::{cell::RefCell, collections::BTreeSet, future::Future};

use anode_disk::Error;
use futures::{
    FutureExt as _,
    channel::oneshot,
    future::{Either, Shared, select},
};

use crate::{
    host::Host,
    mesh::{AskError, Message},
    node::{Event, Supervisor},
    shard::{META_GROUP, Phase, Shard},
};

/// The volumes of a node, as one of its shards knows them.
pub(crate) struct Volumes {
    /// The volume of each shard of the node.
    of_shards: Vec<usize>,
    /// The shard that this is the knowledge of.
    own: usize,
    failed: RefCell<BTreeSet<usize>>,
    /// Dropped, and so told to who waits, when the shard's own volume fails.
    alive: RefCell<Option<oneshot::Sender<()>>>,
    own_failed: Shared<oneshot::Receiver<()>>,
}

impl Volumes {
    /// All volumes are sound. `of_shards` is the volume of each shard of the node.
    pub(crate) fn new(of_shards: Vec<usize>, own: usize) -> Self {
        let (alive, own_failed) = oneshot::channel();
        Self {
            of_shards,
            own,
            failed: RefCell::default(),
            alive: RefCell::new(Some(alive)),
            own_failed: own_failed.shared(),
        }
    }

    /// The volume that a shard stores on.
    pub(crate) fn of_shard(&self, shard: usize) -> usize {
        self.of_shards[shard]
    }

    /// Whether the volume that a shard stores on has failed.
    pub(crate) fn has_failed(&self, shard: usize) -> bool {
        self.failed.borrow().contains(&self.of_shards[shard])
    }

    /// Whether this shard's own volume has.
    pub(crate) fn has_own_failed(&self) -> bool {
        self.has_failed(self.own)
    }

    /// The failed ones, in order.
    pub(crate) fn failed(&self) -> Vec<usize> {
        self.failed.borrow().iter().copied().collect()
    }

    /// Waits for `work` unless this shard's volume fails meanwhile: then `work` is dropped.
    pub(crate) async fn unless_own_fails<T>(
        &self,
        work: impl Future<Output = T> + Unpin,
    ) -> Option<T> {
        match select(work, self.own_failed.clone()).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    /// From now on a volume has failed.
    fn fail(&self, volume: usize) {
        self.failed.borrow_mut().insert(volume);
        if self.has_own_failed() {
            drop(self.alive.take());
        }
    }
}

impl<H: Host> Shard<H> {
    /// Refuses where the volume has failed that a shard of the node stores on.
    pub(crate) fn check_place(&self, place: usize) -> Result<(), AskError> {
        if !self.volumes().has_failed(place) {
            return Ok(());
        }
        let volume = self.volumes().of_shard(place);
        Err(AskError::VolumeFailed { path: self.settings().volumes[volume].clone() })
    }

    /// Refuses what needs every group while one of them is on a failed volume.
    pub(crate) fn check_all_places(&self) -> Result<(), AskError> {
        (0..self.host().shard_count()).try_for_each(|place| self.check_place(place))
    }
}

/// Storage of this shard has failed: ends the node where it can't go on, else what lies on the volume.
pub(crate) fn begin<H: Host>(shard: &Shard<H>, supervisor: &impl Supervisor, error: &Error) {
    let volumes = shard.volumes();
    if shard.phase() == Phase::Failed || volumes.has_own_failed() {
        // Whoever met the failure first has told it.
        return;
    }
    let own = shard.host().shard();
    let volume = volumes.of_shard(own);
    let is_needed = volume == volumes.of_shard(shard.place_of(META_GROUP));
    let is_early = shard.phase() == Phase::Starting;
    volumes.fail(volume);
    if is_needed || is_early {
        shard.enter(Phase::Failed);
        let reason = if shard.settings().volumes.len() > 1 && is_needed {
            format!("{error} (buckets and credentials are on this data directory)")
        } else {
            error.to_string()
        };
        return supervisor.report(Event::Failed { shard: own, reason });
    }
    let path = shard.settings().volumes[volume].clone();
    supervisor.report(Event::VolumeFailed { shard: own, path, reason: error.to_string() });
    let telling = shard.clone();
    shard.host().spawn("outage", async move {
        for other in (0..telling.host().shard_count()).filter(|other| *other != own) {
            telling.host().send(other, Message::VolumeFailed { volume }).await;
        }
    });
}

/// Another shard tells that a volume has failed.
pub(crate) fn learn<H: Host>(shard: &Shard<H>, volume: usize) {
    shard.volumes().fail(volume);
}

#[cfg(test)]
mod tests;
