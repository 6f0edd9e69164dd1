//! What can go wrong with one operation, and when.

/// The kind of an operation, to match faults with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    Write,
    Sync,
    Create,
    Names,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO: a read fails.
    ReadError,
    /// EIO: any operation fails; the bytes of a write may be lost, whole or torn.
    Io,
    /// ENOSPC: a write or a creation fails and leaves nothing behind.
    NoSpace,
    /// A write stops after some of its sectors.
    ShortWrite,
    /// A sync fails, and what it should have made durable may silently go back.
    SyncError,
}

impl Fault {
    /// Whether this fault can strike that operation.
    pub(super) fn strikes(self, operation: Operation) -> bool {
        match self {
            Self::Io => true,
            Self::ReadError => operation == Operation::Read,
            Self::NoSpace => matches!(operation, Operation::Write | Operation::Create),
            Self::ShortWrite => operation == Operation::Write,
            Self::SyncError => operation == Operation::Sync,
        }
    }
}

/// A fault that waits for its operation.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) from_io: u64,
    pub(super) fault: Fault,
    pub(super) once: bool,
    /// Only this file, or what lies in this directory, is struck; everything where it is empty.
    pub(super) within: String,
}

impl Planned {
    /// Whether it strikes this operation on the file at `path`, the I/O with this number.
    pub(super) fn strikes(&self, number: u64, operation: Operation, path: &str) -> bool {
        let rest = path.strip_prefix(&self.within);
        let is_within = self.within.is_empty()
            || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        is_within && number >= self.from_io && self.fault.strikes(operation)
    }
}
