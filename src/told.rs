//! What people were told already: damage is met by every request that comes to it, and said once.

use std::{cell::RefCell, collections::BTreeSet};

use crate::limits;

/// Damage that was told since the start.
#[derive(Debug, Default)]
pub(crate) struct Told(RefCell<BTreeSet<String>>);

impl Told {
    /// Says in the log that a request for `subject` met damage, unless it was said before.
    pub(crate) fn damage(&self, subject: &str, finding: &str) {
        if self.is_news(&format!("{subject} {finding}")) {
            tracing::error!(
                subject,
                finding,
                "damaged bytes were asked for and not served; said once a start"
            );
        }
    }

    /// With too much to remember, all of it is forgotten: twice is better than never.
    fn is_news(&self, said: &str) -> bool {
        let mut told = self.0.borrow_mut();
        if told.len() >= limits::DAMAGE_TOLD_COUNT_MAX {
            told.clear();
        }
        told.insert(said.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::Told;
    use crate::limits;

    #[test]
    fn what_was_told_is_news_once_and_memory_is_bounded() {
        let told = Told::default();
        assert!(told.is_news("a"));
        assert!(!told.is_news("a"));
        for number in 0..3 * limits::DAMAGE_TOLD_COUNT_MAX {
            assert!(told.is_news(&number.to_string()));
            assert!(told.0.borrow().len() <= limits::DAMAGE_TOLD_COUNT_MAX);
        }
    }
}
