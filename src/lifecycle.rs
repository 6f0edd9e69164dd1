//! Lifecycle as a loop of a shard: looks through the buckets that have rules, in the groups that the shard holds, and has go
//! what they say is to go, or has its bytes go to another storage class (`transition`).
//!
//! What goes when is in the rules ([`anode_net::s3::configuration::lifecycle`]); here are the walk and its pace. Everything goes
//! by the commands that a client's request makes: locks hold, and what was written again meanwhile stays.

mod transition;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anode_disk::{segment::Class, wal::GroupId};
use anode_net::s3::configuration::lifecycle::{About, Lifecycle};
use anode_shards::{
    command::{AbortUpload, Command, DeleteObject, Reply},
    object::{BucketId, Object, STORAGE_CLASS},
    state::{ListQuery, Listed, Position},
    version::WantedVersion,
};

use crate::{
    gateway::record::signed_ms,
    host::{Host, doze},
    limits,
    mesh::{Answer, Ask, AskError},
    meta::BucketView,
    notification::notice_of_expiry,
    shard::{META_GROUP, Shard},
};

use transition::{Move, wanted};

/// What lifecycle has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Passes over all buckets with rules.
    pub passes: u64,
    /// Objects that were deleted or hidden.
    pub expired: u64,
    /// Versions and delete markers that were removed.
    pub removed: u64,
    /// Uploads that were ended.
    pub aborted: u64,
    /// What went to other storage classes, by their numbers.
    pub moved: [Moved; Class::COUNT as usize],
}

/// What went to a storage class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Objects and versions.
    pub objects: u64,
    /// Their bytes, as they are stored.
    pub bytes: u64,
}

impl Moved {
    fn add(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}

impl Work {
    fn plus(self, other: Self) -> Self {
        let mut moved = self.moved;
        for (sum, more) in moved.iter_mut().zip(other.moved) {
            sum.add(more);
        }
        Self {
            moved,
            passes: self.passes + other.passes,
            expired: self.expired + other.expired,
            removed: self.removed + other.removed,
            aborted: self.aborted + other.aborted,
        }
    }
}

/// One walk through all buckets with rules.
#[derive(Debug, Default)]
struct Pass {
    work: Work,
    /// Classes that have taken nothing more in it.
    closed: BTreeSet<Class>,
}

/// What is to be done to a page of versions.
#[derive(Debug, Default)]
struct Due {
    deletes: Vec<DeleteObject>,
    moves: Vec<Move>,
}

/// What was seen of the key that a walk stands at.
#[derive(Debug, Default)]
struct AtKey {
    key: String,
    /// When the version before this one, the next newer, was made.
    newer_ms: i64,
    /// How many versions that aren't current were seen of it.
    noncurrent: u32,
    /// The delete marker that is all of the key, as far as was seen.
    marker: Option<Object>,
}

/// Runs until the shard stops.
pub(crate) async fn run<H: Host>(shard: Shard<H>, period: Duration) {
    while !shard.is_draining() && !shard.volumes().has_own_failed() {
        let began = shard.host().now().0;
        let mut pass = Pass::default();
        let done = pass.walk(&shard).await;
        count(&shard, pass.work);
        // What is left is due at the next pass as well.
        if let Err(error) = done {
            tracing::warn!(%error, "lifecycle gave up a pass, and tries again at the next");
        }
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        while !shard.is_draining() && shard.host().now().0.saturating_sub(began) < period {
            doze(shard.host(), limits::LIFECYCLE_POLL).await;
        }
    }
}

fn count<H: Host>(shard: &Shard<H>, work: Work) {
    let Some(holdings) = shard.holdings() else { return };
    let before = holdings.lifecycle.get();
    holdings.lifecycle.set(before.plus(work));
    let moved: u64 = work.moved.iter().map(|moved| moved.objects).sum();
    if work.expired + work.removed + work.aborted + moved > 0 {
        let Work { expired, removed, aborted, .. } = work;
        tracing::info!(shard = shard.host().shard(), expired, removed, aborted, moved, "lifecycle");
    }
}

impl Pass {
    async fn walk<H: Host>(&mut self, shard: &Shard<H>) -> Result<(), AskError> {
        let meta = shard.meta();
        for bucket in meta.buckets.values() {
            let Some(lifecycle) = &bucket.configurations.lifecycle else { continue };
            for group in shard.own_groups().into_iter().filter(|group| *group != META_GROUP) {
                versions(shard, (group, bucket), lifecycle, self).await?;
                uploads(shard, (group, bucket.record.id), lifecycle, &mut self.work).await?;
                if shard.is_draining() {
                    return Ok(());
                }
            }
        }
        self.work.passes += 1;
        Ok(())
    }
}

async fn versions<H: Host>(
    shard: &Shard<H>,
    (group, view): (GroupId, &BucketView),
    lifecycle: &Lifecycle,
    pass: &mut Pass,
) -> Result<(), AskError> {
    let bucket = view.record.id;
    let mut start = Some(Position::start());
    let mut at = AtKey::default();
    while let Some(from) = start {
        let query =
            ListQuery { start: from, entries_max: limits::LIFECYCLE_PAGE, ..ListQuery::default() };
        let Answer::Versions(page) = shard.ask(group, Ask::ListVersions { bucket, query }).await?
        else {
            return Ok(());
        };
        let mut due = Due::default();
        let now_ms = shard.now_ms();
        for entry in page.entries {
            let Listed::Item { key, value } = entry.listed else { continue };
            due.look(&mut at, lifecycle, (bucket, &key, value), now_ms);
        }
        start = page.next;
        if start.is_none() {
            due.leave(&mut at, lifecycle, bucket, now_ms);
        }
        carry_out(shard, (group, view), due, pass).await?;
        shard.host().sleep(limits::LIFECYCLE_PAUSE).await;
    }
    Ok(())
}

impl Due {
    /// Looks at the next version of a walk: by key, the newest first.
    fn look(
        &mut self,
        at: &mut AtKey,
        lifecycle: &Lifecycle,
        (bucket, key, object): (BucketId, &str, Object),
        now_ms: u64,
    ) {
        let is_latest = at.key != key;
        if is_latest {
            self.leave(at, lifecycle, bucket, now_ms);
            *at = AtKey { key: key.to_owned(), ..AtKey::default() };
        }
        // Something is behind it.
        at.marker = None;
        let made_ms = signed_ms(object.last_modified_ms);
        let about = |since_ms| About { key, tags: &object.tags, size_bytes: object.size, since_ms };
        let class = object.headers.iter().find(|(name, _)| name == STORAGE_CLASS);
        let class = class.map(|(_, class)| class.as_str());
        if !is_latest {
            if lifecycle.ends_noncurrent(&about(at.newer_ms), at.noncurrent, signed_ms(now_ms)) {
                self.remove(bucket, key, &object, now_ms);
            } else if !object.is_marker() {
                let seen = (at.noncurrent, class);
                let about = about(at.newer_ms);
                let target = lifecycle.noncurrent_transition(&about, seen, signed_ms(now_ms));
                self.transfer(key, &object, target);
            }
            at.noncurrent += 1;
        } else if !object.is_marker() {
            let expiry = lifecycle.expiry(&about(made_ms));
            if expiry.is_some_and(|(due_ms, _)| due_ms <= signed_ms(now_ms)) {
                self.expire(bucket, key, &object, now_ms);
            } else {
                let target = lifecycle.transition(&about(made_ms), class, signed_ms(now_ms));
                self.transfer(key, &object, target);
            }
        }
        at.newer_ms = made_ms;
        if is_latest && object.is_marker() {
            at.marker = Some(object);
        }
    }

    /// Leaves a key, of which all was seen.
    fn leave(&mut self, at: &mut AtKey, lifecycle: &Lifecycle, bucket: BucketId, now_ms: u64) {
        let Some(marker) = at.marker.take() else { return };
        let since_ms = signed_ms(marker.last_modified_ms);
        let about = About { key: &at.key, tags: &[], size_bytes: 0, since_ms };
        if lifecycle.ends_marker(&about, signed_ms(now_ms)) {
            self.remove(bucket, &at.key, &marker, now_ms);
        }
    }

    /// Has a version go to another class, where it is to.
    fn transfer(&mut self, key: &str, object: &Object, class: Option<&'static str>) {
        let Some(class) = class else { return };
        let (key, version) = (key.to_owned(), wanted(object));
        self.moves.push(Move { key, version, seen_ms: object.last_modified_ms, class });
    }

    /// As a client's DELETE, but of just what was seen.
    fn expire(&mut self, bucket: BucketId, key: &str, object: &Object, now_ms: u64) {
        self.deletes.push(DeleteObject {
            bucket,
            key: key.to_owned(),
            now_ms,
            seen_ms: Some(object.last_modified_ms),
            ..DeleteObject::default()
        });
    }

    fn remove(&mut self, bucket: BucketId, key: &str, object: &Object, now_ms: u64) {
        let version = wanted(object);
        let (key, seen_ms) = (key.to_owned(), Some(object.last_modified_ms));
        let delete =
            DeleteObject { bucket, key, now_ms, version, seen_ms, ..DeleteObject::default() };
        self.deletes.push(delete);
    }
}

async fn carry_out<H: Host>(
    shard: &Shard<H>,
    (group, seen): (GroupId, &BucketView),
    due: Due,
    pass: &mut Pass,
) -> Result<(), AskError> {
    if due.deletes.is_empty() && due.moves.is_empty() {
        return Ok(());
    }
    // Who is to be told may have changed since the walk began.
    let meta = shard.meta();
    let bucket = meta.buckets.get(&seen.record.name);
    let bucket = bucket.filter(|bucket| bucket.record.id == seen.record.id);
    // At first what makes room: a class may be full.
    delete(shard, (group, bucket), due.deletes, &mut pass.work).await?;
    match bucket {
        Some(bucket) => transition::carry_out(shard, (group, bucket), due.moves, pass).await,
        None => Ok(()),
    }
}

async fn delete<H: Host>(
    shard: &Shard<H>,
    (group, bucket): (GroupId, Option<&Arc<BucketView>>),
    mut deletes: Vec<DeleteObject>,
    work: &mut Work,
) -> Result<(), AskError> {
    if deletes.is_empty() {
        return Ok(());
    }
    for delete in &mut deletes {
        // Of the delete marker that it may make.
        delete.nonce = shard.random_u64();
        delete.notice = bucket.and_then(|bucket| notice_of_expiry(shard, bucket, &delete.key));
    }
    let is_current: Vec<bool> =
        deletes.iter().map(|delete| delete.version == WantedVersion::Current).collect();
    let reply = shard.propose(group, Command::DeleteObjects(deletes), None).await?;
    let Reply::DeletedEach(each) = reply else { return Ok(()) };
    for (is_current, outcome) in is_current.into_iter().zip(each) {
        // What is locked stays until it isn't.
        let found = outcome.is_ok_and(|deleted| deleted.found);
        work.expired += u64::from(found && is_current);
        work.removed += u64::from(found && !is_current);
    }
    Ok(())
}

async fn uploads<H: Host>(
    shard: &Shard<H>,
    (group, bucket): (GroupId, BucketId),
    lifecycle: &Lifecycle,
    work: &mut Work,
) -> Result<(), AskError> {
    if lifecycle.rules.iter().all(|rule| rule.abort_days.is_none()) {
        return Ok(());
    }
    let mut start = Some(Position::start());
    while let Some(from) = start {
        let query =
            ListQuery { start: from, entries_max: limits::LIFECYCLE_PAGE, ..ListQuery::default() };
        let Answer::Uploads(page) = shard.ask(group, Ask::Uploads { bucket, query }).await? else {
            return Ok(());
        };
        for entry in page.entries {
            let Listed::Item { key, value } = entry.listed else { continue };
            let now_ms = shard.now_ms();
            let since_ms = signed_ms(value.upload.initiated_ms);
            if lifecycle.ends_upload(&key, since_ms, signed_ms(now_ms)) {
                let abort = AbortUpload { bucket, key, upload: value.id, now_ms };
                let reply = shard.propose(group, Command::AbortUpload(abort), None).await?;
                work.aborted += u64::from(reply == Reply::Done);
            }
        }
        start = page.next;
        shard.host().sleep(limits::LIFECYCLE_PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anode_shards::version::{ObjectVersion, VersionId};

    use super::*;

    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    fn lifecycle(inside: &str) -> Lifecycle {
        let body = format!(
            "<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter/>{inside}</Rule>\
             </LifecycleConfiguration>"
        );
        Lifecycle::read(body.as_bytes()).unwrap()
    }

    /// A version: key, day of its making, whether it is a delete marker.
    type Seen = (&'static str, u64, bool);

    /// What goes of versions that are listed: key, and the sequence of a version or 0 for what is current.
    fn gone(lifecycle: &Lifecycle, seen: &[Seen], today: u64) -> Vec<(String, u64)> {
        let (mut due, mut at) = (Due::default(), AtKey::default());
        for (nth, (key, day, is_marker)) in (1..).zip(seen) {
            let id = VersionId { sequence: 100 - nth, nonce: 1 };
            let version = Some(ObjectVersion { id, is_null: false, is_marker: *is_marker });
            let last_modified_ms = day * DAY_MS;
            let object = Object { version, last_modified_ms, ..Object::default() };
            due.look(&mut at, lifecycle, (1, key, object), today * DAY_MS);
        }
        due.leave(&mut at, lifecycle, 1, today * DAY_MS);
        let which = |delete: &DeleteObject| match delete.version {
            WantedVersion::Id(id) => 100 - id.sequence,
            WantedVersion::Current | WantedVersion::Null => 0,
        };
        due.deletes.iter().map(|delete| (delete.key.clone(), which(delete))).collect()
    }

    #[test]
    fn current_objects_expire_and_the_others_stay() {
        let rules = lifecycle("<Expiration><Days>3</Days></Expiration>");
        let seen = [("a", 0, false), ("a", 0, false), ("b", 5, false), ("c", 1, false)];
        assert_eq!(gone(&rules, &seen, 4), [("a".to_owned(), 0)]);
        assert_eq!(gone(&rules, &seen, 5), [("a".to_owned(), 0), ("c".to_owned(), 0)]);
    }

    #[test]
    fn noncurrent_versions_count_from_when_another_took_their_place() {
        let rules = lifecycle(
            "<NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays>\
             <NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
        );
        let seen = [("a", 10, false), ("a", 9, false), ("a", 8, true), ("a", 0, false)];
        // The third was overwritten on day 9, the fourth on day 8; the second is the newest of them and stays.
        assert_eq!(gone(&rules, &seen, 12), [("a".to_owned(), 4)]);
        assert_eq!(gone(&rules, &seen, 13), [("a".to_owned(), 3), ("a".to_owned(), 4)]);
    }

    #[test]
    fn a_marker_goes_when_nothing_is_behind_it() {
        let rules = lifecycle(
            "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
        );
        let seen = [("a", 1, true), ("b", 1, true), ("b", 0, false), ("c", 1, true)];
        assert_eq!(gone(&rules, &seen, 1), [("a".to_owned(), 1), ("c".to_owned(), 4)]);
    }
}
