//! The policy of an upload form (S3: POST Policy): until when, and which fields it may have.
//!
//! ```text
//! { "expiration": "2030-12-30T12:00:00.000Z", "conditions": [
//!     {"bucket": "b"}, ["eq", "$acl", "private"], ["starts-with", "$key", "user/"], ["content-length-range", 1, 1048576] ] }
//! ```
//!
//! Every field has to be covered by a condition, and the bucket too: what its signer did not think of is refused.

use std::ops::RangeInclusive;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use crate::http::date;
use crate::s3::error::{Error, ErrorCode};
use crate::s3::form::Form;

/// A policy, its signature verified by whoever has it.
#[derive(Clone, Debug)]
pub struct PostPolicy {
    expiration_ms: i64,
    conditions: Vec<Condition>,
}

/// One condition, and how the message of its failure shows it.
#[derive(Clone, Debug)]
struct Condition {
    shown: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Equal {
        name: String,
        value: String,
    },
    StartsWith {
        name: String,
        prefix: String,
    },
    Length(RangeInclusive<u64>),
    /// It can't hold: the name of its field lacks the dollar sign, or its bounds are no numbers.
    Never,
}

/// Fields that need no condition, by their names.
const UNCOVERED: [&str; 5] = ["policy", "signature", "x-amz-signature", "awsaccesskeyid", "file"];
/// And by how their names start. A checksum can only refuse bytes that aren't the sender's.
const UNCOVERED_PREFIXES: [&str; 2] = ["x-ignore-", "x-amz-checksum-"];

impl PostPolicy {
    /// Reads a policy in base64; `InvalidPolicyDocument` where it is none.
    pub fn parse(policy_base64: &str) -> Result<Self, Error> {
        let json = STANDARD
            .decode(policy_base64)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .and_then(|text| serde_json::from_str(&without_own_escapes(&text)).ok());
        let Some(Value::Object(policy)) = json else { return Err(invalid("Invalid JSON.")) };
        if let Some(name) =
            policy.keys().find(|name| !["expiration", "conditions"].contains(&name.as_str()))
        {
            return Err(invalid(format!("Unexpected: '{name}'")));
        }
        let expiration_ms = expiration_ms(&policy)?;
        let conditions = match policy.get("conditions") {
            Some(Value::Array(conditions)) => conditions.iter().map(Condition::parse).collect(),
            Some(_) => Err(invalid("Invalid 'conditions' value: must be a List.")),
            None => Err(invalid("Policy missing conditions.")),
        };
        Ok(Self { expiration_ms, conditions: conditions? })
    }

    /// Whether a form to this bucket may be stored now (milliseconds since 1970): how many bytes its file may have.
    ///
    /// `AccessDenied` where it is too late, where a condition doesn't hold, and where a field has none.
    pub fn check(
        &self,
        form: &Form,
        bucket: &str,
        now_ms: i64,
    ) -> Result<RangeInclusive<u64>, Error> {
        if now_ms >= self.expiration_ms {
            return Err(denied("Policy expired."));
        }
        let mut length = 0..=u64::MAX;
        for condition in &self.conditions {
            if let Test::Length(range) = &condition.test {
                length = *length.start().max(range.start())..=*length.end().min(range.end());
            } else if !condition.holds(form, bucket) {
                return Err(denied(format!("Policy Condition failed: {}", condition.shown)));
            }
        }
        let names = form.iter().map(|(name, _)| name).chain(["bucket"]);
        match names.into_iter().find(|name| !self.covers(name)) {
            Some(name) => Err(denied(format!("Extra input fields: {name}"))),
            None => Ok(length),
        }
    }

    fn covers(&self, field: &str) -> bool {
        UNCOVERED.contains(&field)
            || UNCOVERED_PREFIXES.iter().any(|prefix| field.starts_with(prefix))
            || self.conditions.iter().any(|condition| condition.field() == Some(field))
    }
}

impl Condition {
    fn parse(value: &Value) -> Result<Self, Error> {
        match value {
            Value::Object(pairs) => Self::parse_simple(pairs),
            Value::Array(items) => Self::parse_list(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Err(invalid("Invalid Condition: must be a List or Object."))
            }
        }
    }

    /// `{"name": "value"}`.
    fn parse_simple(pairs: &Map<String, Value>) -> Result<Self, Error> {
        let mut pairs = pairs.iter();
        let (Some((name, value)), None) = (pairs.next(), pairs.next()) else {
            return Err(invalid(
                "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
            ));
        };
        let Value::String(value) = value else {
            return Err(invalid("Invalid Simple-Condition: value must be a string."));
        };
        let shown = shown("eq", &format!("${name}"), value);
        let test = Test::Equal { name: name.to_ascii_lowercase(), value: value.clone() };
        Ok(Self { shown, test })
    }

    /// `["operator", "$name", "value"]`, `["content-length-range", min, max]`.
    fn parse_list(items: &[Value]) -> Result<Self, Error> {
        let Some(Value::String(operator)) = items.first() else {
            return Err(invalid("Invalid Condition: missing operation identifier."));
        };
        let operator = operator.to_ascii_lowercase();
        if !["eq", "starts-with", "content-length-range"].contains(&operator.as_str()) {
            return Err(invalid(format!("Invalid Condition: unknown operation '{operator}'.")));
        }
        let [_, first, second] = items else {
            return Err(invalid(format!("Invalid {operator}: wrong number of arguments.")));
        };
        if operator == "content-length-range" {
            return Self::parse_range(first, second);
        }
        let (Value::String(field), Value::String(value)) = (first, second) else {
            return Err(invalid(format!("Invalid {operator}: arguments must be strings.")));
        };
        let shown = shown(&operator, field, value);
        let test = match field.strip_prefix('$').map(str::to_ascii_lowercase) {
            None => Test::Never,
            Some(name) if operator == "eq" => Test::Equal { name, value: value.clone() },
            Some(name) => Test::StartsWith { name, prefix: value.clone() },
        };
        Ok(Self { shown, test })
    }

    fn parse_range(min: &Value, max: &Value) -> Result<Self, Error> {
        let shown = format!("[\"content-length-range\", {min}, {max}]");
        for bound in [min, max] {
            if !bound.is_string() && !bound.is_u64() {
                return Err(invalid("Invalid content-length-range: bounds must be whole numbers."));
            }
        }
        let number = |bound: &Value| match bound.as_str() {
            Some(digits) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => None,
            Some(digits) => digits.parse().ok(),
            None => bound.as_u64(),
        };
        let test = match (number(min), number(max)) {
            (Some(min), Some(max)) => Test::Length(min..=max),
            _ => Test::Never,
        };
        Ok(Self { shown, test })
    }

    /// The field it is about.
    fn field(&self) -> Option<&str> {
        match &self.test {
            Test::Equal { name, .. } | Test::StartsWith { name, .. } => Some(name),
            Test::Length(_) | Test::Never => None,
        }
    }

    /// A field that is not there counts as empty.
    fn holds(&self, form: &Form, bucket: &str) -> bool {
        let found = |name: &str| match name {
            // Where the form goes, whatever it says of that.
            "bucket" => bucket,
            name => form.get(name).unwrap_or_default(),
        };
        match &self.test {
            Test::Equal { name, value } => found(name) == value,
            // S3: Matching Content-Types in a comma-separated list.
            Test::StartsWith { name, prefix } if name == "content-type" => {
                found(name).split(',').all(|kind| kind.trim().starts_with(prefix.as_str()))
            }
            Test::StartsWith { name, prefix } => found(name).starts_with(prefix.as_str()),
            Test::Length(_) => true,
            Test::Never => false,
        }
    }
}

/// S3 takes UTC alone, with or without a fraction of a second.
fn expiration_ms(policy: &Map<String, Value>) -> Result<i64, Error> {
    match policy.get("expiration") {
        Some(Value::String(text)) => date::parse_iso(text)
            .filter(|_| text.ends_with('Z'))
            .ok_or_else(|| invalid(format!("Invalid 'expiration' value: '{text}'"))),
        Some(other) => Err(invalid(format!("Invalid 'expiration' value: '{other}'"))),
        None => Err(invalid("Policy missing expiration.")),
    }
}

/// S3's policies may have two escapes that JSON lacks: `\$` and `\v`.
fn without_own_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, if character == '\\' { characters.next() } else { None }) {
            ('\\', Some('$')) => plain.push('$'),
            ('\\', Some('v')) => plain.push_str("\\u000b"),
            (character, behind) => plain.extend([character].into_iter().chain(behind)),
        }
    }
    plain
}

fn shown(operator: &str, field: &str, value: &str) -> String {
    format!("[\"{operator}\", {}, {}]", Value::from(field), Value::from(value))
}

fn invalid(what: impl AsRef<str>) -> Error {
    let message = format!("Invalid Policy: {}", what.as_ref());
    Error::with_message(ErrorCode::InvalidPolicyDocument, message)
}

fn denied(what: impl AsRef<str>) -> Error {
    let message = format!("Invalid according to Policy: {}", what.as_ref());
    Error::with_message(ErrorCode::AccessDenied, message)
}

#[cfg(test)]
mod tests;
