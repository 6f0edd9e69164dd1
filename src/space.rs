//! Watches the space of a shard's volume, and says when writes begin to be refused and when no more.
//!
//! What is kept back, and when a shard is short, is the disk's ([`anode_disk::storage::Storage::tend_space`]); here are
//! time and people.

use std::{io, path::Path, rc::Rc};

use anode_disk::{Error, device::Capacity, storage::Storage};
use anode_shards::keeper::Keeper;
use bytesize::ByteSize;
use nix::sys::statvfs::statvfs;

use crate::{host::Host, limits, shard::Shard};

/// Runs until the shard drains or its volume fails.
pub(crate) async fn run<H: Host>(
    shard: &Shard<H>,
    storage: &Rc<Storage<H::Directory>>,
    keeper: &Keeper<H::Directory>,
) -> Result<(), Error> {
    let mut was_short = false;
    let mut asked_at = shard.host().now().0;
    while !shard.is_draining() && !shard.volumes().has_own_failed() {
        match storage.tend_space().await {
            // Whoever stopped storage says why.
            Err(Error::Stopped) => return Ok(()),
            tended => tended?,
        }
        let is_short = storage.is_short_of_space();
        let now = shard.host().now().0;
        let is_due = u128::from(now - asked_at) >= limits::SHORT_FLUSH_PERIOD.as_nanos();
        if is_short && (is_due || !was_short) && storage.index.holds_unflushed() {
            asked_at = now;
            keeper.ask();
        }
        if is_short != was_short {
            tell(shard, storage, is_short);
        }
        was_short = is_short;
        shard.host().sleep(limits::SPACE_POLL).await;
    }
    Ok(())
}

/// The space of the file system that a directory is on.
pub(crate) fn capacity_of(directory: &Path) -> io::Result<Capacity> {
    let found = statvfs(directory)?;
    let unit = found.fragment_size();
    Ok(Capacity {
        free_bytes: found.blocks_available().saturating_mul(unit),
        total_bytes: found.blocks().saturating_mul(unit),
    })
}

fn tell<H: Host>(shard: &Shard<H>, storage: &Storage<H::Directory>, is_short: bool) {
    let found = storage.reserve();
    let free = ByteSize::b(found.capacity.free_bytes).display().iec();
    let needed = ByteSize::b(found.needed_bytes).display().iec();
    let shard = shard.host().shard();
    if is_short {
        tracing::warn!(
            shard,
            %free,
            "the data directory is nearly full: writes are refused with InsufficientStorage until {needed} are free; reads and \
             deletes go on. Delete objects, or make room on its file system"
        );
    } else {
        tracing::info!(shard, %free, "the data directory has space again: writes are accepted");
    }
}
