//! Gathers the figures of all shards of a node, in the shard that was asked for metrics.
//!
//! All are asked at the same moment. One that doesn't answer in time is left out, so that a stuck shard is seen by its
//! absence instead of taking the view of the others along.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use futures::{
    channel::oneshot,
    future::join_all,
    lock::{Mutex, MutexGuard},
};

use super::figures::ShardFigures;
use crate::{
    host::{Host, within},
    limits,
    mesh::Message,
    shard::Shard,
};

/// What a node tells of itself.
#[derive(Clone, Debug)]
pub struct NodeFigures {
    /// The shards, in order; none where one didn't answer in time.
    pub shards: Vec<Option<Box<ShardFigures>>>,
    /// Of each volume, in the order of the data directories, whether it has failed.
    pub failed_volumes: Vec<bool>,
    /// When the process started, in milliseconds since 1970.
    pub started_ms: u64,
    /// Memory that the process has, in bytes, where the machine tells.
    pub resident_bytes: Option<u64>,
    /// Memory that it was given, in bytes.
    pub memory_bytes: u64,
}

impl NodeFigures {
    /// The shards that answered, with their numbers.
    pub(super) fn answered(&self) -> impl Iterator<Item = (usize, &ShardFigures)> {
        let shards = self.shards.iter().enumerate();
        shards.filter_map(|(shard, figures)| Some((shard, figures.as_deref()?)))
    }
}

/// Who waits for the figures of another shard.
type Asker = oneshot::Sender<Box<ShardFigures>>;

/// What a shard has asked others for their figures.
#[derive(Debug, Default)]
pub(crate) struct Surveys {
    next: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Asker>>,
    turn: Mutex<()>,
}

impl Surveys {
    /// Waits until no other scrape is under way on this shard: many at once cost no more than one after the other.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Hands figures to who asked for them; nobody waits for them where they come late.
    pub(crate) fn take(&self, id: u64, figures: Box<ShardFigures>) {
        if let Some(sender) = self.waiting.borrow_mut().remove(&id) {
            drop(sender.send(figures));
        }
    }
}

/// The figures of the node, as far as they come within [`limits::FIGURES_WAIT`].
pub(crate) async fn gather<H: Host>(shard: &Shard<H>) -> NodeFigures {
    let host = shard.host();
    let shards = join_all((0..host.shard_count()).map(|place| ask(shard, place))).await;
    let failed = shard.volumes().failed();
    let settings = shard.settings();
    NodeFigures {
        shards,
        failed_volumes: (0..settings.volumes.len())
            .map(|volume| failed.contains(&volume))
            .collect(),
        started_ms: settings.started_ms,
        resident_bytes: host.resident_bytes(),
        memory_bytes: settings.memory_bytes,
    }
}

async fn ask<H: Host>(shard: &Shard<H>, place: usize) -> Option<Box<ShardFigures>> {
    let own = shard.host().shard();
    if place == own {
        return within(shard.host(), limits::FIGURES_WAIT, shard.figures()).await.map(Box::new);
    }
    let surveys = shard.surveys();
    let id = surveys.next.replace(surveys.next.get() + 1);
    let (sender, receiver) = oneshot::channel();
    surveys.waiting.borrow_mut().insert(id, sender);
    let asked = async {
        shard.host().send(place, Message::Survey { source: own, id }).await;
        receiver.await.ok()
    };
    let figures = within(shard.host(), limits::FIGURES_WAIT, asked).await.flatten();
    surveys.waiting.borrow_mut().remove(&id);
    figures
}

#[cfg(test)]
mod tests;
