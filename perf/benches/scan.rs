//! What a page of a listing costs in the index: 160 entries of a group, as each of eight groups gives for a page of a
//! thousand, from tables that are all in the cache, and from tables of which walks keep little.

use std::hint::black_box;

use anode_disk::{
    Directory,
    index::{Batch, Entry, Index, IndexOptions, Payload, ScanLimit},
    segment::SegmentOptions,
    testing::{SimDirectory, SimDisk, block_on},
};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const KEY_COUNT: u64 = 100_000;
const PAGE: ScanLimit = ScanLimit { entries: 160, bytes: 1 << 20 };

fn key(number: u64) -> Bytes {
    Bytes::from(format!("\0\0\0\u{1}\u{3}bucket--load/key-{number:012}\0\u{1}"))
}

async fn open(disk: &SimDisk, block_cache_bytes_max: usize) -> Index<SimDirectory> {
    let tables = disk.root().directory("tables").await.expect("a new disk");
    let segments = disk.root().directory("segments").await.expect("a new disk");
    let options = IndexOptions {
        memtable_bytes_max: 256 << 20,
        block_cache_bytes_max,
        ..IndexOptions::default()
    };
    let index = Index::open(tables, segments, options, SegmentOptions::default()).await;
    index.expect("the disk has no faults")
}

/// Three flushed tables, whose keys lie between each other.
async fn fill(disk: &SimDisk) {
    let index = open(disk, 1 << 20).await;
    for flush in 0..3 {
        let mut batch = Batch::default();
        for number in (0..KEY_COUNT).filter(|number| (number % 10).min(2) == flush) {
            let value = Bytes::from(vec![7; 100]);
            let payload = Payload::Inline(Bytes::from(vec![9; 128]));
            batch.put(key(number), Entry { value, payload });
        }
        index.write(batch);
        drop(index.flush().await.expect("the disk has no faults"));
    }
}

/// Pages one after the other, from the first again after the last.
fn pages(criterion: &mut Criterion) {
    let disk = SimDisk::new(1);
    block_on(fill(&disk));
    let mut group = criterion.benchmark_group("a page of a group");
    group.throughput(Throughput::Elements(PAGE.entries as u64));
    for (name, cache_bytes) in [("from the cache", 256 << 20), ("from the device", 4 << 20)] {
        let index = block_on(open(&disk, cache_bytes));
        let mut start = key(0);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let page = block_on(index.scan(start.clone()..key(KEY_COUNT), PAGE));
                let page = page.expect("the disk has no faults");
                start = page.next.clone().unwrap_or_else(|| key(0));
                black_box(page.entries.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, pages);
criterion_main!(benches);
