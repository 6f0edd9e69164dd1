//! Refusals of IAM and STS.

use std::borrow::Cow;
use std::fmt;

use crate::s3;

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::error_impl_error, reason = "its module is its name")]
pub struct Error {
    code: &'static str,
    status: u16,
    message: Cow<'static, str>,
}

impl Error {
    /// A refusal by its code.
    pub fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let status = match code {
            "AccessDenied" | "InvalidClientTokenId" | "MissingAuthenticationToken" => 403,
            "NoSuchEntity" => 404,
            "EntityAlreadyExists" | "DeleteConflict" | "LimitExceeded" => 409,
            "ServiceFailure" => 500,
            "ServiceUnavailable" => 503,
            _ => 400,
        };
        Self { code, status, message: message.into() }
    }

    /// `ValidationError`: a parameter is missing or isn't what it has to be.
    pub fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("ValidationError", message)
    }

    /// `NoSuchEntity`: what is named isn't there.
    pub fn no_such(sort: &str, name: &str) -> Self {
        Self::new("NoSuchEntity", format!("The {sort} with name {name} cannot be found."))
    }

    /// `EntityAlreadyExists`.
    pub fn exists(sort: &str, name: &str) -> Self {
        Self::new("EntityAlreadyExists", format!("{sort} with name {name} already exists."))
    }

    /// `DeleteConflict`: something hangs on what is to be deleted.
    pub fn conflict(message: &'static str) -> Self {
        Self::new("DeleteConflict", message)
    }

    /// `AccessDenied`, saying what is missing.
    pub fn denied(arn: &str, action: &str, resource: &str) -> Self {
        Self::new(
            "AccessDenied",
            format!("User: {arn} is not authorized to perform: {action} on resource: {resource}"),
        )
    }

    /// Its code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Its HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What it says.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {}

impl From<s3::Error> for Error {
    /// Signatures and bodies are refused alike, but for some names.
    fn from(error: s3::Error) -> Self {
        let name = error.code().name();
        let code = match name {
            "InvalidAccessKeyId" | "InvalidToken" => "InvalidClientTokenId",
            "MalformedPolicy" => "MalformedPolicyDocument",
            "SlowDown" => "Throttling",
            "InternalError" => "ServiceFailure",
            _ => name,
        };
        Self { code, status: error.status(), message: Cow::Owned(error.message().to_owned()) }
    }
}
