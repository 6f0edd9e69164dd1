//! The checksums of S3: five named algorithms, MD5 for `ETag`s, and how the checksums of parts make one of an object.
//!
//! A [`Checksum`] is an algorithm and its digest; [`Hasher`] computes one over bytes as they come; [`Declared`] is what
//! a request says its body must have, in a header or in a trailer. Values from outside are strict base64 of exactly the
//! algorithm's length: anything else is refused before the body is read.

mod algorithm;
mod declared;
mod hasher;
mod md5;
mod object;
mod value;

pub use algorithm::{Algorithm, Kind};
pub use declared::{Declared, Place};
pub use hasher::Hasher;
pub use md5::Md5;
pub use object::{composite, full_object};
pub use value::Checksum;

/// Why a checksum was refused: an S3 error code and what was wrong with this request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
#[expect(clippy::error_impl_error, reason = "its module is its name")]
pub struct Error {
    /// The S3 error code: `InvalidRequest`, `InvalidDigest` or `BadDigest`, each answered with status 400.
    pub code: &'static str,
    /// What was wrong, for the client.
    pub message: String,
}

impl Error {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
