//! Dates as HTTP and S3 write them, from and to seconds or milliseconds since the Unix epoch (UTC). No clock.
//!
//! Years 0 to 9999 can be written; others are clamped, so that a broken clock gives a wrong date and no crash.

/// `2015-08-30` ... the days of the calendar.
#[derive(Clone, Copy)]
struct Day {
    year: i64,
    month: i64,
    day: i64,
}

const DAY_SECONDS: i64 = 86_400;
const EARLIEST_SECONDS: i64 = -62_167_219_200; // 0000-01-01
const LATEST_SECONDS: i64 = 253_402_300_799; // 9999-12-31T23:59:59
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const WEEKDAYS_LONG: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7), from seconds.
pub fn format_http(seconds: i64) -> String {
    let seconds = seconds.clamp(EARLIEST_SECONDS, LATEST_SECONDS);
    let days = seconds.div_euclid(DAY_SECONDS);
    let Day { year, month, day } = day_of(days);
    let weekday = name(&WEEKDAYS, (days + 4).rem_euclid(7)); // the epoch was a Thursday
    let month = name(&MONTHS, month - 1);
    let (hour, minute, second) = time_of(seconds);
    let mut text = Text(String::with_capacity(29));
    text.text(weekday).text(", ").two(day).text(" ").text(month).text(" ").four(year).text(" ");
    text.two(hour).text(":").two(minute).text(":").two(second).text(" GMT");
    text.0
}

/// `2006-02-03T16:45:09.000Z`, as S3's XML has it, from milliseconds.
pub fn format_iso(milliseconds: i64) -> String {
    let mut text = String::with_capacity(24);
    push_iso(&mut text, milliseconds);
    text
}

/// Writes at the end of `target` what [`format_iso`] gives.
pub fn push_iso(target: &mut String, milliseconds: i64) {
    let seconds = milliseconds.div_euclid(1000).clamp(EARLIEST_SECONDS, LATEST_SECONDS);
    let millisecond = milliseconds.rem_euclid(1000);
    let Day { year, month, day } = day_of(seconds.div_euclid(DAY_SECONDS));
    let (hour, minute, second) = time_of(seconds);
    let mut text = Text(std::mem::take(target));
    text.four(year).text("-").two(month).text("-").two(day).text("T");
    text.two(hour).text(":").two(minute).text(":").two(second).text(".");
    text.digit(millisecond / 100).two(millisecond % 100).text("Z");
    *target = text.0;
}

/// `20150830T123600Z`, as `x-amz-date` has it, from seconds.
pub fn format_amz(seconds: i64) -> String {
    let seconds = seconds.clamp(EARLIEST_SECONDS, LATEST_SECONDS);
    let Day { year, month, day } = day_of(seconds.div_euclid(DAY_SECONDS));
    let (hour, minute, second) = time_of(seconds);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Reads an HTTP date in seconds, in each of the three forms that RFC 9110 asks for. A weekday that doesn't fit the date is
/// accepted; a year of two digits is one of 1970 to 2069.
pub fn parse_http(text: &str) -> Option<i64> {
    let mut scanner = Scanner { rest: text };
    if let Some(rest) = WEEKDAYS_LONG.iter().find_map(|day| text.strip_prefix(day)) {
        scanner.rest = rest; // Sunday, 06-Nov-94 08:49:37 GMT
        scanner.literal(", ")?;
        let day = scanner.number(2)?;
        scanner.literal("-")?;
        let month = scanner.month()?;
        scanner.literal("-")?;
        let year = scanner.number(2)?;
        scanner.literal(" ")?;
        let seconds = scanner.clock()?;
        scanner.end(" GMT")?;
        let year = if year < 70 { 2000 + year } else { 1900 + year };
        return seconds_of(Day { year, month, day }, seconds);
    }
    scanner.rest = WEEKDAYS.iter().find_map(|day| text.strip_prefix(day))?;
    if scanner.literal(", ").is_some() {
        let day = scanner.number(2)?; // Sun, 06 Nov 1994 08:49:37 GMT
        scanner.literal(" ")?;
        let month = scanner.month()?;
        scanner.literal(" ")?;
        let year = scanner.number(4)?;
        scanner.literal(" ")?;
        let seconds = scanner.clock()?;
        scanner.end(" GMT")?;
        return seconds_of(Day { year, month, day }, seconds);
    }
    scanner.literal(" ")?; // Sun Nov  6 08:49:37 1994
    let month = scanner.month()?;
    scanner.literal(" ")?;
    let day =
        if scanner.literal(" ").is_some() { scanner.number(1)? } else { scanner.number(2)? };
    scanner.literal(" ")?;
    let seconds = scanner.clock()?;
    scanner.literal(" ")?;
    let year = scanner.number(4)?;
    scanner.end("")?;
    seconds_of(Day { year, month, day }, seconds)
}

/// Reads `2006-02-03T16:45:09Z`, with or without a fraction, in milliseconds; also a date alone.
pub fn parse_iso(text: &str) -> Option<i64> {
    let mut scanner = Scanner { rest: text };
    let year = scanner.number(4)?;
    scanner.literal("-")?;
    let month = scanner.number(2)?;
    scanner.literal("-")?;
    let day = Day { year, month, day: scanner.number(2)? };
    if scanner.rest.is_empty() {
        return seconds_of(day, 0)?.checked_mul(1000);
    }
    scanner.literal("T")?;
    let seconds = seconds_of(day, scanner.clock()?)?;
    let mut milliseconds = 0;
    if scanner.literal(".").is_some() {
        let digits = scanner.digits();
        if digits.is_empty() || digits.len() > 9 {
            return None;
        }
        let padded = format!("{digits:0<3}");
        milliseconds = padded.get(..3)?.parse().ok()?;
    }
    if scanner.literal("+00:00").is_none() {
        scanner.literal("Z")?;
    }
    scanner.end("")?;
    seconds.checked_mul(1000)?.checked_add(milliseconds)
}

/// Reads `20150830T123600Z` in seconds.
pub fn parse_amz(text: &str) -> Option<i64> {
    let mut scanner = Scanner { rest: text };
    let (year, month, day) = (scanner.number(4)?, scanner.number(2)?, scanner.number(2)?);
    scanner.literal("T")?;
    let (hour, minute, second) = (scanner.number(2)?, scanner.number(2)?, scanner.number(2)?);
    scanner.end("Z")?;
    seconds_of(Day { year, month, day }, clock_seconds(hour, minute, second)?)
}

/// A date being written. Every GET writes one and a listing thousands: `format!` takes ten times as long.
struct Text(String);

impl Text {
    fn text(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    fn digit(&mut self, digit: i64) -> &mut Self {
        let digit = u8::try_from(digit.rem_euclid(10)).expect("a digit");
        self.0.push(char::from(b'0' + digit));
        self
    }

    fn two(&mut self, number: i64) -> &mut Self {
        self.digit(number / 10).digit(number)
    }

    fn four(&mut self, number: i64) -> &mut Self {
        self.two(number / 100).two(number % 100)
    }
}

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn literal(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    fn end(&self, text: &str) -> Option<()> {
        (self.rest == text).then_some(())
    }

    fn digits(&mut self) -> &'a str {
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        digits
    }

    fn number(&mut self, length: usize) -> Option<i64> {
        let digits = self.rest.get(..length)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        self.rest = &self.rest[length..];
        digits.parse().ok()
    }

    fn month(&mut self) -> Option<i64> {
        let found = self.rest.get(..3)?;
        let index = MONTHS.iter().position(|month| *month == found)?;
        self.rest = &self.rest[3..];
        i64::try_from(index).ok().map(|index| index + 1)
    }

    /// `08:49:37`, in seconds of the day.
    fn clock(&mut self) -> Option<i64> {
        let hour = self.number(2)?;
        self.literal(":")?;
        let minute = self.number(2)?;
        self.literal(":")?;
        clock_seconds(hour, minute, self.number(2)?)
    }
}

/// A leap second counts as the second before it.
fn clock_seconds(hour: i64, minute: i64, second: i64) -> Option<i64> {
    let valid = hour < 24 && minute < 60 && second <= 60;
    valid.then(|| hour * 3600 + minute * 60 + second.min(59))
}

fn seconds_of(date: Day, seconds: i64) -> Option<i64> {
    if !(1..=12).contains(&date.month) || date.day < 1 {
        return None;
    }
    let days = days_of(date);
    // A day past the end of its month comes back as one of the next.
    if day_of(days).day != date.day {
        return None;
    }
    Some(days * DAY_SECONDS + seconds)
}

/// Days since the epoch; Howard Hinnant's `days_from_civil`: years begin in March, eras are 400 years.
fn days_of(date: Day) -> i64 {
    let year = if date.month <= 2 { date.year - 1 } else { date.year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((date.month + 9) % 12) + 2) / 5 + date.day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse, `civil_from_days`.
fn day_of(days: i64) -> Day {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Day { year, month, day }
}

fn time_of(seconds: i64) -> (i64, i64, i64) {
    let second = seconds.rem_euclid(DAY_SECONDS);
    (second / 3600, second / 60 % 60, second % 60)
}

fn name<const COUNT: usize>(names: &[&'static str; COUNT], index: i64) -> &'static str {
    usize::try_from(index).ok().and_then(|index| names.get(index)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_rfc_9110_are_one_date() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse_http(text), Some(784_111_777), "{text}");
        }
        assert_eq!(format_http(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(parse_http("Sat Nov 26 08:49:37 1994"), Some(784_111_777 + 20 * DAY_SECONDS));
    }

    #[test]
    fn s3_forms_are_written_and_read() {
        assert_eq!(format_iso(1_138_985_109_042), "2006-02-03T16:45:09.042Z");
        assert_eq!(parse_iso("2006-02-03T16:45:09.042Z"), Some(1_138_985_109_042));
        assert_eq!(parse_iso("2006-02-03T16:45:09.0429Z"), Some(1_138_985_109_042));
        assert_eq!(parse_iso("2006-02-03T16:45:09Z"), Some(1_138_985_109_000));
        assert_eq!(parse_iso("2006-02-03T16:45:09.1+00:00"), Some(1_138_985_109_100));
        assert_eq!(parse_iso("2006-02-03"), Some(1_138_924_800_000));
        assert_eq!(format_amz(1_440_938_160), "20150830T123600Z");
        assert_eq!(parse_amz("20150830T123600Z"), Some(1_440_938_160));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Sun",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Növ 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse_http(text), None, "{text}");
        }
        for text in
            ["20150830T123600", "20151330T123600Z", "20150830T1236é0Z", "2015-08-30T12:36:00Z"]
        {
            assert_eq!(parse_amz(text), None, "{text}");
        }
        for text in ["2006-02-30", "2006-02-03T16:45:09", "2006-02-03T16:45:09.Z", "2006-2-3"] {
            assert_eq!(parse_iso(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_a_thousand_years_comes_back() {
        for days in -180_000..185_000 {
            let seconds = days * DAY_SECONDS + 86_399 - days.rem_euclid(86_400);
            assert_eq!(parse_amz(&format_amz(seconds)), Some(seconds));
            if days % 37 == 0 {
                assert_eq!(parse_http(&format_http(seconds)), Some(seconds));
                assert_eq!(parse_iso(&format_iso(seconds * 1000 + 7)), Some(seconds * 1000 + 7));
            }
        }
    }

    #[test]
    fn a_broken_clock_gives_a_date() {
        assert_eq!(format_amz(i64::MAX), "99991231T235959Z");
        assert_eq!(format_http(i64::MIN), "Sat, 01 Jan 0000 00:00:00 GMT");
        assert!(format_iso(i64::MIN).starts_with("0000-01-01T00:00:00"));
    }
}
