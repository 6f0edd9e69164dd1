use std::sync::Arc;

use anode_disk::{storage::StorageOptions, testing::SimDisk};
use anode_net::s3::configuration::ownership::Ownership;
use anode_shards::group::Timing;

use super::*;
use crate::{
    config::Websites,
    encryption::MasterKeys,
    iam::records::Account,
    layout::Layout,
    metrics::Exposure,
    notification::Targets,
    shard::{Phase, Settings},
    sim::{World, host::SimHost, network::Network},
};

/// The first of two shards; whether the second one takes messages is up to the test.
fn shards(world: &World) -> Vec<Shard<SimHost>> {
    let settings = Arc::new(Settings {
        volumes: vec!["/one".to_owned(), "/two".to_owned()],
        classes: Vec::new(),
        listen: "127.0.0.1:9000".parse().unwrap(),
        memory_bytes: 1 << 28,
        region: None,
        domain: None,
        website: Websites::default(),
        object_ownership: Ownership::default(),
        tls: false,
        drain_seconds: 1,
        credentials: None,
        master_keys: MasterKeys::default(),
        plain_customer_keys: Exposure::default(),
        scrub: None,
        lifecycle_period: None,
        targets: Targets::default(),
        key_service: None,
        trust: None,
        metrics: Exposure::All,
        started_ms: 42,
        timing: Timing::default(),
        storage: StorageOptions::default(),
    });
    let layout = Layout { cluster: 1, group_count: 8, shards: vec![(1, 0), (2, 1)], is_new: true };
    let hosts = SimHost::node(world, &Network::new(world), &SimDisk::new(1), 0, 2);
    let shard = |host: SimHost| {
        let known = (layout.shards.as_slice(), Account::first(layout.cluster));
        Shard::new(host, Arc::clone(&settings), layout.ring().unwrap(), known)
    };
    hosts.into_iter().map(shard).collect()
}

#[test]
fn a_shard_that_does_not_answer_is_left_out_and_holds_nobody_up() {
    let world = World::new(1);
    world.clone().run(async move {
        let shards = shards(&world);
        let asked_at = world.now();
        let node = gather(&shards[0]).await;
        let waited = std::time::Duration::from_nanos(world.now() - asked_at);
        assert_eq!(waited, limits::FIGURES_WAIT);
        let own = node.shards[0].as_ref().unwrap();
        assert_eq!((own.phase.clone(), own.storage.is_none()), (Phase::Starting, true));
        assert!(node.shards[1].is_none());
        assert_eq!((node.failed_volumes, node.started_ms), (vec![false, false], 42));
        assert!(shards[0].surveys().waiting.borrow().is_empty(), "nothing is left behind");
        // Nobody waits for what comes late.
        shards[0].surveys().take(0, Box::new(shards[1].figures().await));
    });
}

#[test]
fn each_shard_tells_its_own_figures() {
    let world = World::new(1);
    world.clone().run(async move {
        let shards = shards(&world);
        shards[1].counts().received(700);
        for shard in &shards {
            let taking = shard.clone();
            shard.host().spawn("mesh", crate::node::receive(taking, std::rc::Rc::default()));
        }
        let asked_at = world.now();
        let node = gather(&shards[0]).await;
        assert!(world.now() - asked_at < 1_000_000, "it waits for answers, not for the clock");
        let received: Vec<u64> =
            node.answered().map(|(_, figures)| figures.requests.received_bytes).collect();
        assert_eq!(received, [0, 700]);
    });
}
