//! A node that crashes, and a target that fails at random: each acknowledged change has its event, in order.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use anode_disk::storage::StorageOptions;
use anode_net::Stream;
use bytes::{Bytes, BytesMut};

use super::Targets;
use crate::{
    credentials::Credentials,
    host::Listener as _,
    limits,
    outbound::Url,
    sim::{
        Owner, World,
        client::{Client, Request},
        host::SimRuntime,
        network::Network,
        node::{Crash, NodeOptions, SimNode},
    },
};

const HOOK: &str = "10.0.0.99:8080";
const HOOK_OWNER: Owner = Owner { node: 9, shard: 0 };
const SEEDS: u64 = 12;
const ROUNDS: u64 = 4;
const KEYS: u64 = 7;
const RULES: &str = "<NotificationConfiguration><QueueConfiguration><Id>all</Id>\
                     <Queue>arn:anode:sqs::hook:webhook</Queue><Event>s3:ObjectCreated:*</Event>\
                     <Event>s3:ObjectRemoved:*</Event></QueueConfiguration></NotificationConfiguration>";

/// What a target took: event, key, size, sequencer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Taken {
    sequencer: String,
    event: String,
    key: String,
    size: Option<u64>,
}

/// A target that takes one in two of what it is sent, and says so most times.
#[derive(Clone)]
struct Hook {
    world: World,
    taken: Rc<RefCell<Vec<Taken>>>,
    is_kind: Rc<Cell<bool>>,
    /// The key whose events it finds fault with, and how often it did.
    faulty: Option<&'static str>,
    faults: Rc<Cell<u64>>,
}

impl Hook {
    fn start(world: &World, network: &Network, faulty: Option<&'static str>) -> Self {
        let hook = Self {
            world: world.clone(),
            taken: Rc::default(),
            is_kind: Rc::default(),
            faulty,
            faults: Rc::default(),
        };
        let listener = network.listen(HOOK_OWNER, HOOK.parse().unwrap()).unwrap();
        let (accepting, spawning) = (hook.clone(), world.clone());
        world.spawn(
            HOOK_OWNER,
            Box::pin(async move {
                while let Ok(stream) = listener.accept().await {
                    let hook = accepting.clone();
                    spawning.spawn(HOOK_OWNER, Box::pin(async move { hook.serve(stream).await }));
                }
            }),
        );
        hook
    }

    async fn serve(&self, mut stream: impl Stream) {
        let mut buffer = BytesMut::new();
        while let Some(body) = request(&mut stream, &mut buffer).await {
            if self.faulty.is_some_and(|key| key_of(&body) == key) {
                self.faults.set(self.faults.get() + 1);
                let answer = b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n";
                if stream.write(vec![Bytes::from_static(answer)]).await.is_err() {
                    return;
                }
                continue;
            }
            let drawn = if self.is_kind.get() { 9 } else { self.world.below(10) };
            if drawn >= 3 {
                self.take(&body);
            }
            let answer = match drawn {
                0 | 3 => return,
                1 => "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
                2 => "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            };
            if stream.write(vec![Bytes::from_static(answer.as_bytes())]).await.is_err() {
                return;
            }
        }
    }

    fn take(&self, body: &[u8]) {
        let document: serde_json::Value = serde_json::from_slice(body).unwrap();
        let record = &document["Records"][0];
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let object = &record["s3"]["object"];
        self.taken.borrow_mut().push(Taken {
            sequencer: text(&object["sequencer"]),
            event: text(&record["eventName"]),
            key: text(&object["key"]),
            size: object["size"].as_u64(),
        });
    }
}

fn key_of(body: &[u8]) -> String {
    let document: serde_json::Value = serde_json::from_slice(body).unwrap();
    document["Records"][0]["s3"]["object"]["key"].as_str().unwrap().to_owned()
}

async fn request(stream: &mut impl Stream, buffer: &mut BytesMut) -> Option<Bytes> {
    loop {
        let text = String::from_utf8_lossy(buffer).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let length: usize = length.unwrap().parse().unwrap();
            if buffer.len() >= head.len() + 4 + length {
                let whole = buffer.split_to(head.len() + 4 + length).freeze();
                return Some(whole.slice(head.len() + 4..));
            }
        }
        if stream.read(buffer, 4096).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

fn node(world: &World, network: &Network, credentials: &Credentials) -> Rc<SimNode> {
    let url = Url::parse(&format!("http://{HOOK}/")).unwrap();
    let options = NodeOptions {
        number: 0,
        shard_count: 2,
        volume_count: 1,
        memory_bytes: 64 << 20,
        credentials: Some(credentials.clone()),
        scrub: None,
        targets: Targets::default().with_webhook("hook", url, 100_000),
        storage: StorageOptions::default(),
        disk_seed: world.random(),
    };
    Rc::new(SimNode::new(world, network, options))
}

/// Writes and deletes until the node crashes. What was acknowledged, as the size of a PUT or none, by key; and all that was
/// tried.
struct Writer {
    world: World,
    client: Client,
    written: u64,
    acknowledged: Vec<(String, Option<u64>)>,
}

impl Writer {
    async fn work(&mut self, is_over: &Cell<bool>) {
        while !is_over.get() {
            let key = format!("k{}", self.world.below(KEYS));
            self.written += 1;
            let size = self.written;
            let path = format!("/bucket/{key}");
            let put = || {
                let body = Bytes::from(vec![7; usize::try_from(size).unwrap()]);
                Request::new("PUT", &path).body(body)
            };
            let (request, size) = match self.world.below(4) {
                0 => (Request::new("DELETE", &path), None),
                _ => (put(), Some(size)),
            };
            let Ok(answer) = self.client.send(&request).await else { continue };
            match answer.status {
                200 | 204 => self.acknowledged.push((key, size)),
                status => assert!(status >= 500, "{status}: {}", answer.text()),
            }
        }
    }
}

#[test]
fn each_acknowledged_change_is_told() {
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let world = World::new(seed);
        let _before = anode_shards::raft::runtime::install(Rc::new(SimRuntime(world.clone())));
        world.run(run(&world));
    }
}

async fn run(world: &World) {
    let network = Network::new(world);
    let credentials =
        Credentials { access_key: "KEY".to_owned(), secret_key: "some secret".to_owned() };
    let hook = Hook::start(world, &network, None);
    let node = node(world, &network, &credentials);
    node.start();
    node.serving().await.unwrap();
    let client = || Client::new(world, &network, node.address(), &credentials);
    let mut writer =
        Writer { world: world.clone(), client: client(), written: 0, acknowledged: Vec::new() };
    make_bucket(&mut writer.client).await;
    for _ in 0..ROUNDS {
        let is_over = Rc::new(Cell::new(false));
        let (ending, crashing, waiting) = (Rc::clone(&is_over), Rc::clone(&node), world.clone());
        let crash = if world.below(2) == 0 { Crash::Kill } else { Crash::Power };
        world.spawn(
            Owner::CLIENT,
            Box::pin(async move {
                waiting.sleep(Duration::from_millis(waiting.below(400))).await;
                crashing.crash(crash);
                ending.set(true);
            }),
        );
        writer.work(&is_over).await;
        node.start();
        node.serving().await.unwrap();
        writer.client = client();
    }
    hook.is_kind.set(true);
    let mut rounds_left = 3000;
    loop {
        let taken = hook.taken.borrow().clone();
        let Err(missing) = compare(&writer.acknowledged, &taken) else { break };
        assert!(rounds_left > 0, "{missing}");
        rounds_left -= 1;
        world.sleep(Duration::from_millis(100)).await;
    }
    node.stop().await.unwrap();
}

/// Makes a bucket that tells everything.
async fn make_bucket(client: &mut Client) {
    let skip = ("x-amz-skip-destination-validation", "true".to_owned());
    for request in [
        Request::new("PUT", "/bucket"),
        Request::new("PUT", "/bucket")
            .query("notification=".to_owned())
            .header(skip.0, skip.1)
            .body(Bytes::from_static(RULES.as_bytes())),
    ] {
        let answer = client.send(&request).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn an_event_that_its_target_finds_fault_with_holds_up_the_others_for_an_hour() {
    let world = World::new(1);
    let _before = anode_shards::raft::runtime::install(Rc::new(SimRuntime(world.clone())));
    world.run(async {
        let network = Network::new(&world);
        let credentials =
            Credentials { access_key: "KEY".to_owned(), secret_key: "some secret".to_owned() };
        let hook = Hook::start(&world, &network, Some("faulty"));
        hook.is_kind.set(true);
        let node = node(&world, &network, &credentials);
        node.start();
        node.serving().await.unwrap();
        let mut client = Client::new(&world, &network, node.address(), &credentials);
        make_bucket(&mut client).await;
        let others = 64;
        let keys = (0..others).map(|nth| format!("k{nth}"));
        for key in std::iter::once("faulty".to_owned()).chain(keys) {
            let put = Request::new("PUT", &format!("/bucket/{key}"));
            let answer = client.send(&put).await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        world.sleep(limits::EVENT_REJECTED_WAIT.saturating_sub(Duration::from_mins(1))).await;
        let taken = hook.taken.borrow().len();
        assert!(0 < taken && taken < others, "those of its group wait: {taken}");
        world.sleep(Duration::from_mins(2)).await;
        assert_eq!(hook.taken.borrow().len(), others);
        let faults = hook.faults.get();
        assert!(faults > 60, "{faults}");
        world.sleep(Duration::from_mins(2)).await;
        assert_eq!(hook.faults.get(), faults, "it is sent no more");
        node.stop().await.unwrap();
    });
}

/// Whether all that was acknowledged was told, in the order of its key.
fn compare(acknowledged: &[(String, Option<u64>)], taken: &[Taken]) -> Result<(), String> {
    // Told again is told once; the first time counts.
    let mut seen = BTreeSet::new();
    let mut told: BTreeMap<&str, Vec<&Taken>> = BTreeMap::new();
    for one in taken.iter().filter(|one| seen.insert((*one).clone())) {
        told.entry(&one.key).or_default().push(one);
    }
    for (key, events) in &told {
        let is_sorted = events.is_sorted_by(|one, next| one.sequencer < next.sequencer);
        assert!(is_sorted, "{key}: {events:?}");
        assert!(events.iter().all(|one| one.event.starts_with("Object")), "{events:?}");
    }
    for (key, size) in acknowledged.iter().filter(|(_, size)| size.is_some()) {
        let events = told.get(key.as_str()).map(Vec::as_slice).unwrap_or_default();
        // Sizes are unique.
        if events.iter().filter(|one| one.size == *size).count() != 1 {
            return Err(format!("{key} of {size:?} bytes: {events:?}"));
        }
    }
    Ok(())
}
