//! Answers what is asked of the groups of this shard.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ops::Range,
    pin::pin,
    rc::Rc,
    sync::Arc,
};

use anode_disk::{Error, scrub::Progress, storage::Storage, wal::GroupId};
use anode_shards::{
    command::{Command, Reply},
    group::{Group, GroupError},
    object::{BodyId, BucketId},
    reclaim::Pin,
    staging::Staging,
    state::{State, Usage},
    version::WantedVersion,
};
use bytes::Bytes;
use futures::channel::oneshot;

use crate::{
    chunk_cache::ChunkCache,
    host::Host,
    lifecycle, limits,
    mesh::{Access, Answer, Ask, AskError, Message, ObjectFound, PinId},
    meta::{MetaRecords, MetaView},
    notification,
    quota::{self, Quotas},
    scrub,
    shard::{META_GROUP, Shard},
};

/// How many shards have not taken a publication yet, and who waits for them.
type Unseen = (usize, oneshot::Sender<()>);

/// Counts what is being answered; a connection that goes away takes its question along.
struct Busy(Rc<Cell<usize>>);

impl Busy {
    fn begin(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// What a shard holds, once it has recovered.
pub(crate) struct Holdings<H: Host> {
    pub(crate) storage: Rc<Storage<H::Directory>>,
    pub(crate) staging: Rc<Staging<H::Directory>>,
    pub(crate) groups: BTreeMap<GroupId, Group<H::Directory>>,
    /// How far scrub is.
    pub(crate) scrub: RefCell<Progress>,
    /// What scrub has done since the start.
    pub(crate) scrubbed: Cell<scrub::Work>,
    /// What lifecycle has done since the start.
    pub(crate) lifecycle: Cell<lifecycle::Work>,
    /// What it keeps for quotas, where it holds the meta group.
    pub(crate) quotas: Quotas,
    /// What was done for the targets of notifications since the start, by their names.
    pub(crate) deliveries: RefCell<BTreeMap<String, notification::Work>>,
    busy: Rc<Cell<usize>>,
    cache: Rc<ChunkCache>,
    pins: RefCell<BTreeMap<PinId, Pin>>,
    pin_next: Cell<PinId>,
    proposal_count: Cell<usize>,
    /// One publication at a time: a later view holds all that an earlier one does.
    publication: futures::lock::Mutex<u64>,
    /// Publications that shards have not taken yet, by version.
    unseen: RefCell<BTreeMap<u64, Unseen>>,
}

impl<H: Host> Holdings<H> {
    pub(crate) fn new(
        storage: Rc<Storage<H::Directory>>,
        staging: Rc<Staging<H::Directory>>,
        groups: BTreeMap<GroupId, Group<H::Directory>>,
    ) -> Self {
        Self {
            cache: ChunkCache::new(Rc::clone(storage.index.cache_budget())),
            storage,
            staging,
            groups,
            scrub: RefCell::default(),
            scrubbed: Cell::default(),
            lifecycle: Cell::default(),
            quotas: Quotas::default(),
            deliveries: RefCell::default(),
            busy: Rc::default(),
            pins: RefCell::default(),
            pin_next: Cell::default(),
            proposal_count: Cell::default(),
            publication: futures::lock::Mutex::new(0),
            unseen: RefCell::default(),
        }
    }

    /// Uses of the chunk cache that found their chunk, and that did not.
    pub(crate) fn cache_figures(&self) -> (u64, u64) {
        self.cache.figures()
    }

    /// What the chunk cache takes, in bytes.
    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// What is in all buckets; none where a group doesn't know.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let of = |group: &Group<H::Directory>| group.state().total_usage();
        self.groups.values().try_fold(Usage::default(), |sum, group| Some(sum.plus(of(group)?)))
    }

    /// Commands that are being agreed on.
    pub(crate) fn proposal_count(&self) -> usize {
        self.proposal_count.get()
    }

    /// Whether something is being answered.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.get() > 0
    }

    /// A shard has taken a published view.
    pub(crate) fn seen(&self, version: u64) {
        let mut unseen = self.unseen.borrow_mut();
        let Some((left, _)) = unseen.get_mut(&version) else { return };
        *left -= 1;
        if *left == 0
            && let Some((_, waiting)) = unseen.remove(&version)
        {
            // Who waited may be gone with its connection.
            let _gone = waiting.send(());
        }
    }

    fn group(&self, group: GroupId) -> Result<&Group<H::Directory>, AskError> {
        let missing = || AskError::Unavailable(format!("group {group} is not on this shard"));
        self.groups.get(&group).ok_or_else(missing)
    }

    /// The state of a group, with everything in it that was answered before.
    async fn state(&self, group: GroupId) -> Result<&Rc<State<H::Directory>>, AskError> {
        let group = self.group(group)?;
        group.linearizable().await.map_err(of_group)?;
        Ok(group.state())
    }

    async fn propose(
        &self,
        group: GroupId,
        command: Command,
        settle: Option<BodyId>,
    ) -> Result<Reply, AskError> {
        if self.proposal_count.get() >= limits::PROPOSAL_COUNT_MAX {
            return Err(AskError::Overloaded);
        }
        self.proposal_count.set(self.proposal_count.get() + 1);
        let proposed = async {
            let waits = needs_space(&command)
                || (moves_versions(&command) && !self.storage.is_short_of_space());
            if waits {
                // Back-pressure: a writer waits here while flushes catch up, before it is in the log.
                self.storage.index.room().await.map_err(of_storage)?;
                self.storage.index.room_in_segments().await;
                self.storage.wal.room().await;
            }
            if let Some(body) = settle {
                // Chunks are durable before the command that names them.
                self.staging.settle(group, body).await.map_err(of_storage)?;
            }
            let group = self.group(group)?;
            if let Some(refusal) = group.state().rehearse(&command).await.map_err(of_storage)? {
                return Ok(Reply::Refused(refusal));
            }
            group.propose(command).await.map_err(of_group)
        };
        let reply = proposed.await;
        self.proposal_count.set(self.proposal_count.get() - 1);
        reply
    }

    async fn object(
        &self,
        group: GroupId,
        name: (BucketId, &str),
        (version, access): (WantedVersion, Access),
    ) -> Result<Option<Box<ObjectFound>>, AskError> {
        let state = self.state(group).await?;
        if access == Access::Record {
            let object = state.version(name, version).await.map_err(of_storage)?;
            let found = |object| Box::new(ObjectFound { object, inline: Bytes::new(), pin: None });
            return Ok(object.map(found));
        }
        // The ticket is taken before the record is read: what is condemned after this waits for it.
        let ticket = state.pins().begin();
        let found = state.version_inline(name, version).await.map_err(of_storage)?;
        let Some((object, inline)) = found else { return Ok(None) };
        let mut bodies = object.bodies().map(|(body, _)| body).peekable();
        let pin = bodies.peek().is_some().then(|| self.hold(ticket.pin(bodies)));
        let inline = inline.unwrap_or_default();
        Ok(Some(Box::new(ObjectFound { object, inline, pin })))
    }

    /// Bytes of a chunk, from the cache where it is there whole.
    async fn chunk(
        &self,
        group: GroupId,
        (body, chunk): (BodyId, u32),
        range: Range<u32>,
    ) -> Result<Bytes, AskError> {
        let name = (group, body, chunk);
        if let Some(whole) = self.cache.get(name)
            && let (Ok(start), Ok(end)) = (usize::try_from(range.start), usize::try_from(range.end))
            && start <= end
            && end <= whole.len()
        {
            return Ok(whole.slice(start..end));
        }
        self.group(group)?.state().chunk(body, chunk, range).await.map_err(of_storage)
    }

    fn hold(&self, pin: Pin) -> PinId {
        let id = self.pin_next.replace(self.pin_next.get() + 1);
        self.pins.borrow_mut().insert(id, pin);
        id
    }
}

/// Whether a command takes space: those that free it go on when the volume is full.
fn needs_space(command: &Command) -> bool {
    matches!(
        command,
        Command::PutObject(_)
            | Command::PutPart(_)
            | Command::CreateUpload(_)
            | Command::CompleteUpload(_)
            | Command::CreateBucket(_)
            | Command::Configure(_)
            | Command::ChangeIam(_)
            | Command::Amend(_)
    )
}

/// Whether a command may write what it moves: it waits for memory, but goes on where the volume is full.
fn moves_versions(command: &Command) -> bool {
    matches!(command, Command::DeleteObject(_) | Command::DeleteObjects(_))
}

impl<H: Host> Shard<H> {
    /// Answers from this shard's groups; at once where their volume fails.
    pub(crate) async fn answer(&self, group: GroupId, ask: Ask) -> Result<Answer, AskError> {
        let own = self.host().shard();
        self.check_place(own)?;
        match self.volumes().unless_own_fails(pin!(self.answer_held(group, ask))).await {
            Some(Ok(answer)) => Ok(answer),
            // Whatever went wrong, the volume is the reason where it has failed.
            Some(Err(error)) => Err(self.check_place(own).err().unwrap_or(error)),
            None => Err(self.check_place(own).err().unwrap_or_else(starting)),
        }
    }

    async fn answer_held(&self, group: GroupId, ask: Ask) -> Result<Answer, AskError> {
        let holdings = self.holdings().ok_or_else(starting)?;
        let _busy = Busy::begin(&holdings.busy);
        match ask {
            Ask::Propose { command, settle } => {
                if needs_space(&command) {
                    self.wait_for_space(&holdings.storage).await?;
                }
                // Nobody has a copy of the numbers of rounds.
                let is_published =
                    group == META_GROUP && !matches!(command, Command::NumberRound(_));
                let reply = holdings.propose(group, command, settle).await?;
                if is_published {
                    self.publish(&holdings).await?;
                }
                Ok(Answer::Applied(reply))
            }
            Ask::Object { bucket, key, version, access } => {
                let found = holdings.object(group, (bucket, &key), (version, access)).await?;
                Ok(Answer::Object(found))
            }
            Ask::Unpin { pin } => {
                let pin = holdings.pins.borrow_mut().remove(&pin);
                drop(pin);
                Ok(Answer::Done)
            }
            Ask::Chunk { body, chunk, range, chunk_bytes } => {
                let bytes = holdings.chunk(group, (body, chunk), range.clone()).await?;
                // Small ranges, as Parquet readers ask for, are no reason to keep anything.
                if range == (0..chunk_bytes) {
                    holdings.cache.insert((group, body, chunk), bytes.clone());
                }
                Ok(Answer::Chunk(bytes))
            }
            Ask::Stage { body, chunk } => {
                self.wait_for_space(&holdings.storage).await?;
                // Back-pressure where overwrites are faster than what gets the space of the old bytes back.
                holdings.storage.index.room_in_segments().await;
                let staged = holdings.staging.stage(group, body, chunk).await;
                staged.map_err(of_storage)?;
                Ok(Answer::Done)
            }
            Ask::Discard { body } => {
                holdings.staging.discard(group, body);
                Ok(Answer::Done)
            }
            Ask::MakeRoom(wish) => {
                Ok(Answer::Room(Box::pin(quota::grant(self, &holdings, &wish)).await?))
            }
            Ask::List { .. }
            | Ask::ListVersions { .. }
            | Ask::Uploads { .. }
            | Ask::Upload { .. }
            | Ask::Parts { .. }
            | Ask::Standing { .. }
            | Ask::Planned { .. }
            | Ask::Usage { .. } => listing(&holdings, group, ask).await,
        }
    }

    /// Sends the state of the meta group to every shard and waits until each has it.
    pub(crate) async fn publish(&self, holdings: &Holdings<H>) -> Result<(), AskError> {
        let mut version = holdings.publication.lock().await;
        *version += 1;
        let state = holdings.state(META_GROUP).await?;
        let records = MetaRecords {
            buckets: state.buckets().await.map_err(of_storage)?,
            configurations: state.configurations().await.map_err(of_storage)?,
            credentials: state.credentials().await.map_err(of_storage)?,
            iam: state.iam().await.map_err(of_storage)?,
            master_key: state.master_key().await.map_err(of_storage)?,
        };
        let view = Arc::new(MetaView::new(*version, records, self.account(), &self.meta()));
        let (sender, receiver) = oneshot::channel();
        let others = self.host().shard_count() - 1;
        if others > 0 {
            holdings.unseen.borrow_mut().insert(*version, (others, sender));
        }
        let source = self.host().shard();
        for shard in (0..self.host().shard_count()).filter(|shard| *shard != source) {
            self.host().send(shard, Message::Meta { source, view: Arc::clone(&view) }).await;
        }
        self.see(view);
        if others > 0 {
            receiver.await.map_err(|_gone| starting())?;
        }
        Ok(())
    }
}

async fn listing<H: Host>(
    holdings: &Holdings<H>,
    group: GroupId,
    ask: Ask,
) -> Result<Answer, AskError> {
    let state = holdings.state(group).await?;
    match ask {
        Ask::List { bucket, query } => {
            Ok(Answer::List(state.list(bucket, &query).await.map_err(of_storage)?))
        }
        Ask::ListVersions { bucket, query } => {
            Ok(Answer::Versions(state.list_versions(bucket, &query).await.map_err(of_storage)?))
        }
        Ask::Uploads { bucket, query } => {
            Ok(Answer::Uploads(state.uploads(bucket, &query).await.map_err(of_storage)?))
        }
        Ask::Upload { bucket, key, upload } => {
            Ok(Answer::Upload(state.upload(bucket, &key, upload).await.map_err(of_storage)?))
        }
        Ask::Parts { upload, after, count_max, .. } => {
            Ok(Answer::Parts(state.parts(upload, after, count_max).await.map_err(of_storage)?))
        }
        Ask::Usage { bucket } => Ok(Answer::Usage(state.usage(bucket).await.map_err(of_storage)?)),
        Ask::Standing { bucket } => {
            let usage = state.usage(bucket).await.map_err(of_storage)?;
            let (held, allowance) = (usage.map(|usage| usage.amount()), state.allowance(bucket));
            Ok(Answer::Standing { held, allowance })
        }
        Ask::Planned { bucket, planned } => {
            let checked = state.check_planned(bucket, &planned).await;
            Ok(Answer::Planned(checked.map_err(of_storage)?))
        }
        Ask::Propose { .. }
        | Ask::Object { .. }
        | Ask::Unpin { .. }
        | Ask::Chunk { .. }
        | Ask::Stage { .. }
        | Ask::MakeRoom(_)
        | Ask::Discard { .. } => unreachable!("answered by the caller"),
    }
}

fn starting() -> AskError {
    AskError::Unavailable("the shard is starting".to_owned())
}

/// What a failure of storage is to who asked.
#[expect(clippy::needless_pass_by_value, reason = "what `map_err` calls")]
pub(crate) fn of_storage(error: Error) -> AskError {
    match error {
        Error::NoSpace { .. } | Error::ClassFull { .. } => AskError::Full,
        Error::Corrupt { .. } | Error::Version { .. } => AskError::Damaged(error.to_string()),
        Error::Limit { .. } => AskError::Overloaded,
        Error::Device { .. } | Error::ClassFailed { .. } => {
            AskError::DeviceFailed(error.to_string())
        }
        Error::Absent { .. } | Error::Exists { .. } | Error::Stopped => {
            AskError::Unavailable(error.to_string())
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` calls")]
fn of_group(error: GroupError) -> AskError {
    match error {
        GroupError::NoLeader { .. } => AskError::Overloaded,
        GroupError::Storage { .. }
        | GroupError::Damaged { .. }
        | GroupError::Stopped { .. }
        | GroupError::Unknown { .. } => AskError::Unavailable(error.to_string()),
    }
}
