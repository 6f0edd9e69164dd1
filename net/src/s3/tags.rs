//! Tags of buckets and objects: as documents, as the value of `x-amz-tagging`, and what they may be.

use bytes::Bytes;

use crate::s3::error::{Error, ErrorCode};
use crate::s3::query::Query;
use crate::s3::request::Headers;
use crate::s3::xml::read::{Elements, malformed};
use crate::s3::xml::write::Document;

/// The most tags of an object.
pub const OBJECT_TAGS_MAX: usize = 10;
/// The most tags of a bucket.
pub const BUCKET_TAGS_MAX: usize = 50;
const KEY_CHARACTERS_MAX: usize = 128;
const VALUE_CHARACTERS_MAX: usize = 256;

/// Tags in the order sent: key and value. No key comes twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Vec<(String, String)>);

impl Tags {
    /// Tags that were checked before.
    pub fn stored(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// Tags that are to be checked.
    pub(in crate::s3) fn checked(
        pairs: Vec<(String, String)>,
        count_max: usize,
    ) -> Result<Self, Error> {
        let mut tags = Self::default();
        for (key, value) in pairs {
            tags.add(key, value, count_max)?;
        }
        Ok(tags)
    }

    /// The pairs.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The pairs, to be kept.
    pub fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    /// Reads a `Tagging` document of up to `count_max` tags.
    pub fn read(body: &[u8], count_max: usize) -> Result<Self, Error> {
        let mut elements = Elements::open(body, "Tagging")?;
        let mut tags = None;
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "TagSet" if tags.is_none() => {
                    tags = Some(Self::read_set(&mut elements, count_max)?);
                }
                _ => return Err(malformed()),
            }
        }
        elements.finish()?;
        tags.ok_or_else(malformed)
    }

    /// Reads the children of an element that are `Tag`s.
    pub(in crate::s3) fn read_set(
        elements: &mut Elements<'_>,
        count_max: usize,
    ) -> Result<Self, Error> {
        let mut tags = Self::default();
        while let Some(name) = elements.child()? {
            if name != "Tag" {
                return Err(malformed());
            }
            let (key, value) = read_tag(elements)?;
            tags.add(key, value, count_max)?;
        }
        Ok(tags)
    }

    /// Reads `x-amz-tagging`: pairs as in a query.
    pub fn of_headers(headers: Headers<'_>) -> Result<Self, Error> {
        let mut tags = Self::default();
        let value = headers.get("x-amz-tagging").unwrap_or_default();
        let query = Query::parse(value).map_err(|_broken| {
            Error::argument(
                "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
                "x-amz-tagging",
                value,
            )
        })?;
        for (key, value) in query.iter() {
            tags.add(key.to_owned(), value.to_owned(), OBJECT_TAGS_MAX)?;
        }
        Ok(tags)
    }

    /// The `Tagging` document.
    pub fn document(&self) -> Bytes {
        let mut document = Document::with_root("Tagging");
        document.open("TagSet");
        for (key, value) in &self.0 {
            document.open("Tag");
            document.text("Key", key);
            document.text("Value", value);
            document.close("Tag");
        }
        document.close("TagSet");
        document.close("Tagging");
        document.finish()
    }

    fn add(&mut self, key: String, value: String, count_max: usize) -> Result<(), Error> {
        let invalid = |message: String| {
            Err(Error::with_message(ErrorCode::InvalidTag, message).field("TagKey", key.clone()))
        };
        if !(1..=KEY_CHARACTERS_MAX).contains(&key.chars().count()) {
            return invalid("The TagKey you have provided is invalid".to_owned());
        }
        if value.chars().count() > VALUE_CHARACTERS_MAX {
            return invalid("The TagValue you have provided is invalid".to_owned());
        }
        if !key.chars().chain(value.chars()).all(is_allowed) {
            return invalid("Tags may hold letters, digits, spaces and _.:/=+-@".to_owned());
        }
        if key.starts_with("aws:") {
            return invalid("System tags cannot be added/updated by requester".to_owned());
        }
        if self.0.iter().any(|(known, _)| *known == key) {
            return invalid("Cannot provide multiple Tags with the same key".to_owned());
        }
        if self.0.len() == count_max {
            return invalid(format!("Tags cannot be greater than {count_max}"));
        }
        self.0.push((key, value));
        Ok(())
    }
}

/// Reads a `Tag` to its end.
pub(in crate::s3) fn read_tag(elements: &mut Elements<'_>) -> Result<(String, String), Error> {
    let (mut key, mut value) = (None, None);
    while let Some(name) = elements.child()? {
        match name.as_str() {
            "Key" if key.is_none() => key = Some(elements.text()?),
            "Value" if value.is_none() => value = Some(elements.text()?),
            _ => return Err(malformed()),
        }
    }
    key.zip(value).ok_or_else(malformed)
}

/// S3, "Tag naming limits": letters, spaces and numbers of any script, and these.
fn is_allowed(character: char) -> bool {
    character.is_alphanumeric()
        || (character.is_whitespace() && !character.is_control())
        || "_.:/=+-@".contains(character)
        // Marks that letters of some scripts are written with; what ASCII has besides is listed above.
        || !(character.is_ascii() || character.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tags: &str) -> Result<Tags, ErrorCode> {
        let body = format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
        Tags::read(body.as_bytes(), OBJECT_TAGS_MAX).map_err(|error| error.code())
    }

    fn tag(key: &str, value: &str) -> String {
        format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>")
    }

    #[test]
    fn documents_come_back() {
        let tags = read(&format!("{}{}", tag("k", "v"), tag("Größe, nein", "")).replace(',', ""));
        let tags = tags.unwrap();
        let pairs = [("k".to_owned(), "v".to_owned()), ("Größe nein".to_owned(), String::new())];
        assert_eq!(tags.pairs(), pairs);
        assert_eq!(Tags::read(&tags.document(), OBJECT_TAGS_MAX), Ok(tags));
        assert_eq!(read(""), Ok(Tags::default()));
    }

    #[test]
    fn what_no_tag_is_is_refused() {
        let eleven: String = (0..11).map(|nth| tag(&nth.to_string(), "v")).collect();
        for (tags, code) in [
            (eleven, ErrorCode::InvalidTag),
            (tag("", "v"), ErrorCode::InvalidTag),
            (tag(&"k".repeat(129), "v"), ErrorCode::InvalidTag),
            (tag("k", &"v".repeat(257)), ErrorCode::InvalidTag),
            (tag("k", "v").repeat(2), ErrorCode::InvalidTag),
            (tag("aws:k", "v"), ErrorCode::InvalidTag),
            (tag("k?", "v"), ErrorCode::InvalidTag),
            (tag("k", "a&#10;b"), ErrorCode::InvalidTag),
            ("<Tag><Key>k</Key></Tag>".to_owned(), ErrorCode::MalformedXML),
            ("<Other/>".to_owned(), ErrorCode::MalformedXML),
        ] {
            assert_eq!(read(&tags), Err(code), "{tags}");
        }
        read(&tag(&"ü".repeat(128), &"v".repeat(256))).unwrap();
        assert_eq!(
            Tags::read(b"<Tagging/>", 10).map_err(|e| e.code()),
            Err(ErrorCode::MalformedXML)
        );
    }

    #[test]
    fn headers_are_queries() {
        let read = |value: &str| {
            let fields = [("x-amz-tagging", value)];
            Tags::of_headers(Headers::new(&fields)).map_err(|error| error.code())
        };
        let pairs = read("a=1&b=x+y%2B&c").unwrap().into_pairs();
        let expected = [("a", "1"), ("b", "x y+"), ("c", "")];
        assert!(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected));
        assert_eq!(read("a=1&a=2"), Err(ErrorCode::InvalidTag));
        assert_eq!(read("a=%zz"), Err(ErrorCode::InvalidArgument));
        assert_eq!(Tags::of_headers(Headers::default()), Ok(Tags::default()));
    }
}
