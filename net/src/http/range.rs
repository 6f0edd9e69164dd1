//! The `Range` header (RFC 9110, section 14): read, resolved against a size, and answered.

use std::ops::Range;

use super::fields::trim;
use super::limits::RANGE_COUNT_MAX;

/// One range as it was asked for; positions are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `first-last`, both included; `first` isn't after `last`.
    Between(u64, u64),
    /// `first-`: to the end.
    From(u64),
    /// `-count`: the last bytes.
    Last(u64),
}

/// None of the ranges has a byte of the object: 416 `InvalidRange`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no byte of the requested ranges is within the {size_bytes} bytes of the object")]
pub struct Unsatisfiable {
    /// The object's size, for `Content-Range: bytes */size`.
    pub size_bytes: u64,
}

impl Unsatisfiable {
    /// The value of `Content-Range` in the 416.
    pub fn content_range(self) -> String {
        format!("bytes */{}", self.size_bytes)
    }
}

/// Reads a `Range` header. `None` where it's to be ignored, as S3 and RFC 9110 do: another unit, wrong syntax, too many ranges.
pub fn parse(value: &str) -> Option<Vec<ByteRange>> {
    let (unit, set) = value.split_once('=')?;
    if !trim(unit).eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut ranges = Vec::new();
    // RFC 9110, 5.6.1.2: a list may have empty items; it may not be empty.
    for item in set.split(',').map(trim).filter(|item| !item.is_empty()) {
        if ranges.len() == RANGE_COUNT_MAX {
            return None;
        }
        ranges.push(parse_one(item)?);
    }
    (!ranges.is_empty()).then_some(ranges)
}

/// The parts of an object of `size_bytes` that are asked for: none empty, in the order of the request.
///
/// Ranges that together are longer than the object overlap: they are sorted and merged, so that a small request can't make
/// a response longer than the object (RFC 9110, 14.2).
pub fn resolve(ranges: &[ByteRange], size_bytes: u64) -> Result<Vec<Range<u64>>, Unsatisfiable> {
    let parts: Vec<_> = ranges.iter().filter_map(|range| resolve_one(*range, size_bytes)).collect();
    if parts.is_empty() {
        return Err(Unsatisfiable { size_bytes });
    }
    let total = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.end - part.start));
    Ok(if total > size_bytes { merge(parts) } else { parts })
}

/// The value of `Content-Range` for a part, which isn't empty.
pub fn content_range(part: &Range<u64>, size_bytes: u64) -> String {
    assert!(part.start < part.end && part.end <= size_bytes, "{part:?} is not in {size_bytes}");
    format!("bytes {}-{}/{size_bytes}", part.start, part.end - 1)
}

/// What precedes a part of a `multipart/byteranges` body; the part's bytes follow.
pub fn part_head(boundary: &str, content_type: &str, content_range: &str) -> String {
    format!(
        "\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {content_range}\r\n\r\n"
    )
}

/// What follows the last part of a `multipart/byteranges` body.
pub fn parts_end(boundary: &str) -> String {
    format!("\r\n--{boundary}--\r\n")
}

fn parse_one(item: &str) -> Option<ByteRange> {
    let (first, last) = item.split_once('-')?;
    match (trim(first), trim(last)) {
        ("", last) => Some(ByteRange::Last(position(last)?)),
        (first, "") => Some(ByteRange::From(position(first)?)),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then_some(ByteRange::Between(first, last))
        }
    }
}

/// Digits only. A position past 64 bits is past the end of any object, so it counts as the greatest.
fn position(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

fn resolve_one(range: ByteRange, size_bytes: u64) -> Option<Range<u64>> {
    let part = match range {
        ByteRange::Between(first, last) => first..last.saturating_add(1).min(size_bytes),
        ByteRange::From(first) => first..size_bytes,
        ByteRange::Last(count) => size_bytes.saturating_sub(count)..size_bytes,
    };
    (part.start < part.end).then_some(part)
}

fn merge(mut parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    parts.sort_by_key(|part| part.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(parts.len());
    for part in parts {
        match merged.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => merged.push(part),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use ByteRange::{Between, From, Last};

    #[test]
    fn headers_are_read_or_ignored() {
        for (value, expected) in [
            ("bytes=0-499", Some(vec![Between(0, 499)])),
            ("Bytes=5-", Some(vec![From(5)])),
            ("bytes=-5", Some(vec![Last(5)])),
            ("bytes= 0-0 ,, 5-6,\t-1", Some(vec![Between(0, 0), Between(5, 6), Last(1)])),
            ("bytes=0-99999999999999999999999", Some(vec![Between(0, u64::MAX)])),
            ("bytes=", None),
            ("bytes=,", None),
            ("bytes=-", None),
            ("bytes=5-3", None),
            ("bytes=+1-2", None),
            ("bytes=1-2-3", None),
            ("bytes=--1", None),
            ("bytes=a-b", None),
            ("bytes 0-1", None),
            ("items=0-1", None),
            ("", None),
        ] {
            assert_eq!(parse(value), expected, "{value}");
        }
        let many = |count: usize| format!("bytes={}", vec!["0-0"; count].join(","));
        assert_eq!(parse(&many(RANGE_COUNT_MAX)).map(|ranges| ranges.len()), Some(RANGE_COUNT_MAX));
        assert_eq!(parse(&many(RANGE_COUNT_MAX + 1)), None);
    }

    #[test]
    fn ranges_are_clamped_to_the_object() {
        let resolve_in = |size, range| resolve(&[range], size).ok().map(|parts| parts[0].clone());
        assert_eq!(resolve_in(10, Between(2, 4)), Some(2..5));
        assert_eq!(resolve_in(10, Between(2, u64::MAX)), Some(2..10));
        assert_eq!(resolve_in(10, From(9)), Some(9..10));
        assert_eq!(resolve_in(10, From(10)), None);
        assert_eq!(resolve_in(10, Last(3)), Some(7..10));
        assert_eq!(resolve_in(10, Last(30)), Some(0..10));
        assert_eq!(resolve_in(10, Last(0)), None);
        assert_eq!(resolve_in(0, Last(3)), None);
        assert_eq!(resolve_in(0, From(0)), None);
        assert_eq!(resolve_in(u64::MAX, Between(0, u64::MAX)), Some(0..u64::MAX));
    }

    #[test]
    fn several_ranges_keep_their_order_unless_they_repeat_bytes() {
        assert_eq!(resolve(&[Last(1), Between(0, 1), From(99)], 10), Ok(vec![9..10, 0..2]));
        let whole = resolve(&[From(0), Between(2, 3), From(5)], 10).expect("satisfiable");
        assert_eq!(whole.as_slice(), std::slice::from_ref(&(0..10)));
        assert_eq!(resolve(&[From(10)], 10), Err(Unsatisfiable { size_bytes: 10 }));
        assert_eq!(Unsatisfiable { size_bytes: 10 }.content_range(), "bytes */10");
        assert_eq!(content_range(&(0..5), 10), "bytes 0-4/10");
    }
}
