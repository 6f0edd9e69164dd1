//! Evaluation: an explicit deny wins, then an explicit allow; else nothing was said.

use super::facts::root_arn;
use super::pattern::{fits, fits_any_case, fits_signs};
use super::{Effect, Facts, Key, Patterns, Policy, Principals, Question, Statement};

/// What a policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it and none denies it.
    Allowed,
    /// A statement denies it.
    Denied,
    /// No statement is about it.
    Silent,
}

impl Policy {
    /// What it says to a question.
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        let mut decision = Decision::Silent;
        for statement in &self.statements {
            if !statement.applies(question) {
                continue;
            }
            match statement.effect {
                Effect::Deny => return Decision::Denied,
                Effect::Allow => decision = Decision::Allowed,
            }
        }
        decision
    }

    /// Whether a condition asks for the tags of an object: they must be looked up first.
    pub fn asks_for_tags(&self) -> bool {
        let conditions = self.statements.iter().flat_map(|statement| &statement.conditions);
        conditions.into_iter().any(|condition| matches!(condition.key, Key::ExistingTag(_)))
    }
}

impl Statement {
    fn applies(&self, question: &Question<'_>) -> bool {
        // Cheapest first: most statements end at the action.
        self.actions.fit(|pattern| fits_any_case(pattern, question.action))
            && self.principals.fit(question.facts)
            && self.resources.fit(|pattern| {
                if pattern.contains("${") {
                    fits_signs(&question.facts.signs(pattern), question.resource)
                } else {
                    fits(pattern, question.resource)
                }
            })
            && self.conditions.iter().all(|condition| condition.holds(question.facts))
    }
}

impl Patterns {
    fn fit(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.patterns.iter().any(|pattern| fits(pattern)) != self.is_negated
    }
}

impl Principals {
    fn fit(&self, facts: &Facts<'_>) -> bool {
        let named = self.is_everybody
            || facts.account.is_some_and(|account| {
                let arn = root_arn(account);
                self.aws.iter().any(|name| *name == account || *name == arn)
                    || self.canonical.iter().any(|name| name == facts.canonical)
            });
        named != self.is_negated
    }
}
