//! `response-*` parameters: headers that a reader asks to be answered with.

use crate::s3::error::Error;
use crate::s3::limits::HEADER_BYTES_MAX;
use crate::s3::query::Query;

/// Values that take the place of the object's own headers; for signed requests only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `response-content-type`.
    pub content_type: Option<String>,
    /// `response-content-encoding`.
    pub content_encoding: Option<String>,
    /// `response-content-language`.
    pub content_language: Option<String>,
    /// `response-content-disposition`.
    pub content_disposition: Option<String>,
    /// `response-cache-control`.
    pub cache_control: Option<String>,
    /// `response-expires`.
    pub expires: Option<String>,
}

impl Overrides {
    /// Reads them; refuses what can't stand in a header.
    pub fn parse(query: &Query) -> Result<Self, Error> {
        let value = |name: &'static str| match query.filled(name) {
            Some(value)
                if value.len() > HEADER_BYTES_MAX || value.chars().any(char::is_control) =>
            {
                Err(Error::argument("Invalid header value for a response.", name, value))
            }
            value => Ok(value.map(str::to_owned)),
        };
        Ok(Self {
            content_type: value("response-content-type")?,
            content_encoding: value("response-content-encoding")?,
            content_language: value("response-content-language")?,
            content_disposition: value("response-content-disposition")?,
            cache_control: value("response-cache-control")?,
            expires: value("response-expires")?,
        })
    }

    /// Whether there is none. Anonymous requests may have none: see [`Overrides::anonymous_error`].
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What an anonymous request with overrides is answered with.
    pub fn anonymous_error() -> Error {
        Error::with_message(
            crate::s3::ErrorCode::InvalidRequest,
            "Request specific response headers cannot be used for anonymous GET requests.",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::headers::ObjectHeaders;

    #[test]
    fn they_take_the_place_of_the_objects_headers() {
        let query = Query::parse("response-content-type=text%2Fhtml&response-expires=0").unwrap();
        let overrides = Overrides::parse(&query).unwrap();
        let object = ObjectHeaders {
            content_type: Some("text/plain".to_owned()),
            cache_control: Some("no-store".to_owned()),
            ..ObjectHeaders::default()
        };
        assert_eq!(
            object.emit(&overrides),
            [
                ("content-type".into(), "text/html".into()),
                ("cache-control".into(), "no-store".into()),
                ("expires".into(), "0".into())
            ]
        );
        assert!(!overrides.is_empty());
    }

    #[test]
    fn they_cannot_split_a_response() {
        let query = Query::parse("response-content-type=a%0d%0aset-cookie:b").unwrap();
        Overrides::parse(&query).unwrap_err();
    }
}
