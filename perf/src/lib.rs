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

/// A policy of nearly 20 KiB: half of its statements are of another action, a quarter of another prefix, the others don't let
/// this address in.
pub fn large_policy() -> String {
    let statement = |nth: usize| {
        let action = ["s3:PutObject", "s3:DeleteObject", "s3:GetObject", "s3:Get*"][nth % 4];
        let path = if nth % 4 == 2 { format!("team-{nth}/*") } else { "*".to_owned() };
        format!(
            r#"{{"Sid":"s{nth}","Effect":"Allow","Principal":"*","Action":"{action}","Resource":"arn:aws:s3:::bucket/{path}","Condition":{{"IpAddress":{{"aws:SourceIp":"192.0.{nth}.0/24"}}}}}}"#
        )
    };
    let mut statements = Vec::new();
    let mut bytes = 64;
    for nth in 0.. {
        let next = statement(nth);
        bytes += next.len() + 1;
        if bytes > 20 * 1024 {
            break;
        }
        statements.push(next);
    }
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}
