//! A simulated node of several volumes loses one in mid-load, and then another, seed by seed.
//!
//! Whatever was on the sound volumes is served and taken, what was on the failed ones is refused by name and at once,
//! the node ends with the volume of the meta group and with no other, and a restart on a sound disk brings back all
//! that was acknowledged. One seed: `ANODE_TEST_OUTAGE_SEED`.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use anode_disk::{storage::StorageOptions, testing::Fault, wal::GroupId};
use anode_shards::{object::BucketId, ring::group_of};
use bytes::Bytes;
use futures::FutureExt as _;

use super::Volumes;
use crate::{
    credentials::Credentials,
    notification::Targets,
    shard::META_GROUP,
    sim::{
        Owner, World,
        client::{Answer, Client, Lost, Request},
        host::SimRuntime,
        network::Network,
        node::{Crash, NodeOptions, SimNode},
    },
};

const SEED_COUNT: u64 = 40;
const CLIENT_COUNT: u64 = 3;
const KEY_COUNT: u64 = 12;
/// What a client does after the failure was told.
const AFTERMATH_COUNT: u64 = 20;
/// The disk fails within so many of its operations.
const FAULT_IO_SPAN: u64 = 600;
/// Clients write to every volume that is to fail: its failure is met and told long before.
const TOLD_WAIT: Duration = Duration::from_mins(1);
/// The id of the first bucket of a node.
const BUCKET: BucketId = 1;
/// No answer takes longer, whatever has failed.
const ANSWER_WAIT: Duration = Duration::from_secs(6);
const STOP_WAIT: Duration = Duration::from_secs(10);
const SIZES: [usize; 5] = [10, 3_000, 32 << 10, 200_000, 2_500_000];

/// What a key may hold: the last that was acknowledged, and what came after it without an answer.
type Allowed = Vec<Option<Bytes>>;

struct Rig {
    world: World,
    network: Network,
    node: SimNode,
    credentials: Credentials,
    keys: RefCell<BTreeMap<String, Allowed>>,
    /// The volumes that fail, once their faults are planned.
    victims: RefCell<BTreeSet<String>>,
    value_next: Cell<u64>,
}

impl Rig {
    fn new(world: &World) -> Self {
        let network = Network::new(world);
        let credentials =
            Credentials { access_key: "KEY".to_owned(), secret_key: "some secret".to_owned() };
        let volume_count = 2 + usize::try_from(world.below(3)).unwrap();
        let shard_count = volume_count + usize::try_from(world.below(3)).unwrap();
        let options = NodeOptions {
            number: 0,
            shard_count,
            volume_count,
            memory_bytes: shard_count as u64 * (20 << 20),
            credentials: Some(credentials.clone()),
            scrub: None,
            targets: Targets::default(),
            storage: StorageOptions { wal_segment_bytes: 1 << 18, ..StorageOptions::default() },
            disk_seed: world.random(),
        };
        Self {
            world: world.clone(),
            node: SimNode::new(world, &network, options),
            network,
            credentials,
            keys: RefCell::default(),
            victims: RefCell::default(),
            value_next: Cell::default(),
        }
    }

    fn client(&self) -> Client {
        Client::new(&self.world, &self.network, self.node.address(), &self.credentials)
    }

    async fn start(&self) {
        self.node.start();
        self.node.serving().await.unwrap();
    }

    /// Sends; an answer must come in time, a refusal must be of a volume that has failed.
    async fn send(&self, client: &mut Client, request: &Request) -> Option<Answer> {
        let sent_at = self.world.now();
        let told = self.node.failed_volumes() == *self.victims.borrow();
        let answer = client.send(request).await;
        let waited = Duration::from_nanos(self.world.now() - sent_at);
        assert!(waited < ANSWER_WAIT, "{request:?} was answered after {waited:?}");
        let victims = self.victims.borrow().clone();
        match answer {
            Ok(answer) if answer.status < 500 => Some(answer),
            Ok(answer) => {
                let text = answer.text();
                assert_eq!(answer.status, 503, "{text}");
                assert!(!victims.is_empty(), "refused before any fault: {text}");
                let is_named = victims.iter().any(|victim| text.contains(victim));
                assert!(!told || request.method == "HEAD" || is_named, "{text}");
                None
            }
            Err(Lost(reason)) => {
                assert!(!victims.is_empty(), "lost before any fault: {reason}");
                None
            }
        }
    }

    async fn put(&self, client: &mut Client, key: &str) -> bool {
        let number = self.value_next.replace(self.value_next.get() + 1);
        let size = SIZES[usize::try_from(self.world.below(SIZES.len() as u64)).unwrap()];
        let body = Bytes::from(number.to_le_bytes().repeat(size / 8 + 1));
        self.attempt(key, Some(body.clone()));
        let request = Request::new("PUT", &format!("/bucket/{key}")).body(body);
        let Some(answer) = self.send(client, &request).await else { return false };
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.acknowledge(key);
        true
    }

    async fn delete(&self, client: &mut Client, key: &str) {
        self.attempt(key, None);
        let request = Request::new("DELETE", &format!("/bucket/{key}"));
        if let Some(answer) = self.send(client, &request).await {
            assert_eq!(answer.status, 204, "{}", answer.text());
            self.acknowledge(key);
        }
    }

    /// Whether it was answered; then with what the key may hold.
    async fn get(&self, client: &mut Client, key: &str) -> bool {
        let request = Request::new("GET", &format!("/bucket/{key}"));
        let Some(answer) = self.send(client, &request).await else { return false };
        let found = (answer.status == 200).then_some(answer.body);
        assert!(found.is_some() || answer.status == 404, "{}", answer.status);
        let allowed = self.keys.borrow().get(key).cloned().unwrap_or_else(|| vec![None]);
        assert!(allowed.contains(&found), "{key} holds what was never put or is gone");
        true
    }

    fn attempt(&self, key: &str, value: Option<Bytes>) {
        self.keys.borrow_mut().entry(key.to_owned()).or_insert_with(|| vec![None]).push(value);
    }

    /// The clients have keys of their own, and do one thing after another: the last attempt is what holds.
    fn acknowledge(&self, key: &str) {
        let mut keys = self.keys.borrow_mut();
        let allowed = keys.get_mut(key).unwrap();
        allowed.drain(..allowed.len() - 1);
    }

    /// Plans the fault of a volume and keeps clients at work until it was met, and a while on.
    async fn fail_under_load(self: &Rc<Self>, victim: &str) {
        let at = self.node.disk().io_count() + self.world.below(FAULT_IO_SPAN);
        let fault = [Fault::Io, Fault::SyncError, Fault::ShortWrite]
            [usize::try_from(self.world.below(3)).unwrap()];
        self.node.disk().fail_within(victim, at, fault);
        // A fault of another kind may find nothing to strike.
        self.node.disk().fail_within(victim, at + FAULT_IO_SPAN, Fault::Io);
        self.victims.borrow_mut().insert(victim.to_owned());
        let working = Rc::new(Cell::new(CLIENT_COUNT));
        for number in 0..CLIENT_COUNT {
            let (rig, working) = (Rc::clone(self), Rc::clone(&working));
            let work = async move {
                rig.work(number).await;
                working.set(working.get() - 1);
            };
            self.world.spawn(Owner::CLIENT, Box::pin(work));
        }
        let begun = self.world.now();
        while working.get() > 0 {
            let waited = Duration::from_nanos(self.world.now() - begun);
            assert!(self.is_told() || waited < TOLD_WAIT, "nobody tells that {victim} has failed");
            self.world.sleep(Duration::from_millis(1)).await;
        }
    }

    /// Whether every failure was told, or the node has ended with the last.
    fn is_told(&self) -> bool {
        self.node.failure().is_some() || self.node.failed_volumes() == *self.victims.borrow()
    }

    async fn work(&self, number: u64) {
        let mut client = self.client();
        let mut left = AFTERMATH_COUNT;
        while left > 0 && self.node.failure().is_none() {
            if self.is_told() {
                left -= 1;
            }
            let key = format!("{number}-{}", self.world.below(KEY_COUNT));
            match self.world.below(8) {
                0 => self.delete(&mut client, &key).await,
                1..3 => drop(self.get(&mut client, &key).await),
                _ => drop(self.put(&mut client, &key).await),
            }
        }
    }

    /// What lies on no failed volume is served; what isn't is refused to writers too.
    async fn check_degraded(&self) {
        let mut client = self.client();
        let failed = self.node.failed_volumes();
        let keys: Vec<String> = self.keys.borrow().keys().cloned().collect();
        for key in &keys {
            let is_sound = !failed.contains(&self.volume_of(key));
            assert_eq!(self.get(&mut client, key).await, is_sound, "{key}");
            assert_eq!(self.put(&mut client, key).await, is_sound, "{key}");
        }
        for query in ["", "list-type=2", "uploads="] {
            let list = Request::new("GET", "/bucket").query(query.to_owned());
            assert!(self.send(&mut client, &list).await.is_none(), "a shortened listing");
        }
        assert!(self.send(&mut client, &Request::new("DELETE", "/bucket")).await.is_none());
        let another = format!("/another-{}", failed.len());
        let made = self.send(&mut client, &Request::new("PUT", &another)).await.unwrap();
        assert_eq!(made.status, 200, "{}", made.text());
        let ready = self.send(&mut client, &Request::new("GET", "/health/ready")).await.unwrap();
        assert_eq!(ready.status, 200);
        let said = ready.text().matches(" has failed\n").count();
        assert_eq!(said, failed.len(), "{}", ready.text());
    }

    async fn check_whole(&self) {
        let mut client = self.client();
        let keys: Vec<String> = self.keys.borrow().keys().cloned().collect();
        let mut there = 0;
        for key in &keys {
            assert!(self.get(&mut client, key).await, "{key} is refused on a sound disk");
            let head = Request::new("HEAD", &format!("/bucket/{key}"));
            there += usize::from(self.send(&mut client, &head).await.unwrap().status == 200);
        }
        let listed = self.send(&mut client, &Request::new("GET", "/bucket")).await.unwrap();
        assert_eq!(listed.text().matches("<Key>").count(), there);
    }

    async fn play(self: Rc<Self>) {
        self.start().await;
        let mut client = self.client();
        let made = self.send(&mut client, &Request::new("PUT", "/bucket")).await.unwrap();
        assert_eq!(made.status, 200);
        for number in 0..CLIENT_COUNT {
            for key in 0..KEY_COUNT {
                self.put(&mut client, &format!("{number}-{key}")).await;
            }
        }
        drop(client);
        self.fail_one_after_the_other().await;
        if self.world.below(2) == 0 {
            self.node.disk().crash();
        }
        self.victims.borrow_mut().clear();
        self.start().await;
        self.check_whole().await;
        self.node.stop().await.unwrap();
    }

    /// Two volumes fail, or one, where it is that of the meta group or there is no other with objects. The node has ended.
    async fn fail_one_after_the_other(self: &Rc<Self>) {
        for _ in 0..2 {
            let Some(victim) = self.choose_victim() else { break };
            self.fail_under_load(&victim).await;
            if victim == self.meta_volume() {
                // Without buckets and credentials nothing can be served.
                assert!(self.node.failure().is_some());
                return self.node.crash(Crash::Kill);
            }
            assert_eq!(self.node.failure(), None);
            assert_eq!(self.node.failed_volumes(), *self.victims.borrow());
            self.check_degraded().await;
        }
        let stopping = self.world.now();
        self.node.stop().await.unwrap();
        let took = Duration::from_nanos(self.world.now() - stopping);
        assert!(took < STOP_WAIT, "it stopped after {took:?}");
    }

    /// A sound volume with objects: nobody meets the failure of another.
    fn choose_victim(&self) -> Option<String> {
        let mut loaded: BTreeSet<String> =
            self.keys.borrow().keys().map(|key| self.volume_of(key)).collect();
        loaded.retain(|volume| !self.victims.borrow().contains(volume));
        let nth = self.world.below(loaded.len().max(1) as u64);
        loaded.into_iter().nth(usize::try_from(nth).unwrap())
    }

    fn meta_volume(&self) -> String {
        self.volume_with(META_GROUP)
    }

    fn volume_of(&self, key: &str) -> String {
        let group_count = self.node.layout().unwrap().group_count;
        self.volume_with(group_of(BUCKET, key, group_count))
    }

    fn volume_with(&self, group: GroupId) -> String {
        let layout = self.node.layout().unwrap();
        let id = layout.ring().unwrap().shards_of(group)[0];
        let (_, volume) = layout.shards.iter().find(|(known, _)| *known == id).unwrap();
        self.node.volumes()[*volume].clone()
    }
}

/// Says which seed it was.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            eprintln!(
                "replay it with: ANODE_TEST_OUTAGE_SEED={seed} cargo test --profile ci -p anode --lib outage"
            );
        }
    }
}

fn run(seed: u64) {
    let _replay = Replay(seed);
    let world = World::new(seed);
    let before = anode_shards::raft::runtime::install(Rc::new(SimRuntime(world.clone())));
    let rig = Rc::new(Rig::new(&world));
    world.run(Box::pin(Rc::clone(&rig).play()));
    rig.node.disk().set_delay(None);
    world.drop_node(0);
    world.drop_node(Owner::CLIENT.node);
    drop(anode_shards::raft::runtime::uninstall());
    if let Some(before) = before {
        drop(anode_shards::raft::runtime::install(before));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "which seed a test runs is no configuration of the node"
)]
fn given_seed() -> Option<u64> {
    let given = std::env::var("ANODE_TEST_OUTAGE_SEED").ok();
    given.map(|given| given.parse().expect("ANODE_TEST_OUTAGE_SEED is a number"))
}

#[test]
fn what_waits_on_a_volume_is_let_go_when_that_volume_fails_and_no_other() {
    let volumes = Volumes::new(vec![0, 1, 0], 2);
    let mut waiting = Box::pin(volumes.unless_own_fails(futures::future::pending::<()>()));
    assert_eq!((&mut waiting).now_or_never(), None);
    volumes.fail(1);
    assert_eq!((&mut waiting).now_or_never(), None);
    assert!(volumes.has_failed(1) && !volumes.has_own_failed());
    volumes.fail(0);
    assert_eq!((&mut waiting).now_or_never(), Some(None));
    assert!(volumes.has_failed(0) && volumes.has_own_failed());
    let done = volumes.unless_own_fails(futures::future::ready(5));
    assert_eq!(done.now_or_never(), Some(Some(5)), "what is done is passed on");
}

#[test]
fn a_failed_volume_takes_down_only_what_lies_on_it() {
    match given_seed() {
        Some(seed) => run(seed),
        None => (0..SEED_COUNT).for_each(run),
    }
}
