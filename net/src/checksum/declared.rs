//! What a request declares about the checksum of its body.
//!
//! At most one algorithm: its value in a header before the body, or in a trailer after it. `x-amz-sdk-checksum-algorithm`
//! names the algorithm once more and must agree.

use super::{Algorithm, Checksum, Error};

/// Headers that begin like a checksum's but carry none.
const NOT_VALUES: [&str; 3] =
    ["x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"];

/// The checksum that a request's body must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The algorithm to compute while the body arrives.
    pub algorithm: Algorithm,
    /// Where its value is.
    pub place: Place,
}

/// Where a declared checksum's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a header: this value.
    Header(Checksum),
    /// In the trailer of the algorithm's header name, announced by `x-amz-trailer`.
    Trailer,
}

impl Declared {
    /// Reads the headers of a request with a body: names in lower case, values as sent.
    ///
    /// Refuses (`InvalidRequest`) two checksums, a malformed one, one of an unknown algorithm, and an
    /// `x-amz-sdk-checksum-algorithm` that no checksum follows. For operations that send a body: elsewhere
    /// (`CompleteMultipartUpload`, say) these headers mean something else.
    pub fn of<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Option<Self>, Error> {
        let mut declared = None;
        let mut announced = None;
        for (name, value) in headers {
            let value = value.trim_matches([' ', '\t']);
            if name == "x-amz-trailer" {
                let trailers = value.split(',').map(|trailer| trailer.trim_matches([' ', '\t']));
                trailers.filter_map(Algorithm::from_header).try_for_each(|algorithm| {
                    declare(&mut declared, Self { algorithm, place: Place::Trailer })
                })?;
            } else if name == "x-amz-sdk-checksum-algorithm" {
                let algorithm = Algorithm::from_name(value).map_err(|error| {
                    Error::new(
                        error.code,
                        "Value for x-amz-sdk-checksum-algorithm header is invalid.",
                    )
                })?;
                announced = Some(algorithm);
            } else if let Some(value) = header_value(name, value)? {
                declare(
                    &mut declared,
                    Self { algorithm: value.algorithm(), place: Place::Header(value) },
                )?;
            }
        }
        match (announced, &declared) {
            (Some(_), None) => Err(Error::new(
                "InvalidRequest",
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer \
                 headers were found.",
            )),
            (Some(announced), Some(found)) if announced != found.algorithm => Err(Error::new(
                "InvalidRequest",
                "Value for x-amz-sdk-checksum-algorithm header is invalid.",
            )),
            _ => Ok(declared),
        }
    }

    /// The value the body must have, now that its trailers (names in lower case) are read.
    ///
    /// `InvalidRequest` when the trailer is missing or malformed.
    pub fn expected(&self, trailers: &[(String, String)]) -> Result<Checksum, Error> {
        match self.place {
            Place::Header(value) => Ok(value),
            Place::Trailer => {
                let name = self.algorithm.header();
                let value = trailers
                    .iter()
                    .find(|(trailer, _)| trailer == name)
                    .map_or("", |(_, value)| value);
                Checksum::parse(self.algorithm, value)
            }
        }
    }
}

/// The checksum that a header carries, if it is one of those.
fn header_value(name: &str, value: &str) -> Result<Option<Checksum>, Error> {
    if !name.starts_with("x-amz-checksum-") || NOT_VALUES.contains(&name) {
        return Ok(None);
    }
    let algorithm = Algorithm::from_header(name).ok_or_else(|| {
        Error::new(
            "InvalidRequest",
            "The algorithm type you specified in x-amz-checksum- header is invalid.",
        )
    })?;
    Checksum::parse(algorithm, value).map(Some)
}

fn declare(declared: &mut Option<Declared>, next: Declared) -> Result<(), Error> {
    if declared.replace(next).is_some() {
        return Err(Error::new(
            "InvalidRequest",
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Declared, Place};

    const CRC32: (&str, &str) = ("x-amz-checksum-crc32", "AAAAAA==");

    fn refused(headers: &[(&str, &str)]) -> String {
        let error = Declared::of(headers.iter().copied()).unwrap_err();
        assert_eq!(error.code, "InvalidRequest");
        error.message
    }

    #[test]
    fn a_header_or_a_trailer_declares() {
        let declared =
            Declared::of([("host", "a"), CRC32, ("x-amz-sdk-checksum-algorithm", "CRC32")])
                .unwrap()
                .unwrap();
        assert_eq!(declared.algorithm, Algorithm::Crc32);
        assert_eq!(declared.expected(&[]).unwrap().bytes(), [0; 4]);
        let declared =
            Declared::of([("x-amz-trailer", "X-Amz-Checksum-Crc64nvme")]).unwrap().unwrap();
        assert_eq!(declared.place, Place::Trailer);
        let trailers = [("x-amz-checksum-crc64nvme".to_owned(), "AAAAAAAAAAA=".to_owned())];
        assert_eq!(declared.expected(&trailers).unwrap().bytes(), [0; 8]);
        assert_eq!(declared.expected(&[]).map_err(|error| error.code), Err("InvalidRequest"));
        let other = [
            ("x-amz-checksum-algorithm", "CRC32"),
            ("x-amz-checksum-type", "COMPOSITE"),
            ("x-amz-checksum-mode", "ENABLED"),
        ];
        assert_eq!(Declared::of(other), Ok(None));
    }

    #[test]
    fn what_is_ambiguous_or_unknown_is_refused() {
        let sha1 = ("x-amz-checksum-sha1", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        for two in
            [[CRC32, sha1], [CRC32, CRC32], [CRC32, ("x-amz-trailer", "x-amz-checksum-crc32")]]
        {
            assert!(refused(&two).starts_with("Expecting a single"), "{two:?}");
        }
        assert!(
            refused(&[("x-amz-trailer", "x-amz-checksum-crc32, x-amz-checksum-sha1")])
                .starts_with("Expecting a single")
        );
        assert!(
            refused(&[("x-amz-checksum-crc32", "AAAA")])
                .contains("x-amz-checksum-crc32 header is invalid")
        );
        assert!(refused(&[("x-amz-checksum-md4", "AAAA")]).starts_with("The algorithm type"));
        assert!(refused(&[("x-amz-sdk-checksum-algorithm", "CRC32")]).contains("no corresponding"));
        assert!(
            refused(&[CRC32, ("x-amz-sdk-checksum-algorithm", "SHA256")])
                .starts_with("Value for x-amz-sdk")
        );
        assert!(
            refused(&[CRC32, ("x-amz-sdk-checksum-algorithm", "FOO")])
                .starts_with("Value for x-amz-sdk")
        );
    }
}
