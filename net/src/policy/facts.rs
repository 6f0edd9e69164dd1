//! What a request is, as the conditions of policies ask about it: a key has values, one value, or none.

use std::net::IpAddr;

use crate::s3::query::Query;
use crate::s3::request::Headers;

/// What is to be decided: may this be done to that.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The action, for instance `s3:GetObject`.
    pub action: &'a str,
    /// The ARN of what it is done to.
    pub resource: &'a str,
    /// What else is known.
    pub facts: &'a Facts<'a>,
}

/// What is known of a request and who sends it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The account that sends it; none where it isn't signed.
    pub account: Option<&'a str>,
    /// The canonical id of that account.
    pub canonical: &'a str,
    /// The account that owns what it is about.
    pub owner: &'a str,
    /// Where it comes from.
    pub source: Option<IpAddr>,
    /// Whether it came over TLS.
    pub is_secure: bool,
    /// The node's time in seconds since 1970.
    pub now_seconds: i64,
    /// Its header fields; those of a form where it is one.
    pub headers: Headers<'a>,
    /// Its query.
    pub query: &'a Query,
    /// The version that it names.
    pub version: Option<&'a str>,
    /// The tags of the object that it is about, where they were looked up.
    pub tags: &'a [(String, String)],
    /// The tags that it brings.
    pub new_tags: &'a [(String, String)],
}

/// A condition key that this release knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// `aws:SourceIp`.
    SourceIp,
    /// `aws:SecureTransport`.
    SecureTransport,
    /// `aws:CurrentTime`.
    CurrentTime,
    /// `aws:EpochTime`.
    EpochTime,
    /// `aws:PrincipalArn`.
    PrincipalArn,
    /// `aws:PrincipalAccount`, and `aws:userid` of the root.
    PrincipalAccount,
    /// `aws:PrincipalType`.
    PrincipalType,
    /// `aws:ResourceAccount`, `s3:ResourceAccount`.
    ResourceAccount,
    /// `s3:authType`.
    AuthType,
    /// `s3:signatureversion`.
    SignatureVersion,
    /// A header of this name, in lower case.
    Header(String),
    /// `s3:VersionId`.
    VersionId,
    /// A query parameter of this name.
    Parameter(String),
    /// `s3:ExistingObjectTag/` and the key of the tag.
    ExistingTag(String),
    /// `s3:RequestObjectTag/` and the key of the tag.
    RequestTag(String),
    /// `s3:RequestObjectTagKeys`.
    RequestTagKeys,
}

/// Keys that are headers or parameters, by their name in lower case.
const HEADERS: [(&str, &str); 18] = [
    ("aws:referer", "referer"),
    ("aws:useragent", "user-agent"),
    ("s3:x-amz-acl", "x-amz-acl"),
    ("s3:x-amz-content-sha256", "x-amz-content-sha256"),
    ("s3:x-amz-copy-source", "x-amz-copy-source"),
    ("s3:x-amz-grant-full-control", "x-amz-grant-full-control"),
    ("s3:x-amz-grant-read", "x-amz-grant-read"),
    ("s3:x-amz-grant-read-acp", "x-amz-grant-read-acp"),
    ("s3:x-amz-grant-write", "x-amz-grant-write"),
    ("s3:x-amz-grant-write-acp", "x-amz-grant-write-acp"),
    ("s3:x-amz-metadata-directive", "x-amz-metadata-directive"),
    ("s3:x-amz-server-side-encryption", "x-amz-server-side-encryption"),
    (
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-aws-kms-key-id",
    ),
    (
        "s3:x-amz-server-side-encryption-customer-algorithm",
        "x-amz-server-side-encryption-customer-algorithm",
    ),
    ("s3:x-amz-storage-class", "x-amz-storage-class"),
    ("s3:x-amz-website-redirect-location", "x-amz-website-redirect-location"),
    ("s3:object-lock-mode", "x-amz-object-lock-mode"),
    ("s3:object-lock-legal-hold", "x-amz-object-lock-legal-hold"),
];
const PARAMETERS: [(&str, &str); 3] =
    [("s3:prefix", "prefix"), ("s3:delimiter", "delimiter"), ("s3:max-keys", "max-keys")];

impl Key {
    /// The key of a name, whose case doesn't matter but in the keys of tags.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let tag = name.split_once('/').map(|(_, tag)| tag.to_owned()).filter(|tag| !tag.is_empty());
        match (lower.split('/').next()?, tag) {
            ("s3:existingobjecttag", Some(tag)) => return Some(Self::ExistingTag(tag)),
            ("s3:requestobjecttag", Some(tag)) => return Some(Self::RequestTag(tag)),
            _ => {}
        }
        let named = |list: &[(&str, &str)]| {
            list.iter().find(|(known, _)| *known == lower).map(|(_, at)| (*at).to_owned())
        };
        Some(match lower.as_str() {
            "aws:sourceip" => Self::SourceIp,
            "aws:securetransport" => Self::SecureTransport,
            "aws:currenttime" => Self::CurrentTime,
            "aws:epochtime" => Self::EpochTime,
            "aws:principalarn" => Self::PrincipalArn,
            "aws:principalaccount" | "aws:userid" => Self::PrincipalAccount,
            "aws:principaltype" => Self::PrincipalType,
            "aws:resourceaccount" | "s3:resourceaccount" => Self::ResourceAccount,
            "s3:versionid" => Self::VersionId,
            "s3:authtype" => Self::AuthType,
            "s3:signatureversion" => Self::SignatureVersion,
            "s3:requestobjecttagkeys" => Self::RequestTagKeys,
            _ => match (named(&HEADERS), named(&PARAMETERS)) {
                (Some(header), _) => Self::Header(header),
                (None, Some(parameter)) => Self::Parameter(parameter),
                (None, None) => return None,
            },
        })
    }
}

impl Facts<'_> {
    /// The values of a key; none where the request has nothing of it.
    pub(super) fn values(&self, key: &Key) -> Vec<String> {
        let tag = |tags: &[(String, String)], wanted: &String| {
            tags.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.clone())
        };
        let one = match key {
            Key::SourceIp => self.source.map(|source| source.to_string()),
            Key::SecureTransport => Some(self.is_secure.to_string()),
            Key::CurrentTime => Some(crate::http::date::format_iso(self.now_seconds * 1000)),
            Key::EpochTime => Some(self.now_seconds.to_string()),
            Key::PrincipalArn => self.account.map(root_arn),
            Key::PrincipalAccount => self.account.map(str::to_owned),
            Key::PrincipalType => Some(self.account.map_or("Anonymous", |_| "Account").to_owned()),
            Key::ResourceAccount => Some(self.owner.to_owned()),
            Key::AuthType => self.account.map(|_| self.auth_type().to_owned()),
            Key::SignatureVersion => self.account.map(|_| "AWS4-HMAC-SHA256".to_owned()),
            Key::VersionId => self.version.map(str::to_owned),
            Key::Header(name) => self.headers.get(name).map(str::to_owned),
            Key::Parameter(name) => self.query.get(name).map(str::to_owned),
            Key::ExistingTag(wanted) => tag(self.tags, wanted),
            Key::RequestTag(wanted) => tag(self.new_tags, wanted),
            Key::RequestTagKeys => {
                return self.new_tags.iter().map(|(key, _)| key.clone()).collect();
            }
        };
        one.into_iter().collect()
    }

    fn auth_type(&self) -> &'static str {
        if self.headers.has("authorization") {
            "REST-HEADER"
        } else if self.query.has("X-Amz-Signature") {
            "REST-QUERY-STRING"
        } else {
            "POST"
        }
    }
}

/// The ARN of an account's root.
pub(super) fn root_arn(account: &str) -> String {
    format!("arn:aws:iam::{account}:root")
}
