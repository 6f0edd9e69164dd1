//! Watches the space of a shard's volume, and says when writes begin to be refused and when no more.
//!
//! What is kept back, and when a shard is short, is the disk's ([`anode_disk::storage::Storage::tend_space`]); here are
//! time and people. Short comes in two steps: at first writes wait, as upkeep may be about to have enough back; where it
//! hasn't after [`limits::SHORT_GRACE`], they are refused.

use std::{cell::Cell, collections::BTreeSet, io, path::Path, rc::Rc, time::Duration};

use anode_disk::{Error, device::Capacity, segment::Class, storage::Storage};
use anode_shards::keeper::Keeper;
use bytesize::ByteSize;
use nix::sys::statvfs::statvfs;

use crate::{
    host::{Host, doze},
    limits,
    mesh::AskError,
    shard::Shard,
    storage_class::{self, ClassDirectory},
};

/// Whether writes to a shard are refused for want of space.
#[derive(Debug, Default)]
pub(crate) struct Refusing(Cell<bool>);

impl<H: Host> Shard<H> {
    /// Waits until what takes space may go on.
    ///
    /// # Errors
    ///
    /// [`AskError::Full`] once a shortage has lasted.
    pub(crate) async fn wait_for_space(
        &self,
        storage: &Storage<H::Directory>,
    ) -> Result<(), AskError> {
        while storage.is_short_of_space() {
            if self.refusing().0.get() {
                return Err(AskError::Full);
            }
            doze(self.host(), limits::SPACE_POLL).await;
        }
        Ok(())
    }
}

/// Runs until the shard drains or its volume fails.
pub(crate) async fn run<H: Host>(
    shard: &Shard<H>,
    storage: &Rc<Storage<H::Directory>>,
    keeper: &Keeper<H::Directory>,
) -> Result<(), Error> {
    let refusing = &shard.refusing().0;
    let mut short_since = None;
    let mut failed = BTreeSet::new();
    let mut asked_at = shard.host().now().0;
    while !shard.is_draining() && !shard.volumes().has_own_failed() {
        match storage.tend_space().await {
            // Whoever stopped storage says why.
            Err(Error::Stopped) => break,
            tended => tended?,
        }
        tell_of_classes(shard, storage, &mut failed);
        let now = shard.host().now().0;
        if storage.is_short_of_space() {
            let is_due = has_passed(limits::SHORT_FLUSH_PERIOD, asked_at, now);
            if (is_due || short_since.is_none()) && storage.index.holds_unflushed() {
                asked_at = now;
                keeper.ask();
            }
            let since = *short_since.get_or_insert(now);
            if has_passed(limits::SHORT_GRACE, since, now) && !refusing.replace(true) {
                tell(shard, storage);
            }
        } else {
            short_since = None;
            if refusing.replace(false) {
                tell(shard, storage);
            }
        }
        doze(shard.host(), limits::SPACE_POLL).await;
    }
    // Nobody looks any more: who waits is not to wait for that.
    refusing.set(true);
    Ok(())
}

/// Says once that the directory of a storage class has failed.
fn tell_of_classes<H: Host>(
    shard: &Shard<H>,
    storage: &Storage<H::Directory>,
    failed: &mut BTreeSet<Class>,
) {
    let segments = storage.index.segments();
    for ClassDirectory { class, path } in &shard.settings().classes {
        if let Some(error) = segments.class_failure(*class)
            && failed.insert(*class)
        {
            tracing::error!(
                shard = shard.host().shard(),
                class = storage_class::name_of(*class),
                path,
                %error,
                "the directory of a storage class has failed: nothing new is written to it until the node is started again on a sound \
                 one; what it holds is read as far as that goes, and everything else goes on",
            );
        }
    }
}

/// Whether so much time has passed between two readings of the clock, in nanoseconds.
fn has_passed(period: Duration, before: u64, now: u64) -> bool {
    u128::from(now.saturating_sub(before)) >= period.as_nanos()
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

fn tell<H: Host>(shard: &Shard<H>, storage: &Storage<H::Directory>) {
    let found = storage.reserve();
    let free = ByteSize::b(found.capacity.free_bytes).display().iec();
    let needed = ByteSize::b(found.needed_bytes).display().iec();
    let shard = shard.host().shard();
    if found.is_short {
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

#[cfg(test)]
mod tests;
