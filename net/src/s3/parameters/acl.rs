//! The parameters of `PutBucketAcl` and `PutObjectAcl`.

use crate::checksum::Declared;
use crate::s3::address::Address;
use crate::s3::checksums;
use crate::s3::error::Error;
use crate::s3::parameters::content_md5;
use crate::s3::query::Query;
use crate::s3::request::Headers;
use crate::s3::version::Version;

/// `PutBucketAcl`, `PutObjectAcl`. Headers that grant anything to anybody else were refused before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutAcl {
    /// The bucket's name.
    pub bucket: String,
    /// The object key; none for the ACL of the bucket.
    pub key: Option<String>,
    /// Which version of the object.
    pub version: Version,
    /// Whether `x-amz-acl` names the ACL; else it is in the body.
    pub is_canned: bool,
    /// The MD5 that the body must have.
    pub md5: Option<[u8; 16]>,
    /// The checksum that the body must have.
    pub checksum: Option<Declared>,
}

impl PutAcl {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query, headers: Headers<'_>) -> Result<Self, Error> {
        Ok(Self {
            bucket: address.bucket().unwrap_or_default().to_owned(),
            key: address.key().map(str::to_owned),
            version: Version::parse(query.get("versionId"))?,
            is_canned: headers.get("x-amz-acl").is_some_and(|name| !name.is_empty()),
            md5: content_md5(headers)?,
            checksum: checksums::of_body(headers)?,
        })
    }
}
