//! `ServerSideEncryptionConfiguration`: what objects are encrypted with whose writers don't say.

use bytes::Bytes;

use crate::s3::error::{Error, ErrorCode};
use crate::s3::xml::read::{Elements, flag, malformed};
use crate::s3::xml::write::Document;

/// The rule of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// What is encrypted by default, and with what; nothing where none is said.
    pub default: Option<ByDefault>,
    /// Whether SSE-KMS uses keys of the bucket where a write doesn't say.
    pub bucket_key: bool,
    /// Whether keys of customers are refused; none where nothing is said of it.
    pub blocks_customer_keys: Option<bool>,
}

/// What a bucket encrypts with by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByDefault {
    /// SSE-S3.
    Managed,
    /// SSE-KMS, with this key; with that of S3 where there's none. Whether there is such a key shows when it is used.
    Named(Option<String>),
}

const ROOT: &str = "ServerSideEncryptionConfiguration";
const BY_DEFAULT: &str = "ApplyServerSideEncryptionByDefault";
const BLOCKED: &str = "BlockedEncryptionTypes";

impl Encryption {
    /// Reads the document: one rule.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let mut elements = Elements::open(body, ROOT)?;
        let mut rule = None;
        while let Some(name) = elements.child()? {
            if name != "Rule" || rule.is_some() {
                return Err(malformed());
            }
            rule = Some(Self::read_rule(&mut elements)?);
        }
        elements.finish()?;
        rule.ok_or_else(malformed)
    }

    fn read_rule(elements: &mut Elements<'_>) -> Result<Self, Error> {
        let mut rule = Self { default: None, bucket_key: false, blocks_customer_keys: None };
        let mut is_empty = true;
        while let Some(name) = elements.child()? {
            is_empty = false;
            match name.as_str() {
                BY_DEFAULT if rule.default.is_none() => {
                    rule.default = Some(ByDefault::read(elements)?);
                }
                "BucketKeyEnabled" => rule.bucket_key = flag(&elements.word()?)?,
                BLOCKED if rule.blocks_customer_keys.is_none() => {
                    rule.blocks_customer_keys = Some(read_blocked(elements)?);
                }
                _ => return Err(malformed()),
            }
        }
        if is_empty { Err(malformed()) } else { Ok(rule) }
    }

    /// The document.
    pub fn document(&self) -> Bytes {
        let mut document = Document::with_root(ROOT);
        document.open("Rule");
        if let Some(default) = &self.default {
            document.open(BY_DEFAULT);
            match default {
                ByDefault::Managed => document.text("SSEAlgorithm", "AES256"),
                ByDefault::Named(key) => {
                    document.text("SSEAlgorithm", "aws:kms");
                    if let Some(key) = key {
                        document.text("KMSMasterKeyID", key);
                    }
                }
            }
            document.close(BY_DEFAULT);
        }
        document.flag("BucketKeyEnabled", self.bucket_key);
        if let Some(blocks) = self.blocks_customer_keys {
            document.open(BLOCKED);
            document.text("EncryptionType", if blocks { "SSE-C" } else { "NONE" });
            document.close(BLOCKED);
        }
        document.close("Rule");
        document.close(ROOT);
        document.finish()
    }
}

impl ByDefault {
    fn read(elements: &mut Elements<'_>) -> Result<Self, Error> {
        let (mut algorithm, mut key) = (None, None);
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "SSEAlgorithm" if algorithm.is_none() => algorithm = Some(elements.word()?),
                "KMSMasterKeyID" if key.is_none() => key = Some(elements.word()?),
                _ => return Err(malformed()),
            }
        }
        let key = key.filter(|key| !key.is_empty());
        match (algorithm.as_deref(), key) {
            (Some("AES256"), None) => Ok(Self::Managed),
            (Some("AES256"), Some(key)) => {
                let message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or \
                               aws:kms:dsse";
                Err(Error::argument(message, "ApplyServerSideEncryptionByDefault", key))
            }
            (Some("aws:kms"), key) => Ok(Self::Named(key)),
            (Some(other @ ("aws:kms:dsse" | "aws:fsx")), _) => {
                let message = format!("Server side encryption by {other} is not implemented.");
                Err(Error::with_message(ErrorCode::NotImplemented, message))
            }
            (Some(_) | None, _) => Err(malformed()),
        }
    }
}

fn read_blocked(elements: &mut Elements<'_>) -> Result<bool, Error> {
    let mut blocks = None;
    while let Some(name) = elements.child()? {
        if name != "EncryptionType" || blocks.is_some() {
            return Err(malformed());
        }
        blocks = Some(match elements.word()?.as_str() {
            "SSE-C" => true,
            "NONE" => false,
            _ => return Err(malformed()),
        });
    }
    blocks.ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rules: &str) -> Result<Encryption, Error> {
        Encryption::read(format!("<{ROOT}>{rules}</{ROOT}>").as_bytes())
    }

    fn rule(default: &str, rest: &str) -> String {
        format!("<Rule><{BY_DEFAULT}>{default}</{BY_DEFAULT}>{rest}</Rule>")
    }

    const KMS: &str = "<SSEAlgorithm>aws:kms</SSEAlgorithm>";

    #[test]
    fn rules_are_read_and_shown_as_they_were() {
        let named = |key: Option<&str>| Some(ByDefault::Named(key.map(str::to_owned)));
        let blocked =
            |kind: &str| format!("<{BLOCKED}><EncryptionType>{kind}</EncryptionType></{BLOCKED}>");
        let bucket_key = "<BucketKeyEnabled>true</BucketKeyEnabled>";
        for (text, default, flags) in [
            (
                rule("<SSEAlgorithm>AES256</SSEAlgorithm>", ""),
                Some(ByDefault::Managed),
                (false, None),
            ),
            (rule(KMS, ""), named(None), (false, None)),
            (
                rule(&format!("{KMS}<KMSMasterKeyID>k</KMSMasterKeyID>"), bucket_key),
                named(Some("k")),
                (true, None),
            ),
            (format!("<Rule>{}</Rule>", blocked("SSE-C")), None, (false, Some(true))),
            (rule(KMS, &blocked("NONE")), named(None), (false, Some(false))),
        ] {
            let (bucket_key, blocks_customer_keys) = flags;
            let expected = Encryption { default, bucket_key, blocks_customer_keys };
            let found = read(&text).unwrap();
            assert_eq!(found, expected, "{text}");
            assert_eq!(Encryption::read(&found.document()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_says_nothing_or_too_much_is_refused() {
        let twice = rule(KMS, "").repeat(2);
        for (text, expected) in [
            ("", ErrorCode::MalformedXML),
            ("<Rule/>", ErrorCode::MalformedXML),
            (twice.as_str(), ErrorCode::MalformedXML),
            (&rule("", ""), ErrorCode::MalformedXML),
            (&rule("<SSEAlgorithm>AES192</SSEAlgorithm>", ""), ErrorCode::MalformedXML),
            (&rule("<KMSMasterKeyID>k</KMSMasterKeyID>", ""), ErrorCode::MalformedXML),
            (
                &rule("<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>", ""),
                ErrorCode::InvalidArgument,
            ),
            (&rule("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>", ""), ErrorCode::NotImplemented),
            (&rule(KMS, &format!("<{BLOCKED}/>")), ErrorCode::MalformedXML),
            (&rule(KMS, "<Other/>"), ErrorCode::MalformedXML),
        ] {
            assert_eq!(read(text).unwrap_err().code(), expected, "{text}");
        }
    }
}
