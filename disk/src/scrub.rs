//! Scrub: reads and verifies everything that a shard keeps on its volume, piece by piece, pass after pass.
//!
//! A pass reads the superblock, the WAL's segments, the table manifest, and then, in the order of index keys, every
//! block of every table and every extent that tables refer to, whose owner is asked whether it is what its key names. It goes past the caches: what counts is what the
//! device has. It finds and tells; it changes nothing. Damage that it found is refused when it is read, as ever.
//!
//! A pass goes on after a restart where [`Scrubber::save`] left it. What is written behind the place where the pass
//! is waits for the next one.

pub(crate) mod finding;
mod pace;
mod progress;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    rc::Rc,
};

use bytes::Bytes;

pub use finding::{Finding, Hit};
pub use pace::{Pace, rate};
pub use progress::{Progress, Stage};

use self::{finding::Verified, progress::Record};
use crate::{
    device::Directory,
    error::Error,
    index::verify::{Entered, Named, Stretch},
    owner::Owner,
    storage::Storage,
    volume::Volume,
    wal::WalCursor,
};

/// Bytes of extents that one step reads, unless one alone is longer.
const STEP_BYTES: u64 = 1 << 20;
/// Extents that one step reads at most.
const STEP_EXTENTS: usize = 64;
/// Findings of one pass that are remembered, so that each is told once.
const REMEMBERED_MAX: usize = 10_000;

/// What a step read, and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Bytes read.
    pub bytes: u64,
    /// What this pass had not found yet.
    pub findings: Vec<Finding>,
    /// The pass has ended.
    pub ended: bool,
}

/// The scrub of one shard.
pub struct Scrubber<D: Directory> {
    storage: Rc<Storage<D>>,
    volume: Option<Volume<D>>,
    owner: Rc<dyn Owner>,
    record: Record<D>,
    progress: Progress,
    wal: WalCursor,
    entered: Entered,
    /// The stretch of keys whose extents are being read.
    stretch: Option<Stretch<D>>,
    /// Its extents that are left.
    left: VecDeque<Named>,
    told: BTreeSet<String>,
}

impl<D: Directory> Scrubber<D> {
    /// The scrub of a shard, where it was left. `volume` is given to one shard of a volume: that reads the superblock.
    /// `owner` is asked whether payloads are what their keys name.
    pub async fn open(
        storage: Rc<Storage<D>>,
        volume: Option<Volume<D>>,
        owner: Rc<dyn Owner>,
    ) -> Result<Self, Error> {
        let (record, progress) = Record::open(storage.directory(), storage.identity()).await?;
        Ok(Self {
            storage,
            volume,
            owner,
            record,
            progress,
            wal: WalCursor::default(),
            entered: Entered::new(),
            stretch: None,
            left: VecDeque::new(),
            told: BTreeSet::new(),
        })
    }

    /// How far it is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Begins the next pass.
    pub fn begin(&mut self, now_ms: u64) {
        self.told.clear();
        self.progress.pass += 1;
        self.progress.began_ms = now_ms;
        self.progress.bytes = 0;
        self.progress.finding_count = 0;
        self.enter(Stage::Volume);
    }

    /// Reads the next piece of the pass, about a mebibyte; a segment of the WAL is one piece, and so is the manifest.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] where storage has. Whatever is wrong with what was read is a finding.
    pub async fn step(&mut self, now_ms: u64) -> Result<Step, Error> {
        let mut verified = Verified::default();
        match self.progress.stage.clone() {
            Stage::Between => return Ok(Step { ended: true, ..Step::default() }),
            Stage::Volume => {
                if let Some(volume) = &self.volume {
                    volume.verify(&mut verified).await?;
                }
                self.enter(Stage::Wal);
            }
            Stage::Wal => {
                if !self.storage.wal.verify_segment(&mut self.wal, &mut verified).await? {
                    self.enter(Stage::Manifest);
                }
            }
            Stage::Manifest => {
                self.storage.index.verify_manifest(&mut verified).await?;
                self.enter(Stage::Tables(None));
            }
            Stage::Tables(after) => {
                if self.stretch.is_some() {
                    self.read_extents(&mut verified).await?;
                } else {
                    self.read_tables(after, &mut verified).await?;
                }
            }
        }
        let step = self.told(verified);
        if self.progress.stage == Stage::Between {
            self.progress.ended_ms = now_ms;
            self.progress.last_finding_count = self.progress.finding_count;
            return Ok(Step { ended: true, ..step });
        }
        Ok(step)
    }

    /// Makes the place where the pass is durable. The future must not be dropped before its end: it writes.
    ///
    /// # Errors
    ///
    /// [`Error::NoSpace`] where there is none for 16 KiB: a restart begins the pass anew. Any other is final.
    pub async fn save(&mut self) -> Result<(), Error> {
        self.record.save(self.storage.directory(), &self.progress).await
    }

    fn enter(&mut self, stage: Stage) {
        self.wal = WalCursor::default();
        self.entered.clear();
        self.progress.stage = stage;
    }

    async fn read_tables(
        &mut self,
        after: Option<Bytes>,
        verified: &mut Verified,
    ) -> Result<(), Error> {
        let index = &self.storage.index;
        match index.verify_stretch(&mut self.entered, after.as_ref(), verified).await? {
            None => self.enter(Stage::Between),
            Some(mut stretch) => {
                self.left = std::mem::take(&mut stretch.extents).into();
                self.stretch = Some(stretch);
                self.leave_stretch();
            }
        }
        Ok(())
    }

    async fn read_extents(&mut self, verified: &mut Verified) -> Result<(), Error> {
        let mut count = 0;
        while count < STEP_EXTENTS
            && (count == 0 || verified.bytes < STEP_BYTES)
            && let Some((key, extent)) = self.left.pop_front()
        {
            count += 1;
            let segments = self.storage.index.segments();
            let read = segments.read_whole(extent, &key, &*self.owner).await;
            verified.take(extent.total_bytes(), || Hit::Payload(key), read)?;
        }
        self.leave_stretch();
        Ok(())
    }

    /// The pass is past a stretch once all that it refers to was read.
    fn leave_stretch(&mut self) {
        if self.left.is_empty()
            && let Some(stretch) = self.stretch.take()
        {
            self.progress.stage = Stage::Tables(Some(stretch.last));
        }
    }

    /// Counts what was read. Neighbouring stretches share a block: what is wrong there is told once.
    fn told(&mut self, verified: Verified) -> Step {
        let Verified { bytes, mut findings } = verified;
        findings.retain(|finding| {
            let about = format!("{} {:?}", finding.location, finding.finding);
            self.told.len() >= REMEMBERED_MAX || self.told.insert(about)
        });
        self.progress.bytes += bytes;
        self.progress.finding_count += findings.len() as u64;
        Step { bytes, findings, ended: false }
    }
}

impl<D: Directory> fmt::Debug for Scrubber<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrubber").field("progress", &self.progress).finish_non_exhaustive()
    }
}
