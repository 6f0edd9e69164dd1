//! S3's errors: what was wrong with this request, and the XML that says so.
//!
//! The codes, their statuses and default messages are one table in [`code`].

pub mod code;
mod below;
mod page;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

pub use code::ErrorCode;

use crate::s3::xml::write::Document;

/// One S3 error: it becomes the body of a response.
#[expect(clippy::error_impl_error, reason = "it is read as `s3::Error`, as in the other modules")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: ErrorCode,
    message: Cow<'static, str>,
    details: Option<Box<Details>>,
}

/// What few errors have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Details {
    fields: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
}

/// What an error's body says about the request besides the error.
#[derive(Clone, Copy, Debug)]
pub struct ErrorContext<'a> {
    /// The path that was asked for, undecoded.
    pub resource: &'a str,
    /// `x-amz-request-id`.
    pub request_id: &'a str,
    /// `x-amz-id-2`.
    pub host_id: &'a str,
}

impl Error {
    /// An error with the code's own message.
    pub fn new(code: ErrorCode) -> Self {
        Self { code, message: Cow::Borrowed(code.message()), details: None }
    }

    /// An error that says what was wrong with this request.
    pub fn with_message(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: None }
    }

    /// `InvalidArgument` about one named argument.
    pub fn argument(
        message: impl Into<Cow<'static, str>>,
        name: &'static str,
        value: impl Into<String>,
    ) -> Self {
        Self::with_message(ErrorCode::InvalidArgument, message)
            .field("ArgumentName", name)
            .field("ArgumentValue", value)
    }

    /// `NotImplemented` for a header whose feature Anode does not have.
    pub fn header_not_implemented(header: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotImplemented).field("Header", header)
    }

    /// `NotImplemented` for an operation of AWS S3 that Anode does not have.
    pub fn operation_not_implemented(name: &str) -> Self {
        Self::with_message(ErrorCode::NotImplemented, format!("{name} is not implemented."))
    }

    /// `NoSuchKey` naming the key.
    pub fn no_such_key(key: &str) -> Self {
        Self::new(ErrorCode::NoSuchKey).field("Key", key)
    }

    /// `NoSuchBucket` naming the bucket.
    pub fn no_such_bucket(bucket: &str) -> Self {
        Self::new(ErrorCode::NoSuchBucket).field("BucketName", bucket)
    }

    /// `PreconditionFailed` naming the condition, for instance `If-Match`.
    pub fn precondition_failed(condition: &str) -> Self {
        Self::new(ErrorCode::PreconditionFailed).field("Condition", condition)
    }

    /// Adds an element to the body, for instance `BucketName`.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.get_or_insert_default().fields.push((name, value.into()));
        self
    }

    /// Adds a header to the response, for instance `x-amz-delete-marker`.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.get_or_insert_default().headers.push((name, value.into()));
        self
    }

    /// Its code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Its HTTP status.
    pub fn status(&self) -> u16 {
        self.code.status()
    }

    /// What it says.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The elements beside code and message, in order.
    pub fn fields(&self) -> &[(&'static str, String)] {
        self.details.as_ref().map_or(&[], |details| &details.fields)
    }

    /// The headers of the response that it has of its own, in order.
    pub fn headers(&self) -> &[(&'static str, String)] {
        self.details.as_ref().map_or(&[], |details| &details.headers)
    }

    /// The body of the response. Responses to HEAD and with status 304 go without it.
    pub fn to_xml(&self, context: &ErrorContext<'_>) -> Bytes {
        let mut document = Document::new();
        document.open("Error");
        document.text("Code", self.code.name());
        document.text("Message", &self.message);
        for (name, value) in self.fields() {
            document.text(name, value);
        }
        document.text("Resource", context.resource);
        document.text("RequestId", context.request_id);
        document.text("HostId", context.host_id);
        document.close("Error");
        document.finish()
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: ErrorContext<'static> =
        ErrorContext { resource: "/b/a%26b", request_id: "0123456789ABCDEF", host_id: "host" };

    #[test]
    fn the_body_is_what_aws_sends() {
        let body = Error::no_such_key("a&b\u{1}").to_xml(&CONTEXT);
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code>\
             <Message>The specified key does not exist.</Message><Key>a&amp;b&#x1;</Key>\
             <Resource>/b/a%26b</Resource><RequestId>0123456789ABCDEF</RequestId>\
             <HostId>host</HostId></Error>"
        );
    }

    #[test]
    fn an_error_is_small_and_says_its_code() {
        assert!(size_of::<Error>() <= 40);
        let error = Error::argument("bad", "max-keys", "x");
        assert_eq!((error.status(), error.to_string().as_str()), (400, "InvalidArgument: bad"));
        assert_eq!(error.fields()[1], ("ArgumentValue", "x".to_owned()));
    }
}
