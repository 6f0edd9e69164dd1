//! Damage is reported with its place; a full volume loses nothing; any other failed write stops the index.

use bytes::Bytes;

use super::{Model, beside_upkeep, contents, open, page_of, rig, write};
use crate::{
    error::Error,
    index::table::FRAME_HEADER_BYTES,
    testing::{Fault, Random, SimDisk, block_on},
};

async fn filled(disk: &SimDisk, random: &mut Random) -> Model {
    let index = open(disk.root()).await.unwrap();
    let mut model = Model::new();
    write(&index, &mut model, random, 300).await.unwrap();
    index.flush().await.unwrap();
    model
}

fn table_path(disk: &SimDisk) -> (String, u64) {
    disk.files().into_iter().find(|(path, _)| path.contains("table-")).expect("there is a table")
}

#[test]
fn a_flipped_bit_of_a_table_is_reported_never_served() {
    for seed in 0..40 {
        block_on(async {
            let (disk, mut random) = rig(seed);
            let model = filled(&disk, &mut random).await;
            let (path, bytes) = table_path(&disk);
            disk.flip(&path, random.below(bytes), 1 << random.below(8));
            let found = match open(disk.reopen()).await {
                Ok(index) => contents(&index, page_of(50)).await,
                Err(error) => Err(error),
            };
            match found {
                // It struck padding or the filter, which a scan doesn't read.
                Ok(found) => assert_eq!(found, model, "seed {seed}"),
                Err(Error::Corrupt { location, .. }) => {
                    assert!(location.contains("table-"), "{location}");
                }
                Err(error) => {
                    assert_eq!(error, Error::Stopped, "seed {seed}: not a reaction to damage");
                }
            }
        });
    }
}

#[test]
fn a_valid_block_in_the_wrong_place_is_refused() {
    block_on(async {
        let (disk, mut random) = rig(9);
        filled(&disk, &mut random).await;
        let (path, _) = table_path(&disk);
        let bytes = disk.bytes(&path);
        let length = |offset: usize| {
            FRAME_HEADER_BYTES
                + u32::from_le_bytes(bytes[offset + 4..offset + 8].try_into().unwrap()) as usize
        };
        // The second block over the first: it checks out, but for its place.
        let second = length(0);
        disk.patch(&path, 0, &bytes[second..second + length(second)]);
        let index = open(disk.reopen()).await.unwrap();
        let error = contents(&index, page_of(50)).await.unwrap_err();
        let Error::Corrupt { location, .. } = error else { unreachable!("{error}") };
        assert!(location.ends_with(" at 0"), "{location}");
    });
}

#[test]
fn a_full_volume_loses_nothing_and_a_later_flush_succeeds() {
    for nth_io in 0..40 {
        block_on(async {
            let (disk, mut random) = rig(nth_io);
            let index = open(disk.root()).await.unwrap();
            let mut model = Model::new();
            write(&index, &mut model, &mut random, 60).await.unwrap();
            disk.fail_at(disk.io_count() + nth_io, Fault::NoSpace, false);
            match index.flush().await {
                Ok(_) => {}
                Err(Error::NoSpace { .. }) => {
                    assert_eq!(contents(&index, page_of(50)).await.unwrap(), model);
                    // None is frozen behind the first: each attempt would add one.
                    disk.heal();
                    write(&index, &mut model, &mut random, 60).await.unwrap();
                    disk.fail_at(disk.io_count(), Fault::NoSpace, false);
                    index.flush().await.unwrap_err();
                    assert_eq!(index.figures().frozen_count, 1);
                    assert_eq!(contents(&index, page_of(50)).await.unwrap(), model);
                    let value = index.get(&super::key(1)).await.unwrap().map(|entry| entry.value);
                    assert_eq!(
                        value.as_deref(),
                        model.get(super::key(1).as_ref()).map(|held| held.0.as_slice())
                    );
                    disk.heal();
                    index.flush().await.unwrap();
                    super::check_live(&index).await;
                }
                // In the midst of a commit it is unknown what is there.
                Err(error) => {
                    assert!(matches!(error, Error::Device { .. }), "{error}");
                    assert!(matches!(index.flush().await, Err(Error::Stopped)));
                    return;
                }
            }
            drop(index);
            disk.heal();
            disk.crash();
            let index = open(disk.reopen()).await.unwrap();
            assert_eq!(contents(&index, page_of(50)).await.unwrap(), model, "fault at {nth_io}");
        });
    }
}

#[test]
fn a_failed_write_or_flush_stops_the_index_and_is_not_retried() {
    for (nth_io, fault) in
        (0..20).flat_map(|n| [(n, Fault::Io), (n, Fault::SyncError), (n, Fault::ShortWrite)])
    {
        block_on(async {
            let (disk, mut random) = rig(nth_io);
            let index = open(disk.root()).await.unwrap();
            let mut model = Model::new();
            write(&index, &mut model, &mut random, 60).await.unwrap();
            disk.fail_at(disk.io_count() + nth_io, fault, true);
            if index.flush().await.is_err() {
                disk.heal();
                assert_eq!(
                    index.flush().await.unwrap_err(),
                    Error::Stopped,
                    "{fault:?} at {nth_io}"
                );
                assert_eq!(index.room().await.unwrap_err(), Error::Stopped);
                disk.crash();
                let index = open(disk.reopen()).await.unwrap();
                let found = contents(&index, page_of(50)).await.unwrap();
                assert!(found.is_empty() || found == model, "{fault:?} at {nth_io}");
            }
        });
    }
}

#[test]
fn damage_in_a_table_ends_neither_upkeep_nor_flushes() {
    block_on(async {
        let (disk, mut random) = rig(11);
        let mut model = filled(&disk, &mut random).await;
        let (path, _) = table_path(&disk);
        disk.flip(&path, 100, 1);
        let index = open(disk.reopen()).await.unwrap();
        let work = Box::pin(async {
            // Enough tables for compactions, each of which meets the damage.
            for _ in 0..20 {
                write(&index, &mut model, &mut random, 50).await.unwrap();
                index.flush().await.unwrap();
            }
        });
        beside_upkeep(&index, work).await.1.unwrap();
        let error = contents(&index, page_of(50)).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    });
}

#[test]
fn upkeep_ends_with_the_cause_when_a_write_of_object_bytes_fails_although_nobody_asks_again() {
    block_on(async {
        let (disk, _) = rig(3);
        let index = open(disk.root()).await.unwrap();
        let mut upkeep = Box::pin(index.maintain());
        assert!(futures::poll!(&mut upkeep).is_pending(), "there is nothing to do");
        disk.fail_at(disk.io_count(), Fault::Io, true);
        let item = (Bytes::from_static(b"key"), Bytes::from_static(b"bytes"));
        let refused = index.segments().append(vec![item]).await;
        assert!(matches!(refused, Err(Error::Device { .. })), "{refused:?}");
        assert_eq!(upkeep.await, Err(refused.unwrap_err()));
    });
}
