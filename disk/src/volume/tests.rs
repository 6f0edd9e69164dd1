use std::collections::BTreeSet;

use super::{SHARDS_PER_VOLUME_MAX, Volume, VolumeIdentity, superblock};
use crate::{
    checksum::crc32c,
    device::{Directory, Durability, Fill},
    error::Error,
    segment::Class,
    testing::{SimDirectory, SimDisk, block_on},
};

fn identity() -> VolumeIdentity {
    VolumeIdentity {
        cluster: 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100,
        volume: 0x1f1e_1d1c_1b1a_1918_1716_1514_1312_1110,
        created_ms: 0x2726_2524_2322_2120,
        group_count: 8,
        node_shard_count: 4,
        volume_count: 2,
        volume_index: 1,
        placement: 3,
        shards: vec![5, 6],
        class: Class::OWN,
        classes: BTreeSet::new(),
    }
}

fn class(number: u8) -> Class {
    Class::new(number).unwrap()
}

async fn formatted(disk: &SimDisk) {
    Volume::format(&disk.root(), &identity()).await.unwrap();
}

async fn opened(disk: &SimDisk) -> Result<Volume<SimDirectory>, Error> {
    Volume::open(disk.root()).await
}

#[test]
fn the_bytes_are_golden() {
    let sector = superblock::encode(&identity()).unwrap();
    let mut expected = b"ANODEVOL\x01\0\0\0".to_vec();
    expected.extend([0x35, 0x1f, 0xd2, 0xf7]);
    expected.extend((0x00..0x28).collect::<Vec<u8>>());
    for field in [8, 4, 2, 1, 2, 3] {
        expected.extend([field, 0, 0, 0]);
    }
    expected.extend([5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(sector[..expected.len()], expected);
    assert_eq!(sector.len(), 4096);
    assert!(sector[expected.len()..].iter().all(|byte| *byte == 0));
}

#[test]
fn the_bytes_of_classes_are_golden() {
    let plain = superblock::encode(&identity()).unwrap();
    let apart = VolumeIdentity { class: class(4), ..identity() };
    let beside = VolumeIdentity { classes: [class(1), class(4)].into(), ..identity() };
    for (identity, last) in [(apart, [4, 0]), (beside, [0, 0b1_0010])] {
        let sector = superblock::encode(&identity).unwrap();
        assert_eq!(sector[..12], *b"ANODEVOL\x02\0\0\0");
        assert_eq!(sector[16..4080], plain[16..4080]);
        assert_eq!((&sector[4080..4082], &sector[4082..]), (&last[..], &[0; 14][..]));
        assert_eq!(superblock::decode(&sector, "here").unwrap(), identity);
    }
}

#[test]
fn a_class_that_is_remembered_is_known_after_a_crash_or_was_never() {
    let total = {
        let disk = SimDisk::new(0);
        block_on(async {
            formatted(&disk).await;
            let before = disk.io_count();
            opened(&disk).await.unwrap().remember(class(3)).await.unwrap();
            disk.io_count() - before
        })
    };
    let mut known = [0, 0];
    for seed in 0..20 * total {
        let disk = SimDisk::new(seed);
        block_on(async {
            formatted(&disk).await;
            disk.crash_at(disk.io_count() + seed % total);
            if let Ok(mut volume) = opened(&disk).await {
                let _cut_off: Result<(), Error> = volume.remember(class(3)).await;
            }
            let classes = opened(&disk).await.unwrap().identity().classes.clone();
            assert!(classes.is_subset(&[class(3)].into()), "seed {seed}: {classes:?}");
            known[usize::from(!classes.is_empty())] += 1;
            let again = opened(&disk).await.unwrap().identity().classes.clone();
            assert_eq!(again, classes, "seed {seed}: both copies say it");
            let mut volume = opened(&disk).await.unwrap();
            volume.remember(class(3)).await.unwrap();
            assert_eq!(opened(&disk).await.unwrap().identity().classes, [class(3)].into());
        });
    }
    assert!(known.iter().all(|count| *count > 0), "{known:?}");
}

#[test]
fn the_directory_of_a_class_has_shards_with_nothing_but_segments() {
    let disk = SimDisk::new(1);
    block_on(async {
        let identity = VolumeIdentity { class: class(2), ..identity() };
        Volume::format(&disk.root(), &identity).await.unwrap();
        let volume = opened(&disk).await.unwrap();
        assert_eq!(volume.identity(), &identity);
        assert_eq!(volume.shard(5).await.unwrap().list().await.unwrap(), ["segments"]);
    });
}

#[test]
fn a_formatted_volume_opens_as_what_it_is_and_is_not_formatted_again() {
    block_on(async {
        let disk = SimDisk::new(1);
        assert!(matches!(opened(&disk).await, Err(Error::Absent { .. })));
        formatted(&disk).await;
        let volume = opened(&disk).await.unwrap();
        assert_eq!(volume.identity(), &identity());
        let shard = volume.shard(5).await.unwrap();
        assert_eq!(shard.list().await.unwrap(), ["segments", "tables", "wal"]);
        assert_ne!(volume.wal_identity(5), volume.wal_identity(6));
        assert_eq!(volume.wal_identity(5), opened(&disk).await.unwrap().wal_identity(5));
        assert!(matches!(volume.shard(7).await, Err(Error::Absent { .. })));
        let again = Volume::format(&disk.root(), &identity()).await;
        assert!(matches!(again, Err(Error::Exists { .. })));
        disk.root().remove("superblock").await.unwrap();
        let over = Volume::format(&disk.root(), &identity()).await;
        assert!(matches!(over, Err(Error::Exists { .. })), "shards without a superblock");
    });
}

#[test]
fn a_crash_while_formatting_leaves_a_volume_or_none() {
    let total = {
        let disk = SimDisk::new(0);
        block_on(formatted(&disk));
        disk.io_count()
    };
    for seed in 0..10 * total {
        let disk = SimDisk::new(seed);
        block_on(async {
            disk.crash_at(seed % total);
            Volume::format(&disk.root(), &identity()).await.unwrap_err();
            if let Err(error) = opened(&disk).await {
                assert!(matches!(error, Error::Absent { .. }), "seed {seed}: {error}");
                formatted(&disk).await;
            }
            let volume = opened(&disk).await.unwrap();
            assert_eq!(volume.identity(), &identity(), "seed {seed}");
            volume.shard(6).await.unwrap();
        });
    }
}

#[test]
fn one_damaged_copy_is_healed_and_two_are_reported() {
    let disk = SimDisk::new(1);
    let flip_both = |offsets: [u64; 2]| {
        for offset in offsets {
            disk.flip("superblock", offset, 4);
        }
    };
    block_on(async {
        formatted(&disk).await;
        let whole = disk.bytes("superblock");
        for offset in (0..8192).filter(|offset| offset % 4096 < 100 || offset % 61 == 0) {
            disk.flip("superblock", offset, 4);
            assert_eq!(opened(&disk).await.unwrap().identity(), &identity(), "byte {offset}");
            assert!(disk.bytes("superblock") == whole, "byte {offset} is healed");
        }
        for offset in (0..4096).filter(|offset| *offset < 100 || offset % 61 == 0) {
            let both = [offset, 4096 + (offset * 7) % 4096];
            flip_both(both);
            assert!(matches!(opened(&disk).await, Err(Error::Corrupt { .. })), "byte {offset}");
            flip_both(both);
        }
        let empty = disk.root();
        empty.remove("superblock").await.unwrap();
        drop(empty.create("superblock", Fill::Empty, Durability::AtSync).await.unwrap());
        assert!(matches!(opened(&disk).await, Err(Error::Corrupt { .. })));
    });
}

#[test]
fn another_version_is_named() {
    let disk = SimDisk::new(1);
    block_on(async {
        formatted(&disk).await;
        let mut sector = superblock::encode(&identity()).unwrap();
        sector[8] = 3;
        let checksum = crc32c(&[&sector[..12], &sector[16..]]);
        sector[12..16].copy_from_slice(&checksum.to_le_bytes());
        disk.patch("superblock", 0, &sector);
        assert!(matches!(opened(&disk).await, Err(Error::Version { found: 3, .. })));
    });
}

#[test]
fn as_many_shards_as_fit_and_no_more() {
    let shards = |count| (0..u64::try_from(count).unwrap()).collect();
    let full = VolumeIdentity { shards: shards(SHARDS_PER_VOLUME_MAX), ..identity() };
    let sector = superblock::encode(&full).unwrap();
    assert_eq!(superblock::decode(&sector, "here").unwrap(), full);
    for count in [0, SHARDS_PER_VOLUME_MAX + 1] {
        superblock::encode(&VolumeIdentity { shards: shards(count), ..identity() }).unwrap_err();
    }
}

/// Formats in so many steps at most, and is killed there.
async fn format_for(disk: &SimDisk, steps: u64) {
    let (root, identity) = (disk.root(), identity());
    let mut formatting = Box::pin(Volume::format(&root, &identity));
    for _ in 0..steps {
        if futures::poll!(&mut formatting).is_ready() {
            break;
        }
    }
}

#[test]
fn a_volume_that_was_opened_once_stays_formatted() {
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        block_on(async {
            format_for(&disk, seed / 4).await;
            let opened_before = opened(&disk).await.is_ok();
            disk.crash();
            assert!(!opened_before || opened(&disk).await.is_ok(), "seed {seed}");
        });
    }
}

#[test]
fn a_formatting_that_is_cut_off_twice_is_done_again() {
    for seed in 0..600 {
        let disk = SimDisk::new(seed);
        for steps in [seed % 30, seed / 30] {
            block_on(format_for(&disk, steps));
            disk.crash();
        }
        block_on(async {
            if let Err(Error::Absent { .. }) = opened(&disk).await {
                formatted(&disk).await;
            }
            assert_eq!(opened(&disk).await.unwrap().identity(), &identity(), "seed {seed}");
        });
    }
}
