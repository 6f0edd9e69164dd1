//! What a group has agreed on: applies commands to the index, and reads from it.
//!
//! - One command is one batch: all its effects and the Raft state that belongs to it are visible, and become durable,
//!   together. Between the last read and the write nothing awaits.
//! - Applying is deterministic: times and ids are in the command, and what it reads is what earlier commands wrote.
//! - Only apply writes in a group's range, one command after another.
//! - The bytes of an object that is gone are *condemned* with the command that ended it, and removed by later commands
//!   ([`crate::reclaim`]).

use std::{cell::Cell, fmt, rc::Rc};

use anode_disk::{
    Directory, Error,
    index::{Batch, Entry, Payload},
    storage::Storage,
    wal::GroupId,
};
use bytes::Bytes;
use tokio::sync::watch;

use crate::{
    command::{Command, Refusal, Reply},
    limits::{KEY_BYTES_MAX, PART_BYTES_MIN},
    reclaim::Pins,
    staging::Staging,
};

pub use bucket::Configuration;
pub use damage::{Struck, group_of};
pub use keys::group_range;
pub use list::{ListQuery, PartPage, UploadListed};
pub use mend::{DamagedObject, Survey, UnnamedBody, is_lasting, object_of};
pub use merge::{Merge, Want};
pub use page::{ListEntry, ListPage, Listed, Position};
pub use pending::PendingDelete;
pub use read::ObjectRead;
pub use reclaim::{Condemned, CondemnedId};
pub use usage::Usage;

pub use quota::Planned;

use bucket::BucketStates;
use draft::Draft;
use quota::Allowances;
use usage::Tally;

mod bucket;
mod content;
mod damage;
mod draft;
mod events;
mod iam;
pub(crate) mod keys;
mod list;
mod mend;
mod merge;
mod multipart;
pub mod named;
mod page;
mod pending;
mod put;
mod quota;
mod read;
mod reclaim;
mod transition;
mod usage;
mod versions;
#[cfg(test)]
mod tests;

/// The state of one group.
pub struct State<D: Directory> {
    group: GroupId,
    storage: Rc<Storage<D>>,
    staging: Rc<Staging<D>>,
    pins: Rc<Pins>,
    part_bytes_min: u64,
    /// How often versions have moved from one place to another: who looks in several places knows whether to look again.
    moves: Cell<u64>,
    tally: Tally,
    allowances: Allowances,
    bucket_states: BucketStates,
    /// How often events were recorded.
    events_recorded: watch::Sender<u64>,
}

/// The index key of the Raft state that each applied entry carries: last applied log id and membership.
pub fn meta_key(group: GroupId) -> Bytes {
    keys::meta(group)
}

impl<D: Directory> State<D> {
    /// The state of `group` in a shard's storage. Reads nothing yet.
    pub fn open(group: GroupId, storage: Rc<Storage<D>>, staging: Rc<Staging<D>>) -> Self {
        Self {
            group,
            storage,
            staging,
            pins: Rc::new(Pins::default()),
            part_bytes_min: PART_BYTES_MIN,
            moves: Cell::default(),
            tally: Tally::default(),
            allowances: Allowances::default(),
            bucket_states: BucketStates::default(),
            events_recorded: watch::Sender::default(),
        }
    }

    /// Which group this is.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// What readers of the group hold on to.
    pub fn pins(&self) -> &Rc<Pins> {
        &self.pins
    }

    /// Applies a command, and writes `meta` (an index key and its value) with its effects. A refusal changes nothing
    /// but `meta`.
    ///
    /// To be called for one command at a time. After an error nothing is written: the command is not applied.
    pub async fn apply(&self, command: &Command, meta: (Bytes, Bytes)) -> Result<Reply, Error> {
        let mut draft = Draft::default();
        let decided = self.decide_within_quota(command, &mut draft).await?;
        self.count_condemned(&mut draft).await?;
        if !draft.events.is_empty() {
            // Boxed, for else every command would keep room for it.
            Box::pin(self.queue_events(&mut draft)).await?;
        }
        let usage = self.count_usage(&mut draft).await?;
        let counts = self.counts(&draft).await?;
        let moves = u64::from(draft.moves_versions);
        let (allotted, bucket_state) = (draft.allotted, draft.bucket_state);
        let records_events = draft.records_events;
        // From here to the write nothing awaits: what was checked still holds.
        let (reply, mut batch) =
            match decided.and_then(|reply| self.claim(draft, counts).map(|batch| (reply, batch))) {
                Ok(decided) => {
                    self.tallied(usage);
                    self.allowances.take_up(allotted);
                    self.bucket_states.take_up(bucket_state);
                    decided
                }
                Err(refusal) => (Reply::Refused(refusal), Batch::default()),
            };
        let (key, value) = meta;
        batch.put(key, Entry { value, payload: Payload::None });
        self.storage.index.write(batch);
        self.moves.set(self.moves.get() + moves);
        if records_events {
            self.events_recorded.send_modify(|count| *count += 1);
        }
        Ok(reply)
    }

    /// Reads what applying a command would read, and changes nothing. Damage is to be met here, before the command is in the
    /// log: an entry that can't be applied ends the group, at each start again. A refusal for want of quota is told, so that it
    /// needn't be in the log, either; others are apply's to tell.
    pub async fn rehearse(&self, command: &Command) -> Result<Option<Refusal>, Error> {
        let mut draft = Draft::rehearsal();
        let decided = self.decide_within_quota(command, &mut draft).await?;
        self.count_condemned(&mut draft).await?;
        if !draft.events.is_empty() {
            Box::pin(self.queue_events(&mut draft)).await?;
        }
        let is_of_quota =
            |refusal: &Refusal| matches!(refusal, Refusal::OverQuota { .. } | Refusal::Uncounted);
        Ok(decided.err().filter(is_of_quota))
    }

    /// Whether a command would be carried out, but for chunks of its body that are not staged.
    pub(crate) async fn lacks_chunks(&self, command: &Command) -> Result<bool, Error> {
        let mut draft = Draft::rehearsal();
        let is_refused = self.decide_within_quota(command, &mut draft).await?.is_err();
        let is_there = |claim: &draft::Claim| {
            let found = self.staging.find(self.group, claim.staged, claim.chunk);
            found.is_some_and(|(extent, content)| {
                content == claim.content && extent.data_bytes == claim.data_bytes
            })
        };
        Ok(!is_refused && !draft.claims.iter().all(is_there))
    }

    /// Writes `meta` alone: for entries of the log that carry no command.
    pub fn advance(&self, meta: (Bytes, Bytes)) {
        let mut batch = Batch::default();
        let (key, value) = meta;
        batch.put(key, Entry { value, payload: Payload::None });
        self.storage.index.write(batch);
    }

    async fn decide_within_quota(
        &self,
        command: &Command,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        let decided = self.decide(command, draft).await?;
        if decided.is_err() {
            return Ok(decided);
        }
        Ok(self.check_quota(draft).await?.map_or(decided, Err))
    }

    async fn decide(
        &self,
        command: &Command,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        match command {
            Command::CreateBucket(create) => self.create_bucket(create, draft).await,
            Command::RemoveBucket(remove) => self.remove_bucket(remove, draft).await,
            Command::PutCredential(credential) => Ok(self.put_credential(credential, draft)),
            Command::RemoveCredential(key) => self.remove_credential(key, draft).await,
            Command::PutObject(put) => self.put_object(put, draft).await,
            Command::DeleteObject(delete) => self.delete_object(delete, draft).await,
            Command::DeleteObjects(deletes) => self.delete_objects(deletes, draft).await,
            Command::CreateUpload(create) => self.create_upload(create, draft).await,
            Command::PutPart(put) => self.put_part(put, draft).await,
            Command::CompleteUpload(complete) => self.complete_upload(complete, draft).await,
            Command::AbortUpload(abort) => self.abort_upload(abort, draft).await,
            Command::SealBucket(bucket) => self.seal_bucket(*bucket, draft).await,
            Command::UnsealBucket(bucket) => {
                self.unseal_bucket(*bucket, draft).await?;
                Ok(Ok(Reply::Done))
            }
            Command::Reclaim(steps) => self.reclaim(steps, draft).await,
            Command::SetVersioning(set) => self.set_versioning(set, draft).await,
            Command::Configure(set) => self.configure(set, draft).await,
            Command::ChangeIam(change) => self.change_iam(change, draft).await,
            Command::PutMasterKey(key) => self.put_master_key(key, draft).await,
            Command::RemoveEvents(remove) => Box::pin(self.remove_events(remove, draft)).await,
            Command::Amend(amend) => Box::pin(self.amend(amend, draft)).await,
            Command::NumberRound(above) => self.number_round(*above, draft).await,
            Command::Allot(allot) => self.allot(allot, draft).await,
        }
    }
}

/// What S3 lets a key be; the gateway has checked it with a better answer.
fn check_key(key: &str) -> Result<(), Refusal> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Refusal::Malformed("a key has 1 to 1,024 bytes"));
    }
    Ok(())
}

impl<D: Directory> fmt::Debug for State<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("group", &self.group).finish_non_exhaustive()
    }
}
