//! The headers that a signature covers.

/// The most headers a signature may name; the head's own limit is lower.
const SIGNED_HEADER_COUNT_MAX: usize = 128;

/// Names of headers: lower case, sorted, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderNames(
    /// As the canonical request has them: `host;range;x-amz-date`.
    String,
);

impl HeaderNames {
    /// Reads `host;range;x-amz-date`, in any order; none when a name is empty, repeated or not in lower case.
    pub(super) fn parse(list: &str) -> Option<Self> {
        let is_name = |name: &str| {
            let is_plain = |byte: u8| {
                byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && !b",:;".contains(&byte)
            };
            !name.is_empty() && name.bytes().all(is_plain)
        };
        let names = || list.split(';');
        if names().count() > SIGNED_HEADER_COUNT_MAX || !names().all(is_name) {
            return None;
        }
        // Nearly every client sends them sorted already.
        if names().is_sorted_by(|before, after| before < after) {
            return Some(Self(list.to_owned()));
        }
        let mut sorted: Vec<&str> = names().collect();
        sorted.sort_unstable();
        sorted.is_sorted_by(|before, after| before < after).then(|| Self(sorted.join(";")))
    }

    /// The names of these headers, in any case and order, also repeated.
    pub(super) fn of(headers: &[(&str, &str)]) -> Self {
        let mut names: Vec<String> =
            headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        Self(names.join(";"))
    }

    /// `host;range;x-amz-date`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        // Of no header at all there is no name, not an empty one.
        self.0.split(';').filter(|name| !name.is_empty())
    }

    /// Whether a name, in any case, is one of them.
    pub fn names(&self, name: &str) -> bool {
        self.iter().any(|held| held.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::HeaderNames;

    #[test]
    fn names_are_sorted_and_each_is_there_once() {
        let sorted = HeaderNames::parse("host;range;x-amz-date").unwrap();
        assert_eq!(HeaderNames::parse("x-amz-date;host;range").as_ref(), Some(&sorted));
        let headers = [("X-Amz-Date", ""), ("host", ""), ("Range", ""), ("HOST", "")];
        assert_eq!(HeaderNames::of(&headers), sorted);
        assert_eq!(sorted.iter().collect::<Vec<_>>(), ["host", "range", "x-amz-date"]);
        assert!(sorted.names("Host") && !sorted.names("hos") && !sorted.names(""));
        assert_eq!(HeaderNames::of(&[]).iter().count(), 0);
        for wrong in ["", "host;", "host;host", "a;b;a", "Host", "host,range", "a b", "h\u{e9}"] {
            assert_eq!(HeaderNames::parse(wrong), None, "{wrong}");
        }
        assert_eq!(HeaderNames::parse(&vec!["a"; 129].join(";")), None);
    }
}
