//! The parameters of the operations that Anode has, read from query and headers.

pub mod listings;
pub mod objects;
pub mod multipart;
pub mod acl;
pub mod post;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::checksum::Declared;
use crate::s3::acl::Asked;
use crate::s3::address::Address;
use crate::s3::checksums;
use crate::s3::configuration::ownership::Ownership;
use crate::s3::error::{Error, ErrorCode};
use crate::s3::limits::{PART_NUMBER_MAX, PUT_BYTES_MAX, UPLOAD_ID_BYTES_MAX};
use crate::s3::query::Query;
use crate::s3::request::Headers;
use crate::s3::version::Version;

pub use acl::PutAcl;
pub use listings::{
    ListBuckets, ListMultipartUploads, ListObjectVersions, ListObjects, ListObjectsV2, ListParts,
    Token,
};
pub use multipart::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateMultipartUpload, UploadPart,
    UploadPartCopy,
};
pub use objects::{
    Attribute, CopyObject, DeleteObject, DeleteObjects, Directive, GetObjectAttributes, PutObject,
    ReadObject,
};
pub use post::{PostObject, Success};

/// A request about a bucket with no parameters of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfBucket {
    /// The bucket's name.
    pub bucket: String,
}

/// A request about a version of an object with no parameters of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfObject {
    /// The bucket's name.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// Which version.
    pub version: Version,
}

/// A request that brings a document about a version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectDocument {
    /// What it is about.
    pub object: OfObject,
    /// The MD5 that the document must have.
    pub md5: Option<[u8; 16]>,
    /// The checksum that the document must have.
    pub checksum: Option<Declared>,
}

impl OfObject {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query) -> Result<Self, Error> {
        let version = Version::parse(query.get("versionId"))?;
        Ok(Self { bucket: multipart::bucket(address), key: multipart::key(address), version })
    }
}

impl ObjectDocument {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query, headers: Headers<'_>) -> Result<Self, Error> {
        let (md5, checksum) = (content_md5(headers)?, checksums::of_body(headers)?);
        Ok(Self { object: OfObject::parse(address, query)?, md5, checksum })
    }
}

/// `PutObjectRetention`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutRetention {
    /// Of which version, and the document.
    pub document: ObjectDocument,
    /// `x-amz-bypass-governance-retention`.
    pub bypasses_governance: bool,
}

impl PutRetention {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query, headers: Headers<'_>) -> Result<Self, Error> {
        let document = ObjectDocument::parse(address, query, headers)?;
        Ok(Self { document, bypasses_governance: objects::bypasses_governance(headers) })
    }
}

/// `CreateBucket`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateBucket {
    /// The bucket's name.
    pub bucket: String,
    /// Whether its versions can be locked, and so are kept.
    pub object_lock: bool,
    /// Who owns its objects, where the request says so.
    pub ownership: Option<Ownership>,
    /// Its ACL; none for the default one.
    pub acl: Option<Asked>,
}

impl CreateBucket {
    /// Reads them.
    pub fn parse(address: &Address, headers: Headers<'_>) -> Result<Self, Error> {
        let name = "x-amz-bucket-object-lock-enabled";
        let object_lock = match headers.filled(name).unwrap_or("false") {
            value if value.eq_ignore_ascii_case("true") => true,
            value if value.eq_ignore_ascii_case("false") => false,
            value => return Err(Error::argument("Expected true or false.", name, value)),
        };
        let name = "x-amz-object-ownership";
        let ownership = headers.filled(name).map(|value| {
            let invalid = || Error::argument("Invalid x-amz-object-ownership header", name, value);
            Ownership::of_name(value).ok_or_else(invalid)
        });
        Ok(Self {
            bucket: multipart::bucket(address),
            object_lock,
            ownership: ownership.transpose()?,
            acl: Asked::of_headers(headers)?,
        })
    }
}

/// A request that brings a document about a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketDocument {
    /// The bucket's name.
    pub bucket: String,
    /// The MD5 that the document must have.
    pub md5: Option<[u8; 16]>,
    /// The checksum that the document must have.
    pub checksum: Option<Declared>,
}

impl BucketDocument {
    /// Reads them.
    pub fn parse(address: &Address, headers: Headers<'_>) -> Result<Self, Error> {
        let (md5, checksum) = (content_md5(headers)?, checksums::of_body(headers)?);
        Ok(Self { bucket: multipart::bucket(address), md5, checksum })
    }
}

/// The length of the object or part that a request's body brings, in bytes; none where the body is
/// chunked and its length unknown. Refuses what is too large or says nothing.
pub fn body_length(headers: Headers<'_>) -> Result<Option<u64>, Error> {
    let decoded = headers.get("x-amz-decoded-content-length");
    let Some(text) = decoded.or_else(|| headers.get("content-length")) else {
        return match headers.get("transfer-encoding") {
            Some(_) => Ok(None),
            None => Err(Error::new(ErrorCode::MissingContentLength)),
        };
    };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(length) = text.parse::<u64>().ok().filter(|_| digits) else {
        let name =
            if decoded.is_some() { "x-amz-decoded-content-length" } else { "content-length" };
        return Err(Error::argument("The length is not a number.", name, text));
    };
    if length > PUT_BYTES_MAX {
        return Err(too_large(length));
    }
    Ok(Some(length))
}

/// `EntityTooLarge` for one PUT of so many bytes.
pub fn too_large(length_bytes: u64) -> Error {
    Error::new(ErrorCode::EntityTooLarge)
        .field("ProposedSize", length_bytes.to_string())
        .field("MaxSizeAllowed", PUT_BYTES_MAX.to_string())
}

/// `Content-MD5`: the MD5 that the body must have.
pub fn content_md5(headers: Headers<'_>) -> Result<Option<[u8; 16]>, Error> {
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    STANDARD
        .decode(value)
        .ok()
        .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok())
        .map(Some)
        .ok_or_else(|| Error::new(ErrorCode::InvalidDigest).field("Content-MD5", value))
}

/// `partNumber`, where there is one.
pub fn part_number(query: &Query) -> Result<Option<u16>, Error> {
    let Some(value) = query.get("partNumber") else { return Ok(None) };
    decimal(value)
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| (1..=PART_NUMBER_MAX).contains(number))
        .map(Some)
        .ok_or_else(|| {
            Error::argument(
                "Part number must be an integer between 1 and 10000, inclusive",
                "partNumber",
                value,
            )
        })
}

/// `uploadId`. What can't be the id of an upload is the id of none.
pub fn upload_id(query: &Query) -> Result<String, Error> {
    let value = query.get("uploadId").unwrap_or_default();
    let plausible = (1..=UPLOAD_ID_BYTES_MAX).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_graphic());
    if plausible {
        return Ok(value.to_owned());
    }
    Err(Error::new(ErrorCode::NoSuchUpload).field("UploadId", value))
}

/// Digits and nothing else; the largest number where there are too many.
fn decimal(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
