//! What a request is, as the conditions of policies ask about it: a key has values, one value, or none.

use std::{borrow::Cow, net::IpAddr};

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
    /// Who sends it; none where it isn't signed.
    pub sender: Option<Sender<'a>>,
    /// The provider that says who sends it, where none of the node's own keys does.
    pub federated: Option<&'a str>,
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
    /// Values of keys that only calls of STS have: names in lower case.
    pub context: &'a [(String, String)],
}

/// Who sends a request, proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender<'a> {
    /// The account.
    pub account: &'a str,
    /// The canonical id of that account.
    pub canonical: &'a str,
    /// The ARN: of the root, the user or the session.
    pub arn: &'a str,
    /// What names it for good.
    pub user_id: &'a str,
    /// The user's name.
    pub user_name: Option<&'a str>,
    /// What it is.
    pub kind: SenderKind,
}

/// What a sender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderKind {
    /// The root of an account.
    Root,
    /// A user.
    User,
    /// A session of a role.
    Session,
}

impl Sender<'_> {
    /// The ARN that policies name it by: of a session it is that of its role, without the role's path.
    fn principal_arn(&self) -> Cow<'_, str> {
        match self.role_name() {
            Some(role) => Cow::Owned(format!("arn:aws:iam::{}:role/{role}", self.account)),
            None => Cow::Borrowed(self.arn),
        }
    }

    fn role_name(&self) -> Option<&str> {
        let (_, session) = self.arn.split_once(":assumed-role/")?;
        Some(session.split('/').next().unwrap_or(session))
    }

    /// How a name of a policy's `AWS` principals means it.
    pub(super) fn named_by(&self, name: &str) -> Option<NamedBy> {
        let account =
            name.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_suffix(":root"));
        if name == self.account || account == Some(self.account) {
            let is_itself = self.kind == SenderKind::Root;
            return Some(if is_itself { NamedBy::Itself } else { NamedBy::Account });
        }
        let is_role = || {
            let role = name.strip_prefix("arn:aws:iam::")?.strip_prefix(self.account)?;
            let role = role.strip_prefix(":role/")?;
            Some(role.rsplit('/').next() == self.role_name())
        };
        (name == self.arn || is_role() == Some(true)).then_some(NamedBy::Itself)
    }
}

/// How a policy names a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NamedBy {
    /// By its account, which says itself who of it may.
    Account,
    /// Itself, or as one of all.
    Itself,
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
    /// `aws:PrincipalAccount`.
    PrincipalAccount,
    /// `aws:userid`.
    UserId,
    /// `aws:username`.
    UserName,
    /// `aws:MultiFactorAuthPresent`, `aws:MultiFactorAuthAge`: nobody has one here.
    MultiFactor,
    /// `aws:ViaAWSService`, `aws:PrincipalIsAWSService`: nobody comes so.
    ViaService,
    /// A key that only calls of STS have, in lower case.
    Context(String),
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
/// Keys about a token from elsewhere end so; what they begin with is the provider.
const CLAIMS: [&str; 6] = [":aud", ":oaud", ":sub", ":azp", ":amr", ":email"];
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
            "aws:principalaccount" => Self::PrincipalAccount,
            "aws:userid" => Self::UserId,
            "aws:username" => Self::UserName,
            "aws:multifactorauthpresent" | "aws:multifactorauthage" => Self::MultiFactor,
            "aws:viaawsservice" | "aws:principalisawsservice" => Self::ViaService,
            "sts:externalid" | "sts:rolesessionname" => Self::Context(lower),
            _ if CLAIMS.iter().any(|claim| lower.ends_with(claim)) => Self::Context(lower),
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
            Key::PrincipalArn => self.sender.map(|sender| sender.principal_arn().into_owned()),
            Key::PrincipalAccount => self.sender.map(|sender| sender.account.to_owned()),
            Key::UserId => self.sender.map(|sender| sender.user_id.to_owned()),
            Key::UserName => self.sender.and_then(|sender| sender.user_name).map(str::to_owned),
            Key::MultiFactor => None,
            Key::ViaService => Some("false".to_owned()),
            Key::Context(name) => tag(self.context, name),
            Key::PrincipalType => Some(self.principal_type().to_owned()),
            Key::ResourceAccount => Some(self.owner.to_owned()),
            Key::AuthType => self.sender.map(|_| self.auth_type().to_owned()),
            Key::SignatureVersion => self.sender.map(|_| "AWS4-HMAC-SHA256".to_owned()),
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

    fn principal_type(&self) -> &'static str {
        match self.sender.map(|sender| sender.kind) {
            None => "Anonymous",
            Some(SenderKind::Root) => "Account",
            Some(SenderKind::User) => "User",
            Some(SenderKind::Session) => "AssumedRole",
        }
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
