//! Conditional requests: parsed from headers, evaluated against an object.
//!
//! Conditions on reads follow RFC 9110, 13.2.2 and are decided here. Conditions on writes are only
//! parsed here: they are decided where the write is applied, so that two writers can't both win.

use crate::http::date;
use crate::s3::error::Error;
use crate::s3::etag::EtagList;
use crate::s3::request::Headers;

/// What conditions are evaluated against.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The entity tag without its quotes.
    pub etag: &'a str,
    /// When the object was last modified, in milliseconds since 1970.
    pub modified_ms: i64,
}

/// What conditions of a read come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They hold.
    Proceed,
    /// 304: the client has it already.
    NotModified,
    /// 412: the named condition does not hold.
    Failed(&'static str),
}

impl Outcome {
    /// The error of a condition that failed; 304 is none, and answered by the caller.
    pub fn error(self) -> Option<Error> {
        match self {
            Self::Failed(condition) => Some(Error::precondition_failed(condition)),
            Self::Proceed | Self::NotModified => None,
        }
    }
}

/// The conditions of GET, HEAD and of a copy's source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadConditions {
    /// `If-Match`.
    pub matches: Option<EtagList>,
    /// `If-None-Match`.
    pub matches_none: Option<EtagList>,
    /// `If-Modified-Since`, in seconds since 1970.
    pub modified_since: Option<i64>,
    /// `If-Unmodified-Since`, in seconds since 1970.
    pub unmodified_since: Option<i64>,
}

impl ReadConditions {
    /// The conditions of a read. Dates that are none are as good as absent. (RFC 9110, 13.1.3)
    pub fn parse(headers: Headers<'_>) -> Self {
        Self::parse_named(headers, &OBJECT_NAMES)
    }

    /// The conditions on the source of a copy, `x-amz-copy-source-if-*`.
    pub fn parse_source(headers: Headers<'_>) -> Self {
        Self::parse_named(headers, &SOURCE_NAMES)
    }

    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Evaluates them in the order of RFC 9110, 13.2.2: entity tags before dates.
    pub fn evaluate(&self, object: &Validators<'_>) -> Outcome {
        let modified = object.modified_ms.div_euclid(1000);
        if let Some(tags) = &self.matches {
            if !tags.has_strong(object.etag) {
                return Outcome::Failed("If-Match");
            }
        } else if self.unmodified_since.is_some_and(|since| modified > since) {
            return Outcome::Failed("If-Unmodified-Since");
        }
        if let Some(tags) = &self.matches_none {
            if tags.has_weak(object.etag) {
                return Outcome::NotModified;
            }
        } else if self.modified_since.is_some_and(|since| modified <= since) {
            return Outcome::NotModified;
        }
        Outcome::Proceed
    }

    /// The same for the source of a copy, where there's no 304: what fails is 412.
    pub fn evaluate_source(&self, object: &Validators<'_>) -> Result<(), Error> {
        let condition = match self.evaluate(object) {
            Outcome::Proceed => return Ok(()),
            Outcome::Failed("If-Match") => "x-amz-copy-source-If-Match",
            Outcome::Failed(_) => "x-amz-copy-source-If-Unmodified-Since",
            Outcome::NotModified if self.matches_none.is_some() => {
                "x-amz-copy-source-If-None-Match"
            }
            Outcome::NotModified => "x-amz-copy-source-If-Modified-Since",
        };
        Err(Error::precondition_failed(condition))
    }

    fn parse_named(headers: Headers<'_>, names: &Names) -> Self {
        let tags = |name: &str| headers.list(name).map(|value| EtagList::parse(&value));
        let time = |name: &str| headers.get(name).and_then(date::parse_http);
        Self {
            matches: tags(names.matches),
            matches_none: tags(names.matches_none),
            modified_since: time(names.modified_since),
            unmodified_since: time(names.unmodified_since),
        }
    }
}

/// The headers of the conditions on one object.
struct Names {
    matches: &'static str,
    matches_none: &'static str,
    modified_since: &'static str,
    unmodified_since: &'static str,
}

const OBJECT_NAMES: Names = Names {
    matches: "if-match",
    matches_none: "if-none-match",
    modified_since: "if-modified-since",
    unmodified_since: "if-unmodified-since",
};

const SOURCE_NAMES: Names = Names {
    matches: "x-amz-copy-source-if-match",
    matches_none: "x-amz-copy-source-if-none-match",
    modified_since: "x-amz-copy-source-if-modified-since",
    unmodified_since: "x-amz-copy-source-if-unmodified-since",
};

/// The condition of a write, decided in the apply step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WriteCondition {
    /// None.
    #[default]
    Always,
    /// `If-None-Match: *`: there is no such object. Else 412.
    Absent,
    /// `If-Match: *`: there is such an object. Else 404 `NoSuchKey`.
    Present,
    /// `If-Match`: the object has this entity tag (without quotes). Else 412, or 404 without one.
    Matches(String),
}

impl WriteCondition {
    /// The condition of PUT, of a copy's target, and of completing an upload.
    ///
    /// S3 knows `If-None-Match: *` and `If-Match` with one tag; the rest is 501.
    pub fn parse(headers: Headers<'_>) -> Result<Self, Error> {
        refuse(headers, &["if-modified-since", "if-unmodified-since"])?;
        let Some(none) = headers.list("if-none-match") else {
            return Self::parse_match(headers);
        };
        if headers.has("if-match") || EtagList::parse(&none) != EtagList::Any {
            return Err(Error::header_not_implemented("If-None-Match"));
        }
        Ok(Self::Absent)
    }

    /// The condition of DELETE: `If-Match` alone.
    pub fn parse_delete(headers: Headers<'_>) -> Result<Self, Error> {
        refuse(
            headers,
            &[
                "if-none-match",
                "if-modified-since",
                "if-unmodified-since",
                "x-amz-if-match-last-modified-time",
                "x-amz-if-match-size",
            ],
        )?;
        Self::parse_match(headers)
    }

    fn parse_match(headers: Headers<'_>) -> Result<Self, Error> {
        let Some(value) = headers.list("if-match") else { return Ok(Self::Always) };
        Self::of_tag(&value).ok_or_else(|| Error::header_not_implemented("If-Match"))
    }

    /// The condition that one entity tag or `*` is; `None` for anything else.
    pub fn of_tag(value: &str) -> Option<Self> {
        match EtagList::parse(value) {
            EtagList::Any => Some(Self::Present),
            EtagList::Tags(tags) => match tags.as_slice() {
                [tag] if !tag.weak && !tag.value.is_empty() => {
                    Some(Self::Matches(tag.value.clone()))
                }
                _ => None,
            },
        }
    }
}

/// Whether `If-Range` lets a range be served; otherwise the whole object is. (RFC 9110, 13.1.5)
pub fn range_holds(if_range: Option<&str>, object: &Validators<'_>) -> bool {
    let Some(value) = if_range else { return true };
    match date::parse_http(value) {
        Some(seconds) => seconds == object.modified_ms.div_euclid(1000),
        None => {
            value.trim() != "*"
                && WriteCondition::of_tag(value)
                    == Some(WriteCondition::Matches(object.etag.to_owned()))
        }
    }
}

fn refuse(headers: Headers<'_>, names: &[&'static str]) -> Result<(), Error> {
    match names.iter().find(|name| headers.has(name)) {
        Some(name) => Err(Error::header_not_implemented(*name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
