use std::{collections::BTreeSet, ops::Range, rc::Rc};

use bytes::Bytes;

use super::{Finding, Hit, Scrubber, Stage};
use crate::{
    device::Directory,
    error::Error,
    index::{Batch, Entry, Payload},
    owner::{Owner, Unknowing},
    segment::Class,
    storage::{Storage, StorageOptions},
    testing::{Fault, Random, SimDirectory, SimDisk, block_on},
    volume::{Volume, VolumeIdentity},
    wal::{LOCAL, Record, Wal, flushed},
};

const SHARD: u64 = 0x0005_0000_0001;
const KEY_COUNT: u64 = 900;

fn options(identity: u64) -> StorageOptions {
    StorageOptions {
        memory_bytes: 8 << 20,
        chunk_cache_bytes: 0,
        wal_segment_bytes: 1 << 20,
        segment_bytes: 16 << 20,
        wal_identity: identity,
    }
}

async fn format(disk: &SimDisk) {
    let identity = VolumeIdentity {
        class: Class::OWN,
        classes: BTreeSet::new(),
        cluster: 1,
        volume: 2,
        created_ms: 3,
        group_count: 8,
        node_shard_count: 1,
        volume_count: 1,
        volume_index: 0,
        placement: 0,
        shards: vec![SHARD],
    };
    Volume::format(&disk.root(), &identity).await.unwrap();
}

struct Rig {
    storage: Rc<Storage<SimDirectory>>,
    scrubber: Scrubber<SimDirectory>,
}

/// Knows that what is stored under one key is not what it should be.
struct Doubting(Bytes);

impl Owner for Doubting {
    fn fits(&self, key: &[u8], _payload: &[u8]) -> bool {
        key != self.0
    }

    fn is_lasting(&self, _key: &[u8]) -> bool {
        false
    }
}

impl Rig {
    async fn open(disk: &SimDisk) -> Self {
        Self::open_for(disk, Rc::new(Unknowing)).await
    }

    async fn open_for(disk: &SimDisk, owner: Rc<dyn Owner>) -> Self {
        let volume = Volume::open(disk.reopen()).await.unwrap();
        let directory = volume.shard(SHARD).await.unwrap();
        let options = options(volume.wal_identity(SHARD));
        let storage = Storage::open(directory, options).await.unwrap();
        let scrubber = Scrubber::open(Rc::clone(&storage), Some(volume), owner).await.unwrap();
        Self { storage, scrubber }
    }

    async fn write(&self, random: &mut Random, changes: u64) {
        write(&self.storage, random, changes).await;
    }

    /// Some segments full of records.
    async fn log(&self, random: &mut Random) {
        let wal = &self.storage.wal;
        let work = async {
            for index in 1..=60 {
                let body = random.bytes(40_000).into();
                let record = Record { index, head: Bytes::from_static(b"head"), body };
                flushed(|done| wal.append(LOCAL, vec![record], done)).await.unwrap();
            }
            wal.stop();
        };
        futures::join!(work, async { wal.run().await.unwrap() });
    }

    /// A whole pass, or what is left of one.
    async fn pass(&mut self) -> Vec<Finding> {
        if self.scrubber.progress().stage == Stage::Between {
            self.scrubber.begin(1);
        }
        let mut findings = Vec::new();
        loop {
            let step = self.scrubber.step(2).await.unwrap();
            findings.extend(step.findings);
            if step.ended {
                return findings;
            }
        }
    }

    /// The bytes of the extents that the newest entries refer to: segment, and where.
    async fn extents(&self) -> Vec<(Bytes, String, Range<u64>)> {
        let mut found = Vec::new();
        for number in 0..KEY_COUNT {
            let key = key(number);
            let entry = self.storage.index.get(&key).await.unwrap();
            if let Some(Entry { payload: Payload::Extent(extent), .. }) = entry {
                let start = u64::from(extent.offset);
                let path = format!("segments/segment-{:08x}", extent.segment);
                found.push((key, path, start..start + extent.total_bytes()));
            }
        }
        found
    }
}

/// Overwrites and deletes some keys: tables with all kinds of payload, segments with what is no longer current.
async fn write(storage: &Storage<SimDirectory>, random: &mut Random, changes: u64) {
    let mut batch = Batch::default();
    for _ in 0..changes {
        let key = key(random.below(KEY_COUNT));
        let payload = match random.below(40) {
            0 => Payload::Inline(random.bytes(200_000).into()),
            1 => Payload::None,
            2..4 => {
                batch.delete(key);
                continue;
            }
            _ => {
                let length = usize::try_from(random.below(3000)).unwrap();
                Payload::Inline(random.bytes(length).into())
            }
        };
        batch.put(key, Entry { value: Bytes::from_static(b"value"), payload });
    }
    storage.index.write(batch);
    drop(storage.index.flush().await.unwrap());
}

fn key(number: u64) -> Bytes {
    Bytes::from(format!("key/{number:05}"))
}

fn path(name: &str) -> String {
    format!("shard-{SHARD:016x}/{name}")
}

/// A store with everything in it, at rest.
async fn filled(disk: &SimDisk, random: &mut Random) -> Rig {
    format(disk).await;
    let rig = Rig::open(disk).await;
    rig.log(random).await;
    for _ in 0..5 {
        rig.write(random, 300).await;
    }
    drop(rig);
    let rig = Rig::open(disk).await;
    // A commit of this life: the manifest has both marks.
    rig.write(random, 50).await;
    rig
}

/// Every stretch of bytes that says something, by file.
async fn said(disk: &SimDisk, rig: &Rig) -> Vec<(String, Range<u64>)> {
    let mut found = vec![("superblock".to_owned(), 0..8192)];
    for (path, bytes) in disk.files() {
        let content = disk.bytes(&path);
        let word =
            |at: usize| u64::from(u32::from_le_bytes(content[at..at + 4].try_into().unwrap()));
        let sectors = (0..content.len() / 4096).map(|sector| sector * 4096);
        if path.contains("/table-") {
            // Each part as often as the others, whatever its length: blocks, filter, block index, footer.
            let footer = content.len() - 4096;
            let parts = [0, word(footer + 24), word(footer + 36), footer as u64, bytes];
            found.extend(parts.windows(2).map(|part| (path.clone(), part[0]..part[1])));
        } else if path.contains("/wal-") {
            let headers = sectors.filter(|at| content[*at..].starts_with(b"ANODEWAL"));
            let batch = |at: usize| (path.clone(), at as u64..at as u64 + word(at + 48));
            found.extend(headers.map(batch));
        } else if path.contains("/manifest-") {
            let fields = sectors.clone().filter(|at| content[at + 4..].starts_with(b"ANODEM"));
            found.extend(fields.map(|at| (path.clone(), at as u64..at as u64 + 32)));
            let edits = sectors.filter(|at| content[at + 4..].starts_with(b"EDIT"));
            let edit = |at: usize| (path.clone(), at as u64..at as u64 + 32 + word(at + 12));
            found.extend(edits.map(edit));
        }
    }
    found.extend(rig.extents().await.into_iter().map(|(_, name, range)| (path(&name), range)));
    found
}

#[test]
fn a_sound_store_has_no_findings_and_all_of_it_is_read() {
    block_on(async {
        let (disk, mut random) = (SimDisk::new(1), Random::new(1));
        let mut rig = filled(&disk, &mut random).await;
        assert_eq!(rig.pass().await, []);
        let figures = rig.storage.index.figures();
        let least = rig.storage.index.segments().figures().live_bytes
            + figures.level_bytes.iter().sum::<u64>()
            + rig.storage.wal.bytes_held();
        let read = rig.scrubber.progress().bytes;
        assert!(read >= least - 4096 * 16, "{read} of {least}");
        assert!(read < least * 2, "{read} for {least}");
    });
}

#[test]
fn each_flipped_byte_is_found_in_one_pass() {
    block_on(async {
        let seed = 2;
        let (disk, mut random) = (SimDisk::new(seed), Random::new(seed));
        let mut rig = filled(&disk, &mut random).await;
        let all = said(&disk, &rig).await;
        for kind in ["superblock", "/wal-", "/manifest-", "/table-", "/segment-"] {
            let of_kind: Vec<_> = all.iter().filter(|(path, _)| path.contains(kind)).collect();
            assert!(!of_kind.is_empty(), "{kind}");
            for _ in 0..60 {
                let chosen = random.below(of_kind.len() as u64);
                let (path, range) = of_kind[usize::try_from(chosen).unwrap()];
                let offset = range.start + random.below(range.end - range.start);
                let mask = 1 << random.below(8);
                disk.flip(path, offset, mask);
                let findings = rig.pass().await;
                disk.flip(path, offset, mask);
                let name = path.rsplit('/').next().unwrap();
                let named = findings.iter().filter(|found| found.location.contains(name)).count();
                assert_eq!((findings.len(), named), (1, 1), "{path} at {offset}: {findings:?}");
            }
        }
    });
}

#[test]
fn a_finding_names_the_keys_it_strikes() {
    block_on(async {
        let (disk, mut random) = (SimDisk::new(3), Random::new(3));
        let mut rig = filled(&disk, &mut random).await;
        let (key, name, range) = rig.extents().await.swap_remove(7);
        disk.flip(&path(&name), range.end - 1, 4);
        let (table, _) =
            disk.files().into_iter().find(|(path, _)| path.contains("/table-")).unwrap();
        disk.flip(&table, 50, 4);
        let hits: Vec<Hit> = rig.pass().await.into_iter().map(|finding| finding.hit).collect();
        let of_block = |hit: &Hit| matches!(hit, Hit::Keys(first, last) if first < last);
        assert!(hits.contains(&Hit::Payload(key)), "{hits:?}");
        assert!(hits.iter().any(of_block), "{hits:?}");
        assert_eq!(hits.len(), 2, "{hits:?}");
    });
}

#[test]
fn a_bad_sector_is_a_finding_and_the_pass_goes_on() {
    block_on(async {
        let (disk, mut random) = (SimDisk::new(4), Random::new(4));
        let mut rig = filled(&disk, &mut random).await;
        rig.scrubber.begin(1);
        while !matches!(rig.scrubber.progress().stage, Stage::Tables(Some(_))) {
            rig.scrubber.step(1).await.unwrap();
        }
        disk.fail_at(disk.io_count(), Fault::Io, true);
        let findings = rig.pass().await;
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].finding.contains("the device failed"), "{findings:?}");
        assert_eq!(rig.scrubber.progress().last_finding_count, 1);
    });
}

#[test]
fn a_pass_goes_on_after_a_crash_where_it_was_saved() {
    for seed in 0..20 {
        block_on(async {
            let (disk, mut random) = (SimDisk::new(seed), Random::new(seed));
            let mut rig = filled(&disk, &mut random).await;
            rig.pass().await;
            let whole = rig.scrubber.progress().bytes;
            let extents = rig.extents().await;
            rig.scrubber.begin(5);
            let after = loop {
                assert_eq!(rig.scrubber.step(6).await.unwrap().findings, []);
                if let Stage::Tables(Some(after)) = rig.scrubber.progress().stage.clone()
                    && after > key(KEY_COUNT / 3)
                {
                    break after;
                }
            };
            rig.scrubber.save().await.unwrap();
            let saved = rig.scrubber.progress().clone();
            drop(rig);
            disk.crash();
            let struck = [extents.first(), extents.last()];
            for (_, name, range) in struck.into_iter().flatten() {
                disk.flip(&path(name), range.end - 1, 1);
            }
            let mut rig = Rig::open(&disk).await;
            assert_eq!(*rig.scrubber.progress(), saved, "seed {seed}");
            let hits: Vec<Hit> = rig.pass().await.into_iter().map(|finding| finding.hit).collect();
            let last = extents.last().unwrap().0.clone();
            assert!(last > after, "seed {seed}: the pass was halfway");
            assert_eq!(hits, [Hit::Payload(last)], "seed {seed}");
            let progress = rig.scrubber.progress();
            assert_eq!((progress.pass, progress.began_ms, progress.ended_ms), (2, 5, 2));
            assert!(progress.bytes < whole * 3 / 2, "seed {seed}: {} of {whole}", progress.bytes);
        });
    }
}

/// Writes, flushes, compaction and reclaim go on while passes run: what is whole stays so, and what was damaged
/// before a pass began is found, wherever compaction has brought it.
#[test]
fn a_pass_beside_writes_and_compaction_finds_what_was_there_and_nothing_else() {
    for seed in 0..10 {
        block_on(async {
            let (disk, mut random) = (SimDisk::new(seed), Random::new(seed));
            let mut rig = filled(&disk, &mut random).await;
            let storage = Rc::clone(&rig.storage);
            let keep = Bytes::from_static(b"kept");
            let mut batch = Batch::default();
            let payload = Payload::Inline(random.bytes(5000).into());
            batch.put(keep.clone(), Entry { value: Bytes::new(), payload });
            storage.index.write(batch);
            drop(storage.index.flush().await.unwrap());
            let Some(Entry { payload: Payload::Extent(extent), .. }) =
                storage.index.get(&keep).await.unwrap()
            else {
                unreachable!("long payloads are in segments")
            };
            let name = path(&format!("segments/segment-{:08x}", extent.segment));
            disk.flip(&name, u64::from(extent.offset) + u64::from(extent.header_bytes), 1);
            let scrub = async {
                let mut findings = Vec::new();
                for _ in 0..3 {
                    findings.push(rig.pass().await);
                }
                findings
            };
            let write = async {
                let mut random = Random::new(seed);
                for _ in 0..12 {
                    write(&storage, &mut random, 200).await;
                }
            };
            let index = storage.index.clone();
            let work = async {
                let (findings, ()) = futures::join!(scrub, write);
                index.stop();
                findings
            };
            let (findings, upkeep) = futures::join!(work, storage.index.maintain());
            upkeep.unwrap();
            for pass in findings {
                let hits: Vec<Hit> = pass.iter().map(|finding| finding.hit.clone()).collect();
                assert_eq!(hits, [Hit::Payload(keep.clone())], "seed {seed}: {pass:?}");
            }
        });
    }
}

#[test]
fn a_full_volume_only_costs_the_place_to_go_on_at() {
    block_on(async {
        let (disk, mut random) = (SimDisk::new(5), Random::new(5));
        let mut rig = filled(&disk, &mut random).await;
        disk.fail_at(disk.io_count(), Fault::NoSpace, true);
        assert!(matches!(rig.scrubber.save().await, Err(Error::NoSpace { .. })));
        assert_eq!(rig.pass().await, []);
        rig.scrubber.save().await.unwrap();
    });
}

/// The WAL is written, switches segments and gives old ones up while it is read.
#[test]
fn a_pass_beside_a_busy_wal_has_no_findings() {
    for seed in 0..10 {
        block_on(async {
            let disk = SimDisk::new(seed);
            format(&disk).await;
            let mut rig = Rig::open(&disk).await;
            let wal = rig.storage.wal.clone();
            let read = async {
                read_wal(&mut rig, &disk, seed).await;
                rig.storage.wal.stop();
            };
            let ((), (), ran) = futures::join!(read, keep_appending(&wal, seed), wal.run());
            ran.unwrap();
        });
    }
}

async fn read_wal(rig: &mut Rig, disk: &SimDisk, seed: u64) {
    let mut random = Random::new(seed);
    for _ in 0..60 {
        rig.scrubber.begin(1);
        while matches!(rig.scrubber.progress().stage, Stage::Volume | Stage::Wal) {
            let findings = rig.scrubber.step(1).await.unwrap().findings;
            assert_eq!(findings, [], "seed {seed}");
            // The WAL moves on between two steps, too.
            let wanted = rig.storage.wal.figures().batches_written + random.below(20);
            while rig.storage.wal.figures().batches_written < wanted {
                drop(disk.root().list().await);
            }
        }
    }
}

/// Until the WAL is stopped.
async fn keep_appending(wal: &Wal<SimDirectory>, seed: u64) {
    let mut random = Random::new(seed);
    for index in 1.. {
        let length = usize::try_from(random.below(200_000)).unwrap();
        let record = Record { index, head: Bytes::new(), body: random.bytes(length).into() };
        if flushed(|done| wal.append(LOCAL, vec![record], done)).await.is_err() {
            return;
        }
        if random.below(8) == 0 {
            // An error here: the WAL was stopped.
            drop(flushed(|done| wal.purge(LOCAL, index, Bytes::new(), done)).await);
        }
    }
}

#[test]
fn bytes_that_their_owner_knows_to_be_others_are_a_finding() {
    block_on(async {
        let (disk, mut random) = (SimDisk::new(9), Random::new(9));
        drop(filled(&disk, &mut random).await);
        let rig = Rig::open(&disk).await;
        let (doubted, path, place) = rig.extents().await.swap_remove(7);
        drop(rig);
        let mut rig = Rig::open_for(&disk, Rc::new(Doubting(doubted.clone()))).await;
        let findings = rig.pass().await;
        assert!(!findings.is_empty());
        for finding in &findings {
            assert_eq!(finding.hit, Hit::Payload(doubted.clone()));
        }
        let location = format!("{path} at {}", place.start);
        assert!(findings.iter().any(|finding| finding.location.ends_with(&location)));
    });
}
