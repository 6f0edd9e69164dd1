//! Applies what a group's log has beyond its state, without Raft: for a node that is stopped.
//!
//! Only for a group of one voter: all that is in its log is committed, as its next election would find. The log stays as
//! it is; the position that is written with each effect says what was applied.

use std::{io, rc::Rc};

use anode_disk::{Directory, storage::Storage, wal::GroupId};
use openraft::{EntryPayload, RaftLogReader as _};

use super::{
    log_store::{LogStore, refused},
    snapshot,
    state_store::StateStore,
};
use crate::{group, state::State};

/// What becomes of a command whose chunks are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// It is refused, as it was when it was decided first.
    Refused,
    /// Nothing is applied from it on: what is missing is the record of its chunks, and it was decided with them.
    Ends,
}

/// Brings a group's state up to its log; how many entries that took. Durable after the next flush of the index.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] where something damaged is in the way, or the log and the state can't belong together:
/// all before that entry is applied. [`io::ErrorKind::Unsupported`] for a group with other voters.
pub async fn replay<D: Directory>(
    group: GroupId,
    storage: &Rc<Storage<D>>,
    state: &Rc<State<D>>,
    lacking: Lacking,
) -> io::Result<u64> {
    let index = &storage.index;
    snapshot::finish(index, group).await.map_err(refused)?;
    let mut log = LogStore::new(group, storage.wal.clone());
    let store = StateStore::open(group, index.clone(), Rc::clone(state)).await?;
    let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    group::check_history(group, &log, &store).map_err(damaged)?;
    let Some(last) = log.last_index()? else { return Ok(0) };
    let mut count = 0;
    loop {
        let next = store.applied().map_or(0, |applied| applied.index() + 1);
        if next > last {
            return Ok(count);
        }
        if store.voter_count() > 1 {
            let finding = format!(
                "group {group} has other voters: this replica can't tell what is committed"
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, finding));
        }
        let entries = log.limited_get_log_entries(next, last + 1).await?;
        if entries.is_empty() {
            let finding = format!("group {group} has no entry {next} in its log");
            return Err(io::Error::new(io::ErrorKind::InvalidData, finding));
        }
        for entry in entries {
            if index.is_full() {
                index.flush().await.map_err(refused)?;
            }
            if lacking == Lacking::Ends
                && let EntryPayload::Normal(command) = &entry.payload
                && state.lacks_chunks(command).await.map_err(refused)?
            {
                return Ok(count);
            }
            store.apply_one(entry).await?;
            count += 1;
        }
    }
}
