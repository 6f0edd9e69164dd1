//! Space that nothing refers to comes back: after overwrites, after deletes, and from half-empty segments.

use bytes::Bytes;

use super::{Model, beside_upkeep, check_live, contents, key, open, page_of, rig};
use crate::{
    index::{Batch, Entry, Index, Payload, pace::FlatOut},
    testing::{Fault, SimDirectory, SimDisk, block_on},
};

const BODY_BYTES: usize = 3000;

fn put(model: &mut Model, numbers: impl Iterator<Item = u64>, fill: u8) -> Batch {
    let mut batch = Batch::default();
    for number in numbers {
        let (value, body) = (vec![fill; 20], vec![fill; BODY_BYTES]);
        let payload = Payload::Inline(Bytes::from(body.clone()));
        batch.put(key(number), Entry { value: Bytes::from(value.clone()), payload });
        model.insert(key(number).to_vec(), (value, Some(body)));
    }
    batch
}

fn delete(model: &mut Model, numbers: impl Iterator<Item = u64>) -> Batch {
    let mut batch = Batch::default();
    for number in numbers {
        model.remove(key(number).as_ref());
        batch.delete(key(number));
    }
    batch
}

fn bytes_in(disk: &SimDisk, part: &str) -> u64 {
    disk.files().iter().filter(|(path, _)| path.contains(part)).map(|(_, bytes)| bytes).sum()
}

/// Lets upkeep run until there is nothing left to do.
async fn settle(index: &Index<SimDirectory>) {
    while index.upkeep(&FlatOut).await.unwrap() {}
    index.0.release().await.unwrap();
}

#[test]
fn fifty_overwrites_keep_segments_and_tables_bounded() {
    block_on(async {
        let (disk, _) = rig(1);
        let index = open(disk.root()).await.unwrap();
        let mut model = Model::new();
        let mut most = 0;
        let work = Box::pin(async {
            for round in 0..50 {
                index.write(put(&mut model, 0..60, round));
                index.flush().await.unwrap();
                most = most.max(bytes_in(&disk, "segment-"));
            }
        });
        beside_upkeep(&index, work).await.1.unwrap();
        let once = 60 * BODY_BYTES as u64;
        assert!(most < 12 * once, "{most} bytes of segments for {once}");
        settle(&index).await;
        assert!(bytes_in(&disk, "table-") < 200_000);
        assert_eq!(contents(&index, page_of(100)).await.unwrap(), model);
        check_live(&index).await;
    });
}

#[test]
fn deleting_everything_frees_everything() {
    block_on(async {
        let (disk, _) = rig(2);
        let index = open(disk.root()).await.unwrap();
        let mut model = Model::new();
        for round in 0..6 {
            index.write(put(&mut model, (0..400).filter(|number| number % 6 == round), 1));
            index.flush().await.unwrap();
            settle(&index).await;
        }
        assert!(index.figures().level_tables[1..].iter().sum::<usize>() > 1, "{index:?}");
        index.write(delete(&mut model, 0..400));
        index.flush().await.unwrap();
        settle(&index).await;
        let figures = index.figures();
        assert_eq!((figures.entry_count, figures.tombstone_count), (0, 0), "{figures:?}");
        assert_eq!(index.segments().figures().live_bytes, 0);
        assert_eq!(bytes_in(&disk, "table-"), 0);
    });
}

#[test]
fn a_thin_segment_is_reclaimed_and_its_entries_stay() {
    for seed in 0..10 {
        block_on(async {
            let (disk, _) = rig(seed);
            let index = open(disk.root()).await.unwrap();
            let mut model = Model::new();
            for part in 0..4 {
                index.write(put(&mut model, part * 100..part * 100 + 60, 1));
                index.flush().await.unwrap();
            }
            settle(&index).await;
            // Two of three go, evenly: no segment dies by itself.
            index.write(delete(&mut model, (0..400).filter(|number| number % 3 != 0)));
            index.flush().await.unwrap();
            settle(&index).await;
            assert!(index.figures().relocated_bytes > 0);
            let live = model.len() as u64 * BODY_BYTES as u64;
            let held = bytes_in(&disk, "segment-");
            // What is left of the segment being filled counts whole.
            assert!(held < 2 * live + (512 << 10), "{held} bytes for {live}");
            check_live(&index).await;
            assert_eq!(contents(&index, page_of(100)).await.unwrap(), model);
            disk.crash();
            let index = open(disk.reopen()).await.unwrap();
            assert_eq!(contents(&index, page_of(100)).await.unwrap(), model, "seed {seed}");
        });
    }
}

#[test]
fn a_tombstone_hides_older_tables_at_every_depth() {
    block_on(async {
        let (disk, _) = rig(3);
        let index = open(disk.root()).await.unwrap();
        let mut model = Model::new();
        for round in 0..20 {
            index.write(put(&mut model, 0..300, round));
            index.write(delete(
                &mut model,
                (0..300).filter(|number| number % 7 == u64::from(round) % 7),
            ));
            index.flush().await.unwrap();
            if round % 3 == 0 {
                settle(&index).await;
            }
            assert_eq!(contents(&index, page_of(100)).await.unwrap(), model, "round {round}");
        }
    });
}

/// An index that has tried to rewrite a segment, and met what was done to it.
struct Reclaimed {
    disk: SimDisk,
    index: Index<SimDirectory>,
    model: Model,
}

/// Fills a segment, has `fault` done to its file, deletes most of what is in it and lets upkeep meet that.
async fn reclaim_with(fault: impl FnOnce(&SimDisk, &str)) -> Reclaimed {
    let (disk, _) = rig(4);
    let index = open(disk.root()).await.unwrap();
    let mut model = Model::new();
    index.write(put(&mut model, 0..200, 1));
    index.flush().await.unwrap();
    let (path, _) = disk.files().into_iter().find(|(path, _)| path.contains("segment-")).unwrap();
    fault(&disk, &path);
    index.write(delete(&mut model, (1..200).filter(|number| number % 4 != 0)));
    index.flush().await.unwrap();
    settle(&index).await;
    assert!(!index.figures().damaged_segments.is_empty());
    Reclaimed { disk, index, model }
}

#[test]
fn a_damaged_extent_is_neither_moved_nor_dropped() {
    block_on(async {
        let Reclaimed { index, .. } = reclaim_with(|disk, path| disk.flip(path, 2000, 1)).await;
        let entry = index.get(&key(0)).await.unwrap().expect("its value is sound");
        let read = index.payload(&key(0), &entry, 0..3000).await;
        assert!(matches!(read, Err(crate::Error::Corrupt { .. })), "{read:?}");
        for number in (4..200).step_by(4) {
            let entry = index.get(&key(number)).await.unwrap().unwrap();
            assert_eq!(index.payload(&key(number), &entry, 0..3000).await.unwrap(), vec![1; 3000]);
        }
        check_live(&index).await;
    });
}

#[test]
fn what_the_device_can_not_read_stays_where_it_is_and_storage_goes_on() {
    block_on(async {
        let fault = |disk: &SimDisk, path: &str| disk.fail_within(path, 0, Fault::ReadError);
        let Reclaimed { disk, index, mut model } = reclaim_with(fault).await;
        index.write(put(&mut model, 300..301, 2));
        index.flush().await.unwrap();
        disk.heal();
        assert_eq!(contents(&index, page_of(100)).await.unwrap(), model);
    });
}

#[test]
fn a_payload_is_found_where_reclaim_moved_it_and_absent_once_deleted() {
    block_on(async {
        let (disk, _) = rig(5);
        let index = open(disk.root()).await.unwrap();
        let mut model = Model::new();
        index.write(put(&mut model, 0..200, 1));
        index.flush().await.unwrap();
        let mut entries = Vec::new();
        for number in 0..200 {
            entries.push((number, index.get(&key(number)).await.unwrap().unwrap()));
        }
        index.write(delete(&mut model, (0..200).filter(|number| number % 4 != 0)));
        index.flush().await.unwrap();
        settle(&index).await;
        let mut absent_count = 0;
        for (number, entry) in &entries {
            match index.payload(&key(*number), entry, 10..3000).await {
                Ok(body) => assert_eq!(body, vec![1; 2990]),
                Err(error) => {
                    assert!(matches!(error, crate::Error::Absent { .. }), "{error}");
                    assert_ne!(number % 4, 0, "an entry that is still there");
                    absent_count += 1;
                }
            }
        }
        assert!(absent_count > 0, "no segment was reclaimed");
    });
}
