//! Parameters: what AWS documents, and what it answers to what it doesn't take.

use super::*;
use crate::s3::address::Address;
use crate::s3::checksums::CompletionChecksum;
use crate::s3::conditions::WriteCondition;
use crate::s3::limits::OBJECT_BYTES_MAX;
use crate::s3::listing::{Encoding, encode_token};
use crate::s3::version::Version;

type Fields<'a> = &'a [(&'a str, &'a str)];

fn object() -> Address {
    Address::Object { bucket: "bucket".to_owned(), key: "key".to_owned() }
}

fn query(raw: &str) -> Query {
    Query::parse(raw).unwrap()
}

fn message(error: &Error) -> (&str, &str) {
    (error.code().name(), error.message())
}

#[test]
fn a_listing_has_defaults() {
    let list = ListObjects::parse(&object(), &query("")).unwrap();
    let expected = ListObjects {
        bucket: "bucket".to_owned(),
        prefix: String::new(),
        delimiter: None,
        marker: String::new(),
        keys_max: 1000,
        encoding: Encoding::Plain,
    };
    assert_eq!(list, expected);
    let raw = "prefix=a%2Fb+c&delimiter=%2F&marker=x&max-keys=2&encoding-type=url";
    let list = ListObjects::parse(&object(), &query(raw)).unwrap();
    let expected = ListObjects {
        prefix: "a/b c".to_owned(),
        delimiter: Some("/".to_owned()),
        marker: "x".to_owned(),
        keys_max: 2,
        encoding: Encoding::Url,
        ..expected
    };
    assert_eq!(list, expected);
}

#[test]
fn page_sizes_are_bounded() {
    for (raw, expected) in
        [("0", Some(0)), ("1000", Some(1000)), ("2147483647", Some(1000)), ("", Some(1000))]
            .into_iter()
            .chain(["-1", "2147483648", "x", "1.5", "+1", " 1"].map(|raw| (raw, None)))
    {
        let query = Query::parse(&format!("max-keys={}", raw.replace('+', "%2B"))).unwrap();
        let found = ListObjects::parse(&object(), &query).map(|list| list.keys_max).ok();
        assert_eq!(found, expected, "{raw}");
    }
    let error = ListObjects::parse(&object(), &query("max-keys=-1")).unwrap_err();
    let text = "Argument max-keys must be an integer between 0 and 2147483647";
    assert_eq!(message(&error), ("InvalidArgument", text));
    assert_eq!(error.fields()[0], ("ArgumentName", "max-keys".to_owned()));
    let error = ListObjects::parse(&object(), &query("encoding-type=gzip")).unwrap_err();
    let text = "Invalid Encoding Method specified in Request";
    assert_eq!(message(&error), ("InvalidArgument", text));
}

#[test]
fn a_token_wins_over_start_after() {
    let raw = format!("continuation-token={}&start-after=s&fetch-owner=true", encode_token("t"));
    let list = ListObjectsV2::parse(&object(), &query(&raw)).unwrap();
    assert_eq!((list.position(), list.start_after.as_deref()), ("t", Some("s")));
    assert!(list.fetch_owner);
    let list = ListObjectsV2::parse(&object(), &query("start-after=s")).unwrap();
    assert_eq!((list.position(), list.fetch_owner), ("s", false));
    for raw in ["continuation-token=", "continuation-token=x"] {
        let error = ListObjectsV2::parse(&object(), &query(raw)).unwrap_err();
        let text = "The continuation token provided is incorrect";
        assert_eq!(message(&error), ("InvalidArgument", text));
    }
    ListObjectsV2::parse(&object(), &query("fetch-owner=maybe")).unwrap_err();
}

#[test]
fn the_other_listings() {
    let raw = "max-buckets=5&prefix=p&bucket-region=eu-west-1";
    let buckets = ListBuckets::parse(&query(raw)).unwrap();
    assert_eq!((buckets.buckets_max, buckets.region.as_deref()), (5, Some("eu-west-1")));
    ListBuckets::parse(&query("max-buckets=0")).unwrap_err();
    ListBuckets::parse(&query("max-buckets=10001")).unwrap_err();

    let uploads = ListMultipartUploads::parse(&object(), &query("upload-id-marker=u")).unwrap();
    assert_eq!(uploads.upload_marker, None);
    let raw = "upload-id-marker=u&key-marker=k&max-uploads=1";
    let uploads = ListMultipartUploads::parse(&object(), &query(raw)).unwrap();
    assert_eq!(uploads.upload_marker.as_deref(), Some("u"));
    assert_eq!((uploads.key_marker.as_str(), uploads.uploads_max), ("k", 1));

    let parts = ListParts::parse(&object(), &query("uploadId=u&part-number-marker=3")).unwrap();
    assert_eq!((parts.upload.as_str(), parts.part_marker, parts.parts_max), ("u", 3, 1000));
    ListParts::parse(&object(), &query("uploadId=u&part-number-marker=-1")).unwrap_err();
}

#[test]
fn numbers_of_parts_and_ids_of_uploads() {
    for (raw, expected) in [("1", Some(1)), ("10000", Some(10_000))]
        .into_iter()
        .chain(["0", "10001", "-1", "", "x", "1e1", "99999999999999999999"].map(|raw| (raw, None)))
    {
        let found = part_number(&query(&format!("partNumber={raw}")));
        assert_eq!(found.clone().ok().flatten(), expected, "{raw}");
        assert!(expected.is_some() || found.unwrap_err().code() == ErrorCode::InvalidArgument);
    }
    let long = "u".repeat(UPLOAD_ID_BYTES_MAX + 1);
    for raw in ["", "a b", "a%00", "%C3%A9", &long] {
        let error = upload_id(&query(&format!("uploadId={raw}"))).unwrap_err();
        assert_eq!(error.code(), ErrorCode::NoSuchUpload, "{raw}");
    }
    let missing = UploadPart::parse(&object(), &query("uploadId=u"), Headers::default());
    assert_eq!(missing.unwrap_err().code(), ErrorCode::InvalidRequest);
}

#[test]
fn lengths_and_digests_of_bodies() {
    for (fields, expected) in [
        (&[("content-length", "5")] as Fields<'_>, Ok(Some(5))),
        (&[("content-length", "9"), ("x-amz-decoded-content-length", "5")], Ok(Some(5))),
        (&[("transfer-encoding", "chunked")], Ok(None)),
        (&[("content-length", "5368709120")], Ok(Some(PUT_BYTES_MAX))),
        (&[("content-length", "5368709121")], Err(ErrorCode::EntityTooLarge)),
        (&[("content-length", "+5")], Err(ErrorCode::InvalidArgument)),
        (&[("x-amz-decoded-content-length", "")], Err(ErrorCode::InvalidArgument)),
        (&[], Err(ErrorCode::MissingContentLength)),
    ] {
        let found = body_length(Headers::new(fields)).map_err(|error| error.code());
        assert_eq!(found, expected, "{fields:?}");
    }
    let md5 = |value: &str| {
        let fields = [("content-md5", value)];
        content_md5(Headers::new(&fields)).map_err(|error| error.code())
    };
    assert_eq!(md5("AAAAAAAAAAAAAAAAAAAAAA=="), Ok(Some([0; 16])));
    for bad in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA", "00000000000000000000000000000000"] {
        assert_eq!(md5(bad), Err(ErrorCode::InvalidDigest), "{bad}");
    }
}

#[test]
fn reads_take_a_range_or_a_part() {
    let range = [("range", "bytes=0-1"), ("if-range", "\"e\""), ("x-amz-checksum-mode", "ENABLED")];
    let read =
        ReadObject::parse(&object(), &query("versionId=null"), Headers::new(&range)).unwrap();
    assert_eq!((read.range.as_deref(), read.part), (Some("bytes=0-1"), None));
    assert_eq!((read.version, read.checksum_wanted), (Version::Null, true));
    let error = ReadObject::parse(&object(), &query("partNumber=1"), Headers::new(&range));
    let error = error.unwrap_err();
    let text = "Cannot specify both Range header and partNumber query parameter";
    assert_eq!(message(&error), ("InvalidRequest", text));
}

#[test]
fn a_copy_onto_itself_needs_a_change() {
    let copy = |fields: Fields<'_>| CopyObject::parse(&object(), Headers::new(fields));
    let code = |fields: Fields<'_>| copy(fields).map(|_| ()).map_err(|error| error.code());
    let itself = ("x-amz-copy-source", "bucket/key");
    assert_eq!(code(&[itself]), Err(ErrorCode::InvalidRequest));
    assert_eq!(code(&[itself, ("x-amz-metadata-directive", "REPLACE")]), Ok(()));
    assert_eq!(code(&[itself, ("x-amz-storage-class", "STANDARD_IA")]), Ok(()));
    assert_eq!(code(&[itself, ("x-amz-website-redirect-location", "/x")]), Ok(()));
    let replace = ("x-amz-metadata-directive", "replace");
    assert_eq!(code(&[itself, replace]), Err(ErrorCode::InvalidArgument));
    let range = ("x-amz-copy-source-range", "bytes=0-1");
    assert_eq!(code(&[("x-amz-copy-source", "b-2/k"), range]), Err(ErrorCode::NotImplemented));

    let fields = [("x-amz-copy-source", "other/k"), ("if-none-match", "*"), ("x-amz-meta-a", "1")];
    let other = copy(&fields).unwrap();
    assert_eq!((other.directive, other.condition), (Directive::Copy, WriteCondition::Absent));
    assert_eq!(other.source.bucket, "other");
}

#[test]
fn attributes_are_named() {
    let parse = |fields: Fields<'_>| {
        GetObjectAttributes::parse(&object(), &query(""), Headers::new(fields))
    };
    let names = "x-amz-object-attributes";
    let found =
        parse(&[(names, "ETag, ObjectParts"), (names, "ETag"), ("x-amz-max-parts", "2000")]);
    let found = found.unwrap();
    assert_eq!(found.attributes, [Attribute::Etag, Attribute::Parts]);
    assert!(found.wants(Attribute::Etag) && !found.wants(Attribute::Size));
    assert_eq!((found.parts_max, found.part_marker), (1000, 0));
    for (fields, code) in [
        (&[] as Fields<'_>, "InvalidRequest"),
        (&[(names, " ")], "InvalidRequest"),
        (&[(names, "etag")], "InvalidArgument"),
        (&[(names, "ETag"), ("x-amz-max-parts", "-1")], "InvalidArgument"),
    ] {
        assert_eq!(message(&parse(fields).unwrap_err()).0, code, "{fields:?}");
    }
}

#[test]
fn bodies_of_deletions_are_checked_by_something() {
    let code = |fields: Fields<'_>| {
        DeleteObjects::parse(&object(), Headers::new(fields)).map(|_| ()).map_err(|e| e.code())
    };
    assert_eq!(code(&[]), Err(ErrorCode::InvalidRequest));
    assert_eq!(code(&[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")]), Ok(()));
    assert_eq!(code(&[("x-amz-checksum-crc32", "AAAAAA==")]), Ok(()));
}

#[test]
fn a_completion_states_what_the_object_must_be() {
    let fields = [
        ("x-amz-checksum-crc32", "AAAAAA==-2"),
        ("x-amz-checksum-type", "COMPOSITE"),
        ("x-amz-mp-object-size", "5497558138880"),
        ("if-match", "\"e\""),
    ];
    let complete =
        CompleteMultipartUpload::parse(&object(), &query("uploadId=u"), Headers::new(&fields));
    let complete = complete.unwrap();
    assert_eq!(complete.object_bytes, Some(OBJECT_BYTES_MAX));
    assert_eq!(complete.condition, WriteCondition::Matches("e".to_owned()));
    assert!(matches!(complete.checksum, Some(CompletionChecksum { part_count: Some(2), .. })));
    let fields = [("x-amz-mp-object-size", "-1")];
    let bad =
        CompleteMultipartUpload::parse(&object(), &query("uploadId=u"), Headers::new(&fields));
    assert_eq!(bad.unwrap_err().code(), ErrorCode::InvalidRequest);
}
