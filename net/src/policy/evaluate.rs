//! Evaluation: an explicit deny wins, then an explicit allow; else nothing was said.

use super::facts::NamedBy;
use super::pattern::{fits, fits_any_case, fits_signs};
use super::{Effect, Facts, Key, Patterns, Policy, Principals, Question, Statement};

/// What a policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it and none denies it.
    Allowed,
    /// As that, but to the sender's account, which has to allow it to the sender.
    AllowedToAccount,
    /// A statement denies it.
    Denied,
    /// No statement is about it.
    Silent,
}

impl Decision {
    /// What two policies say together that both are about the same: a deny of one wins, then an allow of one.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        let rank = |decision| match decision {
            Self::Denied => 3,
            Self::Allowed => 2,
            Self::AllowedToAccount => 1,
            Self::Silent => 0,
        };
        if rank(other) > rank(self) { other } else { self }
    }

    /// What is left of it where another policy bounds it: what that one doesn't allow isn't allowed.
    #[must_use]
    pub fn narrowed(self, bound: Self) -> Self {
        match bound {
            Self::Allowed => self,
            Self::Denied => Self::Denied,
            Self::AllowedToAccount | Self::Silent if self == Self::Denied => Self::Denied,
            Self::AllowedToAccount | Self::Silent => Self::Silent,
        }
    }
}

impl Policy {
    /// What it says to a question.
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        let mut decision = Decision::Silent;
        for statement in &self.statements {
            let Some(named) = statement.applies(question) else { continue };
            decision = match (statement.effect, named) {
                (Effect::Deny, _) => return Decision::Denied,
                (Effect::Allow, NamedBy::Itself) => Decision::Allowed,
                (Effect::Allow, NamedBy::Account) => decision.joined(Decision::AllowedToAccount),
            };
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
    /// How it names the sender, where it is about the question.
    fn applies(&self, question: &Question<'_>) -> Option<NamedBy> {
        // Cheapest first: most statements end at the action.
        if !self.actions.fit(|pattern| fits_any_case(pattern, question.action)) {
            return None;
        }
        let named = self.principals.name(question.facts)?;
        let is_about = self.resources.fit(|pattern| {
            if pattern.contains("${") {
                fits_signs(&question.facts.signs(pattern), question.resource)
            } else {
                fits(pattern, question.resource)
            }
        });
        let holds = || self.conditions.iter().all(|condition| condition.holds(question.facts));
        (is_about && holds()).then_some(named)
    }
}

impl Patterns {
    fn fit(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.patterns.iter().any(|pattern| fits(pattern)) != self.is_negated
    }
}

impl Principals {
    /// How they name who sends a request; none where they mean others.
    fn name(&self, facts: &Facts<'_>) -> Option<NamedBy> {
        let named = if self.is_everybody { Some(NamedBy::Itself) } else { self.find(facts) };
        match (self.is_negated, named) {
            (false, named) => named,
            (true, None) => Some(NamedBy::Itself),
            (true, Some(_)) => None,
        }
    }

    fn find(&self, facts: &Facts<'_>) -> Option<NamedBy> {
        let federated =
            facts.federated.filter(|provider| self.federated.iter().any(|one| one == provider));
        if federated.is_some() {
            return Some(NamedBy::Itself);
        }
        let sender = facts.sender?;
        if self.canonical.iter().any(|name| name == sender.canonical) {
            return sender.named_by(sender.account);
        }
        self.aws.iter().filter_map(|name| sender.named_by(name)).max()
    }
}
