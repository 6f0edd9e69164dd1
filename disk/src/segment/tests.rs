use std::{collections::BTreeMap, rc::Rc};

use bytes::Bytes;
use futures::{FutureExt, channel::oneshot, future::join_all};

use super::{Extent, SegmentOptions, Segments};
use crate::{
    error::Error,
    testing::{Fault, Random, SimDirectory, SimDisk, block_on},
};

mod classes;
mod crash;
mod space;

const SMALL: SegmentOptions =
    SegmentOptions { segment_bytes: 1 << 20, write_bytes_max: 256 << 10, open_count_max: 4 };

type Opened = Segments<SimDirectory>;

async fn open(disk: &SimDisk) -> Opened {
    let live = BTreeMap::new();
    Segments::open(disk.root(), SMALL, &live, 0).await.unwrap()
}

fn key(number: usize) -> Bytes {
    format!("owner-{number}").into()
}

async fn append_one(segments: &Opened, number: usize, data: Vec<u8>) -> Extent {
    segments.append(vec![(key(number), data.into())]).await.unwrap()[0]
}

async fn read_all(segments: &Opened, number: usize, extent: Extent) -> Result<Bytes, Error> {
    segments.read(extent, &key(number), 0..extent.data_bytes).await
}

fn small(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap()
}

/// H18: a range of every alignment to the block's edges gives exactly its bytes.
#[test]
fn every_range_across_edges_reads_what_was_appended() {
    block_on(async {
        let segments = open(&SimDisk::new(1)).await;
        let lengths = [1, 511, 4095, 4096, 4097, 12_288, 20_000, 65_535, 65_536, 65_537, 300_001];
        let mut random = Random::new(2);
        let items: Vec<(Bytes, Bytes)> =
            (0..).zip(lengths).map(|(n, length)| (key(n), random.bytes(length).into())).collect();
        let extents = segments.append(items.clone()).await.unwrap();
        for ((key, data), extent) in items.iter().zip(extents) {
            let mut edges = vec![0, 1, data.len() / 2, data.len() - 1, data.len()];
            for edge in (4096..data.len()).step_by(4096 * (1 + data.len() / 40_000)) {
                edges.extend([edge - 1, edge, edge + 1]);
            }
            edges.retain(|edge| *edge <= data.len());
            for start in &edges {
                for end in edges.iter().filter(|end| *end >= start) {
                    let read =
                        segments.read(extent, key, small(*start)..small(*end)).await.unwrap();
                    assert_eq!(read, data.slice(start..end), "{start}..{end} of {}", data.len());
                }
            }
            let beyond = segments.read(extent, key, 0..extent.data_bytes + 1).await;
            assert!(matches!(beyond, Err(Error::Limit { .. })));
        }
    });
}

#[test]
fn a_small_extent_is_one_read_and_a_part_of_a_large_one_reads_a_part() {
    block_on(async {
        let segments = open(&SimDisk::new(1)).await;
        let packed = append_one(&segments, 0, vec![1; 5000]).await;
        let large = append_one(&segments, 1, vec![2; 700_000]).await;
        let before = segments.figures();
        read_all(&segments, 0, packed).await.unwrap();
        let after = segments.figures();
        assert_eq!(after.read_count - before.read_count, 1);
        segments.read(large, &key(1), 400_000..400_001).await.unwrap();
        let part = segments.figures();
        assert_eq!(part.read_count - after.read_count, 2);
        assert_eq!(part.read_bytes - after.read_bytes, 8192, "the header and one block");
        read_all(&segments, 1, large).await.unwrap();
        assert_eq!(segments.figures().read_count - part.read_count, 1);
    });
}

#[test]
fn one_append_call_is_one_write_where_it_fits() {
    block_on(async {
        let segments = open(&SimDisk::new(1)).await;
        let items = (0..50).map(|number| (key(number), vec![3; 100].into())).collect();
        segments.append(items).await.unwrap();
        let figures = segments.figures();
        assert_eq!((figures.write_count, figures.write_bytes), (1, 8192));
    });
}

/// Every byte from an extent's header to the end of its data, flipped, is found.
#[test]
fn every_flipped_byte_is_found() {
    let disk = SimDisk::new(1);
    block_on(async {
        let segments = open(&disk).await;
        let mut random = Random::new(3);
        let items: Vec<(Bytes, Bytes)> = [10, 0, 5000, 70_000, 1]
            .into_iter()
            .enumerate()
            .map(|(number, length)| (key(number), random.bytes(length).into()))
            .collect();
        let extents = segments.append(items.clone()).await.unwrap();
        segments.sync().await.unwrap();
        for ((key, data), extent) in items.iter().zip(extents) {
            // The data of the long one only at every 97th byte: the checksum treats them alike.
            let step = if data.len() > 10_000 { 97 } else { 1 };
            let header = (0..extent.header_bytes).step_by(if step == 1 { 1 } else { 3 });
            let body = (extent.header_bytes..small(data.len()) + extent.header_bytes).step_by(step);
            for position in header.chain(body) {
                let offset = u64::from(extent.offset + position);
                disk.flip("segment-00000000", offset, 1 << (position % 8));
                let read = segments.read(extent, key, 0..extent.data_bytes).await;
                disk.flip("segment-00000000", offset, 1 << (position % 8));
                let found = matches!(read, Err(Error::Corrupt { .. } | Error::Version { .. }));
                assert!(found, "byte {position} of {extent:?}: {read:?}");
            }
            assert_eq!(segments.read(extent, key, 0..extent.data_bytes).await.unwrap(), data);
        }
    });
}

#[test]
fn damage_outside_the_range_does_not_matter() {
    let disk = SimDisk::new(1);
    block_on(async {
        let segments = open(&disk).await;
        let extent = append_one(&segments, 0, vec![7; 20_000]).await;
        segments.sync().await.unwrap();
        let block = |index: u32| u64::from(extent.offset + extent.header_bytes + index * 4096);
        disk.flip("segment-00000000", block(1), 1);
        disk.flip("segment-00000000", block(3) - 1, 1);
        segments.read(extent, &key(0), 0..4096).await.unwrap();
        segments.read(extent, &key(0), 12_288..20_000).await.unwrap();
        segments.read(extent, &key(0), 4095..4097).await.unwrap_err();
        segments.read(extent, &key(0), 12_287..12_288).await.unwrap_err();
    });
}

/// H16: a whole, valid extent at another place, or of another owner, is refused.
#[test]
fn a_valid_extent_at_the_wrong_place_is_refused() {
    let disk = SimDisk::new(1);
    block_on(async {
        let segments = open(&disk).await;
        let first = append_one(&segments, 0, vec![1; 100]).await;
        let second = append_one(&segments, 0, vec![2; 100]).await;
        segments.sync().await.unwrap();
        assert!(matches!(read_all(&segments, 1, first).await, Err(Error::Corrupt { .. })));
        let length = usize::try_from(second.total_bytes()).unwrap();
        let file = disk.bytes("segment-00000000");
        let at = usize::try_from(second.offset).unwrap();
        disk.patch("segment-00000000", u64::from(first.offset), &file[at..at + length]);
        let misplaced = read_all(&segments, 0, first).await;
        assert!(matches!(misplaced, Err(Error::Corrupt { .. })), "{misplaced:?}");
        read_all(&segments, 0, second).await.unwrap();
        let longer = Extent { data_bytes: 101, ..second };
        read_all(&segments, 0, longer).await.unwrap_err();
        let outside = Extent { offset: u32::MAX - 4095, ..second };
        read_all(&segments, 0, outside).await.unwrap_err();
    });
}

#[test]
fn appends_side_by_side_never_share_a_place() {
    for seed in 0..20 {
        block_on(async {
            let segments = open(&SimDisk::new(seed)).await;
            let mut random = Random::new(seed);
            let datas: Vec<Vec<u8>> = (0..30).map(|_| random.some_bytes(150_000)).collect();
            let appends =
                datas.iter().enumerate().map(|(n, data)| append_one(&segments, n, data.clone()));
            let extents = join_all(appends).await;
            for (number, (extent, data)) in extents.iter().zip(&datas).enumerate() {
                let read = read_all(&segments, number, *extent).await.unwrap();
                assert_eq!(read, data, "seed {seed}");
            }
            assert!(segments.figures().segment_count > 1, "it rolled over");
            let mut scanned = Vec::new();
            for segment in 0..segments.next_segment() {
                scanned.extend(segments.scan(segment).await.unwrap());
            }
            let mut expected: Vec<(Bytes, Extent)> =
                extents.iter().enumerate().map(|(n, extent)| (key(n), *extent)).collect();
            expected.sort_by_key(|(_, extent)| *extent);
            assert_eq!(scanned, expected, "seed {seed}");
        });
    }
}

#[test]
fn callers_share_a_flush_and_later_ones_the_next() {
    block_on(async {
        let disk = SimDisk::new(5);
        let segments = open(&disk).await;
        append_one(&segments, 0, vec![1; 100]).await;
        let (release, gate) = oneshot::channel::<()>();
        let gate = gate.map(drop).shared();
        disk.set_delay(Some(Rc::new(move || gate.clone().boxed_local())));
        let mut early = join_all((0..40).map(|_| segments.sync()));
        for _ in 0..5 {
            assert!(futures::poll!(&mut early).is_pending());
        }
        disk.set_delay(None);
        append_one(&segments, 1, vec![1; 100]).await;
        let mut late = join_all((0..40).map(|_| segments.sync()));
        for _ in 0..5 {
            assert!(futures::poll!(&mut late).is_pending(), "answered by a flush from before");
        }
        release.send(()).unwrap();
        for result in futures::future::join(early, late).await.1 {
            result.unwrap();
        }
        assert_eq!(segments.figures().flush_count, 2);
        let before = disk.io_count();
        segments.sync().await.unwrap();
        assert_eq!(disk.io_count(), before, "nothing was dirty");
    });
}

#[test]
fn a_flush_outlives_the_caller_that_started_it() {
    let disk = SimDisk::new(5);
    block_on(async {
        let segments = open(&disk).await;
        append_one(&segments, 0, vec![1; 100]).await;
        disk.fail_at(disk.io_count(), Fault::SyncError, true);
        let mut dropped = Box::pin(segments.sync());
        assert!(futures::poll!(&mut dropped).is_pending());
        drop(dropped);
        assert!(matches!(segments.sync().await, Err(Error::Device { .. })));
        assert_eq!(segments.sync().await, Err(Error::Stopped));
        assert_eq!(segments.append(vec![]).await, Err(Error::Stopped));
    });
}
