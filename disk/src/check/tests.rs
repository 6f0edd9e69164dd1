use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Damage, Notice, ShardFacts, ShardFiles, Taken};
use crate::{
    device::Directory,
    error::Error,
    index::{Batch, Entry, Payload},
    owner::Unknowing,
    storage::{MEMORY_BYTES_MIN, Storage, StorageOptions},
    testing::{SimDisk, block_on},
    wal::{Record, flushed},
};

const IDENTITY: u64 = 7;
const KEY_COUNT: usize = 300;

fn key(number: usize) -> Bytes {
    Bytes::from(format!("key-{number:05}"))
}

/// A shard with a table whose even keys have their payload in a segment, and a log of one record.
fn shard(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    block_on(async {
        let options = StorageOptions {
            memory_bytes: MEMORY_BYTES_MIN,
            chunk_cache_bytes: 0,
            wal_segment_bytes: 64 << 10,
            segment_bytes: 1 << 20,
            wal_identity: IDENTITY,
        };
        let storage = Storage::open(disk.root(), options).await.unwrap();
        let work = async {
            let body = Bytes::from(vec![9; 5000]);
            for index in 1..4 {
                let record = Record { index, head: Bytes::new(), body: body.clone() };
                flushed(|done| storage.wal.append(1, vec![record], done)).await.unwrap();
            }
            let mut batch = Batch::default();
            for number in 0..KEY_COUNT {
                let length = if number % 2 == 0 { 700 } else { 7 };
                let payload = Payload::Inline(Bytes::from(vec![3; length]));
                batch.put(key(number), Entry { value: Bytes::from(vec![1; 90]), payload });
            }
            storage.index.write(batch);
            storage.index.flush().await.unwrap();
            storage.wal.stop();
        };
        let (ran, ()) = futures::join!(storage.wal.run(), work);
        ran.unwrap();
    });
    disk
}

fn check(disk: &SimDisk) -> (ShardFacts, Vec<Damage>) {
    let mut damages = Vec::new();
    let facts = block_on(async {
        let files = ShardFiles::open(disk.root(), IDENTITY).await;
        let mut tell = |notice| {
            if let Notice::Damaged(damage) = notice {
                damages.push(damage);
            }
        };
        files.check(&Unknowing, &mut tell).await
    });
    (facts, damages)
}

fn file(disk: &SimDisk, part: &str) -> (String, u64) {
    disk.files().into_iter().find(|(name, _)| name.contains(part)).expect("it is there")
}

#[test]
fn a_sound_shard_has_no_damage_and_is_left_as_it_was() {
    let disk = shard(1);
    let state = |disk: &SimDisk| {
        let files = disk.files();
        files.into_iter().map(|(name, _)| (disk.bytes(&name), name)).collect::<Vec<_>>()
    };
    let before = state(&disk);
    let (facts, damages) = check(&disk);
    assert_eq!(damages, []);
    let extent_count = u64::try_from(KEY_COUNT / 2).unwrap();
    assert_eq!((facts.table_count, facts.entry_count), (1, 2 * extent_count));
    assert_eq!(facts.extent_count, extent_count);
    assert_eq!(facts.wal.unwrap().record_count, 3);
    assert!(state(&disk) == before, "a check changes nothing");
}

/// Flips a byte at each place of the first file of this kind, and says for which of them no damage was found.
fn missed(part: &str, step: usize) -> Vec<usize> {
    let disk = shard(2);
    let (name, bytes) = file(&disk, part);
    let mut missed = Vec::new();
    for offset in (0..usize::try_from(bytes).unwrap()).step_by(step) {
        let at = u64::try_from(offset).unwrap();
        disk.flip(&name, at, 0x20);
        if check(&disk).1.is_empty() {
            missed.push(offset);
        }
        disk.flip(&name, at, 0x20);
    }
    missed
}

#[test]
fn every_byte_of_a_table_that_means_something_is_verified() {
    let disk = shard(2);
    let (name, _) = file(&disk, "table-");
    let content = disk.bytes(&name);
    for offset in missed("table-", 7) {
        assert_eq!(content[offset], 0, "byte {offset} of {name}");
        let near = &content[offset.saturating_sub(4)..(offset + 4).min(content.len())];
        assert!(near.iter().filter(|byte| **byte != 0).count() < 4, "{offset} isn't padding");
    }
}

#[test]
fn a_damaged_extent_takes_exactly_its_key_along() {
    let disk = shard(3);
    let (name, _) = file(&disk, "segment-");
    let content = disk.bytes(&name);
    let mut hit = BTreeSet::new();
    for offset in (0..content.len()).filter(|at| content[*at] == 3).step_by(97) {
        let at = u64::try_from(offset).unwrap();
        disk.flip(&name, at, 1);
        let (_, damages) = check(&disk);
        disk.flip(&name, at, 1);
        let [Damage { error: Error::Corrupt { location, .. }, taken: Taken::Payload(key) }] =
            damages.as_slice()
        else {
            unreachable!("a flip at {offset}: {damages:?}");
        };
        assert!(location.contains(&name), "{location}");
        hit.insert(key.clone());
    }
    assert!(hit.len() > KEY_COUNT / 4, "{} keys", hit.len());
}

#[test]
fn a_damaged_block_takes_its_keys_along_and_no_others() {
    let disk = shard(4);
    let (name, _) = file(&disk, "table-");
    // Behind the header of the first frame.
    disk.flip(&name, 100, 1);
    let (facts, damages) = check(&disk);
    let [Damage { error, taken: Taken::Keys { after: None, upto } }] = damages.as_slice() else {
        unreachable!("{damages:?}");
    };
    assert!(error.to_string().contains(&format!("{name} at 0")), "{error}");
    assert!(*upto < key(KEY_COUNT - 1), "{upto:?}");
    let taken = (0..KEY_COUNT).filter(|number| key(*number) <= *upto).count();
    assert_eq!(facts.entry_count, u64::try_from(KEY_COUNT - taken).unwrap());
}

async fn remove(disk: &SimDisk, path: &str) {
    let (folder, short) = path.rsplit_once('/').unwrap();
    let folder = disk.root().directory(folder).await.unwrap();
    folder.remove(short).await.unwrap();
}

#[test]
fn a_missing_segment_takes_the_payloads_in_it_and_the_shard_opens() {
    let disk = shard(5);
    let (name, _) = file(&disk, "segment-");
    block_on(remove(&disk, &name));
    let (_, damages) = check(&disk);
    let [Damage { error: error @ Error::Corrupt { .. }, taken: Taken::Payloads(keys) }] =
        damages.as_slice()
    else {
        unreachable!("{damages:?}");
    };
    assert!(error.to_string().contains(&name), "{error}");
    assert!(keys.iter().cloned().eq((0..KEY_COUNT).step_by(2).map(key)), "{keys:?}");
    block_on(async {
        let options = StorageOptions { wal_identity: IDENTITY, ..StorageOptions::default() };
        let storage = Storage::open(disk.root(), options).await.unwrap();
        let read = async |number| {
            let entry = storage.index.get(&key(number)).await.unwrap().unwrap();
            storage.index.payload(&key(number), &entry, 0..7).await
        };
        assert_eq!(read(0).await.unwrap_err(), *error);
        assert_eq!(read(1).await.unwrap(), [3; 7].as_slice());
        // What is written again is whole again, and upkeep goes on around the rest.
        let mut batch = Batch::default();
        let payload = Payload::Inline(Bytes::from(vec![4; 700]));
        batch.put(key(0), Entry { value: Bytes::new(), payload });
        storage.index.write(batch);
        storage.index.flush().await.unwrap();
        assert_eq!(read(0).await.unwrap(), [4; 7].as_slice());
        assert_eq!(read(2).await.unwrap_err(), *error);
        // Set aside, nothing is left of it, also not what was overwritten.
        let excision = storage.index.excision(&BTreeSet::new(), &Unknowing).await.unwrap();
        assert!(excision.lost.iter().map(|(key, _)| key).eq(keys.iter().skip(1)));
        storage.index.excise(excision).await.unwrap();
        assert_eq!(read(0).await.unwrap(), [4; 7].as_slice());
        assert_eq!(storage.index.get(&key(2)).await.unwrap(), None);
    });
    assert_eq!(check(&disk).1, []);
}

#[test]
fn a_missing_table_or_footer_takes_the_keys_of_the_table_and_the_shard_opens() {
    for part in ["file", "footer"] {
        let disk = shard(5);
        let (name, bytes) = file(&disk, "table-");
        match part {
            "file" => block_on(remove(&disk, &name)),
            _ => disk.flip(&name, bytes - 4096 + 9, 1),
        }
        let (facts, damages) = check(&disk);
        let [Damage { error, taken: Taken::Keys { after: None, upto } }] = damages.as_slice()
        else {
            unreachable!("{part}: {damages:?}");
        };
        assert!(error.to_string().contains(&name) && *upto == key(KEY_COUNT - 1), "{error}");
        // Without a footer, entries and what they refer to are looked at all the same.
        let entry_count = if part == "file" { 0 } else { u64::try_from(KEY_COUNT).unwrap() };
        assert_eq!(facts.entry_count, entry_count);
        let options = StorageOptions { wal_identity: IDENTITY, ..StorageOptions::default() };
        let storage = block_on(Storage::open(disk.root(), options)).unwrap();
        assert_eq!(block_on(storage.index.get(&key(1))).unwrap_err(), *error);
    }
}

#[test]
fn damage_in_the_log_or_in_both_manifests_takes_the_shard() {
    let edit = 3 * 4096 + 40;
    for (parts, offset) in
        [(["wal-"].as_slice(), 70), (["manifest-0", "manifest-copy-"].as_slice(), edit)]
    {
        let disk = shard(6);
        let name = parts.iter().map(|part| {
            let (name, _) = file(&disk, part);
            disk.flip(&name, offset, 1);
            name
        });
        let name = name.collect::<Vec<_>>().swap_remove(0);
        let (_, damages) = check(&disk);
        let [Damage { error: Error::Corrupt { location, .. }, taken }] = damages.as_slice() else {
            unreachable!("{name}: {damages:?}");
        };
        assert!(location.contains(&name), "{location}");
        assert_eq!(*taken, if name.contains("wal-") { Taken::Log } else { Taken::Shard });
    }
}

#[test]
fn damage_in_one_of_two_manifests_takes_nothing_along_and_the_next_opening_mends_it() {
    for part in ["manifest-0", "manifest-copy-"] {
        for harm in ["flip", "remove"] {
            let disk = shard(6);
            let (name, _) = file(&disk, part);
            match harm {
                "flip" => disk.flip(&name, 3 * 4096 + 40, 1),
                _ => block_on(remove(&disk, &name)),
            }
            let (facts, damages) = check(&disk);
            let [Damage { error: Error::Corrupt { location, .. }, taken: Taken::Twin }] =
                damages.as_slice()
            else {
                unreachable!("{harm} {part}: {damages:?}");
            };
            assert!(location.contains(&name), "{location}");
            assert_eq!(facts.entry_count, u64::try_from(KEY_COUNT).unwrap());
            let options = StorageOptions { wal_identity: IDENTITY, ..StorageOptions::default() };
            drop(block_on(Storage::open(disk.root(), options)).unwrap());
            assert_eq!(check(&disk).1, [], "{harm} {part}");
        }
    }
}
