//! Whatever is done, reads agree with the model.

use bytes::Bytes;

use super::{
    KEY_COUNT, Model, all, beside_upkeep, body_of, check_live, contents, key, open, options,
    page_of, rig, segment_options, write,
};
use crate::{
    device::Directory,
    index::{
        Batch, Entry, Index, KEY_BYTES_MAX, Payload, ScanLimit, VALUE_BYTES_MAX, notify::give_way,
        pace::FlatOut, view::SCAN_KEYS_MAX,
    },
    segment::SegmentOptions,
    testing::{Random, SimDirectory, block_on},
};

#[test]
fn random_work_beside_upkeep_agrees_with_the_model() {
    for seed in 0..4 {
        block_on(async {
            let (disk, mut random) = rig(seed);
            let mut model = Model::new();
            for _life in 0..3 {
                let index = open(disk.reopen()).await.unwrap();
                let life = Box::pin(life(&index, &mut model, &mut random));
                beside_upkeep(&index, life).await.1.unwrap();
                index.flush().await.unwrap();
                assert_eq!(contents(&index, page_of(37)).await.unwrap(), model, "seed {seed}");
                check_live(&index).await;
            }
        });
    }
}

async fn life(index: &Index<SimDirectory>, model: &mut Model, random: &mut Random) {
    for _ in 0..250 {
        match random.below(20) {
            0 => {
                index.flush().await.unwrap();
            }
            1 => {
                let limit = ScanLimit {
                    entries: 1 + usize::try_from(random.below(50)).unwrap(),
                    bytes: 3000,
                };
                assert_eq!(contents(index, limit).await.unwrap(), *model);
            }
            2..8 => {
                let key = key(random.below(KEY_COUNT));
                let found = index.get(&key).await.unwrap();
                let found = match found {
                    None => None,
                    Some(entry) => {
                        Some((entry.value.to_vec(), body_of(index, &key, &entry).await.unwrap()))
                    }
                };
                assert_eq!(found.as_ref(), model.get(key.as_ref()));
            }
            _ => {
                let changes = 1 + random.below(12);
                write(index, model, random, changes).await.unwrap();
                if index.wants_flush() {
                    index.flush().await.unwrap();
                }
            }
        }
    }
}

#[test]
fn a_scan_is_the_state_at_its_call_while_batches_arrive() {
    for seed in 0..20 {
        block_on(async {
            let (disk, mut random) = rig(seed);
            let index = open(disk.root()).await.unwrap();
            index.write(put_all(0));
            index.flush().await.unwrap();
            let work = Box::pin(async {
                let writes = write_rounds(&index, &mut random);
                futures::future::join(writes, read_rounds(&index, seed)).await;
            });
            beside_upkeep(&index, work).await.1.unwrap();
        });
    }
}

/// Every key, with the number of the round as its value.
fn put_all(round: u64) -> Batch {
    let mut batch = Batch::default();
    for number in 0..KEY_COUNT {
        let value = Bytes::from(round.to_le_bytes().to_vec());
        batch.put(key(number), Entry { value, payload: Payload::None });
    }
    batch
}

async fn write_rounds(index: &Index<SimDirectory>, random: &mut Random) {
    for round in 1..12 {
        index.write(put_all(round));
        if random.coin() {
            index.flush().await.unwrap();
        } else {
            give_way().await;
        }
    }
}

async fn read_rounds(index: &Index<SimDirectory>, seed: u64) {
    let mut last = 0;
    for _ in 0..8 {
        let page = index.scan(all(), page_of(1000)).await.unwrap();
        assert_eq!(page.entries.len(), usize::try_from(KEY_COUNT).unwrap());
        let first = page.entries[0].1.value.clone();
        let whole = page.entries.iter().all(|(_, entry)| entry.value == first);
        assert!(whole, "seed {seed}: torn");
        let round = u64::from_le_bytes(first.as_ref().try_into().unwrap());
        assert!(round >= last, "seed {seed}: back in time");
        last = round;
    }
}

#[test]
fn a_view_stays_what_it_was() {
    block_on(async {
        let (disk, mut random) = rig(3);
        let index = open(disk.root()).await.unwrap();
        let mut model = Model::new();
        write(&index, &mut model, &mut random, 300).await.unwrap();
        let view = index.flush().await.unwrap();
        let before = model.clone();
        let work = Box::pin(async {
            for _ in 0..40 {
                write(&index, &mut model, &mut random, 60).await.unwrap();
                index.flush().await.unwrap();
            }
            for (key, (value, body)) in &before {
                let entry = view.get(key).await.unwrap().expect("it was there");
                assert_eq!(entry.value, value);
                let length = u32::try_from(entry.payload.length()).unwrap();
                let found = view.payload(key, &entry, 0..length).await.unwrap();
                assert_eq!(found.as_ref(), body.as_deref().unwrap_or_default());
            }
            let page = view.scan(all(), page_of(10_000)).await.unwrap();
            assert!(
                page.entries
                    .iter()
                    .map(|(key, _)| key.as_ref())
                    .eq(before.keys().map(Vec::as_slice))
            );
            assert!(
                index.figures().retired_count > 0,
                "the view held tables that compaction replaced"
            );
            drop(view);
        });
        beside_upkeep(&index, work).await.1.unwrap();
        index.flush().await.unwrap();
        check_live(&index).await;
        assert_eq!(contents(&index, page_of(100)).await.unwrap(), model);
    });
}

#[test]
fn a_get_of_a_flushed_key_reads_one_block_and_one_extent() {
    block_on(async {
        let (disk, mut random) = rig(4);
        let index = open(disk.root()).await.unwrap();
        let mut model = Model::new();
        for _ in 0..3 {
            write(&index, &mut model, &mut random, 200).await.unwrap();
        }
        index.flush().await.unwrap();
        for (key, (_, body)) in &model {
            let (tables, disk_reads) = (index.figures().table_reads, disk.io_count());
            let entry = index.get(key).await.unwrap().expect("it is there");
            body_of(&index, key, &entry).await.unwrap();
            assert!(index.figures().table_reads <= tables + 1);
            assert!(
                disk.io_count() <= disk_reads + 2,
                "{} bytes",
                body.as_ref().map_or(0, Vec::len)
            );
        }
    });
}

#[test]
fn flushes_that_wait_share_one() {
    block_on(async {
        let (disk, mut random) = rig(5);
        let index = open(disk.root()).await.unwrap();
        let mut model = Model::new();
        write(&index, &mut model, &mut random, 10).await.unwrap();
        let flushes = futures::future::join_all((0..8).map(|_| index.flush())).await;
        assert!(flushes.iter().all(Result::is_ok));
        // The first froze at once; the others arrived after that, and shared the second.
        assert!(index.figures().flushes <= 2);
    });
}

#[test]
fn memory_is_bounded_and_room_comes_with_a_flush() {
    block_on(async {
        let (disk, mut random) = rig(6);
        let index = open(disk.root()).await.unwrap();
        let mut model = Model::new();
        while !index.is_full() {
            write(&index, &mut model, &mut random, 20).await.unwrap();
        }
        assert!(index.wants_flush());
        let (room, flush) = futures::future::join(index.room(), index.flush()).await;
        room.unwrap();
        flush.unwrap();
        assert!(!index.is_full());
        contents(&index, page_of(50)).await.unwrap();
        assert!(index.figures().cache_bytes <= options().block_cache_bytes_max);
        index.stop();
        index.flush_wanted().await;
    });
}

#[test]
fn a_page_ends_early_among_very_many_tombstones() {
    block_on(async {
        let (disk, _) = rig(7);
        let index = open(disk.root()).await.unwrap();
        let mut batch = Batch::default();
        let key_count = SCAN_KEYS_MAX as u64 * 3 / 2;
        for number in 0..key_count {
            batch.delete(Bytes::from(format!("{number:08}")));
        }
        let entry = Entry { value: Bytes::new(), payload: Payload::None };
        batch.put(Bytes::from_static(b"last"), entry);
        index.write(batch);
        for _ in 0..2 {
            let first = index.scan(all(), page_of(10)).await.unwrap();
            assert!(first.entries.is_empty());
            let rest = first.next.unwrap()..all().end;
            let second = index.scan(rest, page_of(10)).await.unwrap();
            assert_eq!((second.entries.len(), second.next), (1, None));
            index.flush().await.unwrap();
        }
    });
}

#[test]
fn the_longest_keys_and_values_pass_through_every_step() {
    block_on(async {
        let (disk, mut random) = rig(8);
        let tables = disk.root().directory("tables").await.unwrap();
        let segments = disk.root().directory("segments").await.unwrap();
        let longer = SegmentOptions { segment_bytes: 3 << 20, ..segment_options() };
        let index = Index::open(tables, segments, options(), longer).await.unwrap();
        let mut model = Model::new();
        for number in 0..5_u8 {
            let mut batch = Batch::default();
            let mut key = vec![b'k'; KEY_BYTES_MAX];
            key[KEY_BYTES_MAX - 1] = number;
            let (value, body) = (random.bytes(VALUE_BYTES_MAX), random.bytes(VALUE_BYTES_MAX));
            model.insert(key.clone(), (value.clone(), Some(body.clone())));
            let payload = Payload::Inline(Bytes::from(body));
            batch.put(Bytes::from(key), Entry { value: Bytes::from(value), payload });
            index.write(batch);
            index.flush().await.unwrap();
        }
        while index.upkeep(&FlatOut).await.unwrap() {}
        assert!(index.figures().compactions > 0);
        let limit = ScanLimit { entries: 10, bytes: 1 };
        assert!(contents(&index, limit).await.unwrap() == model);
    });
}
