//! Refusals of groups and shards as the S3 errors that clients know.

use anode_net::s3::{self, ErrorCode};
use anode_shards::command::{Refusal, Reply};

use crate::mesh::AskError;

/// What a command's refusal is to a client who asked about `bucket` and `key`.
pub(crate) fn of_command(refusal: &Refusal, bucket: &str, key: &str) -> s3::Error {
    match refusal {
        Refusal::PreconditionFailed => s3::Error::new(ErrorCode::PreconditionFailed),
        Refusal::NoSuchKey => s3::Error::no_such_key(key),
        Refusal::IsMarker => s3::Error::new(ErrorCode::MethodNotAllowed)
            .field("ResourceType", "DeleteMarker")
            .header("x-amz-delete-marker", "true"),
        Refusal::Locked => s3::Error::with_message(
            ErrorCode::AccessDenied,
            "Access Denied because object protected by object lock.",
        ),
        Refusal::OverQuota { .. } => {
            s3::Error::new(ErrorCode::QuotaExceeded).field("BucketName", bucket)
        }
        Refusal::Uncounted => s3::Error::with_message(
            ErrorCode::ServiceUnavailable,
            "The bucket has a quota, and its figures were damaged; it is counted again at the next start of the node.",
        ),
        Refusal::NoSuchUpload => s3::Error::new(ErrorCode::NoSuchUpload),
        Refusal::InvalidPart { number } => {
            s3::Error::new(ErrorCode::InvalidPart).field("PartNumber", number.to_string())
        }
        Refusal::InvalidPartOrder { number } => {
            s3::Error::new(ErrorCode::InvalidPartOrder).field("PartNumber", number.to_string())
        }
        Refusal::EntityTooSmall { number, bytes, bytes_min } => {
            s3::Error::new(ErrorCode::EntityTooSmall)
                .field("PartNumber", number.to_string())
                .field("ProposedSize", bytes.to_string())
                .field("MinSizeAllowed", bytes_min.to_string())
        }
        Refusal::EntityTooLarge { bytes } => {
            s3::Error::new(ErrorCode::EntityTooLarge).field("ProposedSize", bytes.to_string())
        }
        Refusal::BucketSealed | Refusal::NoSuchBucket => s3::Error::no_such_bucket(bucket),
        Refusal::BucketNotEmpty => {
            s3::Error::new(ErrorCode::BucketNotEmpty).field("BucketName", bucket)
        }
        Refusal::BucketExists(_) => {
            s3::Error::new(ErrorCode::BucketAlreadyOwnedByYou).field("BucketName", bucket)
        }
        Refusal::NoSuchCredential => s3::Error::new(ErrorCode::InvalidAccessKeyId),
        // IAM's own changes are decided again before anybody is told.
        Refusal::BodyMissing | Refusal::Outdated => s3::Error::new(ErrorCode::SlowDown),
        Refusal::Malformed(reason) => {
            tracing::error!(reason, bucket, key, "a group refused a malformed command");
            s3::Error::new(ErrorCode::InternalError)
        }
    }
}

/// The reply of a command that was not refused.
pub(crate) fn accepted(reply: Reply, bucket: &str, key: &str) -> Result<Reply, s3::Error> {
    if let Reply::Refused(refusal) = &reply {
        return Err(of_command(refusal, bucket, key));
    }
    Ok(reply)
}

impl From<AskError> for s3::Error {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Full => Self::new(ErrorCode::InsufficientStorage),
            // Who asked has told what and where, once.
            AskError::Damaged(_finding) => Self::with_message(
                ErrorCode::InternalError,
                "The stored bytes are damaged; they were not served.",
            ),
            AskError::DeviceFailed(reason) => {
                tracing::error!(reason, "a device could not do what was asked for");
                Self::with_message(
                    ErrorCode::ServiceUnavailable,
                    "A storage device failed at this request; the log of the node says which.",
                )
            }
            AskError::Overloaded => Self::new(ErrorCode::SlowDown),
            // The node told it once, loudly; each answer is logged with its message like every 503.
            AskError::VolumeFailed { .. } => Self::with_message(
                ErrorCode::ServiceUnavailable,
                format!(
                    "{error}; what it holds can't be read or written until the node was restarted on a sound one."
                ),
            ),
            AskError::Unavailable(reason) => {
                tracing::warn!(reason, "a shard can't serve");
                Self::new(ErrorCode::ServiceUnavailable)
            }
        }
    }
}

/// A reply that no such command has.
pub(crate) fn unexpected(reply: &Reply) -> s3::Error {
    tracing::error!(?reply, "a group answered something else than was asked");
    s3::Error::new(ErrorCode::InternalError)
}
