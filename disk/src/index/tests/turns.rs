//! What one turn of a flush or a compaction does is bounded, whatever the memtable or the segment holds.

use bytes::Bytes;

use super::{open, rig};
use crate::{
    index::{Batch, Entry, Index, Payload, memtable::HANDLED_AT_ONCE, pace::FlatOut},
    testing::{SimDirectory, block_on},
};

/// Several times what one turn may do.
const COUNT: usize = 8 * HANDLED_AT_ONCE;

fn key(number: usize) -> Bytes {
    Bytes::from(format!("key-{number:08}"))
}

/// Runs `work`; the most bytes of pins that went in one turn of it.
async fn most_unpinned<T>(index: &Index<SimDirectory>, work: impl Future<Output = T>) -> u64 {
    let pinned = || index.segments().pinned_bytes();
    let (mut before, mut most) = (pinned(), 0);
    let mut work = Box::pin(work);
    std::future::poll_fn(|context| {
        let polled = work.as_mut().poll(context);
        most = most.max(before.saturating_sub(pinned()));
        before = pinned();
        polled
    })
    .await;
    assert_eq!(pinned(), 0);
    most
}

#[test]
fn a_flush_lets_go_of_pins_a_lot_at_a_time() {
    block_on(async {
        let (disk, _) = rig(1);
        let index = open(disk.reopen()).await.unwrap();
        let items = (0..COUNT).map(|number| (key(number), Bytes::from_static(&[7; 10])));
        let extents = index.segments().append(items.collect()).await.unwrap();
        let bytes = extents[0].total_bytes();
        let mut batch = Batch::default();
        for (number, extent) in extents.into_iter().enumerate() {
            let payload = Payload::Extent(extent);
            batch.put(key(number), Entry { value: Bytes::new(), payload });
        }
        index.write(batch);
        let most = most_unpinned(&index, index.flush()).await;
        assert!(most > 0 && most <= HANDLED_AT_ONCE as u64 * bytes, "{} pins", most / bytes);
    });
}

#[test]
fn payloads_that_were_moved_are_let_go_of_a_lot_at_a_time() {
    block_on(async {
        let (disk, _) = rig(2);
        let index = open(disk.reopen()).await.unwrap();
        let mut batch = Batch::default();
        for number in 0..COUNT {
            let payload = Payload::Inline(Bytes::from(vec![7; 300]));
            batch.put(key(number), Entry { value: Bytes::new(), payload });
        }
        index.write(batch);
        let most = most_unpinned(&index, index.flush()).await;
        let extent = |number| match &number {
            Some(Entry { payload: Payload::Extent(extent), .. }) => extent.total_bytes(),
            other => unreachable!("{other:?}"),
        };
        let bytes = extent(index.get(&key(0)).await.unwrap());
        assert!(most > 0 && most <= HANDLED_AT_ONCE as u64 * bytes, "{} pins", most / bytes);

        // Most of it goes, so that the segments are thin and the rest is moved again.
        let mut batch = Batch::default();
        for number in (0..COUNT).filter(|number| number % 4 > 0) {
            batch.delete(key(number));
        }
        index.write(batch);
        drop(index.flush().await.unwrap());
        let upkeep = async { while index.upkeep(&FlatOut).await.unwrap() {} };
        let most = most_unpinned(&index, upkeep).await;
        assert!(index.figures().relocated_bytes > 0);
        assert!(most <= HANDLED_AT_ONCE as u64 * bytes, "{} pins", most / bytes);
    });
}
