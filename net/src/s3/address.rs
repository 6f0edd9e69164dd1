//! Which bucket and key a request is about: path style, virtual-host style, and the rules of names.
//!
//! A path is taken as it stands: no normalisation, `+` is a plus, escapes are decoded once.

use std::net::Ipv4Addr;

use crate::s3::error::{Error, ErrorCode};
use crate::s3::limits::KEY_BYTES_MAX;
use crate::s3::query::decode;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// The account: its buckets.
    Service,
    /// A bucket, whose name is valid.
    Bucket {
        /// Its name.
        bucket: String,
    },
    /// An object of a bucket, whose names are valid.
    Object {
        /// The bucket's name.
        bucket: String,
        /// The object key: 1 to 1,024 bytes.
        key: String,
    },
}

impl Address {
    /// The bucket's name.
    pub fn bucket(&self) -> Option<&str> {
        match self {
            Self::Service => None,
            Self::Bucket { bucket } | Self::Object { bucket, .. } => Some(bucket),
        }
    }

    /// The object key.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Object { key, .. } => Some(key),
            Self::Service | Self::Bucket { .. } => None,
        }
    }
}

/// Finds bucket and key of a request for `path` (undecoded) on `host` (the `Host` header).
///
/// `domain` is the name under which each bucket has a host of its own; other hosts are path style.
pub fn resolve(host: Option<&str>, domain: Option<&str>, path: &str) -> Result<Address, Error> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(Error::new(ErrorCode::InvalidURI));
    };
    let (bucket, raw_key) = match host.zip(domain).and_then(|(host, domain)| label(host, domain)) {
        Some(bucket) => (bucket, rest),
        None if rest.is_empty() => return Ok(Address::Service),
        None => {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            (decode(bucket)?, key)
        }
    };
    check_bucket_name(&bucket)?;
    if raw_key.is_empty() {
        return Ok(Address::Bucket { bucket });
    }
    let key = decode(raw_key)?;
    check_key(&key)?;
    Ok(Address::Object { bucket, key })
}

/// Refuses an object key that is empty or too long.
pub fn check_key(key: &str) -> Result<(), Error> {
    if key.is_empty() {
        return Err(Error::with_message(ErrorCode::InvalidRequest, "The object key is empty."));
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(Error::new(ErrorCode::KeyTooLongError)
            .field("Size", key.len().to_string())
            .field("MaxSizeAllowed", KEY_BYTES_MAX.to_string()));
    }
    Ok(())
}

/// Refuses a name that no bucket can have. (S3: General purpose bucket naming rules)
pub fn check_bucket_name(name: &str) -> Result<(), Error> {
    if is_bucket_name(name) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::InvalidBucketName).field("BucketName", name))
}

const PREFIXES_RESERVED: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const SUFFIXES_RESERVED: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

fn is_bucket_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let letter_or_digit = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| letter_or_digit(byte) || matches!(byte, b'.' | b'-'))
        && bytes.first().is_some_and(letter_or_digit)
        && bytes.last().is_some_and(letter_or_digit)
        && !name.contains("..")
        && !looks_like_an_address(name)
        && !PREFIXES_RESERVED.iter().any(|prefix| name.starts_with(prefix))
        && !SUFFIXES_RESERVED.iter().any(|suffix| name.ends_with(suffix))
}

/// Also where a number is too large for an address, as `192.168.5.400`.
fn looks_like_an_address(name: &str) -> bool {
    name.parse::<Ipv4Addr>().is_ok()
        || (name.split('.').count() == 4
            && name.split('.').all(|part| {
                (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
            }))
}

/// The bucket of a host below the domain. Host names have no case, buckets are in lower case.
pub fn label(host: &str, domain: &str) -> Option<String> {
    let name = without_port(host).to_ascii_lowercase();
    let domain = without_port(domain).to_ascii_lowercase();
    let below = name.strip_suffix(&domain)?.strip_suffix('.')?;
    if below.is_empty() { None } else { Some(below.to_owned()) }
}

/// The name of a host, without its port.
pub fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(host: Option<&str>, domain: Option<&str>, path: &str) -> String {
        match resolve(host, domain, path) {
            Ok(Address::Service) => "service".to_owned(),
            Ok(Address::Bucket { bucket }) => bucket,
            Ok(Address::Object { bucket, key }) => format!("{bucket}|{key}"),
            Err(error) => error.code().name().to_owned(),
        }
    }

    #[test]
    fn path_style() {
        for (path, expected) in [
            ("/", "service"),
            ("/bucket", "bucket"),
            ("/bucket/", "bucket"),
            ("/bucket/key", "bucket|key"),
            ("/bucket//", "bucket|/"),
            ("/bucket//a//b/", "bucket|/a//b/"),
            ("/bucket/./../x", "bucket|./../x"),
            ("/bucket/a+b%20c%2Bd%2fe", "bucket|a+b c+d/e"),
            ("/bucket/a%2520b", "bucket|a%20b"),
            ("/bucket/%00%01", "bucket|\0\u{1}"),
            ("/bucket/%F0%9F%98%80é", "bucket|😀é"),
            ("/bu%63ket/k", "bucket|k"),
            ("/bucket%2Fkey", "InvalidBucketName"),
            ("//key", "InvalidBucketName"),
            ("/Bucket/key", "InvalidBucketName"),
            ("/bucket/%", "InvalidURI"),
            ("/bucket/%ff", "InvalidURI"),
            ("/bucket/%4g", "InvalidURI"),
            ("bucket", "InvalidURI"),
            ("*", "InvalidURI"),
            ("", "InvalidURI"),
        ] {
            assert_eq!(shown(Some("localhost:9000"), None, path), expected, "{path}");
            assert_eq!(shown(Some("s3.local:9000"), Some("s3.local"), path), expected, "{path}");
            assert_eq!(shown(Some("[::1]:9000"), Some("s3.local"), path), expected, "{path}");
        }
    }

    #[test]
    fn virtual_host_style() {
        for (host, path, expected) in [
            ("bucket.s3.local", "/", "bucket"),
            ("bucket.s3.local:9000", "/key", "bucket|key"),
            ("BUCKET.S3.Local", "/a/b", "bucket|a/b"),
            ("my.bucket.s3.local", "//x", "my.bucket|/x"),
            ("xs3.local", "/bucket/key", "bucket|key"),
            (".s3.local", "/bucket/key", "bucket|key"),
            ("b_d.s3.local", "/key", "InvalidBucketName"),
            ("127.0.0.1:9000", "/bucket/key", "bucket|key"),
        ] {
            assert_eq!(shown(Some(host), Some("s3.local"), path), expected, "{host}{path}");
        }
        assert_eq!(shown(Some("bucket.s3.local"), None, "/other/key"), "other|key");
        assert_eq!(shown(None, Some("s3.local"), "/other/key"), "other|key");
    }

    #[test]
    fn bucket_names() {
        let long = "a".repeat(63);
        for name in ["abc", "0-1", "docexamplebucket-1.com", "a.b", "1.2.3", "1.2.3.4567", &long] {
            assert!(is_bucket_name(name), "{name}");
        }
        let longer = "a".repeat(64);
        for name in [
            "",
            "ab",
            "doc_example_bucket",
            "DocExampleBucket",
            "doc-example-bucket-",
            "-abc",
            ".abc",
            "abc.",
            "a..b",
            "192.168.5.4",
            "192.168.5.400",
            "xn--abc",
            "sthree-abc",
            "amzn-s3-demo-bucket",
            "abc-s3alias",
            "abc--ol-s3",
            "abc.mrap",
            "abc--x-s3",
            "abc--table-s3",
            "a b",
            "a/b",
            "bücket",
            &longer,
        ] {
            assert!(!is_bucket_name(name), "{name}");
        }
    }

    #[test]
    fn keys_have_at_most_1024_bytes() {
        let full = format!("/bucket/{}", "é".repeat(512));
        assert!(matches!(resolve(None, None, &full), Ok(Address::Object { .. })));
        let error = resolve(None, None, &format!("{full}x")).unwrap_err();
        assert_eq!(error.code(), ErrorCode::KeyTooLongError);
        assert_eq!(error.fields()[0], ("Size", "1025".to_owned()));
    }
}
