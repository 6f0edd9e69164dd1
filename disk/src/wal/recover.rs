//! Opening a WAL: which segments count, where the log ends, and whether what is missing there was durable.
//!
//! 1. From the newest file down: the last valid batch names the oldest segment that is needed.
//! 2. From that segment up: batches are applied as long as each is valid and follows the one before, over the ends of
//!    segments. Where none follows in a segment, the rest of it is searched for headers that don't belong
//!    there. One that knew of a durable batch above the last applied one proves damage.
//! 3. The newest of these segments is flushed: what was read is durable before anything is built on it.
//!
//! Files without a valid batch are spare: one being made, or renamed, or whose first batch was torn. They are flushed
//! before they are used again.

use std::{collections::BTreeMap, rc::Rc};

use bytes::Bytes;

use super::{
    GroupId, Recovery, WalOptions,
    format::Kind,
    log::Log,
    segments::{File, Segments, generation, name},
    state::Recovered,
    walk::{Walk, Whole, walk},
};
use crate::{
    device::{Device, Directory, Durability},
    error::Error,
    planted::{self, Bug},
};

/// Opens the files of `directory` and rebuilds the WAL's state. Writes nothing; removes useless files.
pub(super) async fn recover<D: Directory>(
    directory: &D,
    options: &WalOptions,
) -> Result<Recovered<D::Device>, Error> {
    let path = directory.path();
    let files = open_files(directory).await?;
    let next = files.last().map_or(0, |file| file.generation).checked_add(1);
    let next = next.expect("2^32 segments are 64 PiB of log");
    let mut replay = Replay {
        path: &path,
        identity: options.identity,
        oldest: 0,
        sequence: None,
        end: None,
        logs: BTreeMap::new(),
        segments: Segments::new(next),
        facts: Recovery::default(),
    };
    let last = replay.find_last(&files).await?;
    replay.oldest = last.unwrap_or(0);
    if let Some(oldest) = last
        && files.iter().all(|file| file.generation != oldest)
    {
        return Err(replay.damage((oldest, 0), "the segment is needed and missing"));
    }
    let (mut newest, mut useless) = (None, Vec::new());
    for file in files {
        let used = file.generation >= replay.oldest && replay.segment(&file).await?;
        if used {
            newest = Some(file.generation);
        } else if file.device.size() == options.segment_bytes {
            // Whoever made it may have been killed before its length was durable.
            file.device.sync().await?;
            replay.segments.add_spare(file);
        } else {
            useless.push(file);
        }
    }
    if let Some(device) = newest.and_then(|newest| replay.segments.device(newest)) {
        device.sync().await?;
    }
    // Cut short by a crash, or of another size. Not before all is known to be well.
    for file in useless {
        directory.remove(&name(file.generation)).await?;
    }
    Ok(replay.finish())
}

/// Every segment file, oldest first.
pub(super) async fn open_files<D: Directory>(directory: &D) -> Result<Vec<File<D::Device>>, Error> {
    let mut files = Vec::new();
    for name in directory.list().await? {
        if let Some(generation) = generation(&name) {
            let device = directory.open(&name, Durability::EachWrite).await?;
            files.push(File { generation, device: device.into() });
        }
    }
    files.sort_by_key(|file| file.generation);
    Ok(files)
}

/// The state so far.
struct Replay<'a, F> {
    path: &'a str,
    identity: u64,
    oldest: u32,
    /// The last batch applied.
    sequence: Option<u64>,
    /// Where the first batch that is missing should have been: generation, offset.
    end: Option<(u32, u64)>,
    logs: BTreeMap<GroupId, Log>,
    segments: Segments<F>,
    facts: Recovery,
}

impl<F: Device> Replay<'_, F> {
    /// The oldest segment that is needed, as the last valid batch has it.
    async fn find_last(&self, files: &[File<F>]) -> Result<Option<u32>, Error> {
        for file in files.iter().rev() {
            let place = (file.generation, self.identity);
            let walk = walk(&*file.device, place, self.path, |_| Ok(())).await?;
            if let Some(last) = walk.last {
                // Checked here already: if batches behind it are damaged, its `oldest` may be outdated.
                self.check_later(&walk, (file.generation, walk.end))?;
                return Ok(Some(last.oldest));
            }
        }
        Ok(None)
    }

    /// Applies a segment; whether it has valid batches.
    async fn segment(&mut self, file: &File<F>) -> Result<bool, Error> {
        let start = (file.generation, 0);
        let missing = self.end.unwrap_or(start);
        self.segments
            .add_live(File { generation: file.generation, device: Rc::clone(&file.device) });
        let (path, identity) = (self.path, self.identity);
        let place = (file.generation, identity);
        let walk = walk(&*file.device, place, path, |whole| self.batch(whole, missing)).await?;
        if walk.last.is_none() {
            self.segments.release(file.generation);
            if file.generation == self.oldest {
                return Err(self.damage(start, "its first batch is not valid"));
            }
        }
        // A header at the very start knows of the segment before; any other one, of this segment.
        let at = if walk.later.is_some_and(|later| later.offset == 0) { missing } else { start };
        let end = (file.generation, walk.end);
        self.check_later(&walk, if walk.last.is_some() { end } else { at })?;
        if walk.last.is_some() {
            self.end = Some(end);
            self.facts.segment_count += 1;
            self.facts.torn_tail = None;
        }
        if walk.later.is_some() {
            self.facts.torn_tail = Some(self.location(end));
        }
        Ok(walk.last.is_some())
    }

    /// Applies a batch.
    fn batch(&mut self, whole: Whole, missing: (u32, u64)) -> Result<(), Error> {
        let Whole { header, items } = whole;
        if let Some(before) = self.sequence
            && header.sequence != before + 1
        {
            let finding = format!(
                "batch {} is missing; the next one is {} in {}",
                before + 1,
                header.sequence,
                name(header.generation)
            );
            return Err(self.damage(missing, &finding));
        }
        self.sequence = Some(header.sequence);
        self.facts.batch_count += 1;
        self.facts.record_count += u64::from(header.count);
        for (mut item, location) in items {
            // A slot's value is kept for long: not with the memory of the whole read.
            if item.kind != Kind::Entry {
                item.head = Bytes::copy_from_slice(&item.head);
            }
            let log = self.logs.entry(item.group).or_default();
            if let Err(finding) = log.write(&item, location, &mut self.segments) {
                let place = (location.segment, u64::from(location.offset));
                return Err(self.damage(place, finding));
            }
            if item.kind == Kind::Remove {
                self.logs.remove(&item.group);
            }
        }
        Ok(())
    }

    /// Refuses where a header that doesn't follow knows that more was durable than what was applied.
    fn check_later(&self, walk: &Walk, place: (u32, u64)) -> Result<(), Error> {
        let last = walk.last.map(|last| last.sequence).or(self.sequence).unwrap_or(0);
        match walk.later {
            Some(later) if later.durable > last && !planted::is(Bug::DamageTakenForTail) => {
                let finding = format!(
                    "batch {} is not valid there; the one at {} knew of {} as durable",
                    last + 1,
                    later.offset,
                    later.durable
                );
                Err(self.damage(place, &finding))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn damage(&self, place: (u32, u64), finding: &str) -> Error {
        Error::Corrupt { location: self.location(place), finding: finding.to_owned() }
    }

    fn location(&self, (generation, offset): (u32, u64)) -> String {
        format!("{}/{} at {offset}", self.path, name(generation))
    }

    fn finish(mut self) -> Recovered<F> {
        self.logs.values_mut().for_each(Log::adopt);
        Recovered {
            logs: self.logs,
            segments: self.segments,
            sequence: self.sequence.unwrap_or(0),
            facts: self.facts,
        }
    }
}
