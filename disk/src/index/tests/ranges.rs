//! A range goes by one record, at once, for good, and with all that it took; what saw it before goes on to see it.

use std::ops::Range;

use bytes::Bytes;

use super::{
    Model, all, beside_upkeep, check_live, contents, key, open, page_of, remove, rig, write,
};
use crate::{
    index::{Batch, Entry, Index, Payload, notify::give_way, pace::FlatOut},
    testing::{Random, SimDirectory, SimDisk, block_on},
};

fn some() -> Range<Bytes> {
    key(100)..key(300)
}

/// Tables in several levels.
async fn filled(disk: &SimDisk, index: &Index<SimDirectory>, seed: u64) -> Model {
    let (mut model, mut random) = (Model::new(), Random::new(seed));
    for _ in 0..6 {
        let changes = 150;
        write(index, &mut model, &mut random, changes).await.unwrap();
        index.flush().await.unwrap();
        while index.upkeep(&FlatOut).await.unwrap() {}
    }
    assert!(disk.files().iter().any(|(path, _)| path.contains("table-")));
    model
}

#[test]
fn it_is_gone_at_once_and_after_every_step_and_a_view_from_before_has_it_still() {
    for seed in 0..10 {
        block_on(async {
            let (disk, _) = rig(seed);
            let index = open(disk.root()).await.unwrap();
            let mut model = filled(&disk, &index, seed).await;
            let (before, view) = (model.clone(), index.flush().await.unwrap());
            // Some are in memory alone, and one comes back.
            index.write(one(150));
            index.write(one(500));
            remove(&index, &mut model, &some());
            index.write(one(160));
            for number in [160, 500] {
                model.insert(key(number).to_vec(), (b"value".to_vec(), None));
            }
            assert_eq!(contents(&index, page_of(17)).await.unwrap(), model, "seed {seed}");
            assert_eq!(index.get(&key(150)).await.unwrap(), None);
            index.flush().await.unwrap();
            assert_eq!(contents(&index, page_of(17)).await.unwrap(), model, "seed {seed}");
            assert_eq!(index.get(&key(151)).await.unwrap(), None);
            while index.upkeep(&FlatOut).await.unwrap() {}
            assert_eq!(index.figures().trimmed_tables, 0, "all are rewritten");
            assert_eq!(contents(&index, page_of(17)).await.unwrap(), model, "seed {seed}");
            let seen = view.scan(all(), page_of(1000)).await.unwrap().entries;
            let seen: Vec<_> = seen.into_iter().map(|(key, _)| key.to_vec()).collect();
            assert_eq!(seen, before.into_keys().collect::<Vec<_>>(), "seed {seed}: the view");
            drop(view);
            index.0.release().await.unwrap();
            check_live(&index).await;
        });
    }
}

fn one(number: u64) -> Batch {
    let mut batch = Batch::default();
    let entry = Entry { value: Bytes::from_static(b"value"), payload: Payload::None };
    batch.put(key(number), entry);
    batch
}

#[test]
fn a_restart_knows_what_is_hidden_in_tables_that_are_not_rewritten() {
    for seed in 0..10 {
        block_on(async {
            let (disk, _) = rig(seed);
            let index = open(disk.root()).await.unwrap();
            let mut model = filled(&disk, &index, seed).await;
            remove(&index, &mut model, &some());
            index.flush().await.unwrap();
            assert!(index.figures().trimmed_tables > 0, "seed {seed}: they reach out of the range");
            drop(index);
            disk.crash();
            // The second start reads what the first has written anew.
            for _ in 0..2 {
                let index = open(disk.reopen()).await.unwrap();
                assert_eq!(contents(&index, page_of(17)).await.unwrap(), model, "seed {seed}");
                assert!(index.figures().trimmed_tables > 0);
            }
            let index = open(disk.reopen()).await.unwrap();
            while index.upkeep(&FlatOut).await.unwrap() {}
            assert_eq!(index.figures().trimmed_tables, 0);
            assert_eq!(contents(&index, page_of(17)).await.unwrap(), model, "seed {seed}");
            check_live(&index).await;
        });
    }
}

#[test]
fn all_of_it_goes_without_a_read_and_gives_back_tables_and_segments() {
    block_on(async {
        let (disk, _) = rig(5);
        let index = open(disk.root()).await.unwrap();
        let mut model = filled(&disk, &index, 5).await;
        assert!(index.segments().figures().live_bytes > 0);
        let reads = index.figures().table_reads;
        remove(&index, &mut model, &all());
        assert!(index.space().needed_bytes < index.segments().figures().live_bytes);
        drop(index.flush().await.unwrap());
        let figures = index.figures();
        assert_eq!(figures.table_reads, reads);
        assert_eq!(figures.level_tables.iter().sum::<usize>(), 0);
        assert_eq!(index.segments().figures().live_bytes, 0);
        let tables = disk.files().iter().filter(|(path, _)| path.contains("table-")).count();
        assert_eq!(tables, 0);
        assert!(contents(&index, page_of(17)).await.unwrap().is_empty());
    });
}

#[test]
fn a_compaction_under_way_does_not_bring_it_back() {
    for seed in 0..30 {
        block_on(async {
            let (disk, mut random) = rig(seed);
            let index = open(disk.root()).await.unwrap();
            let mut model = Model::new();
            let work = Box::pin(remove_often(&index, &mut model, &mut random));
            beside_upkeep(&index, work).await.1.unwrap();
            assert_eq!(contents(&index, page_of(17)).await.unwrap(), model, "seed {seed}");
            drop(index);
            let index = open(disk.reopen()).await.unwrap();
            assert_eq!(contents(&index, page_of(17)).await.unwrap(), model, "seed {seed}");
        });
    }
}

async fn remove_often(index: &Index<SimDirectory>, model: &mut Model, random: &mut Random) {
    for round in 0..12 {
        write(index, model, random, 150).await.unwrap();
        index.flush().await.unwrap();
        for _ in 0..random.below(6) {
            give_way().await;
        }
        remove(index, model, &(key(round * 20)..key(round * 20 + 200)));
        index.flush().await.unwrap();
    }
}
