//! The parameters of multipart uploads.

use crate::checksum::{Declared, Kind};
use crate::s3::acl::Asked;
use crate::s3::address::Address;
use crate::s3::checksums::{self, CompletionChecksum, UploadChecksum};
use crate::s3::conditions::{ReadConditions, WriteCondition};
use crate::s3::copy::{CopyRange, CopySource};
use crate::s3::encryption::{CustomerKey, Wanted};
use crate::s3::error::{Error, ErrorCode};
use crate::s3::headers::ObjectHeaders;
use crate::s3::lock::LockHeaders;
use crate::s3::parameters::{body_length, content_md5, decimal, part_number, upload_id};
use crate::s3::query::Query;
use crate::s3::request::Headers;
use crate::s3::tags::Tags;

/// `CreateMultipartUpload`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateMultipartUpload {
    /// The bucket's name.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// What the object will be served with.
    pub headers: ObjectHeaders,
    /// The checksum that parts and object get.
    pub checksum: Option<UploadChecksum>,
    /// The tags that the object gets.
    pub tags: Tags,
    /// What the object is locked by.
    pub lock: LockHeaders,
    /// What the object is encrypted with.
    pub encryption: Wanted,
    /// The ACL that the object gets; none for the default one.
    pub acl: Option<Asked>,
}

/// `UploadPart`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPart {
    /// The bucket's name.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// The upload's id.
    pub upload: String,
    /// 1 to 10,000.
    pub part: u16,
    /// The part's length in bytes, where it is known.
    pub length_bytes: Option<u64>,
    /// The MD5 that the part must have.
    pub md5: Option<[u8; 16]>,
    /// The checksum that the part must have.
    pub checksum: Option<Declared>,
    /// The customer's key that the upload is encrypted with.
    pub customer_key: Option<Box<CustomerKey>>,
}

/// `UploadPartCopy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPartCopy {
    /// The bucket's name.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// The upload's id.
    pub upload: String,
    /// 1 to 10,000.
    pub part: u16,
    /// Where the bytes come from.
    pub source: CopySource,
    /// Which of them; all where there's none.
    pub range: Option<CopyRange>,
    /// What the source must fulfil.
    pub source_conditions: ReadConditions,
    /// The customer's key that the upload is encrypted with.
    pub customer_key: Option<Box<CustomerKey>>,
    /// The customer's key that the source is encrypted with.
    pub source_key: Option<Box<CustomerKey>>,
}

/// `CompleteMultipartUpload`. The parts are in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteMultipartUpload {
    /// The bucket's name.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// The upload's id.
    pub upload: String,
    /// What the key must fulfil.
    pub condition: WriteCondition,
    /// The checksum that the whole object must have.
    pub checksum: Option<CompletionChecksum>,
    /// The type that the upload's checksum must have.
    pub checksum_kind: Option<Kind>,
    /// `x-amz-mp-object-size`: the size that the object must have.
    pub object_bytes: Option<u64>,
    /// The customer's key that the upload is encrypted with, where it is sent again.
    pub customer_key: Option<Box<CustomerKey>>,
}

/// `AbortMultipartUpload`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbortMultipartUpload {
    /// The bucket's name.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// The upload's id.
    pub upload: String,
}

impl CreateMultipartUpload {
    /// Reads them.
    pub fn parse(address: &Address, headers: Headers<'_>) -> Result<Self, Error> {
        Ok(Self {
            bucket: bucket(address),
            key: key(address),
            headers: ObjectHeaders::parse(headers)?,
            checksum: checksums::of_upload(headers)?,
            tags: Tags::of_headers(headers)?,
            lock: LockHeaders::parse(headers)?,
            encryption: Wanted::parse(headers)?,
            acl: Asked::of_headers(headers)?,
        })
    }
}

impl UploadPart {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query, headers: Headers<'_>) -> Result<Self, Error> {
        Ok(Self {
            bucket: bucket(address),
            key: key(address),
            part: needed_part(query)?,
            upload: upload_id(query)?,
            length_bytes: body_length(headers)?,
            md5: content_md5(headers)?,
            checksum: checksums::of_body(headers)?,
            customer_key: CustomerKey::of_upload(headers)?,
        })
    }
}

impl UploadPartCopy {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query, headers: Headers<'_>) -> Result<Self, Error> {
        let range = headers.filled("x-amz-copy-source-range");
        Ok(Self {
            bucket: bucket(address),
            key: key(address),
            part: needed_part(query)?,
            upload: upload_id(query)?,
            source: CopySource::parse(headers.get("x-amz-copy-source").unwrap_or_default())?,
            range: range.map(CopyRange::parse).transpose()?,
            source_conditions: ReadConditions::parse_source(headers),
            customer_key: CustomerKey::of_upload(headers)?,
            source_key: CustomerKey::of_source(headers)?,
        })
    }
}

impl CompleteMultipartUpload {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query, headers: Headers<'_>) -> Result<Self, Error> {
        let object_bytes = match headers.filled("x-amz-mp-object-size") {
            None => None,
            Some(text) => Some(decimal(text).ok_or_else(|| {
                Error::with_message(
                    ErrorCode::InvalidRequest,
                    "Value for x-amz-mp-object-size header is invalid.",
                )
            })?),
        };
        Ok(Self {
            bucket: bucket(address),
            key: key(address),
            upload: upload_id(query)?,
            condition: WriteCondition::parse(headers)?,
            checksum: checksums::of_completion(headers)?,
            checksum_kind: checksums::kind(headers)?,
            object_bytes,
            customer_key: CustomerKey::of_upload(headers)?,
        })
    }
}

impl AbortMultipartUpload {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query) -> Result<Self, Error> {
        Ok(Self { bucket: bucket(address), key: key(address), upload: upload_id(query)? })
    }
}

/// The bucket of an address that has one by the table of operations.
pub(in crate::s3) fn bucket(address: &Address) -> String {
    address.bucket().expect("the table gives this operation to buckets only").to_owned()
}

/// The key of an address that has one by the table of operations.
pub(in crate::s3) fn key(address: &Address) -> String {
    address.key().expect("the table gives this operation to objects only").to_owned()
}

fn needed_part(query: &Query) -> Result<u16, Error> {
    part_number(query)?.ok_or_else(|| {
        Error::with_message(
            ErrorCode::InvalidRequest,
            "Missing required query parameter: partNumber",
        )
    })
}
