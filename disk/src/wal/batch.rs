//! From the queue to a batch: which records go together, where each lies, and what is given up with it.
//!
//! A batch that gives up the oldest segment carries the slot values that only that segment has, and says itself which
//! segment is then the oldest. It is valid as a whole or not at all, so no crash can come between.

use std::{ops::DerefMut, rc::Rc};

use super::{
    format::{HEADER_BYTES, Header, Item, Kind, u32_of},
    log::Location,
    queue::Batch,
    segments::File,
    state::{Counts, State},
};
use crate::device::{Device, SECTOR_BYTES};

/// A batch that is ready to be written.
pub(super) struct Write<F: Device> {
    pub(super) device: Rc<F>,
    pub(super) offset: u64,
    pub(super) buffer: F::Buffer,
    pub(super) pending: Pending<F>,
}

/// What becomes true once the batch is durable.
pub(super) struct Pending<F> {
    header: Header,
    /// Bytes on disk.
    bytes: usize,
    /// Stamp of the last record in it.
    stamp: u64,
    /// Segments that aren't needed any more.
    released: Vec<File<F>>,
}

impl<F: Device> State<F> {
    /// Bytes on disk of the next batch, lazy and carried values aside.
    pub(super) fn plan(&self) -> usize {
        sectors(self.queue.plan(self.options.batch_bytes_max()))
    }

    /// Whether one more batch would say something new: that the records before it are durable, or lazy values.
    pub(super) fn wants_mark(&self) -> bool {
        !self.marked || self.queue.has_lazy()
    }

    /// Moves what waits into `batch` and lays it out; the segment must have room for [`Self::plan`] bytes.
    pub(super) fn fill(&mut self, batch: &mut Batch) -> Write<F> {
        self.queue.take(self.options.batch_bytes_max(), batch);
        self.marked = batch.items.is_empty();
        let (generation, offset) = self.segments.current().expect("the caller has made room");
        let device = self.segments.device(generation).expect("the segment being filled is live");
        let mut cursor = Cursor {
            generation,
            offset: u32::try_from(offset).expect("a segment has at most 1 GiB")
                + u32_of(HEADER_BYTES),
            end: u32::try_from(device.size()).expect("a segment has at most 1 GiB"),
        };
        let taken: usize = batch.items.iter().map(Item::bytes).sum();
        self.queue.take_lazy(cursor.room().saturating_sub(taken), batch);
        for item in &batch.items {
            self.place(item, &mut cursor);
        }
        let released = self.release(&mut cursor, batch);
        let length =
            usize::try_from(u64::from(cursor.offset) - offset).expect("a batch fits in memory");
        let header = Header {
            generation,
            sequence: self.durable + 1,
            durable: self.durable,
            oldest: self.segments.oldest().expect("the segment being filled is live"),
            offset: u32::try_from(offset).expect("a segment has at most 1 GiB"),
            identity: self.options.identity,
            length: u32_of(length),
            count: u32_of(batch.items.len()),
        };
        let bytes = sectors(length);
        let mut buffer = device.buffer(bytes);
        encode(&header, &batch.items, &mut buffer);
        let stamp = self.queue.taken();
        let pending = Pending { header, bytes, stamp, released };
        Write { device, offset, buffer, pending }
    }

    /// The batch is durable: counts it, gives up segments and forgets records that the cache has no place for.
    pub(super) fn settle(&mut self, pending: Pending<F>) {
        self.durable = pending.header.sequence;
        self.segments.advance(pending.bytes);
        let Counts { batches, records, bytes, .. } = &mut self.counts;
        *batches += 1;
        *records += u64::from(pending.header.count);
        *bytes += pending.bytes as u64;
        for file in pending.released {
            self.segments.add_spare(file);
        }
        self.cache.shrink(&mut self.logs, pending.stamp, self.options.cache_bytes_max);
    }

    /// Gives a record its place and applies it to the written view.
    fn place(&mut self, item: &Item, cursor: &mut Cursor) {
        let length = u32_of(item.bytes());
        let location = Location { segment: cursor.generation, offset: cursor.offset, length };
        let log = self.logs.entry(item.group).or_default();
        log.write(item, location, &mut self.segments).expect("each append continues its log");
        if item.kind == Kind::Remove && log.is_gone() {
            self.logs.remove(&item.group);
        }
        cursor.offset += length;
    }

    /// Gives up the oldest segments that have no needed entry, as far as their slot values fit into the batch.
    fn release(&mut self, cursor: &mut Cursor, batch: &mut Batch) -> Vec<File<F>> {
        let mut released = Vec::new();
        while let Some(oldest) = self.segments.idle() {
            let carried: Vec<Item> = self
                .logs
                .values()
                .flat_map(|log| log.kept_in(oldest))
                .map(|kept| kept.item.clone())
                .collect();
            if carried.iter().map(Item::bytes).sum::<usize>() > cursor.room() {
                break;
            }
            for item in carried {
                self.place(&item, cursor);
                batch.items.push(item);
            }
            released.push(self.segments.release(oldest));
        }
        released
    }
}

/// Where the next record of the batch goes.
struct Cursor {
    generation: u32,
    offset: u32,
    end: u32,
}

impl Cursor {
    fn room(&self) -> usize {
        usize::try_from(self.end.saturating_sub(self.offset)).expect("a segment fits in memory")
    }
}

/// Writes header and records, which begin at the header's offset, into `buffer`.
pub(super) fn encode(header: &Header, items: &[Item], buffer: &mut impl DerefMut<Target = [u8]>) {
    let mut at = HEADER_BYTES;
    for item in items {
        item.encode(header.generation, header.offset + u32_of(at), &mut buffer[at..]);
        at += item.bytes();
    }
    header.encode(buffer);
}

/// Rounds up to whole sectors.
fn sectors(bytes: usize) -> usize {
    bytes.next_multiple_of(SECTOR_BYTES)
}
