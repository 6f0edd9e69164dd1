//! ACLs by name. S3: Access control list overview, Canned ACL.

use super::{Acl, Grant, Group, Permission};
use crate::s3::error::Error;

/// An ACL by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canned {
    /// `private`.
    Private,
    /// `public-read`.
    PublicRead,
    /// `public-read-write`.
    PublicReadWrite,
    /// `authenticated-read`.
    AuthenticatedRead,
    /// `aws-exec-read`: lets machines of EC2 read their images, of which there are none here.
    AwsExecRead,
    /// `bucket-owner-read`.
    BucketOwnerRead,
    /// `bucket-owner-full-control`.
    BucketOwnerFullControl,
    /// `log-delivery-write`: of buckets alone.
    LogDeliveryWrite,
}

/// What an ACL is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// A bucket.
    Bucket,
    /// An object.
    Object {
        /// The canonical id of who owns its bucket.
        bucket_owner: &'a str,
    },
}

impl Canned {
    const ALL: [Self; 8] = [
        Self::Private,
        Self::PublicRead,
        Self::PublicReadWrite,
        Self::AuthenticatedRead,
        Self::AwsExecRead,
        Self::BucketOwnerRead,
        Self::BucketOwnerFullControl,
        Self::LogDeliveryWrite,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
            Self::AuthenticatedRead => "authenticated-read",
            Self::AwsExecRead => "aws-exec-read",
            Self::BucketOwnerRead => "bucket-owner-read",
            Self::BucketOwnerFullControl => "bucket-owner-full-control",
            Self::LogDeliveryWrite => "log-delivery-write",
        }
    }

    /// The ACL of a name.
    pub(super) fn of_name(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|canned| canned.name() == name);
        found.ok_or_else(|| Error::argument("The canned ACL is not valid.", "x-amz-acl", name))
    }

    /// What it grants. Groups come before the owner: clients of other stores count on that order, and S3 promises none.
    pub(super) fn expand(self, owner: &str, scope: Scope<'_>) -> Result<Acl, Error> {
        let to = Grant::to_group;
        let everybody = |permission| to(Group::Everybody, permission);
        let bucket_owner = |permission| match scope {
            Scope::Object { bucket_owner } if bucket_owner != owner => {
                vec![Grant::to_account(bucket_owner, permission)]
            }
            // S3: for a bucket, or for its owner's own object, this says nothing.
            Scope::Object { .. } | Scope::Bucket => Vec::new(),
        };
        let mut grants = match self {
            Self::Private | Self::AwsExecRead => Vec::new(),
            Self::PublicRead => vec![everybody(Permission::Read)],
            Self::PublicReadWrite => {
                vec![everybody(Permission::Read), everybody(Permission::Write)]
            }
            Self::AuthenticatedRead => vec![to(Group::Authenticated, Permission::Read)],
            Self::BucketOwnerRead => bucket_owner(Permission::Read),
            Self::BucketOwnerFullControl => bucket_owner(Permission::FullControl),
            Self::LogDeliveryWrite if scope == Scope::Bucket => {
                [Permission::Write, Permission::ReadAcp]
                    .map(|permission| to(Group::LogDelivery, permission))
                    .to_vec()
            }
            Self::LogDeliveryWrite => {
                let message = "The canned ACL is for buckets, not for objects.";
                return Err(Error::argument(message, "x-amz-acl", self.name()));
            }
        };
        grants.push(Grant::to_account(owner, Permission::FullControl));
        Ok(Acl { owner: owner.to_owned(), grants })
    }
}
