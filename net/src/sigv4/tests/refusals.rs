//! Each refusal has AWS's code, and nothing shows a secret.

use super::examples::{ACCESS_KEY, NOW, SECRET, get_object, presigned, request};
use super::request::Request;
use crate::sigv4::{Authentication, Error, Expected, PayloadMode, parse};

fn code(request: &Request) -> (&'static str, u16) {
    let error = request.check().unwrap_err();
    (error.code, error.status())
}

fn at(request: &Request, now_seconds: i64) -> Request {
    Request { expected: Expected { now_seconds, ..request.expected }, ..request.clone() }
}

/// The GET Object example with its authorization changed.
fn authorized(from: &str, to: &str) -> Request {
    let request = get_object();
    let authorization = request.header("authorization").replace(from, to);
    request.with("authorization", Some(&authorization))
}

/// The presigned example with its query changed.
fn asked(from: &str, to: &str) -> Request {
    let request = presigned();
    assert!(request.query.contains(from));
    Request { query: request.query.replace(from, to), ..request }
}

fn parsed(query: &str, headers: &[(&str, &str)]) -> Result<Authentication, Error> {
    let request = request("PUT", &format!("/a?{query}"), headers, "");
    request.with_parts(parse)
}

#[test]
fn the_clock_may_differ_by_fifteen_minutes() {
    let request = get_object();
    for near in [-900, 0, 900] {
        assert!(at(&request, NOW + near).check().is_ok(), "{near}");
    }
    for far in [-901, 901, i64::MIN / 2, i64::MAX / 2] {
        assert_eq!(
            code(&at(&request, NOW.saturating_add(far))),
            ("RequestTimeTooSkewed", 403),
            "{far}"
        );
    }
    let error = at(&request, NOW + 901).check().unwrap_err();
    assert_eq!(
        *error.fields,
        [
            ("RequestTime", "20130524T000000Z".to_owned()),
            ("ServerTime", "2013-05-24T00:15:01Z".to_owned()),
            ("MaxAllowedSkewMilliseconds", "900000".to_owned()),
        ]
    );
}

#[test]
fn a_presigned_url_lives_as_long_as_it_says() {
    let request = presigned();
    for alive in [-900, 0, 86_400] {
        assert!(at(&request, NOW + alive).check().is_ok(), "{alive}");
    }
    let error = at(&request, NOW + 86_401).check().unwrap_err();
    assert_eq!(
        (error.code, error.status(), error.message.as_str()),
        ("AccessDenied", 403, "Request has expired")
    );
    assert_eq!(error.fields[1], ("Expires", "2013-05-25T00:00:00Z".to_owned()));
    assert_eq!(code(&at(&request, NOW - 901)), ("AccessDenied", 403));
    for wrong in ["0", "-1", "604801", "", "a", "1e3", "99999999999999999999"] {
        let request = asked("Expires=86400", &format!("Expires={wrong}"));
        assert_eq!(code(&request), ("AuthorizationQueryParametersError", 400), "{wrong}");
    }
    assert_eq!(code(&asked("Expires=86400", "Expires=604800")), ("SignatureDoesNotMatch", 403));
}

#[test]
fn a_malformed_authorization_is_named() {
    let malformed = [
        ("Credential=", "Credentials="),
        ("SignedHeaders=", "Signed="),
        (",Signature=", ",Signature"),
        (",Signature=", ",Signature=0,Signature="),
        ("/aws4_request", "/aws4"),
        ("/us-east-1/", "//"),
        ("AKIAIOSFODNN7EXAMPLE/20130524", "20130524"),
        ("/20130524/", "/2013052/"),
        ("/20130524/", "/20130525/"),
        ("host;range", "Host;range"),
        ("host;range", "host;host;range"),
        ("host;range", "host;;range"),
        ("us-east-1", "us-east-2"),
        ("/s3/", "/ec2/"),
    ];
    for (from, to) in malformed {
        assert_eq!(
            code(&authorized(from, to)),
            ("AuthorizationHeaderMalformed", 400),
            "{from} -> {to}"
        );
    }
    let region = authorized("us-east-1", "us-east-2").check().unwrap_err();
    assert!(
        region.message.ends_with("the region 'us-east-2' is wrong; expecting 'us-east-1'"),
        "{region:?}"
    );
    assert_eq!(code(&authorized("AWS4-HMAC-SHA256", "Basic")), ("InvalidArgument", 400));
    assert_eq!(code(&authorized("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512")), ("InvalidArgument", 400));
    assert_eq!(code(&authorized("f0e8bdb8", "F0E8BDB8")), ("SignatureDoesNotMatch", 403));
    assert_eq!(code(&authorized("f0e8bdb8", "f0")), ("SignatureDoesNotMatch", 403));
    assert_eq!(code(&authorized("host;range", "range")), ("AccessDenied", 403));
    assert_eq!(code(&authorized("range;", "")), ("SignatureDoesNotMatch", 403));
    assert_eq!(code(&get_object().with("authorization", Some(""))), ("AccessDenied", 403));
    assert_eq!(
        code(&get_object().with("authorization", Some("AWS HAHAHA"))),
        ("InvalidArgument", 400)
    );
}

#[test]
fn the_components_may_come_in_any_order() {
    let request = get_object();
    let components = request.header("authorization").strip_prefix("AWS4-HMAC-SHA256 ").unwrap();
    let mut components: Vec<&str> = components.split(',').collect();
    components.reverse();
    let authorization = format!("AWS4-HMAC-SHA256   {}", components.join(" ,\t"));
    request.with("authorization", Some(&authorization)).check().unwrap();
}

#[test]
fn a_malformed_query_is_named() {
    let malformed = [
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
        ("X-Amz-Date=20130524T000000Z", "X-Amz-Date=2013"),
        ("X-Amz-Date=20130524T000000Z&", ""),
        ("X-Amz-Expires=86400&", ""),
        ("X-Amz-SignedHeaders=host&", ""),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256&", ""),
        ("X-Amz-Signature=", "Signed="),
        ("X-Amz-Expires=86400", "X-Amz-Expires=86400&x-amz-expires=1"),
        ("X-Amz-Expires=86400", "X-Amz-Expires=%ff"),
        ("%2Faws4_request", ""),
        ("%2F20130524%2F", "%2F20130523%2F"),
        ("=host", "=Host"),
        ("us-east-1", "us-east-2"),
        ("%2Fs3%2F", "%2Fec2%2F"),
    ];
    for (from, to) in malformed {
        assert_eq!(
            code(&asked(from, to)),
            ("AuthorizationQueryParametersError", 400),
            "{from} -> {to}"
        );
    }
    assert_eq!(code(&asked("X-Amz-Expires=86400", "X-Amz-Expires=%4")), ("InvalidURI", 400));
    assert_eq!(code(&asked("=host", "=range")), ("AccessDenied", 403));
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    let both = presigned().with("authorization", Some(get_object().header("authorization")));
    assert_eq!(code(&both), ("InvalidArgument", 400));
    let both =
        Request { query: "AWSAccessKeyId=a&Signature=b&Expires=1".to_owned(), ..get_object() };
    assert_eq!(code(&both), ("InvalidArgument", 400));
    let both = asked("X-Amz-Expires=86400", "X-Amz-Expires=86400&AWSAccessKeyId=a");
    assert_eq!(code(&both), ("InvalidArgument", 400));
    for once in ["authorization", "x-amz-date", "x-amz-content-sha256"] {
        let mut twice = get_object();
        twice.headers.push((once.to_uppercase(), twice.header(once).to_owned()));
        assert_eq!(code(&twice), ("InvalidRequest", 400), "{once}");
    }
}

#[test]
fn version_two_is_refused_by_name() {
    for (query, headers) in [
        ("", &[("authorization", "AWS AKID:c2lnbmF0dXJl")][..]),
        ("AWSAccessKeyId=AKID&Signature=c2ln&Expires=1", &[][..]),
    ] {
        let error = parsed(query, headers).unwrap_err();
        assert_eq!(error.code, "InvalidRequest");
        assert!(
            error.message.contains("Please use AWS4-HMAC-SHA256")
                && error.message.contains("Version 2")
        );
    }
}

#[test]
fn a_date_header_will_do() {
    // Without x-amz-date the Date header is the time; the signature differs, as another set of headers is signed.
    let request = get_object().with("x-amz-date", None);
    let without = request.header("authorization").replace(";x-amz-date", "");
    let request = request.with("authorization", Some(&without));
    assert_eq!(code(&request), ("AccessDenied", 403));
    let dated = request.with("date", Some("Fri, 24 May 2013 00:00:00 GMT"));
    assert_eq!(code(&dated), ("SignatureDoesNotMatch", 403));
    let stale = request.with("date", Some("Fri, 24 May 2013 00:20:00 GMT"));
    assert_eq!(code(&stale), ("RequestTimeTooSkewed", 403));
}

#[test]
fn the_payload_mode_is_needed_and_known() {
    let missing = get_object().with("x-amz-content-sha256", None);
    let without = missing.header("authorization").replace("x-amz-content-sha256;", "");
    assert_eq!(code(&missing.with("authorization", Some(&without))), ("InvalidRequest", 400));
    let unknown = get_object().with("x-amz-content-sha256", Some("STREAMING-AWS5"));
    assert_eq!(code(&unknown), ("InvalidArgument", 400));
}

#[test]
fn anonymous_bodies_are_framed_too() {
    let mode = |value| parsed("acl", &[("host", "a"), ("x-amz-content-sha256", value)]);
    assert_eq!(parsed("", &[]).unwrap().payload(), PayloadMode::Unsigned);
    assert_eq!(
        mode("STREAMING-UNSIGNED-PAYLOAD-TRAILER").unwrap().payload(),
        PayloadMode::UnsignedTrailer
    );
    assert_eq!(mode("STREAMING-AWS4-HMAC-SHA256-PAYLOAD").unwrap_err().code, "InvalidRequest");
    assert_eq!(mode("STREAMING-AWS5").unwrap_err().code, "InvalidArgument");
}

#[test]
fn framing_without_a_mode_for_it_is_refused() {
    let announced =
        [("content-encoding", "gzip, AWS-Chunked"), ("x-amz-decoded-content-length", "5")];
    assert_eq!(parsed("", &announced).unwrap_err().code, "InvalidRequest");
    assert_eq!(
        parsed("", &[("x-amz-trailer", "x-amz-checksum-crc32")]).unwrap_err().code,
        "InvalidRequest"
    );
    // A stored object's own metadata, copied from elsewhere: the body is as it is.
    parsed("", &announced[..1]).unwrap();
}

#[test]
fn nothing_shows_a_secret_or_a_signature() {
    let request = presigned();
    let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let parsed = request.with_parts(|parts| format!("{parts:?} {:?}", parse(parts)));
    let verified = format!("{:?}", request.check());
    let error = Request { secret: "canary", ..request }.check().unwrap_err();
    assert!(error.fields.iter().any(|(name, _)| *name == "StringToSign"), "the client gets it");
    let shown = format!("{parsed} {verified} {error} {error:?}");
    assert!(shown.contains(ACCESS_KEY));
    for hidden in [SECRET, signature, "canary"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}
