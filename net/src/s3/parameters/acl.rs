//! The parameters of `PutBucketAcl` and `PutObjectAcl`.

use crate::checksum::Declared;
use crate::s3::acl::Asked;
use crate::s3::address::Address;
use crate::s3::checksums;
use crate::s3::error::Error;
use crate::s3::parameters::content_md5;
use crate::s3::query::Query;
use crate::s3::request::Headers;
use crate::s3::version::Version;

/// `PutBucketAcl`, `PutObjectAcl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutAcl {
    /// The bucket's name.
    pub bucket: String,
    /// The object key; none for the ACL of the bucket.
    pub key: Option<String>,
    /// Which version of the object.
    pub version: Version,
    /// The ACL, where headers ask for it; else it is in the body.
    pub asked: Option<Asked>,
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
            asked: Asked::of_headers(headers)?,
            md5: content_md5(headers)?,
            checksum: checksums::of_body(headers)?,
        })
    }
}
