//! How far scrub is: a file of two slots beside the shard's directories, written in turn.
//!
//! A slot, 8,192 bytes; the valid one with the higher sequence counts:
//!
//! | offset | bytes | what |
//! | --- | --- | --- |
//! | 0 | 4 | CRC32C of the slot but these four bytes |
//! | 4 | 8 | magic `ANODESCR` |
//! | 12 | 4 | format version, 1 |
//! | 16 | 8 | sequence of the save; its lowest bit is the slot |
//! | 24 | 8 | identity of the shard's WAL |
//! | 32 | 8 | number of the pass, from 1; 0 before the first |
//! | 40 | 8 | when the pass began, in milliseconds since 1970 |
//! | 48 | 8 | when the last whole pass ended; 0 where there was none |
//! | 56 | 8 | bytes read in the pass |
//! | 64 | 8 | findings of the pass |
//! | 72 | 8 | findings of the last whole pass |
//! | 80 | 4 | stage: 0 between passes, 1 volume, 2 WAL, 3 manifest, 4 tables and segments |
//! | 84 | 4 | length K of the key, up to 4,096 |
//! | 88 | K | in stage 4: the last index key that was verified |
//! | .. | | zeros |
//!
//! Nothing is lost with the file but the place to go on at: damaged or missing, the pass begins anew.

use bytes::Bytes;

use crate::{
    device::{Device, Directory, Durability, Fill, SECTOR_BYTES},
    error::Error,
    index::KEY_BYTES_MAX,
};

/// The file's name.
pub(crate) const NAME: &str = "scrub";
const SLOT_BYTES: usize = 2 * SECTOR_BYTES;
const MAGIC: [u8; 8] = *b"ANODESCR";
const VERSION: u32 = 1;
const MAGIC_AT: usize = 4;
const VERSION_AT: usize = MAGIC_AT + 8;
const SEQUENCE_AT: usize = VERSION_AT + 4;
const IDENTITY_AT: usize = SEQUENCE_AT + 8;
const COUNTS_AT: usize = IDENTITY_AT + 8;
const COUNTS: usize = 6;
const STAGE_AT: usize = COUNTS_AT + 8 * COUNTS;
const KEY_BYTES_AT: usize = STAGE_AT + 4;
const KEY_AT: usize = KEY_BYTES_AT + 4;

const _: () = assert!(KEY_AT == 88, "the table above says so");
const _: () = assert!(KEY_AT + KEY_BYTES_MAX <= SLOT_BYTES, "the longest key fits");

/// What a pass is reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// No pass is under way.
    #[default]
    Between,
    /// The superblock, where this shard is the one that reads it.
    Volume,
    /// The segments of the WAL.
    Wal,
    /// The table manifest.
    Manifest,
    /// Tables and what they refer to, after this index key.
    Tables(Option<Bytes>),
}

/// How far scrub is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The number of the pass, from 1; 0 before the first.
    pub pass: u64,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
    /// When the last whole pass ended, in milliseconds since 1970; 0 where there was none.
    pub ended_ms: u64,
    /// Bytes read in this pass.
    pub bytes: u64,
    /// Findings of this pass.
    pub finding_count: u64,
    /// Findings of the last whole pass.
    pub last_finding_count: u64,
    /// Where it is.
    pub stage: Stage,
}

/// The file, and the sequence of the last save.
pub(super) struct Record<D: Directory> {
    device: Option<D::Device>,
    sequence: u64,
    identity: u64,
}

impl<D: Directory> Record<D> {
    /// Reads the file of a shard's directory; without a valid slot, nothing was done yet.
    pub(super) async fn open(directory: &D, identity: u64) -> Result<(Self, Progress), Error> {
        let device = match directory.open(NAME, Durability::AtSync).await {
            Ok(device) => device,
            Err(Error::Absent { .. }) => {
                return Ok((Self { device: None, sequence: 0, identity }, Progress::default()));
            }
            Err(error) => return Err(error),
        };
        let mut newest = (0, Progress::default());
        for slot in 0..2 {
            let offset = slot * SLOT_BYTES as u64;
            // One that is shorter was being made when the node ended.
            let end = offset + SLOT_BYTES as u64;
            if end > device.size() {
                let record = Self { device: None, sequence: newest.0, identity };
                return Ok((record, newest.1));
            }
            let found = decode(&device.read(offset, SLOT_BYTES).await?, identity);
            if let Some((sequence, progress)) = found
                && sequence > newest.0
                && sequence % 2 == slot
            {
                newest = (sequence, progress);
            }
        }
        Ok((Self { device: Some(device), sequence: newest.0, identity }, newest.1))
    }

    /// Makes progress durable. [`Error::NoSpace`] only where the file has yet to be made.
    pub(super) async fn save(&mut self, directory: &D, progress: &Progress) -> Result<(), Error> {
        let device = match self.device.take() {
            Some(device) => device,
            None => make(directory).await?,
        };
        let sequence = self.sequence + 1;
        let mut buffer = device.buffer(SLOT_BYTES);
        encode(&mut buffer, (sequence, self.identity), progress);
        device.write(sequence % 2 * SLOT_BYTES as u64, buffer).await?;
        device.sync().await?;
        self.sequence = sequence;
        self.device = Some(device);
        Ok(())
    }
}

async fn make<D: Directory>(directory: &D) -> Result<D::Device, Error> {
    match directory.remove(NAME).await {
        Ok(()) | Err(Error::Absent { .. }) => {}
        Err(error) => return Err(error),
    }
    let fill = Fill::Zeros(2 * SLOT_BYTES as u64);
    let device = directory.create(NAME, fill, Durability::AtSync).await?;
    directory.sync().await?;
    Ok(device)
}

fn encode(target: &mut [u8], (sequence, identity): (u64, u64), progress: &Progress) {
    let (stage, key) = match &progress.stage {
        Stage::Between => (0, None),
        Stage::Volume => (1, None),
        Stage::Wal => (2, None),
        Stage::Manifest => (3, None),
        Stage::Tables(after) => (4_u32, after.as_ref()),
    };
    let key = key.map(Bytes::as_ref).unwrap_or_default();
    let key_bytes = u32::try_from(key.len()).expect("an index key has at most 4,096 bytes");
    put(target, MAGIC_AT, &MAGIC);
    put(target, VERSION_AT, &VERSION.to_le_bytes());
    put(target, SEQUENCE_AT, &sequence.to_le_bytes());
    put(target, IDENTITY_AT, &identity.to_le_bytes());
    let counts: [u64; COUNTS] = [
        progress.pass,
        progress.began_ms,
        progress.ended_ms,
        progress.bytes,
        progress.finding_count,
        progress.last_finding_count,
    ];
    for (index, count) in counts.iter().enumerate() {
        put(target, COUNTS_AT + 8 * index, &count.to_le_bytes());
    }
    put(target, STAGE_AT, &stage.to_le_bytes());
    put(target, KEY_BYTES_AT, &key_bytes.to_le_bytes());
    put(target, KEY_AT, key);
    let checksum = crc32c::crc32c(&target[MAGIC_AT..]);
    put(target, 0, &checksum.to_le_bytes());
}

/// Sequence and progress of a valid slot of this shard.
fn decode(slot: &Bytes, identity: u64) -> Option<(u64, Progress)> {
    let word = |at: usize| Some(u32::from_le_bytes(*slot.get(at..)?.first_chunk()?));
    let wide = |at: usize| Some(u64::from_le_bytes(*slot.get(at..)?.first_chunk()?));
    let count = |index: usize| wide(COUNTS_AT + 8 * index);
    let is_ours = word(0)? == crc32c::crc32c(slot.get(MAGIC_AT..)?)
        && slot.get(MAGIC_AT..VERSION_AT)? == MAGIC
        && word(VERSION_AT)? == VERSION
        && wide(IDENTITY_AT)? == identity;
    if !is_ours {
        return None;
    }
    let key_bytes = usize::try_from(word(KEY_BYTES_AT)?).ok()?;
    let key = slot.get(KEY_AT..KEY_AT.checked_add(key_bytes)?)?;
    let stage = match word(STAGE_AT)? {
        0 => Stage::Between,
        1 => Stage::Volume,
        2 => Stage::Wal,
        3 => Stage::Manifest,
        4 => Stage::Tables((!key.is_empty()).then(|| Bytes::copy_from_slice(key))),
        _ => return None,
    };
    let progress = Progress {
        pass: count(0)?,
        began_ms: count(1)?,
        ended_ms: count(2)?,
        bytes: count(3)?,
        finding_count: count(4)?,
        last_finding_count: count(5)?,
        stage,
    };
    Some((wide(SEQUENCE_AT)?, progress))
}

fn put(target: &mut [u8], at: usize, source: &[u8]) {
    target[at..at + source.len()].copy_from_slice(source);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{KEY_AT, Progress, Record, SLOT_BYTES, Stage, decode, encode};
    use crate::testing::{SimDisk, block_on};

    fn sample(key: &'static [u8]) -> Progress {
        Progress {
            pass: 1,
            began_ms: 2,
            ended_ms: 3,
            bytes: 4,
            finding_count: 5,
            last_finding_count: 6,
            stage: Stage::Tables(Some(Bytes::from_static(key))),
        }
    }

    #[test]
    fn golden_bytes() {
        let mut slot = vec![0; SLOT_BYTES];
        encode(&mut slot, (9, 7), &sample(b"key"));
        let expected = [
            b"ANODESCR".as_slice(),
            &[1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
            &[4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0],
            &[4, 0, 0, 0, 3, 0, 0, 0],
            b"key",
        ]
        .concat();
        assert_eq!(slot[4..KEY_AT + 3], expected);
        let whole = Bytes::from(slot.clone());
        assert_eq!(decode(&whole, 7), Some((9, sample(b"key"))));
        assert_eq!(decode(&whole, 8), None, "of another shard");
        for position in (0..100).chain([SLOT_BYTES - 1]) {
            let mut damaged = slot.clone();
            damaged[position] ^= 1;
            assert_eq!(decode(&Bytes::from(damaged), 7), None, "byte {position}");
        }
    }

    #[test]
    fn a_crash_while_saving_leaves_one_of_both() {
        for seed in 0..200 {
            let disk = SimDisk::new(seed);
            block_on(async {
                let (mut record, none) = Record::open(&disk.root(), 7).await.unwrap();
                assert_eq!(none, Progress::default());
                record.save(&disk.root(), &sample(b"old")).await.unwrap();
                disk.crash_at(disk.io_count() + seed % 3);
                let saved = record.save(&disk.root(), &sample(b"new")).await;
                disk.crash();
                disk.heal();
                let (_, found) = Record::open(&disk.reopen(), 7).await.unwrap();
                let new = found == sample(b"new");
                assert!(new || (saved.is_err() && found == sample(b"old")), "seed {seed}");
            });
        }
    }
}
