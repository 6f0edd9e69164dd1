//! Events that wait to be delivered: recorded with the change that they tell of, removed when they were delivered.

use std::ops::Range;

use anode_disk::{Directory, Error, index::ScanLimit};
use bytes::Bytes;
use tokio::sync::watch;

use super::{State, draft::Draft, keys, read};
use crate::{
    command::{Refusal, Reply},
    event::{Event, EventQueue, Notice, RemoveEvents, Route},
    limits::{EVENTS_REMOVED_MAX, TARGET_NAME_BYTES_MAX},
    object::{BucketId, Object},
};

/// An event that is to be recorded.
#[derive(Debug)]
pub(super) struct Happened {
    event: Event,
    target: String,
    queue_count_max: u64,
}

/// What an event is about.
#[derive(Debug)]
pub(super) struct About<'a> {
    pub(super) bucket: BucketId,
    pub(super) key: &'a str,
    /// What is there now; none where it is gone, or hidden.
    pub(super) object: Option<&'a Object>,
    pub(super) version: Option<String>,
}

impl Draft {
    /// Has an event recorded, where somebody is to be told.
    pub(super) fn tell(
        &mut self,
        notice: Option<&Notice>,
        route: impl FnOnce(&Notice) -> Option<&Route>,
        about: About<'_>,
    ) {
        let Some((notice, route)) = notice.and_then(|notice| Some((notice, route(notice)?))) else {
            return;
        };
        let event = Event {
            event: route.event.clone(),
            rule: route.rule.clone(),
            bucket: notice.bucket.clone(),
            owner: notice.owner.clone(),
            principal: notice.principal.clone(),
            source: notice.source.clone(),
            request_id: notice.request_id.clone(),
            time_ms: notice.now_ms,
            key: about.key.to_owned(),
            size: about.object.map(|object| object.size),
            etag: about.object.map(|object| object.etag.clone()),
            version: about.version,
            bucket_id: about.bucket,
        };
        let (target, queue_count_max) = (route.target.clone(), route.queue_count_max);
        self.events.push(Happened { event, target, queue_count_max });
    }
}

impl<D: Directory> State<D> {
    /// Changes whenever an event was recorded, since the group was opened.
    pub fn events_recorded(&self) -> watch::Receiver<u64> {
        self.events_recorded.subscribe()
    }

    /// What waits, by target.
    pub async fn event_queue(&self) -> Result<EventQueue, Error> {
        Ok(self.record(&keys::event_queue(self.group)).await?.unwrap_or_default())
    }

    /// Up to so many events that wait longest for a target, each with its sequence.
    pub async fn events(&self, target: &str, count_max: usize) -> Result<Vec<(u64, Event)>, Error> {
        let queue = self.event_queue().await?;
        let first = queue.of(target).map_or(0, |queue| queue.first);
        let all = keys::events(self.group, target);
        let mut start = Some(keys::event(self.group, target, first));
        while let Some(from) = start {
            let limit = ScanLimit { entries: count_max, bytes: 1 << 20 };
            let page = self.storage.index.scan(from..all.end.clone(), limit).await?;
            if !page.entries.is_empty() {
                let entries = page.entries.iter();
                return entries
                    .map(|(key, entry)| Ok((sequence_of(key)?, read::decode(key, &entry.value)?)))
                    .collect();
            }
            start = page.next;
        }
        Ok(Vec::new())
    }

    /// Records the events of a draft behind those that wait. One that finds no room is counted, and gone.
    pub(super) async fn queue_events(&self, draft: &mut Draft) -> Result<(), Error> {
        let mut queue = self.event_queue().await?;
        for Happened { event, target, queue_count_max } in std::mem::take(&mut draft.events) {
            let Some(waiting) = queue.of_mut(&target) else { continue };
            if waiting.count >= queue_count_max {
                waiting.dropped += 1;
                continue;
            }
            waiting.count += 1;
            let sequence = queue.next(event.time_ms);
            draft.put(keys::event(self.group, &target, sequence), &event);
        }
        draft.put(keys::event_queue(self.group), &queue);
        draft.records_events = true;
        Ok(())
    }

    /// Removing what is gone already changes nothing.
    pub(super) async fn remove_events(
        &self,
        remove: &RemoveEvents,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        let target = remove.target.as_str();
        if target.is_empty() || target.len() > TARGET_NAME_BYTES_MAX {
            return Ok(Err(Refusal::Malformed("a target's name has 1 to 64 bytes")));
        }
        let mut queue = self.event_queue().await?;
        let Some(waiting) = queue.of_mut(target) else { return Ok(Ok(Reply::Done)) };
        let all = keys::events(self.group, target);
        let behind = keys::event(self.group, target, remove.last.saturating_add(1));
        let first = keys::event(self.group, target, waiting.first);
        let gone = self.event_keys(first.min(behind.clone())..behind.clone()).await?;
        if gone.len() > EVENTS_REMOVED_MAX {
            return Ok(Err(Refusal::Malformed("a command removes up to 1,000 events")));
        }
        let removed = u64::try_from(gone.len()).expect("a length fits in 64 bits");
        waiting.count = waiting.count.saturating_sub(removed);
        waiting.first = waiting.first.max(remove.last.saturating_add(1));
        // A count that damage has made wrong is right again at the latest now.
        if self.is_range_empty(behind..all.end).await? {
            waiting.count = 0;
        }
        let forgets = remove.forgets && waiting.count == 0;
        if forgets {
            queue.targets.retain(|one| one.target != target);
        }
        for key in gone {
            draft.delete(key);
        }
        draft.put(keys::event_queue(self.group), &queue);
        Ok(Ok(Reply::Done))
    }

    /// The index keys of events; one more than a command removes at most.
    async fn event_keys(&self, range: Range<Bytes>) -> Result<Vec<Bytes>, Error> {
        let (mut found, mut start) = (Vec::new(), Some(range.start));
        while let Some(from) = start
            && found.len() <= EVENTS_REMOVED_MAX
        {
            let limit = ScanLimit { entries: EVENTS_REMOVED_MAX + 1 - found.len(), bytes: 1 << 20 };
            let page = self.storage.index.scan(from..range.end.clone(), limit).await?;
            found.extend(page.entries.into_iter().map(|(key, _)| key));
            start = page.next;
        }
        Ok(found)
    }
}

#[expect(clippy::big_endian_bytes, reason = "index keys sort as bytes")]
fn sequence_of(key: &Bytes) -> Result<u64, Error> {
    let sequence = key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    sequence.ok_or_else(|| read::corrupt(key, "no event".to_owned()))
}
