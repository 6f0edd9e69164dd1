//! What the micro-benchmarks share: one small PUT as a client sends it.

#![forbid(unsafe_code)]

use anode_net::{
    http::{Head, Limits, client::RequestHead, parse_head},
    sigv4::{PayloadMode, RequestParts, Signer},
};
use bytes::{Bytes, BytesMut};

/// The access key of the sample.
pub const ACCESS_KEY: &str = "AKPERFORMANCE0000000";
/// Its secret.
pub const SECRET: &str = "a-secret-of-forty-letters-for-benchmarks";
/// When the sample was signed, in seconds since 1970.
pub const NOW_SECONDS: i64 = 1_767_225_600;

/// The head of a signed PUT of 1 KiB.
pub fn put_head() -> Bytes {
    let path = "/bucket/key-000000000042";
    let headers = [("host", "127.0.0.1:9000"), ("content-length", "1024")];
    let parts = RequestParts { method: "PUT", path, query: "", headers: &headers };
    let signer = Signer::new(ACCESS_KEY, SECRET, "us-east-1");
    let signed =
        signer.sign(&parts, PayloadMode::Unsigned, NOW_SECONDS).expect("the sample can be signed");
    let head = RequestHead::new("PUT", path);
    let head = headers.iter().fold(head, |head, (name, value)| head.header(name, value));
    signed.headers.iter().fold(head, |head, (name, value)| head.header(name, value)).encode()
}

/// The same, parsed.
pub fn parsed(head: &Bytes) -> Head {
    let mut buffer = BytesMut::from(&head[..]);
    let parsed = parse_head(&mut buffer, &Limits::default());
    parsed.expect("the sample is HTTP").expect("the sample is whole")
}
