//! One run: a node, its clients, crashes where the seed wants them, and what must hold after each.
//!
//! After every restart all objects that were ever written to are read and all buckets are listed: what was
//! acknowledged is there, byte by byte, what was deleted stays deleted, what was under way happened whole or not at
//! all, and LIST agrees with GET ([`super::history`]). A refusal or a lost connection counts as a fault, too, unless
//! the node was crashing.

use std::{cell::Cell, fmt, rc::Rc, time::Duration};

use anode_disk::storage::StorageOptions;

use super::{
    Owner, World,
    client::Client,
    host::SimRuntime,
    network::Network,
    node::{Crash, NodeOptions, SimNode},
    workload::{Flavour, Ledger, Over, Worker},
};
use crate::{credentials::Credentials, notification::Targets, scrub::ScrubPlan};

/// The node's number in the world.
const NODE: usize = 0;
/// How long a round may take in virtual time before it counts as stuck.
const ROUND_WAIT: Duration = Duration::from_mins(2);
/// How often a round's end is looked for.
const POLL: Duration = Duration::from_micros(200);
/// A disk that is to crash at an operation does so within as many of them.
const CRASH_IO_SPAN: u64 = 1500;
/// A crash during recovery falls into its first operations of the disk.
const RECOVERY_IO_SPAN: u64 = 120;

/// A kill during recovery comes within so many microseconds.
const RECOVERY_MICROSECONDS: u64 = 20_000;

/// What a run did: equal for equal seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// A checksum of every step and every operation of the disk.
    pub trace: u64,
    /// How much virtual time it took, in nanoseconds.
    pub nanoseconds: u64,
    /// How many times a task was polled.
    pub step_count: u64,
    /// Operations of the disk.
    pub io_count: u64,
    /// Crashes of the node, clean stops not counted.
    pub crash_count: u64,
    /// Operations that clients began.
    pub operation_count: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {} trace {:016x} virtual {:.3} s steps {} disk {} crashes {} operations {}",
            self.seed,
            self.trace,
            Duration::from_nanos(self.nanoseconds).as_secs_f64(),
            self.step_count,
            self.io_count,
            self.crash_count,
            self.operation_count,
        )
    }
}

/// A promise that a run broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The seed.
    pub seed: u64,
    /// When, in nanoseconds of virtual time since the start.
    pub nanoseconds: u64,
    /// What is wrong.
    pub findings: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = Duration::from_nanos(self.nanoseconds).as_secs_f64();
        writeln!(f, "seed {} breaks a promise after {after:.6} s:", self.seed)?;
        for finding in &self.findings {
            writeln!(f, "  {finding}")?;
        }
        write!(f, "{}", replay(self.seed))
    }
}

/// The line that tells how to run a seed again.
pub fn replay(seed: u64) -> String {
    format!("replay it with: cargo sim --seed {seed}")
}

/// What a test does to a run so that it must fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing.
    #[default]
    None,
    /// The disk is exchanged for an empty one at the first restart.
    EmptyDisk,
}

/// Runs a seed.
pub fn run(seed: u64) -> Result<Report, Violation> {
    run_sabotaged(seed, Sabotage::None)
}

/// Runs a seed with a fault of the harness's own making.
pub fn run_sabotaged(seed: u64, sabotage: Sabotage) -> Result<Report, Violation> {
    let world = World::new(seed);
    let before = anode_shards::raft::runtime::install(Rc::new(SimRuntime(world.clone())));
    let network = Network::new(&world);
    let started = world.now();
    let mut scenario = Scenario::new(&world, &network, sabotage);
    let (ended, scenario) = {
        let main = async move {
            let ended = scenario.play().await;
            (ended, scenario)
        };
        world.run(Box::pin(main))
    };
    let nanoseconds = world.now() - started;
    let findings = scenario.ledger.violations.take();
    let report = Report {
        seed,
        trace: world.trace() ^ scenario.node.disk().trace().rotate_left(32),
        nanoseconds,
        step_count: world.steps(),
        io_count: scenario.node.disk().io_count(),
        crash_count: scenario.crash_count,
        operation_count: scenario.ledger.begun_count.get(),
    };
    // Tasks and world refer to each other.
    scenario.node.disk().set_delay(None);
    network.drop_node(NODE);
    for node in [NODE, Owner::CLIENT.node] {
        world.drop_node(node);
    }
    drop(anode_shards::raft::runtime::uninstall());
    if let Some(before) = before {
        drop(anode_shards::raft::runtime::install(before));
    }
    match ended {
        Ok(()) if findings.is_empty() => Ok(report),
        ended => {
            let last = ended.err().filter(|reason| !reason.is_empty());
            let findings = findings.into_iter().chain(last).collect();
            Err(Violation { seed, nanoseconds, findings })
        }
    }
}

/// How a round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The process or the machine ends after so many operations began, and a moment more.
    At(Crash, u64),
    /// The disk loses power in the middle of an operation.
    InDisk,
    /// The node is asked to stop.
    Clean,
}

struct Scenario {
    world: World,
    network: Network,
    node: SimNode,
    ledger: Rc<Ledger>,
    /// The clients; away while they work.
    workers: Rc<std::cell::RefCell<Vec<Worker>>>,
    worker_count: u64,
    sabotage: Sabotage,
    crash_count: u64,
}

impl Scenario {
    fn new(world: &World, network: &Network, sabotage: Sabotage) -> Self {
        let flavour = match world.below(8) {
            0..4 => Flavour::Mixed,
            4..6 => Flavour::Inline,
            6 => Flavour::Large,
            _ => Flavour::Multipart,
        };
        let ledger = Rc::new(Ledger::new(flavour));
        let node = SimNode::new(world, network, node_options(world));
        let worker_count = 2 + world.below(4);
        let workers = (0..worker_count).map(|number| Worker::new(world, &ledger, number)).collect();
        Self {
            world: world.clone(),
            network: network.clone(),
            node,
            ledger,
            workers: Rc::new(std::cell::RefCell::new(workers)),
            worker_count,
            sabotage,
            crash_count: 0,
        }
    }

    async fn play(&mut self) -> Result<(), String> {
        let rounds = 1 + self.world.below(3);
        for round in 0..rounds {
            self.start(round).await?;
            self.check().await?;
            self.work().await?;
            if self.sabotage == Sabotage::EmptyDisk {
                let options = node_options(&self.world);
                self.node = SimNode::new(&self.world, &self.network, options);
                self.sabotage = Sabotage::None;
            }
        }
        self.start(rounds).await?;
        self.check().await?;
        // Upkeep goes on while nobody asks for anything; then everything is still there.
        self.world.sleep(Duration::from_millis(1 + self.world.below(2000))).await;
        self.check().await
    }

    /// Starts the node; sometimes it crashes as it recovers, and starts again.
    async fn start(&mut self, round: u64) -> Result<(), String> {
        // Made credentials that nobody has seen are no fault of the store: the first start succeeds where they're made.
        let may_crash = round > 0 || self.node.credentials().is_some();
        let mut crashes = if may_crash { self.world.below(3) } else { 0 };
        loop {
            let count = self.node.disk().crash_count();
            let killed = crashes > 0 && self.world.below(3) == 0;
            if crashes > 0 && !killed {
                let io = self.node.disk().io_count() + self.world.below(RECOVERY_IO_SPAN);
                self.node.disk().crash_at(io);
            }
            self.node.start();
            if killed {
                self.world
                    .sleep(Duration::from_micros(self.world.below(RECOVERY_MICROSECONDS)))
                    .await;
            }
            let served = if killed { self.node.failed() } else { self.node.serving().await };
            if crashes == 0 {
                return served;
            }
            crashes -= 1;
            let crashed = self.node.disk().crash_count() != count;
            match served {
                Err(reason) if !crashed => return Err(reason),
                Ok(()) | Err(_) if crashed || killed => self.crash(Crash::Kill),
                Ok(()) | Err(_) => self.crash(Crash::Power),
            }
        }
    }

    /// Lets the clients work until the round's end.
    async fn work(&mut self) -> Result<(), String> {
        let per_worker = 4 + self.world.below(24);
        let end = match self.world.below(10) {
            0..4 => End::At(Crash::Power, self.world.below(per_worker * self.worker_count)),
            4..6 => End::At(Crash::Kill, self.world.below(per_worker * self.worker_count)),
            6..9 => End::InDisk,
            _ => End::Clean,
        };
        let crash_count = self.node.disk().crash_count();
        if end == End::InDisk {
            let io = self.node.disk().io_count() + self.world.below(CRASH_IO_SPAN);
            self.node.disk().crash_at(io);
        }
        let begun = self.ledger.begun_count.get();
        let working = self.send_out(per_worker);
        let deadline = self.world.now() + as_nanoseconds(ROUND_WAIT);
        loop {
            let done = self.ledger.begun_count.get() - begun;
            let due = match end {
                End::At(_, count) => done >= count,
                End::InDisk | End::Clean => false,
            };
            if due || working.get() == 0 || self.node.disk().crash_count() != crash_count {
                break;
            }
            if self.world.now() > deadline {
                return Err(format!("the clients didn't finish in {} s", ROUND_WAIT.as_secs()));
            }
            self.world.sleep(POLL).await;
        }
        if let End::At(..) = end {
            self.world.sleep(Duration::from_micros(self.world.below(5000))).await;
        }
        self.finish(end, crash_count, &working).await
    }

    /// Ends the round: the node's life, then the clients'.
    async fn finish(
        &mut self,
        end: End,
        crash_count: u64,
        working: &Rc<Cell<u64>>,
    ) -> Result<(), String> {
        let disk_crashed = self.node.disk().crash_count() != crash_count;
        if !disk_crashed {
            self.excuse_nothing()?;
        }
        match end {
            End::Clean => {
                self.node.stop().await?;
                self.ledger.history.borrow_mut().crash();
            }
            End::At(..) | End::InDisk if disk_crashed => self.crash(Crash::Kill),
            End::At(crash, _) => self.crash(crash),
            End::InDisk => self.crash(Crash::Power),
        }
        let deadline = self.world.now() + as_nanoseconds(ROUND_WAIT);
        while working.get() > 0 {
            if self.world.now() > deadline {
                return Err("a client waits for a node that is gone".to_owned());
            }
            self.world.sleep(POLL).await;
        }
        // The crash explains them.
        self.ledger.excuses.borrow_mut().clear();
        self.found_nothing()
    }

    /// Starts the clients; returns how many are still at work.
    fn send_out(&self, per_worker: u64) -> Rc<Cell<u64>> {
        let credentials = self.credentials();
        let working = Rc::new(Cell::new(self.worker_count));
        for mut worker in self.workers.take() {
            let address = self.node.address();
            let mut client = Client::new(&self.world, &self.network, address, &credentials);
            let (workers, working) = (Rc::clone(&self.workers), Rc::clone(&working));
            let work = async move {
                // A life that is over is looked into by `finish`.
                let _over: Result<(), Over> = worker.work(&mut client, per_worker).await;
                workers.borrow_mut().push(worker);
                working.set(working.get() - 1);
            };
            self.world.spawn(Owner::CLIENT, Box::pin(work));
        }
        working
    }

    /// Reads everything and lists everything.
    async fn check(&mut self) -> Result<(), String> {
        let address = self.node.address();
        let credentials = self.credentials();
        let mut client = Client::new(&self.world, &self.network, address, &credentials);
        let buckets = self.ledger.history.borrow().buckets();
        let checked = async {
            for bucket in &buckets {
                self.ledger.head_bucket(&mut client, bucket).await?;
                let name = bucket_name(bucket);
                let is_there = self.ledger.history.borrow_mut().certain(&name);
                if !matches!(is_there, Some((Some(_), _))) {
                    continue;
                }
                let names = self.ledger.history.borrow().names(bucket);
                for name in &names {
                    self.ledger.get(&mut client, name).await?;
                }
                self.ledger.list(&mut client, &self.world, bucket).await?;
            }
            Ok::<(), Over>(())
        };
        // What ended it early is among the findings or the excuses, and nothing excuses them here.
        let _over: Result<(), Over> = checked.await;
        let twice = self.ledger.history.borrow().created_twice();
        let twice = twice.iter().map(|name| format!("{} was created more than once", name.key));
        self.ledger.violations.borrow_mut().extend(twice);
        self.excuse_nothing()?;
        self.found_nothing()
    }

    /// While the node is well, every refusal and every lost answer is a fault.
    fn excuse_nothing(&self) -> Result<(), String> {
        if let Some(reason) = self.node.failure() {
            return Err(format!("the node failed: {reason}"));
        }
        let excuses = self.ledger.excuses.take();
        if excuses.is_empty() { Ok(()) } else { Err(excuses.join("; ")) }
    }

    fn found_nothing(&self) -> Result<(), String> {
        if self.ledger.violations.borrow().is_empty() { Ok(()) } else { Err(String::new()) }
    }

    fn crash(&mut self, crash: Crash) {
        self.crash_count += 1;
        self.node.crash(crash);
        self.ledger.history.borrow_mut().crash();
    }

    fn credentials(&self) -> Credentials {
        self.node.credentials().expect("a node that serves has said its credentials")
    }
}

/// Sizes are small, so that files are sealed, recycled, compacted and reclaimed within a short run.
fn node_options(world: &World) -> NodeOptions {
    let shard_count = 1 + usize::try_from(world.below(3)).expect("below three");
    let volume_count = 1 + usize::try_from(world.below(2)).expect("below two");
    let shards = u64::try_from(shard_count.max(volume_count)).expect("a few");
    let credentials = Credentials {
        access_key: "SIMULATION".to_owned(),
        secret_key: "simulated secret".to_owned(),
    };
    NodeOptions {
        number: NODE,
        shard_count,
        volume_count,
        memory_bytes: shards * (20 << 20),
        credentials: (world.below(2) == 0).then_some(credentials),
        // Again and again, so that passes meet everything that the node does.
        scrub: Some(ScrubPlan { period: Duration::from_secs(1), rate_bytes_max: 64 << 20 }),
        targets: Targets::default(),
        storage: StorageOptions {
            wal_segment_bytes: 1 << (18 + world.below(4)),
            segment_bytes: 1 << (22 + world.below(3)),
            ..StorageOptions::default()
        },
        disk_seed: world.random(),
    }
}

fn bucket_name(bucket: &str) -> super::history::Name {
    super::history::Name { bucket: bucket.to_owned(), key: String::new() }
}

fn as_nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
