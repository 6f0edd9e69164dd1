//! Refusals of the layers below S3 become S3 errors, by the names of their codes.

use crate::checksum;
use crate::http::limits::FORM_BYTES_MAX;
use crate::http::{FormError, Refusal};
use crate::s3::error::{Error, ErrorCode};
use crate::sigv4;

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::with_message(named(refusal.code), refusal.message)
    }
}

impl From<checksum::Error> for Error {
    fn from(error: checksum::Error) -> Self {
        Self::with_message(named(error.code), error.message)
    }
}

impl From<sigv4::Error> for Error {
    fn from(error: sigv4::Error) -> Self {
        let said = Self::with_message(named(error.code), error.message);
        let fields = error.fields.into_vec().into_iter();
        fields.fold(said, |said, (name, value)| said.field(name, value))
    }
}

impl From<FormError> for Error {
    fn from(error: FormError) -> Self {
        match error {
            FormError::NotForm => Self::precondition_failed(
                "Bucket POST must be of the enclosure-type multipart/form-data",
            ),
            FormError::Malformed(what) => {
                let message = ErrorCode::MalformedPOSTRequest.message();
                Self::with_message(ErrorCode::MalformedPOSTRequest, format!("{message} ({what})"))
            }
            FormError::TooLarge => Self::new(ErrorCode::MaxPostPreDataLengthExceeded)
                .field("MaxPostPreDataLengthBytes", FORM_BYTES_MAX.to_string()),
        }
    }
}

/// The table holds every code in use; one that is missing there is our fault, not the client's.
fn named(code: &str) -> ErrorCode {
    ErrorCode::from_name(code).unwrap_or(ErrorCode::InternalError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_in_use_below_are_in_the_table() {
        for (code, status) in [
            ("AccessDenied", 403),
            ("AuthorizationHeaderMalformed", 400),
            ("AuthorizationQueryParametersError", 400),
            ("BadDigest", 400),
            ("BadRequest", 400),
            ("ExpectationFailed", 417),
            ("HttpVersionNotSupported", 505),
            ("IncompleteBody", 400),
            ("InvalidArgument", 400),
            ("InvalidChunkSizeError", 403),
            ("InvalidDigest", 400),
            ("InvalidRequest", 400),
            ("InvalidURI", 400),
            ("MalformedTrailerError", 400),
            ("MissingContentLength", 411),
            ("NotImplemented", 501),
            ("RequestHeaderSectionTooLarge", 400),
            ("RequestTimeTooSkewed", 403),
            ("SignatureDoesNotMatch", 403),
            ("XAmzContentSHA256Mismatch", 400),
        ] {
            assert_eq!((named(code).name(), named(code).status()), (code, status));
        }
    }

    #[test]
    fn forms_are_refused_as_aws_does() {
        for (below, status, code) in [
            (FormError::NotForm, 412, "PreconditionFailed"),
            (FormError::Malformed("x"), 400, "MalformedPOSTRequest"),
            (FormError::TooLarge, 400, "MaxPostPreDataLengthExceeded"),
        ] {
            let error = Error::from(below);
            assert_eq!((error.status(), error.code().name()), (status, code));
        }
    }

    #[test]
    fn message_and_fields_are_kept() {
        let below = sigv4::Error {
            code: "SignatureDoesNotMatch",
            message: "no".to_owned(),
            fields: Box::new([("StringToSign", "s".to_owned())]),
        };
        let error = Error::from(below);
        assert_eq!((error.status(), error.message()), (403, "no"));
        assert_eq!(error.fields(), [("StringToSign", "s".to_owned())]);
    }
}
