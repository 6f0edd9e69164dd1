//! What AWS answers about configuration that a bucket or object does not have.
//!
//! Clients probe these and take a 501 for a broken server, so each answer is AWS's own.

use bytes::Bytes;

use crate::s3::error::{Error, ErrorCode};

/// A configuration that is never there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotConfigured {
    /// `GetBucketReplication`.
    Replication,
}

impl NotConfigured {
    /// The body of the 200, or the error. The bucket must be known to exist: its absence is said first.
    pub fn answer(self, bucket: &str) -> Result<Bytes, Error> {
        let missing = |code: ErrorCode| Err(Error::new(code).field("BucketName", bucket));
        match self {
            Self::Replication => missing(ErrorCode::ReplicationConfigurationNotFoundError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_of_aws() {
        let error = NotConfigured::Replication.answer("bucket").unwrap_err();
        let expected = (404, "ReplicationConfigurationNotFoundError");
        assert_eq!((error.status(), error.code().name()), expected);
    }
}
