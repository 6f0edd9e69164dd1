//! Of a damaged log everything is read that is whole, and nothing else; a new one takes its place at once or not at all.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{append, record, session, small};
use crate::{
    device::Directory,
    error::Error,
    testing::{Fault, Random, SimDirectory, SimDisk, block_on},
    wal::{Kept, Salvage, Slot, flushed},
};

/// Appends of two groups in turn, several a batch, over several segments.
fn filled(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    session(&disk, small(), async |wal| {
        for round in 0..30 {
            let first = 3 * round + 1;
            let records = (first..first + 3).map(|index| record(index, 1000)).collect();
            let one = append(wal, 1, records);
            let other = append(wal, 2, vec![record(round + 1, 2500)]);
            let vote = Bytes::from(format!("vote {round}"));
            let voted = flushed(|done| wal.put(2, Slot::Vote, vote, done));
            let done = futures::join!(one, other, voted);
            assert_eq!(done, (Ok(()), Ok(()), Ok(())));
        }
    })
    .unwrap();
    disk
}

fn salvage(disk: &SimDisk) -> Salvage<SimDirectory> {
    block_on(Salvage::open(disk.reopen(), small())).unwrap()
}

/// What can be read, by group and index; each as it was written.
fn read(salvaged: &Salvage<SimDirectory>) -> BTreeMap<u32, Vec<u64>> {
    let mut found = BTreeMap::new();
    for group in salvaged.groups() {
        let indexes = salvaged.indexes(group);
        for index in &indexes {
            let expected = record(*index, if group == 1 { 1000 } else { 2500 });
            assert_eq!(block_on(salvaged.read(group, *index)).unwrap(), expected);
        }
        found.insert(group, indexes);
    }
    found
}

/// A file, the offset of a batch in it, and those of its records.
type Batch = (String, u64, Vec<u64>);

/// The batches of a disk's log: file, offset, and where each of their records begins.
fn batches(disk: &SimDisk) -> Vec<Batch> {
    let mut found = Vec::new();
    for (name, length) in disk.files() {
        let bytes = disk.bytes(&name);
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let mut at = 0;
        while at < usize::try_from(length).unwrap() && &bytes[at..at + 8] == b"ANODEWAL" {
            let mut record_at = at + 64;
            let mut records = Vec::new();
            for _ in 0..word(at + 52) {
                records.push(record_at as u64);
                record_at += 28 + word(record_at + 16) + word(record_at + 20);
            }
            found.push((name.clone(), at as u64, records));
            at += word(at + 48).next_multiple_of(4096);
        }
    }
    found
}

#[test]
fn of_a_sound_log_all_is_read_and_nothing_is_missing() {
    let salvaged = salvage(&filled(1));
    assert_eq!((salvaged.damages(), salvaged.lost().batch_count), (&[][..], 0));
    let found = read(&salvaged);
    assert_eq!(found, BTreeMap::from([(1, (1..=90).collect()), (2, (1..=30).collect())]));
    assert_eq!(salvaged.slot(2, Slot::Vote).unwrap(), "vote 29");
}

#[test]
fn damage_takes_no_more_than_the_record_that_it_is_in() {
    let disk = filled(2);
    let sound = read(&salvage(&disk));
    let count = |found: &BTreeMap<u32, Vec<u64>>| found.values().map(Vec::len).sum::<usize>();
    for (name, _, records) in batches(&disk).iter().filter(|(_, _, records)| !records.is_empty()) {
        // The body of each record, but for those that are slots' values.
        for start in records {
            disk.flip(name, start + 30, 1);
            let salvaged = salvage(&disk);
            let lost = salvaged.lost();
            assert_eq!(
                (lost.batch_count, lost.record_count_max),
                (1, 1),
                "{:?}",
                salvaged.damages()
            );
            assert!(count(&sound) - count(&read(&salvaged)) <= 1);
            disk.flip(name, start + 30, 1);
        }
        // A length: nobody knows where the next record begins.
        let (first, rest) = records.split_first().unwrap();
        disk.flip(name, first + 20, 1);
        let salvaged = salvage(&disk);
        assert_eq!(salvaged.lost().record_count_max, 1 + rest.len() as u64);
        disk.flip(name, first + 20, 1);
    }
}

#[test]
fn a_lost_header_takes_its_batch_and_no_other_along() {
    let disk = filled(3);
    let sound = read(&salvage(&disk));
    let all = batches(&disk);
    for (number, (name, at, records)) in all.iter().enumerate() {
        disk.flip(name, at + 20, 1);
        let salvaged = salvage(&disk);
        let found = read(&salvaged);
        let missing: usize = sound
            .iter()
            .map(|(group, indexes)| indexes.len() - found.get(group).map_or(0, Vec::len))
            .sum();
        assert!(missing <= records.len(), "batch {number}");
        let is_last = number + 1 == all.len();
        // The mark at the end tells of nothing but the batch before.
        // How many were ahead of the first that is left, nobody knows: no more than sectors.
        let most = if number == 0 { all[1].1 / 4096 } else { 1 };
        let lost = salvaged.lost().batch_count;
        assert!(lost <= most && (lost > 0) != is_last, "batch {number}: {lost}");
        assert_eq!(salvaged.damages().len(), usize::from(!is_last));
        if let [Error::Corrupt { location, .. }] = salvaged.damages() {
            assert!(location.ends_with(&format!("{name} at {at}")), "{location}");
        }
        for (group, indexes) in &found {
            let end = salvaged.unbroken_end(*group, 1);
            let unbroken =
                indexes.iter().zip(1..).take_while(|(index, expected)| *index == expected);
            assert_eq!(end, 1 + unbroken.count() as u64);
        }
        disk.flip(name, at + 20, 1);
    }
}

#[test]
fn missing_files_and_bad_sectors_are_gaps() {
    let disk = filled(4);
    let names: Vec<String> = batches(&disk).into_iter().map(|(name, _, _)| name).collect();
    for name in names.iter().collect::<std::collections::BTreeSet<_>>() {
        let copy = disk.copy(1);
        block_on(copy.root().remove(name)).unwrap();
        let salvaged = salvage(&copy);
        let is_last = Some(name) == names.last();
        assert_eq!(salvaged.damages().is_empty(), is_last, "{name}");
        read(&salvaged);
    }
    let copy = disk.copy(2);
    copy.fail_within(&names[0], 0, Fault::ReadError);
    let salvaged = salvage(&copy);
    copy.heal();
    assert!(!salvaged.damages().is_empty() && read(&salvaged)[&1].len() < 90);
}

#[test]
fn a_torn_tail_is_no_damage() {
    let disk = filled(5);
    session(&disk, small(), async |wal| {
        append(wal, 1, vec![record(91, 1000)]).await.unwrap();
        append(wal, 1, vec![record(92, 1000)]).await.unwrap();
        disk.crash();
    })
    .unwrap_err();
    let (name, at, _) =
        batches(&disk).into_iter().rfind(|(_, _, records)| !records.is_empty()).unwrap();
    disk.flip(&name, at + 200, 1);
    let salvaged = salvage(&disk);
    assert_eq!(salvaged.damages(), []);
    assert_eq!(read(&salvaged)[&1].last(), Some(&91));
}

#[test]
fn what_a_recovery_has_dropped_stays_dropped() {
    let disk = filled(8);
    session(&disk, small(), async |wal| {
        append(wal, 1, vec![record(91, 1000)]).await.unwrap();
        append(wal, 1, vec![record(92, 9000), record(93, 10)]).await.unwrap();
        disk.crash();
    })
    .unwrap_err();
    let last = |disk: &SimDisk| {
        batches(disk).into_iter().rfind(|(_, _, records)| !records.is_empty()).unwrap()
    };
    let (name, _, records) = last(&disk);
    disk.flip(&name, records[1] + 30, 1);
    // The batch of the same number in the next segment takes its place; and is lost.
    session(&disk, small(), async |wal| {
        assert_eq!(wal.range(1), Some((1, 91)));
        append(wal, 1, vec![record(92, 1000)]).await.unwrap();
        append(wal, 1, vec![record(93, 1000)]).await.unwrap();
    })
    .unwrap();
    let all = batches(&disk);
    let (name, at, _) = &all[all.len() - 3];
    disk.flip(name, at + 20, 1);
    let salvaged = salvage(&disk);
    assert_eq!((salvaged.damages().len(), salvaged.lost().batch_count), (1, 1));
    assert_eq!(salvaged.unbroken_end(1, 1), 92);
    assert_eq!(read(&salvaged)[&1].last(), Some(&93));
}

#[test]
fn what_is_kept_can_be_read_as_a_log_that_takes_nothing() {
    let disk = filled(6);
    let all = batches(&disk);
    let (name, at, _) = &all[all.len() / 2];
    disk.flip(name, at + 20, 1);
    let salvaged = salvage(&disk);
    let purged = Some(Bytes::from_static(b"upto 4"));
    let kept = [
        Kept { group: 1, from: 5, purged: purged.clone() },
        Kept { group: 2, from: 1000, purged: purged.clone() },
    ];
    let wal = salvaged.wal(disk.root(), &kept);
    let end = salvaged.unbroken_end(1, 5);
    assert!(5 < end && end < 90);
    assert_eq!((wal.range(1), wal.range(2)), (Some((5, end - 1)), None));
    assert_eq!((wal.slot(1, Slot::Purged), wal.slot(2, Slot::Purged)), (purged.clone(), purged));
    let read = block_on(wal.read(1, 5..end, usize::MAX)).unwrap();
    assert_eq!(read, (5..end).map(|index| record(index, 1000)).collect::<Vec<_>>());
    let refused = block_on(append(&wal, 1, vec![record(end, 10)]));
    assert_eq!(refused, Err(Error::Stopped));
}

#[test]
fn a_new_log_is_there_at_once_or_not_at_all() {
    let values = [(1, Slot::Vote), (1, Slot::Purged), (2, Slot::Committed)];
    let values =
        values.map(|(group, slot)| (group, slot, Bytes::from(format!("{group} {slot:?}"))));
    let mut crashed_before = 0;
    for nth_io in 0..60 {
        let disk = filled(7);
        let all = batches(&disk);
        let chosen = Random::new(nth_io).below(all.len() as u64 / 2);
        let (name, at, _) = &all[usize::try_from(chosen).unwrap()];
        disk.flip(name, at + 20, 1);
        let salvaged = salvage(&disk);
        disk.crash_at(disk.io_count() + nth_io);
        let renewed = block_on(salvaged.renew(&values));
        drop(salvaged);
        if renewed.is_err() {
            disk.crash();
        }
        disk.heal();
        let found = session(&disk, small(), async |wal| {
            let slots = values.each_ref().map(|(group, slot, _)| wal.slot(*group, *slot));
            assert!(wal.range(1).is_none() && wal.range(2).is_none());
            append(wal, 1, vec![record(91, 1000)]).await.unwrap();
            slots
        });
        match found {
            Ok(found) => {
                assert_eq!(
                    found.map(Option::unwrap),
                    values.each_ref().map(|(_, _, value)| value.clone())
                );
                let last = session(&disk, small(), async |wal| wal.range(1)).unwrap();
                assert_eq!(last, Some((91, 91)));
            }
            Err(Error::Corrupt { location, .. }) => {
                crashed_before += 1;
                assert!(renewed.is_err() && location.contains(name), "{location}");
                // Another try ends it.
                let salvaged = salvage(&disk);
                block_on(salvaged.renew(&values)).unwrap();
                session(&disk, small(), async |wal| assert!(wal.slot(1, Slot::Vote).is_some()))
                    .unwrap();
            }
            Err(error) => unreachable!("{error}"),
        }
    }
    assert!(crashed_before > 2, "{crashed_before}");
}
