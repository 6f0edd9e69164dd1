//! Whether a policy is public: "The meaning of 'public'" of Amazon S3's user guide.

use super::{Condition, Effect, Key, Policy, Statement};
use crate::policy::condition::{Compare, Set};

impl Policy {
    /// Whether it lets in whoever comes.
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(Statement::is_public)
    }
}

impl Statement {
    fn is_public(&self) -> bool {
        let is_open = self.principals.is_everybody || self.principals.is_negated;
        self.effect == Effect::Allow && is_open && !self.conditions.iter().any(Condition::narrows)
    }
}

impl Condition {
    /// Whether it lets in only a fixed set of senders.
    fn narrows(&self) -> bool {
        // What holds without the key lets in who has none.
        let is_plain = !self.operator.is_negated
            && !self.operator.if_exists
            && self.operator.set != Set::ForAll;
        let fixed = |value: &String| !value.contains(['*', '?']) && !value.contains("${");
        let is_narrow = self.operator.compare == Compare::Address
            && self.key == Key::SourceIp
            && self.values.iter().all(|value| fixed(value) && !is_wide(value));
        let is_text =
            matches!(self.operator.compare, Compare::Equal | Compare::EqualAnyCase | Compare::Like);
        let is_named = is_text
            && matches!(self.key, Key::PrincipalArn | Key::PrincipalAccount)
            && self.values.iter().all(fixed);
        is_plain && (is_narrow || is_named)
    }
}

/// Networks too wide to be a fixed set of senders: wider than /8, of IPv6 than /32.
fn is_wide(network: &str) -> bool {
    let bits = network.split_once('/').and_then(|(_, bits)| bits.parse::<u32>().ok());
    let least = if network.contains(':') { 32 } else { 8 };
    bits.is_some_and(|bits| bits < least)
}
