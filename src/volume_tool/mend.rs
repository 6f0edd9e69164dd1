//! Sets damage of one shard aside: what can't be read is taken out of its tables, and what hangs on it with it, so that
//! the node starts and serves the rest as if these objects had been deleted.
//!
//! 1. The log is applied to the index and flushed: all that follows is decided on the whole state, and no command of the log
//!    is decided again on another one.
//! 2. What the excision will take is kept ([`super::shelf`]); then tables are written again without it.
//! 3. Where damage was in the way of the log, the rest of it is applied now.
//! 4. Each group is surveyed; objects that hang on what is gone are kept, then removed.
//! 5. Where the log itself is damaged, what is cut off it is kept, and a new one takes its place ([`super::log`]).
//!
//! A crash at any point leaves a shard that another call finds as it was, or further on. From the excision on until nothing
//! refers any more to what is gone a node refuses to start on it, and so it does until a damaged log is replaced.

#![expect(clippy::disallowed_types, reason = "an offline command reads the clock")]

use std::{collections::BTreeSet, path::Path, rc::Rc, time::SystemTime};

use anode_disk::{
    Directory, Error,
    index::Gap,
    segment::Places,
    storage::{Storage, StorageOptions},
    wal::{GroupId, LOCAL},
};
use anode_shards::{
    raft::replay::{Lacking, replay},
    staging::Staging,
    state::{State, Survey, group_of, meta_key},
};
use bytes::Bytes;

use super::{
    buckets::Buckets,
    hits::describe,
    log::{BrokenLog, Positions},
    shelf::{List, LostRange, Shelf, Why},
};
use crate::{names::ContentNames, shard::META_GROUP};

/// A shard with damage.
pub(super) struct Patient<'a, D: Directory> {
    pub(super) id: u64,
    pub(super) directories: Places<D>,
    /// The sizes of its files, and what its log carries.
    pub(super) options: StorageOptions,
    /// Index keys whose payload could not be read.
    pub(super) suspects: &'a BTreeSet<Bytes>,
    /// Where the log is damaged: up to where each group of the shard has applied it.
    pub(super) positions: Option<Positions>,
}

type States<D> = Vec<Rc<State<D>>>;

/// Sets the damage of a shard aside in `place`; what that was.
///
/// # Errors
///
/// A sentence that says why it can't be, or not to its end.
pub(super) async fn mend<D: Directory>(
    patient: Patient<'_, D>,
    place: &Path,
    buckets: &Buckets,
) -> Result<List, String> {
    let Patient { id, directories, options, suspects, positions } = patient;
    let log = match positions {
        Some(positions) => {
            Some(BrokenLog::read(&directories.own, options.wal_identity, &positions).await?)
        }
        None => None,
    };
    let opened = open(directories, options, log.as_ref()).await;
    let (storage, staging) = opened.map_err(|error| said(&error))?;
    let lacking = if log.is_some() { Lacking::Ends } else { Lacking::Refused };
    let groups: Vec<GroupId> = match &log {
        Some(log) => log.groups().collect(),
        None => storage.wal.groups().into_iter().filter(|group| *group != LOCAL).collect(),
    };
    let state = |group| Rc::new(State::open(group, Rc::clone(&storage), Rc::clone(&staging)));
    let states: States<D> = groups.into_iter().map(state).collect();
    let mut shelf = Shelf::new(place, id);
    let blocked = apply_logs(&storage, &states, lacking).await?;
    excise(&storage, &states, (suspects, buckets), &mut shelf).await?;
    let blocked_still = apply_logs(&storage, &blocked, lacking).await?;
    if let Some(state) = blocked_still.first() {
        return Err(format!("the log of group {} can't be applied", state.group()));
    }
    for state in &states {
        let survey = state.survey(now_ms()).await.map_err(|error| said(&error))?;
        if !survey.is_empty() {
            keep(state, &survey, buckets, &mut shelf).await?;
            shelf.save()?;
            state.mend(survey).await.map_err(|error| said(&error))?;
        }
    }
    // Entries that were taken out are in no figures: the next start counts what is left.
    for state in &states {
        state.forget_usage();
    }
    if let Some(log) = &log {
        log.keep((&storage, &staging), &mut shelf, buckets).await?;
        shelf.save()?;
        log.skip_bucket_ids(&states).await.map_err(|error| said(&error))?;
    }
    storage.index.flush().await.map_err(|error| said(&error))?;
    storage.end_mending().await.map_err(|error| said(&error))?;
    if let Some(log) = &log {
        drop((states, staging));
        log.renew(storage, id).await?;
    }
    Ok(shelf.into_list())
}

async fn open<D: Directory>(
    directories: Places<D>,
    options: StorageOptions,
    log: Option<&BrokenLog<D>>,
) -> Result<(Rc<Storage<D>>, Rc<Staging<D>>), Error> {
    if let Some(log) = log {
        return log.open(directories, options).await;
    }
    let storage = Storage::open_to_mend(directories, options).await?;
    let staging = Staging::open(Rc::clone(&storage)).await?;
    Ok((storage, staging))
}

/// Applies what the logs have beyond the state, and flushes it; the groups where damage is in the way.
async fn apply_logs<D: Directory>(
    storage: &Rc<Storage<D>>,
    states: &States<D>,
    lacking: Lacking,
) -> Result<States<D>, String> {
    let mut blocked = Vec::new();
    for state in states {
        match replay(state.group(), storage, state, lacking).await {
            Ok(_count) => {}
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                blocked.push(Rc::clone(state));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    storage.index.flush().await.map_err(|error| said(&error))?;
    Ok(blocked)
}

/// Takes what can't be read out of the tables.
async fn excise<D: Directory>(
    storage: &Storage<D>,
    states: &States<D>,
    (suspects, buckets): (&BTreeSet<Bytes>, &Buckets),
    shelf: &mut Shelf,
) -> Result<(), String> {
    let index = &storage.index;
    let excision = index.excision(suspects, &ContentNames).await.map_err(|error| said(&error))?;
    if excision.is_empty() {
        return Ok(());
    }
    for gap in &excision.gaps {
        check_needless(storage, states, gap).await?;
        let Error::Corrupt { location, .. } = &gap.error else { return Err(said(&gap.error)) };
        let after = gap.after.as_ref().map(|after| describe(after, buckets));
        let (location, upto) = (location.clone(), describe(&gap.upto, buckets));
        shelf.list().ranges.push(LostRange { location, after, upto });
    }
    for (key, entry) in &excision.lost {
        shelf.keep_entry(index, (key, entry, Why::Damaged), buckets).await?;
    }
    for (key, entry) in &excision.doubtful {
        shelf.keep_entry(index, (key, entry, Why::MaybeOutdated), buckets).await?;
    }
    shelf.save()?;
    // From here on objects may refer to what is gone, until they are removed, too.
    storage.begin_mending().await.map_err(|error| said(&error))?;
    index.excise(excision).await.map_err(|error| said(&error))
}

/// Refuses a gap that may hold what nothing can be decided without: buckets and credentials, or up to where a group has
/// applied its log.
async fn check_needless<D: Directory>(
    storage: &Storage<D>,
    states: &States<D>,
    gap: &Gap,
) -> Result<(), String> {
    if group_of(&gap.first) == Some(META_GROUP) {
        return Err(format!("buckets or credentials may be lost ({})", gap.error));
    }
    for state in states {
        let key = meta_key(state.group());
        // A newer table may have it.
        if gap.may_hold(&key) && storage.index.get(&key).await.is_err() {
            return Err(lost_position(state.group(), gap));
        }
    }
    Ok(())
}

fn lost_position(group: GroupId, gap: &Gap) -> String {
    format!("up to where group {group} has applied its log is lost ({})", gap.error)
}

/// Keeps what a survey found, before it is removed.
async fn keep<D: Directory>(
    state: &State<D>,
    survey: &Survey,
    buckets: &Buckets,
    shelf: &mut Shelf,
) -> Result<(), String> {
    let mut kept = BTreeSet::new();
    for damaged in &survey.objects {
        kept.extend(damaged.object.bodies().map(|(body, _)| body));
        shelf.keep_object(state, damaged.clone(), buckets).await?;
    }
    for (upload, number) in &survey.parts {
        shelf.list().parts.push(format!("part {number} of upload {upload}"));
    }
    for unnamed in survey.unnamed.iter().filter(|unnamed| !kept.contains(&unnamed.body)) {
        shelf.keep_body(state, *unnamed).await?;
    }
    Ok(())
}

fn said(error: &Error) -> String {
    error.to_string()
}

/// Milliseconds since the epoch.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
