//! The source of a copy: `x-amz-copy-source` and `x-amz-copy-source-range`.

use crate::s3::address::{check_bucket_name, check_key};
use crate::s3::error::{Error, ErrorCode};
use crate::s3::query::decode;
use crate::s3::version::Version;

const SOURCE: &str = "x-amz-copy-source";
const RANGE: &str = "x-amz-copy-source-range";

/// What to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource {
    /// The bucket's name.
    pub bucket: String,
    /// The object key.
    pub key: String,
    /// Which version.
    pub version: Version,
}

impl CopySource {
    /// Reads `[/]bucket/key[?versionId=id]`, where bucket and key are percent-encoded.
    pub fn parse(value: &str) -> Result<Self, Error> {
        let (path, version) = match value.rsplit_once("?versionId=") {
            Some((path, version)) => (path, Some(version)),
            None => (value, None),
        };
        let decoded = decode(path)
            .map_err(|_broken| Error::argument("Invalid copy source encoding.", SOURCE, value))?;
        // The slash between bucket and key may be encoded too: SDKs encode the whole value.
        let names = decoded.strip_prefix('/').unwrap_or(&decoded).split_once('/');
        let Some((bucket, key)) =
            names.filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
        else {
            return Err(Error::argument(
                "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
                SOURCE,
                value,
            ));
        };
        check_bucket_name(bucket)?;
        check_key(key)?;
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version: Version::parse(version)?,
        })
    }
}

/// The bytes of the source that become a part: both ends are meant, unlike in `Range`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyRange {
    /// The offset of the first byte.
    pub first: u64,
    /// The offset of the last byte, included.
    pub last: u64,
}

impl CopyRange {
    /// Reads `bytes=first-last`.
    pub fn parse(value: &str) -> Result<Self, Error> {
        let number = |text: &str| {
            text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
        };
        value
            .strip_prefix("bytes=")
            .and_then(|range| range.split_once('-'))
            .and_then(|(first, last)| Some(Self { first: number(first)?, last: number(last)? }))
            .filter(|range| range.first <= range.last)
            .ok_or_else(|| {
                Error::argument(
                    "The x-amz-copy-source-range value must be of the form bytes=first-last where \
                     first and last are the zero-based offsets of the first and last bytes to copy",
                    RANGE,
                    value,
                )
            })
    }

    /// Refuses a range that reaches past a source of `size_bytes`, or is larger than a part may be.
    pub fn check_within(self, size_bytes: u64) -> Result<(), Error> {
        if self.last >= size_bytes {
            let message =
                format!("Range specified is not valid for source object of size: {size_bytes}");
            let range = format!("bytes={}-{}", self.first, self.last);
            return Err(Error::argument(message, RANGE, range));
        }
        check_size(self.last - self.first + 1)
    }
}

/// Refuses to copy more than one request may.
pub fn check_size(bytes: u64) -> Result<(), Error> {
    if bytes <= crate::s3::limits::PUT_BYTES_MAX {
        return Ok(());
    }
    Err(Error::with_message(
        ErrorCode::InvalidRequest,
        format!(
            "The specified copy source is larger than the maximum allowable size for a copy \
             source: {}",
            crate::s3::limits::PUT_BYTES_MAX
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read() {
        for (value, bucket, key, version) in [
            ("/bucket/key", "bucket", "key", Version::Current),
            ("bucket/key", "bucket", "key", Version::Current),
            ("bucket/a%20b+c%2Bd", "bucket", "a b+c+d", Version::Current),
            ("bucket%2Fdir%2Fkey", "bucket", "dir/key", Version::Current),
            ("bucket//a//", "bucket", "/a//", Version::Current),
            ("bucket/what?", "bucket", "what?", Version::Current),
            ("bucket/key?versionId=null", "bucket", "key", Version::Null),
            ("bucket/a%3FversionId%3Dx", "bucket", "a?versionId=x", Version::Current),
        ] {
            let expected = CopySource { bucket: bucket.into(), key: key.into(), version };
            assert_eq!(CopySource::parse(value).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn bad_sources_are_refused() {
        let long = format!("bucket/{}", "k".repeat(1025));
        for (value, code) in [
            ("", ErrorCode::InvalidArgument),
            ("/", ErrorCode::InvalidArgument),
            ("bucket", ErrorCode::InvalidArgument),
            ("/bucket/", ErrorCode::InvalidArgument),
            ("bucket/%ff", ErrorCode::InvalidArgument),
            ("bucket/%4", ErrorCode::InvalidArgument),
            ("Bucket/key", ErrorCode::InvalidBucketName),
            ("arn:aws:s3:us-east-1:1:accesspoint/a/object/k", ErrorCode::InvalidBucketName),
            ("bucket/key?versionId=", ErrorCode::InvalidArgument),
            (&long, ErrorCode::KeyTooLongError),
        ] {
            assert_eq!(CopySource::parse(value).unwrap_err().code(), code, "{value}");
        }
    }

    #[test]
    fn ranges_have_both_ends() {
        assert_eq!(CopyRange::parse("bytes=0-9").unwrap(), CopyRange { first: 0, last: 9 });
        for value in
            ["", "0-9", "bytes=0-", "bytes=-9", "bytes=9-0", "bytes=+0-9", "bytes=0-9,11-12"]
        {
            let error = CopyRange::parse(value).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument, "{value}");
        }
        let range = CopyRange { first: 0, last: 9 };
        assert_eq!(range.check_within(10), Ok(()));
        assert!(range.check_within(9).is_err());
        let huge = CopyRange { first: 0, last: u64::MAX - 1 };
        assert!(huge.check_within(u64::MAX).is_err());
    }
}
