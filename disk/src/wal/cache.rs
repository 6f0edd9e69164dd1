//! Which recent records stay in memory: the newest, up to a budget of bytes, and all that aren't durable yet.

use std::collections::{BTreeMap, VecDeque};

use super::{
    GroupId,
    log::{Log, Recent},
};

/// What a record in memory costs besides its bytes, about.
const OVERHEAD_BYTES: usize = 128;
/// Places of dropped records are swept out when more than this many and half of all are stale.
const STALE_MAX: usize = 1024;

/// The order in which records in memory are forgotten. The records themselves are in their [`Log`].
#[derive(Debug, Default)]
pub(super) struct Cache {
    order: VecDeque<Place>,
    count: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Place {
    group: GroupId,
    stamp: u64,
}

impl Cache {
    /// Bytes held, with the overhead.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts a record that was just added to its log.
    pub(super) fn added(&mut self, group: GroupId, recent: &Recent) {
        self.order.push_back(Place { group, stamp: recent.stamp });
        self.count += 1;
        self.bytes += cost(recent);
    }

    /// Counts a record that its log dropped. Its place in the order stays until it is met.
    pub(super) fn dropped(&mut self, recent: &Recent) {
        self.count -= 1;
        self.bytes -= cost(recent);
    }

    /// Forgets the oldest records with stamps up to `durable` until the budget holds.
    pub(super) fn shrink(
        &mut self,
        logs: &mut BTreeMap<GroupId, Log>,
        durable: u64,
        bytes_max: usize,
    ) {
        while self.bytes > bytes_max
            && let Some(place) = self.order.front()
            && place.stamp <= durable
        {
            // Stamps grow in the order and in each log, so a place that isn't stale is its log's oldest.
            if let Some(log) = logs.get_mut(&place.group)
                && log.recent_front().is_some_and(|recent| recent.stamp == place.stamp)
                && let Some(recent) = log.evict()
            {
                self.dropped(&recent);
            }
            self.order.pop_front();
        }
        if self.order.len() - self.count > STALE_MAX.max(self.count) {
            self.order
                .retain(|place| logs.get(&place.group).is_some_and(|log| log.holds(place.stamp)));
        }
    }
}

fn cost(recent: &Recent) -> usize {
    OVERHEAD_BYTES + recent.record.head.len() + recent.record.body.len()
}
