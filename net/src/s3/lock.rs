//! Object lock of an object: the headers it is asked for with, its documents, and what they may be.

use bytes::Bytes;

use crate::http::date;
use crate::s3::error::{Error, ErrorCode};
use crate::s3::request::Headers;
use crate::s3::xml::read::{Elements, malformed};
use crate::s3::xml::write::Document;

const MODE: &str = "x-amz-object-lock-mode";
const UNTIL: &str = "x-amz-object-lock-retain-until-date";
const LEGAL_HOLD: &str = "x-amz-object-lock-legal-hold";

/// For whom a retention holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// For all who aren't allowed to bypass it.
    Governance,
    /// For everybody.
    Compliance,
}

/// Until when a version stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// For whom.
    pub mode: LockMode,
    /// In milliseconds since 1970.
    pub until_ms: i64,
}

/// What a write asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockHeaders {
    /// Its retention.
    pub retention: Option<Retention>,
    /// Whether its legal hold is on.
    pub legal_hold: Option<bool>,
}

impl LockMode {
    /// The mode of a name; none where there is no such name.
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "GOVERNANCE" => Some(Self::Governance),
            "COMPLIANCE" => Some(Self::Compliance),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}

impl LockHeaders {
    /// Reads them.
    pub fn parse(headers: Headers<'_>) -> Result<Self, Error> {
        let legal_hold = headers.filled(LEGAL_HOLD).map(|status| {
            hold(status).ok_or_else(|| {
                let message = "Legal Hold must be either of 'ON' or 'OFF'";
                Error::argument(message, LEGAL_HOLD, status)
            })
        });
        Ok(Self { retention: Self::retention(headers)?, legal_hold: legal_hold.transpose()? })
    }

    fn retention(headers: Headers<'_>) -> Result<Option<Retention>, Error> {
        let (mode, until) = match (headers.filled(MODE), headers.filled(UNTIL)) {
            (None, None) => return Ok(None),
            (Some(mode), Some(until)) => (mode, until),
            (Some(_), None) | (None, Some(_)) => {
                let message = format!("{UNTIL} and {MODE} must both be supplied");
                return Err(Error::argument(message, MODE, ""));
            }
        };
        let known = LockMode::of_name(mode);
        let mode =
            known.ok_or_else(|| Error::argument("Unknown wormMode directive.", MODE, mode))?;
        let until_ms = date::parse_iso(until).ok_or_else(|| {
            let message = "The retain until date must be provided in ISO 8601 format";
            Error::argument(message, UNTIL, until)
        })?;
        Ok(Some(Retention { mode, until_ms }))
    }

    /// Whether anything is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Retention {
    /// Reads the `Retention` document; none where it takes retention away.
    pub fn read(body: &[u8]) -> Result<Option<Self>, Error> {
        let mut elements = Elements::open(body, "Retention")?;
        let (mut mode, mut until) = (None, None);
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "Mode" if mode.is_none() => mode = Some(elements.word()?),
                "RetainUntilDate" if until.is_none() => until = Some(elements.word()?),
                _ => return Err(malformed()),
            }
        }
        elements.finish()?;
        match (mode, until) {
            (None, None) => Ok(None),
            (Some(mode), Some(until)) => {
                let mode = LockMode::of_name(&mode).ok_or_else(malformed)?;
                let until_ms = date::parse_iso(&until).ok_or_else(malformed)?;
                Ok(Some(Self { mode, until_ms }))
            }
            (Some(_), None) | (None, Some(_)) => Err(malformed()),
        }
    }

    /// The document.
    pub fn document(&self) -> Bytes {
        let mut document = Document::with_root("Retention");
        document.text("Mode", self.mode.name());
        document.time("RetainUntilDate", self.until_ms);
        document.close("Retention");
        document.finish()
    }

    /// Refuses a retention that is over.
    pub fn check_future(&self, now_ms: i64) -> Result<(), Error> {
        if self.until_ms > now_ms {
            return Ok(());
        }
        let until = date::format_iso(self.until_ms);
        Err(Error::argument("The retain until date must be in the future!", UNTIL, until))
    }
}

/// Reads the `LegalHold` document: whether it is on.
pub fn read_legal_hold(body: &[u8]) -> Result<bool, Error> {
    hold(&Elements::only_word(body, "LegalHold", "Status")?).ok_or_else(malformed)
}

/// The `LegalHold` document.
pub fn legal_hold(is_on: bool) -> Bytes {
    Document::of_one("LegalHold", "Status", hold_name(is_on))
}

/// The response headers of a version that has them.
pub fn emit(lock: LockHeaders) -> Vec<(&'static str, String)> {
    let mut said = Vec::new();
    if let Some(retention) = lock.retention {
        said.push((MODE, retention.mode.name().to_owned()));
        said.push((UNTIL, date::format_iso(retention.until_ms)));
    }
    if let Some(is_on) = lock.legal_hold {
        said.push((LEGAL_HOLD, hold_name(is_on).to_owned()));
    }
    said
}

/// `InvalidRequest`: what AWS says of object lock on a bucket without it.
pub fn missing() -> Error {
    Error::with_message(ErrorCode::InvalidRequest, "Bucket is missing Object Lock Configuration")
}

fn hold(status: &str) -> Option<bool> {
    match status {
        "ON" => Some(true),
        "OFF" => Some(false),
        _ => None,
    }
}

fn hold_name(is_on: bool) -> &'static str {
    if is_on { "ON" } else { "OFF" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_back() {
        let retention = Retention { mode: LockMode::Compliance, until_ms: 1_900_000_000_000 };
        assert_eq!(Retention::read(&retention.document()), Ok(Some(retention)));
        assert_eq!(Retention::read(b"<Retention/>"), Ok(None));
        for is_on in [true, false] {
            assert_eq!(read_legal_hold(&legal_hold(is_on)), Ok(is_on));
        }
        for bad in [
            "<Retention><Mode>GOVERNANCE</Mode></Retention>",
            "<Retention><Mode>governance</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>",
            "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>soon</RetainUntilDate></Retention>",
        ] {
            let code = Retention::read(bad.as_bytes()).map_err(|error| error.code());
            assert_eq!(code, Err(ErrorCode::MalformedXML), "{bad}");
        }
        read_legal_hold(b"<LegalHold><Status>abc</Status></LegalHold>").unwrap_err();
    }

    #[test]
    fn headers_come_back_and_come_in_pairs() {
        let fields = [(MODE, "GOVERNANCE"), (UNTIL, "2030-01-01T00:00:00Z"), (LEGAL_HOLD, "ON")];
        let parsed = LockHeaders::parse(Headers::new(&fields)).unwrap();
        let said = emit(parsed);
        let said: Vec<_> = said.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(LockHeaders::parse(Headers::new(&said)), Ok(parsed));
        assert!(LockHeaders::parse(Headers::default()).unwrap().is_empty());
        for bad in [
            &[(MODE, "GOVERNANCE")] as &[_],
            &[(UNTIL, "2030-01-01T00:00:00Z")],
            &[(MODE, "NONE"), (UNTIL, "2030-01-01T00:00:00Z")],
            &[(MODE, "GOVERNANCE"), (UNTIL, "soon")],
            &[(LEGAL_HOLD, "yes")],
        ] {
            let code = LockHeaders::parse(Headers::new(bad)).map_err(|error| error.code());
            assert_eq!(code, Err(ErrorCode::InvalidArgument), "{bad:?}");
        }
    }

    #[test]
    fn retention_ends_in_the_future() {
        let retention = Retention { mode: LockMode::Governance, until_ms: 10 };
        assert_eq!(retention.check_future(9), Ok(()));
        retention.check_future(10).unwrap_err();
    }
}
