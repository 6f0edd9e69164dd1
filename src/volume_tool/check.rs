//! Runs a check over all volumes and shards, says on its way how far it is, and turns what it finds into a report.

#![expect(clippy::disallowed_types, reason = "an offline command times itself")]

use std::{
    collections::BTreeSet,
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use anode_disk::{
    Directory, Error,
    check::{Damage, Notice, ShardFacts, ShardFiles, Taken},
    index::TableFacts,
    wal::LOCAL,
};
use anode_shards::state::{meta_key, named::Named};
use bytes::Bytes;
use bytesize::ByteSize;

use super::{
    buckets::Buckets,
    hits::{describe, objects_of},
    log::forecast,
    node::{StoppedNode, StoppedVolume},
    pending::{lost_in_log, pending_keys},
    report::{Effect, Finding, Hit, Report},
    set_aside::{self, Suspects},
};
use crate::{config::cli::VolumeCheck, names::ContentNames, shard::META_GROUP};

/// How often it says how far it is.
const PROGRESS_PAUSE: Duration = Duration::from_secs(2);

/// Checks what `arguments` name.
pub(super) async fn run(arguments: &VolumeCheck) -> Result<Report, String> {
    let mut progress = Progress::new();
    let node = StoppedNode::open(&arguments.data, &arguments.data_class).await?;
    let mut buckets = Buckets::default();
    for files in node.files() {
        buckets.add(files).await;
    }
    let mut report = Report::default();
    let mut suspects = Suspects::new();
    for volume in node.volumes.iter().chain(&node.classes) {
        report.volumes.push(volume.path.display().to_string());
        suspects.extend(check_volume(volume, &buckets, &mut report, &mut progress).await);
    }
    report.verified_bytes = progress.bytes;
    report.milliseconds = u64::try_from(progress.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if arguments.set_aside && !report.is_sound() {
        set_aside::run(&node, &suspects, &buckets, &mut report).await?;
    }
    Ok(report)
}

async fn check_volume(
    volume: &StoppedVolume,
    buckets: &Buckets,
    report: &mut Report,
    progress: &mut Progress,
) -> Suspects {
    let mut suspects = Suspects::new();
    for error in &volume.superblock {
        let meaning = "The other copy is sound: the next start writes this one again.";
        report.damages.push(finding(error, Effect::Harmless, meaning.to_owned(), Vec::new()));
    }
    for shard in &volume.shards {
        report.shard_count += 1;
        progress.place = format!("{}, shard {:016x}", volume.path.display(), shard.id);
        match &shard.files {
            Ok(files) => {
                let found = check_shard(files, buckets, report, progress).await;
                suspects.extend(found.map(|found| (shard.id, found)));
            }
            Err(error) => report.damages.push(lost(error)),
        }
    }
    suspects
}

/// Checks a shard. Where it has damage, the index keys whose payload can't be read.
pub(super) async fn check_shard<D: Directory>(
    files: &ShardFiles<D>,
    buckets: &Buckets,
    report: &mut Report,
    progress: &mut Progress,
) -> Option<BTreeSet<Bytes>> {
    let mut damages = Vec::new();
    let facts = files
        .check(&ContentNames, &mut |notice| match notice {
            Notice::Began(what) => progress.began(what),
            Notice::Verified(bytes) => progress.verified(bytes),
            Notice::Damaged(damage) => damages.push(damage),
        })
        .await;
    add(report, facts);
    let hits = match &files.index {
        Ok(index) if !damages.is_empty() => objects_of(index, &damages, buckets).await,
        Ok(_) | Err(_) => vec![Vec::new(); damages.len()],
    };
    let (mut missed, mut cut) = forecast(files, buckets).await;
    for (damage, hits) in damages.iter().zip(hits) {
        let hits = hits.into_iter().map(|(bucket, key)| Hit { bucket, key }).collect();
        let mut found = found(damage, hits, buckets);
        if damage.taken == Taken::Log {
            // Said once, with the first.
            found.meaning += &std::mem::take(&mut missed);
            found.objects.append(&mut cut);
        }
        if found.effect == Effect::Refused && keeps_from_starting(files, damage).await {
            found.effect = Effect::NoStart;
            found.meaning += " A start needs some of these: the node refuses to start.";
        }
        report.damages.push(found);
    }
    let lost = lost_in_log(files, buckets).await;
    let has_damage = !(damages.is_empty() && lost.is_empty());
    for (error, hits) in lost {
        let meaning = "What the log has of these objects, and no table yet, refers to it: their bytes can't be read.";
        report.damages.push(finding(&error, Effect::Refused, meaning.to_owned(), hits));
    }
    has_damage.then(|| suspects(&damages))
}

fn suspects(damages: &[Damage]) -> BTreeSet<Bytes> {
    let key = |damage: &Damage| match &damage.taken {
        Taken::Payload(key) | Taken::Outdated(key) => Some(key.clone()),
        // Those of a missing segment are found by it.
        Taken::Shard | Taken::Log | Taken::Keys { .. } | Taken::Payloads(_) | Taken::Twin => None,
    };
    damages.iter().filter_map(key).collect()
}

/// Whether damage takes something along that is read at this start: what a command of the log is about that is not applied
/// yet; or at every one: the position of a group of the shard, or a bucket
/// or credential.
async fn keeps_from_starting<D: Directory>(files: &ShardFiles<D>, damage: &Damage) -> bool {
    let (Ok(wal), Ok(index)) = (&files.wal, &files.index) else { return true };
    let Taken::Keys { after, upto } = &damage.taken else { return false };
    let said = damage.error.to_string();
    let is_meant = |table: &TableFacts| said.contains(&format!("table-{:08x}", table.id));
    let table = index.tables().into_iter().find(is_meant);
    let first = after.clone().or_else(|| Some(table?.smallest)).unwrap_or_default();
    for group in wal.groups().into_iter().filter(|group| *group != LOCAL) {
        let mut keys = vec![meta_key(group)];
        keys.extend(pending_keys(wal, index, group).await);
        for key in keys.iter().filter(|key| (&first..=upto).contains(key)) {
            // A newer table may have it.
            if index.current(key).await.is_err() {
                return true;
            }
        }
    }
    // All of the meta group is read, by a scan, which no newer table spares.
    matches!(Named::of(&first), Some((META_GROUP, _)))
}

fn add(report: &mut Report, facts: ShardFacts) {
    report.table_count += facts.table_count;
    report.entry_count += facts.entry_count;
    report.extent_count += facts.extent_count;
    if let Some(wal) = facts.wal {
        report.wal_record_count += wal.record_count;
        report.torn_tails.extend(wal.torn_tail);
    }
}

fn found(damage: &Damage, hits: Vec<Hit>, buckets: &Buckets) -> Finding {
    match &damage.taken {
        Taken::Shard => lost(&damage.error),
        Taken::Log => Finding { objects: hits, ..lost(&damage.error) },
        Taken::Payload(key) => {
            let meaning = format!("The bytes of {} can't be read.", describe(key, buckets));
            finding(&damage.error, Effect::Refused, meaning, hits)
        }
        Taken::Payloads(keys) => {
            let meaning =
                format!("The bytes of {} index keys were in it and are gone.", keys.len());
            let effect = if keys.is_empty() { Effect::Harmless } else { Effect::Refused };
            finding(&damage.error, effect, meaning, hits)
        }
        Taken::Twin => {
            let meaning = "It is there twice, and the other one has what is missing here: the next start writes both anew.";
            finding(&damage.error, Effect::Harmless, meaning.to_owned(), hits)
        }
        Taken::Keys { after, upto } => {
            let start = after.as_ref().map_or_else(
                || "the first key of the table".to_owned(),
                |after| format!("behind {}", describe(after, buckets)),
            );
            let meaning = format!(
                "Index keys can't be looked up, from {start} to {}, unless a newer table has them; objects whose record \
                 is among them can't be named one by one.",
                describe(upto, buckets)
            );
            finding(&damage.error, Effect::Refused, meaning, hits)
        }
        Taken::Outdated(key) => {
            let meaning =
                format!("{} was written again since: nobody reads these.", describe(key, buckets));
            finding(&damage.error, Effect::Harmless, meaning, hits)
        }
    }
}

fn lost(error: &Error) -> Finding {
    let meaning = "The shard can't be opened: the node refuses to start.".to_owned();
    finding(error, Effect::NoStart, meaning, Vec::new())
}

fn finding(error: &Error, effect: Effect, meaning: String, objects: Vec<Hit>) -> Finding {
    let (location, finding) = match error {
        Error::Corrupt { location, finding } => (location.clone(), finding.clone()),
        Error::Version { location, found, readable } => (
            location.clone(),
            format!("it has format version {found}; this release reads {readable}"),
        ),
        Error::Absent { name } => (name.clone(), "it is missing".to_owned()),
        Error::Device { attempted, reason } | Error::ClassFailed { attempted, reason } => {
            (attempted.clone(), reason.clone())
        }
        Error::NoSpace { .. }
        | Error::ClassFull { .. }
        | Error::Exists { .. }
        | Error::Limit { .. }
        | Error::Stopped => ("the volume".to_owned(), error.to_string()),
    };
    Finding { location, finding, effect, meaning, objects }
}

/// Says on standard error how far the check is, where somebody looks at it.
pub(super) struct Progress {
    started: Instant,
    said: Instant,
    place: String,
    file: String,
    bytes: u64,
    is_watched: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        let started = Instant::now();
        let is_watched = std::io::stderr().is_terminal();
        Self {
            started,
            said: started,
            place: String::new(),
            file: String::new(),
            bytes: 0,
            is_watched,
        }
    }

    fn began(&mut self, file: String) {
        self.file = file;
        self.say();
    }

    fn verified(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.say();
    }

    #[expect(clippy::print_stderr, reason = "the command's progress")]
    fn say(&mut self) {
        // A log file gets a line a minute; a terminal, one every moment.
        let pause = if self.is_watched { PROGRESS_PAUSE } else { PROGRESS_PAUSE * 30 };
        if self.said.elapsed() >= pause {
            self.said = Instant::now();
            let seconds = self.started.elapsed().as_secs();
            eprintln!(
                "{seconds} s: {} verified; now {}, {}",
                ByteSize(self.bytes),
                self.place,
                self.file
            );
        }
    }
}
