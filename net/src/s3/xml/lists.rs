//! The documents of `ListBuckets`, `ListObjects`, `ListObjectsV2`, `GetBucketLocation`.

use bytes::Bytes;

use crate::checksum::{Algorithm, Kind};
use crate::s3::listing::Encoding;
use crate::s3::xml::Owner;
use crate::s3::xml::write::Document;

/// One bucket of `ListBuckets`.
#[derive(Clone, Copy, Debug)]
pub struct BucketEntry<'a> {
    /// Its name.
    pub name: &'a str,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: i64,
    /// Its region; shown by AWS where paging or a region was asked for.
    pub region: Option<&'a str>,
}

/// `ListAllMyBucketsResult`.
#[derive(Clone, Debug)]
pub struct BucketList<'a> {
    /// Who owns them.
    pub owner: Owner<'a>,
    /// In order of their names.
    pub buckets: Vec<BucketEntry<'a>>,
    /// The prefix that was asked for.
    pub prefix: Option<&'a str>,
    /// The token of the next page, where there is one.
    pub next_token: Option<&'a str>,
}

/// One object of a listing.
#[derive(Clone, Debug)]
pub struct ObjectEntry<'a> {
    /// Its key.
    pub key: &'a str,
    /// When it was last modified, in milliseconds since 1970.
    pub modified_ms: i64,
    /// Its entity tag without quotes.
    pub etag: &'a str,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its storage class.
    pub storage_class: &'a str,
    /// Its checksum's algorithm and type, where it has one.
    pub checksum: Option<(Algorithm, Kind)>,
    /// Who owns it, where the listing says so: always in V1 and of versions, with `fetch-owner` in V2.
    pub owner: Option<Owner<'a>>,
}

/// What the two versions of `ListBucketResult` share.
#[derive(Clone, Debug)]
pub struct ObjectList<'a> {
    /// The bucket's name.
    pub bucket: &'a str,
    /// The prefix that was asked for.
    pub prefix: &'a str,
    /// The delimiter that was asked for.
    pub delimiter: Option<&'a str>,
    /// The page size that was asked for, at most 1,000.
    pub keys_max: u32,
    /// How keys are written.
    pub encoding: Encoding,
    /// Whether there's more.
    pub truncated: bool,
    /// In order of their keys.
    pub objects: Vec<ObjectEntry<'a>>,
    /// In order, each once.
    pub common_prefixes: Vec<&'a str>,
}

/// What only the second version has.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListMarkers<'a> {
    /// The continuation token that was sent.
    pub token: Option<&'a str>,
    /// The token of the next page, where there is one.
    pub next_token: Option<&'a str>,
    /// The `start-after` that was sent.
    pub start_after: Option<&'a str>,
}

/// `ListAllMyBucketsResult`.
pub fn buckets(list: &BucketList<'_>) -> Bytes {
    let mut document = Document::with_root("ListAllMyBucketsResult");
    document.owner("Owner", &list.owner);
    document.open("Buckets");
    for bucket in &list.buckets {
        document.open("Bucket");
        document.text("Name", bucket.name);
        document.time("CreationDate", bucket.created_ms);
        document.text_if("BucketRegion", bucket.region);
        document.close("Bucket");
    }
    document.close("Buckets");
    document.text_if("Prefix", list.prefix);
    document.text_if("ContinuationToken", list.next_token);
    document.close("ListAllMyBucketsResult");
    document.finish()
}

/// `ListBucketResult` of `ListObjects`. `next_marker` is shown where there's a delimiter, as at AWS;
/// without one clients go on behind the last key.
pub fn objects(list: &ObjectList<'_>, marker: &str, next_marker: Option<&str>) -> Bytes {
    let mut document = Document::with_root("ListBucketResult");
    head(&mut document, list);
    document.text("Marker", &list.encoding.apply(marker));
    if list.truncated && list.delimiter.is_some() {
        let next = next_marker.map(|next| list.encoding.apply(next));
        document.text_if("NextMarker", next.as_deref());
    }
    body(&mut document, list);
    document.finish()
}

/// `ListBucketResult` of `ListObjectsV2`.
pub fn objects_v2(list: &ObjectList<'_>, markers: &ListMarkers<'_>) -> Bytes {
    let mut document = Document::with_root("ListBucketResult");
    head(&mut document, list);
    let count = list.objects.len() + list.common_prefixes.len();
    document.number("KeyCount", u64::try_from(count).expect("a page has at most 1,000 entries"));
    document.text_if("ContinuationToken", markers.token);
    document.text_if("NextContinuationToken", markers.next_token);
    let start_after = markers.start_after.map(|start| list.encoding.apply(start));
    document.text_if("StartAfter", start_after.as_deref());
    body(&mut document, list);
    document.finish()
}

/// `LocationConstraint`. AWS's oldest region is empty here.
pub fn location(region: &str) -> Bytes {
    let mut document = Document::with_root("LocationConstraint");
    if region != "us-east-1" {
        document.content(region);
    }
    document.close("LocationConstraint");
    document.finish()
}

fn head(document: &mut Document, list: &ObjectList<'_>) {
    document.text("Name", list.bucket);
    document.text("Prefix", &list.encoding.apply(list.prefix));
    let delimiter = list.delimiter.map(|delimiter| list.encoding.apply(delimiter));
    document.text_if("Delimiter", delimiter.as_deref());
    document.number("MaxKeys", u64::from(list.keys_max));
    if list.encoding == Encoding::Url {
        document.text("EncodingType", "url");
    }
    document.flag("IsTruncated", list.truncated);
}

fn body(document: &mut Document, list: &ObjectList<'_>) {
    for object in &list.objects {
        document.open("Contents");
        document.text("Key", &list.encoding.apply(object.key));
        document.time("LastModified", object.modified_ms);
        document.etag("ETag", object.etag);
        if let Some((algorithm, kind)) = object.checksum {
            document.text("ChecksumAlgorithm", algorithm.name());
            document.text("ChecksumType", kind.name());
        }
        document.number("Size", object.size_bytes);
        if let Some(owner) = &object.owner {
            document.owner("Owner", owner);
        }
        document.text("StorageClass", object.storage_class);
        document.close("Contents");
    }
    common_prefixes(document, &list.common_prefixes, list.encoding);
    document.close("ListBucketResult");
}

pub(super) fn common_prefixes(document: &mut Document, prefixes: &[&str], encoding: Encoding) {
    for prefix in prefixes {
        document.open("CommonPrefixes");
        document.text("Prefix", &encoding.apply(prefix));
        document.close("CommonPrefixes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Owner<'static> = Owner { id: "1", name: "root" };

    fn shown(body: &Bytes) -> String {
        std::str::from_utf8(body)
            .unwrap()
            .replace("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "")
            .replace(" xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"", "")
    }

    fn list() -> ObjectList<'static> {
        ObjectList {
            bucket: "bucket",
            prefix: "",
            delimiter: Some("/"),
            keys_max: 1000,
            encoding: Encoding::Plain,
            truncated: true,
            objects: vec![ObjectEntry {
                key: "a b&\u{1}",
                modified_ms: 0,
                etag: "e",
                size_bytes: 5,
                storage_class: "STANDARD",
                checksum: Some((Algorithm::Crc32, Kind::FullObject)),
                owner: None,
            }],
            common_prefixes: vec!["photos/"],
        }
    }

    #[test]
    fn buckets_are_listed() {
        let list = BucketList {
            owner: OWNER,
            buckets: vec![BucketEntry { name: "b", created_ms: 0, region: Some("eu-west-1") }],
            prefix: Some("b"),
            next_token: Some("t"),
        };
        assert_eq!(
            shown(&buckets(&list)),
            "<ListAllMyBucketsResult><Owner><ID>1</ID><DisplayName>root</DisplayName></Owner>\
             <Buckets><Bucket><Name>b</Name><CreationDate>1970-01-01T00:00:00.000Z</CreationDate>\
             <BucketRegion>eu-west-1</BucketRegion></Bucket></Buckets><Prefix>b</Prefix>\
             <ContinuationToken>t</ContinuationToken></ListAllMyBucketsResult>"
        );
    }

    #[test]
    fn objects_are_listed_by_marker() {
        let mut owned = list();
        owned.objects[0].owner = Some(OWNER);
        let body = objects(&owned, "", Some("photos/"));
        assert_eq!(
            shown(&body),
            "<ListBucketResult><Name>bucket</Name><Prefix/><Delimiter>/</Delimiter>\
             <MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated><Marker/>\
             <NextMarker>photos/</NextMarker><Contents><Key>a b&amp;&#x1;</Key>\
             <LastModified>1970-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
             <ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>\
             <Size>5</Size><Owner><ID>1</ID><DisplayName>root</DisplayName></Owner>\
             <StorageClass>STANDARD</StorageClass></Contents>\
             <CommonPrefixes><Prefix>photos/</Prefix></CommonPrefixes></ListBucketResult>"
        );
        let plain = objects(&ObjectList { delimiter: None, ..list() }, "m", Some("n"));
        assert!(!shown(&plain).contains("NextMarker"));
    }

    #[test]
    fn objects_are_listed_by_token() {
        let list = ObjectList { encoding: Encoding::Url, delimiter: Some(" "), ..list() };
        let markers =
            ListMarkers { token: Some("t"), next_token: Some("n"), start_after: Some("s+") };
        assert_eq!(
            shown(&objects_v2(&list, &markers)),
            "<ListBucketResult><Name>bucket</Name><Prefix/><Delimiter>%20</Delimiter>\
             <MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType>\
             <IsTruncated>true</IsTruncated><KeyCount>2</KeyCount>\
             <ContinuationToken>t</ContinuationToken>\
             <NextContinuationToken>n</NextContinuationToken><StartAfter>s%2B</StartAfter>\
             <Contents><Key>a%20b%26%01</Key>\
             <LastModified>1970-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
             <ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>\
             <Size>5</Size><StorageClass>STANDARD</StorageClass></Contents>\
             <CommonPrefixes><Prefix>photos/</Prefix></CommonPrefixes></ListBucketResult>"
        );
    }

    #[test]
    fn locations_are_as_at_aws() {
        assert_eq!(shown(&location("us-east-1")), "<LocationConstraint></LocationConstraint>");
        assert_eq!(
            shown(&location("eu-west-1")),
            "<LocationConstraint>eu-west-1</LocationConstraint>"
        );
    }
}
