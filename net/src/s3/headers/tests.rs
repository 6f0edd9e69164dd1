//! What is kept of a PUT is what a GET gives back.

use super::*;

fn parsed(fields: &[(&str, &str)]) -> Result<ObjectHeaders, ErrorCode> {
    ObjectHeaders::parse(Headers::new(fields)).map_err(|error| error.code())
}

#[test]
fn kept_headers_come_back() {
    let sent = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-encoding", "gzip"),
        ("content-language", "de"),
        ("content-disposition", "attachment; filename=\"ü.txt\""),
        ("cache-control", "no-cache"),
        ("expires", "never"),
        ("x-amz-website-redirect-location", "/x"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-meta-one", "1"),
        ("x-amz-meta-two-words", "a b"),
    ];
    let (kept, overrides) = (parsed(&sent).unwrap(), Overrides::default());
    let emitted = kept.emit(&overrides);
    let emitted: Vec<_> = emitted.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(emitted, sent);
}

#[test]
fn defaults_are_those_of_s3() {
    let kept = parsed(&[("content-type", ""), ("x-amz-storage-class", "STANDARD"), ("etag", "x")]);
    let kept = kept.unwrap();
    assert_eq!(kept, ObjectHeaders::default());
    assert_eq!(kept.storage_class(), "STANDARD");
    let overrides = Overrides::default();
    assert_eq!(kept.emit(&overrides), [("content-type".into(), "binary/octet-stream".into())]);
}

#[test]
fn the_framing_of_the_body_is_not_kept() {
    for (sent, kept) in [
        ("aws-chunked", None),
        ("aws-chunked,gzip", Some("gzip")),
        ("gzip, AWS-Chunked", Some("gzip")),
        ("gzip, br", Some("gzip,br")),
        (",", None),
    ] {
        let headers = parsed(&[("content-encoding", sent)]).unwrap();
        assert_eq!(headers.content_encoding.as_deref(), kept, "{sent}");
    }
}

#[test]
fn metadata_is_utf8_and_bounded() {
    let headers = parsed(&[
        ("x-amz-meta-a", "=?UTF-8?B?w7w=?="),
        ("x-amz-meta-b", "1"),
        ("x-amz-meta-b", "2"),
    ])
    .unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(headers.metadata, [pair("a", "ü"), pair("b", "1,2")]);
    assert_eq!(
        headers.emit(&Overrides::default())[1],
        ("x-amz-meta-a".into(), "=?UTF-8?B?w7w=?=".into())
    );

    let value = "v".repeat(METADATA_BYTES_MAX - 1);
    parsed(&[("x-amz-meta-n", &value)]).unwrap();
    assert_eq!(parsed(&[("x-amz-meta-nn", &value)]), Err(ErrorCode::MetadataTooLarge));
    assert_eq!(parsed(&[("x-amz-meta-", "v")]), Err(ErrorCode::InvalidArgument));
}

#[test]
fn what_cannot_be_kept_is_refused() {
    for class in ["GLACIER", "DEEP_ARCHIVE", "standard", "EXPRESS_ONEZONE"] {
        let found = parsed(&[("x-amz-storage-class", class)]);
        assert_eq!(found, Err(ErrorCode::InvalidStorageClass), "{class}");
    }
    let location = [("x-amz-website-redirect-location", "x")];
    assert_eq!(parsed(&location), Err(ErrorCode::InvalidArgument));
    let long = "x".repeat(HEADER_BYTES_MAX + 1);
    assert_eq!(parsed(&[("cache-control", &long)]), Err(ErrorCode::InvalidArgument));
}

#[test]
fn the_expected_owner_is_checked() {
    let check = |value: &str| {
        let fields = [("x-amz-expected-bucket-owner", value)];
        check_expected_owner(Headers::new(&fields), EXPECTED_OWNER, Some("000000000001"))
            .map_err(|error| error.code())
    };
    assert_eq!(check("000000000001"), Ok(()));
    assert_eq!(check("000000000002"), Err(ErrorCode::AccessDenied));
    assert_eq!(check("me"), Err(ErrorCode::InvalidBucketOwnerAWSAccountID));
}
