//! Flipped bytes: below the durable mark they are damage, in the tail they are what a crash leaves.

use bytes::Bytes;

use super::{append, record, session, small};
use crate::{
    error::Error,
    testing::SimDisk,
    wal::{Slot, WalOptions, flushed},
};

/// Batches of one sector each at 0, 4096 ..: the last without an end mark, as after a crash.
fn crashed_after(batches: u64) -> SimDisk {
    let disk = SimDisk::new(batches);
    session(&disk, small(), async |wal| {
        for index in 1..=batches {
            append(wal, 1, vec![record(index, 1000)]).await.unwrap();
        }
        disk.crash();
    })
    .unwrap_err();
    disk
}

fn open(disk: &SimDisk) -> Result<(Option<(u64, u64)>, Option<String>), Error> {
    session(disk, small(), async |wal| (wal.range(1), wal.figures().recovery.torn_tail))
}

#[test]
fn damage_below_the_durable_mark_is_named_and_nothing_is_changed() {
    for batch in 0..4 {
        for byte in [0, 9, 20, 63, 64, 70, 90, 600] {
            let disk = crashed_after(5);
            let at = batch * 4096 + byte;
            disk.flip("wal-00000001", at, 0x10);
            let files = disk.files();
            let before = disk.bytes("wal-00000001");
            let Err(Error::Corrupt { location, .. }) = open(&disk) else {
                panic!("byte {at} was flipped unseen");
            };
            let expected = format!("wal-00000001 at {}", batch * 4096);
            assert!(location.ends_with(&expected), "byte {at}: {location}");
            assert_eq!(disk.files(), files);
            assert_eq!(disk.bytes("wal-00000001"), before);
        }
    }
}

#[test]
fn a_batch_that_was_never_known_to_be_durable_is_dropped() {
    for byte in [0, 9, 20, 63, 64, 70, 90, 600] {
        let disk = crashed_after(5);
        disk.flip("wal-00000001", 4 * 4096 + byte, 0x10);
        let (range, torn) = open(&disk).unwrap();
        assert_eq!(range, Some((1, 4)), "byte {byte}");
        let expected = (byte >= 64).then_some("/wal-00000001 at 16384");
        assert_eq!(torn.is_some(), expected.is_some(), "byte {byte}: {torn:?}");
        // The log goes on in another segment, and the torn batch stays what it is.
        session(&disk, small(), async |wal| {
            append(wal, 1, vec![record(5, 2000), record(6, 1)]).await.unwrap();
        })
        .unwrap();
        assert_eq!(open(&disk).unwrap().0, Some((1, 6)), "byte {byte}");
    }
}

#[test]
fn after_a_stop_damage_to_the_last_record_is_seen() {
    let disk = SimDisk::new(1);
    session(&disk, small(), async |wal| append(wal, 1, vec![record(1, 1000)]).await.unwrap())
        .unwrap();
    disk.flip("wal-00000001", 100, 1);
    assert!(matches!(open(&disk), Err(Error::Corrupt { .. })));
}

#[test]
fn a_lost_or_damaged_segment_is_seen() {
    let fill = || {
        let disk = SimDisk::new(2);
        session(&disk, small(), async |wal| {
            for index in 1..=50 {
                append(wal, 1, vec![record(index, 3000)]).await.unwrap();
            }
        })
        .unwrap();
        disk
    };
    for generation in 1..=3 {
        let disk = fill();
        let name = format!("wal-{generation:08x}");
        futures::executor::block_on(async {
            use crate::device::Directory;
            disk.root().remove(&name).await.unwrap();
        });
        assert!(matches!(open(&disk), Err(Error::Corrupt { .. })), "{name} is missing");
        for sector in 0..16 {
            let disk = fill();
            disk.flip(&name, sector * 4096 + 64, 1);
            let Err(Error::Corrupt { location, .. }) = open(&disk) else {
                panic!("sector {sector} of {name} was damaged unseen");
            };
            let expected = format!("{name} at {}", sector * 4096);
            assert!(location.ends_with(&expected), "{expected}: {location}");
        }
    }
}

#[test]
fn a_damaged_record_is_not_served() {
    let disk = SimDisk::new(3);
    session(&disk, small(), async |wal| {
        for index in 1..=10 {
            append(wal, 1, vec![record(index, 3000)]).await.unwrap();
        }
        disk.flip("wal-00000001", 2 * 4096 + 1000, 1);
        assert_eq!(wal.read(1, 1..3, usize::MAX).await.unwrap().len(), 2);
        let Err(Error::Corrupt { location, .. }) = wal.read(1, 1..9, usize::MAX).await else {
            panic!("a damaged record was served");
        };
        assert!(location.ends_with("wal-00000001 at 8256"), "{location}");
    })
    .unwrap();
}

#[test]
fn another_volumes_wal_is_refused() {
    let disk = crashed_after(3);
    let other = WalOptions { identity: 78, ..small() };
    let refused = session(&disk, other, async |wal| wal.range(1));
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
}

/// A client stores the bytes of a WAL; torn, they lie open at the end of the log.
#[test]
fn a_batch_that_a_client_made_up_is_not_taken() {
    let disk = crashed_after(3);
    let stolen = disk.bytes("wal-00000001");
    let forge = WalOptions { identity: 0, ..small() };
    let forged = SimDisk::new(0);
    session(&forged, forge, async |wal| {
        for index in 1..=4 {
            flushed(|done| wal.put(1, Slot::Vote, Bytes::from(format!("{index}")), done))
                .await
                .unwrap();
        }
    })
    .unwrap();
    let batch = &forged.bytes("wal-00000001")[3 * 4096..4 * 4096];
    disk.patch("wal-00000001", 3 * 4096, batch);
    // And a copy of an old batch of this very WAL, at another place.
    disk.patch("wal-00000001", 4 * 4096, &stolen[..4096]);
    assert_eq!(open(&disk).unwrap().0, Some((1, 3)));
    session(&disk, small(), async |wal| assert_eq!(wal.slot(1, Slot::Vote), None)).unwrap();
}

#[test]
fn a_newer_format_is_refused() {
    let disk = crashed_after(2);
    let mut header = disk.bytes("wal-00000001")[..64].to_vec();
    header[8] = 2;
    let checksum = crate::checksum::crc32c(&[&header[..60]]);
    header[60..].copy_from_slice(&checksum.to_le_bytes());
    disk.patch("wal-00000001", 0, &header);
    assert!(matches!(open(&disk), Err(Error::Version { found: 2, .. })));
}
