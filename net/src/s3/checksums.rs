//! The checksum headers of requests, beyond [`Declared`]: uploads, completions, and what Anode lacks.
//!
//! A checksum whose algorithm Anode doesn't have is refused, never skipped.

use crate::checksum::{Algorithm, Checksum, Declared, Kind};
use crate::s3::error::{Error, ErrorCode};
use crate::s3::limits::PART_NUMBER_MAX;
use crate::s3::request::Headers;

/// The checksum that an upload's parts and object get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadChecksum {
    /// Which algorithm.
    pub algorithm: Algorithm,
    /// What it is computed over.
    pub kind: Kind,
}

/// The checksum of a whole object, as the completion of its upload may state it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletionChecksum {
    /// Algorithm and digest.
    pub checksum: Checksum,
    /// How many parts a composite was made of, where the value says so.
    pub part_count: Option<u16>,
}

const PREFIX: &str = "x-amz-checksum-";

/// Algorithms of AWS that Anode doesn't have.
const ALGORITHMS_MISSING: [&str; 5] = ["sha512", "md5", "xxhash64", "xxhash3", "xxhash128"];

/// The checksum of a request's body, from its header or the announcement of its trailer.
pub fn of_body(headers: Headers<'_>) -> Result<Option<Declared>, Error> {
    for (field, value) in headers.iter() {
        if field == "x-amz-trailer" {
            value.split(',').try_for_each(|trailer| refuse_missing(trailer.trim()))?;
        } else {
            refuse_missing(field)?;
        }
    }
    Ok(Declared::of(headers.iter())?)
}

/// The checksum of a whole upload that `CompleteMultipartUpload` may carry in a header.
pub fn of_completion(headers: Headers<'_>) -> Result<Option<CompletionChecksum>, Error> {
    let mut found = None;
    for (field, value) in headers.iter() {
        refuse_missing(field)?;
        let Some(algorithm) = Algorithm::from_header(field) else { continue };
        if found.is_some() {
            return Err(Error::with_message(
                ErrorCode::InvalidRequest,
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ));
        }
        found = Some(completion(algorithm, value)?);
    }
    Ok(found)
}

/// `x-amz-checksum-type`.
pub fn kind(headers: Headers<'_>) -> Result<Option<Kind>, Error> {
    Ok(headers.filled("x-amz-checksum-type").map(Kind::from_name).transpose()?)
}

/// `x-amz-checksum-algorithm`, of uploads and copies.
pub fn algorithm(headers: Headers<'_>) -> Result<Option<Algorithm>, Error> {
    Ok(headers.filled("x-amz-checksum-algorithm").map(Algorithm::from_name).transpose()?)
}

/// The checksum that `CreateMultipartUpload` asks for.
pub fn of_upload(headers: Headers<'_>) -> Result<Option<UploadChecksum>, Error> {
    let (algorithm, kind) = (algorithm(headers)?, kind(headers)?);
    let Some(algorithm) = algorithm else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(Error::with_message(
                ErrorCode::InvalidRequest,
                "The x-amz-checksum-type header can only be used with the \
                 x-amz-checksum-algorithm header.",
            )),
        };
    };
    let kind = kind.unwrap_or_else(|| algorithm.default_kind());
    if !algorithm.allows(kind) {
        let message = format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            kind.name(),
            algorithm.name().to_ascii_lowercase()
        );
        return Err(Error::with_message(ErrorCode::InvalidRequest, message));
    }
    Ok(Some(UploadChecksum { algorithm, kind }))
}

/// Whether `x-amz-checksum-mode` asks for checksums in the response.
pub fn wanted(headers: Headers<'_>) -> bool {
    headers.get("x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("ENABLED"))
}

fn completion(algorithm: Algorithm, value: &str) -> Result<CompletionChecksum, Error> {
    let Some((digest, count)) = value.split_once('-') else {
        let checksum = Checksum::parse(algorithm, value)?;
        return Ok(CompletionChecksum { checksum, part_count: None });
    };
    let checksum = Checksum::parse(algorithm, digest)?;
    let count = count.parse().ok().filter(|count| (1..=PART_NUMBER_MAX).contains(count));
    if count.is_none() {
        let message = format!("Value for {} header is invalid.", algorithm.header());
        return Err(Error::with_message(ErrorCode::InvalidRequest, message));
    }
    Ok(CompletionChecksum { checksum, part_count: count })
}

fn refuse_missing(field: &str) -> Result<(), Error> {
    let name = field.split_at_checked(PREFIX.len());
    let missing = name.is_some_and(|(prefix, name)| {
        prefix.eq_ignore_ascii_case(PREFIX)
            && ALGORITHMS_MISSING.iter().any(|missing| missing.eq_ignore_ascii_case(name))
    });
    if missing { Err(Error::header_not_implemented(field)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Place;

    type Fields = &'static [(&'static str, &'static str)];

    #[test]
    fn a_body_declares_what_anode_has() {
        let no = Err(ErrorCode::NotImplemented);
        for (fields, expected) in [
            (&[] as Fields, Ok(None)),
            (&[("x-amz-checksum-mode", "ENABLED")], Ok(None)),
            (&[("x-amz-trailer", "x-amz-checksum-crc32")], Ok(Some(Place::Trailer))),
            (&[("x-amz-trailer", "x, X-Amz-Checksum-XXHASH3")], no),
            (&[("x-amz-checksum-xxhash64", "AAAAAAAAAAA=")], no),
            (&[("x-amz-checksum-md4", "AAAA")], Err(ErrorCode::InvalidRequest)),
            (&[("x-amz-checksum-crc32", "AAAA")], Err(ErrorCode::InvalidRequest)),
        ] {
            let found = of_body(Headers::new(fields))
                .map(|declared| declared.map(|declared| declared.place))
                .map_err(|error| error.code());
            assert_eq!(found, expected, "{fields:?}");
        }
    }

    #[test]
    fn uploads_combine_algorithm_and_type() {
        let bad = Err(ErrorCode::InvalidRequest);
        for (algorithm, kind, expected) in [
            ("", "", Ok(None)),
            ("CRC32", "", Ok(Some(Kind::Composite))),
            ("crc64nvme", "", Ok(Some(Kind::FullObject))),
            ("CRC32C", "FULL_OBJECT", Ok(Some(Kind::FullObject))),
            ("SHA256", "FULL_OBJECT", bad),
            ("CRC64NVME", "COMPOSITE", bad),
            ("", "COMPOSITE", bad),
            ("MD5", "", bad),
            ("CRC32", "HALF", bad),
        ] {
            let fields = [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", kind)];
            let found = of_upload(Headers::new(&fields))
                .map(|upload| upload.map(|upload| upload.kind))
                .map_err(|error| error.code());
            assert_eq!(found, expected, "{fields:?}");
        }
    }

    #[test]
    fn a_completion_may_name_a_composite() {
        for (value, expected) in [
            ("AAAAAA==", Some(None)),
            ("AAAAAA==-12", Some(Some(12))),
            ("AAAAAA==-0", None),
            ("AAAAAA==-10001", None),
            ("AAAAAA==-", None),
            ("AAAA-1", None),
        ] {
            let fields = [("x-amz-checksum-crc32", value)];
            let found = of_completion(Headers::new(&fields)).ok().flatten();
            assert_eq!(found.map(|found| found.part_count), expected, "{value}");
        }
        let two = [("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-checksum-crc32c", "AAAAAA==")];
        assert_eq!(
            of_completion(Headers::new(&two)).unwrap_err().code(),
            ErrorCode::InvalidRequest
        );
    }
}
