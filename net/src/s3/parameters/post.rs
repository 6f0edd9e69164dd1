//! The parameters of `PostObject`: the fields of its form, as the headers of a `PutObject` that stores the same.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::s3::acl::Asked;
use crate::s3::address::{self, Address};
use crate::s3::checksums;
use crate::s3::conditions::WriteCondition;
use crate::s3::encryption::Wanted;
use crate::s3::error::{Error, ErrorCode};
use crate::s3::headers::ObjectHeaders;
use crate::s3::lock::LockHeaders;
use crate::s3::parameters::multipart::bucket;
use crate::s3::parameters::{PutObject, content_md5};
use crate::s3::request::Headers;
use crate::s3::tags::{OBJECT_TAGS_MAX, Tags};
use crate::sigv4;

/// `PostObject`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostObject {
    /// What is stored.
    pub put: PutObject,
    /// What is answered when it is stored.
    pub success: Success,
}

/// What a stored form is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Success {
    /// 204.
    NoContent,
    /// 200 without a body.
    Empty,
    /// 201 with a document.
    Created,
    /// 303 to this URL.
    Redirect(String),
}

/// Unreserved characters (RFC 3986, 2.3) stay, all others are escaped: in `Location` also the slashes of the key.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl PostObject {
    /// Reads them.
    pub fn parse(address: &Address, fields: Headers<'_>) -> Result<Self, Error> {
        let key = fields.filled("key").ok_or_else(|| sigv4::missing_field("key"))?;
        address::check_key(key)?;
        fields.iter().try_for_each(|(name, value)| check_field(name, value))?;
        let checksum = checksums::of_body(fields)?;
        // S3: who names an algorithm sends the checksum too.
        if checksums::algorithm(fields)?
            .is_some_and(|named| checksum.is_none_or(|sent| sent.algorithm != named))
        {
            return Err(Error::with_message(
                ErrorCode::InvalidRequest,
                "x-amz-checksum-algorithm specified, but no corresponding x-amz-checksum-* field was found.",
            ));
        }
        let put = PutObject {
            bucket: bucket(address),
            key: key.to_owned(),
            length_bytes: None,
            md5: content_md5(fields)?,
            checksum,
            condition: WriteCondition::parse(fields)?,
            headers: ObjectHeaders::parse(fields)?,
            tags: tags(fields)?,
            lock: LockHeaders::parse(fields)?,
            encryption: Wanted::parse(fields)?,
            acl: Asked::of_headers(fields)?,
        };
        Ok(Self { put, success: Success::parse(fields) })
    }
}

/// The tags that a form brings: its field `tagging` is a document, unlike the header of a PUT, which is taken as well.
pub fn tags(fields: Headers<'_>) -> Result<Tags, Error> {
    match fields.filled("tagging") {
        Some(document) => Tags::read(document.as_bytes(), OBJECT_TAGS_MAX),
        None => Tags::of_headers(fields),
    }
}

impl Success {
    /// A redirect that S3 can't follow and a status that it doesn't know count as absent.
    fn parse(fields: Headers<'_>) -> Self {
        let redirect =
            fields.filled("success_action_redirect").or_else(|| fields.filled("redirect"));
        if let Some(url) = redirect.filter(|url| is_url(url)) {
            return Self::Redirect(url.to_owned());
        }
        match fields.get("success_action_status") {
            Some("200") => Self::Empty,
            Some("201") => Self::Created,
            _ => Self::NoContent,
        }
    }
}

/// The target of a redirect: the URL with what was stored added to its query.
pub fn redirect_target(url: &str, bucket: &str, key: &str, etag: &str) -> String {
    let (url, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let separator = match url.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    let value = |text: &str| escaped(text).replace("%20", "+");
    let (bucket, key, etag) = (value(bucket), value(key), value(&format!("\"{etag}\"")));
    format!("{url}{separator}bucket={bucket}&key={key}&etag={etag}{fragment}")
}

/// An object key as a segment of a URL.
pub fn escaped(key: &str) -> String {
    utf8_percent_encode(key, ESCAPED).to_string()
}

fn is_url(text: &str) -> bool {
    let behind = ["http://", "https://"].iter().find_map(|scheme| {
        let start = text.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
    });
    let has_host =
        behind.is_some_and(|behind| !behind.is_empty() && !behind.starts_with(['/', '?', '#']));
    has_host && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Refuses what a header could not have carried: it would not come back. Metadata does, encoded.
fn check_field(name: &str, value: &str) -> Result<(), Error> {
    let is_fit = if let Some(name) = name.strip_prefix("x-amz-meta-") {
        name.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte))
    } else if KEPT.contains(&name) || name.starts_with("x-amz-") {
        !value.chars().any(|character| character.is_ascii_control() && character != '\t')
    } else {
        true
    };
    if is_fit {
        return Ok(());
    }
    let message = "The field can't be a header: its name or value has other characters.";
    Err(Error::with_message(ErrorCode::InvalidArgument, message)
        .field("ArgumentName", name)
        .field("ArgumentValue", value))
}

const KEPT: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(fields: &[(&str, &str)]) -> Result<PostObject, Error> {
        let address = Address::Bucket { bucket: "b".to_owned() };
        PostObject::parse(&address, Headers::new(fields))
    }

    #[test]
    fn fields_become_what_headers_of_a_put_would() {
        let fields = [
            ("key", "a/ü"),
            ("content-type", "text/plain"),
            ("x-amz-meta-a", "1\n2"),
            ("if-none-match", "*"),
            ("x-amz-checksum-crc32", "AAAAAA=="),
            ("content-length", "5"),
        ];
        let post = parse(&fields).unwrap();
        assert_eq!((post.put.bucket.as_str(), post.put.key.as_str()), ("b", "a/ü"));
        assert_eq!(post.put.headers.content_type.as_deref(), Some("text/plain"));
        assert_eq!(post.put.headers.metadata, [("a".to_owned(), "1\n2".to_owned())]);
        assert_eq!((post.put.condition, post.put.length_bytes), (WriteCondition::Absent, None));
        assert!(post.put.checksum.is_some());
        assert_eq!(post.success, Success::NoContent);
    }

    #[test]
    fn what_can_not_be_stored_as_asked_is_refused() {
        let long = "k".repeat(1025);
        for (fields, expected) in [
            (&[][..], ErrorCode::InvalidArgument),
            (&[("key", "")], ErrorCode::InvalidArgument),
            (&[("key", &long)], ErrorCode::KeyTooLongError),
            (&[("key", "k"), ("tagging", "<Tagging/>")], ErrorCode::MalformedXML),
            (&[("key", "k"), ("content-type", "a\r\nb: c")], ErrorCode::InvalidArgument),
            (&[("key", "k"), ("x-amz-meta-a b", "1")], ErrorCode::InvalidArgument),
            (&[("key", "k"), ("x-amz-meta-é", "1")], ErrorCode::InvalidArgument),
            (&[("key", "k"), ("content-md5", "x")], ErrorCode::InvalidDigest),
            (&[("key", "k"), ("x-amz-acl", "world")], ErrorCode::InvalidArgument),
            (&[("key", "k"), ("x-amz-checksum-algorithm", "CRC32")], ErrorCode::InvalidRequest),
            (&[("key", "k"), ("x-amz-storage-class", "x")], ErrorCode::InvalidStorageClass),
        ] {
            assert_eq!(parse(fields).unwrap_err().code(), expected, "{fields:?}");
        }
    }

    #[test]
    fn success_is_told_as_the_form_asks() {
        let redirect = |url: &str| Success::Redirect(url.to_owned());
        for (fields, expected) in [
            (&[("success_action_status", "200")][..], Success::Empty),
            (&[("success_action_status", "201")], Success::Created),
            (&[("success_action_status", "204")], Success::NoContent),
            (&[("success_action_status", "404")], Success::NoContent),
            (&[("redirect", "http://h/")], redirect("http://h/")),
            (
                &[
                    ("success_action_redirect", "HTTPS://h"),
                    ("redirect", "http://old"),
                    ("success_action_status", "201"),
                ],
                redirect("HTTPS://h"),
            ),
            (&[("redirect", "/relative")], Success::NoContent),
            (&[("redirect", "javascript:alert(1)")], Success::NoContent),
            (&[("redirect", "http://")], Success::NoContent),
            (&[("redirect", "http://h/\r\nSet-Cookie: a")], Success::NoContent),
        ] {
            let fields: Vec<_> = [("key", "k")].into_iter().chain(fields.iter().copied()).collect();
            assert_eq!(parse(&fields).unwrap().success, expected, "{fields:?}");
        }
    }

    #[test]
    fn a_redirect_keeps_its_query_and_fragment() {
        let added = "bucket=b&key=a%2Fb+%C3%BC%2B&etag=%22e%22";
        for (url, expected) in [
            ("http://h/", format!("http://h/?{added}")),
            ("http://h/?", format!("http://h/?{added}")),
            ("http://h?a=1#f", format!("http://h?a=1&{added}#f")),
            ("http://h/#f?x", format!("http://h/?{added}#f?x")),
        ] {
            assert_eq!(redirect_target(url, "b", "a/b ü+", "e"), expected);
        }
    }
}
