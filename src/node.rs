//! A node: starts its shards, and ends them.
//!
//! Start: each shard opens its storage and recovers its groups; when all have, the one with the meta group sends
//! buckets and credentials to all, and each begins to serve. Sockets listen from the beginning, so that a supervisor
//! can ask `/health/ready`.

use std::{
    cell::RefCell, collections::BTreeMap, net::SocketAddr, rc::Rc, sync::Arc, time::Duration,
};

use anode_disk::{
    Directory, Error,
    segment::Places,
    storage::{Storage, StorageOptions},
    volume::Volume,
    wal::GroupId,
};
use anode_net::{Stream as _, tls::TlsStream};
use anode_shards::{
    command::Command,
    group::{Group, GroupError, GroupOptions},
    keeper::{Keeper, KeeperOptions},
    object::{Credential, Secret},
    reclaim::Reclaimer,
    staging::Staging,
};
use rustls::ServerConfig;

use crate::{
    answer::Holdings,
    connection,
    credentials::Credentials,
    encryption::keys::MasterKey,
    ending,
    host::{Host, Listener as _, doze, within},
    iam::records::Account,
    layout::Layout,
    lifecycle, limits,
    mesh::Message,
    notification, outage, quota,
    scrub::{self, Damage},
    shard::{META_GROUP, Phase, Settings, Shard},
    space,
    storage_class::ClassDirectory,
    transport::Transport,
    upkeep::Upkeep,
};

/// The name that made credentials have.
const ROOT_NAME: &str = "root";

/// What is said where a start is refused for damage.
const DAMAGE_REMEDY: &str = "look at the disk, keep a copy of the data directory, and see what `anode volume check` says \
                             of it: with --set-aside it takes out what is damaged";

/// What a node tells whoever started it.
#[derive(Clone, Debug)]
pub enum Event {
    /// A shard has recovered.
    Recovered {
        /// Which one.
        shard: usize,
        /// Its groups.
        group_count: usize,
        /// Records read from its WAL.
        record_count: u64,
    },
    /// Root credentials were made; they are shown once.
    CredentialsMade(Credentials),
    /// Scrub has found damage, for the first time in its pass.
    Damaged {
        /// The shard that it is of.
        shard: usize,
        /// What, and where.
        finding: Damage,
    },
    /// Every shard serves.
    Serving(SocketAddr),
    /// A volume has failed by a write or flush of one of its shards; the node goes on with the others. Told by each
    /// shard that meets the failure by itself.
    VolumeFailed {
        /// The shard that met it.
        shard: usize,
        /// The volume.
        path: String,
        /// Why, in a sentence.
        reason: String,
    },
    /// A shard has ended by a failure: the node can't go on.
    Failed {
        /// Which one.
        shard: usize,
        /// Why, in a sentence.
        reason: String,
    },
}

/// What a node and whoever started it tell each other.
pub trait Supervisor: Clone + 'static {
    /// Something happened.
    fn report(&self, event: Event);
    /// Whether the node is to stop.
    fn is_stopping(&self) -> bool;
    /// The certificate to serve with now, where connections are HTTPS.
    fn tls(&self) -> Option<Arc<ServerConfig>>;
}

/// Runs one shard until the node stops or the shard fails.
pub async fn run_shard<H: Host>(
    host: H,
    settings: Arc<Settings>,
    layout: Arc<Layout>,
    supervisor: impl Supervisor,
) {
    let index = host.shard();
    let shard = match make_shard(&host, settings, &layout) {
        Ok(shard) => shard,
        Err(reason) => return supervisor.report(Event::Failed { shard: index, reason }),
    };
    let started = Rc::new(Startup::default());
    host.spawn("mesh", receive(shard.clone(), Rc::clone(&started)));
    let listener = match host.listen(shard.settings().listen).await {
        Ok(listener) => listener,
        Err(error) => {
            return supervisor.report(Event::Failed { shard: index, reason: error.to_string() });
        }
    };
    let address = listener.address();
    host.spawn("accept", accept(shard.clone(), listener, supervisor.clone()));
    match recover(&shard, &layout, &supervisor).await {
        Ok(keeper) => {
            host.send(meta_place(&shard), Message::Recovered { shard: index }).await;
            if shard.own_groups().contains(&META_GROUP)
                && let Err(reason) = begin(&shard, &started, &supervisor, address).await
            {
                return supervisor.report(Event::Failed { shard: index, reason });
            }
            ending::watch(&shard, &supervisor, &keeper).await;
        }
        Err(reason) => supervisor.report(Event::Failed { shard: index, reason }),
    }
}

/// Which shards have recovered; known to the one with the meta group.
#[derive(Default)]
pub(crate) struct Startup {
    recovered: RefCell<Vec<usize>>,
}

fn make_shard<H: Host>(
    host: &H,
    settings: Arc<Settings>,
    layout: &Layout,
) -> Result<Shard<H>, String> {
    let ring = layout.ring()?;
    Ok(Shard::new(host.clone(), settings, ring, (&layout.shards, Account::first(layout.cluster))))
}

fn meta_place<H: Host>(shard: &Shard<H>) -> usize {
    shard.place_of(META_GROUP)
}

/// How a shard's storage is opened. Of the shard's memory 2/5 are for storage; chunks bring 1/5 into the budget that they
/// share with its block cache; what is left is for connections, their bodies and the process.
fn storage_options(settings: &Settings, layout: &Layout, wal_identity: u64) -> StorageOptions {
    let shard_bytes = settings.memory_bytes / layout.shards.len() as u64;
    StorageOptions {
        memory_bytes: shard_bytes * 2 / 5,
        chunk_cache_bytes: shard_bytes / 5,
        wal_identity,
        ..settings.storage.clone()
    }
}

/// The directories of a shard: that on its volume, and those of storage classes.
async fn places<H: Host>(
    shard: &Shard<H>,
    volume: &Volume<H::Directory>,
    id: u64,
) -> Result<Places<H::Directory>, Error> {
    let mut places = Places::from(volume.shard(id).await?);
    for ClassDirectory { class, path } in &shard.settings().classes {
        let directory = Volume::open(shard.host().open(path).await?).await?;
        places.classes.push((*class, directory.shard(id).await?));
    }
    Ok(places)
}

/// Why storage can't be opened; what is damaged may be taken out, and what is not named may be.
fn unopened(error: &Error) -> String {
    if matches!(error, Error::Absent { .. }) {
        return format!(
            "{error}, and objects are there: name it with --data-class CLASS=DIR, as at the starts before"
        );
    }
    let is_damaged = matches!(error, Error::Corrupt { .. });
    if is_damaged { format!("{error}; {DAMAGE_REMEDY}") } else { error.to_string() }
}

/// Why a group can't be opened. Where its log can't be applied for damage, openraft says so in words.
fn unopened_group(error: &GroupError) -> String {
    let said = error.to_string();
    let is_damaged = matches!(error, GroupError::Damaged { .. }) || said.contains(" is damaged: ");
    if is_damaged { format!("{said}; {DAMAGE_REMEDY}") } else { said }
}

/// Opens the shard's storage and groups.
async fn recover<H: Host>(
    shard: &Shard<H>,
    layout: &Layout,
    supervisor: &impl Supervisor,
) -> Result<Keeper<H::Directory>, String> {
    let host = shard.host();
    let (id, volume_index) = layout.shards[host.shard()];
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let path = &shard.settings().volumes[volume_index];
    let directory = host.open(path).await.map_err(|error| said(&error))?;
    let volume = Volume::open(directory).await.map_err(|error| said(&error))?;
    let places = places(shard, &volume, id).await.map_err(|error| said(&error))?;
    let options = storage_options(shard.settings(), layout, volume.wal_identity(id));
    let storage = Storage::open(places, options).await.map_err(|error| unopened(&error))?;
    let record_count = storage.wal.figures().recovery.record_count;
    let committing = (Rc::clone(&storage), shard.clone(), supervisor.clone());
    host.spawn("wal", async move {
        let (storage, shard, supervisor) = committing;
        let ended = storage.wal.run().await;
        report(&shard, &supervisor, ended);
    });
    let staging = Staging::open(Rc::clone(&storage)).await.map_err(|error| unopened(&error))?;
    let keeper = Keeper::new(Rc::clone(&storage), Rc::clone(&staging), KeeperOptions::default());
    spawn_upkeep(shard, supervisor, &storage, &keeper);
    let mut groups = BTreeMap::new();
    for group in shard.own_groups() {
        let options = GroupOptions {
            group,
            shard: id,
            address: String::new(),
            timing: shard.settings().timing,
        };
        let opened = Group::open(options, Rc::clone(&storage), Rc::clone(&staging)).await;
        let opened = opened.map_err(|error| unopened_group(&error))?;
        keeper.add(&opened);
        groups.insert(group, opened);
    }
    let dropped = staging.drop_unclaimed();
    if dropped > 0 {
        tracing::info!(chunks = dropped, "dropped chunks of uploads that the last stop cut off");
    }
    let group_count = groups.len();
    let holds_meta = groups.contains_key(&META_GROUP);
    shard.hold(Rc::new(Holdings::new(storage, staging, groups)));
    host.spawn("reclaim", reclaim(shard.clone()));
    if holds_meta {
        host.spawn("quota", quota::watch(shard.clone()));
    }
    if let Some(period) = shard.settings().lifecycle_period {
        host.spawn("lifecycle", lifecycle::run(shard.clone(), period));
    }
    notification::start(shard);
    if let Some(plan) = shard.settings().scrub {
        let reads_superblock = layout.shards.iter().position(|(_, index)| *index == volume_index)
            == Some(host.shard());
        let volume = reads_superblock.then_some(volume);
        let (shard, supervisor) = (shard.clone(), supervisor.clone());
        host.spawn("scrub", async move {
            let ended = scrub::run(&shard, &supervisor, plan, volume).await;
            report(&shard, &supervisor, ended);
        });
    }
    supervisor.report(Event::Recovered { shard: host.shard(), group_count, record_count });
    Ok(keeper)
}

/// Starts what looks after a shard's storage: it must run before groups are opened.
fn spawn_upkeep<H: Host>(
    shard: &Shard<H>,
    supervisor: &impl Supervisor,
    storage: &Rc<Storage<H::Directory>>,
    keeper: &Keeper<H::Directory>,
) {
    let host = shard.host();
    for loops in 0..2 {
        let (storage, keeper) = (Rc::clone(storage), keeper.clone());
        let (shard, supervisor) = (shard.clone(), supervisor.clone());
        host.spawn("upkeep", async move {
            let surroundings = Upkeep { host: shard.host().clone() };
            let ended = if loops == 0 {
                storage.index.maintain_in(&surroundings).await
            } else {
                keeper.run().await
            };
            report(&shard, &supervisor, ended);
        });
    }
    let watching = (shard.clone(), supervisor.clone(), Rc::clone(storage), keeper.clone());
    host.spawn("space", async move {
        let (shard, supervisor, storage, keeper) = watching;
        let ended = space::run(&shard, &storage, &keeper).await;
        report(&shard, &supervisor, ended);
    });
}

/// A loop of storage ended: by its stop, or by the failure that ends what is on the volume.
fn report<H: Host>(shard: &Shard<H>, supervisor: &impl Supervisor, ended: Result<(), Error>) {
    if let Err(error) = ended {
        outage::begin(shard, supervisor, &error);
    }
}

/// On the shard with the meta group: waits for all shards, then lets them serve.
async fn begin<H: Host>(
    shard: &Shard<H>,
    started: &Startup,
    supervisor: &impl Supervisor,
    address: SocketAddr,
) -> Result<(), String> {
    while started.recovered.borrow().len() < shard.host().shard_count() {
        if supervisor.is_stopping() {
            return Ok(());
        }
        shard.host().sleep(limits::START_POLL).await;
    }
    make_root(shard, supervisor).await?;
    make_master_key(shard).await?;
    let holdings = shard.holdings().expect("it has recovered");
    shard.publish(&holdings).await.map_err(|error| error.to_string())?;
    shard.enter(Phase::Serving);
    // Whoever has this one knows that all serve: only then is anybody told that the node is ready.
    shard.publish(&holdings).await.map_err(|error| error.to_string())?;
    supervisor.report(Event::Serving(address));
    Ok(())
}

/// Makes root credentials where there are none.
async fn make_root<H: Host>(shard: &Shard<H>, supervisor: &impl Supervisor) -> Result<(), String> {
    if shard.settings().credentials.is_some() {
        return Ok(());
    }
    let holdings = shard.holdings().expect("it has recovered");
    let state = holdings.groups[&META_GROUP].state();
    let known = state.credentials().await.map_err(|error| error.to_string())?;
    if known.iter().any(|credential| credential.name == ROOT_NAME) {
        return Ok(());
    }
    let made = Credentials::make(|| shard.host().random());
    let credential = Credential {
        access_key: made.access_key.clone(),
        secret: Secret(made.secret_key.clone()),
        name: ROOT_NAME.to_owned(),
        created_ms: shard.now_ms(),
    };
    let proposed = shard.propose(META_GROUP, Command::PutCredential(credential), None).await;
    proposed.map_err(|error| error.to_string())?;
    supervisor.report(Event::CredentialsMade(made));
    Ok(())
}

/// Makes a key for what is encrypted, where none is given and none was made before.
async fn make_master_key<H: Host>(shard: &Shard<H>) -> Result<(), String> {
    if shard.settings().master_keys.first().is_some() {
        return Ok(());
    }
    let holdings = shard.holdings().expect("it has recovered");
    let state = holdings.groups[&META_GROUP].state();
    if state.master_key().await.map_err(|error| error.to_string())?.is_some() {
        return Ok(());
    }
    let made = MasterKey::make(|| shard.host().random(), shard.now_ms());
    let proposed = shard.propose(META_GROUP, Command::PutMasterKey(made), None).await;
    proposed.map(drop).map_err(|error| error.to_string())
}

/// Takes the messages of other shards.
#[expect(clippy::infinite_loop, reason = "it ends with its host")]
pub(crate) async fn receive<H: Host>(shard: Shard<H>, started: Rc<Startup>) {
    loop {
        match shard.host().receive().await {
            Message::Request { source, id, group, ask } => {
                let asked = shard.clone();
                shard.host().spawn("answer", async move {
                    let answer = asked.answer(group, *ask).await;
                    asked.host().send(source, Message::Reply { id, answer }).await;
                });
            }
            Message::Reply { id, answer } => shard.reply(id, answer),
            Message::Recovered { shard: recovered } => {
                started.recovered.borrow_mut().push(recovered);
            }
            Message::VolumeFailed { volume } => outage::learn(&shard, volume),
            Message::Drained { shard: drained } => shard.note_drained(drained),
            Message::Meta { source, view } => {
                let version = view.version;
                shard.see(view);
                shard.enter_serving();
                shard.host().send(source, Message::Seen { version }).await;
            }
            Message::Seen { version } => {
                if let Some(holdings) = shard.holdings() {
                    holdings.seen(version);
                }
            }
            Message::Survey { source, id } => {
                let asked = shard.clone();
                shard.host().spawn("survey", async move {
                    let figures = Box::new(asked.figures().await);
                    asked.host().send(source, Message::Surveyed { id, figures }).await;
                });
            }
            Message::Surveyed { id, figures } => shard.surveys().take(id, figures),
        }
    }
}

/// Takes connections in.
async fn accept<H: Host>(shard: Shard<H>, listener: H::Listener, supervisor: impl Supervisor) {
    // An accept under way is never dropped while the shard serves: the kernel may have handed it a connection
    // already, which nobody would ever answer.
    let mut accepting = Box::pin(listener.accept());
    while !shard.is_draining() {
        let Some(accepted) = within(shard.host(), limits::STOP_POLL, accepting.as_mut()).await
        else {
            continue;
        };
        accepting = Box::pin(listener.accept());
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: the next connection may find one.
                tracing::warn!(%error, "a connection could not be accepted");
                shard.host().sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let peer = stream.peer();
        if !shard.admit_connection(&peer) {
            tracing::warn!(peer, "too many connections: one was closed");
            continue;
        }
        let tls = supervisor.tls();
        let served = shard.clone();
        shard.host().spawn("connection", async move {
            match tls {
                None => connection::serve(served.clone(), Transport::Plain(stream)).await,
                Some(config) => {
                    let limit = Duration::from_secs(limits::HEAD_SECONDS_MAX);
                    let greeted =
                        within(served.host(), limit, TlsStream::accept(stream, config)).await;
                    if let Some(Ok(stream)) = greeted {
                        connection::serve(served.clone(), Transport::Tls(Box::new(stream))).await;
                    }
                }
            }
            served.release_connection(&peer);
        });
    }
}

/// Frees the bytes of objects that are gone.
async fn reclaim<H: Host>(shard: Shard<H>) {
    let reclaimers: BTreeMap<GroupId, Reclaimer> =
        shard.own_groups().into_iter().map(|group| (group, Reclaimer::default())).collect();
    // Why a group's reclaim waits, as it was said last: damage doesn't go by itself.
    let mut said = BTreeMap::new();
    while !shard.is_draining() && !shard.volumes().has_own_failed() {
        let Some(holdings) = shard.holdings() else { return };
        let mut idle = true;
        for (group, reclaimer) in &reclaimers {
            let Some(held) = holdings.groups.get(group) else { continue };
            match reclaim_step(held, reclaimer).await {
                Ok(has_freed) => {
                    idle &= !has_freed;
                    said.remove(group);
                }
                Err(reason) => {
                    if said.get(group) != Some(&reason) {
                        tracing::warn!(group, reason, "reclaiming waits; said once");
                        said.insert(*group, reason);
                    }
                }
            }
        }
        drop(holdings);
        if idle {
            doze(shard.host(), limits::RECLAIM_PAUSE).await;
        } else {
            shard.host().sleep(limits::RECLAIM_STEP_PAUSE).await;
        }
    }
}

/// Frees the next bytes of a group; false where there are none, a sentence where they must wait.
async fn reclaim_step<D: Directory>(
    group: &Group<D>,
    reclaimer: &Reclaimer,
) -> Result<bool, String> {
    let next = reclaimer.next(group.state()).await.map_err(|error| error.to_string())?;
    let Some(command) = next else { return Ok(false) };
    group.state().rehearse(&command).await.map_err(|error| error.to_string())?;
    group.propose(command).await.map_err(|error| error.to_string())?;
    Ok(true)
}
