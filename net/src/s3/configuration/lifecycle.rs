//! `LifecycleConfiguration`: when objects, versions, delete markers and unfinished uploads go, and when bytes go to other storage
//! classes.

mod transition;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::http::date;
use crate::s3::error::{Error, ErrorCode};
use crate::s3::tags::{OBJECT_TAGS_MAX, Tags, read_tag};
use crate::s3::xml::read::{Elements, flag, malformed};
use crate::s3::xml::write::Document;

pub use transition::{Due, NoncurrentTransition, Transition};

const RULES_MAX: usize = 1000;
const ID_BYTES_MAX: usize = 255;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Rules, each for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// In the order sent.
    pub rules: Vec<Rule>,
}

/// What goes when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// What it is called; given by Anode where its sender didn't.
    pub id: String,
    /// Whether it holds.
    pub is_enabled: bool,
    /// What it is about.
    pub filter: Filter,
    /// When current objects go.
    pub expiration: Option<Expiration>,
    /// When versions go that aren't current.
    pub noncurrent: Option<Noncurrent>,
    /// When current objects go to other classes, in the order sent.
    pub transitions: Vec<Transition>,
    /// When versions do that aren't current.
    pub noncurrent_transitions: Vec<NoncurrentTransition>,
    /// How many days after their beginning unfinished uploads go.
    pub abort_days: Option<u32>,
}

/// What a rule is about: what fulfils all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// What the key begins with.
    pub prefix: String,
    /// Tags that it has.
    pub tags: Tags,
    /// It is larger, in bytes.
    pub larger_than: Option<u64>,
    /// It is smaller, in bytes.
    pub smaller_than: Option<u64>,
    /// Whether the prefix was sent beside the rule's actions, as before there were filters.
    pub is_bare: bool,
}

/// When current objects go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiration {
    /// So many days after they were written, at the next midnight UTC.
    Days(u32),
    /// From this midnight UTC on, in milliseconds since 1970.
    Date(i64),
    /// Delete markers go when nothing is behind them any more.
    Markers,
}

/// When versions go that aren't current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noncurrent {
    /// So many days after another took their place.
    pub days: u32,
    /// But never the newest so many of them.
    pub kept: u32,
}

impl Lifecycle {
    /// Reads the document.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let mut elements = Elements::open(body, "LifecycleConfiguration")?;
        let mut rules: Vec<Rule> = Vec::new();
        while let Some(name) = elements.child()? {
            if name != "Rule" || rules.len() == RULES_MAX {
                return Err(malformed());
            }
            let rule = Rule::read(&mut elements)?;
            if !rule.id.is_empty() && rules.iter().any(|other| other.id == rule.id) {
                return Err(argument(
                    "Rule ID must be unique. Found same ID for more than one rule",
                ));
            }
            rules.push(rule);
        }
        elements.finish()?;
        if rules.is_empty() { Err(malformed()) } else { Ok(Self { rules }) }
    }

    /// Names the rules that have no name.
    pub fn name_rules(&mut self, mut name: impl FnMut() -> String) {
        for rule in self.rules.iter_mut().filter(|rule| rule.id.is_empty()) {
            rule.id = name();
        }
    }

    /// The document.
    pub fn document(&self) -> Bytes {
        let mut document = Document::with_root("LifecycleConfiguration");
        self.rules.iter().for_each(|rule| rule.write(&mut document));
        document.close("LifecycleConfiguration");
        document.finish()
    }

    /// When a current object goes, in milliseconds since 1970, and by which rule; none where it stays.
    pub fn expiry(&self, about: &About<'_>) -> Option<(i64, &Rule)> {
        let due = |rule: &'_ Rule| match rule.expiration? {
            Expiration::Days(days) => Some(after_days(about.since_ms, days)),
            Expiration::Date(date_ms) => Some(date_ms),
            Expiration::Markers => None,
        };
        let rules = self.rules.iter().filter(|rule| rule.is_about(about));
        rules.filter_map(|rule| Some((due(rule)?, rule))).min_by_key(|(due_ms, _)| *due_ms)
    }

    /// Whether a version goes that isn't current: since when, and how many newer ones aren't either.
    pub fn ends_noncurrent(&self, about: &About<'_>, newer: u32, now_ms: i64) -> bool {
        let mut rules = self.rules.iter().filter(|rule| rule.is_about(about));
        rules.any(|rule| {
            rule.noncurrent.is_some_and(|noncurrent| {
                newer >= noncurrent.kept && after_days(about.since_ms, noncurrent.days) <= now_ms
            })
        })
    }

    /// To which class a current object is to go by now that has this one.
    pub fn transition(
        &self,
        about: &About<'_>,
        class: Option<&str>,
        now_ms: i64,
    ) -> Option<&'static str> {
        let rules = self.rules.iter().filter(|rule| rule.is_about(about));
        let rules = rules.filter(|rule| transition::is_worthwhile(rule, about.size_bytes));
        let due = rules.flat_map(|rule| &rule.transitions);
        let due = due.filter(|one| one.due_ms(about.since_ms) <= now_ms);
        transition::coldest(due.map(|one| one.class), class)
    }

    /// The same of a version that isn't current: how many newer ones aren't either, and its class.
    pub fn noncurrent_transition(
        &self,
        about: &About<'_>,
        (newer, class): (u32, Option<&str>),
        now_ms: i64,
    ) -> Option<&'static str> {
        let rules = self.rules.iter().filter(|rule| rule.is_about(about));
        let rules = rules.filter(|rule| transition::is_worthwhile(rule, about.size_bytes));
        let due = rules.flat_map(|rule| &rule.noncurrent_transitions);
        let due = due.filter(|one| newer >= one.kept && one.due_ms(about.since_ms) <= now_ms);
        transition::coldest(due.map(|one| one.class), class)
    }

    /// The classes that something is ever to go to.
    pub fn classes(&self) -> impl Iterator<Item = &'static str> {
        self.rules.iter().flat_map(|rule| {
            let noncurrent = rule.noncurrent_transitions.iter().map(|one| one.class);
            rule.transitions.iter().map(|one| one.class).chain(noncurrent)
        })
    }

    /// Whether a delete marker goes that nothing is behind.
    pub fn ends_marker(&self, about: &About<'_>, now_ms: i64) -> bool {
        let mut rules = self.rules.iter().filter(|rule| rule.is_about(about));
        rules.any(|rule| match rule.expiration {
            Some(Expiration::Markers) => true,
            Some(Expiration::Days(days)) => after_days(about.since_ms, days) <= now_ms,
            Some(Expiration::Date(_)) | None => false,
        })
    }

    /// When an upload goes that was begun then, unless it is finished before, and by which rule; none where it stays.
    pub fn upload_end(&self, key: &str, since_ms: i64) -> Option<(i64, &Rule)> {
        let rules = self.rules.iter().filter(|rule| rule.is_enabled);
        let rules = rules.filter(|rule| key.starts_with(&rule.filter.prefix));
        let ends = rules.filter_map(|rule| Some((after_days(since_ms, rule.abort_days?), rule)));
        ends.min_by_key(|(due_ms, _)| *due_ms)
    }

    /// Whether an upload goes that was begun then and isn't finished.
    pub fn ends_upload(&self, key: &str, since_ms: i64, now_ms: i64) -> bool {
        self.upload_end(key, since_ms).is_some_and(|(due_ms, _)| due_ms <= now_ms)
    }
}

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its tags.
    pub tags: &'a [(String, String)],
    /// Its size in bytes.
    pub size_bytes: u64,
    /// From when days count, in milliseconds since 1970.
    pub since_ms: i64,
}

/// S3: the midnight UTC that follows so many days after a time.
fn after_days(since_ms: i64, days: u32) -> i64 {
    let then = since_ms.saturating_add(i64::from(days) * DAY_MS);
    (then.div_euclid(DAY_MS) + 1).saturating_mul(DAY_MS)
}

impl Rule {
    fn is_about(&self, about: &About<'_>) -> bool {
        let Filter { prefix, tags, larger_than, smaller_than, .. } = &self.filter;
        self.is_enabled
            && about.key.starts_with(prefix.as_str())
            && tags.pairs().iter().all(|tag| about.tags.contains(tag))
            && larger_than.is_none_or(|than| about.size_bytes > than)
            && smaller_than.is_none_or(|than| about.size_bytes < than)
    }

    fn read(elements: &mut Elements<'_>) -> Result<Self, Error> {
        let mut rule = Self::default();
        let (mut status, mut filter, mut prefix) = (None, None, None);
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "ID" => rule.id = elements.text()?,
                "Status" if status.is_none() => status = Some(elements.word()?),
                "Prefix" if prefix.is_none() => prefix = Some(elements.text()?),
                "Filter" if filter.is_none() => filter = Some(Filter::read(elements)?),
                "Expiration" if rule.expiration.is_none() => {
                    rule.expiration = Some(read_expiration(elements)?);
                }
                "NoncurrentVersionExpiration" if rule.noncurrent.is_none() => {
                    rule.noncurrent = Some(read_noncurrent(elements)?);
                }
                "AbortIncompleteMultipartUpload" if rule.abort_days.is_none() => {
                    rule.abort_days = Some(read_abort(elements)?);
                }
                "Transition" => rule.transitions.push(Transition::read(elements)?),
                "NoncurrentVersionTransition" => {
                    rule.noncurrent_transitions.push(NoncurrentTransition::read(elements)?);
                }
                _ => return Err(malformed()),
            }
        }
        rule.is_enabled = match status.as_deref() {
            Some("Enabled") => true,
            Some("Disabled") => false,
            Some(_) | None => return Err(malformed()),
        };
        rule.filter = match (filter, prefix) {
            (Some(filter), None) => filter,
            (None, Some(prefix)) => Filter { prefix, is_bare: true, ..Filter::default() },
            (Some(_), Some(_)) | (None, None) => return Err(malformed()),
        };
        rule.check()?;
        Ok(rule)
    }

    fn check(&self) -> Result<(), Error> {
        if self.id.len() > ID_BYTES_MAX {
            return Err(argument("ID length should not exceed allowed limit of 255"));
        }
        let moves = !self.transitions.is_empty() || !self.noncurrent_transitions.is_empty();
        let ends = self.expiration.is_some() || self.noncurrent.is_some();
        if !moves && !ends && self.abort_days.is_none() {
            return Err(Error::with_message(
                ErrorCode::InvalidRequest,
                "At least one action needs to be specified in a rule.",
            ));
        }
        let has_tags = !self.filter.tags.pairs().is_empty();
        let has_size = self.filter.larger_than.is_some() || self.filter.smaller_than.is_some();
        let invalid = |message| Err(Error::with_message(ErrorCode::InvalidRequest, message));
        if self.abort_days.is_some() && (has_tags || has_size) {
            return invalid(
                "AbortIncompleteMultipartUpload cannot be specified with Tags or object sizes.",
            );
        }
        if self.expiration == Some(Expiration::Markers) && has_tags {
            return invalid("ExpiredObjectDeleteMarker cannot be specified with Tags.");
        }
        let (larger, smaller) = (self.filter.larger_than, self.filter.smaller_than);
        if larger.zip(smaller).is_some_and(|(larger, smaller)| larger >= smaller) {
            return invalid(
                "'ObjectSizeGreaterThan' has to be a value smaller than 'ObjectSizeLessThan'.",
            );
        }
        transition::check(self)
    }

    fn write(&self, document: &mut Document) {
        document.open("Rule");
        document.text("ID", &self.id);
        self.filter.write(document);
        document.text("Status", if self.is_enabled { "Enabled" } else { "Disabled" });
        if let Some(expiration) = self.expiration {
            document.open("Expiration");
            match expiration {
                Expiration::Days(days) => document.number("Days", u64::from(days)),
                Expiration::Date(date_ms) => document.time("Date", date_ms),
                Expiration::Markers => document.flag("ExpiredObjectDeleteMarker", true),
            }
            document.close("Expiration");
        }
        if let Some(noncurrent) = self.noncurrent {
            document.open("NoncurrentVersionExpiration");
            document.number("NoncurrentDays", u64::from(noncurrent.days));
            if noncurrent.kept > 0 {
                document.number("NewerNoncurrentVersions", u64::from(noncurrent.kept));
            }
            document.close("NoncurrentVersionExpiration");
        }
        self.transitions.iter().for_each(|one| one.write(document));
        self.noncurrent_transitions.iter().for_each(|one| one.write(document));
        if let Some(days) = self.abort_days {
            document.open("AbortIncompleteMultipartUpload");
            document.number("DaysAfterInitiation", u64::from(days));
            document.close("AbortIncompleteMultipartUpload");
        }
        document.close("Rule");
    }
}

impl Filter {
    fn read(elements: &mut Elements<'_>) -> Result<Self, Error> {
        let mut filter = Self::default();
        let mut count = 0;
        while let Some(name) = elements.child()? {
            count += 1;
            if count > 1 {
                return Err(malformed());
            }
            if name == "And" {
                let mut tags = Vec::new();
                while let Some(name) = elements.child()? {
                    filter.read_one(&name, elements, &mut tags)?;
                }
                filter.tags = Tags::checked(tags, OBJECT_TAGS_MAX)?;
            } else {
                let mut tags = Vec::new();
                filter.read_one(&name, elements, &mut tags)?;
                filter.tags = Tags::checked(tags, OBJECT_TAGS_MAX)?;
            }
        }
        Ok(filter)
    }

    fn read_one(
        &mut self,
        name: &str,
        elements: &mut Elements<'_>,
        tags: &mut Vec<(String, String)>,
    ) -> Result<(), Error> {
        let size = |word: String| word.parse().map(Some).map_err(|_no_number| malformed());
        match name {
            "Prefix" => self.prefix = elements.text()?,
            "Tag" => tags.push(read_tag(elements)?),
            "ObjectSizeGreaterThan" => self.larger_than = size(elements.word()?)?,
            "ObjectSizeLessThan" => self.smaller_than = size(elements.word()?)?,
            _ => return Err(malformed()),
        }
        Ok(())
    }

    fn write(&self, document: &mut Document) {
        if self.is_bare {
            document.text("Prefix", &self.prefix);
            return;
        }
        document.open("Filter");
        let parts = usize::from(!self.prefix.is_empty())
            + self.tags.pairs().len()
            + usize::from(self.larger_than.is_some())
            + usize::from(self.smaller_than.is_some());
        if parts > 1 {
            document.open("And");
        }
        if !self.prefix.is_empty() || parts == 0 {
            document.text("Prefix", &self.prefix);
        }
        for (key, value) in self.tags.pairs() {
            document.open("Tag");
            document.text("Key", key);
            document.text("Value", value);
            document.close("Tag");
        }
        if let Some(bytes) = self.larger_than {
            document.number("ObjectSizeGreaterThan", bytes);
        }
        if let Some(bytes) = self.smaller_than {
            document.number("ObjectSizeLessThan", bytes);
        }
        if parts > 1 {
            document.close("And");
        }
        document.close("Filter");
    }
}

fn read_expiration(elements: &mut Elements<'_>) -> Result<Expiration, Error> {
    let (mut found, mut count) = (None, 0);
    while let Some(name) = elements.child()? {
        let word = elements.word()?;
        let one = match name.as_str() {
            "Days" => Some(Expiration::Days(days(&word, "Expiration")?)),
            "Date" => Some(Expiration::Date(midnight(&word)?)),
            "ExpiredObjectDeleteMarker" => flag(&word)?.then_some(Expiration::Markers),
            _ => return Err(malformed()),
        };
        count += usize::from(one.is_some());
        found = one.or(found);
    }
    found.filter(|_| count == 1).ok_or_else(malformed)
}

fn read_noncurrent(elements: &mut Elements<'_>) -> Result<Noncurrent, Error> {
    let (mut found, mut kept) = (None, 0);
    while let Some(name) = elements.child()? {
        let word = elements.word()?;
        match name.as_str() {
            "NoncurrentDays" => found = Some(days(&word, "NoncurrentVersionExpiration")?),
            "NewerNoncurrentVersions" => {
                kept = self::kept(&word)?;
            }
            _ => return Err(malformed()),
        }
    }
    Ok(Noncurrent { days: found.ok_or_else(malformed)?, kept })
}

fn read_abort(elements: &mut Elements<'_>) -> Result<u32, Error> {
    let mut found = None;
    while let Some(name) = elements.child()? {
        if name != "DaysAfterInitiation" || found.is_some() {
            return Err(malformed());
        }
        found = Some(days(&elements.word()?, "AbortIncompleteMultipartUpload")?);
    }
    found.ok_or_else(malformed)
}

fn kept(word: &str) -> Result<u32, Error> {
    let number = word.parse().ok().filter(|number| (1..=100).contains(number));
    number.ok_or_else(|| argument("'NewerNoncurrentVersions' must be between 1 and 100"))
}

fn days(word: &str, action: &str) -> Result<u32, Error> {
    days_of(word, action, 1)
}

fn days_of(word: &str, action: &str, least: u32) -> Result<u32, Error> {
    let number: i64 = word.parse().map_err(|_no_number| malformed())?;
    let days = i32::try_from(number).ok().and_then(|days| u32::try_from(days).ok());
    let kind = if least == 0 { "nonnegative" } else { "positive" };
    days.filter(|days| *days >= least)
        .ok_or_else(|| argument(format!("'Days' for {action} action must be a {kind} integer")))
}

fn midnight(word: &str) -> Result<i64, Error> {
    let plain = || date::parse_iso(&format!("{word}T00:00:00Z"));
    let date_ms = date::parse_iso(word).or_else(plain);
    let date_ms = date_ms.ok_or_else(malformed)?;
    if date_ms.rem_euclid(DAY_MS) == 0 {
        return Ok(date_ms);
    }
    Err(argument("'Date' must be at midnight GMT"))
}

fn argument(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::with_message(ErrorCode::InvalidArgument, message)
}
