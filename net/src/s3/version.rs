//! The version that a request asks for.

use crate::s3::error::{Error, ErrorCode};

/// Which version of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// The newest: no version was named.
    #[default]
    Current,
    /// The null version: what was written without versioning.
    Null,
    /// One that has the form of a version id.
    Id(String),
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
            Some(id) if is_version_id(id) => Ok(Self::Id(id.to_owned())),
            Some(id) => Err(Error::argument("Invalid version id specified", "versionId", id)),
        }
    }

    /// As it was sent; none where none was.
    pub fn sent(&self) -> Option<&str> {
        match self {
            Self::Current => None,
            Self::Null => Some("null"),
            Self::Id(id) => Some(id),
        }
    }

    /// `NoSuchVersion`, naming it.
    pub fn missing(&self, key: &str) -> Error {
        Error::new(ErrorCode::NoSuchVersion)
            .field("Key", key)
            .field("VersionId", self.sent().unwrap_or_default())
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
        assert_eq!(Version::parse(Some(id)), Ok(Version::Id(id.to_owned())));
        for bad in ["", "x", "NULL", "3HL4kqtJvjVBH40Nrjfkd3sTvzSf.ab/"] {
            let error = Version::parse(Some(bad)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidArgument, "{bad}");
        }
        let error = Version::Id(id.to_owned()).missing("k");
        assert_eq!((error.code(), error.status()), (ErrorCode::NoSuchVersion, 404));
        assert_eq!(error.fields()[1], ("VersionId", id.to_owned()));
    }
}
