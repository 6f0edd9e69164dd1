//! The headers that are kept with an object: system headers and user metadata.

pub mod encoded_word;
pub mod overrides;

use std::borrow::Cow;

use crate::s3::error::{Error, ErrorCode};
use crate::s3::limits::{HEADER_BYTES_MAX, METADATA_BYTES_MAX};
use crate::s3::request::Headers;

pub use overrides::Overrides;

/// What an object without `Content-Type` is served as.
pub const CONTENT_TYPE_DEFAULT: &str = "binary/octet-stream";
/// The storage class of an object without one.
pub const STORAGE_CLASS_DEFAULT: &str = "STANDARD";

const METADATA_PREFIX: &str = "x-amz-meta-";

/// Names and values of user metadata.
pub type Metadata = Vec<(String, String)>;

/// One header of a response.
pub type Emitted<'a> = (Cow<'static, str>, Cow<'a, str>);

/// The headers kept with an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectHeaders {
    /// `Content-Type`; [`CONTENT_TYPE_DEFAULT`] where none was sent.
    pub content_type: Option<String>,
    /// `Content-Encoding`, less `aws-chunked`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Expires`, as it was sent.
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`.
    pub website_redirect: Option<String>,
    /// `x-amz-storage-class`, where it isn't [`STORAGE_CLASS_DEFAULT`].
    pub storage_class: Option<String>,
    /// User metadata in the order sent: names in lower case without `x-amz-meta-`, values decoded.
    pub metadata: Metadata,
}

impl ObjectHeaders {
    /// The headers to keep of a request that writes an object.
    pub fn parse(headers: Headers<'_>) -> Result<Self, Error> {
        let kept = |name: &'static str| match headers.list(name).filter(|value| !value.is_empty()) {
            Some(value) if value.len() > HEADER_BYTES_MAX => {
                let message = format!("The value of the {name} header is too long.");
                Err(Error::argument(message, name, value.len().to_string()))
            }
            value => Ok(value),
        };
        Ok(Self {
            content_type: kept("content-type")?,
            content_encoding: kept("content-encoding")?.and_then(|value| less_chunked(&value)),
            content_language: kept("content-language")?,
            content_disposition: kept("content-disposition")?,
            cache_control: kept("cache-control")?,
            expires: kept("expires")?,
            website_redirect: website_redirect(kept("x-amz-website-redirect-location")?)?,
            storage_class: storage_class(headers)?,
            metadata: metadata(headers)?,
        })
    }

    /// The response headers of GET and HEAD: names in lower case, values as they are sent.
    pub fn emit<'a>(&'a self, overrides: &'a Overrides) -> Vec<Emitted<'a>> {
        let content_type = self.content_type.as_deref().unwrap_or(CONTENT_TYPE_DEFAULT);
        let content_type = overrides.content_type.as_deref().unwrap_or(content_type);
        let mut emitted = vec![("content-type".into(), content_type.into())];
        for (name, override_value, value) in [
            ("content-encoding", &overrides.content_encoding, &self.content_encoding),
            ("content-language", &overrides.content_language, &self.content_language),
            ("content-disposition", &overrides.content_disposition, &self.content_disposition),
            ("cache-control", &overrides.cache_control, &self.cache_control),
            ("expires", &overrides.expires, &self.expires),
            ("x-amz-website-redirect-location", &None, &self.website_redirect),
            ("x-amz-storage-class", &None, &self.storage_class),
        ] {
            if let Some(value) = override_value.as_ref().or(value.as_ref()) {
                emitted.push((name.into(), value.into()));
            }
        }
        for (name, value) in &self.metadata {
            let name = format!("{METADATA_PREFIX}{name}");
            emitted.push((name.into(), encoded_word::encode(value)));
        }
        emitted
    }

    /// The storage class as lists show it.
    pub fn storage_class(&self) -> &str {
        self.storage_class.as_deref().unwrap_or(STORAGE_CLASS_DEFAULT)
    }
}

/// Refuses a request that names another owner than a bucket has. Of a bucket that isn't there, only what the header looks like
/// is checked.
pub fn check_expected_owner(
    headers: Headers<'_>,
    name: &str,
    owner_id: Option<&str>,
) -> Result<(), Error> {
    let Some(expected) = headers.get(name) else { return Ok(()) };
    if expected.len() != 12 || !expected.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::new(ErrorCode::InvalidBucketOwnerAWSAccountID));
    }
    if owner_id.is_some_and(|owner_id| owner_id != expected) {
        return Err(Error::new(ErrorCode::AccessDenied));
    }
    Ok(())
}

/// The header that names the owner of the bucket that a request is about.
pub const EXPECTED_OWNER: &str = "x-amz-expected-bucket-owner";
/// The header that names the owner of the bucket that is copied from.
pub const EXPECTED_SOURCE_OWNER: &str = "x-amz-source-expected-bucket-owner";

/// `aws-chunked` frames the body on its way and is no property of the object.
fn less_chunked(value: &str) -> Option<String> {
    let codings: Vec<&str> = value
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    if codings.is_empty() { None } else { Some(codings.join(",")) }
}

/// S3: the location starts with a slash or is a URL.
fn website_redirect(value: Option<String>) -> Result<Option<String>, Error> {
    match value {
        Some(value)
            if !["/", "http://", "https://"].iter().any(|prefix| value.starts_with(prefix)) =>
        {
            Err(Error::with_message(
                ErrorCode::InvalidArgument,
                "The website redirect location must have a prefix of 'http://' or 'https://' or \
                 '/'.",
            ))
        }
        value => Ok(value),
    }
}

/// Classes whose objects are read like any other. Archive classes promise a restore before the
/// first read, and clients skip their objects: those are refused.
fn storage_class(headers: Headers<'_>) -> Result<Option<String>, Error> {
    match headers.filled("x-amz-storage-class") {
        None | Some(STORAGE_CLASS_DEFAULT) => Ok(None),
        Some(
            class @ ("REDUCED_REDUNDANCY"
            | "STANDARD_IA"
            | "ONEZONE_IA"
            | "INTELLIGENT_TIERING"
            | "GLACIER_IR"),
        ) => Ok(Some(class.to_owned())),
        Some(class) => {
            Err(Error::new(ErrorCode::InvalidStorageClass).field("StorageClassRequested", class))
        }
    }
}

fn metadata(headers: Headers<'_>) -> Result<Metadata, Error> {
    let mut metadata = Metadata::new();
    for (field, value) in headers.iter() {
        let Some(name) = field.strip_prefix(METADATA_PREFIX) else { continue };
        if name.is_empty() {
            return Err(Error::argument("Metadata without a name.", "x-amz-meta-", value));
        }
        let value = encoded_word::decode(value);
        match metadata.iter_mut().find(|(known, _)| known == name) {
            // RFC 9110, 5.3: one field in several lines is a list.
            Some((_, known)) => {
                known.push(',');
                known.push_str(&value);
            }
            None => metadata.push((name.to_owned(), value)),
        }
    }
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > METADATA_BYTES_MAX {
        return Err(Error::new(ErrorCode::MetadataTooLarge)
            .field("Size", bytes.to_string())
            .field("MaxSizeAllowed", METADATA_BYTES_MAX.to_string()));
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests;
