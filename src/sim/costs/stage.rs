//! The node whose costs are counted, its one client, and what is stored on it beforehand.

use std::{fmt::Write as _, rc::Rc, time::Duration};

use anode_disk::{
    storage::StorageOptions,
    testing::{Random, SimDisk},
};
use bytes::Bytes;

use crate::{
    credentials::Credentials,
    notification::Targets,
    sim::{
        World,
        client::{Answer, Client, Request},
        host::SimRuntime,
        network::Network,
        node::{NodeOptions, SimNode},
    },
};

/// Decides every identity, and the bytes of every object.
const SEED: u64 = 4;
/// Memory of the node, in bytes: little, so that a small store is in tables.
const MEMORY_BYTES: u64 = 64 << 20;
/// Objects of a filled store that are in tables, 1 KiB each.
pub(super) const STORED_COUNT: usize = 4000;
const STORED_BYTES: usize = 1 << 10;
/// What is written after them, to push them out of the memtables: objects that travel inside their command, and their
/// bytes.
const FILLER_COUNT: usize = 800;
const FILLER_BYTES: usize = 32 << 10;
const SETTLE: Duration = Duration::from_mins(2);

/// A node that serves, with an empty `/bucket`.
pub(super) struct Stage {
    world: World,
    node: SimNode,
    client: Client,
    random: Random,
    credentials: Credentials,
    network: Network,
}

/// The key of one of the stored objects; they are in order.
pub(super) fn stored_key(nth: usize) -> String {
    format!("stored-{nth:06}")
}

impl Stage {
    /// Runs a scenario in a world of its own.
    pub(super) fn run<T>(scenario: impl AsyncFnOnce(&mut Self) -> T) -> T {
        let world = World::steady(SEED);
        let _before = anode_shards::raft::runtime::install(Rc::new(SimRuntime(world.clone())));
        world.run(async { scenario(&mut Self::serving(&world).await).await })
    }

    async fn serving(world: &World) -> Self {
        let network = Network::new(world);
        let credentials =
            Credentials { access_key: "KEY".to_owned(), secret_key: "some secret".to_owned() };
        let options = NodeOptions {
            number: 0,
            shard_count: 2,
            volume_count: 1,
            memory_bytes: MEMORY_BYTES,
            credentials: Some(credentials.clone()),
            scrub: None,
            targets: Targets::default(),
            storage: StorageOptions::default(),
            disk_seed: SEED,
        };
        let node = SimNode::new(world, &network, options);
        node.disk().set_steady();
        let client = Client::new(world, &network, node.address(), &credentials);
        let mut stage = Self {
            world: world.clone(),
            node,
            client,
            random: Random::new(SEED),
            credentials,
            network,
        };
        stage.start().await;
        stage.send(&Request::new("PUT", "/bucket"), 200).await;
        stage
    }

    async fn start(&self) {
        self.node.start();
        self.node.serving().await.expect("a node without faults starts");
    }

    /// Ends the node as SIGTERM does and starts it again: all caches are empty.
    pub(super) async fn restart(&mut self) {
        self.hang_up();
        self.node.stop().await.expect("a node without faults stops");
        self.start().await;
    }

    /// Waits until upkeep has ended what was begun: compaction takes its time where nothing presses.
    pub(super) async fn settle(&mut self) {
        // The node would do so itself, a minute later.
        self.hang_up();
        self.sleep(SETTLE).await;
    }

    /// Ends the client's connection; the next request makes another.
    fn hang_up(&mut self) {
        self.client =
            Client::new(&self.world, &self.network, self.node.address(), &self.credentials);
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }

    pub(super) fn disk(&self) -> &SimDisk {
        self.node.disk()
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        self.world.sleep(duration).await;
    }

    /// Bytes that no other object has.
    pub(super) fn content(&mut self, bytes: usize) -> Bytes {
        self.random.bytes(bytes).into()
    }

    /// Sends a request, and asserts the status of its answer.
    pub(super) async fn send(&mut self, request: &Request, status: u16) -> Answer {
        let answer = self.client.send(request).await.expect("a node without faults answers");
        assert_eq!(answer.status, status, "{} {}: {}", request.method, request.path, answer.text());
        answer
    }

    pub(super) async fn get(&mut self, path: &str) {
        let answer = self.send(&Request::new("GET", path), 200).await;
        assert!(answer.body.len() >= STORED_BYTES, "{path} has its bytes");
    }

    pub(super) async fn put(&mut self, path: &str, bytes: usize) {
        let body = self.content(bytes);
        self.send(&Request::new("PUT", path).body(body), 200).await;
    }

    pub(super) async fn put_all(&mut self, paths: &[String], bytes: usize) {
        for path in paths {
            self.put(path, bytes).await;
        }
    }

    /// A whole multipart upload.
    pub(super) async fn upload(&mut self, path: &str, part_bytes: &[usize]) {
        let begin = Request::new("POST", path).query("uploads=".to_owned());
        let begun = self.send(&begin, 200).await.text();
        let (_, rest) = begun.split_once("<UploadId>").expect("an upload has an id");
        let (id, _) = rest.split_once('<').expect("an element ends");
        let mut list = String::new();
        for (nth, bytes) in part_bytes.iter().enumerate() {
            let number = nth + 1;
            let body = self.content(*bytes);
            let part = Request::new("PUT", path)
                .query(format!("partNumber={number}&uploadId={id}"))
                .body(body);
            let etag = self.send(&part, 200).await.etag().expect("a part has an ETag");
            write!(list, "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
                .expect("a string takes all");
        }
        let list = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        let end = Request::new("POST", path).query(format!("uploadId={id}")).body(list.into());
        self.send(&end, 200).await;
    }

    /// Stores enough that [`stored_key`]s are in tables.
    pub(super) async fn fill(&mut self) {
        for nth in 0..STORED_COUNT {
            self.put(&format!("/bucket/{}", stored_key(nth)), STORED_BYTES).await;
        }
        for nth in 0..FILLER_COUNT {
            self.put(&format!("/bucket/filler-{nth:06}"), FILLER_BYTES).await;
        }
    }

    /// Fills the store; returns paths in it, spread evenly, on either shard in turns.
    pub(super) async fn stored_paths(&mut self, count: usize) -> Vec<String> {
        self.fill().await;
        let stride = (STORED_COUNT / count / 3).min(STORED_COUNT / 100);
        let mut candidates = (0..STORED_COUNT).step_by(stride).map(stored_key);
        self.in_turns(count, &mut candidates).await
    }

    /// Paths that are new, on either shard in turns.
    pub(super) async fn new_paths(&mut self, count: usize) -> Vec<String> {
        let mut candidates = (0..100 * count).map(|nth| format!("new-{nth:06}"));
        self.in_turns(count, &mut candidates).await
    }

    /// Chooses paths so that every second one is on the shard of the connection.
    async fn in_turns(
        &mut self,
        count: usize,
        candidates: &mut impl Iterator<Item = String>,
    ) -> Vec<String> {
        let mut paths = Vec::new();
        for key in candidates {
            if paths.len() == count {
                break;
            }
            let path = format!("/bucket/{key}");
            if self.is_here(&path).await == paths.len().is_multiple_of(2) {
                paths.push(path);
            }
        }
        assert_eq!(paths.len(), count, "there are candidates enough on either shard");
        paths
    }

    /// Whether the object is on the shard of the connection: asking for it takes no message.
    async fn is_here(&mut self, path: &str) -> bool {
        let before = self.world.figures().message_count;
        let answer = self.client.send(&Request::new("HEAD", path)).await;
        assert!(answer.is_ok(), "a node without faults answers");
        self.world.figures().message_count == before
    }
}
