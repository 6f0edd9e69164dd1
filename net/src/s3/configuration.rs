//! Configurations of buckets: the documents that are put, got and deleted as sub-resources of a bucket.
//!
//! A file a kind, with its document both ways, and what it means. A document is checked when it is put, and what isn't
//! understood is refused; it is stored as it was sent, but that rules of lifecycle get names.

pub mod accelerate;
pub mod cors;
pub mod encryption;
pub mod lifecycle;
pub mod logging;
pub mod notification;
pub mod object_lock;
pub mod ownership;
pub mod payment;
pub mod public_access;
pub mod quota;
pub mod website;

use bytes::Bytes;

use crate::policy::Policy;
use crate::s3::acl::Acl;
use crate::s3::error::{Error, ErrorCode};
use crate::s3::tags::{BUCKET_TAGS_MAX, Tags};
use crate::s3::xml::write::Document;

use accelerate::Accelerate;
use cors::Cors;
use encryption::Encryption;
use lifecycle::Lifecycle;
use logging::Logging;
use notification::Notification;
use object_lock::ObjectLock;
use ownership::Ownership;
use payment::Payer;
use public_access::PublicAccessBlock;
use quota::Quota;
use website::Website;

/// Which configuration. Its number is stored and never used for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigurationKind {
    /// `Tagging`.
    Tagging = 0,
    /// `CORSConfiguration`.
    Cors = 1,
    /// `PublicAccessBlockConfiguration`.
    PublicAccessBlock = 2,
    /// `OwnershipControls`.
    OwnershipControls = 3,
    /// `RequestPaymentConfiguration`.
    RequestPayment = 4,
    /// `AccelerateConfiguration`.
    Accelerate = 5,
    /// `BucketLoggingStatus`.
    Logging = 6,
    /// `ObjectLockConfiguration`.
    ObjectLock = 7,
    /// The bucket's policy, in JSON.
    Policy = 8,
    /// `LifecycleConfiguration`.
    Lifecycle = 9,
    /// `ServerSideEncryptionConfiguration`.
    Encryption = 10,
    /// `AccessControlPolicy`: got and put by operations of its own.
    Acl = 11,
    /// `WebsiteConfiguration`.
    Website = 12,
    /// `NotificationConfiguration`.
    Notification = 13,
    /// `QuotaConfiguration`, which AWS doesn't have.
    Quota = 14,
}

/// What is done with a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It is shown.
    Get,
    /// It is set.
    Put,
    /// It is removed.
    Delete,
}

/// The configurations of a bucket, as far as it has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configurations {
    /// Its tags.
    pub tags: Option<Tags>,
    /// Which pages of other origins may use it.
    pub cors: Option<Cors>,
    /// What of public access is refused whatever policies and ACLs say.
    pub public_access_block: Option<PublicAccessBlock>,
    /// Who owns objects that others put.
    pub ownership: Option<Ownership>,
    /// Who pays.
    pub payer: Option<Payer>,
    /// Whether transfers are accelerated.
    pub accelerate: Option<Accelerate>,
    /// Where its access log goes.
    pub logging: Option<Logging>,
    /// Whether its versions can be locked, and by what by default.
    pub object_lock: Option<ObjectLock>,
    /// Who may do what.
    pub policy: Option<Policy>,
    /// What goes when.
    pub lifecycle: Option<Lifecycle>,
    /// What is encrypted with what by default.
    pub encryption: Option<Encryption>,
    /// What it is as a website.
    pub website: Option<Website>,
    /// What is granted to whom, where it isn't all to its owner alone.
    pub acl: Option<Acl>,
    /// Who is told of what happens in it.
    pub notification: Option<Notification>,
    /// How much it may hold.
    pub quota: Option<Quota>,
}

impl ConfigurationKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Tagging,
        Self::Cors,
        Self::PublicAccessBlock,
        Self::OwnershipControls,
        Self::RequestPayment,
        Self::Accelerate,
        Self::Logging,
        Self::ObjectLock,
        Self::Policy,
        Self::Lifecycle,
        Self::Encryption,
        Self::Acl,
        Self::Website,
        Self::Notification,
        Self::Quota,
    ];

    /// The number that it is stored under.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The kind of a number; none where a later release gave it.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The status of a PUT that succeeded.
    pub fn put_status(self) -> u16 {
        if matches!(self, Self::Tagging | Self::Policy) { 204 } else { 200 }
    }

    /// The content type of its document.
    pub fn content_type(self) -> &'static str {
        if self == Self::Policy { "application/json" } else { "application/xml" }
    }

    /// What AWS answers where a bucket has none.
    fn missing(self, bucket: &str) -> Result<Bytes, Error> {
        let code = match self {
            Self::Tagging => ErrorCode::NoSuchTagSet,
            Self::Cors => ErrorCode::NoSuchCORSConfiguration,
            Self::PublicAccessBlock => ErrorCode::NoSuchPublicAccessBlockConfiguration,
            Self::OwnershipControls => ErrorCode::OwnershipControlsNotFoundError,
            Self::ObjectLock => ErrorCode::ObjectLockConfigurationNotFoundError,
            Self::Policy => ErrorCode::NoSuchBucketPolicy,
            Self::Lifecycle => ErrorCode::NoSuchLifecycleConfiguration,
            Self::Encryption => ErrorCode::ServerSideEncryptionConfigurationNotFoundError,
            Self::Website => ErrorCode::NoSuchWebsiteConfiguration,
            Self::RequestPayment => return Ok(Payer::BucketOwner.document()),
            Self::Notification => return Ok(empty("NotificationConfiguration")),
            Self::Quota => return Ok(empty("QuotaConfiguration")),
            Self::Accelerate => return Ok(empty("AccelerateConfiguration")),
            Self::Logging => return Ok(empty("BucketLoggingStatus")),
            Self::Acl => return Ok(empty("AccessControlPolicy")),
        };
        Err(Error::new(code).field("BucketName", bucket))
    }
}

impl Configurations {
    /// Reads a document and takes its place among the others. An error changes nothing.
    pub fn set(&mut self, kind: ConfigurationKind, document: &[u8]) -> Result<(), Error> {
        match kind {
            ConfigurationKind::Tagging => {
                self.tags = Some(Tags::read(document, BUCKET_TAGS_MAX)?);
            }
            ConfigurationKind::Cors => self.cors = Some(Cors::read(document)?),
            ConfigurationKind::PublicAccessBlock => {
                self.public_access_block = Some(PublicAccessBlock::read(document)?);
            }
            ConfigurationKind::OwnershipControls => {
                self.ownership = Some(Ownership::read(document)?);
            }
            ConfigurationKind::RequestPayment => self.payer = Some(Payer::read(document)?),
            ConfigurationKind::Accelerate => self.accelerate = Some(Accelerate::read(document)?),
            ConfigurationKind::Logging => self.logging = Logging::read(document)?,
            ConfigurationKind::Lifecycle => self.lifecycle = Some(Lifecycle::read(document)?),
            ConfigurationKind::Encryption => self.encryption = Some(Encryption::read(document)?),
            ConfigurationKind::Quota => self.quota = Some(Quota::read(document)?),
            ConfigurationKind::Notification => {
                let read = Notification::read(document)?;
                // An empty one is none.
                self.notification = (!read.rules.is_empty()).then_some(read);
            }
            ConfigurationKind::Website => self.website = Some(Website::read(document)?),
            ConfigurationKind::Acl => self.acl = Some(Acl::read(document)?),
            ConfigurationKind::Policy => {
                let text = std::str::from_utf8(document);
                self.policy = Some(Policy::parse(text.unwrap_or_default())?);
            }
            ConfigurationKind::ObjectLock => {
                self.object_lock = Some(ObjectLock::read(document)?);
            }
        }
        Ok(())
    }

    /// The document of one, or what AWS answers where there is none.
    pub fn answer(&self, kind: ConfigurationKind, bucket: &str) -> Result<Bytes, Error> {
        let found = match kind {
            ConfigurationKind::Tagging => self.tags.as_ref().map(Tags::document),
            ConfigurationKind::Cors => self.cors.as_ref().map(Cors::document),
            ConfigurationKind::PublicAccessBlock => {
                self.public_access_block.map(PublicAccessBlock::document)
            }
            ConfigurationKind::OwnershipControls => self.ownership.map(Ownership::document),
            ConfigurationKind::RequestPayment => self.payer.map(Payer::document),
            ConfigurationKind::Accelerate => self.accelerate.map(Accelerate::document),
            ConfigurationKind::Logging => self.logging.as_ref().map(Logging::document),
            ConfigurationKind::ObjectLock => self.object_lock.as_ref().map(ObjectLock::document),
            ConfigurationKind::Lifecycle => self.lifecycle.as_ref().map(Lifecycle::document),
            ConfigurationKind::Encryption => self.encryption.as_ref().map(Encryption::document),
            ConfigurationKind::Quota => self.quota.map(Quota::document),
            ConfigurationKind::Notification => {
                self.notification.as_ref().map(Notification::document)
            }
            ConfigurationKind::Website => self.website.as_ref().map(Website::document),
            ConfigurationKind::Acl => self.acl.as_ref().map(|acl| acl.document(|_id| None)),
            ConfigurationKind::Policy => {
                self.policy.as_ref().map(|policy| Bytes::copy_from_slice(policy.text().as_bytes()))
            }
        };
        found.map_or_else(|| kind.missing(bucket), Ok)
    }
}

/// A document whose root element is empty.
pub(super) fn empty(root: &str) -> Bytes {
    let mut document = Document::with_root(root);
    document.close(root);
    document.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_each_is_one_kind() {
        assert!(ConfigurationKind::ALL.is_sorted_by(|one, next| one < next));
        for kind in ConfigurationKind::ALL {
            assert_eq!(ConfigurationKind::of_number(kind.number()), Some(kind));
        }
        assert_eq!(ConfigurationKind::of_number(u8::MAX), None);
    }

    #[test]
    fn what_is_set_is_shown_and_reads_as_itself() {
        for (kind, document) in [
            (
                ConfigurationKind::Tagging,
                "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>",
            ),
            (
                ConfigurationKind::Cors,
                "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>",
            ),
            (
                ConfigurationKind::PublicAccessBlock,
                "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls></PublicAccessBlockConfiguration>",
            ),
            (
                ConfigurationKind::OwnershipControls,
                "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>",
            ),
            (
                ConfigurationKind::RequestPayment,
                "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>",
            ),
            (
                ConfigurationKind::Accelerate,
                "<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>",
            ),
            (
                ConfigurationKind::Logging,
                "<BucketLoggingStatus><LoggingEnabled><TargetBucket>b</TargetBucket><TargetPrefix>p</TargetPrefix></LoggingEnabled></BucketLoggingStatus>",
            ),
            (
                ConfigurationKind::ObjectLock,
                "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
            ),
            (
                ConfigurationKind::Policy,
                r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/*"}}"#,
            ),
            (
                ConfigurationKind::Lifecycle,
                "<LifecycleConfiguration><Rule><ID>a</ID><Prefix>p</Prefix><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>",
            ),
            (
                ConfigurationKind::Encryption,
                "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
            ),
            (
                ConfigurationKind::Website,
                "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>",
            ),
            (
                ConfigurationKind::Notification,
                "<NotificationConfiguration><QueueConfiguration><Id>i</Id><Queue>arn:anode:sqs::a:webhook</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>",
            ),
            (
                ConfigurationKind::Acl,
                "<AccessControlPolicy><Owner><ID>a</ID></Owner><AccessControlList><Grant><Grantee><ID>b</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>",
            ),
            (
                ConfigurationKind::Quota,
                "<QuotaConfiguration><Soft><Bytes>5</Bytes></Soft></QuotaConfiguration>",
            ),
        ] {
            let mut all = Configurations::default();
            let missing = all.answer(kind, "b");
            all.set(kind, document.as_bytes()).unwrap();
            let shown = all.answer(kind, "b").unwrap();
            assert_ne!(Ok(&shown), missing.as_ref(), "{kind:?}");
            let mut again = Configurations::default();
            again.set(kind, &shown).unwrap();
            assert_eq!(again, all, "{kind:?}");
            assert!(again.set(kind, b"<Nothing/>").is_err() && again == all, "{kind:?}");
        }
    }
}
