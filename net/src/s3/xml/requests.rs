//! The documents that requests bring: `Delete`, `CompleteMultipartUpload`, `CreateBucketConfiguration`.

use crate::checksum::{Algorithm, Checksum};
use crate::s3::address::check_key;
use crate::s3::conditions::WriteCondition;
use crate::s3::error::{Error, ErrorCode};
use crate::s3::etag::unquoted;
use crate::s3::limits::{DELETE_COUNT_MAX, PART_NUMBER_MAX};
use crate::s3::tags::{BUCKET_TAGS_MAX, Tags};
use crate::s3::version::Version;
use crate::s3::xml::read::{Elements, flag, malformed};

/// One object to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectToDelete {
    /// Its key.
    pub key: String,
    /// The version as it was sent, to be shown in the result.
    pub version_id: Option<String>,
    /// Which version and under which condition; or why this one key is refused, to be shown in
    /// the result.
    pub deletion: Result<KeyDeletion, Error>,
}

/// How one key is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDeletion {
    /// Which version.
    pub version: Version,
    /// What the object must fulfil.
    pub condition: WriteCondition,
}

/// The body of `DeleteObjects`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// 1 to 1,000, in the order sent.
    pub objects: Vec<ObjectToDelete>,
    /// Whether the result shows errors only.
    pub quiet: bool,
}

/// One part of an upload to complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartToComplete {
    /// 1 to 10,000.
    pub number: u16,
    /// The part's entity tag without quotes.
    pub etag: String,
    /// The part's checksum, where it was sent.
    pub checksum: Option<Checksum>,
}

/// The body of `CreateBucket`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketConfiguration {
    /// The region that the bucket shall be in.
    pub location: Option<String>,
    /// The tags that it shall have.
    pub tags: Option<Tags>,
}

/// Reads the body of `DeleteObjects`.
pub fn delete(body: &[u8]) -> Result<Delete, Error> {
    let mut elements = Elements::open(body, "Delete")?;
    let mut delete = Delete { objects: Vec::new(), quiet: false };
    while let Some(name) = elements.child()? {
        match name.as_str() {
            "Object" if delete.objects.len() == DELETE_COUNT_MAX => return Err(malformed()),
            "Object" => delete.objects.push(object_to_delete(&mut elements)?),
            "Quiet" => delete.quiet = flag(&elements.word()?)?,
            _ => elements.skip()?,
        }
    }
    elements.finish()?;
    if delete.objects.is_empty() { Err(malformed()) } else { Ok(delete) }
}

/// Reads the body of `CompleteMultipartUpload`: parts in ascending order of their numbers.
pub fn complete(body: &[u8]) -> Result<Vec<PartToComplete>, Error> {
    let mut elements = Elements::open(body, "CompleteMultipartUpload")?;
    let mut parts: Vec<PartToComplete> = Vec::new();
    let mut ordered = true;
    while let Some(name) = elements.child()? {
        if name != "Part" {
            elements.skip()?;
            continue;
        }
        if parts.len() == usize::from(PART_NUMBER_MAX) {
            return Err(malformed());
        }
        let part = part_to_complete(&mut elements)?;
        ordered &= parts.last().is_none_or(|last| last.number < part.number);
        parts.push(part);
    }
    elements.finish()?;
    if parts.is_empty() {
        return Err(malformed());
    }
    if ordered { Ok(parts) } else { Err(Error::new(ErrorCode::InvalidPartOrder)) }
}

/// Reads the body of `CreateBucket`, which may be empty.
pub fn create_bucket(body: &[u8]) -> Result<BucketConfiguration, Error> {
    let mut configuration = BucketConfiguration::default();
    if body.is_empty() {
        return Ok(configuration);
    }
    let mut elements = Elements::open(body, "CreateBucketConfiguration")?;
    while let Some(name) = elements.child()? {
        match name.as_str() {
            "LocationConstraint" => {
                configuration.location =
                    Some(elements.word()?).filter(|location| !location.is_empty());
            }
            "Tags" => configuration.tags = Some(Tags::read_set(&mut elements, BUCKET_TAGS_MAX)?),
            "Bucket" | "Location" => {
                return Err(Error::with_message(
                    ErrorCode::NotImplemented,
                    "Directory buckets are not implemented.",
                ));
            }
            _ => elements.skip()?,
        }
    }
    elements.finish()?;
    Ok(configuration)
}

fn object_to_delete(elements: &mut Elements<'_>) -> Result<ObjectToDelete, Error> {
    let (mut key, mut version_id, mut etag) = (None, None, None);
    let mut refused = None;
    while let Some(name) = elements.child()? {
        match name.as_str() {
            "Key" if key.is_none() => key = Some(elements.text()?),
            "VersionId" if version_id.is_none() => version_id = Some(elements.word()?),
            "ETag" if etag.is_none() => etag = Some(elements.word()?),
            "Key" | "VersionId" | "ETag" => return Err(malformed()),
            "Size" | "LastModifiedTime" => {
                elements.skip()?;
                refused = Some(Error::with_message(
                    ErrorCode::NotImplemented,
                    format!("The condition {name} is not implemented."),
                ));
            }
            _ => elements.skip()?,
        }
    }
    let key = key.filter(|key| !key.is_empty()).ok_or_else(malformed)?;
    let version_id = version_id.filter(|id| !id.is_empty());
    let deletion = match refused {
        Some(error) => Err(error),
        None => key_deletion(&key, version_id.as_deref(), etag.as_deref()),
    };
    Ok(ObjectToDelete { key, version_id, deletion })
}

fn key_deletion(
    key: &str,
    version_id: Option<&str>,
    etag: Option<&str>,
) -> Result<KeyDeletion, Error> {
    check_key(key)?;
    let condition = match etag {
        None => WriteCondition::Always,
        Some(etag) => WriteCondition::of_tag(etag)
            .ok_or_else(|| Error::argument("The entity tag is not valid.", "ETag", etag))?,
    };
    Ok(KeyDeletion { version: Version::parse(version_id)?, condition })
}

fn part_to_complete(elements: &mut Elements<'_>) -> Result<PartToComplete, Error> {
    let (mut number, mut etag, mut checksum) = (None, None, None);
    while let Some(name) = elements.child()? {
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.element() == name);
        match (name.as_str(), algorithm) {
            ("PartNumber", _) if number.is_none() => number = Some(elements.word()?),
            ("ETag", _) if etag.is_none() => etag = Some(elements.word()?),
            ("PartNumber" | "ETag", _) => return Err(malformed()),
            (_, Some(algorithm)) => {
                let parsed = Checksum::parse(algorithm, &elements.word()?);
                let Some(value) = parsed.ok().filter(|_| checksum.is_none()) else {
                    return Err(malformed());
                };
                checksum = Some(value);
            }
            (name, None) if name.starts_with("Checksum") => {
                return Err(Error::with_message(
                    ErrorCode::NotImplemented,
                    format!("{name} is not implemented."),
                ));
            }
            (_, None) => elements.skip()?,
        }
    }
    let etag = etag.map(|etag| unquoted(&etag).to_owned()).filter(|etag| !etag.is_empty());
    Ok(PartToComplete {
        number: part_number(&number.ok_or_else(malformed)?)?,
        etag: etag.ok_or_else(malformed)?,
        checksum,
    })
}

fn part_number(text: &str) -> Result<u16, Error> {
    let number: i64 = text.parse().map_err(|_not_a_number| malformed())?;
    u16::try_from(number).ok().filter(|number| (1..=PART_NUMBER_MAX).contains(number)).ok_or_else(
        || {
            Error::argument(
                "PartNumber must be an integer between 1 and 10000, inclusive",
                "PartNumber",
                text,
            )
        },
    )
}

#[cfg(test)]
mod tests;
