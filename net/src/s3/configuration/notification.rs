//! `NotificationConfiguration`: who is told of what happens to the objects of a bucket.
//!
//! A target is named by an ARN, and may be called a queue, a topic or a function: they are told alike. No two rules are told
//! of the same event of the same key, as AWS has it: so an event has one rule at most.

use bytes::Bytes;

use crate::s3::error::{Error, ErrorCode};
use crate::s3::xml::read::{Elements, malformed};
use crate::s3::xml::write::Document;

/// S3: "100 event notification configurations" a bucket.
const RULES_MAX: usize = 100;
const ID_BYTES_MAX: usize = 255;
const FILTER_BYTES_MAX: usize = 1024;
const TARGET_NAME_BYTES_MAX: usize = 64;
const ROOT: &str = "NotificationConfiguration";

/// All that AWS knows. What can't happen here is taken and never told: restores, replication.
const EVENTS: [&str; 27] = [
    "s3:IntelligentTiering",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
    "s3:ObjectAcl:Put",
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Put",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:ObjectRestore:Post",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Delete",
    "s3:ObjectTagging:Put",
    "s3:ReducedRedundancyLostObject",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationNotTracked",
    "s3:Replication:OperationReplicatedAfterThreshold",
];

/// What happens to objects here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occurrence {
    /// Made by a PUT.
    Put,
    /// Made by a form.
    Post,
    /// Made as a copy.
    Copy,
    /// Made of parts.
    CompleteMultipartUpload,
    /// An object or a version is gone.
    Delete,
    /// An object is hidden.
    DeleteMarkerCreated,
    /// It has other tags.
    TaggingPut,
    /// It has no tags any more.
    TaggingDelete,
    /// It has another ACL.
    AclPut,
    /// Lifecycle had it go.
    Expired,
    /// Lifecycle has hidden it.
    ExpiredMarkerCreated,
    /// Lifecycle has moved its bytes to another storage class.
    Transition,
}

impl Occurrence {
    /// Every one.
    pub const ALL: [Self; 12] = [
        Self::Put,
        Self::Post,
        Self::Copy,
        Self::CompleteMultipartUpload,
        Self::Delete,
        Self::DeleteMarkerCreated,
        Self::TaggingPut,
        Self::TaggingDelete,
        Self::AclPut,
        Self::Expired,
        Self::ExpiredMarkerCreated,
        Self::Transition,
    ];

    /// What configurations call it.
    fn event(self) -> &'static str {
        match self {
            Self::Put => "s3:ObjectCreated:Put",
            Self::Post => "s3:ObjectCreated:Post",
            Self::Copy => "s3:ObjectCreated:Copy",
            Self::CompleteMultipartUpload => "s3:ObjectCreated:CompleteMultipartUpload",
            Self::Delete => "s3:ObjectRemoved:Delete",
            Self::DeleteMarkerCreated => "s3:ObjectRemoved:DeleteMarkerCreated",
            Self::TaggingPut => "s3:ObjectTagging:Put",
            Self::TaggingDelete => "s3:ObjectTagging:Delete",
            Self::AclPut => "s3:ObjectAcl:Put",
            Self::Expired => "s3:LifecycleExpiration:Delete",
            Self::ExpiredMarkerCreated => "s3:LifecycleExpiration:DeleteMarkerCreated",
            Self::Transition => "s3:LifecycleTransition",
        }
    }

    /// What records of it call it.
    pub fn name(self) -> &'static str {
        self.event().strip_prefix("s3:").unwrap_or_default()
    }
}

/// Rules, in the order sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// There may be none.
    pub rules: Vec<Rule>,
}

/// Who is told of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it is called; given by Anode where its sender didn't.
    pub id: String,
    /// What its sender calls the target.
    pub kind: TargetKind,
    /// Who is told.
    pub target: Target,
    /// Of what, as sent.
    pub events: Vec<&'static str>,
    /// What the key begins with.
    pub prefix: Option<String>,
    /// What it ends with.
    pub suffix: Option<String>,
}

/// What a target is called; all are told alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// `TopicConfiguration`.
    Topic,
    /// `QueueConfiguration`.
    Queue,
    /// `CloudFunctionConfiguration`.
    Function,
}

/// A target as an ARN names it: `arn:anode:sqs:REGION:NAME:webhook`, and so with `minio`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The whole ARN.
    pub arn: String,
    /// The region; empty for any.
    pub region: String,
    /// What the node's settings call it.
    pub name: String,
}

/// Whether a target can be called so.
pub fn is_target_name(name: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=TARGET_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_known)
}

/// What is answered where a target can't be told.
pub fn unvalidated(arn: &str, reason: &str) -> Error {
    let message = "Unable to validate the following destination configurations";
    Error::with_message(ErrorCode::InvalidArgument, message)
        .field("ArgumentName1", arn)
        .field("ArgumentValue1", reason)
}

impl Notification {
    /// Reads the document.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let mut elements = Elements::open(body, ROOT)?;
        let mut rules: Vec<Rule> = Vec::new();
        while let Some(name) = elements.child()? {
            let kind = match name.as_str() {
                "TopicConfiguration" => TargetKind::Topic,
                "QueueConfiguration" => TargetKind::Queue,
                "CloudFunctionConfiguration" => TargetKind::Function,
                "EventBridgeConfiguration" => {
                    return Err(Error::with_message(
                        ErrorCode::NotImplemented,
                        "There is no EventBridge here that events could be sent to; name a target.",
                    ));
                }
                _ => return Err(malformed()),
            };
            if rules.len() == RULES_MAX {
                let message = format!("A bucket has up to {RULES_MAX} notification configurations");
                return Err(Error::with_message(ErrorCode::InvalidArgument, message));
            }
            let rule = Rule::read(&mut elements, kind)?;
            rules.iter().try_for_each(|other| rule.check_beside(other))?;
            rules.push(rule);
        }
        elements.finish()?;
        Ok(Self { rules })
    }

    /// Names the rules that have no name.
    pub fn name_rules(&mut self, mut name: impl FnMut() -> String) {
        for rule in self.rules.iter_mut().filter(|rule| rule.id.is_empty()) {
            rule.id = name();
        }
    }

    /// The document.
    pub fn document(&self) -> Bytes {
        let mut document = Document::with_root(ROOT);
        self.rules.iter().for_each(|rule| rule.write(&mut document));
        document.close(ROOT);
        document.finish()
    }

    /// The rule for what happens to a key.
    pub fn rule_of(&self, occurrence: Occurrence, key: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| {
            rule.is_about(key) && rule.events.iter().any(|event| are_one(event, occurrence.event()))
        })
    }
}

impl Rule {
    fn read(elements: &mut Elements<'_>, kind: TargetKind) -> Result<Self, Error> {
        let (mut id, mut target, mut filter) = (None, None, None);
        let mut events = Vec::new();
        while let Some(name) = elements.child()? {
            match name.as_str() {
                "Id" if id.is_none() => id = Some(elements.word()?),
                "Event" if events.len() < EVENTS.len() => events.push(event(&elements.word()?)?),
                "Filter" if filter.is_none() => filter = Some(Filter::read(elements)?),
                name if name == kind.child() && target.is_none() => {
                    target = Some(Target::parse(&elements.word()?)?);
                }
                _ => return Err(malformed()),
            }
        }
        let id = id.unwrap_or_default();
        if id.len() > ID_BYTES_MAX {
            let message = "The ID of a configuration can't be longer than 255 characters";
            return Err(Error::argument(message, "Id", id));
        }
        let target = target.ok_or_else(malformed)?;
        if events.is_empty() {
            return Err(malformed());
        }
        let Filter { prefix, suffix } = filter.unwrap_or_default();
        Ok(Self { id, kind, target, events, prefix, suffix })
    }

    fn is_about(&self, key: &str) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix.as_str()))
            && self.suffix.as_ref().is_none_or(|suffix| key.ends_with(suffix.as_str()))
    }

    /// Refuses two rules that are told of the same event of the same key, and two of the same name.
    fn check_beside(&self, other: &Self) -> Result<(), Error> {
        if !self.id.is_empty() && self.id == other.id {
            let message = "Same ID used for multiple configurations. IDs must be unique";
            return Err(Error::argument(message, "Id", self.id.as_str()));
        }
        let mut pairs =
            self.events.iter().flat_map(|one| other.events.iter().map(move |two| (one, two)));
        if !pairs.any(|(one, two)| are_one(one, two)) {
            return Ok(());
        }
        let (prefix, suffix) = (self.prefix.as_deref(), self.suffix.as_deref());
        let (prefix, suffix) = (prefix.unwrap_or_default(), suffix.unwrap_or_default());
        let beside = (
            other.prefix.as_deref().unwrap_or_default(),
            other.suffix.as_deref().unwrap_or_default(),
        );
        let prefixes_meet = prefix.starts_with(beside.0) || beside.0.starts_with(prefix);
        let suffixes_meet = suffix.ends_with(beside.1) || beside.1.ends_with(suffix);
        if !prefixes_meet || !suffixes_meet {
            return Ok(());
        }
        let message = if (prefix, suffix) == ("", "") && beside == ("", "") {
            "Configurations overlap. Configurations on the same bucket cannot share a common event type."
        } else {
            "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are \
             overlapping for the same event type."
        };
        Err(Error::with_message(ErrorCode::InvalidArgument, message))
    }

    fn write(&self, document: &mut Document) {
        document.open(self.kind.element());
        document.text("Id", &self.id);
        document.text(self.kind.child(), &self.target.arn);
        for event in &self.events {
            document.text("Event", event);
        }
        if self.prefix.is_some() || self.suffix.is_some() {
            document.open("Filter");
            document.open("S3Key");
            for (name, value) in [("Prefix", &self.prefix), ("Suffix", &self.suffix)] {
                let Some(value) = value else { continue };
                document.open("FilterRule");
                document.text("Name", name);
                document.text("Value", value);
                document.close("FilterRule");
            }
            document.close("S3Key");
            document.close("Filter");
        }
        document.close(self.kind.element());
    }
}

impl TargetKind {
    fn element(self) -> &'static str {
        match self {
            Self::Topic => "TopicConfiguration",
            Self::Queue => "QueueConfiguration",
            Self::Function => "CloudFunctionConfiguration",
        }
    }

    fn child(self) -> &'static str {
        match self {
            Self::Topic => "Topic",
            Self::Queue => "Queue",
            Self::Function => "CloudFunction",
        }
    }
}

impl Target {
    fn parse(arn: &str) -> Result<Self, Error> {
        let mut parts = arn.split(':');
        let mut next = || parts.next().unwrap_or_default();
        let (scheme, whose, service) = (next(), next(), next());
        let (region, name, kind) = (next(), next(), next());
        let is_known = scheme == "arn"
            && matches!(whose, "anode" | "minio")
            && service == "sqs"
            && kind == "webhook"
            && is_target_name(name);
        if !is_known || parts.next().is_some() {
            return Err(unvalidated(arn, "The ARN is not of the form arn:anode:sqs::NAME:webhook"));
        }
        Ok(Self { arn: arn.to_owned(), region: region.to_owned(), name: name.to_owned() })
    }
}

#[derive(Default)]
struct Filter {
    prefix: Option<String>,
    suffix: Option<String>,
}

impl Filter {
    fn read(elements: &mut Elements<'_>) -> Result<Self, Error> {
        let (mut filter, mut is_read) = (Self::default(), false);
        while let Some(name) = elements.child()? {
            if name != "S3Key" || is_read {
                return Err(malformed());
            }
            is_read = true;
            while let Some(name) = elements.child()? {
                if name != "FilterRule" {
                    return Err(malformed());
                }
                filter.read_rule(elements)?;
            }
        }
        Ok(filter)
    }

    fn read_rule(&mut self, elements: &mut Elements<'_>) -> Result<(), Error> {
        let (mut name, mut value) = (None, None);
        while let Some(child) = elements.child()? {
            match child.as_str() {
                "Name" if name.is_none() => name = Some(elements.word()?),
                "Value" if value.is_none() => value = Some(elements.text()?),
                _ => return Err(malformed()),
            }
        }
        let (Some(name), Some(value)) = (name, value) else { return Err(malformed()) };
        if value.len() > FILTER_BYTES_MAX {
            let message =
                "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation";
            return Err(Error::argument(message, "FilterRule.Value", value));
        }
        let place = match name.to_ascii_lowercase().as_str() {
            "prefix" => &mut self.prefix,
            "suffix" => &mut self.suffix,
            _ => {
                let message = "filter rule name must be either prefix or suffix";
                return Err(Error::argument(message, "FilterRule.Name", name));
            }
        };
        if place.is_some() {
            let name = name.to_ascii_lowercase();
            let message = format!("Cannot specify more than one {name} rule in a filter.");
            return Err(Error::argument(message, "FilterRule.Name", name));
        }
        *place = Some(value);
        Ok(())
    }
}

fn event(name: &str) -> Result<&'static str, Error> {
    let found = EVENTS.binary_search(&name).ok().and_then(|at| EVENTS.get(at).copied());
    found.ok_or_else(|| {
        Error::argument("The event is not supported for notifications", "Event", name)
    })
}

/// Whether two events have one in common: `*` is any of its type.
fn are_one(one: &str, other: &str) -> bool {
    let is_of = |all: &str, event: &str| {
        all.strip_suffix('*').is_some_and(|prefix| event.starts_with(prefix))
    };
    one == other || is_of(one, other) || is_of(other, one)
}

#[cfg(test)]
mod tests;
