//! A node: formats or opens its volumes, starts its shards, and ends them.
//!
//! Start: each shard opens its storage and recovers its groups; when all have, the one with the meta group sends
//! buckets and credentials to all, and each begins to serve. Sockets listen from the beginning, so that a supervisor
//! can ask `/health/ready`.

use std::{
    cell::RefCell, collections::BTreeMap, net::SocketAddr, rc::Rc, sync::Arc, time::Duration,
};

use anode_disk::{
    Directory, Error,
    storage::{Storage, StorageOptions},
    volume::{Volume, VolumeIdentity},
};
use anode_net::{Stream as _, tls::TlsStream};
use anode_shards::{
    command::Command,
    group::{Group, GroupError, GroupOptions},
    keeper::{Keeper, KeeperOptions},
    object::{Credential, Secret},
    reclaim::Reclaimer,
    ring::{Member, PLACEMENT_VERSION, Ring, group_count_default},
    staging::Staging,
};
use rustls::ServerConfig;

use crate::{
    answer::Holdings,
    connection,
    credentials::Credentials,
    ending,
    host::{Host, Listener as _, within},
    limits,
    mesh::Message,
    outage,
    scrub::{self, Damage},
    shard::{Account, META_GROUP, Phase, Settings, Shard},
    space,
    transport::Transport,
    upkeep::Upkeep,
};

/// The name that made credentials have.
const ROOT_NAME: &str = "root";

/// What is said where a start is refused for damage.
const DAMAGE_REMEDY: &str = "look at the disk, keep a copy of the data directory, and see what `anode volume check` says \
                             of it: with --set-aside it takes out what is damaged";

/// What may be in a directory that is formatted: what a start makes, and what an interrupted formatting leaves.
const OWN_NAMES: [&str; 4] = ["lock", "lost+found", "preflight", "superblock-new"];
/// See [`OWN_NAMES`].
const OWN_PREFIXES: [&str; 2] = ["shard-", "direct-io-probe"];

/// What a node is made of, as its superblocks say: the same on every shard.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The cluster's id.
    pub cluster: u128,
    /// How many groups of objects it has.
    pub group_count: u32,
    /// The node's shards, in order: id, and the index of its volume.
    pub shards: Vec<(u64, usize)>,
    /// Whether the volumes were formatted just now.
    pub is_new: bool,
}

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

/// Opens the volumes of a node, or formats them where all are empty. A formatting that was cut off is finished.
pub async fn prepare<H: Host>(
    host: &H,
    paths: &[String],
    shard_count: usize,
) -> Result<Layout, String> {
    let said = |error: Error| error.to_string();
    let (mut volumes, mut unformatted) = (Vec::new(), Vec::new());
    for path in paths {
        let directory = host.open(path).await.map_err(said)?;
        match Volume::open(directory).await {
            Ok(volume) => volumes.push((volume, path.clone())),
            Err(Error::Absent { .. }) => unformatted.push(path.clone()),
            Err(error) => return Err(said(error)),
        }
    }
    if volumes.is_empty() {
        return format(host, paths, shard_count).await;
    }
    let mut identities: Vec<_> = Vec::new();
    for (volume, path) in &volumes {
        identities.push((volume.identity().clone(), path.clone()));
    }
    if let Some(path) = unformatted.first() {
        let first = &identities[0].0;
        let is_whole = u32::try_from(paths.len()).is_ok_and(|count| count == first.volume_count);
        if !is_whole || !are_unused(&volumes).await.map_err(said)? {
            return Err(format!(
                "{path} is empty, but other data directories of this node hold data: name the directories it was \
                 formatted with (adding a volume is not possible in this release)"
            ));
        }
        let missing = (0..first.volume_count)
            .filter(|index| identities.iter().all(|(known, _)| known.volume_index != *index));
        let first = first.clone();
        for (index, path) in missing.collect::<Vec<_>>().into_iter().zip(unformatted) {
            let identity = format_volume(host, &path, &first, index).await?;
            identities.push((identity, path));
        }
    }
    let position = |path: &str| paths.iter().position(|known| known == path);
    identities.sort_by_key(|(_, path)| position(path));
    let identities: Vec<_> = identities.into_iter().map(|(identity, _)| identity).collect();
    layout(&identities, paths)
}

/// Whether no shard has ever run on these volumes: a node serves only when all have, so nothing was ever acknowledged.
async fn are_unused<D: Directory>(volumes: &[(Volume<D>, String)]) -> Result<bool, Error> {
    for (volume, _) in volumes {
        if !volume.is_unused().await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn format<H: Host>(host: &H, paths: &[String], shard_count: usize) -> Result<Layout, String> {
    let count = u32::try_from(shard_count.max(paths.len())).expect("shards are as few as cores");
    let node = VolumeIdentity {
        cluster: random_u128(host),
        volume: 0,
        created_ms: host.wall_clock().0 / 1_000_000,
        group_count: group_count_default(usize::try_from(count).expect("it was one")),
        node_shard_count: count,
        volume_count: u32::try_from(paths.len()).expect("volumes are few"),
        volume_index: 0,
        placement: PLACEMENT_VERSION,
        shards: Vec::new(),
    };
    let mut identities = Vec::new();
    for (index, path) in (0..).zip(paths) {
        identities.push(format_volume(host, path, &node, index).await?);
    }
    Ok(Layout { is_new: true, ..layout(&identities, paths)? })
}

/// Formats volume `index` of the node that `node` describes.
async fn format_volume<H: Host>(
    host: &H,
    path: &str,
    node: &VolumeIdentity,
    index: u32,
) -> Result<VolumeIdentity, String> {
    // Shard ids are never used again: the upper half is drawn for this formatting.
    let base = host.random() & 0x7fff_ffff_0000_0000;
    let own = (0..node.node_shard_count).filter(|shard| shard % node.volume_count == index);
    let identity = VolumeIdentity {
        volume: random_u128(host),
        volume_index: index,
        shards: own.map(|shard| base | u64::from(shard + 1)).collect(),
        ..node.clone()
    };
    let directory = host.open(path).await.map_err(|error| error.to_string())?;
    check_empty(&directory).await?;
    Volume::format(&directory, &identity).await.map_err(|error| error.to_string())?;
    Ok(identity)
}

fn random_u128(host: &impl Host) -> u128 {
    u128::from(host.random()) << 64 | u128::from(host.random())
}

/// Refuses to format a directory that holds something else.
async fn check_empty(directory: &impl Directory) -> Result<(), String> {
    let names = directory.list().await.map_err(|error| error.to_string())?;
    let is_ours = |name: &str| {
        OWN_NAMES.contains(&name) || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    match names.iter().find(|name| !is_ours(name)) {
        None => Ok(()),
        Some(name) => Err(format!(
            "data directory {} holds something else ({name}): name an empty directory",
            directory.path()
        )),
    }
}

/// What the superblocks of a node's volumes say together; they are in the order of `paths`.
pub(crate) fn layout(identities: &[VolumeIdentity], paths: &[String]) -> Result<Layout, String> {
    let first = &identities[0];
    let mut shards = Vec::new();
    for (index, (identity, path)) in identities.iter().zip(paths).enumerate() {
        if identity.cluster != first.cluster {
            return Err(format!("{path} belongs to another cluster than {}", paths[0]));
        }
        if identity.placement != PLACEMENT_VERSION {
            return Err(format!(
                "{path} has placement version {}; this release reads {PLACEMENT_VERSION}: start it with the release that \
                 formatted it, and copy its objects to a node of this one",
                identity.placement
            ));
        }
        shards.extend(identity.shards.iter().map(|id| (*id, index)));
    }
    let volume_count = usize::try_from(first.volume_count).unwrap_or(usize::MAX);
    if identities.len() != volume_count {
        return Err(format!(
            "this node was formatted with {volume_count} data directories, and {} are named: name all of them",
            identities.len()
        ));
    }
    // The order of the shards is that of their formatting, whatever the order of the directories is now.
    shards.sort_by_key(|(id, _)| id & 0xffff_ffff);
    Ok(Layout { cluster: first.cluster, group_count: first.group_count, shards, is_new: false })
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
    let ring = ring(layout)?;
    Ok(Shard::new(host.clone(), settings, ring, (&layout.shards, Account::of(layout.cluster))))
}

/// Which shard of the node has which group.
pub(crate) fn ring(layout: &Layout) -> Result<Ring, String> {
    let member = |(id, volume): &(u64, usize)| Member {
        shard: *id,
        volume: u64::try_from(*volume).expect("volumes are few"),
        node: 0,
        zone: String::new(),
    };
    let members = layout.shards.iter().map(member).collect();
    Ring::new(members, layout.group_count, 1).map_err(|error| error.to_string())
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

/// Why storage can't be opened; what is damaged may be taken out.
fn unopened(error: &Error) -> String {
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
    let directory = volume.shard(id).await.map_err(|error| said(&error))?;
    let options = storage_options(shard.settings(), layout, volume.wal_identity(id));
    let storage = Storage::open(directory, options).await.map_err(|error| unopened(&error))?;
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
    shard.hold(Rc::new(Holdings::new(storage, staging, groups)));
    host.spawn("reclaim", reclaim(shard.clone()));
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
    let holdings = shard.holdings().expect("it has recovered");
    shard.publish(&holdings).await.map_err(|error| error.to_string())?;
    shard.enter(Phase::Serving);
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
    let reclaimers: BTreeMap<u32, Reclaimer> =
        shard.own_groups().into_iter().map(|group| (group, Reclaimer::default())).collect();
    while !shard.is_draining() && !shard.volumes().has_own_failed() {
        let Some(holdings) = shard.holdings() else { return };
        let mut idle = true;
        for (group, reclaimer) in &reclaimers {
            let Some(held) = holdings.groups.get(group) else { continue };
            match reclaimer.next(held.state()).await {
                Ok(None) => {}
                Ok(Some(command)) => {
                    idle = false;
                    if let Err(error) = held.state().rehearse(&command).await {
                        tracing::warn!(group, %error, "reclaiming waits");
                    } else if let Err(error) = held.propose(command).await {
                        tracing::warn!(group, %error, "reclaiming waits");
                    }
                }
                Err(error) => tracing::warn!(group, %error, "reclaiming waits"),
            }
        }
        drop(holdings);
        shard
            .host()
            .sleep(if idle { limits::RECLAIM_PAUSE } else { limits::RECLAIM_STEP_PAUSE })
            .await;
    }
}

#[cfg(test)]
mod tests;
