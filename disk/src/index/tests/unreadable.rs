//! A table whose footer can't be read, or whose file is missing, keeps nothing else from being served: only what a look-up
//! or a scan comes to it for is refused.

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use bytes::Bytes;
use futures::future::LocalBoxFuture;

use super::{KEY_COUNT, Model, body_of, excise::filled, key, open, page_of, rig};
use crate::{
    device::Directory,
    error::Error,
    index::{Index, Surroundings, filter, pace::FlatOut, table::table_name},
    testing::{Fault, SimDirectory, SimDisk, block_on},
};

/// What is done to a table's file.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Footer,
    OtherTable,
    Missing,
    ReadError,
}

const HARMS: [Harm; 4] = [Harm::Footer, Harm::OtherTable, Harm::Missing, Harm::ReadError];

async fn harm(disk: &SimDisk, table: u32, bytes: u64, harm: Harm) {
    let path = format!("tables/{}", table_name(table));
    match harm {
        Harm::Footer => disk.flip(&path, bytes - 4096 + 30, 4),
        Harm::OtherTable => {
            let other =
                disk.files().into_iter().find(|(name, _)| name.contains("table-") && *name != path);
            let (other, length) = other.expect("there are several");
            let footer = usize::try_from(length - 4096).unwrap();
            disk.patch(&path, bytes - 4096, &disk.bytes(&other)[footer..]);
        }
        Harm::Missing => {
            let tables = disk.root().directory("tables").await.unwrap();
            tables.remove(&table_name(table)).await.unwrap();
            tables.sync().await.unwrap();
        }
        Harm::ReadError => disk.fail_within(&path, 0, Fault::ReadError),
    }
}

/// Whether a look-up asks this table before it has its answer.
async fn asks(index: &Index<SimDirectory>, key: &[u8], wanted: u32) -> bool {
    let hash = filter::key_hash(key);
    let version = std::rc::Rc::clone(&index.0.state.borrow().version);
    for table in version.candidates(key) {
        if table.meta.id == wanted {
            return true;
        }
        if table.get(key, hash, &index.0.cache).await.unwrap().is_some() {
            return false;
        }
    }
    false
}

/// Keys that can't be looked up, and all the others hold what they held.
async fn refused(index: &Index<SimDirectory>, model: &Model) -> BTreeSet<Bytes> {
    let mut refused = BTreeSet::new();
    for key in (0..KEY_COUNT).map(key) {
        let found = match index.get(&key).await {
            Ok(Some(entry)) => {
                let body = body_of(index, &key, &entry).await.unwrap();
                Some((entry.value.to_vec(), body))
            }
            Ok(None) => None,
            Err(error) => {
                assert!(matches!(error, Error::Corrupt { .. } | Error::Device { .. }), "{error}");
                refused.insert(key);
                continue;
            }
        };
        assert_eq!(found.as_ref(), model.get(key.as_ref()), "{}", key.escape_ascii());
    }
    refused
}

/// The same by scans of a single key each, and by one over all keys up to where it ends.
async fn check_scans(index: &Index<SimDirectory>, refused: &BTreeSet<Bytes>) {
    for key in (0..KEY_COUNT).map(key) {
        let end = Bytes::from([&key, &[0][..]].concat());
        let scanned = index.scan(key.clone()..end, page_of(1)).await;
        assert_eq!(scanned.is_err(), refused.contains(&key), "{}: {scanned:?}", key.escape_ascii());
    }
    let mut start = Bytes::new();
    let first = refused.first().cloned().unwrap_or_else(|| Bytes::from_static(&[0xff]));
    while let Ok(page) = index.scan(start.clone()..Bytes::from_static(&[0xff]), page_of(7)).await {
        assert!(page.entries.iter().all(|(key, _)| !refused.contains(key)));
        match page.next {
            Some(next) => start = next,
            None => return assert!(refused.is_empty()),
        }
    }
    assert!(
        start <= first && !refused.is_empty(),
        "{} before {}",
        start.escape_ascii(),
        first.escape_ascii()
    );
}

#[derive(Default)]
struct Told(RefCell<Vec<Error>>);

impl Surroundings for Told {
    fn rest(&self, _pause: Duration) -> LocalBoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn damaged(&self, error: &Error) {
        self.0.borrow_mut().push(error.clone());
    }
}

#[test]
fn only_what_needs_the_table_is_refused() {
    let mut counts = [0; HARMS.len()];
    for seed in 0..24 {
        block_on(async {
            let (disk, mut random) = rig(seed);
            let model = filled(&disk, seed).await;
            let index = open(disk.reopen()).await.unwrap();
            let version = std::rc::Rc::clone(&index.0.state.borrow().version);
            let tables: Vec<_> =
                version.tables().map(|table| (table.meta.id, table.meta.bytes)).collect();
            drop(version);
            let (id, bytes) = tables[usize::try_from(random.below(tables.len() as u64)).unwrap()];
            let mut expected = BTreeSet::new();
            for key in (0..KEY_COUNT).map(key) {
                if asks(&index, &key, id).await {
                    expected.insert(key);
                }
            }
            drop(index);
            let chosen = usize::try_from(seed).unwrap() % HARMS.len();
            harm(&disk, id, bytes, HARMS[chosen]).await;

            let index = open(disk.reopen()).await.unwrap();
            disk.heal();
            assert_eq!(index.figures().damaged_tables, [id]);
            assert_eq!(refused(&index, &model).await, expected, "seed {seed}");
            check_scans(&index, &expected).await;
            counts[chosen] += expected.len();
        });
    }
    assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
}

#[test]
fn upkeep_tells_it_once_leaves_it_alone_and_serves_no_less_than_before() {
    for (seed, harmed) in (0..8).zip(HARMS.iter().cycle()) {
        block_on(async {
            let (disk, mut random) = rig(seed);
            let mut model = filled(&disk, seed).await;
            let tables: Vec<_> = {
                let index = open(disk.reopen()).await.unwrap();
                let version = std::rc::Rc::clone(&index.0.state.borrow().version);
                version.tables().map(|table| (table.meta.id, table.meta.bytes)).collect()
            };
            let (id, bytes) = tables[usize::try_from(random.below(tables.len() as u64)).unwrap()];
            harm(&disk, id, bytes, *harmed).await;
            let index = open(disk.reopen()).await.unwrap();
            disk.heal();
            let before = refused(&index, &model).await;
            let told = Told::default();
            let (stopper, index) = (index.clone(), index);
            let work = async {
                for _ in 0..12 {
                    super::write(&stopper, &mut model, &mut random, 50).await.unwrap();
                    stopper.flush().await.unwrap();
                }
                stopper.stop();
            };
            let ((), ended) = futures::join!(work, index.maintain_in(&told));
            ended.unwrap();
            while index.upkeep(&FlatOut).await.unwrap() {}
            let said = told.0.into_inner();
            assert!(said.len() == 1 && said[0].to_string().contains(&table_name(id)), "{said:?}");
            let after = refused(&index, &model).await;
            assert!(after.is_subset(&before), "seed {seed}");
            let is_there = index.figures().damaged_tables == [id];
            // Ranges may have removed all of it: then it is gone without having been read.
            assert!(is_there || after.is_empty(), "seed {seed}");
        });
    }
}
