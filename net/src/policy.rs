//! IAM's policy language, of buckets, of identities and of roles' trust: read once, checked when it is put, and evaluated
//! for each request.
//!
//! "IAM JSON policy elements reference" and "Policy evaluation logic" of AWS say what is what; what this release doesn't know
//! (an operator, a condition key, an element) is refused when a policy is put, never passed over: a condition that is not
//! understood could be the one that keeps somebody out.

mod condition;
mod document;
mod evaluate;
mod facts;
pub(crate) mod json;
mod pattern;
mod public;

pub use condition::{Compare, Condition, Operator, Order, Set};
pub use evaluate::Decision;
pub use facts::{Facts, Key, Question, Sender, SenderKind};

/// The longest policy, in bytes.
pub const POLICY_BYTES_MAX: usize = 20 * 1024;

/// A policy, ready to be evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Its statements, in order, which doesn't matter.
    pub statements: Vec<Statement>,
    /// As it was put, and is shown.
    text: String,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// What it is called.
    pub id: Option<String>,
    /// What it decides.
    pub effect: Effect,
    /// Whom it is about.
    pub principals: Principals,
    /// What is done.
    pub actions: Patterns,
    /// To what.
    pub resources: Patterns,
    /// What must hold, all of it.
    pub conditions: Vec<Condition>,
}

/// What a statement decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It may be done, unless another statement denies it.
    Allow,
    /// It may not be done.
    Deny,
}

/// Whom a statement is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principals {
    /// Whether all are meant but those named.
    pub is_negated: bool,
    /// `*`: everybody, without a signature too.
    pub is_everybody: bool,
    /// ARNs, or ids of accounts.
    pub aws: Vec<String>,
    /// Canonical user ids.
    pub canonical: Vec<String>,
    /// Providers of identities from elsewhere.
    pub federated: Vec<String>,
}

/// Patterns with `*` and `?`, any of which may fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns {
    /// Whether what fits none of them is meant.
    pub is_negated: bool,
    /// The patterns.
    pub patterns: Vec<String>,
}

#[cfg(test)]
mod tests;
