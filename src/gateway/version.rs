//! Versions, between what requests name and what groups keep.

use anode_net::{
    http::{ResponseHead, date},
    s3::{self, ErrorCode, version::Version},
};
use anode_shards::{
    object::{Bucket, Object},
    version::{VersionId, VersionName, Versioning, WantedVersion},
};

use super::record;

/// Says which version a response is about.
const HEADER: &str = "x-amz-version-id";
/// Says that it is a delete marker.
const MARKER_HEADER: &str = "x-amz-delete-marker";

/// The version that a request names; none where no version here has such a name.
pub(crate) fn wanted(version: &Version) -> Option<WantedVersion> {
    match version {
        Version::Current => Some(WantedVersion::Current),
        Version::Null => Some(WantedVersion::Null),
        Version::Id(id) => VersionId::parse(id).map(WantedVersion::Id),
    }
}

/// The version of an object as responses show it: buckets that never kept versions show none.
pub(crate) fn shown(bucket: &Bucket, object: &Object) -> Option<VersionName> {
    (bucket.versioning != Versioning::Off).then(|| object.version_name())
}

/// Names the version that a response is about.
pub(crate) fn head_with(head: ResponseHead, version: Option<VersionName>) -> ResponseHead {
    match version {
        Some(version) => head.header(HEADER, &version.to_string()),
        None => head,
    }
}

/// Names a deletion's version: what was asked for, or the marker that was made.
pub(crate) fn deletion_head(version: Option<&str>, is_marker: bool) -> ResponseHead {
    let mut head = ResponseHead::new(204);
    if is_marker {
        head = head.header(MARKER_HEADER, "true");
    }
    version.into_iter().fold(head, |head, version| head.header(HEADER, version))
}

/// What a read of a delete marker is told: there is no object where none was named (404), and a marker that was named
/// can't be read (405).
pub(crate) fn hidden(key: &str, wanted: &Version, marker: &Object) -> s3::Error {
    let version = marker.version_name().to_string();
    let error = if *wanted == Version::Current {
        s3::Error::no_such_key(key)
    } else {
        let seconds = record::signed_ms(marker.last_modified_ms).div_euclid(1000);
        s3::Error::new(ErrorCode::MethodNotAllowed)
            .field("Method", "GET")
            .field("ResourceType", "DeleteMarker")
            .header("Allow", "DELETE")
            .header("Last-Modified", date::format_http(seconds).as_str())
    };
    error.header(MARKER_HEADER, "true").header(HEADER, version)
}

/// What a read is told where nothing is under its name.
pub(crate) fn missing(bucket: &Bucket, key: &str, wanted: &Version) -> s3::Error {
    match wanted {
        Version::Current => s3::Error::no_such_key(key),
        Version::Null if bucket.versioning == Versioning::Off => s3::Error::no_such_key(key),
        Version::Null | Version::Id(_) => wanted.missing(key),
    }
}
