//! Commits survive crashes whole or not at all; damage is told from a torn tail.

use bytes::Bytes;

use super::{Manifest, TableState, edit::Edit, encode_edit, newest};
use crate::{
    device::SECTOR_BYTES,
    error::Error,
    index::{levels::Hidden, manifest::Place, table::TableMeta},
    testing::{SimDisk, block_on},
};

const BYTES_MIN: u64 = 64 << 10;

fn meta(id: u32) -> TableMeta {
    TableMeta {
        id,
        bytes: 8192,
        entries: 2,
        tombstones: 1,
        smallest: Bytes::from(format!("a{id}")),
        largest: Bytes::from(format!("b{id}")),
        references: [(id, 100), (id + 1, 50)].into(),
    }
}

fn adding(id: u32) -> Edit {
    Edit {
        next_table: id + 1,
        next_segment: id + 2,
        removed: Vec::new(),
        added: vec![(0, meta(id))],
        hidden: Hidden::new(),
    }
}

async fn filled(disk: &SimDisk, count: u32) -> TableState {
    let root = disk.root();
    let mut manifest = Manifest::open(&root, BYTES_MIN).await.unwrap();
    for id in 1..=count {
        manifest.commit(&root, &adding(id)).await.unwrap();
    }
    manifest.state().clone()
}

#[test]
fn golden_bytes() {
    let place = Place { manifest: 2, sequence: 3, offset: 4096 };
    let mut edit = adding(5);
    edit.removed.push(4);
    let bytes = encode_edit(&edit, place);
    let expected = [
        b"EDIT".as_slice(),
        &[2, 0, 0, 0, 88, 0, 0, 0],
        &[3, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0],
        &[6, 0, 0, 0, 7, 0, 0, 0],
        &[1, 0, 0, 0, 4, 0, 0, 0],
        &[1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0],
        &[0, 32, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        &[2, 0, b'a', b'5', 2, 0, b'b', b'5'],
        &[2, 0, 0, 0, 5, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 50, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    assert_eq!(bytes[4..4 + expected.len()], expected);
    assert_eq!(bytes[..4], crc32c::crc32c(&expected).to_le_bytes());
    assert_eq!(bytes.len(), SECTOR_BYTES);
    assert!(bytes[4 + expected.len()..].iter().all(|&byte| byte == 0));
}

#[test]
fn commits_survive_a_restart_and_a_rewrite() {
    block_on(async {
        let disk = SimDisk::new(1);
        // 13 edits fit: 60 pass through several files.
        let state = filled(&disk, 60).await;
        disk.crash();
        let manifest = Manifest::open(&disk.reopen(), BYTES_MIN).await.unwrap();
        assert_eq!(*manifest.state(), state);
        assert_eq!(state.tables.len(), 60);
        assert_eq!(state.live()[&30], 150);
        assert_eq!(disk.files().iter().filter(|(path, _)| path.contains("manifest")).count(), 2);
    });
}

#[test]
fn a_crash_at_any_point_keeps_a_prefix_that_holds_every_finished_commit() {
    for nth_io in 0..120 {
        block_on(async {
            let disk = SimDisk::new(nth_io);
            let root = disk.root();
            let mut manifest = Manifest::open(&root, BYTES_MIN).await.unwrap();
            disk.crash_at(disk.io_count() + nth_io);
            let mut done = 0;
            for id in 1..=40 {
                match manifest.commit(&root, &adding(id)).await {
                    Ok(()) => done = id,
                    Err(_) => break,
                }
            }
            disk.crash();
            let manifest = Manifest::open(&disk.reopen(), BYTES_MIN).await.unwrap();
            let count = u32::try_from(manifest.state().tables.len()).unwrap();
            assert!(count == done || count == done + 1, "seed {nth_io}: {count} of {done}");
            assert!(
                (1..=count).all(|id| manifest.state().tables.contains_key(&id)),
                "seed {nth_io}"
            );
        });
    }
}

#[test]
fn damage_of_a_finished_commit_in_both_files_is_reported_not_dropped() {
    for (sector, reported) in [(0, true), (3, true), (4, true), (5, true), (6, false)] {
        block_on(async {
            let disk = SimDisk::new(7);
            filled(&disk, 2).await;
            for path in both(&disk) {
                disk.flip(&path, place_in(sector), 1);
            }
            let result = Manifest::open(&disk.reopen(), BYTES_MIN).await;
            assert_eq!(matches!(result, Err(Error::Corrupt { .. })), reported, "sector {sector}");
        });
    }
}

/// The paths of the manifest and its copy.
fn both(disk: &SimDisk) -> [String; 2] {
    let files = disk.files().into_iter().map(|(path, _)| path);
    let found: Vec<String> = files.filter(|path| path.contains("manifest-")).collect();
    found.try_into().expect("there are two")
}

/// A byte of a sector that means something.
fn place_in(sector: u64) -> u64 {
    sector * SECTOR_BYTES as u64 + if sector < 3 { 20 } else { 40 }
}

#[test]
fn what_one_file_has_lost_is_taken_from_the_other_and_told() {
    for own in 0..6 {
        for other in (0..6).filter(|other| *other != own) {
            block_on(async {
                let disk = SimDisk::new(7);
                let state = filled(&disk, 2).await;
                let [first, second] = both(&disk);
                disk.flip(&first, place_in(own), 1);
                disk.flip(&second, place_in(other), 1);
                let found = newest(&disk.reopen()).await.unwrap();
                assert_eq!(found.state, state, "sectors {own} and {other}");
                // The other mark of the same file says enough.
                let told = [own, other].iter().filter(|sector| ![1, 2].contains(*sector)).count();
                // The copy alone says that the last edit is durable: without that mark it may be a commit cut off.
                let told = if (own, other) == (5, 2) { 0 } else { told };
                assert_eq!(found.flaws.len(), told, "sectors {own} and {other}: {:?}", found.flaws);
                let manifest = Manifest::open(&disk.reopen(), BYTES_MIN).await.unwrap();
                assert_eq!(*manifest.state(), state);
                drop(manifest);
                assert_eq!(newest(&disk.reopen()).await.unwrap().flaws, []);
            });
        }
    }
}

#[test]
fn a_manifest_without_its_copy_or_a_copy_alone_is_enough() {
    use crate::device::Directory;
    for lost in 0..2 {
        block_on(async {
            let disk = SimDisk::new(7);
            let state = filled(&disk, 3).await;
            disk.root().remove(&both(&disk)[lost]).await.unwrap();
            let found = newest(&disk.reopen()).await.unwrap();
            assert_eq!((found.state, found.flaws.len()), (state.clone(), 1));
            let manifest = Manifest::open(&disk.reopen(), BYTES_MIN).await.unwrap();
            assert_eq!(*manifest.state(), state);
            drop(manifest);
            assert_eq!(newest(&disk.reopen()).await.unwrap().flaws, []);
        });
    }
}

#[test]
fn an_edit_that_only_one_file_has_was_never_finished_and_may_count() {
    // Cut off while the second was written: the mark of neither says that it is durable.
    block_on(async {
        let disk = SimDisk::new(7);
        let state = filled(&disk, 2).await;
        let mut later = state.clone();
        later.apply(&adding(3)).unwrap();
        let place = Place { manifest: 1, sequence: 4, offset: 6 * SECTOR_BYTES as u64 };
        let edit = encode_edit(&adding(3), place);
        for (path, expected) in both(&disk).into_iter().zip([&later, &later]) {
            let torn = disk.copy(1);
            torn.patch(&path, place.offset, &edit);
            let found = newest(&torn.reopen()).await.unwrap();
            assert_eq!((&found.state, found.flaws), (expected, vec![]));
            // Half of it is nothing.
            let torn = disk.copy(2);
            torn.patch(&path, place.offset, &edit[..40]);
            let found = newest(&torn.reopen()).await.unwrap();
            assert_eq!((&found.state, found.flaws), (&state, vec![]));
        }
    });
}

#[test]
fn tables_without_a_manifest_are_damage() {
    block_on(async {
        use crate::device::{Directory, Durability, Fill};
        let disk = SimDisk::new(7);
        let root = disk.root();
        drop(root.create("table-00000001", Fill::Empty, Durability::AtSync).await.unwrap());
        assert!(matches!(Manifest::open(&root, BYTES_MIN).await, Err(Error::Corrupt { .. })));
    });
}
