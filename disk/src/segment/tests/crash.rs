use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use futures::future::join_all;

use super::{Opened, SMALL, append_one, key, read_all};
use crate::{
    error::Error,
    segment::{Extent, Segments},
    testing::{Fault, Random, SimDisk, block_on},
};

type Known = Rc<RefCell<Vec<(usize, Bytes, Extent)>>>;

/// Appends and syncs, and notes what was synced and what was only appended.
async fn work(segments: &Opened, seed: u64, synced: &Known, appended: &Known) -> Result<(), Error> {
    let mut random = Random::new(seed);
    let mut number = 0;
    loop {
        let count = 1 + usize::try_from(random.below(5)).unwrap();
        let datas: Vec<Bytes> = (0..count)
            .map(|_| {
                let bound = if random.below(4) == 0 { 100_000 } else { 3000 };
                random.some_bytes(bound).into()
            })
            .collect();
        let items = datas.iter().enumerate().map(|(n, data)| (key(number + n), data.clone()));
        let items: Vec<(Bytes, Bytes)> = items.collect();
        let (one, two) = items.split_at(items.len() / 2);
        let (one, two) =
            futures::join!(segments.append(one.to_vec()), segments.append(two.to_vec()));
        for (extent, data) in one?.into_iter().chain(two?).zip(datas) {
            appended.borrow_mut().push((number, data, extent));
            number += 1;
        }
        if random.coin() {
            let covered = appended.borrow().clone();
            segments.sync().await?;
            *synced.borrow_mut() = covered;
        }
        if number > 60 {
            return Ok(());
        }
    }
}

/// At whatever I/O the power goes: what was synced reads back, the rest reads back or is refused, a scan finds
/// everything synced, and the store goes on in a new segment.
#[test]
fn synced_extents_survive_a_crash_at_any_operation() {
    let total = {
        let disk = SimDisk::new(0);
        block_on(async {
            let segments = Segments::open(disk.root(), SMALL, &BTreeMap::new(), 0).await.unwrap();
            work(&segments, 1, &Known::default(), &Known::default()).await.unwrap();
        });
        disk.io_count()
    };
    for seed in 0..3 * total {
        let disk = SimDisk::new(seed);
        disk.crash_at(seed % total);
        let (synced, appended) = (Known::default(), Known::default());
        block_on(async {
            if let Ok(segments) = Segments::open(disk.root(), SMALL, &BTreeMap::new(), 0).await {
                assert_eq!(work(&segments, 1, &synced, &appended).await, Err(Error::Stopped));
            }
            verify(&disk, seed, &synced.take(), &appended.take()).await;
        });
    }
}

/// Whatever operation fails, once or from then on: an acknowledged sync holds, and no wrong byte is read.
#[test]
fn synced_extents_survive_a_failure_of_any_operation() {
    let faults = [Fault::Io, Fault::NoSpace, Fault::ShortWrite, Fault::SyncError];
    for seed in 0..400_u64 {
        let disk = SimDisk::new(seed);
        let fault = faults[usize::try_from(seed % 4).unwrap()];
        disk.fail_at(seed / 8, fault, seed % 8 < 4);
        let (synced, appended) = (Known::default(), Known::default());
        block_on(async {
            if let Ok(segments) = Segments::open(disk.root(), SMALL, &BTreeMap::new(), 0).await {
                let result = work(&segments, 1, &synced, &appended).await;
                let expected = match fault {
                    Fault::NoSpace => matches!(result, Ok(()) | Err(Error::NoSpace { .. })),
                    Fault::Io | Fault::ReadError | Fault::ShortWrite | Fault::SyncError => {
                        matches!(result, Ok(()) | Err(Error::Device { .. }))
                    }
                };
                assert!(expected, "seed {seed}: {result:?}");
                let again = segments.sync().await;
                match result {
                    Err(Error::Device { .. }) => assert_eq!(again, Err(Error::Stopped)),
                    Ok(()) | Err(_) => assert!(!matches!(again, Err(Error::Stopped))),
                }
            }
            disk.heal();
            disk.crash();
            verify(&disk, seed, &synced.take(), &appended.take()).await;
        });
    }
}

/// Writers side by side share flushes: whoever was told that its data is durable was told the truth.
#[test]
fn a_shared_flush_keeps_its_promise_to_every_caller() {
    for seed in 0..600 {
        let disk = SimDisk::new(seed);
        disk.crash_at(2 + seed % 60);
        let synced = Known::default();
        block_on(async {
            let live = BTreeMap::new();
            let segments = Segments::open(disk.root(), SMALL, &live, 0).await.unwrap();
            let store = |number: usize| {
                let (segments, synced) = (segments.clone(), Rc::clone(&synced));
                async move {
                    let mut random = Random::new(seed + u64::try_from(number).unwrap());
                    let data = Bytes::from(random.some_bytes(9000));
                    let extents = segments.append(vec![(key(number), data.clone())]).await?;
                    segments.sync().await?;
                    synced.borrow_mut().push((number, data, extents[0]));
                    Ok::<(), Error>(())
                }
            };
            join_all((0..12).map(store)).await;
            disk.crash();
            verify(&disk, seed, &synced.take(), &[]).await;
        });
    }
}

async fn verify(
    disk: &SimDisk,
    seed: u64,
    synced: &[(usize, Bytes, Extent)],
    appended: &[(usize, Bytes, Extent)],
) {
    let mut live: BTreeMap<u32, u64> = BTreeMap::new();
    for (_, _, extent) in synced {
        *live.entry(extent.segment).or_default() += extent.total_bytes();
    }
    let segments = Segments::open(disk.reopen(), SMALL, &live, 0).await.unwrap();
    segments.sweep().await.unwrap();
    let next = segments.next_segment();
    for (number, data, extent) in synced {
        let read = read_all(&segments, *number, *extent).await;
        assert_eq!(read.as_ref(), Ok(data), "seed {seed}");
    }
    for (number, data, extent) in appended {
        if let Ok(read) = read_all(&segments, *number, *extent).await {
            assert_eq!(read, data, "wrong bytes, seed {seed}");
        }
    }
    for segment in live.keys() {
        let found = segments.scan(*segment).await.unwrap();
        for (number, _, extent) in synced.iter().filter(|(_, _, e)| e.segment == *segment) {
            assert!(found.contains(&(key(*number), *extent)), "seed {seed}: {extent:?}");
        }
    }
    let extent = append_one(&segments, 1000, vec![9; 10]).await;
    assert!(extent.segment >= next, "seed {seed}: an old segment was written to");
}
