//! `QuotaConfiguration`: how much a bucket may hold. It is no document of AWS; `docs/api.md` describes it.

use bytes::Bytes;

use crate::s3::error::Error;
use crate::s3::xml::read::{Elements, malformed};
use crate::s3::xml::write::Document;

const ROOT: &str = "QuotaConfiguration";

/// How much a bucket may hold: before people are told, and at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Above this, people are told.
    pub soft: Option<Limits>,
    /// Above this, writes are refused.
    pub hard: Option<Limits>,
}

/// One limit, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, of all versions and of the parts of unfinished uploads.
    pub bytes: Option<u64>,
    /// Versions; delete markers are none.
    pub objects: Option<u64>,
}

/// How much is in a bucket, as it is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Objects.
    pub objects: u64,
    /// Versions, those of the objects included.
    pub versions: u64,
    /// Delete markers.
    pub markers: u64,
    /// Bytes of all versions.
    pub bytes: u64,
    /// Bytes of the parts of unfinished uploads.
    pub part_bytes: u64,
}

impl Quota {
    /// Reads the document. What it says of the use is passed over, so that what was got can be put.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let mut elements = Elements::open(body, ROOT)?;
        let mut quota = Self::default();
        while let Some(name) = elements.child()? {
            let limits = match name.as_str() {
                "Soft" => &mut quota.soft,
                "Hard" => &mut quota.hard,
                "Usage" => {
                    elements.skip()?;
                    continue;
                }
                _ => return Err(malformed()),
            };
            if limits.replace(Limits::read(&mut elements)?).is_some() {
                return Err(malformed());
            }
        }
        elements.finish()?;
        if quota == Self::default() { Err(malformed()) } else { Ok(quota) }
    }

    /// The document, as it is kept.
    pub fn document(self) -> Bytes {
        let mut document = Document::with_root(ROOT);
        self.write(&mut document);
        document.close(ROOT);
        document.finish()
    }

    fn write(self, document: &mut Document) {
        for (name, limits) in [("Soft", self.soft), ("Hard", self.hard)] {
            if let Some(limits) = limits {
                document.open(name);
                limits.write(document);
                document.close(name);
            }
        }
    }
}

impl Limits {
    fn read(elements: &mut Elements<'_>) -> Result<Self, Error> {
        let mut limits = Self::default();
        while let Some(name) = elements.child()? {
            let limit = match name.as_str() {
                "Bytes" => &mut limits.bytes,
                "Objects" => &mut limits.objects,
                _ => return Err(malformed()),
            };
            let text = elements.word()?;
            // Digits only: a number with a sign isn't one here.
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|_| is_number).ok_or_else(malformed)?;
            if limit.replace(number).is_some() {
                return Err(malformed());
            }
        }
        if limits == Self::default() { Err(malformed()) } else { Ok(limits) }
    }

    /// Whether a bucket holds more than this.
    pub fn is_exceeded(self, used: &Used) -> bool {
        let bytes = used.bytes.saturating_add(used.part_bytes);
        self.bytes.is_some_and(|most| bytes > most)
            || self.objects.is_some_and(|most| used.versions > most)
    }

    fn write(self, document: &mut Document) {
        if let Some(bytes) = self.bytes {
            document.number("Bytes", bytes);
        }
        if let Some(objects) = self.objects {
            document.number("Objects", objects);
        }
    }
}

/// The quota of a bucket, if it has one, and what it holds.
pub fn report(quota: Option<Quota>, used: &Used) -> Bytes {
    let mut document = Document::with_root(ROOT);
    if let Some(quota) = quota {
        quota.write(&mut document);
    }
    document.open("Usage");
    document.number("Objects", used.objects);
    document.number("Versions", used.versions);
    document.number("DeleteMarkers", used.markers);
    document.number("Bytes", used.bytes);
    document.number("UploadBytes", used.part_bytes);
    let quota = quota.unwrap_or_default();
    let is_exceeded =
        |limits: Option<Limits>| limits.is_some_and(|limits| limits.is_exceeded(used));
    document.flag("SoftExceeded", is_exceeded(quota.soft));
    document.flag("HardExceeded", is_exceeded(quota.hard));
    document.close("Usage");
    document.close(ROOT);
    document.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::ErrorCode;

    fn read(inside: &str) -> Result<Quota, ErrorCode> {
        let document = format!("<{ROOT}>{inside}</{ROOT}>");
        Quota::read(document.as_bytes()).map_err(|error| error.code())
    }

    #[test]
    fn what_is_understood_is_taken_and_nothing_else() {
        let bytes = Limits { bytes: Some(10), objects: None };
        let both = Limits { bytes: Some(10), objects: Some(2) };
        let none = Limits { bytes: None, objects: Some(0) };
        for (inside, expected) in [
            ("<Soft><Bytes>10</Bytes></Soft>", Ok((Some(bytes), None))),
            (
                "<Usage><Bytes>5</Bytes></Usage><Soft><Objects>2</Objects><Bytes>10</Bytes></Soft>",
                Ok((Some(both), None)),
            ),
            ("<Soft><Objects>0</Objects></Soft>", Ok((Some(none), None))),
            ("<Hard><Bytes>10</Bytes></Hard>", Ok((None, Some(bytes)))),
            (
                "<Hard><Objects>0</Objects></Hard><Soft><Bytes>10</Bytes></Soft>",
                Ok((Some(bytes), Some(none))),
            ),
            ("", Err(ErrorCode::MalformedXML)),
            ("<Soft/>", Err(ErrorCode::MalformedXML)),
            ("<Soft><Bytes>10</Bytes></Soft><Hard/>", Err(ErrorCode::MalformedXML)),
            (
                "<Hard><Bytes>1</Bytes></Hard><Hard><Bytes>1</Bytes></Hard>",
                Err(ErrorCode::MalformedXML),
            ),
            ("<Soft><Bytes>+1</Bytes></Soft>", Err(ErrorCode::MalformedXML)),
            ("<Soft><Bytes>-1</Bytes></Soft>", Err(ErrorCode::MalformedXML)),
            ("<Soft><Bytes/></Soft>", Err(ErrorCode::MalformedXML)),
            ("<Soft><Bytes>1</Bytes><Bytes>1</Bytes></Soft>", Err(ErrorCode::MalformedXML)),
            ("<Soft><Bytes>18446744073709551616</Bytes></Soft>", Err(ErrorCode::MalformedXML)),
            ("<Other/>", Err(ErrorCode::MalformedXML)),
        ] {
            let expected = expected.map(|(soft, hard)| Quota { soft, hard });
            assert_eq!(read(inside), expected, "{inside}");
        }
    }

    #[test]
    fn a_report_can_be_put_and_says_whether_it_is_too_much() {
        let limits = Limits { bytes: Some(10), objects: Some(2) };
        let twice = Limits { bytes: Some(20), objects: None };
        let quota = Quota { soft: Some(limits), hard: Some(twice) };
        for (used, soft, hard) in [
            (Used { bytes: 10, versions: 2, ..Used::default() }, false, false),
            (Used { bytes: 10, part_bytes: 1, ..Used::default() }, true, false),
            (Used { objects: 1, versions: 3, ..Used::default() }, true, false),
            (Used { bytes: 20, part_bytes: 1, ..Used::default() }, true, true),
            (Used { markers: 9, ..Used::default() }, false, false),
        ] {
            let report = report(Some(quota), &used);
            assert_eq!(Quota::read(&report).unwrap(), quota);
            let text = std::str::from_utf8(&report).unwrap();
            for (name, is_exceeded) in [("Soft", soft), ("Hard", hard)] {
                let said = format!("<{name}Exceeded>{is_exceeded}</{name}Exceeded>");
                assert!(text.contains(&said), "{text}");
            }
        }
    }
}
