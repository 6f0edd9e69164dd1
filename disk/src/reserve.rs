//! Space kept back on a volume, so that what frees space still works when there is none for anything else.
//!
//! Three marks. While less than a *margin* is free, the shard is *short*: its owner refuses what takes space, and what is
//! under way still fits. The *reserve* is a file of reserved space: it is given up when the log, a flush or compaction
//! found the volume full all the same, because others write to it, too. Then deletes are logged, tables merged and
//! segments rewritten in the space of it. It is made again as soon as that leaves the margin free; until then the shard
//! stays short, and then until somewhat more is free. And some way before the margin space is *tight*: upkeep is to get at all that is dead, so that the shard needn't
//! become short for want of what it has.
//!
//! The file holds nothing. A crash may leave it, leave it in part or not at all: each is a state to go on from.

use std::{cell::Cell, fmt, rc::Rc};

use futures::lock::Mutex;

use crate::{
    device::{Capacity, Device, Directory, Durability, Fill},
    error::Error,
};

const NAME: &str = "reserve";
/// Space is tight while less is free than what ends shortage, and so many times the reserve.
const TIGHT_RESERVES: u64 = 2;
/// How many calls of [`Reserve::tend`] a file that could not be made is let be: a quota may refuse what the file
/// system has.
const REFUSED_PAUSE: u32 = 20;

/// How much is kept back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReserveOptions {
    /// The length of the file, in bytes.
    pub(crate) reserve_bytes: u64,
    /// What must be free beside it, in bytes, lest the shard be short: there or in its own files.
    pub(crate) margin_bytes: u64,
    /// What must be free beyond the margin before the shard is short no more, in bytes: so that it doesn't come and go
    /// with each request.
    pub(crate) ease_bytes: u64,
}

/// What there is of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReserveFigures {
    /// What is free on the volume, and what it holds in all, as of the last look.
    pub capacity: Capacity,
    /// Bytes of the file; 0 while it is given up.
    pub held_bytes: u64,
    /// What must be free for writes to be taken again, in bytes.
    pub needed_bytes: u64,
    /// How often it was given up since the start.
    pub given_count: u64,
    /// What takes space is to be refused.
    pub is_short: bool,
}

/// The reserve of a shard. A clone is the same one.
pub(crate) struct Reserve<D: Directory>(Rc<Inner<D>>);

struct Inner<D: Directory> {
    directory: Rc<D>,
    options: ReserveOptions,
    held: Cell<bool>,
    short: Cell<bool>,
    tight: Cell<bool>,
    /// Calls of `tend` for which no file is made.
    pause: Cell<u32>,
    capacity: Cell<Capacity>,
    given_count: Cell<u64>,
    /// One change of the file at a time.
    changing: Mutex<()>,
}

impl<D: Directory> Reserve<D> {
    /// Looks for the file and at the volume. Where less than the margin is free the file is given up at once: whatever
    /// opens next has to write.
    pub(crate) async fn open(directory: Rc<D>, options: ReserveOptions) -> Result<Self, Error> {
        let reserve = Self(Rc::new(Inner {
            directory,
            options,
            held: Cell::new(false),
            short: Cell::new(false),
            tight: Cell::new(false),
            pause: Cell::new(0),
            capacity: Cell::default(),
            given_count: Cell::new(0),
            changing: Mutex::new(()),
        }));
        let found = reserve.0.directory.open(NAME, Durability::AtSync).await;
        let size = match found {
            Ok(file) => Some(file.size()),
            Err(Error::Absent { .. }) => None,
            Err(error) => return Err(error),
        };
        reserve.0.held.set(size.is_some());
        if size.is_some_and(|size| size != options.reserve_bytes)
            || reserve.look(0).await? == Room::Low
        {
            reserve.remove().await?;
        }
        reserve.tend(0).await?;
        Ok(reserve)
    }

    /// Looks how much is free; makes the file again where there is room for it. To be called every now and then, and
    /// much sooner than the margin is filled. `room_bytes` is what the shard's own files have left for what is written
    /// next: the margin's share for a new segment isn't needed as far as the last one has room.
    pub(crate) async fn tend(&self, room_bytes: u64) -> Result<(), Error> {
        let inner = &*self.0;
        let guard = inner.changing.lock().await;
        let ReserveOptions { reserve_bytes, margin_bytes, .. } = inner.options;
        let mut room = self.look(room_bytes).await?;
        let fits = inner.capacity.get().free_bytes >= margin_bytes + reserve_bytes;
        if !inner.held.get() && fits {
            if inner.pause.get() > 0 {
                inner.pause.set(inner.pause.get() - 1);
            } else {
                let made = self.make().await?;
                inner.held.set(made);
                inner.pause.set(if made { 0 } else { REFUSED_PAUSE });
                room = self.look(room_bytes).await?;
            }
        }
        let enough = if inner.short.get() { Room::Eased } else { Room::Fair };
        inner.short.set(!inner.held.get() || room < enough);
        drop(guard);
        Ok(())
    }

    /// Gives up the file because the volume was found full; true where there is space now that was not there
    /// before, so that it is worth trying again.
    pub(crate) async fn give(&self) -> Result<bool, Error> {
        let inner = &*self.0;
        inner.short.set(true);
        inner.tight.set(true);
        let guard = inner.changing.lock().await;
        let held = inner.held.get();
        if held {
            self.remove().await?;
            inner.given_count.set(inner.given_count.get() + 1);
        }
        drop(guard);
        Ok(held)
    }

    /// Whether what takes space is to be refused.
    pub(crate) fn is_short(&self) -> bool {
        self.0.short.get()
    }

    /// Whether upkeep is to get at all that is dead.
    pub(crate) fn is_tight(&self) -> bool {
        self.0.short.get() || self.0.tight.get()
    }

    /// What there is of it.
    pub(crate) fn figures(&self) -> ReserveFigures {
        let Inner { options, held, capacity, given_count, .. } = &*self.0;
        let held_bytes = if held.get() { options.reserve_bytes } else { 0 };
        let eased = options.margin_bytes + options.ease_bytes;
        ReserveFigures {
            capacity: capacity.get(),
            held_bytes,
            needed_bytes: eased + options.reserve_bytes - held_bytes,
            given_count: given_count.get(),
            is_short: self.is_short(),
        }
    }

    /// What is free on the volume, in bytes: now, not at the last look.
    pub(crate) async fn free_bytes(&self) -> Result<u64, Error> {
        self.look(0).await?;
        Ok(self.0.capacity.get().free_bytes)
    }

    async fn look(&self, room_bytes: u64) -> Result<Room, Error> {
        let inner = &*self.0;
        let capacity = inner.directory.capacity().await?;
        inner.capacity.set(capacity);
        let ReserveOptions { reserve_bytes, margin_bytes, ease_bytes } = inner.options;
        let free = capacity.free_bytes;
        let comfortable = margin_bytes + ease_bytes + TIGHT_RESERVES * reserve_bytes;
        inner.tight.set(free < comfortable);
        let (eased_bytes, usable) = (margin_bytes + ease_bytes, free + room_bytes);
        Ok(match usable {
            _ if usable < margin_bytes => Room::Low,
            _ if usable < eased_bytes => Room::Fair,
            _ => Room::Eased,
        })
    }

    /// False where the volume hasn't got the space after all.
    async fn make(&self) -> Result<bool, Error> {
        let inner = &*self.0;
        let fill = Fill::Reserved(inner.options.reserve_bytes);
        match inner.directory.create(NAME, fill, Durability::AtSync).await {
            Ok(file) => {
                // Its length is as little durable as its name.
                file.sync().await?;
                inner.directory.sync().await?;
                Ok(true)
            }
            Err(Error::NoSpace { .. }) => {
                self.remove().await?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn remove(&self) -> Result<(), Error> {
        self.0.held.set(false);
        match self.0.directory.remove(NAME).await {
            Ok(()) | Err(Error::Absent { .. }) => {}
            Err(error) => return Err(error),
        }
        // A file system may give the space of a file out only after its removal is durable.
        self.0.directory.sync().await
    }
}

/// What a look at the volume came to, from the least that is free to the most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Room {
    /// Less than the margin.
    Low,
    /// The margin, but not enough to end a shortage.
    Fair,
    /// Enough to end a shortage.
    Eased,
}

impl<D: Directory> Clone for Reserve<D> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<D: Directory> fmt::Debug for Reserve<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve")
            .field("figures", &self.figures())
            .field("short", &self.is_short())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
