//! The committer: one batch in flight at a time; what comes meanwhile goes out together in the next one.
//!
//! A completion is called after the write of the batch that has its records, in the order of the calls. After a
//! failed write nothing is written any more: what the disk has behind the last acknowledged batch is unknown.

use super::{
    Wal,
    batch::Write,
    queue::{Batch, complete},
    state::Phase,
};
use crate::{
    device::{Device, Directory},
    error::Error,
    planted::{self, Bug},
};

/// What the committer does next.
enum Step {
    Write,
    /// Nothing waits and nothing will come.
    Close,
}

impl<D: Directory> Wal<D> {
    /// Writes batches until the WAL is stopped or a write fails.
    pub(super) async fn commit(&self) -> Result<(), Error> {
        let result = self.commit_all().await;
        match &result {
            Ok(()) => self.0.state.borrow_mut().phase = Phase::Stopped,
            Err(error) => self.fail(error),
        }
        self.wake_all();
        result
    }

    /// Stops the WAL for good: everything that waits is told why.
    pub(super) fn fail(&self, error: &Error) {
        let abandoned = {
            let mut state = self.0.state.borrow_mut();
            if !matches!(state.phase, Phase::Failed(_)) {
                state.phase = Phase::Failed(error.clone());
            }
            state.queue.abandon()
        };
        complete(abandoned, &Err(error.clone()));
        self.wake_all();
    }

    async fn commit_all(&self) -> Result<(), Error> {
        let mut batch = Batch::default();
        loop {
            match self.0.work.until(|| self.step()).await? {
                Step::Write => self.commit_one(&mut batch).await?,
                Step::Close => {
                    if self.0.state.borrow().wants_mark() {
                        self.write(&mut batch).await?;
                    }
                    return Ok(());
                }
            }
        }
    }

    fn step(&self) -> Option<Result<Step, Error>> {
        let state = self.0.state.borrow();
        match &state.phase {
            Phase::Failed(error) => Some(Err(error.clone())),
            Phase::Open => {
                state.queue.asks(state.options.batch_bytes_max()).then_some(Ok(Step::Write))
            }
            Phase::Stopping | Phase::Stopped if state.queue.is_empty() => Some(Ok(Step::Close)),
            Phase::Stopping | Phase::Stopped => Some(Ok(Step::Write)),
        }
    }

    async fn commit_one(&self, batch: &mut Batch) -> Result<(), Error> {
        let done = self.0.state.borrow_mut().queue.take_done();
        if done.is_empty() {
            return self.write(batch).await;
        }
        // Nothing is before them in the queue, and the batch before is durable.
        complete(done, &Ok(()));
        Ok(())
    }

    async fn write(&self, batch: &mut Batch) -> Result<(), Error> {
        while !self.make_room() {
            self.0.upkeep.notify();
            self.0.work.until(|| self.outcome()).await?;
        }
        let Write { device, offset, buffer, pending } = self.0.state.borrow_mut().fill(batch);
        // A switch leaves no prepared segment.
        self.0.upkeep.notify();
        if planted::is(Bug::AcknowledgeBeforeFlush) {
            complete(batch.completions.drain(..), &Ok(()));
        }
        let result = device.write(offset, buffer).await;
        if result.is_ok() {
            self.0.state.borrow_mut().settle(pending);
        }
        batch.items.clear();
        complete(batch.completions.drain(..), &result);
        self.0.space.notify();
        result
    }

    /// Sees to it that the next batch fits; `false` where that takes a segment which isn't there yet.
    fn make_room(&self) -> bool {
        let mut state = self.0.state.borrow_mut();
        let length = state.plan();
        state.segments.has_room(length) || state.segments.switch()
    }

    fn outcome(&self) -> Option<Result<(), Error>> {
        let state = self.0.state.borrow();
        match &state.phase {
            Phase::Failed(error) => Some(Err(error.clone())),
            Phase::Open | Phase::Stopping | Phase::Stopped => state.segments.outcome(),
        }
    }
}
