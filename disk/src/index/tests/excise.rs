//! After an excision all that is left can be read; it has every key that was not hit, and nothing older than it was.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Model, check_live, contents, key, open, page_of, rig, write};
use crate::{
    device::{Device, Directory, Durability, Fill},
    index::{Batch, Entry, Excision, Gap, Index, Payload, pace::FlatOut},
    owner::Unknowing,
    testing::{Random, SimDirectory, SimDisk, block_on},
};

/// Tables in several levels, with older changes of keys under newer ones, and where the last of them are.
pub(super) async fn filled(disk: &SimDisk, seed: u64) -> Model {
    let index = open(disk.root()).await.unwrap();
    let (mut model, mut random) = (Model::new(), Random::new(seed));
    for round in 0..8 {
        write(&index, &mut model, &mut random, 150).await.unwrap();
        index.flush().await.unwrap();
        while round % 3 == 2 && index.upkeep(&FlatOut).await.unwrap() {}
    }
    model
}

fn all_keys() -> BTreeSet<Bytes> {
    (0..super::KEY_COUNT).map(key).collect()
}

/// Flips some bytes of the files of this kind.
fn damage(disk: &SimDisk, random: &mut Random, part: &str, count: u64) {
    let files: Vec<_> = disk.files().into_iter().filter(|(name, _)| name.contains(part)).collect();
    for _ in 0..count {
        let chosen = usize::try_from(random.below(files.len() as u64)).unwrap();
        let (name, bytes) = &files[chosen];
        disk.flip(name, random.below(*bytes), 1 << random.below(8));
    }
}

fn may_be_gone(excision: &Excision<SimDirectory>) -> impl Fn(&[u8]) -> bool + use<> {
    let lost: BTreeSet<Bytes> = excision.lost.iter().map(|(key, _)| key.clone()).collect();
    let gaps = excision.gaps.clone();
    let is_in = |gap: &Gap, key: &[u8]| gap.first <= key && key <= gap.upto && gap.may_hold(key);
    move |key| lost.contains(key) || gaps.iter().any(|gap| is_in(gap, key))
}

/// Excises, and says how many keys are gone for it.
async fn excise(disk: &SimDisk, model: &Model) -> usize {
    let index = open(disk.reopen()).await.unwrap();
    let excision = index.excision(&all_keys(), &Unknowing).await.unwrap();
    let may_be_gone = may_be_gone(&excision);
    if !excision.is_empty() {
        index.excise(excision).await.unwrap();
    }
    let left = check(&index, model, &may_be_gone).await;
    drop(index);
    // What is durable is the same.
    let index = open(disk.reopen()).await.unwrap();
    assert_eq!(check(&index, model, &may_be_gone).await, left);
    while index.upkeep(&FlatOut).await.unwrap() {}
    assert_eq!(check(&index, model, &may_be_gone).await, left);
    model.len() - left
}

async fn check(
    index: &Index<SimDirectory>,
    model: &Model,
    may_be_gone: &impl Fn(&[u8]) -> bool,
) -> usize {
    let again = index.excision(&all_keys(), &Unknowing).await.unwrap();
    assert!(again.is_empty() && again.gaps.is_empty(), "{again:?}");
    check_live(index).await;
    let found = contents(index, page_of(17)).await.unwrap();
    for (key, held) in &found {
        assert_eq!(Some(held), model.get(key), "{}", key.escape_ascii());
    }
    for key in model.keys().filter(|key| !found.contains_key(*key)) {
        assert!(may_be_gone(key), "{} is gone for nothing", key.escape_ascii());
    }
    found.len()
}

#[test]
fn damaged_blocks_take_their_keys_along_and_nothing_older_shows() {
    let mut gone = 0;
    for seed in 0..40 {
        block_on(async {
            let (disk, mut random) = rig(seed);
            let model = filled(&disk, seed).await;
            damage(&disk, &mut random, "table-", 1 + seed % 4);
            gone += excise(&disk, &model).await;
        });
    }
    assert!(gone > 100, "{gone}");
}

#[test]
fn damaged_payloads_take_their_own_keys_along() {
    let mut gone = 0;
    for seed in 100..120 {
        block_on(async {
            let (disk, mut random) = rig(seed);
            let model = filled(&disk, seed).await;
            damage(&disk, &mut random, "segment-", 40);
            let lost = excise(&disk, &model).await;
            assert!(lost <= 40, "{lost}");
            gone += lost;
        });
    }
    assert!(gone > 20, "{gone}");
}

#[test]
fn a_damaged_filter_or_block_index_takes_nothing_along() {
    block_on(async {
        let (disk, _) = rig(7);
        let index = open(disk.root()).await.unwrap();
        let mut batch = Batch::default();
        for number in 0..super::KEY_COUNT {
            let payload = Payload::Inline(Bytes::from(vec![5; 100]));
            batch.put(key(number), Entry { value: Bytes::from(vec![1; 40]), payload });
        }
        index.write(batch);
        index.flush().await.unwrap();
        let model = contents(&index, page_of(50)).await.unwrap();
        let table = std::rc::Rc::clone(index.0.state.borrow().version.tables().next().unwrap());
        let places = [table.data_bytes() + 30, table.index_offset() + 30];
        drop((table, index));
        let files = disk.files();
        let (name, _) = files.iter().find(|(name, _)| name.contains("table-")).unwrap();
        for place in places {
            disk.flip(name, place, 4);
        }
        assert_eq!(excise(&disk, &model).await, 0);
        let after = disk.files();
        assert!(after.iter().all(|(other, _)| other != name), "it was written again");
    });
}

#[test]
fn a_damaged_footer_takes_nothing_along() {
    for seed in 0..20 {
        block_on(async {
            let (disk, mut random) = rig(seed);
            let model = filled(&disk, seed).await;
            for (name, bytes) in disk.files().iter().filter(|(name, _)| name.contains("table-")) {
                if random.below(3) > 0 {
                    disk.flip(name, bytes - 4096 + random.below(64), 8);
                }
            }
            assert_eq!(excise(&disk, &model).await, 0, "seed {seed}");
        });
    }
}

#[test]
fn a_missing_table_takes_its_keys_along_and_nothing_older_shows() {
    let mut gone = 0;
    for seed in 0..20 {
        block_on(async {
            let (disk, mut random) = rig(seed);
            let model = filled(&disk, seed).await;
            let files = disk.files().into_iter().filter(|(name, _)| name.contains("table-"));
            let files: Vec<_> = files.collect();
            let chosen = usize::try_from(random.below(files.len() as u64)).unwrap();
            remove(&disk, &files[chosen].0).await;
            gone += excise(&disk, &model).await;
        });
    }
    assert!(gone > 100, "{gone}");
}

async fn remove(disk: &SimDisk, path: &str) {
    let (folder, name) = path.rsplit_once('/').unwrap();
    let folder = disk.root().directory(folder).await.unwrap();
    folder.remove(name).await.unwrap();
    folder.sync().await.unwrap();
}

#[test]
fn a_table_that_was_cut_short_loses_what_is_behind() {
    block_on(async {
        let (disk, _) = rig(5);
        let model = filled(&disk, 5).await;
        let files = disk.files();
        let (name, bytes) = files
            .iter()
            .filter(|(name, _)| name.contains("table-"))
            .max_by_key(|file| file.1)
            .unwrap();
        let content = disk.bytes(name);
        remove(&disk, name).await;
        let (folder, short) = name.rsplit_once('/').unwrap();
        let folder = disk.root().directory(folder).await.unwrap();
        let half = bytes / 2 / 4096 * 4096;
        let file = folder.create(short, Fill::Zeros(half), Durability::AtSync).await.unwrap();
        file.sync().await.unwrap();
        folder.sync().await.unwrap();
        disk.patch(name, 0, &content[..usize::try_from(half).unwrap()]);
        let gone = excise(&disk, &model).await;
        assert!((1..model.len() / 2).contains(&gone), "{gone} of {}", model.len());
    });
}

#[test]
fn a_crash_leaves_all_of_it_or_nothing() {
    for seed in 0..30 {
        block_on(async {
            let (disk, mut random) = rig(seed);
            let model = filled(&disk, seed).await;
            damage(&disk, &mut random, "table-", 2);
            let (name, bytes) =
                disk.files().into_iter().rfind(|(name, _)| name.contains("table-")).unwrap();
            match seed % 3 {
                0 => disk.flip(&name, bytes - 4096 + 20, 1),
                1 => remove(&disk, &name).await,
                _ => {}
            }
            let index = open(disk.reopen()).await.unwrap();
            let excision = index.excision(&all_keys(), &Unknowing).await.unwrap();
            let may_be_gone = may_be_gone(&excision);
            disk.crash_at(disk.io_count() + 1 + random.below(60));
            let crashed = index.excise(excision).await;
            drop(index);
            disk.crash();
            disk.heal();
            let index = open(disk.reopen()).await.unwrap();
            let excision = index.excision(&all_keys(), &Unknowing).await.unwrap();
            if crashed.is_ok() {
                assert!(excision.is_empty(), "seed {seed}");
            }
            index.excise(excision).await.unwrap();
            check(&index, &model, &may_be_gone).await;
        });
    }
}
