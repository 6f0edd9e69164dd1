//! `ObjectLockConfiguration`: that a bucket's versions can be locked, and the retention of those that ask for none.

use bytes::Bytes;

use crate::s3::error::{Error, ErrorCode};
use crate::s3::lock::{LockMode, Retention};
use crate::s3::xml::read::{Elements, malformed};
use crate::s3::xml::write::Document;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// S3: at most 100 years.
const DAYS_MAX: u32 = 36_500;

/// Object lock is on; it can't be turned off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectLock {
    /// What new versions get.
    pub default_retention: Option<DefaultRetention>,
}

/// The retention of versions that ask for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultRetention {
    /// For whom it holds.
    pub mode: LockMode,
    /// For how long.
    pub period: Period,
}

/// A length of time, in the unit it was given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Of 24 hours.
    Days(u32),
    /// Of 365 days.
    Years(u32),
}

impl ObjectLock {
    /// Reads the document.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let mut elements = Elements::open(body, "ObjectLockConfiguration")?;
        let (mut is_enabled, mut default_retention) = (false, None);
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "ObjectLockEnabled" if elements.word()? == "Enabled" => is_enabled = true,
                "Rule" if default_retention.is_none() => {
                    default_retention = Some(read_rule(&mut elements)?);
                }
                _ => return Err(malformed()),
            }
        }
        elements.finish()?;
        if is_enabled { Ok(Self { default_retention }) } else { Err(malformed()) }
    }

    /// The document.
    pub fn document(&self) -> Bytes {
        let mut document = Document::with_root("ObjectLockConfiguration");
        document.text("ObjectLockEnabled", "Enabled");
        if let Some(retention) = self.default_retention {
            document.open("Rule");
            document.open("DefaultRetention");
            document.text("Mode", retention.mode.name());
            match retention.period {
                Period::Days(days) => document.number("Days", u64::from(days)),
                Period::Years(years) => document.number("Years", u64::from(years)),
            }
            document.close("DefaultRetention");
            document.close("Rule");
        }
        document.close("ObjectLockConfiguration");
        document.finish()
    }
}

impl DefaultRetention {
    /// That of a version made now.
    pub fn from(&self, now_ms: i64) -> Retention {
        let days = match self.period {
            Period::Days(days) => i64::from(days),
            Period::Years(years) => i64::from(years) * 365,
        };
        Retention { mode: self.mode, until_ms: now_ms.saturating_add(days * DAY_MS) }
    }
}

fn read_rule(elements: &mut Elements<'_>) -> Result<DefaultRetention, Error> {
    let mut retention = None;
    while let Some(name) = elements.child()? {
        match name.as_str() {
            "DefaultRetention" if retention.is_none() => retention = Some(read_default(elements)?),
            _ => return Err(malformed()),
        }
    }
    retention.ok_or_else(malformed)
}

fn read_default(elements: &mut Elements<'_>) -> Result<DefaultRetention, Error> {
    let (mut mode, mut period) = (None, None);
    while let Some(name) = elements.child()? {
        match name.as_str() {
            "Mode" if mode.is_none() => {
                mode = Some(LockMode::of_name(&elements.word()?).ok_or_else(malformed)?);
            }
            "Days" if period.is_none() => {
                period = Some(Period::Days(length(&elements.word()?, DAYS_MAX)?));
            }
            "Years" if period.is_none() => {
                period = Some(Period::Years(length(&elements.word()?, DAYS_MAX / 365)?));
            }
            _ => return Err(malformed()),
        }
    }
    let (mode, period) = mode.zip(period).ok_or_else(malformed)?;
    Ok(DefaultRetention { mode, period })
}

fn length(text: &str, most: u32) -> Result<u32, Error> {
    let number: i64 = text.parse().map_err(|_no_number| malformed())?;
    let length = u32::try_from(number).ok().filter(|length| (1..=most).contains(length));
    length.ok_or_else(|| {
        let message = if number < 1 {
            "Default retention period must be a positive integer value."
        } else {
            "Default retention period too large."
        };
        Error::with_message(ErrorCode::InvalidRetentionPeriod, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inside: &str) -> Result<ObjectLock, ErrorCode> {
        let body = format!("<ObjectLockConfiguration>{inside}</ObjectLockConfiguration>");
        ObjectLock::read(body.as_bytes()).map_err(|error| error.code())
    }

    fn with(retention: &str) -> Result<ObjectLock, ErrorCode> {
        read(&format!(
            "<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>{retention}\
             </DefaultRetention></Rule>"
        ))
    }

    #[test]
    fn configurations_come_back() {
        for inside in
            ["<Mode>GOVERNANCE</Mode><Days>3</Days>", "<Years>2</Years><Mode>COMPLIANCE</Mode>"]
        {
            let lock = with(inside).unwrap();
            assert_eq!(ObjectLock::read(&lock.document()), Ok(lock));
        }
        let plain = read("<ObjectLockEnabled>Enabled</ObjectLockEnabled>").unwrap();
        assert_eq!(ObjectLock::read(&plain.document()), Ok(plain));
    }

    #[test]
    fn what_no_configuration_is_is_refused() {
        for (found, code) in [
            (read(""), ErrorCode::MalformedXML),
            (read("<ObjectLockEnabled>Disabled</ObjectLockEnabled>"), ErrorCode::MalformedXML),
            (with("<Mode>abc</Mode><Days>1</Days>"), ErrorCode::MalformedXML),
            (with("<Mode>GOVERNANCE</Mode>"), ErrorCode::MalformedXML),
            (
                with("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"),
                ErrorCode::MalformedXML,
            ),
            (with("<Mode>GOVERNANCE</Mode><Days>0</Days>"), ErrorCode::InvalidRetentionPeriod),
            (with("<Mode>GOVERNANCE</Mode><Years>-1</Years>"), ErrorCode::InvalidRetentionPeriod),
            (with("<Mode>GOVERNANCE</Mode><Days>36501</Days>"), ErrorCode::InvalidRetentionPeriod),
        ] {
            assert_eq!(found, Err(code));
        }
    }

    #[test]
    fn years_have_365_days() {
        let of = |period| DefaultRetention { mode: LockMode::Governance, period }.from(5).until_ms;
        assert_eq!(of(Period::Days(2)), 5 + 2 * DAY_MS);
        assert_eq!(of(Period::Years(1)), 5 + 365 * DAY_MS);
    }
}
