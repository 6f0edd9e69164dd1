//! Every request head that can be read in two ways is refused: one row each.

use bytes::BytesMut;

use crate::http::{Limits, Refusal, parse_head};

/// The refusal of a whole head, and the same refusal or a sooner one when its bytes come one by one.
fn refusal(head: &[u8]) -> Refusal {
    let whole = parse_head(&mut BytesMut::from(head), &Limits::default());
    let mut buffer = BytesMut::new();
    let drip = head.iter().find_map(|byte| {
        buffer.extend_from_slice(&[*byte]);
        parse_head(&mut buffer, &Limits::default()).transpose()
    });
    let name = String::from_utf8_lossy(head);
    assert!(matches!(drip, Some(Err(_))), "byte by byte: {drip:?} of {name:?}");
    whole.expect_err(&name)
}

/// A request with these header lines after `Host`.
fn with_headers(lines: &str) -> Vec<u8> {
    format!("PUT /b/k HTTP/1.1\r\nHost: h\r\n{lines}\r\n").into_bytes()
}

#[test]
fn headers_that_can_be_read_in_two_ways() {
    for (lines, part_of_message) in [
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "both Content-Length and"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", "both Content-Length and"),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", "comes twice"),
        ("Content-Length: 1\r\ncontent-length: 2\r\n", "comes twice"),
        ("Content-Length: 1, 1\r\n", "not a number"),
        ("Content-Length: +1\r\n", "not a number"),
        ("Content-Length: -1\r\n", "not a number"),
        ("Content-Length: 1 1\r\n", "not a number"),
        ("Content-Length: 0x1\r\n", "not a number"),
        ("Content-Length: 1.0\r\n", "not a number"),
        ("Content-Length:\r\n", "not a number"),
        ("Content-Length: ١\r\n", "not a number"), // a digit, but not an ASCII one
        ("Content-Length: 18446744073709551616\r\n", "greater than any"),
        ("Content-Length: 99999999999999999999999999\r\n", "greater than any"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "comes twice"),
        ("X: a\r\n b\r\n", "folded"),
        ("X: a\r\n\tb\r\n", "folded"),
        ("X: a\r\n \r\n", "folded"),
        ("X: a\nY: b\r\n", "bare LF"),
        ("X: a\n", "bare LF"),
        ("\n", "bare LF"),
        ("X: a\rY: b\r\n", "bare CR"),
        ("X: a\r\rY: b\r\n", "bare CR"),
        ("Content-Length : 1\r\n", "before its colon"),
        ("Content-Length\t: 1\r\n", "before its colon"),
        (": empty\r\n", "header name"),
        ("no colon\r\n", "header name"),
        ("X(Y): a\r\n", "header name"),
        ("Xé: a\r\n", "header name"),
        ("X: a\0b\r\n", "control character"),
        ("X: a\x01b\r\n", "control character"),
        ("X: a\x7fb\r\n", "control character"),
        ("X: a\x1b[31mb, and long enough for the wide path of the parser\r\n", "control character"),
        ("Host: other\r\n", "host comes twice"),
        ("Host: h\r\n", "host comes twice"),
        ("Authorization: a\r\nAuthorization: b\r\n", "authorization comes twice"),
        ("If-Match: a\r\nIf-Match: b\r\n", "if-match comes twice"),
        ("x-amz-content-sha256: a\r\nx-amz-content-sha256: b\r\n", "comes twice"),
    ] {
        let refusal = refusal(&with_headers(lines));
        assert_eq!((refusal.status, refusal.code), (400, "BadRequest"), "{lines:?}: {refusal}");
        assert!(refusal.message.contains(part_of_message), "{lines:?}: {refusal}");
    }
}

#[test]
fn hosts_missing_empty_or_ambiguous() {
    for line in [
        "",
        "Host:\r\n",
        "Host: a, b\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: u@a\r\n",
        "Host: a?b\r\n",
        "Host: a#b\r\n",
        "Host: a\\b\r\n",
        "Host: é\r\n",
    ] {
        let refusal = refusal(format!("GET / HTTP/1.1\r\n{line}\r\n").as_bytes());
        assert_eq!((refusal.status, refusal.code), (400, "BadRequest"), "{line:?}: {refusal}");
        assert!(refusal.message.contains("Host header"), "{line:?}: {refusal}");
    }
}

#[test]
fn features_that_are_not_there() {
    for (lines, status, code) in [
        ("Transfer-Encoding: gzip\r\n", 501, "NotImplemented"),
        ("Transfer-Encoding: gzip, chunked\r\n", 501, "NotImplemented"),
        ("Transfer-Encoding: chunked, chunked\r\n", 501, "NotImplemented"),
        ("Transfer-Encoding: identity\r\n", 501, "NotImplemented"),
        ("Transfer-Encoding: chunked;x=y\r\n", 501, "NotImplemented"),
        ("Transfer-Encoding: \"chunked\"\r\n", 501, "NotImplemented"),
        ("Transfer-Encoding: xchunked\r\n", 501, "NotImplemented"),
        ("Transfer-Encoding:\r\n", 501, "NotImplemented"),
        ("Expect: 200-ok\r\n", 417, "ExpectationFailed"),
    ] {
        let refusal = refusal(&with_headers(lines));
        assert_eq!((refusal.status, refusal.code), (status, code), "{lines:?}: {refusal}");
    }
}

#[test]
fn first_lines_that_are_not_http_1_1() {
    for (line, status, code) in [
        ("GET / HTTP/1.0", 505, "HttpVersionNotSupported"),
        ("GET / HTTP/0.9", 505, "HttpVersionNotSupported"),
        ("GET / HTTP/2.0", 505, "HttpVersionNotSupported"),
        ("PRI * HTTP/2.0", 505, "HttpVersionNotSupported"),
        ("GET / HTTP/1.10", 400, "BadRequest"),
        ("GET / HTTP/1", 505, "HttpVersionNotSupported"),
        ("GET /", 505, "HttpVersionNotSupported"),
        ("GET / http/1.1", 400, "BadRequest"),
        ("GET / HTTP/1.1 ", 400, "BadRequest"),
        ("GET  / HTTP/1.1", 400, "BadRequest"),
        ("GET /  HTTP/1.1", 400, "BadRequest"),
        ("GET\t/ HTTP/1.1", 400, "BadRequest"),
        ("GET /a b HTTP/1.1", 400, "BadRequest"),
        (" GET / HTTP/1.1", 400, "BadRequest"),
        ("G(T / HTTP/1.1", 400, "BadRequest"),
        ("GET /\0 HTTP/1.1", 400, "BadRequest"),
        ("GET /\x7f HTTP/1.1", 400, "BadRequest"),
        ("\x16\x03\x01", 400, "BadRequest"), // TLS on a plain port
    ] {
        let refusal = refusal(format!("{line}\r\nHost: h\r\n\r\n").as_bytes());
        assert_eq!((refusal.status, refusal.code), (status, code), "{line:?}: {refusal}");
    }
}

#[test]
fn targets_that_are_not_a_path() {
    for target in ["http://h/b/k", "HTTP://h/b/k", "*", "h:443", "b/k", "?acl", "/b/k#part"] {
        let head = format!("OPTIONS {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let refusal = refusal(head.as_bytes());
        assert_eq!((refusal.status, refusal.code), (400, "InvalidURI"), "{target}: {refusal}");
    }
}

#[test]
fn bytes_that_are_not_utf_8() {
    refusal(b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n");
    let refusal = refusal(b"GET / HTTP/1.1\r\nHost: h\r\nX: caf\xe9\r\n\r\n");
    assert_eq!((refusal.status, refusal.code), (400, "BadRequest"));
}

#[test]
fn heads_beyond_the_limits() {
    let limits = Limits { head_bytes_max: 200, header_count_max: 5 };
    let padded = |length: usize| {
        let start = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4))
    };
    let parse = |head: &str| parse_head(&mut BytesMut::from(head.as_bytes()), &limits);
    parse(&padded(200)).expect("just fits").expect("complete");
    for head in [padded(201), padded(100_000), "G".repeat(200)] {
        let refusal = parse(&head).expect_err("too long");
        assert_eq!((refusal.status, refusal.code), (400, "RequestHeaderSectionTooLarge"));
    }
    assert_eq!(parse(&padded(201)[..199]).map(|head| head.is_none()), Ok(true), "not known yet");

    let counted =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    parse(&counted(5)).expect("just fits").expect("complete");
    let refusal = parse(&counted(6)).expect_err("too many");
    assert_eq!((refusal.status, refusal.code), (400, "RequestHeaderSectionTooLarge"));
    // Limits above what the parser can do are lowered, not trusted.
    let boundless = Limits { head_bytes_max: usize::MAX, header_count_max: usize::MAX };
    for head in [padded(65_536), counted(129)] {
        let refusal = parse_head(&mut BytesMut::from(head.as_bytes()), &boundless);
        assert_eq!(refusal.expect_err("too large").code, "RequestHeaderSectionTooLarge");
    }
    let many = parse_head(&mut BytesMut::from(counted(128).as_bytes()), &boundless);
    assert_eq!(many.expect("fits").expect("complete").headers().count(), 128);
    let long = parse_head(&mut BytesMut::from(padded(65_535).as_bytes()), &boundless);
    assert_eq!(long.expect("fits").expect("complete").headers().count(), 2);
}
