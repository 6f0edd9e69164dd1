//! The end of a shard: with its node, cleanly, or of its storage alone where its volume has failed.
//!
//! A shard whose volume has failed drains with all others: its connections ask them, and they wait for its word.

use anode_shards::keeper::Keeper;

use crate::{
    host::{Host, doze, within},
    limits,
    mesh::Message,
    node::Supervisor,
    shard::{Phase, Shard},
};

/// Waits for the node's end, then ends the shard: connections finish, storage stops cleanly.
pub(crate) async fn watch<H: Host>(
    shard: &Shard<H>,
    supervisor: &impl Supervisor,
    keeper: &Keeper<H::Directory>,
) {
    while !supervisor.is_stopping() && shard.phase() != Phase::Failed {
        if shard.volumes().has_own_failed() {
            Box::pin(end_failed_storage(shard, keeper)).await;
        }
        doze(shard.host(), limits::STOP_POLL).await;
    }
    shard.enter(Phase::Draining);
    let drain = shard.settings().drain_seconds.saturating_mul(1_000_000_000);
    let deadline = shard.host().now().0.saturating_add(drain);
    while shard.connection_count() > 0 && shard.host().now().0 < deadline {
        doze(shard.host(), limits::STOP_POLL).await;
    }
    // Other shards may still ask for groups of this one until they have drained, too.
    for other in 0..shard.host().shard_count() {
        let drained = Message::Drained { shard: shard.host().shard() };
        shard.host().send(other, drained).await;
    }
    while !shard.are_all_drained() && shard.host().now().0 < deadline {
        shard.host().sleep(limits::START_POLL).await;
    }
    let Some(holdings) = shard.holdings() else { return };
    let (hits, misses) = holdings.cache_figures();
    let (bytes, budget) = (holdings.cache_bytes(), holdings.storage.index.cache_budget().figures());
    tracing::debug!(hits, misses, bytes, ?budget, "chunk cache");
    let ended = async {
        for group in holdings.groups.values() {
            group.shutdown().await;
        }
    };
    shard.volumes().unless_own_fails(Box::pin(ended)).await;
    keeper.stop();
    holdings.storage.index.stop();
    holdings.storage.wal.stop();
    shard.host().sleep(limits::STOP_GRACE).await;
}

/// Ends the storage of this shard, whose volume has failed. What can't end in time is left behind.
async fn end_failed_storage<H: Host>(shard: &Shard<H>, keeper: &Keeper<H::Directory>) {
    let Some(holdings) = shard.release() else { return };
    // Storage first: what writes on its behalf is refused from now on, on shards that met no failure by themselves, too.
    keeper.stop();
    holdings.storage.index.stop();
    holdings.storage.wal.stop();
    let ended = async {
        for group in holdings.groups.values() {
            group.shutdown().await;
        }
    };
    if within(shard.host(), limits::OUTAGE_END_WAIT, ended).await.is_none() {
        tracing::warn!(shard = shard.host().shard(), "groups of a failed volume don't end");
    }
}
