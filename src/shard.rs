//! One shard of a node: the groups whose replicas live here, a read copy of the meta group, and the way to every
//! other group of the node.
//!
//! Connections ask [`Shard::ask`]; it answers from this shard's groups or sends the question to the shard that has
//! the group. A question travels at most once: shards share nothing but messages.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use anode_disk::{storage::StorageOptions, wal::GroupId};
use anode_net::{
    s3::{self, ErrorCode, configuration::ownership::Ownership},
    sigv4::{self, Expected, KeyCache, RequestParts, Signed, Verified},
};
use anode_shards::{
    command::{Command, Reply},
    group::Timing,
    object::{BodyId, BucketId, Secret},
    ring::Ring,
};
use futures::channel::oneshot;
use rustls::ClientConfig;

pub use anode_shards::ring::META_GROUP;

use crate::{
    answer::Holdings,
    config::Websites,
    connection::date_of,
    credentials::Credentials,
    encryption::{KeyService, MasterKeys, service::Clients},
    gateway::read::Room,
    host::Host,
    iam::{Principal, Who, provider_keys::ProviderKeys, records::Account, session::ReadPolicies},
    limits,
    mesh::{Answer, Ask, AskError, Message},
    meta::MetaView,
    metrics::{Counts, Exposure, Surveys},
    notification::Targets,
    outage::Volumes,
    scrub::ScrubPlan,
    space::Refusing,
    storage_class::ClassDirectory,
    told::Told,
};

/// What every shard of a node is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Data directories, one a volume.
    pub volumes: Vec<String>,
    /// Directories of storage classes.
    pub classes: Vec<ClassDirectory>,
    /// Where S3 clients connect.
    pub listen: SocketAddr,
    /// Memory of the node, in bytes.
    pub memory_bytes: u64,
    /// The region that signatures must name; any where none is set.
    pub region: Option<String>,
    /// The domain under which `BUCKET.domain` names a bucket.
    pub domain: Option<String>,
    /// Which hosts are websites.
    pub website: Websites,
    /// Who owns the objects of buckets that don't say so.
    pub object_ownership: Ownership,
    /// Whether clients connect by HTTPS.
    pub tls: bool,
    /// How long requests under way may take after the node is told to stop, in seconds.
    pub drain_seconds: u64,
    /// Root credentials that were configured.
    pub credentials: Option<Credentials>,
    /// The keys that objects are encrypted with, as far as they were given.
    pub master_keys: MasterKeys,
    /// Who has the keys that these aren't.
    pub key_service: Option<KeyService>,
    /// Whose keys for SSE-C are taken over plain HTTP.
    pub plain_customer_keys: Exposure,
    /// How stored bytes are verified; not at all where there is none.
    pub scrub: Option<ScrubPlan>,
    /// How often lifecycle looks through the buckets that have rules; never where there is none.
    pub lifecycle_period: Option<Duration>,
    /// Who can be told of events.
    pub targets: Targets,
    /// What servers by HTTPS are proven by, where the node asks others; none where this machine trusts nobody.
    pub trust: Option<Arc<ClientConfig>>,
    /// Who may read metrics.
    pub metrics: Exposure,
    /// When the process started, in milliseconds since 1970.
    pub started_ms: u64,
    /// Raft's times.
    pub timing: Timing,
    /// The sizes of the shards' files; memory and identity are set for each shard.
    pub storage: StorageOptions,
}

/// What a shard is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Recovering its groups, or waiting for other shards to.
    Starting,
    /// Answering requests.
    Serving,
    /// Finishing what is under way.
    Draining,
    /// Ended by a failure that the node can't go on with.
    Failed,
}

/// A shard of the node: its id, and the index of its volume.
pub type PlacedShard = (u64, usize);

/// Who waits for the answer of another shard.
type Asker = oneshot::Sender<Result<Answer, AskError>>;

/// A shard. A clone is the same shard.
pub struct Shard<H: Host>(Rc<Inner<H>>);

struct Inner<H: Host> {
    host: H,
    settings: Arc<Settings>,
    ring: Ring,
    /// Which shard of the node has a group.
    places: BTreeMap<GroupId, usize>,
    /// The first account, which the node's own credentials are of.
    account: Arc<Account>,
    /// Who the credentials of the settings are of.
    root: Option<Arc<Principal>>,
    holdings: RefCell<Option<Rc<Holdings<H>>>>,
    meta: RefCell<Arc<MetaView>>,
    phase: RefCell<Phase>,
    asks: RefCell<BTreeMap<u64, Asker>>,
    ask_next: Cell<u64>,
    keys: RefCell<KeyCache>,
    session_policies: ReadPolicies,
    provider_keys: ProviderKeys,
    key_clients: Clients<H>,
    date: RefCell<(u64, Rc<str>)>,
    connection_count: Cell<usize>,
    addresses: RefCell<BTreeMap<IpAddr, usize>>,
    drained: RefCell<BTreeSet<usize>>,
    volumes: Volumes,
    read_room: Room,
    told: Told,
    refusing: Refusing,
    counts: Counts,
    surveys: Surveys,
}

impl<H: Host> Clone for Shard<H> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<H: Host> std::fmt::Debug for Shard<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shard({} of {})", self.0.host.shard(), self.0.host.shard_count())
    }
}

impl<H: Host> Shard<H> {
    /// A shard that holds nothing yet. `shards` are those of the node, in order.
    pub fn new(
        host: H,
        settings: Arc<Settings>,
        ring: Ring,
        (shards, account): (&[PlacedShard], Account),
    ) -> Self {
        let place_of = |id: &u64| shards.iter().position(|(known, _)| known == id);
        let groups = META_GROUP..=ring.group_count();
        let places = groups
            .filter_map(|group| Some((group, ring.shards_of(group).iter().find_map(place_of)?)))
            .collect();
        let of_shards = shards.iter().map(|(_, volume)| *volume).collect();
        let volumes = Volumes::new(of_shards, host.shard());
        let account = Arc::new(account);
        let root = settings.credentials.as_ref().map(|given| {
            let secret = Secret(given.secret_key.clone());
            Arc::new(Principal::new(&given.access_key, secret, Arc::clone(&account), Who::Root))
        });
        let read_room = Room::of(settings.memory_bytes / shards.len().max(1) as u64);
        Self(Rc::new(Inner {
            host,
            settings,
            ring,
            places,
            account,
            root,
            holdings: RefCell::default(),
            meta: RefCell::default(),
            phase: RefCell::new(Phase::Starting),
            asks: RefCell::default(),
            ask_next: Cell::default(),
            keys: RefCell::new(KeyCache::new(limits::SIGNING_KEY_COUNT_MAX)),
            session_policies: ReadPolicies::default(),
            provider_keys: ProviderKeys::default(),
            key_clients: Clients::default(),
            date: RefCell::new((0, Rc::from(""))),
            connection_count: Cell::default(),
            addresses: RefCell::default(),
            drained: RefCell::default(),
            volumes,
            read_room,
            told: Told::default(),
            refusing: Refusing::default(),
            counts: Counts::default(),
            surveys: Surveys::default(),
        }))
    }

    /// The shard's host.
    pub fn host(&self) -> &H {
        &self.0.host
    }

    /// What the node was told.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The groups of this shard, once they are open.
    pub(crate) fn holdings(&self) -> Option<Rc<Holdings<H>>> {
        self.0.holdings.borrow().clone()
    }

    /// Gives the shard its groups.
    pub(crate) fn hold(&self, holdings: Rc<Holdings<H>>) {
        *self.0.holdings.borrow_mut() = Some(holdings);
    }

    /// Takes its groups from the shard.
    pub(crate) fn release(&self) -> Option<Rc<Holdings<H>>> {
        self.0.holdings.take()
    }

    /// The volumes of the node, and which have failed.
    pub(crate) fn volumes(&self) -> &Volumes {
        &self.0.volumes
    }

    /// What it is doing.
    pub fn phase(&self) -> Phase {
        self.0.phase.borrow().clone()
    }

    /// Begins another phase. A failure is final.
    pub fn enter(&self, phase: Phase) {
        let mut current = self.0.phase.borrow_mut();
        if *current != Phase::Failed {
            *current = phase;
        }
    }

    /// Whether writes are refused for want of space.
    pub(crate) fn refusing(&self) -> &Refusing {
        &self.0.refusing
    }

    /// What people were told already.
    pub(crate) fn told(&self) -> &Told {
        &self.0.told
    }

    /// Where chunks wait for the clients of this shard.
    pub(crate) fn read_room(&self) -> &Room {
        &self.0.read_room
    }

    /// What it counts as it serves its clients.
    pub(crate) fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// What it has asked others for their figures.
    pub(crate) fn surveys(&self) -> &Surveys {
        &self.0.surveys
    }

    /// Whether new requests are to go elsewhere.
    pub fn is_draining(&self) -> bool {
        matches!(*self.0.phase.borrow(), Phase::Draining | Phase::Failed)
    }

    /// Refuses while the shard can't serve.
    pub fn check_serving(&self) -> Result<(), s3::Error> {
        match *self.0.phase.borrow() {
            Phase::Serving | Phase::Draining => Ok(()),
            Phase::Starting | Phase::Failed => Err(s3::Error::new(ErrorCode::ServiceUnavailable)),
        }
    }

    /// Whether new clients may be sent to the node: this shard serves, and knows that all others do.
    pub fn is_ready(&self) -> bool {
        *self.0.phase.borrow() == Phase::Serving && self.0.meta.borrow().version > 1
    }

    /// Counts a connection from `peer` in; false where there are too many, of all or of its address.
    ///
    /// The kernel spreads connections over the shards, so each shard keeps its share of the node's limits.
    pub(crate) fn admit_connection(&self, peer: &str) -> bool {
        let is_admitted = self.find_room_for(peer);
        if is_admitted {
            self.0.counts.admitted();
        } else {
            self.0.counts.refused();
        }
        is_admitted
    }

    fn find_room_for(&self, peer: &str) -> bool {
        let share = |limit: usize| (limit / self.0.host.shard_count()).max(1);
        let count = self.0.connection_count.get();
        if count >= share(limits::CONNECTION_COUNT_MAX) {
            return false;
        }
        if let Some(address) = counted_address(peer) {
            let mut addresses = self.0.addresses.borrow_mut();
            let of_address = addresses.entry(address).or_default();
            if *of_address >= share(limits::CONNECTION_PER_ADDRESS_COUNT_MAX) {
                return false;
            }
            *of_address += 1;
        }
        self.0.connection_count.set(count + 1);
        true
    }

    /// Counts a connection out.
    pub(crate) fn release_connection(&self, peer: &str) {
        self.0.connection_count.set(self.0.connection_count.get() - 1);
        let Some(address) = counted_address(peer) else { return };
        let mut addresses = self.0.addresses.borrow_mut();
        if let Some(of_address) = addresses.get_mut(&address) {
            *of_address -= 1;
            if *of_address == 0 {
                addresses.remove(&address);
            }
        }
    }

    /// A shard of the node has no connection left, or gave up waiting for its last ones.
    pub(crate) fn note_drained(&self, shard: usize) {
        self.0.drained.borrow_mut().insert(shard);
    }

    /// Whether no connection is left that could ask this shard for its groups.
    pub(crate) fn are_all_drained(&self) -> bool {
        self.0.drained.borrow().len() == self.0.host.shard_count()
    }

    /// How many connections are open.
    pub fn connection_count(&self) -> usize {
        self.0.connection_count.get()
    }

    /// Buckets and credentials, as of the last command of the meta group that was answered.
    pub fn meta(&self) -> Arc<MetaView> {
        Arc::clone(&self.0.meta.borrow())
    }

    /// Takes a new version of them, unless a newer one is here already.
    pub(crate) fn see(&self, view: Arc<MetaView>) {
        let mut current = self.0.meta.borrow_mut();
        if view.version >= current.version {
            *current = view;
        }
    }

    /// Who has this access key.
    pub(crate) fn principal_of(&self, access_key: &str) -> Option<Arc<Principal>> {
        if let Some(root) = &self.0.root
            && root.access_key == access_key
        {
            return Some(Arc::clone(root));
        }
        self.0.meta.borrow().principal_of(access_key).cloned()
    }

    /// Verifies a signature, with the signing keys that are at hand.
    pub(crate) fn verify(
        &self,
        signed: &Signed,
        parts: &RequestParts<'_>,
        secret: &str,
        expected: &Expected<'_>,
    ) -> Result<Verified, sigv4::Error> {
        self.0.keys.borrow_mut().verify(signed, parts, secret, expected)
    }

    /// Policies of sessions that were read already.
    pub(crate) fn session_policies(&self) -> &ReadPolicies {
        &self.0.session_policies
    }

    /// The way to the key service.
    pub(crate) fn key_clients(&self) -> &Clients<H> {
        &self.0.key_clients
    }

    /// The keys of providers of `OpenID` Connect.
    pub(crate) fn provider_keys(&self) -> &ProviderKeys {
        &self.0.provider_keys
    }

    /// The first account, which the node's own credentials are of.
    pub fn account(&self) -> &Arc<Account> {
        &self.0.account
    }

    /// `x-amz-id-2`: which part of the cluster answered.
    pub fn host_id(&self) -> &str {
        &self.0.account.canonical_id
    }

    /// The `Date` of now; made once a second.
    pub(crate) fn date(&self) -> Rc<str> {
        let now = self.0.host.wall_clock().0;
        let second = now / 1_000_000_000;
        let mut date = self.0.date.borrow_mut();
        if date.0 != second || date.1.is_empty() {
            *date = (second, Rc::from(date_of(now)));
        }
        Rc::clone(&date.1)
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.0.host.wall_clock().0 / 1_000_000
    }

    /// 128 random bits.
    pub fn random_u128(&self) -> u128 {
        u128::from(self.0.host.random()) << 64 | u128::from(self.0.host.random())
    }

    /// 64 random bits.
    pub fn random_u64(&self) -> u64 {
        self.0.host.random()
    }

    /// The group of an object key.
    pub fn group_of(&self, bucket: BucketId, key: &str) -> GroupId {
        self.0.ring.group_of(bucket, key)
    }

    /// All groups of objects.
    pub fn object_groups(&self) -> Vec<GroupId> {
        (META_GROUP + 1..=self.0.ring.group_count()).collect()
    }

    /// The groups that are placed on this shard.
    pub fn own_groups(&self) -> Vec<GroupId> {
        let own = self.0.host.shard();
        self.0.places.iter().filter(|(_, place)| **place == own).map(|(group, _)| *group).collect()
    }

    /// Which shard of the node has a group.
    pub(crate) fn place_of(&self, group: GroupId) -> usize {
        *self.0.places.get(&group).expect("the ring places every group")
    }

    /// Begins to serve, where the shard was starting.
    pub(crate) fn enter_serving(&self) {
        if self.phase() == Phase::Starting && self.holdings().is_some() {
            self.enter(Phase::Serving);
        }
    }

    /// Has a command agreed on and applied; `settle` is the staged body it names.
    pub async fn propose(
        &self,
        group: GroupId,
        command: Command,
        settle: Option<BodyId>,
    ) -> Result<Reply, AskError> {
        let answer = self.ask(group, Ask::Propose { command, settle }).await?;
        let Answer::Applied(reply) = answer else {
            return Err(AskError::Unavailable(format!("a reply was asked for, not {answer:?}")));
        };
        Ok(reply)
    }

    /// Asks a group, wherever on this node it is.
    pub async fn ask(&self, group: GroupId, ask: Ask) -> Result<Answer, AskError> {
        // Who reads an object tells of it by its name.
        let is_read = matches!(ask, Ask::Object { .. } | Ask::Chunk { .. });
        let answer = self.ask_place(group, ask).await;
        if let Err(AskError::Damaged(finding)) = &answer
            && !is_read
        {
            self.told().damage(&format!("a write or listing in group {group}"), finding);
        }
        answer
    }

    async fn ask_place(&self, group: GroupId, ask: Ask) -> Result<Answer, AskError> {
        let own = self.0.host.shard();
        let place = self.0.places.get(&group).copied();
        let place =
            place.ok_or_else(|| AskError::Unavailable(format!("group {group} is on no shard")))?;
        self.check_place(place)?;
        if place == own {
            return self.answer(group, ask).await;
        }
        let id = self.0.ask_next.replace(self.0.ask_next.get() + 1);
        let (sender, receiver) = oneshot::channel();
        self.0.asks.borrow_mut().insert(id, sender);
        let request = Message::Request { source: own, id, group, ask: Box::new(ask) };
        self.0.host.send(place, request).await;
        receiver
            .await
            .unwrap_or_else(|_gone| Err(AskError::Unavailable("the node is stopping".to_owned())))
    }

    /// Hands a reply to whoever asked; nobody may be left.
    pub(crate) fn reply(&self, id: u64, answer: Result<Answer, AskError>) {
        if let Some(sender) = self.0.asks.borrow_mut().remove(&id) {
            // The request that asked may be gone with its connection.
            drop(sender.send(answer));
        }
    }
}

/// The address that a connection counts for; none for the loopback addresses, where a proxy beside the node connects.
fn counted_address(peer: &str) -> Option<IpAddr> {
    address_of(peer).filter(|address| !address.is_loopback())
}

/// The address of a peer; IPv4's own where it comes as one of IPv6.
pub(crate) fn address_of(peer: &str) -> Option<IpAddr> {
    Some(peer.parse::<SocketAddr>().ok()?.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_count_for_their_address_but_not_on_the_loopback() {
        assert_eq!(counted_address("10.1.2.3:5"), Some("10.1.2.3".parse().unwrap()));
        assert_eq!(counted_address("[2001:db8::1]:5"), Some("2001:db8::1".parse().unwrap()));
        for loopback in ["127.0.0.1:5", "[::1]:5", "client of a simulation"] {
            assert_eq!(counted_address(loopback), None, "{loopback}");
        }
    }
}
