//! What a head that is accepted says.

use bytes::BytesMut;

use crate::http::{BodyLength, Head, Limits, Method, parse_head};

fn parse(head: &str) -> Head {
    let mut buffer = BytesMut::from(head.as_bytes());
    let head = parse_head(&mut buffer, &Limits::default()).expect(head).expect("complete");
    assert!(buffer.is_empty(), "nothing is left of a lone head");
    head
}

fn with_headers(lines: &str) -> Head {
    parse(&format!("PUT /b/k HTTP/1.1\r\nHost: h\r\n{lines}\r\n"))
}

#[test]
fn every_part_is_where_it_belongs() {
    let head = parse(concat!(
        "GET /bucket/a%20key/?list-type=2&prefix=a?b HTTP/1.1\r\n",
        "HOST: Bucket.example.com:9000\r\n",
        "X-Amz-Meta-Name:\t caf\u{e9} \t\r\n",
        "X-Amz-Meta-Empty:\r\n",
        "x-AMZ-object-attributes: ETag\r\n",
        "x-amz-object-attributes: ObjectSize\r\n",
        "\r\n",
    ));
    assert_eq!((head.method, head.method_name()), (Method::Get, "GET"));
    assert_eq!(&head.target[..], b"/bucket/a%20key/?list-type=2&prefix=a?b");
    assert_eq!(head.path(), "/bucket/a%20key/");
    assert_eq!(head.query(), Some("list-type=2&prefix=a?b"));
    assert_eq!(head.host(), "Bucket.example.com:9000");
    assert_eq!(head.header("x-amz-meta-name"), Some("café"));
    assert_eq!(head.header("X-AMZ-META-EMPTY"), Some(""));
    assert_eq!(head.header("x-amz-meta"), None);
    let attributes: Vec<_> = head.header_values("x-amz-object-attributes").collect();
    assert_eq!(attributes, ["ETag", "ObjectSize"]);
    let names: Vec<_> = head.headers().map(|(name, _)| name).collect();
    let attributes = "x-amz-object-attributes";
    assert_eq!(names, ["host", "x-amz-meta-name", "x-amz-meta-empty", attributes, attributes]);
    assert_eq!(head.body_length(), BodyLength::None);
    assert!(head.keep_alive() && !head.expects_continue());
    assert_eq!(parse("GET / HTTP/1.1\r\nHost: h\r\n\r\n").query(), None);
    assert_eq!(parse("GET /? HTTP/1.1\r\nHost: h\r\n\r\n").query(), Some(""));
    assert_eq!(parse("GET /é HTTP/1.1\r\nHost: h\r\n\r\n").path(), "/é");
    assert_eq!(parse("GET / HTTP/1.1\r\nHost: [::1]:9000\r\n\r\n").host(), "[::1]:9000");
}

#[test]
fn methods_are_case_sensitive_tokens() {
    for (name, method) in [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("PUT", Method::Put),
        ("POST", Method::Post),
        ("DELETE", Method::Delete),
        ("OPTIONS", Method::Options),
        ("get", Method::Other),
        ("PATCH", Method::Other),
        ("M-SEARCH", Method::Other),
    ] {
        let head = parse(&format!("{name} / HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!((head.method, head.method_name()), (method, name));
    }
}

#[test]
fn bodies_and_connections_are_told_from_the_headers() {
    for (lines, body) in [
        ("", BodyLength::None),
        ("Content-Length: 0\r\n", BodyLength::Length(0)),
        ("content-length:  17\t\r\n", BodyLength::Length(17)),
        ("Content-Length: 0017\r\n", BodyLength::Length(17)),
        ("Content-Length: 18446744073709551615\r\n", BodyLength::Length(u64::MAX)),
        ("Transfer-Encoding: Chunked\r\n", BodyLength::Chunked),
    ] {
        assert_eq!(with_headers(lines).body_length(), body, "{lines:?}");
    }
    for (lines, keep_alive) in [
        ("Connection: keep-alive\r\n", true),
        ("Connection: Close\r\n", false),
        ("Connection: TE, close\r\n", false),
        ("Connection: keep-alive\r\nConnection: close\r\n", false),
        ("Connection: closed\r\n", true),
    ] {
        assert_eq!(with_headers(lines).keep_alive(), keep_alive, "{lines:?}");
    }
    assert!(with_headers("Expect: 100-Continue\r\n").expects_continue());
}

#[test]
fn a_pipeline_is_taken_head_by_head() {
    let mut buffer = BytesMut::from(
        &b"\r\nPUT /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3"[..],
    );
    let limits = Limits::default();
    let first = parse_head(&mut buffer, &limits).expect("accepted").expect("complete");
    assert_eq!(first.path(), "/1");
    assert!(buffer.starts_with(b"body\r\n"), "the body is untouched");
    let _body = buffer.split_to(4);
    let second = parse_head(&mut buffer, &limits).expect("accepted").expect("complete");
    assert_eq!(second.path(), "/2");
    assert!(parse_head(&mut buffer, &limits).expect("so far").is_none());
    assert_eq!(&buffer[..], b"GET /3", "what is incomplete stays");
    assert_eq!(first.path(), "/1", "a head outlives the buffer");
}

#[test]
fn a_debug_line_has_no_secrets() {
    let head =
        parse("GET /b?X-Amz-Signature=secret HTTP/1.1\r\nHost: h\r\nAuthorization: secret\r\n\r\n");
    assert!(!format!("{head:?}").contains("secret"));
}
