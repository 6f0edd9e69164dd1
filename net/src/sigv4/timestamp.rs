//! The times of signatures: `20130524T000000Z`, or an HTTP date where `x-amz-date` is missing.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::http::date;

const BASIC: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");
const EXTENDED: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
/// RFC 9110, 5.6.7: IMF-fixdate, the only one to be generated.
const HTTP: &[BorrowedFormatItem<'_>] = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// When a request was signed, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    seconds: i64,
    /// ASCII.
    text: [u8; 16],
}

impl Timestamp {
    /// The timestamp of a time; `None` outside the years 0 to 9999.
    pub fn of(unix_seconds: i64) -> Option<Self> {
        let time = OffsetDateTime::from_unix_timestamp(unix_seconds).ok()?;
        if time.year() < 0 {
            return None;
        }
        let text = time.format(BASIC).ok()?;
        Some(Self { seconds: unix_seconds, text: text.as_bytes().try_into().ok()? })
    }

    /// Reads `20130524T000000Z`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 16] = text.as_bytes().try_into().ok()?;
        Some(Self { seconds: date::parse_amz(text)?, text: bytes })
    }

    /// Reads the value of a `Date` header: an HTTP date, or the form of [`Timestamp::parse`].
    pub(super) fn parse_date_header(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| {
            let time = PrimitiveDateTime::parse(text, HTTP).ok()?;
            Self::of(time.assume_utc().unix_timestamp())
        })
    }

    /// Seconds since the epoch.
    pub const fn seconds(&self) -> i64 {
        self.seconds
    }

    /// `20130524T000000Z`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("digits and two letters")
    }

    /// `20130524`.
    pub fn date(&self) -> &str {
        self.as_str().get(..8).unwrap_or_default()
    }
}

/// `2013-05-24T00:00:00Z`, for error messages; empty outside the years 0 to 9999.
pub(super) fn extended(unix_seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(unix_seconds)
        .ok()
        .and_then(|time| time.format(EXTENDED).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, extended};

    #[test]
    fn both_forms_are_the_same_time() {
        let basic = Timestamp::parse("20130524T000000Z").unwrap();
        assert_eq!(basic.seconds(), 1_369_353_600);
        assert_eq!(basic.date(), "20130524");
        assert_eq!(Timestamp::parse_date_header("Fri, 24 May 2013 00:00:00 GMT"), Some(basic));
        assert_eq!(Timestamp::of(1_369_353_600), Some(basic));
        assert_eq!(extended(1_369_353_600), "2013-05-24T00:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for wrong in [
            "",
            "20130524",
            "20130524T000000",
            "20130524T000000z",
            "20131324T000000Z",
            "20130532T000000Z",
            "20130524T250000Z",
            "+2013524T000000Z",
            "20130524T000000ZZ",
            "2013-05-24T00:00:00Z",
            "\u{664}0130524T00000Z",
        ] {
            assert_eq!(Timestamp::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Timestamp::parse_date_header("Fri, 24 May 2013 00:00:00 +0000"), None);
        assert_eq!(Timestamp::of(i64::MAX), None);
        assert_eq!(Timestamp::of(i64::MIN), None);
    }
}
