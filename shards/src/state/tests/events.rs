//! Events: one for each change that somebody is to be told of, in order, until it was delivered.

use anode_disk::testing::{Random, SimDisk};

use super::rig::{Rig, run};
use crate::{
    command::{Command, DeleteObject, Deleted, Reply, Stored, WriteCondition},
    event::{Notice, RemoveEvents, Route},
    version::WantedVersion,
};

const TARGET: &str = "target";
const QUEUE_COUNT_MAX: u64 = 12;

/// What is told of a change: what it is called, the key, the version.
type Told = (String, String, Option<String>);

/// What waits.
#[derive(Default)]
pub(super) struct Model {
    waiting: Vec<Told>,
    dropped: u64,
}

pub(super) fn notice(event: &str) -> Box<Notice> {
    let route = |event: String| Route {
        event,
        target: TARGET.to_owned(),
        queue_count_max: QUEUE_COUNT_MAX,
        ..Route::default()
    };
    let (if_done, if_hidden) =
        (Some(route(event.to_owned())), Some(route(format!("{event} mark"))));
    Box::new(Notice { if_done, if_hidden, ..Notice::default() })
}

impl Model {
    fn tell(&mut self, event: &str, key: &str, version: Option<String>) {
        if self.waiting.len() as u64 == QUEUE_COUNT_MAX {
            self.dropped += 1;
        } else {
            self.waiting.push((event.to_owned(), key.to_owned(), version));
        }
    }

    pub(super) fn stored(&mut self, event: &str, key: &str, stored: &Stored) {
        self.tell(event, key, stored.version.map(|version| version.to_string()));
    }

    pub(super) fn deleted(&mut self, delete: &DeleteObject, deleted: &Deleted) {
        let version = deleted.version.map(|version| version.to_string());
        if deleted.is_marker && delete.version == WantedVersion::Current {
            self.tell("delete mark", &delete.key, version);
        } else if deleted.found {
            self.tell("delete", &delete.key, version);
        }
    }

    /// Removes some of those that wait longest.
    pub(super) async fn remove(&mut self, rig: &Rig, random: &mut Random) {
        let events = rig.state.events(TARGET, 1000).await.unwrap();
        let count = usize::try_from(random.below(events.len() as u64 + 1)).unwrap();
        let Some((last, _)) = events[..count].last() else { return };
        let remove = RemoveEvents { target: TARGET.to_owned(), last: *last, forgets: false };
        let command = Command::RemoveEvents(remove);
        assert_eq!(rig.propose(&command).await, Reply::Done);
        if random.coin() {
            assert_eq!(rig.propose(&command).await, Reply::Done);
        }
        self.waiting.drain(..count);
    }

    pub(super) async fn check(&self, rig: &Rig) {
        let events = rig.state.events(TARGET, 1000).await.unwrap();
        assert!(events.is_sorted_by(|one, next| one.0 < next.0));
        let told = events.into_iter().map(|(_, event)| (event.event, event.key, event.version));
        assert_eq!(told.collect::<Vec<_>>(), self.waiting);
        let queue = rig.state.event_queue().await.unwrap();
        let queue = queue.of(TARGET).cloned().unwrap_or_default();
        assert_eq!((queue.count, queue.dropped), (self.waiting.len() as u64, self.dropped));
    }
}

#[test]
fn a_refused_write_tells_nothing_and_room_comes_with_delivery() {
    run(&SimDisk::new(31), async |rig| {
        let put = async |condition, id| {
            let mut command = rig.put((1, "k"), b"bytes", condition, id).await;
            let Command::PutObject(put) = &mut command else { unreachable!() };
            put.notice = Some(notice("put"));
            rig.propose(&command).await
        };
        let absent = WriteCondition { if_none_match_any: true, if_match: None };
        for id in 1..=QUEUE_COUNT_MAX + 3 {
            assert!(matches!(put(WriteCondition::default(), id).await, Reply::Stored(_)));
            assert!(matches!(put(absent.clone(), 100 + id).await, Reply::Refused(_)));
        }
        let queue = rig.state.event_queue().await.unwrap();
        let waiting = queue.of(TARGET).unwrap();
        assert_eq!((waiting.count, waiting.dropped), (QUEUE_COUNT_MAX, 3));
        let events = rig.state.events(TARGET, 1000).await.unwrap();
        let etags: Vec<_> = events.iter().map(|(_, event)| event.etag.clone().unwrap()).collect();
        assert_eq!((etags[0].as_str(), etags[11].as_str()), ("etag-1", "etag-12"));
        let target = TARGET.to_owned();
        let remove = RemoveEvents { target, last: events[3].0, forgets: true };
        assert_eq!(rig.propose(&Command::RemoveEvents(remove.clone())).await, Reply::Done);
        assert_eq!(rig.state.events(TARGET, 1000).await.unwrap(), events[4..]);
        put(WriteCondition::default(), 50).await;
        let events = rig.state.events(TARGET, 1000).await.unwrap();
        assert_eq!(events.last().unwrap().1.etag.as_deref(), Some("etag-50"));
        let remove = RemoveEvents { last: events.last().unwrap().0, ..remove };
        assert_eq!(rig.propose(&Command::RemoveEvents(remove)).await, Reply::Done);
        assert_eq!(rig.state.event_queue().await.unwrap().of(TARGET), None, "it is forgotten");
    });
}

#[test]
fn who_waits_hears_of_events_alone() {
    run(&SimDisk::new(32), async |rig| {
        let mut recorded = rig.state.events_recorded();
        let plain = rig.put((1, "k"), b"bytes", WriteCondition::default(), 1).await;
        rig.propose(&plain).await;
        assert!(!recorded.has_changed().unwrap());
        assert_eq!(rig.state.event_queue().await.unwrap(), crate::event::EventQueue::default());
        let delete = DeleteObject { bucket: 1, key: "k".to_owned(), ..DeleteObject::default() };
        let delete = DeleteObject { notice: Some(notice("delete")), ..delete };
        rig.propose(&Command::DeleteObject(delete.clone())).await;
        assert!(recorded.has_changed().unwrap());
        recorded.mark_unchanged();
        // There is nothing left to be deleted.
        rig.propose(&Command::DeleteObject(delete)).await;
        assert!(!recorded.has_changed().unwrap());
        assert_eq!(rig.state.events(TARGET, 1000).await.unwrap().len(), 1);
    });
}
