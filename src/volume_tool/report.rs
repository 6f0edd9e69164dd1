//! What a check found, as text for people and as JSON for programs.

use std::fmt::Write as _;

use bytesize::ByteSize;
use serde::Serialize;

use super::shelf::{List, LostLog, Why};

/// Objects of one damage that the text names; JSON has all.
const NAMED_COUNT_MAX: usize = 20;

/// What a check found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Data directories.
    pub(super) volumes: Vec<String>,
    pub(super) shard_count: u64,
    pub(super) table_count: u64,
    pub(super) entry_count: u64,
    pub(super) extent_count: u64,
    pub(super) wal_record_count: u64,
    /// Bytes that were read and verified.
    pub(super) verified_bytes: u64,
    pub(super) milliseconds: u64,
    /// Tails of logs that a crash tore and nobody was told of: no damage, the next start drops them.
    pub(super) torn_tails: Vec<String>,
    pub(super) damages: Vec<Finding>,
    /// Where copies of the damaged files are, and what was set aside.
    pub(super) set_aside: Vec<String>,
    /// The shards whose damage was to be set aside.
    pub(super) shards_set_aside: Vec<ShardAside>,
}

/// What became of the damage of a shard.
#[derive(Debug, Serialize)]
pub(super) struct ShardAside {
    pub(super) shard: String,
    /// What was taken out of the shard; the same as in `objects-SHARD.json`.
    pub(super) list: Option<List>,
    /// Why that could not be done, or not to its end.
    pub(super) refused: Option<String>,
}

/// One damage.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// File and offset.
    pub(super) location: String,
    /// What is wrong there.
    pub(super) finding: String,
    pub(super) effect: Effect,
    /// What that means, in a sentence.
    pub(super) meaning: String,
    /// The objects that are hit, as far as their records can be read.
    pub(super) objects: Vec<Hit>,
}

/// An object that is hit.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Hit {
    pub(super) bucket: String,
    pub(super) key: String,
}

/// What damage does to a node that is started with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Effect {
    /// It refuses to start.
    NoStart,
    /// It refuses what is hit and serves the rest.
    Refused,
    /// None: a start mends it, or nobody reads it.
    Harmless,
}

impl Report {
    pub(super) fn is_sound(&self) -> bool {
        self.damages.is_empty()
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has nothing that JSON can't say")
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        for damage in &self.damages {
            damage.write(&mut text);
        }
        for tail in &self.torn_tails {
            line(
                &mut text,
                &format!("torn tail  {tail}: a write that a crash cut off; nobody was told of it"),
            );
        }
        line(
            &mut text,
            &format!(
                "Checked {} in {}.{} s: {} shards, {} records in logs, {} tables with {} entries, {} extents; {} were \
                 verified.",
                self.volumes.join(", "),
                self.milliseconds / 1000,
                self.milliseconds % 1000 / 100,
                self.shard_count,
                self.wal_record_count,
                self.table_count,
                self.entry_count,
                self.extent_count,
                ByteSize(self.verified_bytes),
            ),
        );
        line(&mut text, &self.verdict());
        self.write_set_aside(&mut text);
        text.trim_end().to_owned()
    }

    fn write_set_aside(&self, text: &mut String) {
        for place in &self.set_aside {
            line(text, &format!("Copies of the damaged files and this report are in {place}."));
        }
        for ShardAside { shard, list, refused } in &self.shards_set_aside {
            if let Some(list) = list {
                list.write(text);
            }
            if let Some(reason) = refused {
                line(text, &format!("Shard {shard} could not be mended: {reason}."));
            }
        }
    }

    /// What to do now.
    fn verdict(&self) -> String {
        let with = |effect| self.damages.iter().filter(|damage| damage.effect == effect).count();
        let (no_start, refused) = (with(Effect::NoStart), with(Effect::Refused));
        let mut objects: Vec<&Hit> =
            self.damages.iter().flat_map(|damage| &damage.objects).collect();
        objects.sort();
        objects.dedup();
        if self.is_sound() {
            return "Everything is sound.".to_owned();
        }
        let mut said =
            format!("{} damages, {} objects are hit.", self.damages.len(), objects.len());
        if !self.shards_set_aside.is_empty() {
            let is_mended = |shard: &ShardAside| shard.refused.is_none();
            said += if self.shards_set_aside.iter().all(is_mended) {
                " They were set aside: the node starts without them. Look at the disk (smartctl, dmesg) first."
            } else {
                " Not all could be set aside: see below."
            };
            return said;
        }
        if no_start > 0 {
            said += " The node won't start like this. Keep a copy of the directory, and restore it from a backup or \
                     the disk from a mirror: what is missing can't be made up. Or have what is damaged set aside \
                     (--set-aside), as far as that can be.";
        }
        if refused > 0 {
            said += " The node can be started: it serves everything else and refuses what is hit with InternalError. \
                     Upload the named objects again, or delete them, or \
                     have them set aside (--set-aside); and look at the disk (smartctl, dmesg) first.";
        }
        if no_start + refused == 0 {
            said += " Nothing that is stored is hit.";
        }
        said
    }
}

impl List {
    fn write(&self, text: &mut String) {
        let List { shard, objects, bodies, ranges, parts, log } = self;
        line(
            text,
            &format!(
                "Shard {shard} was mended. Gone from it and kept there, as far as they can be read (objects-{shard}.json): \
                 {} objects, {} parts of uploads, the bytes of {} bodies whose object nobody knows.",
                objects.len(),
                parts.len(),
                bodies.len()
            ),
        );
        for kept in objects.iter().take(NAMED_COUNT_MAX) {
            let lost: u64 = kept.lost_bytes.iter().map(|[start, end]| end - start).sum();
            let said = match kept.why {
                Why::Damaged => format!("{lost} of {} bytes are lost", kept.size),
                Why::MaybeOutdated => "it may have been overwritten or deleted since".to_owned(),
            };
            line(text, &format!("        {}/{}: {said}", kept.bucket, kept.key));
        }
        if objects.len() > NAMED_COUNT_MAX {
            let more = objects.len() - NAMED_COUNT_MAX;
            line(text, &format!("        and {more} more (the list names all)"));
        }
        for range in ranges {
            let after = range.after.as_deref().unwrap_or("the first key of the table");
            let upto = &range.upto;
            line(text, &format!("        keys nobody can name, from behind {after} to {upto}"));
        }
        if let Some(log) = log {
            log.write(text);
        }
    }
}

impl LostLog {
    fn write(&self, text: &mut String) {
        let Self { batches, records_max, groups, commands } = self;
        line(
            text,
            &format!(
                "        The log was begun anew. Of {batches} batches of it up to {records_max} records could not be \
                 read: what was last in a group's log may be among them, and nobody can name it."
            ),
        );
        for group in groups {
            let upto = group
                .upto
                .map_or_else(|| "its beginning".to_owned(), |upto| format!("entry {upto}"));
            line(
                text,
                &format!(
                    "        group {} is cut off behind {upto}: {} entries are lost, and {} that can be read are kept",
                    group.group, group.unreadable, group.readable
                ),
            );
        }
        for cut in commands.iter().take(NAMED_COUNT_MAX) {
            line(text, &format!("        undone: {} {}/{}", cut.command, cut.bucket, cut.key));
        }
        if commands.len() > NAMED_COUNT_MAX {
            let more = commands.len() - NAMED_COUNT_MAX;
            line(text, &format!("        and {more} more (the list names all)"));
        }
    }
}

impl Finding {
    fn write(&self, text: &mut String) {
        line(text, &format!("DAMAGE  {}: {}", self.location, self.finding));
        line(text, &format!("        {}", self.meaning));
        for hit in self.objects.iter().take(NAMED_COUNT_MAX) {
            line(text, &format!("        hit: {}/{}", hit.bucket, hit.key));
        }
        if self.objects.len() > NAMED_COUNT_MAX {
            let more = self.objects.len() - NAMED_COUNT_MAX;
            line(text, &format!("        and {more} more (--json names all)"));
        }
    }
}

fn line(text: &mut String, said: &str) {
    writeln!(text, "{said}").expect("a string takes what is written");
}
