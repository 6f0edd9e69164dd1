//! Reading a policy: JSON into what can be evaluated, and everything that is not understood refused.

use serde_json::{Map, Value};

use super::condition::{Condition, Operator};
use super::facts::Key;
use super::{Effect, POLICY_BYTES_MAX, Patterns, Policy, Principals, Statement};
use crate::s3::error::{Error, ErrorCode};

const ARN: &str = "arn:aws:s3:::";
const CONDITIONS_MAX: usize = 100;

/// What a policy is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// Of a bucket: it names principals and what is in the bucket.
    Bucket,
    /// Of an identity: it names no principals.
    Identity,
    /// Of a role's trust: it names principals and no resources.
    Trust,
}

impl Policy {
    /// Reads the policy of a bucket.
    pub fn read(body: &[u8], bucket: &str) -> Result<Self, Error> {
        let text = std::str::from_utf8(body).map_err(|_not_utf8| no_json())?;
        let policy = Self::parse(text)?;
        for statement in &policy.statements {
            statement.check_resources(bucket)?;
        }
        Ok(policy)
    }

    /// Reads a policy of a bucket that was checked when it was put.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_as(Sort::Bucket, text)
    }

    /// Reads a policy of a user, a group, a role or a session: it is about whoever has it.
    pub fn parse_identity(text: &str) -> Result<Self, Error> {
        Self::parse_as(Sort::Identity, text)
    }

    /// Reads the policy of a role that says who may assume it: it is about that role.
    pub fn parse_trust(text: &str) -> Result<Self, Error> {
        Self::parse_as(Sort::Trust, text)
    }

    fn parse_as(sort: Sort, text: &str) -> Result<Self, Error> {
        if text.len() > POLICY_BYTES_MAX {
            let message = format!(
                "Policies have up to {POLICY_BYTES_MAX} bytes; this one has {}",
                text.len()
            );
            return Err(malformed(message));
        }
        let value = super::json::read(text).map_err(|_no_json| no_json())?;
        let Value::Object(members) = value else { return Err(no_json()) };
        let mut statements = None;
        for (name, value) in &members {
            match name.as_str() {
                "Version" => check_version(value)?,
                "Id" => {
                    text_of(value, "Id")?;
                }
                "Statement" => statements = Some(read_statements(sort, value)?),
                _ => return Err(malformed(format!("Unknown field {name}"))),
            }
        }
        let statements = statements.filter(|all| !all.is_empty());
        let statements = statements.ok_or_else(|| malformed("Missing required field Statement"))?;
        Ok(Self { statements, text: text.to_owned() })
    }

    /// In place of one that can't be read: it lets nobody do anything.
    pub fn closed() -> Self {
        let everything = Patterns { is_negated: false, patterns: vec!["*".to_owned()] };
        let statement = Statement {
            id: None,
            effect: Effect::Deny,
            principals: Principals { is_everybody: true, ..Principals::default() },
            actions: everything.clone(),
            resources: everything,
            conditions: Vec::new(),
        };
        Self { statements: vec![statement], text: String::new() }
    }

    /// As it was put.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Statement {
    fn read(sort: Sort, members: &Map<String, Value>) -> Result<Self, Error> {
        let (mut id, mut effect, mut conditions) = (None, None, Vec::new());
        let (mut principals, mut actions, mut resources) = (None, None, None);
        for (name, value) in members {
            let is_negated = name.starts_with("Not");
            match name.as_str() {
                "Sid" => id = Some(text_of(value, name)?.to_owned()),
                "Effect" => effect = Some(read_effect(value)?),
                "Principal" | "NotPrincipal" if sort == Sort::Identity => {
                    return Err(malformed(format!("A policy of an identity has no {name}")));
                }
                "Resource" | "NotResource" if sort == Sort::Trust => {
                    return Err(malformed(format!("A trust policy has no {name}")));
                }
                "Principal" | "NotPrincipal" => {
                    once(principals.as_ref(), "Principal")?;
                    principals = Some(Principals { is_negated, ..read_principals(value)? });
                }
                "Action" | "NotAction" => {
                    once(actions.as_ref(), "Action")?;
                    let patterns = texts_of(value, name)?;
                    check_actions(sort, &patterns)?;
                    actions = Some(Patterns { is_negated, patterns });
                }
                "Resource" | "NotResource" => {
                    once(resources.as_ref(), "Resource")?;
                    resources = Some(Patterns { is_negated, patterns: texts_of(value, name)? });
                }
                "Condition" => conditions = read_conditions(value)?,
                _ => return Err(malformed(format!("Unknown field {name}"))),
            }
        }
        let missing =
            |name: &'static str| move || malformed(format!("Missing required field {name}"));
        Ok(Self {
            id,
            effect: effect.ok_or_else(missing("Effect"))?,
            principals: match sort {
                Sort::Identity => Principals { is_everybody: true, ..Principals::default() },
                Sort::Bucket | Sort::Trust => principals.ok_or_else(missing("Principal"))?,
            },
            actions: actions.ok_or_else(missing("Action"))?,
            resources: match sort {
                Sort::Trust => Patterns { is_negated: false, patterns: vec!["*".to_owned()] },
                Sort::Bucket | Sort::Identity => resources.ok_or_else(missing("Resource"))?,
            },
            conditions,
        })
    }

    /// A policy of a bucket is about that bucket and what is in it.
    fn check_resources(&self, bucket: &str) -> Result<(), Error> {
        let is_own = |pattern: &String| {
            let named =
                pattern.strip_prefix(ARN).map(|rest| rest.split('/').next().unwrap_or(rest));
            pattern == "*" || named.is_some_and(|named| super::pattern::fits(named, bucket))
        };
        if self.resources.patterns.iter().all(is_own) {
            return Ok(());
        }
        Err(malformed("Policy has invalid resource"))
    }
}

fn read_statements(sort: Sort, value: &Value) -> Result<Vec<Statement>, Error> {
    let read = |value: &Value| {
        let members = value.as_object().ok_or_else(|| malformed("A statement is an object"))?;
        Statement::read(sort, members)
    };
    let statements: Vec<Statement> = each_of(value).iter().map(read).collect::<Result<_, _>>()?;
    let mut ids: Vec<&str> = statements.iter().filter_map(|one| one.id.as_deref()).collect();
    ids.retain(|id| !id.is_empty());
    ids.sort_unstable();
    if ids.windows(2).any(|two| two[0] == two[1]) {
        return Err(malformed("Statement IDs (SID) in a single policy must be unique."));
    }
    Ok(statements)
}

fn check_version(value: &Value) -> Result<(), Error> {
    match text_of(value, "Version")? {
        "2012-10-17" | "2008-10-17" => Ok(()),
        _ => Err(malformed("The policy must contain a valid version string")),
    }
}

fn read_effect(value: &Value) -> Result<Effect, Error> {
    match text_of(value, "Effect")? {
        "Allow" => Ok(Effect::Allow),
        "Deny" => Ok(Effect::Deny),
        other => Err(malformed(format!("Invalid effect: {other}"))),
    }
}

fn read_principals(value: &Value) -> Result<Principals, Error> {
    let invalid = || malformed("Invalid principal in policy");
    let mut principals = Principals::default();
    if value.as_str() == Some("*") {
        principals.is_everybody = true;
        return Ok(principals);
    }
    let members = value.as_object().filter(|members| !members.is_empty()).ok_or_else(invalid)?;
    for (kind, value) in members {
        let names = texts_of(value, "Principal")?;
        match kind.as_str() {
            "AWS" => {
                principals.is_everybody |= names.iter().any(|name| name == "*");
                if !names.iter().all(|name| is_principal(name)) {
                    return Err(invalid());
                }
                principals.aws.extend(names.into_iter().filter(|name| name != "*"));
            }
            "CanonicalUser" => principals.canonical.extend(names),
            "Federated" => principals.federated.extend(names),
            // Nobody comes as one of these, so such a statement lets nobody in; but one that keeps out all others would.
            "Service" => {}
            _ => return Err(invalid()),
        }
    }
    Ok(principals)
}

/// `*`, the id of an account, or an ARN of IAM or STS.
fn is_principal(name: &str) -> bool {
    let is_account =
        |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = name.splitn(6, ':');
    let mut part = || parts.next().unwrap_or_default();
    if name == "*" || is_account(name) {
        return true;
    }
    part() == "arn"
        && part() == "aws"
        && matches!(part(), "iam" | "sts")
        && part().is_empty()
        && matches!(part(), account if account.is_empty() || is_account(account))
        && !part().is_empty()
}

/// Of a bucket, actions of S3, or all of everything; of an identity, of any service.
fn check_actions(sort: Sort, patterns: &[String]) -> Result<(), Error> {
    let is_known = |pattern: &String| {
        let Some((service, action)) = pattern.split_once(':') else { return pattern == "*" };
        let is_of_it = match sort {
            Sort::Bucket => service.eq_ignore_ascii_case("s3"),
            Sort::Trust => service.eq_ignore_ascii_case("sts"),
            Sort::Identity => {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-*?".contains(&byte);
                !service.is_empty() && service.bytes().all(is_plain)
            }
        };
        is_of_it && !action.is_empty()
    };
    if patterns.iter().all(is_known) {
        return Ok(());
    }
    Err(malformed("Policy has invalid action"))
}

fn read_conditions(value: &Value) -> Result<Vec<Condition>, Error> {
    let Value::Object(operators) = value else { return Err(malformed("A condition is an object")) };
    let mut conditions = Vec::new();
    for (name, keys) in operators {
        let invalid = || malformed(format!("Invalid Condition type : {name}"));
        let operator = Operator::of_name(name).ok_or_else(invalid)?;
        let Value::Object(keys) = keys else { return Err(invalid()) };
        for (name, values) in keys {
            let unknown = || malformed(format!("Policy has an invalid condition key - {name}"));
            let key = Key::of_name(name).ok_or_else(unknown)?;
            let values = condition_values(values)?;
            let is_taken = |value: &String| value.contains("${") || operator.compare.takes(value);
            if let Some(value) = values.iter().find(|value| !is_taken(value)) {
                return Err(malformed(format!("Invalid value {value} in condition of {name}")));
            }
            conditions.push(Condition::new(operator, key, values));
        }
    }
    if conditions.len() > CONDITIONS_MAX {
        return Err(malformed(format!("A statement has up to {CONDITIONS_MAX} conditions")));
    }
    Ok(conditions)
}

/// Texts, numbers and booleans; one or several.
fn condition_values(value: &Value) -> Result<Vec<String>, Error> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(malformed("The values of a condition are texts, numbers or booleans"))
        }
    };
    each_of(value).iter().map(text).collect()
}

fn text_of<'v>(value: &'v Value, name: &str) -> Result<&'v str, Error> {
    value.as_str().ok_or_else(|| malformed(format!("{name} must be a string")))
}

/// One text or several.
fn texts_of(value: &Value, name: &str) -> Result<Vec<String>, Error> {
    let each = each_of(value);
    if each.is_empty() {
        return Err(malformed(format!("{name} must be a string or a list of strings")));
    }
    each.iter().map(|value| text_of(value, name).map(str::to_owned)).collect()
}

/// What stands alone is a list of one.
fn each_of(value: &Value) -> &[Value] {
    value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice)
}

fn once<T>(before: Option<&T>, name: &str) -> Result<(), Error> {
    if before.is_none() {
        return Ok(());
    }
    Err(malformed(format!("{name} and Not{name} can't be in one statement")))
}

fn no_json() -> Error {
    malformed("Policies must be valid JSON and the first byte must be '{'")
}

fn malformed(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::with_message(ErrorCode::MalformedPolicy, message)
}
