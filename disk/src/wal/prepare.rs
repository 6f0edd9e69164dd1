//! Keeps one segment ready, so that no batch waits for a file to be filled with zeros, and removes surplus files.
//!
//! Making a file runs beside the batches. On a full volume it takes the shard's reserve; without one the WAL goes on as
//! long as it has room, and fails only where a batch needs a segment that can't be made, which is a whole segment after
//! [`Wal::is_short`] was first true.

use std::rc::Rc;

use super::{
    Wal,
    segments::{File, Upkeep, name},
    state::Phase,
};
use crate::{
    device::{Directory, Durability, Fill},
    error::Error,
    planted::{self, Bug},
};

impl<D: Directory> Wal<D> {
    /// Makes, recycles and removes segment files until the committer has ended.
    pub(super) async fn prepare(&self) -> Result<(), Error> {
        loop {
            let result = match self.0.upkeep.until(|| self.upkeep()).await {
                Upkeep::End => return Ok(()),
                Upkeep::Prepare(generation, spare) => self.prepare_one(generation, spare).await,
                Upkeep::Remove(file) => self.remove_one(file).await,
            };
            if let Err(error) = result {
                self.fail(&error);
                return Err(error);
            }
        }
    }

    fn upkeep(&self) -> Option<Upkeep<D::Device>> {
        let mut state = self.0.state.borrow_mut();
        let batches = state.counts.batches;
        match state.phase {
            Phase::Stopped | Phase::Failed(_) => Some(Upkeep::End),
            Phase::Open => state.segments.upkeep(batches, false),
            Phase::Stopping => state.segments.upkeep(batches, true),
        }
    }

    async fn prepare_one(
        &self,
        generation: u32,
        spare: Option<File<D::Device>>,
    ) -> Result<(), Error> {
        let made = match spare {
            Some(file) => self.recycle(generation, file).await.map(Some)?,
            None => self.make(generation).await?,
        };
        if let Some(device) = made {
            // The name must be durable before the first record is: else a crash would take the file, records and all.
            if !planted::is(Bug::WalNameNotSynced) {
                self.0.directory.sync().await?;
            }
            self.0.state.borrow_mut().segments.ready(File { generation, device });
        }
        self.0.work.notify();
        Ok(())
    }

    async fn recycle(
        &self,
        generation: u32,
        file: File<D::Device>,
    ) -> Result<Rc<D::Device>, Error> {
        self.0.directory.rename(&name(file.generation), &name(generation)).await?;
        Ok(file.device)
    }

    /// A new file; `None` where the volume is full.
    async fn make(&self, generation: u32) -> Result<Option<Rc<D::Device>>, Error> {
        loop {
            let fill = Fill::Zeros(self.0.segment_bytes);
            let made =
                self.0.directory.create(&name(generation), fill, Durability::EachWrite).await;
            let error = match made {
                Ok(device) => return Ok(Some(Rc::new(device))),
                Err(error @ Error::NoSpace { .. }) => error,
                Err(error) => return Err(error),
            };
            // What there is of the file takes the space that others need.
            match self.0.directory.remove(&name(generation)).await {
                Ok(()) | Err(Error::Absent { .. }) => {}
                Err(error) => return Err(error),
            }
            let given = match &self.0.reserve {
                Some(reserve) => reserve.give().await?,
                None => false,
            };
            if !given {
                let mut state = self.0.state.borrow_mut();
                let batches = state.counts.batches;
                state.segments.refused(error, batches);
                return Ok(None);
            }
        }
    }

    async fn remove_one(&self, file: File<D::Device>) -> Result<(), Error> {
        self.0.directory.remove(&name(file.generation)).await?;
        self.0.directory.sync().await
    }
}
