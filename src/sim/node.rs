//! A whole node in the simulated world: it starts, serves, crashes and starts again on what its disk has kept.
//!
//! The node's own code runs, from `prepare` on; only its host is simulated. A crash drops its tasks and connections
//! in one moment of virtual time, and decides what of the unflushed writes the disk keeps.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use anode_disk::{storage::StorageOptions, testing::SimDisk};
use anode_net::s3::configuration::ownership::Ownership;
use anode_shards::group::Timing;
use rustls::ServerConfig;

use super::{Owner, SimHost, World, network::Network};
use crate::{
    config::Websites,
    credentials::Credentials,
    encryption::MasterKeys,
    layout::{self, Layout},
    metrics::Exposure,
    node::{self, Event, Supervisor},
    notification::Targets,
    scrub::ScrubPlan,
    shard::Settings,
};

/// How long an operation of the disk takes at least, and how much longer at most, in nanoseconds.
const DISK_NANOSECONDS: (u64, u64) = (10_000, 290_000);
/// How often a node's state is looked at.
const POLL: Duration = Duration::from_micros(50);
/// Recovery beyond this much virtual time is a fault of its own.
const START_SECONDS_MAX: u64 = 60;
/// A clean stop ends within this much virtual time.
const STOP_SECONDS_MAX: u64 = 60;

/// How a node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process dies; what it wrote stays in the files.
    Kill,
    /// The machine loses power: the disk loses and tears what was not flushed.
    Power,
}

/// What a node is made of.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Its number among the nodes of the world.
    pub number: usize,
    /// Its shards, where it has to be formatted.
    pub shard_count: usize,
    /// Its volumes; all on one disk.
    pub volume_count: usize,
    /// Memory of the node, in bytes.
    pub memory_bytes: u64,
    /// Root credentials; made by the node where there are none.
    pub credentials: Option<Credentials>,
    /// How it verifies its bytes.
    pub scrub: Option<ScrubPlan>,
    /// Whom it can tell of events.
    pub targets: Targets,
    /// The sizes of its files.
    pub storage: StorageOptions,
    /// Decides what the disk loses.
    pub disk_seed: u64,
}

/// A node of the simulated world.
pub struct SimNode {
    world: World,
    network: Network,
    disk: SimDisk,
    options: NodeOptions,
    life: RefCell<Rc<Life>>,
    made: RefCell<Option<Credentials>>,
}

/// From a start to the end that follows it.
#[derive(Default)]
struct Life {
    events: RefCell<Vec<Event>>,
    stopping: Cell<bool>,
    ended_count: Cell<usize>,
    shard_count: Cell<usize>,
    layout: RefCell<Option<Arc<Layout>>>,
}

#[derive(Clone)]
struct Watcher(Rc<Life>);

impl Supervisor for Watcher {
    fn report(&self, event: Event) {
        tracing::debug!(?event, "reported");
        self.0.events.borrow_mut().push(event);
    }

    fn is_stopping(&self) -> bool {
        self.0.stopping.get()
    }

    fn tls(&self) -> Option<Arc<ServerConfig>> {
        None
    }
}

impl std::fmt::Debug for SimNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimNode({}, {:?})", self.options.number, self.disk)
    }
}

impl SimNode {
    /// A node that never ran, on an empty disk.
    pub fn new(world: &World, network: &Network, options: NodeOptions) -> Self {
        Self::on(world, network, SimDisk::new(options.disk_seed), options)
    }

    /// A node on a disk that there is already.
    pub fn on(world: &World, network: &Network, disk: SimDisk, options: NodeOptions) -> Self {
        let slow = world.clone();
        disk.set_delay(Some(Rc::new(move || {
            let (least, most) = DISK_NANOSECONDS;
            Box::pin(slow.sleep(Duration::from_nanos(least + slow.below(most))))
        })));
        Self {
            world: world.clone(),
            network: network.clone(),
            disk,
            options,
            life: RefCell::default(),
            made: RefCell::default(),
        }
    }

    /// Its disk.
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// Its shards and their volumes, once it has begun to start.
    pub fn layout(&self) -> Option<Arc<Layout>> {
        self.life.borrow().layout.borrow().clone()
    }

    /// Its data directories.
    pub fn volumes(&self) -> Vec<String> {
        (0..self.options.volume_count).map(|volume| format!("/volume-{volume}")).collect()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        let number = u8::try_from(self.options.number % 200).expect("below 200");
        SocketAddr::from((Ipv4Addr::new(10, 0, 0, number + 1), 9000))
    }

    /// The credentials a client needs: those it was given, or those it said that it made.
    pub fn credentials(&self) -> Option<Credentials> {
        self.options.credentials.clone().or_else(|| self.made.borrow().clone())
    }

    /// Starts the process. It has begun when this returns, and no more.
    pub fn start(&self) {
        tracing::debug!(now = self.world.now(), disk = ?self.disk, "the node starts");
        let life = Rc::new(Life::default());
        *self.life.borrow_mut() = Rc::clone(&life);
        let settings = Arc::new(self.settings());
        let (world, network, disk) = (self.world.clone(), self.network.clone(), self.disk.clone());
        let (number, shard_count) = (self.options.number, self.options.shard_count);
        let main = async move {
            let alone = SimHost::node(&world, &network, &disk, number, 1).remove(0);
            let layout = match layout::prepare(&alone, &settings.volumes, shard_count).await {
                Ok(layout) => Arc::new(layout),
                Err(reason) => return Watcher(life).report(Event::Failed { shard: 0, reason }),
            };
            life.shard_count.set(layout.shards.len());
            life.layout.replace(Some(Arc::clone(&layout)));
            for host in SimHost::node(&world, &network, &disk, number, layout.shards.len()) {
                let (settings, layout) = (Arc::clone(&settings), Arc::clone(&layout));
                let (owner, life) = (
                    Owner { node: number, shard: crate::host::Host::shard(&host) },
                    Rc::clone(&life),
                );
                let shard = async move {
                    node::run_shard(host, settings, layout, Watcher(Rc::clone(&life))).await;
                    life.ended_count.set(life.ended_count.get() + 1);
                };
                world.spawn(owner, Box::pin(shard));
            }
        };
        self.world.spawn(Owner { node: number, shard: 0 }, Box::pin(main));
    }

    /// Waits until it serves. What went wrong otherwise; a crash of the disk meanwhile is told by [`SimDisk::crash_count`].
    pub async fn serving(&self) -> Result<(), String> {
        let deadline = self.world.now() + START_SECONDS_MAX * 1_000_000_000;
        let crash_count = self.disk.crash_count();
        loop {
            self.keep_made_credentials();
            if let Some(reason) = self.failure() {
                return Err(format!("the node failed as it started: {reason}"));
            }
            if self.disk.crash_count() != crash_count {
                return Err("the disk crashed".to_owned());
            }
            let life = Rc::clone(&self.life.borrow());
            if life.events.borrow().iter().any(|event| matches!(event, Event::Serving(_))) {
                return Ok(());
            }
            if self.world.now() > deadline {
                return Err(format!("the node didn't start in {START_SECONDS_MAX} s"));
            }
            self.world.sleep(POLL).await;
        }
    }

    /// Fails where the node has.
    pub fn failed(&self) -> Result<(), String> {
        self.failure().map_or(Ok(()), Err)
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<String> {
        let life = Rc::clone(&self.life.borrow());
        let events = life.events.borrow();
        events.iter().find_map(|event| match event {
            Event::Failed { shard, reason } => Some(format!("shard {shard}: {reason}")),
            Event::Damaged { shard, finding } => Some(format!("shard {shard}: {finding:?}")),
            Event::VolumeFailed { .. }
            | Event::Recovered { .. }
            | Event::CredentialsMade(_)
            | Event::Serving(_) => None,
        })
    }

    /// The volumes that have failed while the node went on.
    pub fn failed_volumes(&self) -> BTreeSet<String> {
        let life = Rc::clone(&self.life.borrow());
        let events = life.events.borrow();
        let failed = events.iter().filter_map(|event| match event {
            Event::VolumeFailed { path, .. } => Some(path.clone()),
            Event::Failed { .. }
            | Event::Damaged { .. }
            | Event::Recovered { .. }
            | Event::CredentialsMade(_)
            | Event::Serving(_) => None,
        });
        failed.collect()
    }

    /// Ends it in this very moment. A disk that has crashed by itself isn't crashed again.
    pub fn crash(&self, crash: Crash) {
        tracing::debug!(now = self.world.now(), disk = ?self.disk, ?crash, "the node ends");
        self.keep_made_credentials();
        // A machine that loses power loses it for the process and for the disk in no order.
        let disk_first = self.world.below(2) == 0;
        if crash == Crash::Power && disk_first {
            self.disk.crash();
        }
        self.world.drop_node(self.options.number);
        self.network.drop_node(self.options.number);
        if crash == Crash::Power && !disk_first {
            self.disk.crash();
        }
        self.disk.heal();
    }

    /// Ends it as SIGTERM does, and waits until it has.
    pub async fn stop(&self) -> Result<(), String> {
        let life = Rc::clone(&self.life.borrow());
        life.stopping.set(true);
        let deadline = self.world.now() + STOP_SECONDS_MAX * 1_000_000_000;
        while life.ended_count.get() < life.shard_count.get() {
            if self.world.now() > deadline {
                return Err(format!("the node didn't stop in {STOP_SECONDS_MAX} s"));
            }
            self.world.sleep(POLL).await;
        }
        if let Some(reason) = self.failure() {
            return Err(format!("the node failed as it stopped: {reason}"));
        }
        self.crash(Crash::Kill);
        Ok(())
    }

    /// Made credentials are told once, in the life that made them.
    fn keep_made_credentials(&self) {
        let life = Rc::clone(&self.life.borrow());
        for event in life.events.borrow().iter() {
            if let Event::CredentialsMade(made) = event {
                *self.made.borrow_mut() = Some(made.clone());
            }
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            volumes: self.volumes(),
            classes: Vec::new(),
            listen: self.address(),
            memory_bytes: self.options.memory_bytes,
            region: None,
            domain: None,
            website: Websites::default(),
            object_ownership: Ownership::default(),
            tls: false,
            drain_seconds: crate::limits::DRAIN_SECONDS_DEFAULT,
            credentials: self.options.credentials.clone(),
            master_keys: MasterKeys::default(),
            plain_customer_keys: Exposure::default(),
            scrub: self.options.scrub,
            lifecycle_period: None,
            targets: self.options.targets.clone(),
            key_service: None,
            trust: None,
            metrics: Exposure::All,
            started_ms: 0,
            timing: Timing::default(),
            storage: self.options.storage.clone(),
        }
    }
}
