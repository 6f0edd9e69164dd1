//! Why storage refused: one variant a reaction.

/// What a caller of storage must react to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A read, write, flush or metadata operation failed: fatal for every shard of the volume, never retried.
    #[error("{attempted}: the device failed: {reason}")]
    Device {
        /// What was attempted, with the file.
        attempted: String,
        /// What the system said.
        reason: String,
    },
    /// Bytes don't match their checksum or identity: report, never serve, never drop.
    #[error("{location} is damaged: {finding}")]
    Corrupt {
        /// File and offset.
        location: String,
        /// What is wrong there.
        finding: String,
    },
    /// The file system is full: refuse writes, keep serving the rest.
    #[error("{attempted}: no space left on the volume")]
    NoSpace {
        /// What was attempted.
        attempted: String,
    },
    /// The directory of another class than the shard's own has no space: refuse what is to go there, keep serving the rest.
    #[error("{attempted}: no space left there")]
    ClassFull {
        /// What was attempted.
        attempted: String,
    },
    /// A write or flush in the directory of another class than the shard's own failed: it takes no more of them before
    /// the next start, and nothing else is hit.
    #[error("{attempted}: the device failed: {reason}")]
    ClassFailed {
        /// What was attempted, with the file.
        attempted: String,
        /// What the system said.
        reason: String,
    },
    /// There is no such file.
    #[error("{name} does not exist")]
    Absent {
        /// Its name.
        name: String,
    },
    /// There is such a file already.
    #[error("{name} exists already")]
    Exists {
        /// Its name.
        name: String,
    },
    /// The format is of another release: the node refuses to start.
    #[error("{location} has format version {found}; this release reads {readable}")]
    Version {
        /// Which file.
        location: String,
        /// The version it has.
        found: u32,
        /// What can be read.
        readable: String,
    },
    /// A limit of this crate was passed by the caller's data.
    #[error("{what} is {found}; the limit is {limit}")]
    Limit {
        /// What was measured, with its unit.
        what: &'static str,
        /// Its value.
        found: u64,
        /// What is allowed.
        limit: u64,
    },
    /// Storage has stopped after an earlier failure, or is shutting down.
    #[error("storage has stopped")]
    Stopped,
}
