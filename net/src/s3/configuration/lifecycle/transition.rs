//! `Transition` and `NoncurrentVersionTransition`: when bytes go to another storage class.

use super::{DAY_MS, Expiration, Rule, after_days, argument, days_of, midnight};
use crate::s3::error::{Error, ErrorCode};
use crate::s3::xml::read::{Elements, malformed};
use crate::s3::xml::write::Document;

/// The classes that objects can go to, from the warmest to the coldest. The last two promise a restore before the first read.
const CLASSES: [&str; 6] =
    ["STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"];
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];
/// S3: objects are at least so many days old when they become seldom used, and stay that as long before they get colder.
const INFREQUENT_DAYS_MIN: u32 = 30;
/// S3: what is smaller stays where it is, unless its rule says something of sizes.
const BYTES_MIN: u64 = 128 << 10;

/// When current objects go to a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// From when on.
    pub due: Due,
    /// To which.
    pub class: &'static str,
}

/// From when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// So many days after they were written, at the next midnight UTC.
    Days(u32),
    /// This midnight UTC, in milliseconds since 1970.
    Date(i64),
}

/// When versions go to a class that aren't current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoncurrentTransition {
    /// So many days after another took their place.
    pub days: u32,
    /// But never the newest so many of them.
    pub kept: u32,
    /// To which.
    pub class: &'static str,
}

/// How cold a class is: what has no name here is the warmest.
fn coldness(class: &str) -> usize {
    CLASSES.iter().position(|known| *known == class).map_or(0, |place| place + 1)
}

fn is_infrequent(class: &str) -> bool {
    ["STANDARD_IA", "ONEZONE_IA"].contains(&class)
}

/// The coldest of the classes that something is to go to by now, if it is colder than the one it has.
pub(super) fn coldest<'a>(
    due: impl Iterator<Item = &'a str>,
    now: Option<&str>,
) -> Option<&'a str> {
    let coldest = due.max_by_key(|class| coldness(class))?;
    (coldness(coldest) > now.map_or(0, coldness)).then_some(coldest)
}

/// Whether a rule moves what has this size.
pub(super) fn is_worthwhile(rule: &Rule, size_bytes: u64) -> bool {
    let says = rule.filter.larger_than.is_some() || rule.filter.smaller_than.is_some();
    says || size_bytes >= BYTES_MIN
}

impl Transition {
    /// When it is due for what counts from then.
    pub(super) fn due_ms(&self, since_ms: i64) -> i64 {
        match self.due {
            // S3: with 0 days at the next look.
            Due::Days(0) => since_ms,
            Due::Days(days) => after_days(since_ms, days),
            Due::Date(date_ms) => date_ms,
        }
    }

    pub(super) fn read(elements: &mut Elements<'_>) -> Result<Self, Error> {
        let (mut due, mut class) = (None, None);
        while let Some(name) = elements.child()? {
            let word = elements.word()?;
            match name.as_str() {
                "Days" if due.is_none() => due = Some(Due::Days(days_of(&word, "Transition", 0)?)),
                "Date" if due.is_none() => due = Some(Due::Date(midnight(&word)?)),
                "StorageClass" if class.is_none() => class = Some(class_of(&word)?),
                _ => return Err(malformed()),
            }
        }
        let (Some(due), Some(class)) = (due, class) else { return Err(malformed()) };
        Ok(Self { due, class })
    }

    pub(super) fn write(&self, document: &mut Document) {
        document.open("Transition");
        match self.due {
            Due::Days(days) => document.number("Days", u64::from(days)),
            Due::Date(date_ms) => document.time("Date", date_ms),
        }
        document.text("StorageClass", self.class);
        document.close("Transition");
    }
}

impl NoncurrentTransition {
    /// When it is due for a version that isn't current since then.
    pub(super) fn due_ms(&self, since_ms: i64) -> i64 {
        if self.days == 0 { since_ms } else { after_days(since_ms, self.days) }
    }

    pub(super) fn read(elements: &mut Elements<'_>) -> Result<Self, Error> {
        let (mut days, mut kept, mut class) = (None, 0, None);
        while let Some(name) = elements.child()? {
            let word = elements.word()?;
            match name.as_str() {
                "NoncurrentDays" if days.is_none() => {
                    days = Some(days_of(&word, "NoncurrentVersionTransition", 0)?);
                }
                "NewerNoncurrentVersions" => kept = super::kept(&word)?,
                "StorageClass" if class.is_none() => class = Some(class_of(&word)?),
                _ => return Err(malformed()),
            }
        }
        let (Some(days), Some(class)) = (days, class) else { return Err(malformed()) };
        Ok(Self { days, kept, class })
    }

    pub(super) fn write(&self, document: &mut Document) {
        document.open("NoncurrentVersionTransition");
        document.number("NoncurrentDays", u64::from(self.days));
        if self.kept > 0 {
            document.number("NewerNoncurrentVersions", u64::from(self.kept));
        }
        document.text("StorageClass", self.class);
        document.close("NoncurrentVersionTransition");
    }
}

fn class_of(word: &str) -> Result<&'static str, Error> {
    if ARCHIVES.contains(&word) {
        let error = Error::with_message(
            ErrorCode::InvalidStorageClass,
            format!("{word} promises a restore before the first read, and there is none here."),
        );
        return Err(error.field("StorageClassRequested", word));
    }
    CLASSES.iter().find(|known| **known == word).copied().ok_or_else(malformed)
}

/// S3: what a rule's transitions must be to each other and to its expiration.
pub(super) fn check(rule: &Rule) -> Result<(), Error> {
    let invalid =
        |message: &'static str| Err(Error::with_message(ErrorCode::InvalidRequest, message));
    let days = rule.transitions.iter().filter_map(|one| match one.due {
        Due::Days(days) => Some((one.class, days)),
        Due::Date(_) => None,
    });
    let dates = rule.transitions.iter().filter_map(|one| match one.due {
        Due::Date(date_ms) => Some((one.class, date_ms)),
        Due::Days(_) => None,
    });
    let (days, dates): (Vec<_>, Vec<_>) = (days.collect(), dates.collect());
    let expires_by_date = matches!(rule.expiration, Some(Expiration::Date(_)));
    let expires_by_days = matches!(rule.expiration, Some(Expiration::Days(_)));
    let has_days = expires_by_days || !days.is_empty();
    if has_days && (expires_by_date || !dates.is_empty()) {
        return invalid(
            "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule",
        );
    }
    check_days(&days, "Transition")?;
    let thirty = i64::from(INFREQUENT_DAYS_MIN) * DAY_MS;
    check_order(&dates, |class| if is_infrequent(class) { thirty } else { 0 }, "Transition")?;
    let noncurrent: Vec<_> =
        rule.noncurrent_transitions.iter().map(|one| (one.class, one.days)).collect();
    check_days(&noncurrent, "NoncurrentVersionTransition")?;
    let late = match rule.expiration {
        Some(Expiration::Days(end)) => days.iter().any(|(_, days)| *days >= end),
        Some(Expiration::Date(end_ms)) => dates.iter().any(|(_, date_ms)| *date_ms >= end_ms),
        Some(Expiration::Markers) | None => false,
    };
    if late {
        return Err(argument(
            "'Days' in the Expiration action must be greater than 'Days' in the Transition action",
        ));
    }
    let ends = rule.noncurrent.map(|noncurrent| noncurrent.days);
    if ends.is_some_and(|end| noncurrent.iter().any(|(_, days)| *days >= end)) {
        return Err(argument(
            "'NoncurrentDays' in the NoncurrentVersionExpiration action must be greater than 'NoncurrentDays' in the \
             NoncurrentVersionTransition action",
        ));
    }
    Ok(())
}

fn check_days(days: &[(&'static str, u32)], action: &str) -> Result<(), Error> {
    if let Some((class, _)) =
        days.iter().find(|(class, days)| is_infrequent(class) && *days < INFREQUENT_DAYS_MIN)
    {
        return Err(argument(format!(
            "'Days' in {action} action must be greater than or equal to {INFREQUENT_DAYS_MIN} for storageClass '{class}'"
        )));
    }
    check_order(days, |class| if is_infrequent(class) { INFREQUENT_DAYS_MIN } else { 0 }, action)
}

/// Each class once, and a colder one later: after those that are seldom used by as much as `pause` says.
fn check_order<T: Copy + Ord + std::ops::Add<Output = T>>(
    due: &[(&'static str, T)],
    pause: impl Fn(&str) -> T,
    action: &str,
) -> Result<(), Error> {
    let mut sorted = due.to_vec();
    sorted.sort_by_key(|(class, _)| coldness(class));
    for pair in sorted.windows(2) {
        let [(warm, first), (cold, second)] = pair else { continue };
        if warm == cold {
            return Err(Error::with_message(
                ErrorCode::InvalidRequest,
                format!("'StorageClass' must be different for '{action}' actions in same 'Rule'"),
            ));
        }
        if *second <= *first || *second < *first + pause(warm) {
            return Err(argument(format!(
                "'Days' in the '{action}' action for StorageClass '{cold}' must be greater than that for StorageClass '{warm}', by \
                 {INFREQUENT_DAYS_MIN} days where that is seldom used"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::configuration::lifecycle::{About, Lifecycle};

    fn read(inside: &str) -> Result<Lifecycle, ErrorCode> {
        let body = format!(
            "<LifecycleConfiguration><Rule><ID>a</ID><Filter/><Status>Enabled</Status>{inside}</Rule></LifecycleConfiguration>"
        );
        Lifecycle::read(body.as_bytes()).map_err(|error| error.code())
    }

    fn by_days(days: i32, class: &str) -> String {
        format!("<Transition><Days>{days}</Days><StorageClass>{class}</StorageClass></Transition>")
    }

    fn noncurrent(days: i32, class: &str) -> String {
        format!(
            "<NoncurrentVersionTransition><NoncurrentDays>{days}</NoncurrentDays><StorageClass>{class}</StorageClass>\
             </NoncurrentVersionTransition>"
        )
    }

    fn by_date(date: &str, class: &str) -> String {
        format!("<Transition><Date>{date}</Date><StorageClass>{class}</StorageClass></Transition>")
    }

    #[test]
    fn documents_come_back() {
        for inside in [
            by_days(30, "STANDARD_IA") + &by_days(60, "GLACIER_IR"),
            by_days(0, "INTELLIGENT_TIERING"),
            by_date("2030-01-01T00:00:00Z", "ONEZONE_IA"),
            noncurrent(0, "GLACIER_IR").replace(
                "<StorageClass>",
                "<NewerNoncurrentVersions>3</NewerNoncurrentVersions><StorageClass>",
            ),
            by_days(30, "STANDARD_IA") + "<Expiration><Days>31</Days></Expiration>",
        ] {
            let lifecycle = read(&inside).unwrap();
            assert_eq!(Lifecycle::read(&lifecycle.document()), Ok(lifecycle), "{inside}");
        }
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let expires = "<Expiration><Days>30</Days></Expiration>";
        let date = "2030-01-01T00:00:00Z";
        for (inside, code) in [
            (by_days(30, "STANDARD"), ErrorCode::MalformedXML),
            (by_days(30, "made-up"), ErrorCode::MalformedXML),
            (by_days(30, "GLACIER"), ErrorCode::InvalidStorageClass),
            (noncurrent(30, "DEEP_ARCHIVE"), ErrorCode::InvalidStorageClass),
            (by_days(29, "STANDARD_IA"), ErrorCode::InvalidArgument),
            (by_days(-1, "GLACIER_IR"), ErrorCode::InvalidArgument),
            (noncurrent(29, "ONEZONE_IA"), ErrorCode::InvalidArgument),
            (by_days(30, "STANDARD_IA") + &by_days(59, "GLACIER_IR"), ErrorCode::InvalidArgument),
            (by_days(70, "STANDARD_IA") + &by_days(30, "GLACIER_IR"), ErrorCode::InvalidArgument),
            (by_days(30, "GLACIER_IR") + &by_days(40, "GLACIER_IR"), ErrorCode::InvalidRequest),
            (by_days(30, "GLACIER_IR") + expires, ErrorCode::InvalidArgument),
            (by_date(date, "GLACIER_IR") + expires, ErrorCode::InvalidRequest),
            (by_date("2030-01-01T01:00:00Z", "GLACIER_IR"), ErrorCode::InvalidArgument),
            ("<Transition><Days>1</Days></Transition>".to_owned(), ErrorCode::MalformedXML),
            (
                by_days(1, "GLACIER_IR")
                    .replace("<StorageClass>", "<Date>2030-01-01</Date><StorageClass>"),
                ErrorCode::MalformedXML,
            ),
        ] {
            assert_eq!(read(&inside), Err(code), "{inside}");
        }
    }

    #[test]
    fn what_is_due_goes_to_the_coldest_class_and_never_to_a_warmer_one() {
        let lifecycle = read(&(by_days(30, "STANDARD_IA") + &by_days(60, "GLACIER_IR"))).unwrap();
        let about = About { key: "k", tags: &[], size_bytes: 1 << 20, since_ms: 0 };
        let at = |day, class| lifecycle.transition(&about, class, day * DAY_MS);
        assert_eq!((at(30, None), at(31, None)), (None, Some("STANDARD_IA")));
        assert_eq!((at(61, None), at(31, Some("STANDARD_IA"))), (Some("GLACIER_IR"), None));
        assert_eq!(at(61, Some("STANDARD_IA")), Some("GLACIER_IR"));
        assert_eq!(
            (at(61, Some("GLACIER_IR")), at(31, Some("REDUCED_REDUNDANCY"))),
            (None, Some("STANDARD_IA"))
        );
        let small = About { size_bytes: (128 << 10) - 1, ..about };
        assert_eq!(lifecycle.transition(&small, None, 99 * DAY_MS), None);
    }

    #[test]
    fn noncurrent_versions_go_but_the_newest_stay() {
        let inside = noncurrent(1, "GLACIER_IR").replace(
            "<StorageClass>",
            "<NewerNoncurrentVersions>2</NewerNoncurrentVersions><StorageClass>",
        );
        let lifecycle = read(&inside).unwrap();
        let about = About { key: "k", tags: &[], size_bytes: 1 << 20, since_ms: 0 };
        let goes =
            |newer, day| lifecycle.noncurrent_transition(&about, (newer, None), day * DAY_MS);
        assert_eq!((goes(2, 2), goes(1, 2), goes(2, 1)), (Some("GLACIER_IR"), None, None));
    }
}
