//! Features that a request can ask for by a header and that Anode doesn't have.
//!
//! A request that asks for one is refused: an object stored without what its owner asked for would be stored wrong.

use crate::s3::error::Error;
use crate::s3::request::Headers;

/// Refuses such headers on any request to an object or bucket.
pub fn check(headers: Headers<'_>) -> Result<(), Error> {
    for (name, value) in headers.iter() {
        if name.starts_with("x-amz-") {
            check_header(name, value)?;
        }
    }
    Ok(())
}

fn check_header(name: &str, value: &str) -> Result<(), Error> {
    match name {
        "x-amz-bucket-namespace" if value != "global" => Err(Error::header_not_implemented(name)),
        "x-amz-object-lock-event-hold"
        | "x-amz-object-lock-event-hold-duration-days"
        | "x-amz-object-lock-event-hold-duration-years"
        | "x-amz-write-offset-bytes"
        | "x-amz-mfa"
        | "x-amz-object-annotation-directive"
        | "x-amz-rename-source" => Err(Error::header_not_implemented(name)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::error::ErrorCode;

    #[test]
    fn what_anode_lacks_is_refused() {
        let no = Some(ErrorCode::NotImplemented);
        for (name, value, expected) in [
            ("x-amz-server-side-encryption", "AES256", None),
            ("x-amz-object-lock-mode", "GOVERNANCE", None),
            ("x-amz-object-lock-event-hold", "ON", no),
            ("x-amz-write-offset-bytes", "0", no),
            ("x-amz-website-redirect-location", "/x", None),
            ("x-amz-storage-class", "STANDARD", None),
            ("x-amz-request-payer", "requester", None),
            ("x-amz-meta-anything", "x", None),
            ("x-amz-date", "20150830T123600Z", None),
        ] {
            let fields = [("host", "h"), (name, value)];
            let found = check(Headers::new(&fields)).err().map(|error| error.code());
            assert_eq!(found, expected, "{name}: {value}");
        }
    }
}
