//! A new log in the place of one that is damaged.
//!
//! It is one segment, of a generation above all others, whose only batch says that no older segment is needed. It is
//! durable before it gets its name: before the rename a recovery finds the old log, from it on the new one. Only then
//! the old segments go.

use bytes::Bytes;

use super::{Salvage, item};
use crate::{
    device::{Device, Directory, Durability, Fill, SECTOR_BYTES},
    error::Error,
    wal::{
        GroupId, Slot,
        batch::encode,
        format::{HEADER_BYTES, Header, Item, Kind, u32_of},
        segments::name,
    },
};

const DRAFT_NAME: &str = "wal-draft";

impl<D: Directory> Salvage<D> {
    /// Has the log begin anew, with these values of slots and no entries. Nothing may have the old one open.
    ///
    /// # Errors
    ///
    /// Those of the device; the log is then the old one or the new one.
    pub async fn renew(&self, slots: &[(GroupId, Slot, Bytes)]) -> Result<(), Error> {
        let items: Vec<Item> = slots
            .iter()
            .map(|(group, slot, value)| {
                let kind = match slot {
                    Slot::Vote => Kind::Vote,
                    Slot::Committed => Kind::Committed,
                    Slot::Purged => Kind::Purged,
                };
                item(kind, *group, 0, value.clone())
            })
            .collect();
        let length = HEADER_BYTES + items.iter().map(Item::bytes).sum::<usize>();
        let header = Header {
            generation: self.next_generation,
            sequence: self.next_sequence,
            durable: self.next_sequence - 1,
            oldest: self.next_generation,
            offset: 0,
            identity: self.options.identity,
            length: u32_of(length),
            count: u32_of(items.len()),
        };
        let directory = &self.directory;
        absent_is_fine(directory.remove(DRAFT_NAME).await)?;
        let batch_bytes = length.next_multiple_of(SECTOR_BYTES);
        let file_bytes = self.options.segment_bytes.max(batch_bytes as u64);
        let fill = Fill::Zeros(file_bytes);
        let device = directory.create(DRAFT_NAME, fill, Durability::EachWrite).await?;
        let mut buffer = device.buffer(batch_bytes);
        encode(&header, &items, &mut buffer);
        device.write(0, buffer).await?;
        device.sync().await?;
        directory.rename(DRAFT_NAME, &name(self.next_generation)).await?;
        directory.sync().await?;
        for generation in self.files.keys() {
            absent_is_fine(directory.remove(&name(*generation)).await)?;
        }
        directory.sync().await
    }
}

fn absent_is_fine(removed: Result<(), Error>) -> Result<(), Error> {
    match removed {
        Err(Error::Absent { .. }) => Ok(()),
        other => other,
    }
}
