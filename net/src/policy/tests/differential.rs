//! Random policies and requests, decided twice: by the evaluator, and by a second one that is as plain as IAM's own words.
//!
//! The second reads the JSON itself, knows nothing of what the first prepares, and shares no code with it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What a request is, in the words of conditions.
#[derive(Clone, Debug)]
struct Scene {
    account: Option<&'static str>,
    arn: Option<&'static str>,
    action: &'static str,
    resource: &'static str,
    prefix: Option<&'static str>,
    keys: Option<&'static str>,
    tags: Vec<&'static str>,
    source: &'static str,
}

fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(list).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            vec![value.to_string()]
        }
    }
}

/// Recursion over characters: no cleverness.
fn like(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|taken| like(rest, &text[taken..])),
        Some(('?', rest)) => !text.is_empty() && like(rest, &text[1..]),
        Some((one, rest)) => text.first() == Some(one) && like(rest, &text[1..]),
    }
}

fn is_like(pattern: &str, text: &str) -> bool {
    let characters = |text: &str| text.chars().collect::<Vec<_>>();
    like(&characters(pattern), &characters(text))
}

impl Scene {
    fn values(&self, key: &str) -> Vec<String> {
        let one = match key {
            "s3:prefix" => self.prefix,
            "s3:max-keys" => self.keys,
            "aws:SourceIp" => Some(self.source),
            "aws:PrincipalAccount" => self.account,
            "s3:RequestObjectTagKeys" => {
                return self.tags.iter().map(|tag| (*tag).to_owned()).collect();
            }
            _ => unreachable!("{key}"),
        };
        one.into_iter().map(str::to_owned).collect()
    }

    fn condition(&self, operator: &str, key: &str, wanted: &[String]) -> bool {
        let found = self.values(key);
        if operator == "Null" {
            return wanted.iter().any(|wanted| (wanted == "true") == found.is_empty());
        }
        let (set, plain) = operator.split_once(':').unwrap_or(("", operator));
        let (plain, if_exists) =
            plain.strip_suffix("IfExists").map_or((plain, false), |plain| (plain, true));
        let (plain, is_negated) = match plain {
            "StringNotEquals" => ("StringEquals", true),
            "StringNotLike" => ("StringLike", true),
            "NumericNotEquals" => ("NumericEquals", true),
            "NotIpAddress" => ("IpAddress", true),
            _ => (plain, false),
        };
        let number = |text: &str| text.parse::<f64>().unwrap();
        let compare = |found: &str, wanted: &str| match plain {
            "StringEquals" => found == wanted,
            "StringLike" => is_like(wanted, found),
            "NumericEquals" => (number(found) - number(wanted)).abs() < f64::EPSILON,
            "NumericLessThan" => number(found) < number(wanted),
            "NumericGreaterThanEquals" => number(found) >= number(wanted),
            // Whole octets are all that is drawn.
            "IpAddress" => match wanted.split_once('/') {
                Some((net, bits)) => {
                    let octets = bits.parse::<usize>().unwrap() / 8;
                    found.split('.').take(octets).eq(net.split('.').take(octets))
                }
                None => found == wanted,
            },
            _ => unreachable!("{operator}"),
        };
        let fits =
            |found: &String| wanted.iter().any(|wanted| compare(found, wanted)) != is_negated;
        match (set, found.is_empty()) {
            ("ForAllValues", _) => found.iter().all(fits),
            ("ForAnyValue", true) => if_exists,
            ("ForAnyValue", false) => found.iter().any(fits),
            (_, true) => if_exists || is_negated,
            (_, false) => fits(&found[0]),
        }
    }

    /// Whom principals name: nobody, the caller's account, or the caller.
    fn principal(&self, principal: &Value) -> Option<bool> {
        if principal == "*" {
            return Some(true);
        }
        let names = list(&principal["AWS"]);
        let account = self.account.unwrap_or("none");
        let root = format!("arn:aws:iam::{account}:root");
        let is_itself = |name: &String| {
            name == "*"
                || Some(name.as_str())
                    == self.arn.or(Some("none")).filter(|_| self.account.is_some())
        };
        if names.iter().any(is_itself) {
            return Some(true);
        }
        let by_account =
            self.account.is_some() && names.iter().any(|name| name == account || *name == root);
        by_account.then_some(self.arn.is_none())
    }

    fn statement(&self, statement: &Value) -> Option<bool> {
        let any = |name: &str, fits: &dyn Fn(&str) -> bool| {
            if let Some(wanted) = statement.get(name) {
                return list(wanted).iter().any(|pattern| fits(pattern));
            }
            !list(&statement[format!("Not{name}")]).iter().any(|pattern| fits(pattern))
        };
        let action = self.action.to_lowercase();
        if !any("Action", &|pattern| is_like(&pattern.to_lowercase(), &action))
            || !any("Resource", &|pattern| is_like(pattern, self.resource))
        {
            return None;
        }
        let conditions = statement.get("Condition").and_then(Value::as_object);
        for (operator, keys) in conditions.into_iter().flatten() {
            for (key, wanted) in keys.as_object().unwrap() {
                if !self.condition(operator, key, &list(wanted)) {
                    return None;
                }
            }
        }
        match statement.get("Principal") {
            Some(principal) => self.principal(principal),
            None => match self.principal(&statement["NotPrincipal"]) {
                Some(_) => None,
                None => Some(true),
            },
        }
    }

    fn decide(&self, policy: &Value) -> Decision {
        let statements = policy["Statement"].as_array().unwrap();
        let about: Vec<(&str, bool)> = statements
            .iter()
            .filter_map(|one| Some((one["Effect"].as_str().unwrap(), self.statement(one)?)))
            .collect();
        if about.iter().any(|(effect, _)| *effect == "Deny") {
            Decision::Denied
        } else if about.iter().any(|(_, is_itself)| *is_itself) {
            Decision::Allowed
        } else if about.is_empty() {
            Decision::Silent
        } else {
            Decision::AllowedToAccount
        }
    }
}

const USER: &str = "arn:aws:iam::123456789012:user/alice";

fn one_or_two(words: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(words).prop_map(|word| json!(word)),
        prop::collection::vec(prop::sample::select(words), 1..3).prop_map(|words| json!(words)),
    ]
}

fn condition() -> impl Strategy<Value = (String, String, Value)> {
    const TEXTS: &[&str] = &["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"];
    const NUMBERS: &[&str] =
        &["NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericGreaterThanEquals"];
    let named = |operators: &'static [&'static str], key: &'static str, values| {
        (prop::sample::select(operators), any::<bool>(), one_or_two(values)).prop_map(
            move |(operator, if_exists, value)| {
                let suffix = if if_exists { "IfExists" } else { "" };
                (format!("{operator}{suffix}"), key.to_owned(), value)
            },
        )
    };
    let sets = (
        prop::sample::select(&["ForAllValues", "ForAnyValue"][..]),
        prop::sample::select(TEXTS),
        one_or_two(&["red", "blue", "r*", "green"]),
    );
    prop_oneof![
        named(TEXTS, "s3:prefix", &["a", "a/b", "a*", "?", "", "*"]),
        named(NUMBERS, "s3:max-keys", &["1", "10", "10.0", "1000"]),
        named(
            &["IpAddress", "NotIpAddress"],
            "aws:SourceIp",
            &["10.1.2.3", "10.1.0.0/16", "192.0.2.0/24", "0.0.0.0/0"]
        ),
        named(TEXTS, "aws:PrincipalAccount", &["123456789012", "1*", "210987654321"]),
        sets.prop_map(|(set, operator, value)| {
            (format!("{set}:{operator}"), "s3:RequestObjectTagKeys".to_owned(), value)
        }),
        prop::sample::select(&["true", "false"][..]).prop_map(|value| (
            "Null".to_owned(),
            "s3:prefix".to_owned(),
            json!(value)
        )),
    ]
}

fn statement() -> impl Strategy<Value = Value> {
    let names = one_or_two(&[USER, "*", ACCOUNT, "arn:aws:iam::123456789012:root", "210987654321"]);
    (
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        prop_oneof![Just(json!("*")), names.prop_map(|names| json!({ "AWS": names }))],
        one_or_two(&["s3:*", "s3:GetObject", "s3:Get*", "S3:PUTOBJECT", "s3:List?ucket", "*"]),
        one_or_two(&[
            "arn:aws:s3:::b/*",
            "arn:aws:s3:::b",
            "arn:aws:s3:::b/dir/?ey",
            "arn:aws:s3:::*",
        ]),
        prop::collection::vec(condition(), 0..3),
    )
        .prop_map(
            |((allows, of_action, of_resource, of_principal), who, actions, resources, all)| {
                let mut statement = json!({ "Effect": if allows { "Allow" } else { "Deny" } });
                let not =
                    |is: bool, name: &str| if is { name.to_owned() } else { format!("Not{name}") };
                statement[not(of_action, "Action")] = actions;
                statement[not(of_resource, "Resource")] = resources;
                statement[not(of_principal, "Principal")] = who;
                for (operator, key, value) in all {
                    statement["Condition"][operator][key] = value;
                }
                statement
            },
        )
}

fn scene() -> impl Strategy<Value = Scene> {
    let few = |words: &'static [&'static str]| prop::option::of(prop::sample::select(words));
    (
        prop::sample::select(
            &[(None, None), (Some(ACCOUNT), None), (Some(ACCOUNT), Some(USER))][..],
        ),
        prop::sample::select(&["s3:GetObject", "s3:PutObject", "s3:ListBucket"][..]),
        prop::sample::select(&["arn:aws:s3:::b", "arn:aws:s3:::b/dir/key", "arn:aws:s3:::b/k"][..]),
        few(&["", "a", "a/b", "c"]),
        few(&["1", "10", "999"]),
        prop::sample::subsequence(vec!["red", "blue", "green"], 0..=3),
        prop::sample::select(&["10.1.2.3", "10.2.3.4", "192.0.2.9"][..]),
    )
        .prop_map(|((account, arn), action, resource, prefix, keys, tags, source)| Scene {
            account,
            arn,
            action,
            resource,
            prefix,
            keys,
            tags,
            source,
        })
}

/// More by hand: `ANODE_POLICIES=100000 cargo test -p anode-net policy`.
#[expect(clippy::disallowed_methods, reason = "a run of the tests by hand has no configuration")]
fn cases() -> u32 {
    let count = std::env::var("ANODE_POLICIES").ok();
    count.and_then(|count| count.parse().ok()).unwrap_or(4000)
}

#[test]
fn two_evaluators_say_the_same() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let statements = prop::collection::vec(statement(), 1..4);
    let result = runner.run(&(statements, scene()), |(statements, scene)| {
        let document = json!({ "Version": "2012-10-17", "Statement": statements });
        let text = document.to_string();
        let policy =
            Policy::parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let query: Vec<String> = [("prefix", scene.prefix), ("max-keys", scene.keys)]
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value?)))
            .collect();
        let tags: Vec<(&str, &str)> = scene.tags.iter().map(|tag| (*tag, "")).collect();
        let asked = Asked {
            account: scene.account,
            arn: scene.arn,
            action: scene.action,
            resource: scene.resource,
            query: &query.join("&"),
            source: scene.source,
            new_tags: &tags,
            ..Asked::default()
        };
        prop_assert_eq!(asked.decide(&policy), scene.decide(&document), "{}", text);
        Ok(())
    });
    result.unwrap();
}
