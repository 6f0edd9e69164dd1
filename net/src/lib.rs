//! Bytes to requests and back: HTTP/1.1 on httparse, S3 operations and XML, SigV4, IAM policies and calls, tokens of `OpenID` Connect,
//! TLS. No storage, no clock.
//!
//! Protocol logic is pure: it takes bytes and returns what to do. Only [`stream`] and [`tls`] do I/O.

#![forbid(unsafe_code)]

pub mod checksum;
pub mod http;
pub mod iam;
pub mod oidc;
pub mod policy;
pub mod s3;
pub mod sigv4;
pub mod stream;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tls;

pub use stream::Stream;
