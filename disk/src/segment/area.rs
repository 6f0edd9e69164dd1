//! Where the segments of one class lie, and what is written and flushed there: each class for itself.
//!
//! The shard's own directory and the volume around it are one: what fails there ends storage. A directory of another
//! class is on another device. When a write or flush fails there, or it is full, that is the end of writes to it alone:
//! nothing that it has not acknowledged was ever referred to, for whoever appends to a class flushes it before.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use super::{Class, append::Appender, files::Files, flush::Flusher};
use crate::{
    device::{Capacity, Directory},
    error::Error,
};

/// Segments that are left free in the directory of a class: what its thin ones are rewritten into when it is full.
const RESERVE_SEGMENTS: u64 = 2;
/// As many more must be free before it counts as full no more.
const EASE_SEGMENTS: u64 = 1;

/// Who has something written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// The owner: new bytes.
    Owner,
    /// Upkeep: bytes that are moved, so that others go.
    Upkeep,
}

/// The segments of one class.
pub(super) struct Area<D: Directory> {
    pub(super) class: Class,
    pub(super) directory: Rc<D>,
    pub(super) files: Files<D>,
    pub(super) appender: Appender<D>,
    pub(super) flusher: Flusher<D>,
    /// The first failed write or flush of a class that isn't the shard's own.
    failure: RefCell<Option<Error>>,
    /// Somebody was refused for want of space, and there is none yet.
    full: Cell<bool>,
}

impl<D: Directory> Area<D> {
    pub(super) fn new(class: Class, directory: D, open_count_max: usize) -> Self {
        let directory = Rc::new(directory);
        Self {
            class,
            files: Files::new(Rc::clone(&directory), open_count_max),
            directory,
            appender: Appender::default(),
            flusher: Flusher::default(),
            failure: RefCell::default(),
            full: Cell::default(),
        }
    }

    /// Refuses where a write or flush has failed.
    pub(super) fn running(&self) -> Result<(), Error> {
        self.failure.borrow().clone().map_or(Ok(()), Err)
    }

    /// Whether a write or flush has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Why it takes no writes any more.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.borrow().clone()
    }

    /// Whether its dead bytes are worth getting at.
    pub(super) fn is_full(&self) -> bool {
        self.full.get() && !self.has_failed()
    }

    /// What a failure of a write, flush or change of names means for the shard: of its own directory all that it says, of
    /// another one that this takes no writes.
    pub(super) fn noted<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if self.class == Class::OWN {
            return result;
        }
        result.map_err(|error| match error {
            Error::NoSpace { attempted } => {
                self.full.set(true);
                Error::ClassFull { attempted }
            }
            Error::Device { attempted, reason } => self.fail(attempted, reason),
            Error::Absent { name } => {
                self.fail(format!("write below {name}"), "it is gone".to_owned())
            }
            error @ (Error::Exists { .. }
            | Error::Corrupt { .. }
            | Error::ClassFull { .. }
            | Error::ClassFailed { .. }
            | Error::Version { .. }
            | Error::Limit { .. }
            | Error::Stopped) => error,
        })
    }

    fn fail(&self, attempted: String, reason: String) -> Error {
        let error = Error::ClassFailed { attempted, reason };
        self.failure.borrow_mut().get_or_insert(error).clone()
    }

    /// Before a segment is made in the directory of another class: new bytes leave some space to upkeep.
    pub(super) async fn check_space(
        &self,
        writer: Writer,
        segment_bytes: u64,
    ) -> Result<(), Error> {
        if self.class == Class::OWN || writer == Writer::Upkeep {
            return Ok(());
        }
        let Capacity { free_bytes, .. } = self.directory.capacity().await?;
        if free_bytes >= (RESERVE_SEGMENTS + 1) * segment_bytes {
            self.full.set(false);
            return Ok(());
        }
        Err(Error::NoSpace { attempted: format!("make a segment in {}", self.directory.path()) })
    }

    /// Looks whether there is space again where there was none.
    pub(super) async fn look(&self, segment_bytes: u64) -> Result<(), Error> {
        if !self.is_full() {
            return Ok(());
        }
        let Capacity { free_bytes, .. } = self.directory.capacity().await?;
        let eased = (RESERVE_SEGMENTS + 1 + EASE_SEGMENTS) * segment_bytes;
        self.full.set(free_bytes < eased);
        Ok(())
    }

    /// Whether there is space for a segment that a thin one is rewritten into.
    pub(super) async fn may_rewrite(&self, segment_bytes: u64) -> bool {
        if self.has_failed() {
            return false;
        }
        let capacity = self.directory.capacity().await;
        capacity.is_ok_and(|capacity| capacity.free_bytes >= segment_bytes)
    }
}
