//! Why a request is refused before anyone looks at what it asks.

/// A request that HTTP itself refuses. The connection is closed after the answer: where the next request starts is not
/// known any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The HTTP status of the answer.
    pub status: u16,
    /// The `Code` of the S3 error.
    pub code: &'static str,
    /// The `Message` of the S3 error: what was wrong with this request.
    pub message: String,
}

impl Refusal {
    /// Not HTTP/1.1, or HTTP/1.1 that can be read in two ways.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self { status: 400, code: "BadRequest", message: message.into() }
    }

    /// The request target can't be decoded.
    pub(super) fn uri(message: impl Into<String>) -> Self {
        Self { status: 400, code: "InvalidURI", message: message.into() }
    }

    /// More head than the limits allow. S3 answers 400, not 431.
    pub(super) fn head_too_large(message: impl Into<String>) -> Self {
        Self { status: 400, code: "RequestHeaderSectionTooLarge", message: message.into() }
    }

    /// A feature of HTTP that is not there.
    pub(super) fn not_implemented(message: impl Into<String>) -> Self {
        Self { status: 501, code: "NotImplemented", message: message.into() }
    }

    /// Another version of HTTP.
    pub(super) fn version(message: impl Into<String>) -> Self {
        Self { status: 505, code: "HttpVersionNotSupported", message: message.into() }
    }

    /// An expectation other than `100-continue`.
    pub(super) fn expectation(message: impl Into<String>) -> Self {
        Self { status: 417, code: "ExpectationFailed", message: message.into() }
    }
}
