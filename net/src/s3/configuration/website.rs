//! `WebsiteConfiguration`: a bucket as a website, and where its rules send whoever asks.

use bytes::Bytes;

use crate::http::target::encode_path;
use crate::s3::address::check_key;
use crate::s3::error::{Error, ErrorCode};
use crate::s3::xml::read::{Elements, malformed};
use crate::s3::xml::write::Document;

/// S3: "limited to 50 routing rules per website configuration".
const RULES_MAX: usize = 50;
const ROOT: &str = "WebsiteConfiguration";

/// What a website is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Website {
    /// Somewhere else.
    Elsewhere(Elsewhere),
    /// The objects of the bucket.
    Pages(Pages),
}

/// `RedirectAllRequestsTo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// The host, and maybe the beginning of a path.
    pub host: String,
    /// That of the request where none is set.
    pub protocol: Option<String>,
}

/// A website of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// What follows a folder's name in the key of its page.
    pub index_suffix: String,
    /// The key of the page that is shown with an error.
    pub error_key: Option<String>,
    /// The first that fits counts.
    pub rules: Vec<RoutingRule>,
}

/// Who is sent where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutingRule {
    /// Who; everybody where there is none.
    pub condition: Option<Condition>,
    /// Where.
    pub redirect: Redirect,
}

/// When a rule fits: where all of it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The key begins so.
    pub key_prefix: Option<String>,
    /// The answer would be this error.
    pub error_status: Option<u16>,
}

/// Where a rule sends: what it doesn't say stays as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    /// To this host.
    pub host: Option<String>,
    /// By this protocol.
    pub protocol: Option<String>,
    /// With this status; 301 where there is none.
    pub status: Option<u16>,
    /// What replaces the prefix of the condition.
    pub key_prefix: Option<String>,
    /// What replaces the whole key.
    pub key: Option<String>,
}

/// What was asked for at a website.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// `http` or `https`.
    pub protocol: &'a str,
    /// The `Host` of the request, its port included.
    pub host: &'a str,
    /// The object key.
    pub key: &'a str,
    /// The query, undecoded.
    pub query: &'a str,
}

impl Website {
    /// Reads the document.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let mut elements = Elements::open(body, ROOT)?;
        let (mut elsewhere, mut index, mut error_key, mut rules) = (None, None, None, None);
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "RedirectAllRequestsTo" if elsewhere.is_none() => {
                    elsewhere = Some(Elsewhere::read(&mut elements)?);
                }
                "IndexDocument" if index.is_none() => index = Some(only(&mut elements, "Suffix")?),
                "ErrorDocument" if error_key.is_none() => {
                    error_key = Some(only(&mut elements, "Key")?);
                }
                "RoutingRules" if rules.is_none() => rules = Some(read_rules(&mut elements)?),
                _ => return Err(malformed()),
            }
        }
        elements.finish()?;
        if let Some(elsewhere) = elsewhere {
            if index.is_some() || error_key.is_some() || rules.is_some() {
                return Err(Error::argument(
                    "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
                    "RedirectAllRequestsTo",
                    "not null",
                ));
            }
            return Ok(Self::Elsewhere(elsewhere));
        }
        let index_suffix = index.ok_or_else(|| {
            Error::argument(
                "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty",
                "IndexDocument",
                "null",
            )
        })?;
        if index_suffix.is_empty() || index_suffix.contains('/') {
            let message = "The IndexDocument Suffix is not well formed";
            return Err(Error::argument(message, "IndexDocument", index_suffix));
        }
        check_key(&index_suffix)?;
        if let Some(key) = &error_key {
            check_key(key).map_err(|_no_key| malformed())?;
        }
        Ok(Self::Pages(Pages { index_suffix, error_key, rules: rules.unwrap_or_default() }))
    }

    /// The document.
    pub fn document(&self) -> Bytes {
        let mut document = Document::with_root(ROOT);
        match self {
            Self::Elsewhere(elsewhere) => {
                document.open("RedirectAllRequestsTo");
                document.text("HostName", &elsewhere.host);
                document.text_if("Protocol", elsewhere.protocol.as_deref());
                document.close("RedirectAllRequestsTo");
            }
            Self::Pages(pages) => pages.write(&mut document),
        }
        document.close(ROOT);
        document.finish()
    }
}

impl Elsewhere {
    fn read(elements: &mut Elements<'_>) -> Result<Self, Error> {
        let (mut host, mut protocol) = (None, None);
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "HostName" if host.is_none() => host = Some(elements.word()?),
                "Protocol" if protocol.is_none() => protocol = Some(read_protocol(elements)?),
                _ => return Err(malformed()),
            }
        }
        let host = host.filter(|host| !host.is_empty()).ok_or_else(|| {
            Error::argument(
                "A host name must be provided to redirect all requests (e.g. \"example.com\").",
                "HostName",
                "",
            )
        })?;
        Ok(Self { host, protocol })
    }

    /// The URL that a request is sent to.
    pub fn location(&self, asked: &Asked<'_>) -> String {
        url(self.protocol.as_deref().unwrap_or(asked.protocol), &self.host, asked.key, asked.query)
    }
}

impl Pages {
    /// The rule for a key, before anybody has looked whether there is such an object.
    pub fn rule_of(&self, key: &str) -> Option<&RoutingRule> {
        self.rules.iter().find(|rule| rule.fits(key, None))
    }

    /// The rule for a key whose answer would be an error.
    pub fn rule_of_error(&self, key: &str, status: u16) -> Option<&RoutingRule> {
        self.rules.iter().find(|rule| rule.fits(key, Some(status)))
    }

    fn write(&self, document: &mut Document) {
        document.open("IndexDocument");
        document.text("Suffix", &self.index_suffix);
        document.close("IndexDocument");
        if let Some(key) = &self.error_key {
            document.open("ErrorDocument");
            document.text("Key", key);
            document.close("ErrorDocument");
        }
        if self.rules.is_empty() {
            return;
        }
        document.open("RoutingRules");
        for rule in &self.rules {
            rule.write(document);
        }
        document.close("RoutingRules");
    }
}

impl RoutingRule {
    fn read(elements: &mut Elements<'_>) -> Result<Self, Error> {
        let (mut condition, mut redirect) = (None, None);
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "Condition" if condition.is_none() => condition = Some(Condition::read(elements)?),
                "Redirect" if redirect.is_none() => redirect = Some(Redirect::read(elements)?),
                _ => return Err(malformed()),
            }
        }
        let redirect = redirect.ok_or_else(malformed)?;
        Ok(Self { condition, redirect })
    }

    /// A rule about an error is for that error alone.
    fn fits(&self, key: &str, status: Option<u16>) -> bool {
        let Some(condition) = &self.condition else { return status.is_none() };
        condition.error_status == status
            && condition.key_prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix.as_str()))
    }

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        self.redirect.status.unwrap_or(301)
    }

    /// The URL that a request is sent to.
    pub fn location(&self, asked: &Asked<'_>) -> String {
        let redirect = &self.redirect;
        let prefix = self.condition.as_ref().and_then(|condition| condition.key_prefix.as_deref());
        let key = match (&redirect.key, &redirect.key_prefix) {
            (Some(key), _) => key.clone(),
            (None, Some(with)) => {
                let prefix = prefix.unwrap_or_default();
                format!("{with}{}", asked.key.strip_prefix(prefix).unwrap_or(asked.key))
            }
            (None, None) => asked.key.to_owned(),
        };
        let protocol = redirect.protocol.as_deref().unwrap_or(asked.protocol);
        url(protocol, redirect.host.as_deref().unwrap_or(asked.host), &key, asked.query)
    }

    fn write(&self, document: &mut Document) {
        let number = |number: Option<u16>| number.map(|number| number.to_string());
        document.open("RoutingRule");
        if let Some(condition) = &self.condition {
            document.open("Condition");
            let status = number(condition.error_status);
            document.text_if("HttpErrorCodeReturnedEquals", status.as_deref());
            document.text_if("KeyPrefixEquals", condition.key_prefix.as_deref());
            document.close("Condition");
        }
        let redirect = &self.redirect;
        document.open("Redirect");
        document.text_if("HostName", redirect.host.as_deref());
        document.text_if("HttpRedirectCode", number(redirect.status).as_deref());
        document.text_if("Protocol", redirect.protocol.as_deref());
        document.text_if("ReplaceKeyPrefixWith", redirect.key_prefix.as_deref());
        document.text_if("ReplaceKeyWith", redirect.key.as_deref());
        document.close("Redirect");
        document.close("RoutingRule");
    }
}

impl Condition {
    fn read(elements: &mut Elements<'_>) -> Result<Self, Error> {
        let mut condition = Self::default();
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "KeyPrefixEquals" if condition.key_prefix.is_none() => {
                    condition.key_prefix = Some(elements.text()?);
                }
                "HttpErrorCodeReturnedEquals" if condition.error_status.is_none() => {
                    let status = status(elements, 400..=599, |code| {
                        format!(
                            "The provided HTTP error code ({code}) is not valid. Valid codes are 4XX or 5XX."
                        )
                    })?;
                    condition.error_status = Some(status);
                }
                _ => return Err(malformed()),
            }
        }
        if condition == Self::default() {
            return Err(invalid(
                "Condition cannot be empty. To redirect all requests without a condition, the condition \
                 element shouldn't be present."
                    .to_owned(),
            ));
        }
        Ok(condition)
    }
}

impl Redirect {
    fn read(elements: &mut Elements<'_>) -> Result<Self, Error> {
        let mut redirect = Self::default();
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "HostName" if redirect.host.is_none() => redirect.host = Some(elements.word()?),
                "Protocol" if redirect.protocol.is_none() => {
                    redirect.protocol = Some(read_protocol(elements)?);
                }
                "HttpRedirectCode" if redirect.status.is_none() => {
                    let status = status(elements, 301..=399, |code| {
                        format!(
                            "The provided HTTP redirect code ({code}) is not valid. Valid codes are 3XX \
                             except 300."
                        )
                    })?;
                    redirect.status = Some(status);
                }
                "ReplaceKeyPrefixWith" if redirect.key_prefix.is_none() => {
                    redirect.key_prefix = Some(elements.text()?);
                }
                "ReplaceKeyWith" if redirect.key.is_none() => {
                    redirect.key = Some(elements.text()?);
                }
                _ => return Err(malformed()),
            }
        }
        if redirect == Self::default() {
            return Err(malformed());
        }
        if redirect.key.is_some() && redirect.key_prefix.is_some() {
            return Err(invalid(
                "You can only define ReplaceKeyPrefix or ReplaceKey but not both.".to_owned(),
            ));
        }
        Ok(redirect)
    }
}

fn read_rules(elements: &mut Elements<'_>) -> Result<Vec<RoutingRule>, Error> {
    let (mut rules, mut count) = (Vec::new(), 0);
    while let Some(name) = elements.child()? {
        if name != "RoutingRule" {
            return Err(malformed());
        }
        count += 1;
        // What is too much is counted for the answer, and not kept.
        if count > RULES_MAX {
            elements.skip()?;
        } else {
            rules.push(RoutingRule::read(elements)?);
        }
    }
    match count {
        0 => Err(malformed()),
        1..=RULES_MAX => Ok(rules),
        _ => Err(invalid(format!(
            "{count} routing rules provided, the number of routing rules in a website configuration is \
             limited to {RULES_MAX}."
        ))),
    }
}

/// The text of the only child of an element.
fn only(elements: &mut Elements<'_>, child: &str) -> Result<String, Error> {
    let mut text = None;
    while let Some(name) = elements.child()? {
        if name != child || text.is_some() {
            return Err(malformed());
        }
        text = Some(elements.text()?);
    }
    text.ok_or_else(malformed)
}

fn read_protocol(elements: &mut Elements<'_>) -> Result<String, Error> {
    let protocol = elements.word()?;
    if matches!(protocol.as_str(), "http" | "https") {
        return Ok(protocol);
    }
    Err(invalid(
        "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected \
         automatically."
            .to_owned(),
    ))
}

fn status(
    elements: &mut Elements<'_>,
    range: std::ops::RangeInclusive<u16>,
    refused: impl Fn(u32) -> String,
) -> Result<u16, Error> {
    let code: u32 = elements.word()?.parse().map_err(|_no_number| malformed())?;
    u16::try_from(code)
        .ok()
        .filter(|code| range.contains(code))
        .ok_or_else(|| invalid(refused(code)))
}

fn url(protocol: &str, host: &str, key: &str, query: &str) -> String {
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{protocol}://{host}/{}{mark}{query}", encode_path(key))
}

fn invalid(message: String) -> Error {
    Error::with_message(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests;
