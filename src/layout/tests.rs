//! Data directories of which a node can't be made are refused.

use std::collections::BTreeSet;

use anode_disk::{segment::Class, volume::VolumeIdentity};
use anode_shards::ring::PLACEMENT_VERSION;

use super::Layout;

fn identity(placement: u32) -> VolumeIdentity {
    VolumeIdentity {
        cluster: 1,
        volume: 2,
        created_ms: 0,
        group_count: 8,
        node_shard_count: 1,
        volume_count: 1,
        volume_index: 0,
        placement,
        class: Class::OWN,
        classes: BTreeSet::new(),
        shards: vec![(7 << 32) | 1],
    }
}

#[test]
fn another_placement_is_refused_by_name() {
    let paths = ["/data".to_owned()];
    let layout_of = |placement| Layout::of(&[identity(placement)], &paths);
    assert_eq!(layout_of(PLACEMENT_VERSION).unwrap().shards.len(), 1);
    let refused = layout_of(PLACEMENT_VERSION - 1).unwrap_err();
    assert!(
        refused.starts_with("/data has placement version 0; this release reads 1"),
        "{refused}"
    );
}
