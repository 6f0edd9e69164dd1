//! A refusal: the S3 error code, a message, and the further elements that AWS puts into the XML body.

use std::fmt;

/// Why a request was refused.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
#[expect(clippy::error_impl_error, reason = "its module is its name")]
pub struct Error {
    /// The S3 error code.
    pub code: &'static str,
    /// What was wrong with this request, for the client.
    pub message: String,
    /// Further elements of the XML error, by name. For the client that sent the request only, never for logs: they repeat
    /// its signature and tokens.
    pub fields: Box<[(&'static str, String)]>,
}

impl Error {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fields: Box::default() }
    }

    pub(super) fn with(self, fields: impl Into<Box<[(&'static str, String)]>>) -> Self {
        Self { fields: fields.into(), ..self }
    }

    /// The HTTP status that S3 sends with the code.
    pub fn status(&self) -> u16 {
        match self.code {
            "AccessDenied"
            | "SignatureDoesNotMatch"
            | "RequestTimeTooSkewed"
            | "InvalidChunkSizeError" => 403,
            "MissingContentLength" => 411,
            _ => 400,
        }
    }

    /// A signature that is not the one computed.
    pub(super) fn mismatch() -> Self {
        Self::new(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and signing \
             method.",
        )
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}
