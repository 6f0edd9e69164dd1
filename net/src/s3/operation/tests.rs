//! Each kind of request finds its operation; none finds another's.

use super::*;

type Fields = &'static [(&'static str, &'static str)];

const COPY: Fields = &[("x-amz-copy-source", "/source/key")];

fn routed(method: &str, target: &str, fields: Fields) -> Result<Routed, ErrorCode> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request { method, path, query, headers: Headers::new(fields) };
    route(&request, None).map_err(|error| error.code())
}

#[test]
fn requests_find_their_operations() {
    for (method, target, fields, name) in [
        ("GET", "/", &[] as Fields, "ListBuckets"),
        ("GET", "/?x-id=ListBuckets", &[], "ListBuckets"),
        ("PUT", "/bucket", &[], "CreateBucket"),
        ("HEAD", "/bucket", &[], "HeadBucket"),
        ("DELETE", "/bucket/", &[], "DeleteBucket"),
        ("GET", "/bucket?location", &[], "GetBucketLocation"),
        ("GET", "/bucket/?location=", &[], "GetBucketLocation"),
        ("GET", "/bucket", &[], "ListObjects"),
        ("GET", "/bucket?list-type=1&prefix=acl", &[], "ListObjects"),
        ("GET", "/bucket?unknown&prefix=a", &[], "ListObjects"),
        ("GET", "/bucket?list-type=2", &[], "ListObjectsV2"),
        ("GET", "/bucket?versions", &[], "ListObjectVersions"),
        ("GET", "/bucket?uploads", &[], "ListMultipartUploads"),
        ("POST", "/bucket?delete", &[], "DeleteObjects"),
        ("POST", "/bucket", &[], "PostObject"),
        ("PUT", "/bucket/key", &[], "PutObject"),
        ("PUT", "/bucket/key", COPY, "CopyObject"),
        ("GET", "/bucket/key", &[], "GetObject"),
        ("GET", "/bucket/key?versionId=null&partNumber=1", &[], "GetObject"),
        ("HEAD", "/bucket/key", &[], "HeadObject"),
        ("DELETE", "/bucket/key", &[], "DeleteObject"),
        ("GET", "/bucket/key?attributes", &[], "GetObjectAttributes"),
        ("POST", "/bucket/key?uploads", &[], "CreateMultipartUpload"),
        ("PUT", "/bucket/key?partNumber=1&uploadId=u", &[], "UploadPart"),
        ("PUT", "/bucket/key?uploadId=u&partNumber=1", COPY, "UploadPartCopy"),
        ("GET", "/bucket/key?uploadId=u", &[], "ListParts"),
        ("POST", "/bucket/key?uploadId=u", &[], "CompleteMultipartUpload"),
        ("DELETE", "/bucket/key?uploadId=u", &[], "AbortMultipartUpload"),
        ("DELETE", "/bucket/key?tagging", &[], "DeleteObjectTagging"),
        ("PUT", "/bucket/key?tagging", &[], "PutObjectTagging"),
        ("PUT", "/bucket/key?tagging", COPY, "PutObjectTagging"),
        ("PUT", "/bucket?policy", &[], "PutBucketPolicy"),
        ("DELETE", "/bucket?lifecycle", &[], "DeleteBucketLifecycle"),
        ("POST", "/bucket/key?select&select-type=2", &[], "SelectObjectContent"),
        ("GET", "/bucket?analytics&id=1", &[], "GetBucketAnalyticsConfiguration"),
        ("GET", "/bucket?analytics", &[], "ListBucketAnalyticsConfigurations"),
        ("PUT", "/bucket/key?renameObject", &[], "RenameObject"),
        ("OPTIONS", "/bucket/key?uploads&partNumber=1", &[], "OptionsObject"),
    ] {
        let found = routed(method, target, fields).unwrap();
        assert_eq!(found.route.name, name, "{method} {target}");
    }
}

#[test]
fn what_no_operation_is_gets_405() {
    for (method, target) in [
        ("PATCH", "/bucket/key"),
        ("get", "/bucket/key"),
        ("POST", "/bucket/key"),
        ("POST", "/"),
        ("PUT", "/"),
        ("DELETE", "/"),
        ("HEAD", "/"),
        ("OPTIONS", "/"),
        // A sub-resource is never dropped to make another operation of the request.
        ("DELETE", "/bucket/key?acl"),
        ("DELETE", "/bucket?acl"),
        ("DELETE", "/bucket?uploads"),
        ("DELETE", "/bucket/key?uploads"),
        ("DELETE", "/bucket/key?policy"),
        ("DELETE", "/bucket?uploadId=u"),
        ("PUT", "/bucket?uploadId=u&partNumber=1"),
        ("PUT", "/bucket/key?delete"),
        ("PUT", "/bucket?location"),
        ("HEAD", "/bucket/key?uploadId=u"),
        ("GET", "/?policy"),
    ] {
        let found = routed(method, target, &[]);
        assert_eq!(found.err(), Some(ErrorCode::MethodNotAllowed), "{method} {target}");
    }
}

#[test]
fn contradictions_are_refused() {
    for target in
        ["/bucket?acl&policy", "/bucket/key?uploadId=u&tagging", "/bucket?uploads&versions"]
    {
        let found = routed("GET", target, &[]);
        assert_eq!(found.err(), Some(ErrorCode::InvalidArgument), "{target}");
    }
    assert_eq!(routed("GET", "/bucket?acl&acl=x", &[]).unwrap().route.name, "GetBucketAcl");
    assert_eq!(routed("GET", "/bucket?%ff", &[]).err(), Some(ErrorCode::InvalidURI));
    assert_eq!(routed("GET", "/Bucket", &[]).err(), Some(ErrorCode::InvalidBucketName));
}

#[test]
fn a_write_with_a_part_number_alone_changes_nothing() {
    for (method, fields) in
        [("PUT", &[("content-length", "1")] as Fields), ("PUT", COPY), ("DELETE", &[])]
    {
        let routed = routed(method, "/bucket/key?partNumber=1", fields).unwrap();
        let error = routed.operation(Headers::new(fields)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{method}");
    }
}

#[test]
fn actions_are_those_of_iam() {
    for (method, target, fields, action, source) in [
        ("GET", "/", &[] as Fields, "s3:ListAllMyBuckets", None),
        ("HEAD", "/bucket", &[], "s3:ListBucket", None),
        ("GET", "/bucket?list-type=2", &[], "s3:ListBucket", None),
        ("HEAD", "/bucket/key", &[], "s3:GetObject", None),
        ("PUT", "/bucket/key", COPY, "s3:PutObject", Some("s3:GetObject")),
        ("PUT", "/bucket/key?partNumber=1&uploadId=u", COPY, "s3:PutObject", Some("s3:GetObject")),
        ("POST", "/bucket?delete", &[], "s3:DeleteObject", None),
        ("DELETE", "/bucket/key?uploadId=u", &[], "s3:AbortMultipartUpload", None),
        ("GET", "/bucket/key?uploadId=u", &[], "s3:ListMultipartUploadParts", None),
        ("GET", "/bucket?uploads", &[], "s3:ListBucketMultipartUploads", None),
        ("GET", "/bucket?cors", &[], "s3:GetBucketCORS", None),
    ] {
        let route = routed(method, target, fields).unwrap().route;
        assert_eq!((route.action, route.source_action), (action, source), "{method} {target}");
    }
}

#[test]
fn configuration_and_missing_operations_are_told_apart() {
    let operation = |target: &str| {
        let routed = routed("GET", target, &[]).unwrap();
        // Headers for features that are missing don't matter to a configuration read.
        routed.operation(Headers::new(&[("x-amz-write-offset-bytes", "1")])).unwrap()
    };
    let replication = Operation::NotConfigured(NotConfigured::Replication);
    assert_eq!(operation("/bucket?replication"), replication);
    assert_eq!(operation("/bucket?session"), Operation::NotImplemented("CreateSession"));
}

#[test]
fn a_feature_that_is_missing_refuses_the_request() {
    let fields: Fields = &[("content-length", "1"), ("x-amz-write-offset-bytes", "1")];
    let routed = routed("PUT", "/bucket/key", fields).unwrap();
    let error = routed.operation(Headers::new(fields)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotImplemented);
    assert_eq!(error.fields(), [("Header", "x-amz-write-offset-bytes".to_owned())]);
}

/// A small generator of numbers, seeded, so that a failure can be replayed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap() % bound
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn mutated(&mut self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..self.below(4) {
            let at = self.below(characters.len() + 1);
            match self.below(3) {
                0 => {
                    characters.insert(at, ['%', '&', '=', '/', '+', '\0', 'é', '"'][self.below(8)]);
                }
                1 if at < characters.len() => drop(characters.remove(at)),
                _ => characters.truncate(at.max(1)),
            }
        }
        characters.into_iter().collect()
    }
}

#[test]
fn mutated_requests_are_answered_and_crash_nothing() {
    const METHODS: [&str; 7] = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"];
    const PATHS: [&str; 6] = ["/", "/bucket", "/bucket/", "/bucket/key", "/bucket/a%20b+c", "//"];
    const QUERIES: [&str; 12] = [
        "",
        "list-type=2&max-keys=5&prefix=a%2Fb",
        "uploads",
        "uploadId=u&partNumber=7",
        "delete",
        "versionId=null",
        "attributes",
        "continuation-token=AQ",
        "encoding-type=url&marker=%F0",
        "max-uploads=-1",
        "response-content-type=a%0d%0ab",
        "acl",
    ];
    const HEADERS: [(&str, &str); 16] = [
        ("content-length", "12"),
        ("x-amz-copy-source", "/source/key?versionId=null"),
        ("x-amz-copy-source-range", "bytes=0-9"),
        ("if-match", "\"a\", W/\"b\""),
        ("if-none-match", "*"),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("x-amz-meta-a", "=?UTF-8?Q?=C3=84?="),
        ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ("x-amz-object-attributes", "ETag,ObjectSize"),
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("content-encoding", "aws-chunked,gzip"),
        ("x-amz-decoded-content-length", "5"),
        ("range", "bytes=0-"),
        ("x-amz-acl", "public-read"),
        ("x-amz-grant-read", "id=\"a\", uri=b"),
    ];
    for seed in 1..=20_000_u64 {
        let mut numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (path, query) = (numbers.of(&PATHS), numbers.of(&QUERIES));
        let (path, query) = (numbers.mutated(path), numbers.mutated(query));
        let values: Vec<(&str, String)> = (0..numbers.below(5))
            .map(|_| {
                let (name, value) = HEADERS[numbers.below(HEADERS.len())];
                (name, numbers.mutated(value))
            })
            .collect();
        let fields: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let headers = Headers::new(&fields);
        let method = numbers.of(&METHODS);
        let request = Request { method, path: &path, query: &query, headers };
        let outcome =
            route(&request, Some("s3.local")).and_then(|routed| routed.operation(headers));
        if let Err(error) = outcome {
            let replay = format!("seed {seed}: {method} {path}?{query} {fields:?}: {error}");
            assert!(error.code() != ErrorCode::InternalError, "{replay}");
            assert!(matches!(error.status(), 400..=499 | 501), "{replay}");
        }
    }
}
