//! Segments of other classes: where they are, and what a failed or full directory of them hits.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Opened, SMALL, append_one, key, read_all};
use crate::{
    error::Error,
    segment::{Class, ClassFigures, Extent, Places, Thinness},
    testing::{Fault, SimDirectory, SimDisk, block_on},
};

fn class(number: u8) -> Class {
    Class::new(number).unwrap()
}

fn places(own: &SimDisk, other: &SimDisk) -> Places<SimDirectory> {
    Places { own: own.root(), classes: vec![(class(2), other.root())] }
}

async fn open(own: &SimDisk, other: &SimDisk) -> Opened {
    Opened::open(places(own, other), SMALL, &BTreeMap::new(), 0).await.unwrap()
}

async fn append(segments: &Opened, number: usize, bytes: usize) -> Result<Extent, Error> {
    let items = vec![(key(number), Bytes::from(vec![1; bytes]))];
    segments.append_to(class(2), items).await.map(|extents| extents[0])
}

#[test]
fn a_class_has_its_own_directory_and_its_segments_no_number_of_another() {
    let (own, other) = (SimDisk::new(1), SimDisk::new(2));
    block_on(async {
        let segments = open(&own, &other).await;
        let near = append_one(&segments, 0, vec![1; 1000]).await;
        let far = append(&segments, 1, 1000).await.unwrap();
        assert_eq!((near.segment, far.segment, far.class()), (0, 0x4000_0001, class(2)));
        segments.sync_class(class(2)).await.unwrap();
        segments.sync().await.unwrap();
        assert_eq!((own.files()[0].0.as_str(), own.files().len()), ("segment-00000000", 1));
        assert_eq!((other.files()[0].0.as_str(), other.files().len()), ("segment-40000001", 1));
        read_all(&segments, 1, far).await.unwrap();
        let live = BTreeMap::from([(0, near.total_bytes()), (far.segment, far.total_bytes())]);
        let again = Opened::open(places(&own, &other), SMALL, &live, 0).await.unwrap();
        read_all(&again, 1, far).await.unwrap();
        assert_eq!(append_one(&again, 2, vec![1]).await.segment, 2);
        assert_eq!(append(&again, 3, 1).await.unwrap().segment, 0x4000_0003);
        let figures = again.class_figures();
        let of = |figures: &ClassFigures| (figures.class, figures.live_bytes);
        let expected = [(Class::OWN, near.total_bytes()), (class(2), far.total_bytes())];
        assert_eq!(figures.iter().map(of).collect::<Vec<_>>(), expected);
    });
}

#[test]
fn a_directory_that_is_not_named_or_is_anothers_is_refused() {
    let (own, other) = (SimDisk::new(1), SimDisk::new(2));
    block_on(async {
        let segments = open(&own, &other).await;
        let far = append(&segments, 1, 1000).await.unwrap();
        let live = BTreeMap::from([(far.segment, far.total_bytes())]);
        let without = Opened::open(own.root(), SMALL, &live, 0).await;
        assert!(matches!(without.unwrap_err(), Error::Absent { .. }));
        let unused = BTreeMap::from([(far.segment, 0)]);
        drop(Opened::open(own.root(), SMALL, &unused, 0).await.unwrap());
        let swapped = Places { own: own.root(), classes: vec![(class(3), other.root())] };
        let swapped = Opened::open(swapped, SMALL, &BTreeMap::new(), 0).await;
        assert!(matches!(swapped.unwrap_err(), Error::Corrupt { .. }));
        let refused = segments.append_to(class(3), vec![(key(1), Bytes::new())]).await;
        assert!(matches!(refused, Err(Error::Absent { .. })));
    });
}

#[test]
fn what_was_synced_of_a_class_survives_a_crash() {
    for seed in 0..50 {
        let (own, other) = (SimDisk::new(seed), SimDisk::new(seed + 1000));
        block_on(async {
            let segments = open(&own, &other).await;
            let far = append(&segments, 1, 70_000).await.unwrap();
            segments.sync_class(class(2)).await.unwrap();
            own.crash();
            other.crash();
            let live = BTreeMap::from([(far.segment, far.total_bytes())]);
            let again = Opened::open(places(&own, &other), SMALL, &live, 0).await.unwrap();
            read_all(&again, 1, far).await.unwrap();
        });
    }
}

#[test]
fn a_failed_directory_takes_no_writes_and_hits_nothing_else() {
    for fault in [Fault::Io, Fault::SyncError] {
        let (own, other) = (SimDisk::new(1), SimDisk::new(2));
        block_on(async {
            let segments = open(&own, &other).await;
            let far = append(&segments, 1, 1000).await.unwrap();
            segments.sync_class(class(2)).await.unwrap();
            other.fail_at(other.io_count(), fault, true);
            let written = append(&segments, 2, 1000).await;
            let synced = segments.sync_class(class(2)).await;
            assert!(written.is_err() || synced.is_err());
            let refused = append(&segments, 3, 1000).await;
            assert!(matches!(refused, Err(Error::ClassFailed { .. })), "{refused:?}");
            assert!(segments.class_failure(class(2)).is_some());
            assert!(segments.class_figures()[1].has_failed);
            // It is never tried again, and what it has is read.
            let synced = segments.sync_class(class(2)).await;
            assert!(matches!(synced, Err(Error::ClassFailed { .. })));
            read_all(&segments, 1, far).await.unwrap();
            assert_eq!(segments.thin(Thinness::Pressing(100), &BTreeSet::new()), None);
            append_one(&segments, 4, vec![1; 1000]).await;
            segments.sync().await.unwrap();
        });
    }
}

#[test]
fn a_full_directory_leaves_space_to_upkeep_and_is_full_no_more_when_there_is_some() {
    let (own, other) = (SimDisk::new(1), SimDisk::new(2));
    block_on(async {
        let segments = open(&own, &other).await;
        other.set_capacity(Some(4 << 20));
        let first = append(&segments, 1, 900_000).await.unwrap();
        let second = append(&segments, 2, 900_000).await.unwrap();
        let refused = append(&segments, 3, 900_000).await;
        assert!(matches!(refused, Err(Error::ClassFull { .. })), "{refused:?}");
        assert_eq!(segments.full_classes().collect::<Vec<_>>(), [class(2)]);
        append_one(&segments, 4, vec![1; 1000]).await;
        let moved = segments.move_to(class(2), vec![(key(1), vec![1; 900_000].into())]).await;
        let moved = moved.unwrap()[0];
        assert!(segments.may_rewrite(class(2)).await);
        for extent in [first, second] {
            segments.unpin(extent);
        }
        assert_eq!(segments.sweep().await.unwrap(), [first.segment, second.segment]);
        segments.look_at_classes().await;
        assert!(segments.has_full_class(), "one segment more must be free to end it");
        segments.unpin(moved);
        other.set_capacity(Some(5 << 20));
        segments.look_at_classes().await;
        assert!(!segments.has_full_class());
        append(&segments, 3, 900_000).await.unwrap();
    });
}
