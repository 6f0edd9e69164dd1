//! The documents of versioning: `VersioningConfiguration` and `ListVersionsResult`.

use bytes::Bytes;

use crate::s3::ErrorCode;
use crate::s3::error::Error;
use crate::s3::listing::Encoding;
use crate::s3::xml::lists::{ObjectEntry, common_prefixes};
use crate::s3::xml::read::{Elements, malformed};
use crate::s3::xml::write::Document;

/// What a bucket can be told to do with the versions of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersioningStatus {
    /// Keep them.
    Enabled,
    /// Keep those that there are, and make no new ones.
    Suspended,
}

/// A version, or a delete marker.
#[derive(Clone, Debug)]
pub struct VersionEntry<'a> {
    /// The object; of a delete marker key and time count.
    pub object: ObjectEntry<'a>,
    /// Its version id.
    pub version: String,
    /// Whether it is the newest of its key.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    pub is_marker: bool,
}

/// `ListVersionsResult`.
#[derive(Clone, Debug)]
pub struct VersionList<'a> {
    /// The bucket's name.
    pub bucket: &'a str,
    /// The prefix that was asked for.
    pub prefix: &'a str,
    /// The delimiter that was asked for.
    pub delimiter: Option<&'a str>,
    /// The key marker that was sent.
    pub key_marker: &'a str,
    /// The version marker that was sent.
    pub version_marker: Option<&'a str>,
    /// The markers of the next page, where there is one: a key or common prefix, and a version of the key.
    pub next: Option<(&'a str, Option<String>)>,
    /// The page size that was asked for, at most 1,000.
    pub keys_max: u32,
    /// How keys are written.
    pub encoding: Encoding,
    /// By key, then the newest first.
    pub versions: Vec<VersionEntry<'a>>,
    /// In order, each once.
    pub common_prefixes: Vec<&'a str>,
}

impl VersioningStatus {
    /// As documents write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Suspended => "Suspended",
        }
    }
}

/// Reads the body of `PutBucketVersioning`.
pub fn read_versioning(body: &[u8]) -> Result<VersioningStatus, Error> {
    let illegal = || Error::new(ErrorCode::IllegalVersioningConfigurationException);
    let mut elements = Elements::open(body, "VersioningConfiguration")?;
    let mut status = None;
    while let Some(name) = elements.child()? {
        match name.as_str() {
            "Status" if status.is_none() => {
                status = Some(match elements.word()?.as_str() {
                    "Enabled" => VersioningStatus::Enabled,
                    "Suspended" => VersioningStatus::Suspended,
                    _ => return Err(malformed()),
                });
            }
            // There are no devices that could give a code.
            "MfaDelete" | "MFADelete" if elements.word()? == "Disabled" => {}
            "MfaDelete" | "MFADelete" => {
                return Err(Error::with_message(
                    ErrorCode::NotImplemented,
                    "Deleting with multi-factor authentication is not implemented.",
                ));
            }
            _ => return Err(malformed()),
        }
    }
    elements.finish()?;
    status.ok_or_else(illegal)
}

/// `VersioningConfiguration`: without a status where the bucket never kept versions.
pub fn versioning(status: Option<VersioningStatus>) -> Bytes {
    let mut document = Document::with_root("VersioningConfiguration");
    document.text_if("Status", status.map(VersioningStatus::name));
    document.close("VersioningConfiguration");
    document.finish()
}

/// `ListVersionsResult`.
pub fn versions(list: &VersionList<'_>) -> Bytes {
    let mut document = Document::with_root("ListVersionsResult");
    let encoded = |text: &str| list.encoding.apply(text).into_owned();
    document.text("Name", list.bucket);
    document.text("Prefix", &encoded(list.prefix));
    document.text("KeyMarker", &encoded(list.key_marker));
    document.text("VersionIdMarker", list.version_marker.unwrap_or_default());
    if let Some((key, version)) = &list.next {
        document.text("NextKeyMarker", &encoded(key));
        document.text_if("NextVersionIdMarker", version.as_deref());
    }
    document.number("MaxKeys", u64::from(list.keys_max));
    document.text_if("Delimiter", list.delimiter.map(encoded).as_deref());
    if list.encoding == Encoding::Url {
        document.text("EncodingType", "url");
    }
    document.flag("IsTruncated", list.next.is_some());
    for entry in &list.versions {
        version(&mut document, list, entry);
    }
    common_prefixes(&mut document, &list.common_prefixes, list.encoding);
    document.close("ListVersionsResult");
    document.finish()
}

fn version(document: &mut Document, list: &VersionList<'_>, entry: &VersionEntry<'_>) {
    let name = if entry.is_marker { "DeleteMarker" } else { "Version" };
    let object = &entry.object;
    document.open(name);
    document.text("Key", &list.encoding.apply(object.key));
    document.text("VersionId", &entry.version);
    document.flag("IsLatest", entry.is_latest);
    document.time("LastModified", object.modified_ms);
    if !entry.is_marker {
        document.etag("ETag", object.etag);
        if let Some((algorithm, kind)) = object.checksum {
            document.text("ChecksumAlgorithm", algorithm.name());
            document.text("ChecksumType", kind.name());
        }
        document.number("Size", object.size_bytes);
    }
    if let Some(owner) = &object.owner {
        document.owner("Owner", owner);
    }
    if !entry.is_marker {
        document.text("StorageClass", object.storage_class);
    }
    document.close(name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::xml::Owner;

    fn read(inside: &str) -> Result<VersioningStatus, ErrorCode> {
        let body = format!("<VersioningConfiguration>{inside}</VersioningConfiguration>");
        read_versioning(body.as_bytes()).map_err(|error| error.code())
    }

    #[test]
    fn versioning_is_read() {
        assert_eq!(read("<Status>Enabled</Status>"), Ok(VersioningStatus::Enabled));
        let with_mfa = "<MfaDelete>Disabled</MfaDelete><Status>Suspended</Status>";
        assert_eq!(read(with_mfa), Ok(VersioningStatus::Suspended));
        let with_mfa = "<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>";
        assert_eq!(read(with_mfa), Err(ErrorCode::NotImplemented));
        assert_eq!(read("<Status>enabled</Status>"), Err(ErrorCode::MalformedXML));
        assert_eq!(read("<Other/>"), Err(ErrorCode::MalformedXML));
        assert_eq!(read(""), Err(ErrorCode::IllegalVersioningConfigurationException));
    }

    #[test]
    fn versions_and_markers_are_listed() {
        let object = |key, etag| ObjectEntry {
            key,
            modified_ms: 0,
            etag,
            size_bytes: 5,
            storage_class: "STANDARD",
            checksum: None,
            owner: Some(Owner { id: "1", name: "root" }),
        };
        let list = VersionList {
            bucket: "b",
            prefix: "",
            delimiter: None,
            key_marker: "",
            version_marker: None,
            next: Some(("k", Some("v".to_owned()))),
            keys_max: 2,
            encoding: Encoding::Plain,
            versions: vec![
                VersionEntry {
                    object: object("k", ""),
                    version: "w".to_owned(),
                    is_latest: true,
                    is_marker: true,
                },
                VersionEntry {
                    object: object("k", "e"),
                    version: "v".to_owned(),
                    is_latest: false,
                    is_marker: false,
                },
            ],
            common_prefixes: Vec::new(),
        };
        let shown = String::from_utf8(versions(&list).to_vec()).unwrap();
        let from = shown.find("<Name>").unwrap();
        assert_eq!(
            &shown[from..],
            "<Name>b</Name><Prefix/><KeyMarker/><VersionIdMarker/><NextKeyMarker>k</NextKeyMarker>\
             <NextVersionIdMarker>v</NextVersionIdMarker><MaxKeys>2</MaxKeys>\
             <IsTruncated>true</IsTruncated><DeleteMarker><Key>k</Key><VersionId>w</VersionId>\
             <IsLatest>true</IsLatest><LastModified>1970-01-01T00:00:00.000Z</LastModified>\
             <Owner><ID>1</ID><DisplayName>root</DisplayName></Owner></DeleteMarker><Version>\
             <Key>k</Key><VersionId>v</VersionId><IsLatest>false</IsLatest>\
             <LastModified>1970-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
             <Size>5</Size><Owner><ID>1</ID><DisplayName>root</DisplayName></Owner>\
             <StorageClass>STANDARD</StorageClass></Version></ListVersionsResult>"
        );
    }
}
