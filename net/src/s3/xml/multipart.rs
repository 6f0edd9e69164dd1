//! The documents of multipart uploads.

use bytes::Bytes;

use crate::checksum::Kind;
use crate::s3::checksums::UploadChecksum;
use crate::s3::listing::Encoding;
use crate::s3::xml::lists::common_prefixes;
use crate::s3::xml::write::Document;
use crate::s3::xml::{ChecksumText, Owner};

/// `CompleteMultipartUploadResult`.
#[derive(Clone, Debug)]
pub struct Completed<'a> {
    /// The object's URL.
    pub location: &'a str,
    /// The bucket's name.
    pub bucket: &'a str,
    /// The object key.
    pub key: &'a str,
    /// The object's entity tag without quotes.
    pub etag: &'a str,
    /// The object's checksum, where it has one.
    pub checksum: Option<ChecksumText>,
    /// What it is computed over.
    pub checksum_kind: Option<Kind>,
}

/// One part of `ListParts`.
#[derive(Clone, Debug)]
pub struct PartEntry<'a> {
    /// 1 to 10,000.
    pub number: u16,
    /// When it was uploaded, in milliseconds since 1970.
    pub modified_ms: i64,
    /// Its entity tag without quotes.
    pub etag: &'a str,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its checksum, where it has one.
    pub checksum: Option<ChecksumText>,
}

/// `ListPartsResult`.
#[derive(Clone, Debug)]
pub struct PartList<'a> {
    /// The bucket's name.
    pub bucket: &'a str,
    /// The object key.
    pub key: &'a str,
    /// The upload's id.
    pub upload: &'a str,
    /// Who owns the upload and the object to be.
    pub owner: Owner<'a>,
    /// The storage class of the object to be.
    pub storage_class: &'a str,
    /// The marker that was asked for.
    pub part_marker: u32,
    /// The page size that was asked for.
    pub parts_max: u32,
    /// Whether there's more.
    pub truncated: bool,
    /// What the upload's parts are checked with.
    pub checksum: Option<UploadChecksum>,
    /// In order of their numbers.
    pub parts: Vec<PartEntry<'a>>,
}

/// One upload of `ListMultipartUploads`.
#[derive(Clone, Debug)]
pub struct UploadEntry<'a> {
    /// The object key.
    pub key: &'a str,
    /// The upload's id.
    pub upload: &'a str,
    /// When it was created, in milliseconds since 1970.
    pub initiated_ms: i64,
    /// Who owns it and the object to be.
    pub owner: Owner<'a>,
    /// The storage class of the object to be.
    pub storage_class: &'a str,
    /// What its parts are checked with.
    pub checksum: Option<UploadChecksum>,
}

/// `ListMultipartUploadsResult`.
#[derive(Clone, Debug)]
pub struct UploadList<'a> {
    /// The bucket's name.
    pub bucket: &'a str,
    /// The prefix that was asked for.
    pub prefix: &'a str,
    /// The delimiter that was asked for.
    pub delimiter: Option<&'a str>,
    /// The key marker that was asked for.
    pub key_marker: &'a str,
    /// The upload marker that was asked for.
    pub upload_marker: &'a str,
    /// The markers of the next page, where there is one: key, or common prefix with an empty upload.
    pub next: Option<NextUpload<'a>>,
    /// The page size that was asked for.
    pub uploads_max: u32,
    /// How keys are written.
    pub encoding: Encoding,
    /// In order of key, then of time.
    pub uploads: Vec<UploadEntry<'a>>,
    /// In order, each once.
    pub common_prefixes: Vec<&'a str>,
}

/// Where the next page of `ListMultipartUploads` begins.
#[derive(Clone, Copy, Debug)]
pub struct NextUpload<'a> {
    /// Behind this key.
    pub key: &'a str,
    /// Behind this upload of it.
    pub upload: &'a str,
}

/// `InitiateMultipartUploadResult`.
pub fn created(bucket: &str, key: &str, upload: &str) -> Bytes {
    let mut document = Document::with_root("InitiateMultipartUploadResult");
    document.text("Bucket", bucket);
    document.text("Key", key);
    document.text("UploadId", upload);
    document.close("InitiateMultipartUploadResult");
    document.finish()
}

/// `CompleteMultipartUploadResult`.
pub fn completed(result: &Completed<'_>) -> Bytes {
    let mut document = Document::with_root("CompleteMultipartUploadResult");
    document.text("Location", result.location);
    document.text("Bucket", result.bucket);
    document.text("Key", result.key);
    document.etag("ETag", result.etag);
    document.checksums(result.checksum.as_slice());
    document.text_if("ChecksumType", result.checksum_kind.map(Kind::name));
    document.close("CompleteMultipartUploadResult");
    document.finish()
}

/// `ListPartsResult`.
pub fn parts(list: &PartList<'_>) -> Bytes {
    let mut document = Document::with_root("ListPartsResult");
    document.text("Bucket", list.bucket);
    document.text("Key", list.key);
    document.text("UploadId", list.upload);
    document.owner("Initiator", &list.owner);
    document.owner("Owner", &list.owner);
    document.text("StorageClass", list.storage_class);
    document.number("PartNumberMarker", u64::from(list.part_marker));
    let last = list.parts.last().map_or(list.part_marker, |part| u32::from(part.number));
    if list.truncated || !list.parts.is_empty() {
        document.number("NextPartNumberMarker", u64::from(last));
    }
    document.number("MaxParts", u64::from(list.parts_max));
    document.flag("IsTruncated", list.truncated);
    upload_checksum(&mut document, list.checksum);
    for part in &list.parts {
        document.open("Part");
        document.number("PartNumber", u64::from(part.number));
        document.time("LastModified", part.modified_ms);
        document.etag("ETag", part.etag);
        document.number("Size", part.size_bytes);
        document.checksums(part.checksum.as_slice());
        document.close("Part");
    }
    document.close("ListPartsResult");
    document.finish()
}

/// `ListMultipartUploadsResult`.
pub fn uploads(list: &UploadList<'_>) -> Bytes {
    let mut document = Document::with_root("ListMultipartUploadsResult");
    document.text("Bucket", list.bucket);
    document.text("KeyMarker", &list.encoding.apply(list.key_marker));
    document.text("UploadIdMarker", list.upload_marker);
    if let Some(next) = &list.next {
        document.text("NextKeyMarker", &list.encoding.apply(next.key));
        document.text("NextUploadIdMarker", next.upload);
    }
    document.text("Prefix", &list.encoding.apply(list.prefix));
    let delimiter = list.delimiter.map(|delimiter| list.encoding.apply(delimiter));
    document.text_if("Delimiter", delimiter.as_deref());
    if list.encoding == Encoding::Url {
        document.text("EncodingType", "url");
    }
    document.number("MaxUploads", u64::from(list.uploads_max));
    document.flag("IsTruncated", list.next.is_some());
    for upload in &list.uploads {
        document.open("Upload");
        document.text("Key", &list.encoding.apply(upload.key));
        document.text("UploadId", upload.upload);
        document.owner("Initiator", &upload.owner);
        document.owner("Owner", &upload.owner);
        document.text("StorageClass", upload.storage_class);
        document.time("Initiated", upload.initiated_ms);
        upload_checksum(&mut document, upload.checksum);
        document.close("Upload");
    }
    common_prefixes(&mut document, &list.common_prefixes, list.encoding);
    document.close("ListMultipartUploadsResult");
    document.finish()
}

fn upload_checksum(document: &mut Document, checksum: Option<UploadChecksum>) {
    if let Some(checksum) = checksum {
        document.text("ChecksumAlgorithm", checksum.algorithm.name());
        document.text("ChecksumType", checksum.kind.name());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Algorithm;

    const OWNER: Owner<'static> = Owner { id: "1", name: "root" };
    const CRC32: UploadChecksum =
        UploadChecksum { algorithm: Algorithm::Crc32, kind: Kind::Composite };

    fn shown(body: &Bytes) -> String {
        std::str::from_utf8(body)
            .unwrap()
            .replace("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "")
            .replace(" xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"", "")
            .replace("<ID>1</ID><DisplayName>root</DisplayName>", "@")
    }

    #[test]
    fn an_upload_begins_and_ends() {
        assert_eq!(
            shown(&created("b", "k<", "u")),
            "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k&lt;</Key>\
             <UploadId>u</UploadId></InitiateMultipartUploadResult>"
        );
        let result = Completed {
            location: "http://h/b/k",
            bucket: "b",
            key: "k",
            etag: "e-2",
            checksum: Some(ChecksumText {
                algorithm: Algorithm::Crc32,
                value: "AAAAAA==-2".to_owned(),
            }),
            checksum_kind: Some(Kind::Composite),
        };
        assert_eq!(
            shown(&completed(&result)),
            "<CompleteMultipartUploadResult><Location>http://h/b/k</Location><Bucket>b</Bucket>\
             <Key>k</Key><ETag>&quot;e-2&quot;</ETag><ChecksumCRC32>AAAAAA==-2</ChecksumCRC32>\
             <ChecksumType>COMPOSITE</ChecksumType></CompleteMultipartUploadResult>"
        );
    }

    #[test]
    fn parts_are_listed() {
        let list = PartList {
            bucket: "b",
            key: "k",
            upload: "u",
            owner: OWNER,
            storage_class: "STANDARD",
            part_marker: 1,
            parts_max: 1,
            truncated: true,
            checksum: Some(CRC32),
            parts: vec![PartEntry {
                number: 2,
                modified_ms: 0,
                etag: "e",
                size_bytes: 9,
                checksum: None,
            }],
        };
        assert_eq!(
            shown(&parts(&list)),
            "<ListPartsResult><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId>\
             <Initiator>@</Initiator><Owner>@</Owner><StorageClass>STANDARD</StorageClass>\
             <PartNumberMarker>1</PartNumberMarker><NextPartNumberMarker>2</NextPartNumberMarker>\
             <MaxParts>1</MaxParts><IsTruncated>true</IsTruncated>\
             <ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType>\
             <Part><PartNumber>2</PartNumber><LastModified>1970-01-01T00:00:00.000Z</LastModified>\
             <ETag>&quot;e&quot;</ETag><Size>9</Size></Part></ListPartsResult>"
        );
    }

    #[test]
    fn uploads_are_listed() {
        let list = UploadList {
            bucket: "b",
            prefix: "p ",
            delimiter: Some("/"),
            key_marker: "",
            upload_marker: "",
            next: Some(NextUpload { key: "p k", upload: "u" }),
            uploads_max: 1,
            encoding: Encoding::Url,
            uploads: vec![UploadEntry {
                key: "p k",
                upload: "u",
                initiated_ms: 0,
                owner: OWNER,
                storage_class: "STANDARD",
                checksum: None,
            }],
            common_prefixes: vec!["p x/"],
        };
        assert_eq!(
            shown(&uploads(&list)),
            "<ListMultipartUploadsResult><Bucket>b</Bucket><KeyMarker/><UploadIdMarker/>\
             <NextKeyMarker>p%20k</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>\
             <Prefix>p%20</Prefix><Delimiter>/</Delimiter><EncodingType>url</EncodingType>\
             <MaxUploads>1</MaxUploads><IsTruncated>true</IsTruncated><Upload><Key>p%20k</Key>\
             <UploadId>u</UploadId><Initiator>@</Initiator><Owner>@</Owner>\
             <StorageClass>STANDARD</StorageClass>\
             <Initiated>1970-01-01T00:00:00.000Z</Initiated></Upload>\
             <CommonPrefixes><Prefix>p%20x/</Prefix></CommonPrefixes></ListMultipartUploadsResult>"
        );
    }
}
