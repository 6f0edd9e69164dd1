//! The parameters of listings: markers, page sizes, encodings.

use crate::s3::address::Address;
use crate::s3::error::Error;
use crate::s3::limits::{BUCKET_PAGE_COUNT_MAX, PAGE_COUNT_MAX};
use crate::s3::listing::{Encoding, decode_token};
use crate::s3::parameters::{decimal, multipart, upload_id};
use crate::s3::query::Query;
use crate::s3::version::Version;

/// A continuation token, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// As it was sent, to be shown in the result.
    pub sent: String,
    /// What the page before ended with: a key, a common prefix or a bucket's name.
    pub position: String,
}

/// `ListBuckets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListBuckets {
    /// Only names that start so; empty for all.
    pub prefix: String,
    /// The continuation token: the page begins behind the bucket at its position.
    pub token: Option<Token>,
    /// At most so many buckets.
    pub buckets_max: u32,
    /// Only buckets of this region.
    pub region: Option<String>,
}

/// `ListObjects`, the first version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListObjects {
    /// The bucket's name.
    pub bucket: String,
    /// Only keys that start so; empty for all.
    pub prefix: String,
    /// What groups keys; never empty.
    pub delimiter: Option<String>,
    /// The key or common prefix behind which the page begins; empty for the start.
    pub marker: String,
    /// At most so many keys and common prefixes, 0 to 1,000.
    pub keys_max: u32,
    /// How keys are written.
    pub encoding: Encoding,
}

/// `ListObjectsV2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListObjectsV2 {
    /// The bucket's name.
    pub bucket: String,
    /// Only keys that start so; empty for all.
    pub prefix: String,
    /// What groups keys; never empty.
    pub delimiter: Option<String>,
    /// The continuation token: the page begins behind its position, and `start-after` is void.
    pub token: Option<Token>,
    /// The key behind which the listing begins.
    pub start_after: Option<String>,
    /// At most so many keys and common prefixes, 0 to 1,000.
    pub keys_max: u32,
    /// Whether to name the owners.
    pub fetch_owner: bool,
    /// How keys are written.
    pub encoding: Encoding,
}

/// `ListObjectVersions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListObjectVersions {
    /// The bucket's name.
    pub bucket: String,
    /// Only keys that start so; empty for all.
    pub prefix: String,
    /// What groups keys; never empty.
    pub delimiter: Option<String>,
    /// The page begins behind this key or common prefix; empty for the start.
    pub key_marker: String,
    /// With it, the page begins behind this version of the marker's key.
    pub version_marker: Option<Version>,
    /// At most so many versions and common prefixes, 0 to 1,000.
    pub keys_max: u32,
    /// How keys are written.
    pub encoding: Encoding,
}

/// `ListMultipartUploads`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListMultipartUploads {
    /// The bucket's name.
    pub bucket: String,
    /// Only keys that start so; empty for all.
    pub prefix: String,
    /// What groups keys; never empty.
    pub delimiter: Option<String>,
    /// The page begins behind this key; empty for the start.
    pub key_marker: String,
    /// With it, the page begins behind this upload of the marker's key. Void without a key marker.
    pub upload_marker: Option<String>,
    /// At most so many uploads and common prefixes, 0 to 1,000.
    pub uploads_max: u32,
    /// How keys are written.
    pub encoding: Encoding,
}

/// `ListParts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListParts {
    /// The bucket's name.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// The upload's id.
    pub upload: String,
    /// The page begins behind this part number; 0 for the start.
    pub part_marker: u32,
    /// At most so many parts, 0 to 1,000.
    pub parts_max: u32,
}

impl ListBuckets {
    /// Reads them.
    pub fn parse(query: &Query) -> Result<Self, Error> {
        let token = token(query)?;
        let buckets_max = match query.filled("max-buckets") {
            None => BUCKET_PAGE_COUNT_MAX,
            Some(text) => decimal(text)
                .and_then(|number| u32::try_from(number).ok())
                .filter(|number| (1..=BUCKET_PAGE_COUNT_MAX).contains(number))
                .ok_or_else(|| {
                    let message = "Argument max-buckets must be an integer between 1 and 10000";
                    Error::argument(message, "max-buckets", text)
                })?,
        };
        let region = query.filled("bucket-region").map(str::to_owned);
        Ok(Self { prefix: text(query, "prefix"), token, buckets_max, region })
    }
}

impl ListObjects {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query) -> Result<Self, Error> {
        Ok(Self {
            bucket: multipart::bucket(address),
            prefix: text(query, "prefix"),
            delimiter: query.filled("delimiter").map(str::to_owned),
            marker: text(query, "marker"),
            keys_max: page(query, "max-keys")?,
            encoding: encoding(query)?,
        })
    }
}

impl ListObjectsV2 {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query) -> Result<Self, Error> {
        let token = token(query)?;
        let fetch_owner = match query.filled("fetch-owner") {
            None => false,
            Some(flag) if flag.eq_ignore_ascii_case("true") => true,
            Some(flag) if flag.eq_ignore_ascii_case("false") => false,
            Some(flag) => {
                let message = "Argument fetch-owner must be true or false";
                return Err(Error::argument(message, "fetch-owner", flag));
            }
        };
        Ok(Self {
            bucket: multipart::bucket(address),
            prefix: text(query, "prefix"),
            delimiter: query.filled("delimiter").map(str::to_owned),
            token,
            start_after: query.filled("start-after").map(str::to_owned),
            keys_max: page(query, "max-keys")?,
            fetch_owner,
            encoding: encoding(query)?,
        })
    }

    /// Where the page begins: behind this key, or at the start where it is empty.
    pub fn position(&self) -> &str {
        match &self.token {
            Some(token) => &token.position,
            None => self.start_after.as_deref().unwrap_or_default(),
        }
    }
}

impl ListObjectVersions {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query) -> Result<Self, Error> {
        let key_marker = text(query, "key-marker");
        let version_marker = query.filled("version-id-marker");
        if let Some(sent) = version_marker.filter(|_| key_marker.is_empty()) {
            return Err(Error::argument(
                "A version-id marker cannot be specified without a key marker.",
                "version-id-marker",
                sent,
            ));
        }
        Ok(Self {
            bucket: multipart::bucket(address),
            prefix: text(query, "prefix"),
            delimiter: query.filled("delimiter").map(str::to_owned),
            key_marker,
            version_marker: version_marker.map(|sent| Version::parse(Some(sent))).transpose()?,
            keys_max: page(query, "max-keys")?,
            encoding: encoding(query)?,
        })
    }
}

impl ListMultipartUploads {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query) -> Result<Self, Error> {
        let key_marker = text(query, "key-marker");
        let upload_marker =
            query.filled("upload-id-marker").filter(|_| !key_marker.is_empty()).map(str::to_owned);
        Ok(Self {
            bucket: multipart::bucket(address),
            prefix: text(query, "prefix"),
            delimiter: query.filled("delimiter").map(str::to_owned),
            key_marker,
            upload_marker,
            uploads_max: page(query, "max-uploads")?,
            encoding: encoding(query)?,
        })
    }
}

impl ListParts {
    /// Reads them.
    pub fn parse(address: &Address, query: &Query) -> Result<Self, Error> {
        let part_marker = query.filled("part-number-marker").unwrap_or("0");
        let number = decimal(part_marker).and_then(|number| u32::try_from(number).ok());
        let part_marker =
            number.filter(|number| i32::try_from(*number).is_ok()).ok_or_else(|| {
                let message =
                    "Argument part-number-marker must be an integer between 0 and 2147483647";
                Error::argument(message, "part-number-marker", part_marker)
            })?;
        Ok(Self {
            bucket: multipart::bucket(address),
            key: multipart::key(address),
            upload: upload_id(query)?,
            part_marker,
            parts_max: page(query, "max-parts")?,
        })
    }
}

/// A page size: 1,000 where there is none, never more.
fn page(query: &Query, name: &'static str) -> Result<u32, Error> {
    let Some(text) = query.filled(name) else { return Ok(PAGE_COUNT_MAX) };
    let number = decimal(text).and_then(|number| i32::try_from(number).ok());
    match number.and_then(|number| u32::try_from(number).ok()) {
        Some(number) => Ok(number.min(PAGE_COUNT_MAX)),
        None if text.strip_prefix('-').and_then(decimal).is_some() => {
            let message = format!("Argument {name} must be an integer between 0 and 2147483647");
            Err(Error::argument(message, name, text))
        }
        None => {
            let message = format!("Provided {name} not an integer or within integer range");
            Err(Error::argument(message, name, text))
        }
    }
}

fn encoding(query: &Query) -> Result<Encoding, Error> {
    match query.filled("encoding-type") {
        None => Ok(Encoding::Plain),
        Some(name) if name.eq_ignore_ascii_case("url") => Ok(Encoding::Url),
        Some(name) => Err(Error::argument(
            "Invalid Encoding Method specified in Request",
            "encoding-type",
            name,
        )),
    }
}

/// The continuation token, as it was sent and as a position. An empty one is incorrect.
fn token(query: &Query) -> Result<Option<Token>, Error> {
    let Some(sent) = query.get("continuation-token") else { return Ok(None) };
    Ok(Some(Token { sent: sent.to_owned(), position: decode_token(sent)? }))
}

fn text(query: &Query, name: &str) -> String {
    query.get(name).unwrap_or_default().to_owned()
}
