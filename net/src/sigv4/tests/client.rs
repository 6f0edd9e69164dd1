//! What the client signs, the server verifies; the cache of keys changes nothing but the cost.

use super::examples::{ACCESS_KEY, NOW, SECRET, get_object, presigned, request};
use super::request::Request;
use crate::sigv4::{
    Authentication, Expected, KeyCache, PayloadMode, RequestParts, Signed, Signer, parse,
};

const EXPECTED: Expected<'_> =
    Expected { now_seconds: NOW, region: Some("us-east-1"), service: "s3" };

fn signed(parts: &RequestParts<'_>) -> Signed {
    match parse(parts).unwrap() {
        Authentication::Signed(signed) => *signed,
        Authentication::Anonymous(_) => unreachable!("it was signed"),
    }
}

/// A request as the client signs it.
fn sent(signer: &Signer, target: &str, headers: &[(&str, &str)], payload: PayloadMode) -> Request {
    let mut request = request("PUT", target, headers, "");
    let head = request.with_parts(|parts| signer.sign(parts, payload, NOW)).unwrap();
    request.headers.extend(head.headers.into_iter().map(|(name, value)| (name.to_owned(), value)));
    request
}

#[test]
fn the_reference_s_own_examples_come_out() {
    let signer = Signer::new(ACCESS_KEY, SECRET, "us-east-1");
    let example = presigned();
    let parts = |query| RequestParts {
        method: "GET",
        path: "/test.txt",
        query,
        headers: &[("host", "examplebucket.s3.amazonaws.com")],
    };
    assert_eq!(signer.presign(&parts(""), 86_400, NOW).unwrap(), example.query);
    let example = get_object();
    let headers = [("Host", "examplebucket.s3.amazonaws.com"), ("Range", "bytes=0-9")];
    let empty = PayloadMode::parse(example.header("x-amz-content-sha256")).unwrap();
    let head = signer.sign(&RequestParts { headers: &headers, ..parts("") }, empty, NOW).unwrap();
    let authorization = head.headers.iter().find(|(name, _)| *name == "authorization").unwrap();
    assert_eq!(authorization.1.replace(", ", ","), example.header("authorization"));
}

#[test]
fn odd_requests_are_signed_and_verified() {
    let signer = Signer::new("AK/with/slashes", "s", "us-east-1").with_session_token("token+/=");
    let headers = [
        ("host", "localhost:9000"),
        ("x-amz-meta-a", "  two   spaces\t\u{e9} "),
        ("x-amz-meta-a", ""),
        ("Content-Type", "text/plain"),
    ];
    for target in [
        "/",
        "",
        "/b//k/../%2e?x&x=1&%C3%A9=+&a=%2B",
        "/b/\u{1F600}+%20%25?uploads",
        "/b/a?partNumber=1&uploadId=~",
    ] {
        for payload in [PayloadMode::Unsigned, PayloadMode::Streaming, PayloadMode::Signed([7; 32])]
        {
            let request = Request {
                access_key: "AK/with/slashes",
                secret: "s",
                ..sent(&signer, target, &headers, payload)
            };
            assert_eq!(request.check().err(), None, "{target}");
            let token = request.with_parts(|parts| signed(parts).session_token);
            assert_eq!(token.as_deref(), Some("token+/="));
        }
    }
}

#[test]
fn a_presigned_request_keeps_its_headers() {
    let signer = Signer::new(ACCESS_KEY, SECRET, "us-east-1").with_session_token("token+/=");
    let headers = [("host", "a"), ("x-amz-acl", "private")];
    let mut request = request("PUT", "/b/k?x-id=PutObject", &headers, "");
    request.query = request.with_parts(|parts| signer.presign(parts, 604_800, NOW)).unwrap();
    request.assert_only_this("presigned PUT");
    assert_eq!(request.with("x-amz-acl", None).check().unwrap_err().code, "SignatureDoesNotMatch");
    request.with_parts(|parts| {
        let signed = signed(parts);
        assert!(signed.is_presigned() && signed.session_token.as_deref() == Some("token+/="));
        assert_eq!(signed.payload, PayloadMode::Unsigned);
    });
}

#[test]
fn the_cache_keeps_only_keys_that_verified() {
    let mut cache = KeyCache::new(2);
    let mut check = |access_key: &str, secret: &str, known: &str| {
        let signer = Signer::new(access_key, secret, "us-east-1");
        let request = sent(&signer, "/b/k", &[("host", "a")], PayloadMode::Unsigned);
        let result = request
            .with_parts(|parts| cache.verify(&signed(parts), parts, known, &EXPECTED).map(|_| ()));
        (result.map_err(|error| error.code), cache.count())
    };
    assert_eq!(check("a", "wrong", "right"), (Err("SignatureDoesNotMatch"), 0));
    assert_eq!(check("a", "right", "right"), (Ok(()), 1));
    assert_eq!(check("a", "right", "right"), (Ok(()), 1));
    assert_eq!(check("a", "wrong", "right"), (Err("SignatureDoesNotMatch"), 1));
    assert_eq!(
        check("a", "right", "changed"),
        (Err("SignatureDoesNotMatch"), 1),
        "the secret was changed"
    );
    assert_eq!(check("a", "changed", "changed"), (Ok(()), 1));
    assert_eq!(check("b", "s", "s"), (Ok(()), 2));
    assert_eq!(check("a", "changed", "changed"), (Ok(()), 2));
    assert_eq!(check("c", "s", "s"), (Ok(()), 2), "b, the least recently used, made room");
    cache.forget("a");
    assert_eq!(cache.count(), 1);
    cache.forget("b");
    assert_eq!(cache.count(), 1, "it was c that stayed");
    let request = get_object();
    let stale = Expected { now_seconds: NOW + 901, ..EXPECTED };
    request.with_parts(|parts| {
        cache.verify(&signed(parts), parts, SECRET, &EXPECTED).unwrap();
        let error = cache.verify(&signed(parts), parts, SECRET, &stale).unwrap_err();
        assert_eq!(error.code, "RequestTimeTooSkewed", "a cached key skips no other check");
    });
}

#[test]
fn a_presigned_url_may_state_its_payload() {
    // The AWS SDK for JavaScript puts the payload mode into the query.
    let signer = Signer::new(ACCESS_KEY, SECRET, "us-east-1");
    let presigned = |mode: &str| {
        let mut request =
            request("PUT", &format!("/b/k?X-Amz-Content-Sha256={mode}"), &[("host", "a")], "");
        request.query = request.with_parts(|parts| signer.presign(parts, 60, NOW)).unwrap();
        request
    };
    presigned("UNSIGNED-PAYLOAD").check().unwrap();
    let chunked = presigned("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    assert_eq!(chunked.with_parts(|parts| signed(parts).payload), PayloadMode::UnsignedTrailer);
    assert_eq!(presigned("STREAMING").check().unwrap_err().code, "InvalidArgument");
    let twice =
        presigned("UNSIGNED-PAYLOAD").with("x-amz-content-sha256", Some("UNSIGNED-PAYLOAD"));
    assert_eq!(twice.check().unwrap_err().code, "AccessDenied", "the header isn't signed");
}
