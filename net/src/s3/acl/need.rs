//! What an action takes of ACLs. S3: Mapping of ACL permissions and access policy permissions.

use super::Permission;

/// A permission that lets do an action, where policies say nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Of the ACL of the bucket.
    Bucket(Permission),
    /// Of the ACL of the object.
    Object(Permission),
}

impl Need {
    /// What an action takes; none where no ACL lets do it.
    pub fn of(action: &str) -> Option<Self> {
        Some(match action {
            "s3:ListBucket" | "s3:ListBucketVersions" | "s3:ListBucketMultipartUploads" => {
                Self::Bucket(Permission::Read)
            }
            // S3 lets who began an upload go on with it: who may put the object may do so here.
            "s3:PutObject"
            | "s3:DeleteObject"
            | "s3:AbortMultipartUpload"
            | "s3:ListMultipartUploadParts" => Self::Bucket(Permission::Write),
            "s3:GetBucketAcl" => Self::Bucket(Permission::ReadAcp),
            "s3:PutBucketAcl" => Self::Bucket(Permission::WriteAcp),
            "s3:GetObject"
            | "s3:GetObjectVersion"
            | "s3:GetObjectAttributes"
            | "s3:GetObjectVersionAttributes" => Self::Object(Permission::Read),
            "s3:GetObjectAcl" | "s3:GetObjectVersionAcl" => Self::Object(Permission::ReadAcp),
            "s3:PutObjectAcl" | "s3:PutObjectVersionAcl" => Self::Object(Permission::WriteAcp),
            _ => return None,
        })
    }
}
