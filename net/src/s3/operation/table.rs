//! The operations of S3, one row each: how a request asks for it, what it must be allowed, who answers.
//!
//! The names, methods and sub-resources are those of AWS's model of S3; the actions are those of
//! "Actions, resources, and condition keys for Amazon S3". The quota of a bucket is Anode's own.

use crate::s3::configuration::{ConfigurationKind, Verb};
use crate::s3::not_configured::NotConfigured;

/// One operation of S3.
#[derive(Debug)]
pub struct Route {
    /// The operation's name, for logs and metrics.
    pub name: &'static str,
    /// What the path names.
    pub scope: Scope,
    /// The method, in capitals.
    pub method: &'static str,
    /// The query parameter that selects it; empty for none.
    pub subresource: &'static str,
    /// What else the request must have. Rows with such a need stand before those without.
    pub with: With,
    /// The IAM action on the request's own bucket or object.
    pub action: &'static str,
    /// The IAM action on the source of a copy.
    pub source_action: Option<&'static str>,
    /// Who answers.
    pub answer: Answer,
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `/`.
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

/// What a request must have besides method and sub-resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    /// Nothing.
    Nothing,
    /// This header.
    Header(&'static str),
    /// This query parameter.
    Parameter(&'static str),
    /// This query parameter with this value.
    ParameterValue(&'static str, &'static str),
}

/// Who answers an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Anode does it.
    Served(Kind),
    /// A configuration of a bucket.
    Configuration(ConfigurationKind, Verb),
    /// What AWS says where nothing is configured.
    NotConfigured(NotConfigured),
    /// 501.
    NotImplemented,
}

/// The operations that Anode does.
#[expect(missing_docs, reason = "the names are S3's")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    ListBuckets,
    CreateBucket,
    GetBucketAcl,
    PutBucketAcl,
    HeadBucket,
    DeleteBucket,
    GetBucketLocation,
    GetBucketVersioning,
    PutBucketVersioning,
    GetBucketPolicyStatus,
    GetBucketQuota,
    ListObjects,
    ListObjectsV2,
    ListObjectVersions,
    ListMultipartUploads,
    DeleteObjects,
    PutObject,
    PostObject,
    GetObjectAcl,
    PutObjectAcl,
    GetObject,
    HeadObject,
    DeleteObject,
    CopyObject,
    GetObjectAttributes,
    GetObjectTagging,
    PutObjectTagging,
    DeleteObjectTagging,
    GetObjectRetention,
    PutObjectRetention,
    GetObjectLegalHold,
    PutObjectLegalHold,
    OptionsObject,
    CreateMultipartUpload,
    UploadPart,
    UploadPartCopy,
    ListParts,
    CompleteMultipartUpload,
    AbortMultipartUpload,
}

impl Route {
    const fn when(mut self, with: With) -> Self {
        self.with = with;
        self
    }

    const fn with_source(mut self) -> Self {
        self.source_action = Some("s3:GetObject");
        self
    }
}

const fn account(
    method: &'static str,
    subresource: &'static str,
    name: &'static str,
    action: &'static str,
    answer: Answer,
) -> Route {
    Route {
        name,
        scope: Scope::Service,
        method,
        subresource,
        with: With::Nothing,
        action,
        source_action: None,
        answer,
    }
}

const fn bucket(
    method: &'static str,
    subresource: &'static str,
    name: &'static str,
    action: &'static str,
    answer: Answer,
) -> Route {
    let mut route = account(method, subresource, name, action, answer);
    route.scope = Scope::Bucket;
    route
}

const fn object(
    method: &'static str,
    subresource: &'static str,
    name: &'static str,
    action: &'static str,
    answer: Answer,
) -> Route {
    let mut route = account(method, subresource, name, action, answer);
    route.scope = Scope::Object;
    route
}

/// The query parameters that select an operation, sorted.
pub static SUBRESOURCES: [&str; 42] = [
    "abac",
    "accelerate",
    "acl",
    "analytics",
    "annotation",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "quota",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versioning",
    "versions",
    "website",
];

/// Every operation.
#[rustfmt::skip]
pub static ROUTES: [Route; 116] = [
    account("GET", "", "ListBuckets", "s3:ListAllMyBuckets", Answer::Served(Kind::ListBuckets)),
    bucket("GET", "", "ListObjectsV2", "s3:ListBucket", Answer::Served(Kind::ListObjectsV2)).when(With::ParameterValue("list-type", "2")),
    bucket("GET", "", "ListObjects", "s3:ListBucket", Answer::Served(Kind::ListObjects)),
    bucket("GET", "location", "GetBucketLocation", "s3:GetBucketLocation", Answer::Served(Kind::GetBucketLocation)),
    bucket("GET", "uploads", "ListMultipartUploads", "s3:ListBucketMultipartUploads", Answer::Served(Kind::ListMultipartUploads)),
    bucket("HEAD", "", "HeadBucket", "s3:ListBucket", Answer::Served(Kind::HeadBucket)),
    bucket("PUT", "", "CreateBucket", "s3:CreateBucket", Answer::Served(Kind::CreateBucket)),
    bucket("POST", "delete", "DeleteObjects", "s3:DeleteObject", Answer::Served(Kind::DeleteObjects)),
    bucket("DELETE", "", "DeleteBucket", "s3:DeleteBucket", Answer::Served(Kind::DeleteBucket)),
    bucket("GET", "accelerate", "GetBucketAccelerateConfiguration", "s3:GetAccelerateConfiguration", Answer::Configuration(ConfigurationKind::Accelerate, Verb::Get)),
    bucket("GET", "acl", "GetBucketAcl", "s3:GetBucketAcl", Answer::Served(Kind::GetBucketAcl)),
    bucket("GET", "cors", "GetBucketCors", "s3:GetBucketCORS", Answer::Configuration(ConfigurationKind::Cors, Verb::Get)),
    bucket("GET", "encryption", "GetBucketEncryption", "s3:GetEncryptionConfiguration", Answer::Configuration(ConfigurationKind::Encryption, Verb::Get)),
    bucket("GET", "lifecycle", "GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration", Answer::Configuration(ConfigurationKind::Lifecycle, Verb::Get)),
    bucket("GET", "logging", "GetBucketLogging", "s3:GetBucketLogging", Answer::Configuration(ConfigurationKind::Logging, Verb::Get)),
    bucket("GET", "notification", "GetBucketNotificationConfiguration", "s3:GetBucketNotification", Answer::Configuration(ConfigurationKind::Notification, Verb::Get)),
    bucket("GET", "object-lock", "GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration", Answer::Configuration(ConfigurationKind::ObjectLock, Verb::Get)),
    bucket("GET", "ownershipControls", "GetBucketOwnershipControls", "s3:GetBucketOwnershipControls", Answer::Configuration(ConfigurationKind::OwnershipControls, Verb::Get)),
    bucket("GET", "policy", "GetBucketPolicy", "s3:GetBucketPolicy", Answer::Configuration(ConfigurationKind::Policy, Verb::Get)),
    bucket("GET", "policyStatus", "GetBucketPolicyStatus", "s3:GetBucketPolicyStatus", Answer::Served(Kind::GetBucketPolicyStatus)),
    bucket("GET", "publicAccessBlock", "GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock", Answer::Configuration(ConfigurationKind::PublicAccessBlock, Verb::Get)),
    bucket("GET", "replication", "GetBucketReplication", "s3:GetReplicationConfiguration", Answer::NotConfigured(NotConfigured::Replication)),
    bucket("GET", "requestPayment", "GetBucketRequestPayment", "s3:GetBucketRequestPayment", Answer::Configuration(ConfigurationKind::RequestPayment, Verb::Get)),
    bucket("GET", "tagging", "GetBucketTagging", "s3:GetBucketTagging", Answer::Configuration(ConfigurationKind::Tagging, Verb::Get)),
    bucket("GET", "versioning", "GetBucketVersioning", "s3:GetBucketVersioning", Answer::Served(Kind::GetBucketVersioning)),
    bucket("GET", "website", "GetBucketWebsite", "s3:GetBucketWebsite", Answer::Configuration(ConfigurationKind::Website, Verb::Get)),
    bucket("GET", "quota", "GetBucketQuota", "s3:GetBucketQuota", Answer::Served(Kind::GetBucketQuota)),
    bucket("PUT", "quota", "PutBucketQuota", "s3:PutBucketQuota", Answer::Configuration(ConfigurationKind::Quota, Verb::Put)),
    bucket("DELETE", "quota", "DeleteBucketQuota", "s3:PutBucketQuota", Answer::Configuration(ConfigurationKind::Quota, Verb::Delete)),
    bucket("PUT", "acl", "PutBucketAcl", "s3:PutBucketAcl", Answer::Served(Kind::PutBucketAcl)),
    bucket("OPTIONS", "", "OptionsObject", "s3:OptionsObject", Answer::Served(Kind::OptionsObject)),
    bucket("GET", "abac", "GetBucketAbac", "s3:GetBucketAbac", Answer::NotImplemented),
    bucket("GET", "analytics", "GetBucketAnalyticsConfiguration", "s3:GetAnalyticsConfiguration", Answer::NotImplemented).when(With::Parameter("id")),
    bucket("GET", "analytics", "ListBucketAnalyticsConfigurations", "s3:GetAnalyticsConfiguration", Answer::NotImplemented),
    bucket("GET", "intelligent-tiering", "GetBucketIntelligentTieringConfiguration", "s3:GetIntelligentTieringConfiguration", Answer::NotImplemented).when(With::Parameter("id")),
    bucket("GET", "intelligent-tiering", "ListBucketIntelligentTieringConfigurations", "s3:GetIntelligentTieringConfiguration", Answer::NotImplemented),
    bucket("GET", "inventory", "GetBucketInventoryConfiguration", "s3:GetInventoryConfiguration", Answer::NotImplemented).when(With::Parameter("id")),
    bucket("GET", "inventory", "ListBucketInventoryConfigurations", "s3:GetInventoryConfiguration", Answer::NotImplemented),
    bucket("GET", "metadataConfiguration", "GetBucketMetadataConfiguration", "s3:GetBucketMetadataConfiguration", Answer::NotImplemented),
    bucket("GET", "metadataTable", "GetBucketMetadataTableConfiguration", "s3:GetBucketMetadataTableConfiguration", Answer::NotImplemented),
    bucket("GET", "metrics", "GetBucketMetricsConfiguration", "s3:GetMetricsConfiguration", Answer::NotImplemented).when(With::Parameter("id")),
    bucket("GET", "metrics", "ListBucketMetricsConfigurations", "s3:GetMetricsConfiguration", Answer::NotImplemented),
    bucket("GET", "session", "CreateSession", "s3:CreateSession", Answer::NotImplemented),
    bucket("GET", "versions", "ListObjectVersions", "s3:ListBucketVersions", Answer::Served(Kind::ListObjectVersions)),
    bucket("PUT", "abac", "PutBucketAbac", "s3:PutBucketAbac", Answer::NotImplemented),
    bucket("PUT", "accelerate", "PutBucketAccelerateConfiguration", "s3:PutAccelerateConfiguration", Answer::Configuration(ConfigurationKind::Accelerate, Verb::Put)),
    bucket("PUT", "analytics", "PutBucketAnalyticsConfiguration", "s3:PutAnalyticsConfiguration", Answer::NotImplemented),
    bucket("PUT", "cors", "PutBucketCors", "s3:PutBucketCORS", Answer::Configuration(ConfigurationKind::Cors, Verb::Put)),
    bucket("PUT", "encryption", "PutBucketEncryption", "s3:PutEncryptionConfiguration", Answer::Configuration(ConfigurationKind::Encryption, Verb::Put)),
    bucket("PUT", "intelligent-tiering", "PutBucketIntelligentTieringConfiguration", "s3:PutIntelligentTieringConfiguration", Answer::NotImplemented),
    bucket("PUT", "inventory", "PutBucketInventoryConfiguration", "s3:PutInventoryConfiguration", Answer::NotImplemented),
    bucket("PUT", "lifecycle", "PutBucketLifecycleConfiguration", "s3:PutLifecycleConfiguration", Answer::Configuration(ConfigurationKind::Lifecycle, Verb::Put)),
    bucket("PUT", "logging", "PutBucketLogging", "s3:PutBucketLogging", Answer::Configuration(ConfigurationKind::Logging, Verb::Put)),
    bucket("PUT", "metadataAnnotationTable", "UpdateBucketMetadataAnnotationTableConfiguration", "s3:UpdateBucketMetadataAnnotationTableConfiguration", Answer::NotImplemented),
    bucket("PUT", "metadataInventoryTable", "UpdateBucketMetadataInventoryTableConfiguration", "s3:UpdateBucketMetadataInventoryTableConfiguration", Answer::NotImplemented),
    bucket("PUT", "metadataJournalTable", "UpdateBucketMetadataJournalTableConfiguration", "s3:UpdateBucketMetadataJournalTableConfiguration", Answer::NotImplemented),
    bucket("PUT", "metrics", "PutBucketMetricsConfiguration", "s3:PutMetricsConfiguration", Answer::NotImplemented),
    bucket("PUT", "notification", "PutBucketNotificationConfiguration", "s3:PutBucketNotification", Answer::Configuration(ConfigurationKind::Notification, Verb::Put)),
    bucket("PUT", "object-lock", "PutObjectLockConfiguration", "s3:PutBucketObjectLockConfiguration", Answer::Configuration(ConfigurationKind::ObjectLock, Verb::Put)),
    bucket("PUT", "ownershipControls", "PutBucketOwnershipControls", "s3:PutBucketOwnershipControls", Answer::Configuration(ConfigurationKind::OwnershipControls, Verb::Put)),
    bucket("PUT", "policy", "PutBucketPolicy", "s3:PutBucketPolicy", Answer::Configuration(ConfigurationKind::Policy, Verb::Put)),
    bucket("PUT", "publicAccessBlock", "PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock", Answer::Configuration(ConfigurationKind::PublicAccessBlock, Verb::Put)),
    bucket("PUT", "replication", "PutBucketReplication", "s3:PutReplicationConfiguration", Answer::NotImplemented),
    bucket("PUT", "requestPayment", "PutBucketRequestPayment", "s3:PutBucketRequestPayment", Answer::Configuration(ConfigurationKind::RequestPayment, Verb::Put)),
    bucket("PUT", "tagging", "PutBucketTagging", "s3:PutBucketTagging", Answer::Configuration(ConfigurationKind::Tagging, Verb::Put)),
    bucket("PUT", "versioning", "PutBucketVersioning", "s3:PutBucketVersioning", Answer::Served(Kind::PutBucketVersioning)),
    bucket("PUT", "website", "PutBucketWebsite", "s3:PutBucketWebsite", Answer::Configuration(ConfigurationKind::Website, Verb::Put)),
    bucket("POST", "", "PostObject", "s3:PutObject", Answer::Served(Kind::PostObject)),
    bucket("POST", "metadataConfiguration", "CreateBucketMetadataConfiguration", "s3:CreateBucketMetadataConfiguration", Answer::NotImplemented),
    bucket("POST", "metadataTable", "CreateBucketMetadataTableConfiguration", "s3:CreateBucketMetadataTableConfiguration", Answer::NotImplemented),
    bucket("DELETE", "analytics", "DeleteBucketAnalyticsConfiguration", "s3:PutAnalyticsConfiguration", Answer::NotImplemented),
    bucket("DELETE", "cors", "DeleteBucketCors", "s3:PutBucketCORS", Answer::Configuration(ConfigurationKind::Cors, Verb::Delete)),
    bucket("DELETE", "encryption", "DeleteBucketEncryption", "s3:PutEncryptionConfiguration", Answer::Configuration(ConfigurationKind::Encryption, Verb::Delete)),
    bucket("DELETE", "intelligent-tiering", "DeleteBucketIntelligentTieringConfiguration", "s3:PutIntelligentTieringConfiguration", Answer::NotImplemented),
    bucket("DELETE", "inventory", "DeleteBucketInventoryConfiguration", "s3:PutInventoryConfiguration", Answer::NotImplemented),
    bucket("DELETE", "lifecycle", "DeleteBucketLifecycle", "s3:PutLifecycleConfiguration", Answer::Configuration(ConfigurationKind::Lifecycle, Verb::Delete)),
    bucket("DELETE", "metadataConfiguration", "DeleteBucketMetadataConfiguration", "s3:DeleteBucketMetadataConfiguration", Answer::NotImplemented),
    bucket("DELETE", "metadataTable", "DeleteBucketMetadataTableConfiguration", "s3:DeleteBucketMetadataTableConfiguration", Answer::NotImplemented),
    bucket("DELETE", "metrics", "DeleteBucketMetricsConfiguration", "s3:PutMetricsConfiguration", Answer::NotImplemented),
    bucket("DELETE", "ownershipControls", "DeleteBucketOwnershipControls", "s3:PutBucketOwnershipControls", Answer::Configuration(ConfigurationKind::OwnershipControls, Verb::Delete)),
    bucket("DELETE", "policy", "DeleteBucketPolicy", "s3:DeleteBucketPolicy", Answer::Configuration(ConfigurationKind::Policy, Verb::Delete)),
    bucket("DELETE", "publicAccessBlock", "DeletePublicAccessBlock", "s3:PutBucketPublicAccessBlock", Answer::Configuration(ConfigurationKind::PublicAccessBlock, Verb::Delete)),
    bucket("DELETE", "replication", "DeleteBucketReplication", "s3:PutReplicationConfiguration", Answer::NotImplemented),
    bucket("DELETE", "tagging", "DeleteBucketTagging", "s3:PutBucketTagging", Answer::Configuration(ConfigurationKind::Tagging, Verb::Delete)),
    bucket("DELETE", "website", "DeleteBucketWebsite", "s3:DeleteBucketWebsite", Answer::Configuration(ConfigurationKind::Website, Verb::Delete)),
    object("GET", "", "GetObject", "s3:GetObject", Answer::Served(Kind::GetObject)),
    object("GET", "attributes", "GetObjectAttributes", "s3:GetObjectAttributes", Answer::Served(Kind::GetObjectAttributes)),
    object("GET", "uploadId", "ListParts", "s3:ListMultipartUploadParts", Answer::Served(Kind::ListParts)),
    object("HEAD", "", "HeadObject", "s3:GetObject", Answer::Served(Kind::HeadObject)),
    object("PUT", "", "CopyObject", "s3:PutObject", Answer::Served(Kind::CopyObject)).when(With::Header("x-amz-copy-source")).with_source(),
    object("PUT", "", "PutObject", "s3:PutObject", Answer::Served(Kind::PutObject)),
    object("PUT", "uploadId", "UploadPartCopy", "s3:PutObject", Answer::Served(Kind::UploadPartCopy)).when(With::Header("x-amz-copy-source")).with_source(),
    object("PUT", "uploadId", "UploadPart", "s3:PutObject", Answer::Served(Kind::UploadPart)),
    object("POST", "uploadId", "CompleteMultipartUpload", "s3:PutObject", Answer::Served(Kind::CompleteMultipartUpload)),
    object("POST", "uploads", "CreateMultipartUpload", "s3:PutObject", Answer::Served(Kind::CreateMultipartUpload)),
    object("DELETE", "", "DeleteObject", "s3:DeleteObject", Answer::Served(Kind::DeleteObject)),
    object("DELETE", "uploadId", "AbortMultipartUpload", "s3:AbortMultipartUpload", Answer::Served(Kind::AbortMultipartUpload)),
    object("GET", "acl", "GetObjectAcl", "s3:GetObjectAcl", Answer::Served(Kind::GetObjectAcl)),
    object("GET", "legal-hold", "GetObjectLegalHold", "s3:GetObjectLegalHold", Answer::Served(Kind::GetObjectLegalHold)),
    object("GET", "retention", "GetObjectRetention", "s3:GetObjectRetention", Answer::Served(Kind::GetObjectRetention)),
    object("GET", "tagging", "GetObjectTagging", "s3:GetObjectTagging", Answer::Served(Kind::GetObjectTagging)),
    object("PUT", "acl", "PutObjectAcl", "s3:PutObjectAcl", Answer::Served(Kind::PutObjectAcl)),
    object("OPTIONS", "", "OptionsObject", "s3:OptionsObject", Answer::Served(Kind::OptionsObject)),
    object("GET", "annotation", "GetObjectAnnotation", "s3:GetObjectAnnotation", Answer::NotImplemented).when(With::Parameter("annotationName")),
    object("GET", "annotation", "ListObjectAnnotations", "s3:ListObjectAnnotations", Answer::NotImplemented),
    object("GET", "torrent", "GetObjectTorrent", "s3:GetObjectTorrent", Answer::NotImplemented),
    object("PUT", "annotation", "PutObjectAnnotation", "s3:PutObjectAnnotation", Answer::NotImplemented),
    object("PUT", "encryption", "UpdateObjectEncryption", "s3:UpdateObjectEncryption", Answer::NotImplemented),
    object("PUT", "legal-hold", "PutObjectLegalHold", "s3:PutObjectLegalHold", Answer::Served(Kind::PutObjectLegalHold)),
    object("PUT", "renameObject", "RenameObject", "s3:RenameObject", Answer::NotImplemented),
    object("PUT", "retention", "PutObjectRetention", "s3:PutObjectRetention", Answer::Served(Kind::PutObjectRetention)),
    object("PUT", "tagging", "PutObjectTagging", "s3:PutObjectTagging", Answer::Served(Kind::PutObjectTagging)),
    object("POST", "restore", "RestoreObject", "s3:RestoreObject", Answer::NotImplemented),
    object("POST", "select", "SelectObjectContent", "s3:GetObject", Answer::NotImplemented),
    object("DELETE", "annotation", "DeleteObjectAnnotation", "s3:DeleteObjectAnnotation", Answer::NotImplemented),
    object("DELETE", "tagging", "DeleteObjectTagging", "s3:DeleteObjectTagging", Answer::Served(Kind::DeleteObjectTagging)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_can_be_reached_and_no_other_hides_it() {
        assert!(SUBRESOURCES.is_sorted());
        for (index, route) in ROUTES.iter().enumerate() {
            assert!(
                route.subresource.is_empty() || SUBRESOURCES.contains(&route.subresource),
                "{}",
                route.name
            );
            assert!(route.action.starts_with("s3:"), "{}", route.name);
            let hidden = ROUTES.iter().take(index).any(|earlier| {
                earlier.scope == route.scope
                    && earlier.method == route.method
                    && earlier.subresource == route.subresource
                    && (earlier.with == With::Nothing || earlier.with == route.with)
            });
            assert!(!hidden, "{}", route.name);
        }
    }

    #[test]
    fn every_kind_is_in_the_table_once() {
        let mut kinds: Vec<Kind> = ROUTES
            .iter()
            .filter_map(|route| match route.answer {
                Answer::Served(kind) => {
                    assert_eq!(format!("{kind:?}"), route.name);
                    Some(kind)
                }
                Answer::Configuration(..) | Answer::NotConfigured(_) | Answer::NotImplemented => {
                    None
                }
            })
            .collect();
        kinds.sort_unstable();
        // Of a bucket and of an object.
        kinds.dedup_by(|a, b| a == b && *a == Kind::OptionsObject);
        assert!(kinds.is_sorted_by(|a, b| a < b));
        assert_eq!(kinds.len(), 39);
        assert_eq!(kinds.last(), Some(&Kind::AbortMultipartUpload));
    }
}
