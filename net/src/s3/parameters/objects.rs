//! The parameters of operations on objects.

use crate::checksum::{Algorithm, Declared};
use crate::s3::acl::Asked;
use crate::s3::address::Address;
use crate::s3::checksums;
use crate::s3::conditions::{ReadConditions, WriteCondition};
use crate::s3::copy::CopySource;
use crate::s3::encryption::{CustomerKey, Wanted};
use crate::s3::error::{Error, ErrorCode};
use crate::s3::headers::{ObjectHeaders, Overrides};
use crate::s3::limits::PAGE_COUNT_MAX;
use crate::s3::lock::LockHeaders;
use crate::s3::parameters::multipart::{bucket, key};
use crate::s3::parameters::{body_length, content_md5, decimal, part_number};
use crate::s3::query::Query;
use crate::s3::request::Headers;
use crate::s3::tags::Tags;
use crate::s3::version::Version;

/// `PutObject`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutObject {
    /// The bucket's name.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// What the object will be served with.
    pub headers: ObjectHeaders,
    /// What the key must fulfil.
    pub condition: WriteCondition,
    /// The object's length in bytes, where it is known.
    pub length_bytes: Option<u64>,
    /// The MD5 that the object must have.
    pub md5: Option<[u8; 16]>,
    /// The checksum that the object must have.
    pub checksum: Option<Declared>,
    /// The tags that the object gets.
    pub tags: Tags,
    /// What the object is locked by.
    pub lock: LockHeaders,
    /// What the object is encrypted with.
    pub encryption: Wanted,
    /// The ACL that the object gets; none for the default one.
    pub acl: Option<Asked>,
}

/// `GetObject` and `HeadObject`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadObject {
    /// The bucket's name.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// Which version.
    pub version: Version,
    /// What the object must fulfil.
    pub conditions: ReadConditions,
    /// `Range`, as it was sent.
    pub range: Option<String>,
    /// `If-Range`, as it was sent.
    pub if_range: Option<String>,
    /// Only this part of a multipart object; never together with a range.
    pub part: Option<u16>,
    /// Headers to be answered with, for signed requests only.
    pub overrides: Overrides,
    /// Whether the response carries the object's checksums.
    pub checksum_wanted: bool,
    /// The customer's key that the object is encrypted with.
    pub customer_key: Option<Box<CustomerKey>>,
}

/// `DeleteObject`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteObject {
    /// The bucket's name.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// Which version.
    pub version: Version,
    /// What the object must fulfil.
    pub condition: WriteCondition,
    /// `x-amz-bypass-governance-retention`.
    pub bypasses_governance: bool,
}

/// `DeleteObjects`. The keys are in the body, which must come with an MD5 or a checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteObjects {
    /// The bucket's name.
    pub bucket: String,
    /// The MD5 that the body must have.
    pub md5: Option<[u8; 16]>,
    /// The checksum that the body must have.
    pub checksum: Option<Declared>,
    /// `x-amz-bypass-governance-retention`.
    pub bypasses_governance: bool,
}

/// Where the headers of a copy come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// From the source.
    Copy,
    /// From the request.
    Replace,
}

/// `CopyObject`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyObject {
    /// The bucket's name.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// What is copied.
    pub source: CopySource,
    /// What the source must fulfil.
    pub source_conditions: ReadConditions,
    /// What the target must fulfil.
    pub condition: WriteCondition,
    /// Where metadata and system headers come from.
    pub directive: Directive,
    /// The request's own headers. With [`Directive::Copy`] only its storage class and website redirect count.
    pub headers: ObjectHeaders,
    /// The checksum that the copy shall have; else that of the source.
    pub checksum: Option<Algorithm>,
    /// Where tags come from.
    pub tags_directive: Directive,
    /// The request's own tags.
    pub tags: Tags,
    /// What the copy is locked by: the lock of the source is never copied.
    pub lock: LockHeaders,
    /// What the copy is encrypted with: the encryption of the source is never copied.
    pub encryption: Wanted,
    /// The customer's key that the source is encrypted with.
    pub source_key: Option<Box<CustomerKey>>,
    /// The ACL that the copy gets: that of the source is never copied.
    pub acl: Option<Asked>,
}

/// What `GetObjectAttributes` can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `ETag`.
    Etag,
    /// `Checksum`.
    Checksum,
    /// `ObjectParts`.
    Parts,
    /// `StorageClass`.
    StorageClass,
    /// `ObjectSize`.
    Size,
}

/// `GetObjectAttributes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetObjectAttributes {
    /// The bucket's name.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// Which version.
    pub version: Version,
    /// What is asked for, at least one.
    pub attributes: Vec<Attribute>,
    /// At most so many parts, 0 to 1,000.
    pub parts_max: u32,
    /// Parts behind this number.
    pub part_marker: u32,
    /// What the object must fulfil.
    pub conditions: ReadConditions,
    /// The customer's key that the object is encrypted with.
    pub customer_key: Option<Box<CustomerKey>>,
}

impl PutObject {
    /// Reads them.
    pub fn parse(address: &Address, headers: Headers<'_>) -> Result<Self, Error> {
        // RFC 9110, 14.5: a partial PUT must not pass for a whole one.
        refuse(headers, "content-range")?;
        Ok(Self {
            bucket: bucket(address),
            key: key(address),
            length_bytes: body_length(headers)?,
            md5: content_md5(headers)?,
            checksum: checksums::of_body(headers)?,
            condition: WriteCondition::parse(headers)?,
            headers: ObjectHeaders::parse(headers)?,
            tags: Tags::of_headers(headers)?,
            lock: LockHeaders::parse(headers)?,
            encryption: Wanted::parse(headers)?,
            acl: Asked::of_headers(headers)?,
        })
    }
}

impl ReadObject {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query, headers: Headers<'_>) -> Result<Self, Error> {
        let part = part_number(query)?;
        let range = headers.filled("range").map(str::to_owned);
        if part.is_some() && range.is_some() {
            return Err(Error::with_message(
                ErrorCode::InvalidRequest,
                "Cannot specify both Range header and partNumber query parameter",
            ));
        }
        Ok(Self {
            bucket: bucket(address),
            key: key(address),
            version: Version::parse(query.get("versionId"))?,
            conditions: ReadConditions::parse(headers),
            range,
            if_range: headers.filled("if-range").map(str::to_owned),
            part,
            overrides: Overrides::parse(query)?,
            checksum_wanted: checksums::wanted(headers),
            customer_key: CustomerKey::of_read(headers)?,
        })
    }
}

impl DeleteObject {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query, headers: Headers<'_>) -> Result<Self, Error> {
        Ok(Self {
            bucket: bucket(address),
            key: key(address),
            version: Version::parse(query.get("versionId"))?,
            condition: WriteCondition::parse_delete(headers)?,
            bypasses_governance: bypasses_governance(headers),
        })
    }
}

impl DeleteObjects {
    /// Reads them.
    pub fn parse(address: &Address, headers: Headers<'_>) -> Result<Self, Error> {
        let md5 = content_md5(headers)?;
        let checksum = checksums::of_body(headers)?;
        if md5.is_none() && checksum.is_none() {
            return Err(Error::with_message(
                ErrorCode::InvalidRequest,
                "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
            ));
        }
        let bypasses_governance = bypasses_governance(headers);
        Ok(Self { bucket: bucket(address), md5, checksum, bypasses_governance })
    }
}

impl CopyObject {
    /// Reads them.
    pub fn parse(address: &Address, headers: Headers<'_>) -> Result<Self, Error> {
        // Only parts can be copied from a range.
        refuse(headers, "x-amz-copy-source-range")?;
        let copy = Self {
            bucket: bucket(address),
            key: key(address),
            source: CopySource::parse(headers.get("x-amz-copy-source").unwrap_or_default())?,
            source_conditions: ReadConditions::parse_source(headers),
            condition: WriteCondition::parse(headers)?,
            directive: directive(headers, "x-amz-metadata-directive")?,
            headers: ObjectHeaders::parse(headers)?,
            checksum: checksums::algorithm(headers)?,
            tags_directive: directive(headers, "x-amz-tagging-directive")?,
            tags: Tags::of_headers(headers)?,
            lock: LockHeaders::parse(headers)?,
            encryption: Wanted::parse(headers)?,
            source_key: CustomerKey::of_source(headers)?,
            acl: Asked::of_headers(headers)?,
        };
        if copy.is_onto_itself() && !copy.changes_something(headers) {
            return Err(Error::with_message(
                ErrorCode::InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself \
                 without changing the object's metadata, storage class, website redirect location \
                 or encryption attributes.",
            ));
        }
        Ok(copy)
    }

    fn is_onto_itself(&self) -> bool {
        self.source.bucket == self.bucket
            && self.source.key == self.key
            && self.source.version == Version::Current
    }

    fn changes_something(&self, headers: Headers<'_>) -> bool {
        self.directive == Directive::Replace
            || self.tags_directive == Directive::Replace
            || headers.has("x-amz-storage-class")
            || self.headers.website_redirect.is_some()
            || self.checksum.is_some()
            || self.encryption != Wanted::Unsaid
            || self.source_key.is_some()
    }
}

impl Attribute {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "ETag" => Self::Etag,
            "Checksum" => Self::Checksum,
            "ObjectParts" => Self::Parts,
            "StorageClass" => Self::StorageClass,
            "ObjectSize" => Self::Size,
            _ => return None,
        })
    }
}

impl GetObjectAttributes {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query, headers: Headers<'_>) -> Result<Self, Error> {
        let number = |name: &'static str, absent: u32| match headers.filled(name) {
            None => Ok(absent),
            Some(text) => decimal(text)
                .and_then(|number| i32::try_from(number).ok())
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| {
                    let message = format!("Provided {name} not an integer or within integer range");
                    Error::argument(message, name, text)
                }),
        };
        Ok(Self {
            bucket: bucket(address),
            key: key(address),
            version: Version::parse(query.get("versionId"))?,
            attributes: attributes(headers)?,
            parts_max: number("x-amz-max-parts", PAGE_COUNT_MAX)?.min(PAGE_COUNT_MAX),
            part_marker: number("x-amz-part-number-marker", 0)?,
            conditions: ReadConditions::parse(headers),
            customer_key: CustomerKey::of_read(headers)?,
        })
    }

    /// Whether an attribute is asked for.
    pub fn wants(&self, attribute: Attribute) -> bool {
        self.attributes.contains(&attribute)
    }
}

fn attributes(headers: Headers<'_>) -> Result<Vec<Attribute>, Error> {
    let list = headers.list("x-amz-object-attributes").unwrap_or_default();
    let mut attributes = Vec::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let attribute = Attribute::parse(name).ok_or_else(|| {
            Error::argument("Invalid attribute name specified.", "x-amz-object-attributes", name)
        })?;
        if !attributes.contains(&attribute) {
            attributes.push(attribute);
        }
    }
    if attributes.is_empty() {
        return Err(Error::with_message(
            ErrorCode::InvalidRequest,
            "The x-amz-object-attributes header specifying the attributes to be retrieved is \
             either missing or empty",
        ));
    }
    Ok(attributes)
}

/// Whether a request asks to remove or change what retention in governance mode keeps.
pub(in crate::s3) fn bypasses_governance(headers: Headers<'_>) -> bool {
    let value = headers.get("x-amz-bypass-governance-retention");
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn refuse(headers: Headers<'_>, name: &'static str) -> Result<(), Error> {
    if headers.has(name) { Err(Error::header_not_implemented(name)) } else { Ok(()) }
}

fn directive(headers: Headers<'_>, name: &'static str) -> Result<Directive, Error> {
    match headers.filled(name) {
        None | Some("COPY") => Ok(Directive::Copy),
        Some("REPLACE") => Ok(Directive::Replace),
        Some(value) => Err(Error::argument("Unknown directive.", name, value)),
    }
}
