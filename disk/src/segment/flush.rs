//! One flush for many callers.
//!
//! A flush takes what is dirty when it starts. A caller whose data was complete by then may share it; one that comes
//! later waits for it and shares the next. A flush is a shared future: if the caller that started it goes away, the
//! next one carries it on, so that its error is never lost.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use futures::{
    FutureExt,
    future::{LocalBoxFuture, Shared, join_all},
};

use crate::{
    device::{Device, Directory},
    error::Error,
    planted::{self, Bug},
};

/// Files with writes that completed since their last flush.
type Dirty<D> = BTreeMap<u32, Rc<<D as Directory>::Device>>;

type Flush = Shared<LocalBoxFuture<'static, Result<(), Error>>>;

/// What is dirty, and the flush under way.
pub(super) struct Flusher<D: Directory> {
    dirty: RefCell<Dirty<D>>,
    names_dirty: Cell<bool>,
    started_count: Cell<u64>,
    /// The newest flush that somebody saw succeed.
    finished: Cell<u64>,
    running: RefCell<Option<(u64, Flush)>>,
}

impl<D: Directory> Flusher<D> {
    /// A write to this segment has completed.
    pub(super) fn wrote(&self, segment: u32, device: &Rc<D::Device>) {
        self.dirty.borrow_mut().insert(segment, Rc::clone(device));
    }

    /// A segment was made; its name is not durable yet.
    pub(super) fn named(&self) {
        self.names_dirty.set(true);
    }

    /// Returns when everything that was dirty at the call is durable.
    pub(super) async fn sync(&self, directory: &Rc<D>) -> Result<(), Error> {
        let before = self.started_count.get();
        // The one under way may have what we wait for; what it has not is still dirty.
        let under_way = self.running.borrow().clone();
        if let Some((number, flush)) = under_way {
            self.finish(number, flush).await?;
        }
        // One that was started since the call, and is over by now, had everything.
        if self.finished.get() > before {
            return Ok(());
        }
        match self.share_or_start(before, directory) {
            Some((number, flush)) => self.finish(number, flush).await,
            None => Ok(()),
        }
    }

    /// How many flushes were started.
    pub(super) fn count(&self) -> u64 {
        self.started_count.get()
    }

    async fn finish(&self, number: u64, flush: Flush) -> Result<(), Error> {
        flush.await?;
        self.finished.set(self.finished.get().max(number));
        self.running.borrow_mut().take_if(|(running, _)| *running == number);
        Ok(())
    }

    fn share_or_start(&self, before: u64, directory: &Rc<D>) -> Option<(u64, Flush)> {
        let mut running = self.running.borrow_mut();
        if let Some((number, flush)) = running.as_ref()
            && *number > before
        {
            return Some((*number, flush.clone()));
        }
        let dirty = std::mem::take(&mut *self.dirty.borrow_mut());
        let names_dirty = self.names_dirty.take();
        if dirty.is_empty() && !names_dirty {
            return None;
        }
        let number = self.started_count.get() + 1;
        self.started_count.set(number);
        let directory = names_dirty.then(|| Rc::clone(directory));
        let flush = flush(dirty, directory).boxed_local().shared();
        *running = Some((number, flush.clone()));
        Some((number, flush))
    }
}

async fn flush<D: Directory>(dirty: Dirty<D>, names_of: Option<Rc<D>>) -> Result<(), Error> {
    for synced in join_all(dirty.values().map(|device| device.sync())).await {
        if !planted::is(Bug::FlushErrorIgnored) {
            synced?;
        }
    }
    match names_of {
        Some(directory) if !planted::is(Bug::SegmentNameNotSynced) => directory.sync().await,
        Some(_) | None => Ok(()),
    }
}

impl<D: Directory> Default for Flusher<D> {
    fn default() -> Self {
        Self {
            dirty: RefCell::default(),
            names_dirty: Cell::default(),
            started_count: Cell::default(),
            finished: Cell::default(),
            running: RefCell::default(),
        }
    }
}
