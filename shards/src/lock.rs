//! Object lock: what keeps a version from being removed.

use minicbor::{Decode, Encode};

use crate::object::Object;

/// Until when a version stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Retention {
    /// For whom it holds.
    #[n(0)]
    pub mode: RetentionMode,
    /// In milliseconds since the epoch.
    #[n(1)]
    pub until_ms: u64,
}

/// For whom a retention holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum RetentionMode {
    /// For all who aren't allowed to bypass it.
    #[n(0)]
    Governance,
    /// For everybody.
    #[n(1)]
    Compliance,
}

/// What keeps a version, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Lock {
    /// Until when it stays, where that was set.
    #[n(0)]
    pub retention: Option<Retention>,
    /// Its legal hold, where one was ever set: it stays while that is on.
    #[n(1)]
    pub legal_hold: Option<bool>,
}

/// Who asks for a change, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Leave {
    /// The proposer's time in milliseconds since the epoch.
    #[n(0)]
    pub now_ms: u64,
    /// Whether retention in [`RetentionMode::Governance`] counts for nothing.
    #[n(1)]
    pub bypasses_governance: bool,
}

impl Lock {
    /// Whether a version of it may not be removed.
    pub fn holds(&self, leave: Leave) -> bool {
        let retained = self.retention.is_some_and(|retention| retention.holds(leave));
        retained || self.legal_hold == Some(true)
    }

    /// Whether its retention may not become `after`: it can always be made longer, and changed in no other way.
    pub fn forbids(&self, after: Option<Retention>, leave: Leave) -> bool {
        let Some(before) = self.retention.filter(|before| before.holds(leave)) else {
            return false;
        };
        let is_longer = after
            .is_some_and(|after| after.mode == before.mode && after.until_ms >= before.until_ms);
        !is_longer
    }
}

impl Retention {
    fn holds(&self, leave: Leave) -> bool {
        let bypassed = self.mode == RetentionMode::Governance && leave.bypasses_governance;
        self.until_ms > leave.now_ms && !bypassed
    }
}

impl Object {
    /// Whether it may not be removed.
    pub fn is_locked(&self, leave: Leave) -> bool {
        self.lock.is_some_and(|lock| lock.holds(leave))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOVERNANCE: Retention = Retention { mode: RetentionMode::Governance, until_ms: 100 };
    const COMPLIANCE: Retention = Retention { mode: RetentionMode::Compliance, until_ms: 100 };

    fn leave(now_ms: u64, bypasses_governance: bool) -> Leave {
        Leave { now_ms, bypasses_governance }
    }

    #[test]
    fn a_lock_holds_until_its_time_and_governance_can_be_bypassed() {
        let lock = |retention| Lock { retention: Some(retention), legal_hold: None };
        for (retention, now_ms, bypass, holds) in [
            (GOVERNANCE, 99, false, true),
            (GOVERNANCE, 99, true, false),
            (GOVERNANCE, 100, false, false),
            (COMPLIANCE, 99, true, true),
            (COMPLIANCE, 100, false, false),
        ] {
            let found = lock(retention).holds(leave(now_ms, bypass));
            assert_eq!(found, holds, "{retention:?} {now_ms} {bypass}");
        }
        assert!(!Lock::default().holds(leave(0, false)));
    }

    #[test]
    fn a_legal_hold_holds_for_all() {
        let held = Lock { retention: None, legal_hold: Some(true) };
        assert!(held.holds(leave(u64::MAX, true)));
        assert!(!Lock { legal_hold: Some(false), ..held }.holds(leave(0, false)));
    }

    #[test]
    fn retention_is_made_longer_and_is_else_as_it_was() {
        let longer = |retention: Retention| Some(Retention { until_ms: 101, ..retention });
        let shorter = |retention: Retention| Some(Retention { until_ms: 99, ..retention });
        for (before, after, bypass, forbidden) in [
            (GOVERNANCE, longer(GOVERNANCE), false, false),
            (GOVERNANCE, shorter(GOVERNANCE), false, true),
            (GOVERNANCE, shorter(GOVERNANCE), true, false),
            (GOVERNANCE, None, false, true),
            (GOVERNANCE, None, true, false),
            (GOVERNANCE, Some(COMPLIANCE), false, true),
            (GOVERNANCE, Some(COMPLIANCE), true, false),
            (COMPLIANCE, longer(GOVERNANCE), true, true),
            (COMPLIANCE, longer(COMPLIANCE), false, false),
            (COMPLIANCE, shorter(COMPLIANCE), true, true),
            (COMPLIANCE, None, true, true),
        ] {
            let lock = Lock { retention: Some(before), legal_hold: None };
            let found = lock.forbids(after, leave(50, bypass));
            assert_eq!(found, forbidden, "{before:?} {after:?} {bypass}");
            assert!(!lock.forbids(after, leave(100, false)), "over, and it still held");
        }
    }
}
