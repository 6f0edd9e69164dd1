//! The documents of copies, deletions and `GetObjectAttributes`.

use bytes::Bytes;

use crate::checksum::Kind;
use crate::s3::error::Error;
use crate::s3::xml::ChecksumText;
use crate::s3::xml::write::Document;

/// `CopyObjectResult` and `CopyPartResult`.
#[derive(Clone, Debug)]
pub struct Copied<'a> {
    /// The entity tag without quotes.
    pub etag: &'a str,
    /// When the copy was made, in milliseconds since 1970.
    pub modified_ms: i64,
    /// The checksum, where there is one.
    pub checksum: Option<ChecksumText>,
    /// What it is computed over; none for a part.
    pub checksum_kind: Option<Kind>,
}

/// `PostResponse`: what a form stored.
#[derive(Clone, Copy, Debug)]
pub struct Posted<'a> {
    /// The object's URL.
    pub location: &'a str,
    /// The bucket's name.
    pub bucket: &'a str,
    /// The object key.
    pub key: &'a str,
    /// The entity tag in quotes.
    pub etag: &'a str,
}

/// What became of one key of `DeleteObjects`.
#[derive(Clone, Debug)]
pub struct Deletion<'a> {
    /// The object key.
    pub key: &'a str,
    /// The version that was named.
    pub version: Option<&'a str>,
    /// The delete marker that was made or removed, by its version.
    pub marker: Option<String>,
    /// Why it is still there.
    pub error: Option<Error>,
}

/// One part of a multipart object.
#[derive(Clone, Debug)]
pub struct AttributePart {
    /// 1 to 10,000.
    pub number: u16,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its checksum, where it has one.
    pub checksum: Option<ChecksumText>,
}

/// The parts of a multipart object, one page of them.
#[derive(Clone, Debug)]
pub struct AttributeParts {
    /// How many parts the object has.
    pub part_count: u32,
    /// The marker that was asked for.
    pub part_marker: u32,
    /// The page size that was asked for.
    pub parts_max: u32,
    /// Whether there's more.
    pub truncated: bool,
    /// The page. AWS shows the parts only of objects with a composite checksum; else it is empty.
    pub parts: Vec<AttributePart>,
}

/// `GetObjectAttributesResponse`: what was asked for and the object has.
#[derive(Clone, Debug, Default)]
pub struct Attributes<'a> {
    /// The entity tag without quotes; shown without them, as AWS does here.
    pub etag: Option<&'a str>,
    /// The checksum.
    pub checksum: Option<ChecksumText>,
    /// What it is computed over.
    pub checksum_kind: Option<Kind>,
    /// The parts of a multipart object.
    pub parts: Option<AttributeParts>,
    /// The storage class.
    pub storage_class: Option<&'a str>,
    /// The size in bytes.
    pub size_bytes: Option<u64>,
}

/// `CopyObjectResult`.
pub fn copied(result: &Copied<'_>) -> Bytes {
    copy_result("CopyObjectResult", result)
}

/// `CopyPartResult`.
pub fn copied_part(result: &Copied<'_>) -> Bytes {
    copy_result("CopyPartResult", result)
}

/// `PostResponse`, which has no namespace.
pub fn posted(result: &Posted<'_>) -> Bytes {
    let mut document = Document::new();
    document.open("PostResponse");
    document.text("Location", result.location);
    document.text("Bucket", result.bucket);
    document.text("Key", result.key);
    document.text("ETag", result.etag);
    document.close("PostResponse");
    document.finish()
}

/// `DeleteResult`. When it is quiet only errors are shown.
pub fn deleted(deletions: &[Deletion<'_>], quiet: bool) -> Bytes {
    let mut document = Document::with_root("DeleteResult");
    for deletion in deletions {
        match &deletion.error {
            None if quiet => {}
            None => {
                document.open("Deleted");
                document.text("Key", deletion.key);
                document.text_if("VersionId", deletion.version);
                if let Some(marker) = &deletion.marker {
                    document.flag("DeleteMarker", true);
                    document.text("DeleteMarkerVersionId", marker);
                }
                document.close("Deleted");
            }
            Some(error) => {
                document.open("Error");
                document.text("Key", deletion.key);
                document.text_if("VersionId", deletion.version);
                document.text("Code", error.code().name());
                document.text("Message", error.message());
                document.close("Error");
            }
        }
    }
    document.close("DeleteResult");
    document.finish()
}

/// `GetObjectAttributesResponse`.
pub fn attributes(attributes: &Attributes<'_>) -> Bytes {
    let mut document = Document::with_root("GetObjectAttributesResponse");
    document.text_if("ETag", attributes.etag);
    if attributes.checksum.is_some() {
        document.open("Checksum");
        document.checksums(attributes.checksum.as_slice());
        document.text_if("ChecksumType", attributes.checksum_kind.map(Kind::name));
        document.close("Checksum");
    }
    if let Some(parts) = &attributes.parts {
        object_parts(&mut document, parts);
    }
    document.text_if("StorageClass", attributes.storage_class);
    if let Some(size) = attributes.size_bytes {
        document.number("ObjectSize", size);
    }
    document.close("GetObjectAttributesResponse");
    document.finish()
}

fn object_parts(document: &mut Document, parts: &AttributeParts) {
    document.open("ObjectParts");
    document.number("PartsCount", u64::from(parts.part_count));
    if !parts.parts.is_empty() {
        document.number("PartNumberMarker", u64::from(parts.part_marker));
        let last = parts.parts.last().map_or(parts.part_marker, |part| u32::from(part.number));
        document.number("NextPartNumberMarker", u64::from(last));
        document.number("MaxParts", u64::from(parts.parts_max));
        document.flag("IsTruncated", parts.truncated);
    }
    for part in &parts.parts {
        document.open("Part");
        document.number("PartNumber", u64::from(part.number));
        document.number("Size", part.size_bytes);
        document.checksums(part.checksum.as_slice());
        document.close("Part");
    }
    document.close("ObjectParts");
}

fn copy_result(root: &str, result: &Copied<'_>) -> Bytes {
    let mut document = Document::with_root(root);
    document.time("LastModified", result.modified_ms);
    document.etag("ETag", result.etag);
    document.text_if("ChecksumType", result.checksum_kind.map(Kind::name));
    document.checksums(result.checksum.as_slice());
    document.close(root);
    document.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Algorithm;
    use crate::s3::error::ErrorCode;

    fn shown(body: &Bytes) -> String {
        std::str::from_utf8(body)
            .unwrap()
            .replace("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "")
            .replace(" xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"", "")
    }

    #[test]
    fn copies_are_answered() {
        let result = Copied { etag: "e", modified_ms: 0, checksum: None, checksum_kind: None };
        let expected = "<CopyObjectResult><LastModified>1970-01-01T00:00:00.000Z</LastModified>\
                        <ETag>&quot;e&quot;</ETag></CopyObjectResult>";
        assert_eq!(shown(&copied(&result)), expected);
        let part = expected.replace("CopyObjectResult", "CopyPartResult");
        assert_eq!(shown(&copied_part(&result)), part);
    }

    #[test]
    fn a_quiet_deletion_shows_errors_only() {
        let deletions = [
            Deletion { key: "a", version: Some("null"), marker: None, error: None },
            Deletion {
                key: "b",
                version: None,
                marker: None,
                error: Some(ErrorCode::AccessDenied.into()),
            },
        ];
        let error = "<Error><Key>b</Key><Code>AccessDenied</Code>\
                     <Message>Access Denied</Message></Error>";
        assert_eq!(
            shown(&deleted(&deletions, false)),
            format!(
                "<DeleteResult><Deleted><Key>a</Key><VersionId>null</VersionId></Deleted>{error}\
                 </DeleteResult>"
            )
        );
        let quiet = format!("<DeleteResult>{error}</DeleteResult>");
        assert_eq!(shown(&deleted(&deletions, true)), quiet);
    }

    #[test]
    fn a_form_is_answered_without_a_namespace() {
        let posted = posted(&Posted {
            location: "http://h/b/a%2F%26",
            bucket: "b",
            key: "a/&",
            etag: "\"e\"",
        });
        assert_eq!(
            std::str::from_utf8(&posted).unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>http://h/b/a%2F%26</Location>\
             <Bucket>b</Bucket><Key>a/&amp;</Key><ETag>&quot;e&quot;</ETag></PostResponse>"
        );
    }

    #[test]
    fn attributes_are_shown() {
        let crc32 = ChecksumText { algorithm: Algorithm::Crc32, value: "AAAAAA==".to_owned() };
        let all = Attributes {
            etag: Some("e"),
            checksum: Some(crc32.clone()),
            checksum_kind: Some(Kind::Composite),
            parts: Some(AttributeParts {
                part_count: 2,
                part_marker: 0,
                parts_max: 1,
                truncated: true,
                parts: vec![AttributePart { number: 1, size_bytes: 5, checksum: Some(crc32) }],
            }),
            storage_class: Some("STANDARD"),
            size_bytes: Some(7),
        };
        assert_eq!(
            shown(&attributes(&all)),
            "<GetObjectAttributesResponse><ETag>e</ETag><Checksum>\
             <ChecksumCRC32>AAAAAA==</ChecksumCRC32><ChecksumType>COMPOSITE</ChecksumType>\
             </Checksum><ObjectParts><PartsCount>2</PartsCount>\
             <PartNumberMarker>0</PartNumberMarker><NextPartNumberMarker>1</NextPartNumberMarker>\
             <MaxParts>1</MaxParts><IsTruncated>true</IsTruncated><Part>\
             <PartNumber>1</PartNumber><Size>5</Size><ChecksumCRC32>AAAAAA==</ChecksumCRC32>\
             </Part></ObjectParts><StorageClass>STANDARD</StorageClass>\
             <ObjectSize>7</ObjectSize></GetObjectAttributesResponse>"
        );
        let none = shown(&attributes(&Attributes::default()));
        assert_eq!(none, "<GetObjectAttributesResponse></GetObjectAttributesResponse>");
    }
}
