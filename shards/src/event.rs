//! Events: what is told of a change to an object, and how it waits to be told.
//!
//! A command brings a [`Notice`] where somebody is to be told of what it does. Apply makes an [`Event`] of it in the batch of
//! the change itself: so there is an event for each change and none for a change that was refused, whatever crashes when.
//! Events of one target wait in the order of their sequence until [`crate::command::Command::RemoveEvents`] says that they
//! were delivered. What an event is called and who a target is means nothing here.

use minicbor::{Decode, Encode};

/// Bits of a sequence below its milliseconds.
const SEQUENCE_BITS: u32 = 20;

/// What a command has to tell, and of whom.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Notice {
    /// Who is told where it does what it is called after.
    #[n(0)]
    pub if_done: Option<Route>,
    /// Who is told where it makes a delete marker.
    #[n(1)]
    pub if_hidden: Option<Route>,
    /// The bucket's name.
    #[n(2)]
    pub bucket: String,
    /// Who owns the bucket.
    #[n(3)]
    pub owner: String,
    /// Who sent the request.
    #[n(4)]
    pub principal: String,
    /// Where it came from.
    #[n(5)]
    pub source: String,
    /// Its id.
    #[n(6)]
    pub request_id: String,
    /// The proposer's time in milliseconds since the epoch.
    #[n(7)]
    pub now_ms: u64,
}

/// Who is told what.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Route {
    /// What the event is called.
    #[n(0)]
    pub event: String,
    /// The id of the bucket's rule that asks for it.
    #[n(1)]
    pub rule: String,
    /// The target, up to [`crate::limits::TARGET_NAME_BYTES_MAX`].
    #[n(2)]
    pub target: String,
    /// How many events may wait for that target in one group; this one is dropped where there are so many.
    #[n(3)]
    pub queue_count_max: u64,
}

/// An event that waits to be delivered. What it is about is in its index key: the target and the sequence.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct Event {
    /// What it is called.
    #[n(0)]
    pub event: String,
    /// The rule that asked for it.
    #[n(1)]
    pub rule: String,
    /// The bucket's name.
    #[n(2)]
    pub bucket: String,
    /// Who owns the bucket.
    #[n(3)]
    pub owner: String,
    /// Who sent the request.
    #[n(4)]
    pub principal: String,
    /// Where it came from.
    #[n(5)]
    pub source: String,
    /// The request's id.
    #[n(6)]
    pub request_id: String,
    /// When it happened, in milliseconds since the epoch.
    #[n(7)]
    pub time_ms: u64,
    /// The object's key.
    #[n(8)]
    pub key: String,
    /// The object's size in bytes, where there is one.
    #[n(9)]
    pub size: Option<u64>,
    /// Its `ETag` without quotes, where there is one.
    #[n(10)]
    pub etag: Option<String>,
    /// Its version, as clients call it; none where the bucket never kept versions.
    #[n(11)]
    pub version: Option<String>,
    /// The bucket's id.
    #[n(12)]
    #[cbor(default)]
    pub bucket_id: u64,
}

/// What a group knows of its waiting events.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct EventQueue {
    /// The sequence of the last event.
    #[n(0)]
    pub last: u64,
    /// By target, in order of their names.
    #[n(1)]
    pub targets: Vec<TargetQueue>,
}

/// Events that wait for one target.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct TargetQueue {
    /// The target.
    #[n(0)]
    pub target: String,
    /// How many there are.
    #[n(1)]
    pub count: u64,
    /// All with a lower sequence are gone.
    #[n(2)]
    pub first: u64,
    /// How many found no room, ever.
    #[n(3)]
    pub dropped: u64,
}

impl EventQueue {
    /// What waits for a target.
    pub fn of(&self, target: &str) -> Option<&TargetQueue> {
        let found = self.targets.binary_search_by(|one| one.target.as_str().cmp(target));
        found.ok().and_then(|at| self.targets.get(at))
    }

    /// The same, to be changed; made where there is none.
    pub(crate) fn of_mut(&mut self, target: &str) -> Option<&mut TargetQueue> {
        let found = self.targets.binary_search_by(|one| one.target.as_str().cmp(target));
        let at = found.unwrap_or_else(|at| {
            let made = TargetQueue { target: target.to_owned(), ..TargetQueue::default() };
            self.targets.insert(at, made);
            at
        });
        self.targets.get_mut(at)
    }

    /// Gives the next event a sequence: greater than all before, and as its time goes, so that a sequence is above those
    /// of its key that another group, or a record that was lost, has given.
    pub(crate) fn next(&mut self, time_ms: u64) -> u64 {
        let by_time = time_ms.min(u64::MAX >> SEQUENCE_BITS) << SEQUENCE_BITS;
        self.last = self.last.saturating_add(1).max(by_time);
        self.last
    }
}

/// See [`crate::command::Command::RemoveEvents`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub struct RemoveEvents {
    /// Of this target,
    #[n(0)]
    pub target: String,
    /// all up to this sequence, which are at most [`crate::limits::EVENTS_REMOVED_MAX`] of those that wait.
    #[n(1)]
    pub last: u64,
    /// Whether nobody will hear of the target any more: what is counted of it goes, too, where nothing else waits.
    #[n(2)]
    pub forgets: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_grow_whatever_the_clock_does() {
        let mut queue = EventQueue::default();
        let given: Vec<u64> =
            [7, 7, 9, 3, 9, u64::MAX, 0].into_iter().map(|now_ms| queue.next(now_ms)).collect();
        assert!(given.is_sorted_by(|one, next| one < next), "{given:?}");
        assert_eq!(given[0], 7 << SEQUENCE_BITS);
        assert_eq!(given[2], 9 << SEQUENCE_BITS);
    }

    #[test]
    fn targets_are_found_in_the_order_of_their_names() {
        let mut queue = EventQueue::default();
        for name in ["b", "a", "c", "a"] {
            queue.of_mut(name).unwrap().count += 1;
        }
        let counts: Vec<(&str, u64)> =
            queue.targets.iter().map(|one| (one.target.as_str(), one.count)).collect();
        assert_eq!(counts, [("a", 2), ("b", 1), ("c", 1)]);
        assert_eq!(queue.of("b").unwrap().count, 1);
        assert_eq!(queue.of("d"), None);
    }

    #[test]
    fn the_written_forms_stay() {
        let event = Event { event: "e".to_owned(), size: Some(3), ..Event::default() };
        let written = minicbor::to_vec(&event).unwrap();
        let expected = [
            0x8D, 0x61, b'e', 0x60, 0x60, 0x60, 0x60, 0x60, 0x60, 0x00, 0x60, 0x03, 0xF6, 0xF6,
            0x00,
        ];
        assert_eq!(written, expected);
        let queue = EventQueue {
            last: 5,
            targets: vec![TargetQueue { target: "t".to_owned(), count: 1, first: 2, dropped: 3 }],
        };
        let expected = [0x82, 0x05, 0x81, 0x84, 0x61, b't', 0x01, 0x02, 0x03];
        assert_eq!(minicbor::to_vec(&queue).unwrap(), expected);
    }
}
