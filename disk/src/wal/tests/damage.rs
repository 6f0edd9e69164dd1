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

/// The last index of group 1 after a restart, and the torn tail.
fn open(disk: &SimDisk) -> Result<(u64, Option<String>), Error> {
    session(disk, small(), async |wal| {
        (wal.range(1).map_or(0, |(_, last)| last), wal.figures().recovery.torn_tail)
    })
}

/// Where the result says that bytes are damaged.
fn damaged<T>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Corrupt { location, .. }) => location,
        Err(error) => format!("another error: {error}"),
        Ok(_) => "nowhere: the damage was not seen".to_owned(),
    }
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
            let location = damaged(open(&disk));
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
        let (last, torn) = open(&disk).unwrap();
        assert_eq!(last, 4, "byte {byte}");
        // A header that is not whole can't be told from one that was never written.
        let seen = torn.is_some_and(|torn| torn.ends_with("wal-00000001 at 16384"));
        assert_eq!(seen, byte >= 64, "byte {byte}");
        // The log goes on in another segment, and the torn batch stays what it is.
        session(&disk, small(), async |wal| {
            append(wal, 1, vec![record(5, 2000), record(6, 1)]).await.unwrap();
        })
        .unwrap();
        assert_eq!(open(&disk).unwrap().0, 6, "byte {byte}");
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
            let location = damaged(open(&disk));
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
        let location = damaged(wal.read(1, 1..9, usize::MAX).await);
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
    assert_eq!(open(&disk).unwrap().0, 3);
    session(&disk, small(), async |wal| assert_eq!(wal.slot(1, Slot::Vote), None)).unwrap();
}

/// A valid batch that knows more to be durable, of this WAL and this segment, but not where it was written.
#[test]
fn a_batch_at_another_place_proves_nothing() {
    let stopped = SimDisk::new(4);
    session(&stopped, small(), async |wal| {
        for index in 1..=3 {
            append(wal, 1, vec![record(index, 1000)]).await.unwrap();
        }
    })
    .unwrap();
    let mark = &stopped.bytes("wal-00000001")[3 * 4096..4 * 4096];
    for (sector, damage) in [(9, false), (3, true)] {
        let disk = crashed_after(3);
        disk.flip("wal-00000001", 2 * 4096 + 100, 1);
        disk.patch("wal-00000001", sector * 4096, mark);
        assert_eq!(matches!(open(&disk), Err(Error::Corrupt { .. })), damage, "sector {sector}");
    }
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
