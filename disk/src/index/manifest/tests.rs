//! Commits survive crashes whole or not at all; damage is told from a torn tail.

use bytes::Bytes;

use super::{Manifest, TableState, edit::Edit, encode_edit};
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
        assert_eq!(disk.files().iter().filter(|(path, _)| path.contains("manifest")).count(), 1);
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
fn damage_of_a_finished_commit_is_reported_not_dropped() {
    for (sector, reported) in [(0, true), (3, true), (4, true), (5, true), (6, false)] {
        block_on(async {
            let disk = SimDisk::new(7);
            filled(&disk, 2).await;
            let path =
                disk.files().into_iter().find(|(path, _)| path.contains("manifest-")).unwrap().0;
            disk.flip(
                &path,
                sector * SECTOR_BYTES as u64 + 40 - if sector == 0 { 20 } else { 0 },
                1,
            );
            let result = Manifest::open(&disk.reopen(), BYTES_MIN).await;
            assert_eq!(matches!(result, Err(Error::Corrupt { .. })), reported, "sector {sector}");
        });
    }
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
