//! Scrub as a loop of a shard: when a pass begins, how fast it reads, whom it lets go first, and what it tells.
//!
//! What is read and verified is the disk's ([`anode_disk::scrub`]); here are time and people. A pass begins a period
//! after the one before began. It reads at the rate that ends it well within the period, never above the set
//! rate, and before each step waits a while for a moment in which nothing is being answered.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use anode_disk::{
    Error,
    scrub::{Finding, Hit, Pace, Progress, Scrubber, Stage, rate},
    volume::Volume,
    wal::GroupId,
};
use anode_shards::{
    object::{BodyId, ContentId},
    state::{Struck, group_of},
};

use crate::{
    answer::Holdings,
    host::{Host, doze},
    limits,
    names::ContentNames,
    node::{Event, Supervisor},
    shard::Shard,
};

/// How a shard verifies its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubPlan {
    /// From the beginning of a pass to the beginning of the next.
    pub period: Duration,
    /// What is read at most, in bytes a second.
    pub rate_bytes_max: u64,
}

/// What scrub has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Bytes read and verified.
    pub bytes: u64,
    /// Findings; one that a later pass finds again counts again.
    pub finding_count: u64,
}

/// What was found, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// File and offset.
    pub location: String,
    /// What is wrong there.
    pub finding: String,
    /// Which buckets and keys are struck.
    pub struck: String,
}

/// Runs until the shard stops. An error ends the shard: it is of storage, never of what was read.
pub(crate) async fn run<H: Host>(
    shard: &Shard<H>,
    supervisor: &impl Supervisor,
    plan: ScrubPlan,
    volume: Option<Volume<H::Directory>>,
) -> Result<(), Error> {
    let Some(holdings) = shard.holdings() else { return Ok(()) };
    let mut scrubber =
        Scrubber::open(Rc::clone(&holdings.storage), volume, Rc::new(ContentNames)).await?;
    let mut pace = Pace::default();
    let mut names = Names::new(shard, &holdings);
    let mut saved_at = shard.host().now().0;
    while !shard.is_draining() {
        if shard.volumes().has_own_failed() {
            // Progress isn't saved on a volume that nobody can trust.
            return Ok(());
        }
        holdings.scrub.replace(scrubber.progress().clone());
        if scrubber.progress().stage == Stage::Between {
            if !is_due(scrubber.progress(), plan.period, shard.now_ms()) {
                doze(shard.host(), limits::SCRUB_POLL).await;
                continue;
            }
            scrubber.begin(shard.now_ms());
            names.begin_pass();
        }
        let_requests_go_first(shard, &holdings).await;
        let step = match scrubber.step(shard.now_ms()).await {
            // Whoever stopped storage says why.
            Err(Error::Stopped) => return Ok(()),
            step => step?,
        };
        let Work { bytes, finding_count } = holdings.scrubbed.get();
        holdings.scrubbed.set(Work {
            bytes: bytes + step.bytes,
            finding_count: finding_count + step.findings.len() as u64,
        });
        for finding in step.findings {
            let finding = names.of(finding).await;
            supervisor.report(Event::Damaged { shard: shard.host().shard(), finding });
        }
        let now = shard.host().now().0;
        let is_old = u128::from(now - saved_at) >= limits::SCRUB_SAVE_PERIOD.as_nanos();
        if step.ended || is_old {
            saved_at = now;
            save(&mut scrubber).await?;
        }
        if step.ended {
            tell_end(shard, scrubber.progress(), plan);
        }
        let bytes_rate = rate(total_bytes(&holdings), plan.period, plan.rate_bytes_max);
        rest(shard, pace.spend(step.bytes, bytes_rate, now)).await;
    }
    // The next start goes on here.
    save(&mut scrubber).await
}

/// Whether the next pass begins: a clock that was set back doesn't hold it up.
fn is_due(progress: &Progress, period: Duration, now_ms: u64) -> bool {
    let since = now_ms.checked_sub(progress.began_ms);
    progress.pass == 0 || since.is_none_or(|since| u128::from(since) >= period.as_millis())
}

/// On a shard that is never idle, scrub goes on all the same, a step at a time.
async fn let_requests_go_first<H: Host>(shard: &Shard<H>, holdings: &Holdings<H>) {
    for _ in 0..limits::SCRUB_YIELD_COUNT_MAX {
        if !holdings.is_busy() || shard.is_draining() {
            return;
        }
        shard.host().sleep(limits::SCRUB_YIELD).await;
    }
}

/// Waits, but not beyond the end of the shard.
async fn rest<H: Host>(shard: &Shard<H>, pause: Duration) {
    let pause = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
    let end = shard.host().now().0.saturating_add(pause);
    while !shard.is_draining() {
        let left = Duration::from_nanos(end.saturating_sub(shard.host().now().0));
        if left.is_zero() {
            return;
        }
        // Dozes may take longer: what is left is counted to the same end, and the last of it is slept.
        if left > 2 * limits::STOP_POLL {
            doze(shard.host(), limits::STOP_POLL).await;
        } else {
            shard.host().sleep(left).await;
        }
    }
}

async fn save<D: anode_disk::Directory>(scrubber: &mut Scrubber<D>) -> Result<(), Error> {
    match scrubber.save().await {
        // The volume is full: a restart would begin the pass anew.
        Ok(()) | Err(Error::NoSpace { .. } | Error::Stopped) => Ok(()),
        Err(error) => Err(error),
    }
}

/// About what a pass reads, in bytes.
pub(crate) fn total_bytes<H: Host>(holdings: &Holdings<H>) -> u64 {
    let index = &holdings.storage.index;
    index.figures().level_bytes.iter().sum::<u64>()
        + index.segments().figures().live_bytes
        + holdings.storage.wal.bytes_held()
}

fn tell_end<H: Host>(shard: &Shard<H>, progress: &Progress, plan: ScrubPlan) {
    let seconds = progress.ended_ms.saturating_sub(progress.began_ms) / 1000;
    let (shard, bytes) = (shard.host().shard(), progress.bytes);
    let findings = progress.last_finding_count;
    if findings > 0 {
        tracing::error!(
            shard,
            findings,
            bytes,
            seconds,
            "scrub has read everything: damage was found"
        );
    } else {
        tracing::info!(shard, findings, bytes, seconds, "scrub has read everything");
    }
    if seconds > plan.period.as_secs() {
        tracing::warn!(
            shard,
            seconds,
            "a pass of scrub takes longer than its period: set a higher rate or a longer period"
        );
    }
}

/// Finds names for what is struck.
struct Names<'a, H: Host> {
    shard: &'a Shard<H>,
    holdings: &'a Holdings<H>,
    searches_left: u32,
    looks_left: u32,
    /// Bodies that were searched in this pass, and who has them.
    owners: BTreeMap<(GroupId, BodyId), String>,
}

impl<'a, H: Host> Names<'a, H> {
    fn new(shard: &'a Shard<H>, holdings: &'a Holdings<H>) -> Self {
        let mut names =
            Self { shard, holdings, searches_left: 0, looks_left: 0, owners: BTreeMap::new() };
        names.begin_pass();
        names
    }

    fn begin_pass(&mut self) {
        self.searches_left = limits::SCRUB_SEARCH_COUNT_MAX;
        self.looks_left = limits::SCRUB_LOOK_COUNT_MAX;
        self.owners.clear();
    }

    async fn of(&mut self, finding: Finding) -> Damage {
        let struck = match &finding.hit {
            Hit::Structure => "no object by itself".to_owned(),
            Hit::Payload(key) => self.of_key(key).await,
            Hit::Keys(first, last) => {
                let (first, last) = (Struck::of(first), Struck::of(last));
                format!("what lies from {} to {}", self.said(&first), self.said(&last))
            }
        };
        Damage { location: finding.location, finding: finding.finding, struck }
    }

    async fn of_key(&mut self, key: &[u8]) -> String {
        let named = Struck::of(key);
        let Some(group) = group_of(key) else { return self.said(&named) };
        match named {
            Struck::Chunk { body, chunk } => self.chunk(group, (body, chunk)).await,
            Struck::Content(content) => self.content(group, content).await,
            Struck::Object { .. } | Struck::Upload { .. } | Struck::State => self.said(&named),
        }
    }

    /// All chunks that hold a content, up to a bound.
    async fn content(&mut self, group: GroupId, content: ContentId) -> String {
        let said = self.said(&Struck::Content(content));
        let Some(held) = self.holdings.groups.get(&group).filter(|_| self.looks_left > 0) else {
            return said;
        };
        self.looks_left -= 1;
        let Ok(uses) = held.state().uses_of(content, limits::SCRUB_USES_MAX + 1).await else {
            // The look met damage, too.
            return said;
        };
        let mut names = Vec::new();
        for chunk in uses.iter().take(limits::SCRUB_USES_MAX) {
            names.push(self.chunk(group, *chunk).await);
        }
        if uses.len() > names.len() {
            names.push("and more".to_owned());
        }
        if names.is_empty() { "what was removed since".to_owned() } else { names.join("; ") }
    }

    async fn chunk(&mut self, group: GroupId, (body, chunk): (BodyId, u32)) -> String {
        if let Some(owner) = self.owners.get(&(group, body)) {
            return format!("{owner}, chunk {chunk}");
        }
        let named = Struck::Chunk { body, chunk };
        let Some(held) = self.holdings.groups.get(&group).filter(|_| self.searches_left > 0) else {
            return self.said(&named);
        };
        self.searches_left -= 1;
        let owner = match held.state().owner_of(body).await {
            Ok(Some(owner)) => self.said(&owner),
            Ok(None) => "what waits to be removed".to_owned(),
            // The search met damage, too.
            Err(_) => self.said(&named),
        };
        self.owners.insert((group, body), owner.clone());
        format!("{owner}, chunk {chunk}")
    }

    fn said(&self, struck: &Struck) -> String {
        match struck {
            Struck::Object { bucket, key } => {
                let meta = self.shard.meta();
                let named = meta.buckets.values().find(|known| known.record.id == *bucket);
                match named {
                    Some(named) => format!("object {}/{}", named.record.name, key.escape_debug()),
                    None => format!("object {} of a bucket that is gone", key.escape_debug()),
                }
            }
            Struck::Upload { upload } => format!("upload {upload}"),
            Struck::Chunk { body, .. } => format!("body {body}"),
            Struck::Content(content) => format!("chunks that hold {content}"),
            Struck::State => "the state of a group".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
