//! Conditions: an operator, a key, and the values that it is held against.

use std::net::IpAddr;

use super::facts::{Facts, Key};
use super::pattern::{Sign, fits_signs};
use crate::http::date;

/// One condition of a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// How it compares.
    pub operator: Operator,
    /// What of the request.
    pub key: Key,
    /// With these, any of which will do; for a negated operator none may fit.
    pub values: Vec<String>,
    /// Of a comparison of addresses, the values without variables, read once.
    networks: Vec<Network>,
}

/// How a condition compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The comparison.
    pub compare: Compare,
    /// Whether it holds where the comparison doesn't.
    pub is_negated: bool,
    /// Whether it holds where the request has no such key.
    pub if_exists: bool,
    /// Which of several values of a request count.
    pub set: Set,
}

/// Which of several values of a request count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// There is one.
    Single,
    /// Each must compare; so none at all will do.
    ForAll,
    /// One must compare.
    ForAny,
}

/// A comparison of two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// They are the same.
    Equal,
    /// They are the same, but for the case of letters.
    EqualAnyCase,
    /// The value is a pattern with `*` and `?`.
    Like,
    /// Both are numbers.
    Number(Order),
    /// Both are times: ISO 8601, or seconds since 1970.
    Date(Order),
    /// Both are `true` or `false`.
    Bool,
    /// The value is a network, or an address.
    Address,
    /// The value is `true` where the key has to be absent.
    Null,
}

/// How two numbers or times relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The same.
    Equal,
    /// The request's is less.
    Less,
    /// The request's is not greater.
    LessOrEqual,
    /// The request's is greater.
    Greater,
    /// The request's is not less.
    GreaterOrEqual,
}

impl Operator {
    /// The operator of a name; none where this release doesn't know it.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let (set, rest) = match name.split_once(':') {
            None => (Set::Single, name),
            Some(("ForAllValues", rest)) => (Set::ForAll, rest),
            Some(("ForAnyValue", rest)) => (Set::ForAny, rest),
            Some(_) => return None,
        };
        let (rest, if_exists) = match rest.strip_suffix("IfExists") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (compare, is_negated) = compare_of(rest)?;
        if compare == Compare::Null && (if_exists || set != Set::Single) {
            return None;
        }
        Some(Self { compare, is_negated, if_exists, set })
    }
}

fn compare_of(name: &str) -> Option<(Compare, bool)> {
    Some(match name {
        "StringEquals" => (Compare::Equal, false),
        "StringNotEquals" => (Compare::Equal, true),
        "StringEqualsIgnoreCase" => (Compare::EqualAnyCase, false),
        "StringNotEqualsIgnoreCase" => (Compare::EqualAnyCase, true),
        "StringLike" | "ArnLike" | "ArnEquals" => (Compare::Like, false),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (Compare::Like, true),
        "NumericEquals" => (Compare::Number(Order::Equal), false),
        "NumericNotEquals" => (Compare::Number(Order::Equal), true),
        "NumericLessThan" => (Compare::Number(Order::Less), false),
        "NumericLessThanEquals" => (Compare::Number(Order::LessOrEqual), false),
        "NumericGreaterThan" => (Compare::Number(Order::Greater), false),
        "NumericGreaterThanEquals" => (Compare::Number(Order::GreaterOrEqual), false),
        "DateEquals" => (Compare::Date(Order::Equal), false),
        "DateNotEquals" => (Compare::Date(Order::Equal), true),
        "DateLessThan" => (Compare::Date(Order::Less), false),
        "DateLessThanEquals" => (Compare::Date(Order::LessOrEqual), false),
        "DateGreaterThan" => (Compare::Date(Order::Greater), false),
        "DateGreaterThanEquals" => (Compare::Date(Order::GreaterOrEqual), false),
        "Bool" => (Compare::Bool, false),
        "IpAddress" => (Compare::Address, false),
        "NotIpAddress" => (Compare::Address, true),
        "Null" => (Compare::Null, false),
        _ => return None,
    })
}

impl Compare {
    /// Whether a value of a policy can be compared so.
    pub(super) fn takes(self, value: &str) -> bool {
        match self {
            Self::Equal | Self::EqualAnyCase | Self::Like => true,
            Self::Number(_) => value.parse::<f64>().is_ok_and(f64::is_finite),
            Self::Date(_) => seconds(value).is_some(),
            Self::Bool | Self::Null => matches!(value, "true" | "false"),
            Self::Address => network(value).is_some(),
        }
    }

    fn holds(self, found: &str, value: &str) -> bool {
        match self {
            Self::Equal | Self::Bool => found == value,
            Self::EqualAnyCase => found.to_lowercase() == value.to_lowercase(),
            Self::Number(order) => {
                let both = found.parse::<f64>().ok().zip(value.parse::<f64>().ok());
                both.and_then(|(one, other)| one.partial_cmp(&other))
                    .is_some_and(|found| order.is(found))
            }
            Self::Date(order) => {
                let both = seconds(found).zip(seconds(value));
                both.is_some_and(|(one, other)| order.is(one.cmp(&other)))
            }
            Self::Address => {
                let both = found.parse().ok().zip(network(value));
                both.is_some_and(|(address, network)| network.holds(address))
            }
            // Compared by their own rules.
            Self::Like | Self::Null => false,
        }
    }
}

impl Order {
    fn is(self, found: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => found.is_eq(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }
}

impl Condition {
    /// A condition whose values its operator takes.
    pub(super) fn new(operator: Operator, key: Key, values: Vec<String>) -> Self {
        let is_of_addresses = operator.compare == Compare::Address;
        let fixed = values.iter().filter(|_| is_of_addresses);
        let networks = fixed.filter_map(|value| network(value)).collect();
        Self { operator, key, values, networks }
    }

    /// Whether a request fulfils it.
    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        if self.key == Key::SourceIp
            && self.networks.len() == self.values.len()
            && self.operator.compare == Compare::Address
            && let Some(source) = facts.source
        {
            // One address and no variables: nothing is read from text.
            let is_in = self.networks.iter().any(|network| network.holds(source));
            return is_in != self.operator.is_negated;
        }
        let found = facts.values(&self.key);
        let Operator { compare, is_negated, if_exists, set } = self.operator;
        if compare == Compare::Null {
            let wanted = found.is_empty().to_string();
            return self.values.contains(&wanted);
        }
        if found.is_empty() {
            // "If the key is not present, a negated operator holds, and so does ForAllValues."
            return if_exists || set == Set::ForAll || (is_negated && set == Set::Single);
        }
        let compares = |found: &String| {
            let mut values = self.values.iter();
            let any = values.any(|value| {
                if compare == Compare::Like {
                    fits_signs(&facts.signs(value), found)
                } else if value.contains("${") {
                    compare.holds(found, &facts.substitute(value))
                } else {
                    compare.holds(found, value)
                }
            });
            any != is_negated
        };
        match set {
            Set::Single | Set::ForAny => found.iter().any(compares),
            Set::ForAll => found.iter().all(compares),
        }
    }
}

impl Facts<'_> {
    /// Puts policy variables in: `${key}`, `${key, 'default'}`, and `${*}`, `${?}`, `${$}` for those characters. One that has
    /// no value leaves a text that nothing equals.
    pub(super) fn substitute(&self, text: &str) -> String {
        self.signs(text).into_iter().map(Sign::character).collect()
    }

    /// The same as a pattern, in which only the stars and question marks of the policy itself stand for others.
    pub(super) fn signs(&self, text: &str) -> Vec<Sign> {
        let mut signs = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            let Some((variable, after)) = behind.split_once('}') else { break };
            signs.extend(before.chars().map(Sign::of_pattern));
            signs.extend(self.variable(variable).chars().map(Sign::Literal));
            rest = after;
        }
        signs.extend(rest.chars().map(Sign::of_pattern));
        signs
    }

    fn variable(&self, variable: &str) -> String {
        if matches!(variable, "*" | "?" | "$") {
            return variable.to_owned();
        }
        let (name, default) = variable.split_once(',').unwrap_or((variable, ""));
        let default = default.trim().trim_matches('\'');
        let values = Key::of_name(name.trim()).map(|key| self.values(&key));
        match values.as_deref() {
            Some([value]) => value.clone(),
            _ if !default.is_empty() => default.to_owned(),
            _ => "\u{0}".to_owned(),
        }
    }
}

/// Seconds since 1970 of a time in ISO 8601, or of a number.
fn seconds(text: &str) -> Option<i64> {
    let day = || date::parse_iso(&format!("{text}T00:00:00Z"));
    text.parse().ok().or_else(|| date::parse_iso(text).or_else(day).map(|ms| ms.div_euclid(1000)))
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

fn network(text: &str) -> Option<Network> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address.parse().ok()?, Some(bits.parse().ok()?)),
        None => (text.parse().ok()?, None),
    };
    let most = if matches!(address, IpAddr::V4(_)) { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some(Network { address, bits })
}

impl Network {
    fn holds(self, address: IpAddr) -> bool {
        let same = |one: u128, other: u128, width: u32| {
            self.bits == 0 || (one ^ other) >> (width - self.bits) == 0
        };
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(u128::from(own.to_bits()), u128::from(other.to_bits()), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}
