//! The version that a request asks for. Buckets have no versioning yet: each object has one version, `null`.

use crate::s3::error::{Error, ErrorCode};

/// Which version of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// The newest: no version was named.
    #[default]
    Current,
    /// The null version, the only one of a bucket without versioning.
    Null,
    /// One that has the form of a version id. It doesn't exist here: reading it fails, and
    /// deleting it succeeds and changes nothing.
    Unknown(String),
}

impl Version {
    /// Reads the value of `versionId`, where there is one.
    pub fn parse(value: Option<&str>) -> Result<Self, Error> {
        match value {
            None => Ok(Self::Current),
            Some("null") => Ok(Self::Null),
            Some("") => {
                Err(Error::argument("Version id cannot be the empty string", "versionId", ""))
            }
            Some(id) if is_version_id(id) => Ok(Self::Unknown(id.to_owned())),
            Some(id) => Err(Error::argument("Invalid version id specified", "versionId", id)),
        }
    }

    /// Refuses a version that does not exist.
    pub fn check_readable(&self, key: &str) -> Result<(), Error> {
        match self {
            Self::Current | Self::Null => Ok(()),
            Self::Unknown(id) => Err(Error::new(ErrorCode::NoSuchVersion)
                .field("Key", key)
                .field("VersionId", id.as_str())),
        }
    }
}

/// AWS's version ids are 32 characters of these.
fn is_version_id(id: &str) -> bool {
    id.len() == 32
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        let id = "3HL4kqtJvjVBH40Nrjfkd3sTvzSf.abc";
        assert_eq!(Version::parse(None), Ok(Version::Current));
        assert_eq!(Version::parse(Some("null")), Ok(Version::Null));
        assert_eq!(Version::parse(Some(id)), Ok(Version::Unknown(id.to_owned())));
        for bad in ["", "x", "NULL", "3HL4kqtJvjVBH40Nrjfkd3sTvzSf.ab/"] {
            let error = Version::parse(Some(bad)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument, "{bad}");
        }
        let error = Version::Unknown(id.to_owned()).check_readable("k").unwrap_err();
        assert_eq!((error.code(), error.status()), (ErrorCode::NoSuchVersion, 404));
        assert_eq!(Version::Null.check_readable("k"), Ok(()));
    }
}
