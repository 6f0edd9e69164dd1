//! What scrub finds: where bytes are not what was written, and which keys that strikes.

use bytes::Bytes;

use crate::error::Error;

/// Bytes that can't be read, or are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// File and offset.
    pub location: String,
    /// What is wrong there.
    pub finding: String,
    /// Whose bytes they are.
    pub hit: Hit,
}

/// Which index keys a finding strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hit {
    /// None in particular: a part that others lean on, or one that is there twice.
    Structure,
    /// The payload of this key.
    Payload(Bytes),
    /// Keys from the first to the last, both included: a block of a table.
    Keys(Bytes, Bytes),
}

impl Finding {
    /// The finding that a failed read makes. What isn't about the bytes read, such as a stop, stays an error.
    pub(crate) fn of(error: Error, hit: Hit) -> Result<Self, Error> {
        match error {
            Error::Corrupt { location, finding } => Ok(Self { location, finding, hit }),
            // A bad sector: other reads go on, as those of clients do.
            Error::Device { attempted, reason } => {
                let finding = format!("the device failed: {reason}");
                Ok(Self { location: attempted, finding, hit })
            }
            Error::Absent { name } => {
                let finding = "it is referred to and missing".to_owned();
                Ok(Self { location: name, finding, hit })
            }
            Error::Version { location, found, .. } => {
                let finding = format!("it says that it has format version {found}");
                Ok(Self { location, finding, hit })
            }
            Error::NoSpace { .. }
            | Error::ClassFull { .. }
            | Error::ClassFailed { .. }
            | Error::Exists { .. }
            | Error::Limit { .. }
            | Error::Stopped => Err(error),
        }
    }
}

/// What one piece of verification read, and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) bytes: u64,
    pub(crate) findings: Vec<Finding>,
}

impl Verified {
    /// Counts `bytes` that were read; keeps what was found there, and gives what is whole.
    pub(crate) fn take<T>(
        &mut self,
        bytes: u64,
        hit: impl FnOnce() -> Hit,
        read: Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.bytes += bytes;
        match read {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                self.findings.push(Finding::of(error, hit())?);
                Ok(None)
            }
        }
    }
}
