//! Entity tags as they stand in conditions. (RFC 9110, 8.8.3)
//!
//! Tags are compared and kept without their quotes. Many clients of S3 send them unquoted, and S3
//! takes that.

use crate::s3::limits::ETAG_COUNT_MAX;

/// One entity tag of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    /// The tag without its quotes.
    pub value: String,
    /// Whether it was marked `W/`: such a tag never equals another by the strong comparison.
    pub weak: bool,
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EtagList {
    /// `*`: any representation.
    Any,
    /// One of these.
    Tags(Vec<EntityTag>),
}

impl EtagList {
    /// Reads a header's value. Tags past the 64th are dropped: no client sends so many.
    pub fn parse(value: &str) -> Self {
        if value.trim() == "*" {
            return Self::Any;
        }
        let mut tags = Vec::new();
        let mut rest = value;
        while tags.len() < ETAG_COUNT_MAX {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                break;
            }
            let (tag, behind) = first(rest);
            tags.push(tag);
            rest = behind;
        }
        Self::Tags(tags)
    }

    /// Whether `etag` (without quotes) is in the list by the strong comparison: no weak tag is.
    pub fn has_strong(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| !tag.weak && tag.value == etag),
        }
    }

    /// Whether `etag` (without quotes) is in the list by the weak comparison.
    pub fn has_weak(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| tag.value == etag),
        }
    }
}

/// An entity tag without the quotes around it, if it had any.
pub fn unquoted(etag: &str) -> &str {
    let etag = etag.trim();
    etag.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(etag)
}

/// The first tag of a list, and what follows it.
fn first(list: &str) -> (EntityTag, &str) {
    let (weak, rest) = match list.strip_prefix("W/") {
        Some(rest) => (true, rest),
        None => (false, list),
    };
    let quoted = rest.strip_prefix('"').and_then(|inner| inner.split_once('"'));
    let (value, behind) = match quoted {
        Some((value, behind)) => (value, behind),
        None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
    };
    (EntityTag { value: value.trim().trim_matches('"').to_owned(), weak }, behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        for (list, etag, strong, weak) in [
            ("\"a\"", "a", true, true),
            ("a", "a", true, true),
            ("W/\"a\"", "a", false, true),
            ("\"x\", \"a\"", "a", true, true),
            ("\"x\" ,W/\"a\",,\"y\"", "a", false, true),
            ("x,a", "a", true, true),
            ("\"x,a\"", "a", false, false),
            ("\"x,a\"", "x,a", true, true),
            ("*", "a", true, true),
            (" * ", "a", true, true),
            ("\"*\"", "a", false, false),
            ("\"A\"", "a", false, false),
            ("", "a", false, false),
            ("\"a", "a", true, true),
        ] {
            let tags = EtagList::parse(list);
            assert_eq!((tags.has_strong(etag), tags.has_weak(etag)), (strong, weak), "{list}");
        }
    }

    #[test]
    fn a_list_is_bounded() {
        let EtagList::Tags(tags) = EtagList::parse(&"\"a\",".repeat(1000)) else { unreachable!() };
        assert_eq!(tags.len(), ETAG_COUNT_MAX);
    }

    #[test]
    fn quotes_are_taken_off_once() {
        assert_eq!(unquoted("\"a\""), "a");
        assert_eq!(unquoted(" a "), "a");
        assert_eq!(unquoted("\""), "\"");
    }
}
