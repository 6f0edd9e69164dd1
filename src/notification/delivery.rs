//! Sending what waits: a loop for each group and target, on the shard that has the group.
//!
//! One event after another, as they were recorded, and the next only when the one before was taken. What was taken is removed
//! by a command, several at once; after a crash in between it is sent again. A target that isn't there is asked again at
//! growing intervals, and its events wait. An event that its target finds fault with for [`limits::EVENT_REJECTED_WAIT`] on end
//! is dropped, for those behind it would wait for good.

use std::{collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use anode_disk::wal::GroupId;
use anode_shards::{
    command::Command,
    event::{Event, RemoveEvents, TargetQueue},
    limits::EVENTS_REMOVED_MAX,
};

use super::{
    record,
    target::{NotTaken, Sender, Target},
};
use crate::{
    answer::{Holdings, of_storage},
    gateway::bucket::region,
    host::{Host, doze, within},
    limits,
    mesh::AskError,
    outbound::backoff,
    shard::{META_GROUP, Phase, Shard},
};

/// What was done for a target since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Events that it took.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Events that nobody is to hear of any more, as their rule or the target is gone.
    pub forgotten: u64,
    /// Events that it found fault with for so long that they were dropped.
    pub rejected: u64,
    /// Since when attempts fail, by the host's clock.
    failing_since: Option<u64>,
    /// When that was said last.
    failing_said: Option<u64>,
    /// When dropped events were said last.
    dropped_said: Option<u64>,
}

/// What waits for a target in the groups of a shard, and what was done for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetFigures {
    /// Events that wait.
    pub queued: u64,
    /// Events that found no room, ever.
    pub dropped: u64,
    /// When the one that waits longest happened, in milliseconds since the epoch.
    pub oldest_ms: Option<u64>,
    /// Since the start.
    pub work: Work,
}

/// The way of a group's events to a target.
struct Way<H: Host> {
    target: Arc<Target>,
    sender: Sender<H>,
    /// How many events were dropped when that was looked at last.
    dropped: u64,
    rejection: Option<Rejection>,
}

/// An event that its target finds fault with, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rejection {
    sequence: u64,
    /// By the host's clock.
    since: u64,
}

/// Why a run ended early.
enum Stopped {
    /// The target didn't take an event.
    Refused(NotTaken),
    /// The group can't say what waits, or can't agree on what was delivered.
    Unable(AskError),
}

/// Starts the loops of a shard.
pub(crate) fn start<H: Host>(shard: &Shard<H>) {
    for group in shard.own_groups().into_iter().filter(|group| *group != META_GROUP) {
        for target in shard.settings().targets.iter() {
            let (shard_of_loop, target) = (shard.clone(), Arc::clone(target));
            shard.host().spawn("notification", async move {
                run(shard_of_loop, group, target).await;
            });
        }
    }
    let sweeping = shard.clone();
    shard.host().spawn("notification", async move {
        if is_serving(&sweeping).await
            && let Err(error) = forget_strangers(&sweeping).await
        {
            tracing::warn!(%error, "events of targets that are gone stay until the next start");
        }
    });
}

/// Waits until the shard serves: before, it doesn't know the rules of any bucket. False where it never will.
async fn is_serving<H: Host>(shard: &Shard<H>) -> bool {
    loop {
        match shard.phase() {
            Phase::Serving => return true,
            Phase::Starting => doze(shard.host(), limits::STOP_POLL).await,
            Phase::Draining | Phase::Failed => return false,
        }
    }
}

fn goes_on<H: Host>(shard: &Shard<H>) -> bool {
    shard.phase() == Phase::Serving && !shard.volumes().has_own_failed()
}

/// Delivers to one target what one group has, until the shard stops.
async fn run<H: Host>(shard: Shard<H>, group: GroupId, target: Arc<Target>) {
    // Before any client can have more dropped.
    let dropped = dropped_before(&shard, group, &target.name).await;
    if !is_serving(&shard).await {
        return;
    }
    let recorded = shard.holdings().and_then(|holdings| {
        holdings.groups.get(&group).map(|held| held.state().events_recorded())
    });
    let Some(mut recorded) = recorded else { return };
    let sender = target.sender(&shard);
    let mut way = Way { target, sender, dropped, rejection: None };
    let mut failed_count = 0;
    while goes_on(&shard) {
        recorded.mark_unchanged();
        match deliver(&shard, group, &mut way).await {
            // Another replica leads the group, and delivers.
            Ok(None) => pause(&shard, limits::EVENT_POLL).await,
            Ok(Some(0)) => {
                while goes_on(&shard) {
                    match within(shard.host(), limits::EVENT_POLL, recorded.changed()).await {
                        Some(Ok(())) => break,
                        Some(Err(_ended)) => return,
                        None => {}
                    }
                }
            }
            Ok(Some(_)) => failed_count = 0,
            Err(stopped) => {
                match stopped {
                    Stopped::Refused(reason) => note_failure(&shard, &way.target, &reason),
                    Stopped::Unable(error) => {
                        tracing::warn!(group, target = way.target.name, %error, "events wait");
                    }
                }
                pause(&shard, backoff(failed_count, shard.random_u64())).await;
                failed_count = failed_count.saturating_add(1);
            }
        }
    }
}

/// How many events were dropped before the start.
async fn dropped_before<H: Host>(shard: &Shard<H>, group: GroupId, target: &str) -> u64 {
    let Some(holdings) = shard.holdings() else { return 0 };
    let Some(state) = holdings.groups.get(&group).map(|held| Rc::clone(held.state())) else {
        return 0;
    };
    drop(holdings);
    let queue = state.event_queue().await.unwrap_or_default();
    queue.of(target).map_or(0, |queue| queue.dropped)
}

/// Waits, but not beyond the end of the shard.
async fn pause<H: Host>(shard: &Shard<H>, duration: Duration) {
    let mut left = duration;
    while !left.is_zero() && goes_on(shard) {
        let step = left.min(limits::EVENT_POLL);
        shard.host().sleep(step).await;
        left -= step;
    }
}

/// Delivers what waits, and has it removed. Says how many events are done with; none where that is for another replica.
async fn deliver<H: Host>(
    shard: &Shard<H>,
    group: GroupId,
    way: &mut Way<H>,
) -> Result<Option<usize>, Stopped> {
    let target = Arc::clone(&way.target);
    let Some((queue, events)) = waiting(shard, group, &target.name).await? else {
        return Ok(None);
    };
    note_dropped(shard, &target, (queue.dropped, &mut way.dropped));
    let region = region(shard);
    let began = shard.host().now().0;
    let run_wait = u64::try_from(limits::EVENT_RUN_WAIT.as_nanos()).unwrap_or(u64::MAX);
    let (mut last, mut done_count, mut forgotten_count, mut refused) = (None, 0, 0_u64, None);
    for (sequence, event) in events {
        if !goes_on(shard) || shard.host().now().0.saturating_sub(began) > run_wait {
            break;
        }
        if is_wanted(shard, &target.name, &event) {
            let document = record::of(&event, sequence, (&region, shard.host_id()));
            match way.sender.send(&document).await {
                Ok(()) => {
                    way.rejection = None;
                    note_delivery(shard, &target);
                }
                Err(reason)
                    if gives_up(&mut way.rejection, (sequence, &reason), shard.host().now().0) =>
                {
                    note_rejected(shard, &target, (&event, &reason));
                }
                Err(reason) => {
                    refused = Some(Stopped::Refused(reason));
                    break;
                }
            }
        } else {
            forgotten_count += 1;
        }
        last = Some(sequence);
        done_count += 1;
    }
    if forgotten_count > 0 {
        count(shard, &target.name, |work| work.forgotten += forgotten_count);
        let (target, events) = (target.name.as_str(), forgotten_count);
        tracing::info!(group, target, events, "events were dropped: their rule is gone");
    }
    if let Some(last) = last {
        remove(shard, group, (&target.name, last), Forgets::No).await.map_err(Stopped::Unable)?;
    }
    refused.map_or(Ok(Some(done_count)), Err)
}

/// Whether a target has found fault with an event for so long that it is sent no more. Whatever else it answers in between
/// says that it isn't well, and the time begins anew, as it does with a start.
fn gives_up(
    rejection: &mut Option<Rejection>,
    (sequence, reason): (u64, &NotTaken),
    now: u64,
) -> bool {
    match reason {
        NotTaken::Rejected(_) => {}
        NotTaken::Later(_) => {
            *rejection = None;
            return false;
        }
    }
    let known = rejection.filter(|rejection| rejection.sequence == sequence);
    let since = known.map_or(now, |known| known.since);
    *rejection = Some(Rejection { sequence, since });
    Duration::from_nanos(now.saturating_sub(since)) >= limits::EVENT_REJECTED_WAIT
}

/// The events that wait longest, and how many do; none where this replica doesn't lead.
async fn waiting<H: Host>(
    shard: &Shard<H>,
    group: GroupId,
    target: &str,
) -> Result<Option<(TargetQueue, Vec<(u64, Event)>)>, Stopped> {
    let unable = |error| Stopped::Unable(of_storage(error));
    let Some(holdings) = shard.holdings() else { return Ok(None) };
    // Of several replicas one delivers.
    let held = holdings.groups.get(&group).filter(|held| held.figures().is_leader);
    let Some(state) = held.map(|held| Rc::clone(held.state())) else { return Ok(None) };
    drop(holdings);
    let queue = state.event_queue().await.map_err(unable)?;
    let events = state.events(target, limits::EVENT_RUN_COUNT_MAX).await.map_err(unable)?;
    Ok(Some((queue.of(target).cloned().unwrap_or_default(), events)))
}

/// Whether an event is to be told still. A bucket that is gone has taken its rules back from nobody.
fn is_wanted<H: Host>(shard: &Shard<H>, target: &str, event: &Event) -> bool {
    let meta = shard.meta();
    let bucket = meta.buckets.get(&event.bucket);
    let Some(bucket) = bucket.filter(|bucket| bucket.record.id == event.bucket_id) else {
        return true;
    };
    let rules = bucket.configurations.notification.as_ref();
    rules.is_some_and(|rules| {
        rules.rules.iter().any(|rule| rule.id == event.rule && rule.target.name == target)
    })
}

/// Whether what is counted of a target goes with its last event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forgets {
    Yes,
    No,
}

async fn remove<H: Host>(
    shard: &Shard<H>,
    group: GroupId,
    (target, last): (&str, u64),
    forgets: Forgets,
) -> Result<(), AskError> {
    let target = target.to_owned();
    let remove = RemoveEvents { target, last, forgets: forgets == Forgets::Yes };
    shard.propose(group, Command::RemoveEvents(remove), None).await.map(drop)
}

/// Has the events go of targets that the settings don't name any more.
async fn forget_strangers<H: Host>(shard: &Shard<H>) -> Result<(), AskError> {
    for group in shard.own_groups().into_iter().filter(|group| *group != META_GROUP) {
        let Some(holdings) = shard.holdings() else { return Ok(()) };
        let Some(state) = holdings.groups.get(&group).map(|held| Rc::clone(held.state())) else {
            continue;
        };
        drop(holdings);
        let queue = state.event_queue().await.map_err(of_storage)?;
        for queue in queue.targets {
            let target = queue.target.as_str();
            if shard.settings().targets.get(target).is_some() {
                continue;
            }
            if queue.count > 0 {
                let events = queue.count;
                tracing::warn!(group, target, events, "events are dropped: their target is gone");
            }
            while goes_on(shard) {
                let events = state.events(target, EVENTS_REMOVED_MAX).await.map_err(of_storage)?;
                let last = events.last().map_or(queue.first, |(last, _)| *last);
                let gone = u64::try_from(events.len()).unwrap_or_default();
                count(shard, target, |work| work.forgotten += gone);
                remove(shard, group, (target, last), Forgets::Yes).await?;
                if events.is_empty() {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn count<H: Host>(shard: &Shard<H>, target: &str, change: impl FnOnce(&mut Work)) {
    let Some(holdings) = shard.holdings() else { return };
    change(holdings.deliveries.borrow_mut().entry(target.to_owned()).or_default());
}

fn note_delivery<H: Host>(shard: &Shard<H>, target: &Target) {
    let now = shard.host().now().0;
    let mut failed_for = None;
    count(shard, &target.name, |work| {
        work.delivered += 1;
        work.failing_said = None;
        failed_for = work.failing_since.take().map(|since| now.saturating_sub(since));
    });
    if let Some(failed_for) = failed_for {
        let seconds = Duration::from_nanos(failed_for).as_secs();
        tracing::info!(target = target.name, seconds, "a target takes events again");
    }
}

fn note_rejected<H: Host>(shard: &Shard<H>, target: &Target, (event, reason): (&Event, &NotTaken)) {
    count(shard, &target.name, |work| {
        work.failed += 1;
        work.rejected += 1;
    });
    let (target, minutes) = (target.name.as_str(), limits::EVENT_REJECTED_WAIT.as_secs() / 60);
    let (bucket, key, event) = (event.bucket.as_str(), event.key.as_str(), event.event.as_str());
    tracing::error!(target, bucket, key, event, %reason, minutes,
        "an event is dropped: its target found fault with it all this time");
}

fn note_failure<H: Host>(shard: &Shard<H>, target: &Target, reason: &NotTaken) {
    let now = shard.host().now().0;
    let mut is_due = false;
    count(shard, &target.name, |work| {
        work.failed += 1;
        work.failing_since.get_or_insert(now);
        is_due = is_due_to_say(&mut work.failing_said, now);
    });
    if is_due {
        tracing::warn!(target = target.name, %reason, "a target takes no events: they wait");
    }
}

/// Says that events found no room, where there are more of them than there were.
fn note_dropped<H: Host>(shard: &Shard<H>, target: &Target, (dropped, before): (u64, &mut u64)) {
    if dropped <= std::mem::replace(before, dropped) {
        return;
    }
    let now = shard.host().now().0;
    let mut is_due = false;
    count(shard, &target.name, |work| is_due = is_due_to_say(&mut work.dropped_said, now));
    if is_due {
        let (target, most) = (target.name.as_str(), target.queue_count_max);
        tracing::warn!(target, most, "too many events wait for a target: newer ones are dropped");
    }
}

fn is_due_to_say(said: &mut Option<u64>, now: u64) -> bool {
    let period = u64::try_from(limits::EVENT_LOG_PERIOD.as_nanos()).unwrap_or(u64::MAX);
    let is_due = said.is_none_or(|at| now.saturating_sub(at) >= period);
    if is_due {
        *said = Some(now);
    }
    is_due
}

/// What waits in the groups of a shard and what was done, by target; none where a group can't say.
pub(crate) async fn figures<H: Host>(
    shard: &Shard<H>,
    holdings: &Holdings<H>,
) -> Option<BTreeMap<String, TargetFigures>> {
    let known = shard.settings().targets.iter();
    let mut all: BTreeMap<String, TargetFigures> =
        known.map(|target| (target.name.clone(), TargetFigures::default())).collect();
    for held in holdings.groups.values() {
        let state = held.state();
        for queue in state.event_queue().await.ok()?.targets {
            let oldest = state.events(&queue.target, 1).await.ok()?;
            let oldest_ms = oldest.first().map(|(_, event)| event.time_ms);
            let figures = all.entry(queue.target).or_default();
            figures.queued += queue.count;
            figures.dropped += queue.dropped;
            figures.oldest_ms = figures.oldest_ms.into_iter().chain(oldest_ms).min();
        }
    }
    for (target, work) in holdings.deliveries.borrow().iter() {
        all.entry(target.clone()).or_default().work = work.clone();
    }
    Some(all)
}

const _: () =
    assert!(limits::EVENT_RUN_COUNT_MAX <= EVENTS_REMOVED_MAX, "one command removes a run");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_fault_on_end_has_an_event_dropped() {
        let wait = u64::try_from(limits::EVENT_REJECTED_WAIT.as_nanos()).unwrap();
        let (fault, away) = (NotTaken::Rejected(400), NotTaken::Later("away".to_owned()));
        let mut rejection = None;
        let mut asks =
            |sequence, reason: &NotTaken, now| gives_up(&mut rejection, (sequence, reason), now);
        assert!(!asks(1, &fault, 5));
        assert!(!asks(1, &fault, wait + 4));
        assert!(asks(1, &fault, wait + 5));
        // Another event has its own time.
        assert!(!asks(2, &fault, wait + 6));
        assert!(!asks(2, &away, wait + 7));
        assert!(!asks(2, &fault, 2 * wait + 6));
        assert!(asks(2, &fault, 3 * wait + 6));
    }
}
