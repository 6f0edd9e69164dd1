//! A simulated node of one shard with one client, for tests of what the node does and costs.

use std::rc::Rc;

use anode_disk::{storage::StorageOptions, testing::SimDisk};
use bytes::Bytes;

use super::{
    World,
    client::{Client, Request},
    host::SimRuntime,
    network::Network,
    node::{NodeOptions, SimNode},
};
use crate::{credentials::Credentials, notification::Targets, scrub::ScrubPlan};

/// What a test decides of its node.
pub(crate) struct RigOptions {
    pub(crate) memory_bytes: u64,
    pub(crate) scrub: Option<ScrubPlan>,
    pub(crate) storage: StorageOptions,
}

/// A node that serves, with an empty `/bucket`.
pub(crate) struct Rig {
    pub(crate) world: World,
    pub(crate) node: SimNode,
    pub(crate) client: Client,
}

impl Rig {
    /// Runs a scenario in a world of its own.
    pub(crate) fn run(options: RigOptions, scenario: impl AsyncFnOnce(&mut Self)) {
        let world = World::new(1);
        let _before = anode_shards::raft::runtime::install(Rc::new(SimRuntime(world.clone())));
        world.run(async { scenario(&mut Self::serving(&world, options).await).await });
    }

    /// The same on a disk with a node's volume; what it says where it doesn't start.
    pub(crate) fn run_on(
        options: RigOptions,
        disk: SimDisk,
        scenario: impl AsyncFnOnce(Result<Self, String>),
    ) {
        let world = World::new(1);
        let _before = anode_shards::raft::runtime::install(Rc::new(SimRuntime(world.clone())));
        world.run(async { scenario(Self::started(&world, options, disk).await).await });
    }

    async fn serving(world: &World, options: RigOptions) -> Self {
        let mut rig = Self::started(world, options, SimDisk::new(1)).await.unwrap();
        rig.put("/bucket", Vec::new()).await;
        rig
    }

    async fn started(world: &World, options: RigOptions, disk: SimDisk) -> Result<Self, String> {
        let network = Network::new(world);
        let credentials =
            Credentials { access_key: "KEY".to_owned(), secret_key: "some secret".to_owned() };
        let options = NodeOptions {
            number: 0,
            shard_count: 1,
            volume_count: 1,
            memory_bytes: options.memory_bytes,
            credentials: Some(credentials.clone()),
            scrub: options.scrub,
            targets: Targets::default(),
            storage: options.storage,
            disk_seed: 1,
        };
        let node = SimNode::on(world, &network, disk, options);
        node.start();
        node.serving().await?;
        let client = Client::new(world, &network, node.address(), &credentials);
        Ok(Self { world: world.clone(), node, client })
    }

    pub(crate) async fn put(&mut self, path: &str, body: Vec<u8>) {
        let request = Request::new("PUT", path).body(Bytes::from(body));
        assert_eq!(self.client.send(&request).await.unwrap().status, 200, "{path}");
    }
}
