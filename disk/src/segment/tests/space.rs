use std::collections::{BTreeMap, BTreeSet};

use super::{SMALL, append_one, key, open, read_all};
use crate::{
    error::Error,
    segment::{Extent, Segments, Thinness},
    testing::{Fault, SimDisk, block_on},
};

#[test]
fn a_segment_is_removed_when_nothing_refers_to_it() {
    let disk = SimDisk::new(1);
    block_on(async {
        let segments = open(&disk).await;
        let first = append_one(&segments, 0, vec![1; 600_000]).await;
        let second = append_one(&segments, 1, vec![2; 600_000]).await;
        assert_ne!(first.segment, second.segment);
        let bytes = i64::try_from(first.total_bytes()).unwrap();
        segments.apply(&BTreeMap::from([(first.segment, bytes)]));
        segments.unpin(first);
        assert_eq!(segments.sweep().await, Ok(vec![]));
        assert_eq!(segments.thin(Thinness::Calm(50), &BTreeSet::new()), None);
        assert_eq!(segments.thin(Thinness::Calm(90), &BTreeSet::new()), Some(first.segment));
        let hold = segments.hold();
        segments.apply(&BTreeMap::from([(first.segment, -bytes)]));
        assert_eq!(segments.sweep().await, Ok(vec![]));
        read_all(&segments, 0, first).await.unwrap();
        drop(hold);
        assert_eq!(segments.sweep().await, Ok(vec![first.segment]));
        assert!(matches!(read_all(&segments, 0, first).await, Err(Error::Absent { .. })));
        assert!(matches!(segments.scan(first.segment).await, Err(Error::Absent { .. })));
        segments.unpin(second);
        assert_eq!(segments.sweep().await, Ok(vec![]), "the active segment stays");
        assert_eq!(disk.files().len(), 1);
    });
}

#[test]
fn after_a_restart_only_live_and_pinned_segments_stay() {
    let disk = SimDisk::new(1);
    block_on(async {
        let segments = open(&disk).await;
        let mut extents = Vec::new();
        for number in 0..4 {
            extents.push(append_one(&segments, number, vec![1; 600_000]).await);
        }
        segments.sync().await.unwrap();
        let live = BTreeMap::from([(1, extents[1].total_bytes())]);
        let segments = Segments::open(disk.root(), SMALL, &live, 3).await.unwrap();
        assert!(segments.pin(extents[2]));
        assert_eq!(segments.sweep().await, Ok(vec![0, 3]));
        read_all(&segments, 1, extents[1]).await.unwrap();
        read_all(&segments, 2, extents[2]).await.unwrap();
        assert_eq!(append_one(&segments, 9, vec![1]).await.segment, 4);
        let lost = BTreeMap::from([(77, 1)]);
        let segments = Segments::open(disk.root(), SMALL, &lost, 3).await.unwrap();
        let extent = Extent { segment: 77, ..extents[1] };
        let refused = read_all(&segments, 1, extent).await;
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
        assert_eq!(append_one(&segments, 9, vec![1]).await.segment, 78);
    });
}

#[test]
fn a_full_device_refuses_and_goes_on() {
    let disk = SimDisk::new(1);
    block_on(async {
        let segments = open(&disk).await;
        let kept = append_one(&segments, 0, vec![1; 600_000]).await;
        disk.fail_at(disk.io_count(), Fault::NoSpace, false);
        let refused = segments.append(vec![(key(1), vec![2; 600_000].into())]).await;
        assert!(matches!(refused, Err(Error::NoSpace { .. })));
        read_all(&segments, 0, kept).await.unwrap();
        segments.sync().await.unwrap();
        disk.heal();
        let later = append_one(&segments, 2, vec![3; 600_000]).await;
        read_all(&segments, 2, later).await.unwrap();
    });
}

#[test]
fn a_failed_write_stops_everything() {
    for fault in [Fault::Io, Fault::ShortWrite] {
        let disk = SimDisk::new(1);
        block_on(async {
            let segments = open(&disk).await;
            let extent = append_one(&segments, 0, vec![1; 100]).await;
            disk.fail_at(disk.io_count(), fault, true);
            let refused = segments.append(vec![(key(1), vec![2; 100].into())]).await;
            assert!(matches!(refused, Err(Error::Device { .. })));
            assert_eq!(segments.sync().await, Err(Error::Stopped));
            assert_eq!(read_all(&segments, 0, extent).await, Err(Error::Stopped));
            assert_eq!(segments.sweep().await, Err(Error::Stopped));
        });
    }
}

#[test]
fn a_failed_read_is_the_readers_alone() {
    let disk = SimDisk::new(1);
    block_on(async {
        let segments = open(&disk).await;
        let extent = append_one(&segments, 0, vec![1; 100]).await;
        disk.fail_at(disk.io_count(), Fault::Io, true);
        assert!(matches!(read_all(&segments, 0, extent).await, Err(Error::Device { .. })));
        read_all(&segments, 0, extent).await.unwrap();
    });
}

#[test]
fn a_scan_steps_over_damage() {
    let disk = SimDisk::new(1);
    block_on(async {
        let segments = open(&disk).await;
        let items = (0..300).map(|number| (key(number), vec![5; 999].into())).collect();
        let extents = segments.append(items).await.unwrap();
        let whole = segments.scan(0).await.unwrap();
        let scanned: Vec<_> = whole.iter().map(|(_, extent)| *extent).collect();
        assert_eq!(scanned, extents);
        disk.flip("segment-00000000", u64::from(extents[100].offset) + 20, 0x40);
        let mut expected = whole;
        expected.remove(100);
        assert_eq!(segments.scan(0).await.unwrap(), expected);
    });
}
