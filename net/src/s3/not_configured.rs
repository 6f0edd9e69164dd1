//! What AWS answers about configuration that a bucket or object does not have.
//!
//! Clients probe these and take a 501 for a broken server, so each answer is AWS's own.

use bytes::Bytes;

use crate::s3::configuration::empty;
use crate::s3::error::{Error, ErrorCode};
use crate::s3::xml::Owner;
use crate::s3::xml::write::Document;

/// A configuration that is never there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotConfigured {
    /// `GetBucketNotificationConfiguration`.
    Notification,
    /// `GetBucketReplication`.
    Replication,
    /// `GetBucketEncryption`.
    Encryption,
    /// `GetBucketAcl`, `GetObjectAcl`: the owner has all.
    Acl,
}

impl NotConfigured {
    /// The body of the 200, or the error. The bucket, and the object where the request names
    /// one, must be known to exist: their absence is said first.
    pub fn answer(self, bucket: &str, owner: &Owner<'_>) -> Result<Bytes, Error> {
        let missing = |code: ErrorCode| Err(Error::new(code).field("BucketName", bucket));
        match self {
            Self::Replication => missing(ErrorCode::ReplicationConfigurationNotFoundError),
            Self::Encryption => missing(ErrorCode::ServerSideEncryptionConfigurationNotFoundError),
            Self::Notification => Ok(empty("NotificationConfiguration")),
            Self::Acl => Ok(acl(owner)),
        }
    }
}

fn acl(owner: &Owner<'_>) -> Bytes {
    let mut document = Document::with_root("AccessControlPolicy");
    document.owner("Owner", owner);
    document.open("AccessControlList");
    document.open("Grant");
    let schema = "http://www.w3.org/2001/XMLSchema-instance";
    document.open_with("Grantee", &[("xmlns:xsi", schema), ("xsi:type", "CanonicalUser")]);
    document.text("ID", owner.id);
    document.text("DisplayName", owner.name);
    document.close("Grantee");
    document.text("Permission", "FULL_CONTROL");
    document.close("Grant");
    document.close("AccessControlList");
    document.close("AccessControlPolicy");
    document.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner<'static> = Owner { id: "75aa57f0", name: "root" };

    #[test]
    fn errors_are_those_of_aws() {
        for (kind, status, code) in [
            (NotConfigured::Replication, 404, "ReplicationConfigurationNotFoundError"),
            (NotConfigured::Encryption, 404, "ServerSideEncryptionConfigurationNotFoundError"),
        ] {
            let error = kind.answer("bucket", &OWNER).unwrap_err();
            assert_eq!((error.status(), error.code().name()), (status, code));
        }
    }

    #[test]
    fn empty_configurations_are_documents() {
        for (kind, rest) in [
            (
                NotConfigured::Notification,
                "<NotificationConfiguration @></NotificationConfiguration>",
            ),
            (
                NotConfigured::Acl,
                "<AccessControlPolicy @><Owner><ID>75aa57f0</ID><DisplayName>root</DisplayName>\
                 </Owner><AccessControlList><Grant><Grantee \
                 xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">\
                 <ID>75aa57f0</ID><DisplayName>root</DisplayName></Grantee>\
                 <Permission>FULL_CONTROL</Permission></Grant></AccessControlList>\
                 </AccessControlPolicy>",
            ),
        ] {
            let namespace = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
            let expected = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}",
                rest.replace('@', namespace)
            );
            assert_eq!(kind.answer("bucket", &OWNER).unwrap(), expected);
        }
    }
}
