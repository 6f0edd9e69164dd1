//! Writes a table, streaming: what is held is one block, the block index and the hashes of the keys.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    device::{Device, Directory, Durability, Fill, SECTOR_BYTES},
    error::Error,
    index::{
        block::BlockWriter,
        cache::{Cache, File, Use},
        entry::{Change, Payload, encode_change},
        filter,
        notify::give_way,
        table::{Footer, FrameKind, Handle, Identity, TableMeta, put_frame, table_name},
    },
    planted::{self, Bug},
};

/// Writes go out in pieces of this size.
const WRITE_BYTES: usize = 256 << 10;
/// Keys whose bits are set before other tasks run: a large table has a hundred thousand.
const FILTER_KEYS_AT_ONCE: usize = 4096;

pub(crate) struct TableWriter<D: Directory> {
    device: D::Device,
    id: u32,
    block_bytes: usize,
    data: BlockWriter,
    index: BlockWriter,
    hashes: Vec<u64>,
    /// Framed, not yet written; starts at `written`, a multiple of the sector.
    pending: Vec<u8>,
    written: u64,
    encoded: Vec<u8>,
    smallest: Option<Bytes>,
    largest: Vec<u8>,
    tombstones: u64,
    references: BTreeMap<u32, u64>,
}

/// A finished, durable table; its name is durable after the directory's sync.
pub(crate) struct Written<D: Directory> {
    pub(crate) meta: TableMeta,
    pub(crate) footer: Footer,
    pub(crate) device: D::Device,
}

impl<D: Directory> TableWriter<D> {
    pub(crate) async fn create(directory: &D, id: u32, block_bytes: usize) -> Result<Self, Error> {
        let device = directory.create(&table_name(id), Fill::Empty, Durability::AtSync).await?;
        Ok(Self {
            device,
            id,
            block_bytes,
            data: BlockWriter::default(),
            index: BlockWriter::default(),
            hashes: Vec::new(),
            pending: Vec::new(),
            written: 0,
            encoded: Vec::new(),
            smallest: None,
            largest: Vec::new(),
            tombstones: 0,
            references: BTreeMap::new(),
        })
    }

    /// Adds a key, greater than the one before.
    pub(crate) async fn add(&mut self, key: &Bytes, change: &Change) -> Result<(), Error> {
        self.encoded.clear();
        encode_change(change, &mut self.encoded);
        self.data.add(key, &self.encoded);
        self.hashes.push(filter::key_hash(key));
        if self.smallest.is_none() {
            self.smallest = Some(Bytes::copy_from_slice(key));
        }
        match change {
            None => self.tombstones += 1,
            Some(entry) => {
                if let Payload::Extent(extent) = entry.payload {
                    *self.references.entry(extent.segment).or_default() += extent_bytes(extent);
                }
            }
        }
        if self.data.length() >= self.block_bytes {
            self.close_block();
            self.write_full().await?;
        }
        Ok(())
    }

    /// About how long the table is so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.offset() + (self.data.length() + self.index.length()) as u64
    }

    /// Writes the rest and makes the file durable. Its filter and block index go to the cache.
    pub(crate) async fn finish(mut self, cache: &Cache) -> Result<Written<D>, Error> {
        if !self.data.is_empty() {
            self.close_block();
        }
        let smallest = self.smallest.take().expect("a table has an entry");
        let mut bits = filter::empty(self.hashes.len());
        for hashes in self.hashes.chunks(FILTER_KEYS_AT_ONCE) {
            filter::add(&mut bits, hashes);
            give_way().await;
        }
        let filter = self.put_cached(FrameKind::Filter, bits, cache);
        let content = self.index.finish();
        let index = self.put_cached(FrameKind::Index, content, cache);
        self.pending.resize(self.pending.len().next_multiple_of(SECTOR_BYTES), 0);
        let footer = Footer {
            table: self.id,
            filter,
            index,
            entries: self.hashes.len() as u64,
            bytes: self.offset() + SECTOR_BYTES as u64,
        };
        self.pending.extend_from_slice(&footer.encode());
        self.write(self.pending.len()).await?;
        if !planted::is(Bug::TableNotSynced) {
            self.device.sync().await?;
        }
        let meta = TableMeta {
            id: self.id,
            bytes: footer.bytes,
            entries: footer.entries,
            tombstones: self.tombstones,
            smallest,
            largest: Bytes::from(self.largest),
            references: self.references.into_iter().collect(),
        };
        Ok(Written { meta, footer, device: self.device })
    }

    fn offset(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    fn close_block(&mut self) {
        self.largest.clear();
        self.largest.extend_from_slice(self.data.last_key());
        let content = self.data.finish();
        let handle = self.put(FrameKind::Data, &content);
        self.index.add(&self.largest, &handle.encode());
    }

    fn put(&mut self, kind: FrameKind, content: &[u8]) -> Handle {
        let offset = self.offset();
        let identity = Identity { table: self.id, kind, offset };
        Handle { offset, length: put_frame(identity, content, &mut self.pending) }
    }

    fn put_cached(&mut self, kind: FrameKind, content: Vec<u8>, cache: &Cache) -> Handle {
        let handle = self.put(kind, &content);
        let place = (File::Table(self.id), handle.offset);
        cache.insert(place, Bytes::from(content), Use::Metadata);
        handle
    }

    async fn write_full(&mut self) -> Result<(), Error> {
        if self.pending.len() < WRITE_BYTES {
            return Ok(());
        }
        self.write(self.pending.len() / SECTOR_BYTES * SECTOR_BYTES).await
    }

    async fn write(&mut self, length: usize) -> Result<(), Error> {
        let mut buffer = self.device.buffer(length);
        buffer.copy_from_slice(&self.pending[..length]);
        self.device.write(self.written, buffer).await?;
        self.pending.drain(..length);
        self.written += length as u64;
        Ok(())
    }
}

/// What an extent occupies, as segments count it.
pub(crate) fn extent_bytes(extent: crate::segment::Extent) -> u64 {
    extent.total_bytes()
}
