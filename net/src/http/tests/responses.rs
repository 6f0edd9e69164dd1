//! Response heads: what is written, read back by the client's side.

use bytes::BytesMut;

use crate::http::client::{RequestHead, Response, parse_any_response, parse_response};
use crate::http::{BodyLength, Limits, Method, ResponseHead, Stamp, body_allowed, parse_head};

const STAMP: Stamp<'_> =
    Stamp { request_id: "RID", host_id: "HID", date: "Sun, 06 Nov 1994 08:49:37 GMT" };

fn read_back(head: ResponseHead, method: Method) -> Response {
    let mut buffer = BytesMut::from(&head.encode(&STAMP)[..]);
    let response = parse_response(&mut buffer, method).expect("readable").expect("complete");
    assert!(buffer.is_empty(), "one head: {buffer:?}");
    response
}

#[test]
fn a_head_is_written_to_the_byte() {
    let head = ResponseHead::new(200).header("ETag", "\"x\"").number("x-amz-mp-parts-count", 3);
    let expected = concat!(
        "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nx-amz-mp-parts-count: 3\r\n",
        "x-amz-request-id: RID\r\nx-amz-id-2: HID\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "Server: Anode\r\nContent-Length: 1234567890\r\n\r\n",
    );
    assert_eq!(head.length(1_234_567_890).encode(&STAMP), expected);
}

#[test]
fn every_status_says_where_its_body_ends() {
    for status in 100..600 {
        for (head, length) in [
            (ResponseHead::new(status), BodyLength::Length(0)),
            (ResponseHead::new(status).length(u64::MAX), BodyLength::Length(u64::MAX)),
            (ResponseHead::new(status).chunked(), BodyLength::Chunked),
        ] {
            let response = read_back(head, Method::Get);
            let bodiless = status < 200 || status == 204 || status == 304;
            let expected = if bodiless { BodyLength::None } else { length };
            assert_eq!(response.body_length(), expected, "{status}");
            assert_eq!(body_allowed(Method::Get, status), !bodiless);
            let framed = response.header("content-length").is_some()
                || response.header("transfer-encoding").is_some();
            assert_eq!(framed, !bodiless, "{status}");
            assert_eq!(response.status, status);
        }
    }
}

#[test]
fn head_has_the_length_and_no_body() {
    let response = read_back(ResponseHead::new(200).length(42), Method::Head);
    assert_eq!(response.header("Content-Length"), Some("42"));
    assert_eq!(response.body_length(), BodyLength::None);
    assert!(!body_allowed(Method::Head, 200));
}

#[test]
fn every_response_is_stamped_and_may_close() {
    let response = read_back(ResponseHead::new(404), Method::Get);
    for (name, value) in [
        ("x-amz-request-id", STAMP.request_id),
        ("x-amz-id-2", STAMP.host_id),
        ("date", STAMP.date),
        ("server", "Anode"),
    ] {
        assert_eq!(response.header(name), Some(value));
    }
    assert!(response.keep_alive());
    assert!(!read_back(ResponseHead::new(400).close(), Method::Get).keep_alive());
}

#[test]
fn no_value_and_no_name_can_start_a_line() {
    for evil in ["a\r\nSet-Cookie: x", "a\n\nb", "\r\n\r\nHTTP/1.1 200 OK", "a\0b\u{7f}\u{1b}c"] {
        let head = ResponseHead::new(200)
            .header("x-amz-meta-a", evil)
            .header(&format!("x-amz-meta-{evil}"), "b");
        let response = read_back(head, Method::Get);
        assert_eq!(response.headers().count(), 7, "{evil:?}: {response:?}");
        let value = response.header("x-amz-meta-a").expect("it is there");
        assert!(!value.contains(char::is_control), "{value:?}");
    }
    let response = read_back(ResponseHead::new(200).header("x-amz-meta-a", "é\t😀"), Method::Get);
    assert_eq!(response.header("x-amz-meta-a"), Some("é\t😀"));
}

#[test]
fn what_frames_the_response_is_written_once() {
    let head = ResponseHead::new(200)
        .header("Content-Length", "9")
        .header("transfer-encoding", "chunked")
        .header("Date", "never")
        .header("CONNECTION", "close");
    let response = read_back(head, Method::Get);
    assert_eq!(response.body_length(), BodyLength::Length(0));
    assert_eq!(response.header("date"), Some(STAMP.date));
    assert!(response.keep_alive());
}

#[test]
fn a_client_refuses_a_response_without_a_clear_end() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 700 Odd\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 1\r\n\r\n",
    ] {
        let parsed = parse_response(&mut BytesMut::from(head.as_bytes()), Method::Get);
        parsed.expect_err(head);
    }
    let interim = parse_response(&mut BytesMut::from(crate::http::CONTINUE), Method::Put);
    let interim = interim.expect("accepted").expect("complete");
    assert_eq!((interim.status, interim.body_length()), (100, BodyLength::None));
}

#[test]
fn a_request_is_written_as_it_is_read() {
    let request = RequestHead::new("PUT", "/b/a%20b?x=y").header("Host", "h").header("X", "a\r\nb");
    let mut buffer = BytesMut::from(&request.encode()[..]);
    let head = parse_head(&mut buffer, &Limits::default()).expect("accepted").expect("complete");
    assert_eq!((head.method, head.path(), head.query()), (Method::Put, "/b/a%20b", Some("x=y")));
    assert_eq!((head.host(), head.header("x")), ("h", Some("a  b")));
}

#[test]
fn older_servers_are_understood_where_they_may_be() {
    for (head, lasts, length) in [
        ("HTTP/1.0 200 OK\r\nServer: x\r\n\r\n", true, BodyLength::None),
        ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", true, BodyLength::None),
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", false, BodyLength::Length(3)),
        ("HTTP/1.0 204 No Content\r\n\r\n", false, BodyLength::None),
    ] {
        assert!(parse_response(&mut BytesMut::from(head), Method::Post).is_err() || !lasts);
        let mut buffer = BytesMut::from(head);
        let response = parse_any_response(&mut buffer, Method::Post).unwrap().unwrap();
        assert_eq!((response.lasts_until_closed(), response.body_length()), (lasts, length));
        assert!(!response.keep_alive(), "{head}");
    }
    for ambiguous in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
    ] {
        let mut buffer = BytesMut::from(ambiguous);
        assert!(parse_any_response(&mut buffer, Method::Post).is_err(), "{ambiguous}");
    }
}
