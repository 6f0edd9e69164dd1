//! The figures of one shard, as it sends them to the shard that was asked for metrics.

use std::{collections::BTreeMap, pin::pin};

use anode_disk::{
    index::{CacheFigures, IndexFigures, Space},
    reserve::ReserveFigures,
    scrub::Progress,
    segment::{ClassFigures, SegmentFigures},
    wal::{GroupId, WalFigures},
};
use anode_shards::{
    group::GroupFigures,
    state::{PendingDelete, Usage},
};

use futures::future::join;

use super::counts::RequestFigures;
use crate::{
    answer::Holdings,
    host::{Host, within},
    lifecycle, limits,
    notification::{self, TargetFigures},
    quota, scrub,
    shard::{Phase, Shard},
};

/// What a shard tells of itself.
#[derive(Clone, Debug)]
pub struct ShardFigures {
    /// What it is doing.
    pub phase: Phase,
    /// Connections that are open.
    pub connection_count: usize,
    /// What it has done for its clients.
    pub requests: RequestFigures,
    /// What it stores; none before it has recovered, and none once its volume has failed.
    pub storage: Option<StorageFigures>,
}

/// What a shard's storage and groups tell.
#[derive(Clone, Debug)]
pub struct StorageFigures {
    /// When this was so, in milliseconds since 1970.
    pub at_ms: u64,
    /// The log.
    pub wal: WalFigures,
    /// The index and its block cache.
    pub index: IndexFigures,
    /// The data segments.
    pub segments: SegmentFigures,
    /// Of each class of them, the shard's own first.
    pub classes: Vec<ClassFigures>,
    /// How much of them is needed.
    pub space: Space,
    /// What is free on the volume, and what of it is kept back.
    pub reserve: ReserveFigures,
    /// Chunks looked for in the chunk cache.
    pub chunk_cache: CacheFigures,
    /// Bytes in the chunk cache.
    pub chunk_cache_bytes: usize,
    /// Commands that are being agreed on.
    pub proposal_count: usize,
    /// What waits to be reclaimed; none where it could not be read, or not in time.
    pub pending: Option<PendingDelete>,
    /// What is in all buckets; none where a group of the shard doesn't know.
    pub usage: Option<Usage>,
    /// Buckets that hold more than their soft quota, as the shard with the meta group saw them last; none of the others.
    pub over_quota_count: Option<usize>,
    /// What was done for hard quotas since the start, by the shard with the meta group.
    pub quotas: quota::Work,
    /// Scrub; none where it is turned off.
    pub scrub: Option<ScrubFigures>,
    /// What lifecycle has done since the start.
    pub lifecycle: lifecycle::Work,
    /// What waits for the targets of notifications and what was done for them, by their names; none where it could not be
    /// read, or not in time.
    pub targets: Option<BTreeMap<String, TargetFigures>>,
    /// The groups, by number.
    pub groups: Vec<(GroupId, GroupFigures)>,
}

/// What scrub has read and found.
#[derive(Clone, Debug)]
pub struct ScrubFigures {
    /// The pass.
    pub progress: Progress,
    /// About what a pass reads, in bytes.
    pub pass_bytes: u64,
    /// Since the start.
    pub work: scrub::Work,
}

impl<H: Host> Shard<H> {
    /// What it tells of itself.
    pub(crate) async fn figures(&self) -> ShardFigures {
        let storage = match self.holdings() {
            Some(holdings) => {
                let figures = pin!(StorageFigures::of(self, &holdings));
                self.volumes().unless_own_fails(figures).await
            }
            None => None,
        };
        ShardFigures {
            phase: self.phase(),
            connection_count: self.connection_count(),
            requests: self.counts().figures(),
            storage,
        }
    }
}

impl StorageFigures {
    async fn of<H: Host>(shard: &Shard<H>, holdings: &Holdings<H>) -> Self {
        // The only parts that may wait for the device: a sick one must not hide all the rest.
        let reads = join(pending(holdings), notification::figures(shard, holdings));
        let (pending, targets) =
            within(shard.host(), limits::PENDING_WAIT, reads).await.unwrap_or_default();
        let (index, wal) = (&holdings.storage.index, &holdings.storage.wal);
        let (hit_count, miss_count) = holdings.cache_figures();
        Self {
            at_ms: shard.now_ms(),
            wal: wal.figures(),
            index: index.figures(),
            segments: index.segments().figures(),
            classes: index.segments().class_figures(),
            space: index.space(),
            reserve: holdings.storage.reserve(),
            chunk_cache: CacheFigures { hit_count, miss_count },
            chunk_cache_bytes: holdings.cache_bytes(),
            proposal_count: holdings.proposal_count(),
            pending,
            usage: holdings.usage(),
            over_quota_count: holdings.quotas.over_count.get(),
            quotas: holdings.quotas.work.get(),
            scrub: shard.settings().scrub.map(|_plan| ScrubFigures {
                progress: holdings.scrub.borrow().clone(),
                pass_bytes: scrub::total_bytes(holdings),
                work: holdings.scrubbed.get(),
            }),
            lifecycle: holdings.lifecycle.get(),
            targets,
            groups: holdings.groups.iter().map(|(group, held)| (*group, held.figures())).collect(),
        }
    }
}

/// What waits to be reclaimed in all groups of a shard.
async fn pending<H: Host>(holdings: &Holdings<H>) -> Option<PendingDelete> {
    let mut all = PendingDelete::default();
    for group in holdings.groups.values() {
        all = all.plus(group.state().pending_delete().await.ok()?);
    }
    Some(all)
}
