//! Pages of `ListObjectsV2`: what a page holds, and whether pages that follow each other make one listing.

use memchr::memmem;

/// How far a full listing has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Where the next page begins; from the beginning where it is absent.
    pub(crate) token: Option<String>,
    /// Entries of the pages so far: keys and common prefixes.
    entry_count: u64,
    /// The last key and the last common prefix so far, as the pages wrote them.
    last_key: Vec<u8>,
    last_prefix: Vec<u8>,
}

/// What a page says.
#[derive(Debug)]
pub(crate) struct Page {
    /// Keys and common prefixes, by the page's own count.
    pub(crate) entry_count: u64,
    /// The listing that goes on; `None` after the last page.
    pub(crate) next: Option<Listing>,
}

/// How closely pages are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scrutiny {
    /// The count and the token.
    Outline,
    /// Every entry, and that there are so many at the end.
    Entries(u64),
}

impl Listing {
    /// Takes the next page; `Err` says what is wrong with it.
    pub(crate) fn follow(&self, body: &[u8], scrutiny: Scrutiny) -> Result<Page, &'static str> {
        let counted = element(body, b"<KeyCount>").ok_or("answered without a KeyCount")?;
        let counted = std::str::from_utf8(counted).ok().and_then(|count| count.parse().ok());
        let entry_count: u64 = counted.ok_or("answered with a KeyCount that is no number")?;
        let token = element(body, b"<NextContinuationToken>").map(unescaped);
        if token.is_some() && token == self.token {
            return Err("answered with the token that it was given");
        }
        if token.is_none() && element(body, b"<IsTruncated>") != Some(b"false") {
            return Err("broke off without a token");
        }
        let mut next =
            Self { token, entry_count: self.entry_count + entry_count, ..Self::default() };
        if let Scrutiny::Entries(expected) = scrutiny {
            let entries = Entries::of(body).filter(|entries| entries.count() == entry_count);
            let entries = entries.ok_or("is not a listing in order")?;
            next.last_key = Entries::follow(&entries.keys, &self.last_key)?;
            next.last_prefix = Entries::follow(&entries.prefixes, &self.last_prefix)?;
            if next.token.is_none() && next.entry_count != expected {
                return Err("ended with another count than there are keys");
            }
        }
        Ok(Page { entry_count, next: next.token.is_some().then_some(next) })
    }
}

/// The keys and the common prefixes of a page, each in ascending order.
#[derive(Debug)]
struct Entries<'a> {
    keys: Vec<&'a [u8]>,
    prefixes: Vec<&'a [u8]>,
}

impl<'a> Entries<'a> {
    /// `None` if it is no complete page, or its entries aren't in order.
    fn of(body: &'a [u8]) -> Option<Self> {
        let keys = elements(body, b"<Key>");
        let prefixes = elements(body, b"<CommonPrefixes><Prefix>");
        let complete = memmem::find(body, b"<ListBucketResult").is_some()
            && body.trim_ascii_end().ends_with(b"</ListBucketResult>");
        let ordered = |entries: &[&[u8]]| entries.is_sorted_by(|one, next| one < next);
        (complete && ordered(&keys) && ordered(&prefixes)).then_some(Self { keys, prefixes })
    }

    fn count(&self) -> u64 {
        (self.keys.len() + self.prefixes.len()) as u64
    }

    /// The last of `entries`, all of which must come after `last`.
    fn follow(entries: &[&[u8]], last: &[u8]) -> Result<Vec<u8>, &'static str> {
        match (entries.first(), entries.last()) {
            (Some(first), Some(_)) if *first <= last => Err("goes back behind the page before"),
            (Some(_), Some(end)) => Ok(end.to_vec()),
            _ => Ok(last.to_vec()),
        }
    }
}

/// Is it a page with as many entries as it counts itself, in ascending order?
pub(crate) fn is_page(body: &[u8]) -> bool {
    let counted = element(body, b"<KeyCount>").and_then(|count| std::str::from_utf8(count).ok());
    let counted: Option<u64> = counted.and_then(|count| count.parse().ok());
    Entries::of(body).is_some_and(|entries| Some(entries.count()) == counted)
}

/// The text of the first element that `start` opens.
fn element<'a>(body: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    let from = memmem::find(body, start)? + start.len();
    let length = memchr::memchr(b'<', body.get(from..)?)?;
    body.get(from..from + length)
}

fn elements<'a>(body: &'a [u8], start: &[u8]) -> Vec<&'a [u8]> {
    let ends = memmem::find_iter(body, start).map(|from| from + start.len());
    ends.map(|from| {
        let rest = &body[from..];
        &rest[..memchr::memchr(b'<', rest).unwrap_or(rest.len())]
    })
    .collect()
}

fn unescaped(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.replace("&quot;", "\"").replace("&#34;", "\"").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::{Listing, Scrutiny, is_page};

    fn page(keys: &[&str], count: usize, token: Option<&str>) -> String {
        let keys: String = keys.iter().flat_map(|key| ["<Key>", key, "</Key>"]).collect();
        let token = token.map_or_else(String::new, |token| {
            format!("<NextContinuationToken>{token}</NextContinuationToken>")
        });
        format!(
            "<ListBucketResult xmlns=\"x\"><IsTruncated>{}</IsTruncated><KeyCount>{count}</KeyCount>\
             {token}{keys}</ListBucketResult>",
            !token.is_empty()
        )
    }

    #[test]
    fn a_page_is_in_order_and_complete() {
        let right = |keys: &[&str], count| is_page(page(keys, count, None).as_bytes());
        assert!(right(&[], 0) && right(&["a", "b"], 2));
        assert!(!right(&["b", "a"], 2) && !right(&["a", "a"], 2) && !right(&["a"], 2));
        assert!(!is_page(b"<ListBucketResult><KeyCount>0</KeyCount>"));
        let rolled = "<ListBucketResult><KeyCount>2</KeyCount><Key>a</Key><CommonPrefixes><Prefix>b/\
                      </Prefix></CommonPrefixes></ListBucketResult>";
        assert!(is_page(rolled.as_bytes()), "common prefixes count as entries");
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let entries = Scrutiny::Entries(3);
        let first = page(&["a", "b"], 2, Some("x&amp;1"));
        let next = Listing::default().follow(first.as_bytes(), entries).unwrap().next.unwrap();
        assert_eq!(next.token.as_deref(), Some("x&1"));
        let follow = |keys: &[&str], token| {
            let text = page(keys, keys.len(), token);
            next.follow(text.as_bytes(), entries).map(|page| page.next.is_some())
        };
        assert_eq!(follow(&["c"], None), Ok(false));
        assert_eq!(follow(&["c"], Some("y")), Ok(true));
        for (keys, token) in
            [(&["b"][..], None), (&["c", "d"], None), (&[], None), (&["c"], Some("x&amp;1"))]
        {
            assert!(follow(keys, token).is_err(), "{keys:?} {token:?}");
        }
        let broken = page(&["c"], 1, None).replace("false", "true");
        next.follow(broken.as_bytes(), Scrutiny::Outline).unwrap_err();
        let unordered = page(&["d", "c"], 2, None);
        assert_eq!(next.follow(unordered.as_bytes(), Scrutiny::Outline).unwrap().entry_count, 2);
    }
}
