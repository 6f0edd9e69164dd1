//! The node as a whole, and which of its parts are there.

use super::{Family, Read, family, gauge};
use crate::shard::Phase;
use prometheus_client::metrics::MetricType;

/// The phases of a shard, by name.
const PHASES: [(Phase, &str); 4] = [
    (Phase::Starting, "starting"),
    (Phase::Serving, "serving"),
    (Phase::Draining, "draining"),
    (Phase::Failed, "failed"),
];

pub(super) static FAMILIES: [Family; 7] = [
    family(
        MetricType::Info,
        "build",
        "The release that runs.",
        Read::Node(|_, samples| samples.put_info(&[("version", env!("CARGO_PKG_VERSION"))])),
    ),
    gauge(
        "start_time",
        "When the process started, since 1970.",
        Read::Node(|node, samples| samples.put_milliseconds(node.started_ms)),
    )
    .in_seconds(),
    gauge(
        "memory_resident",
        "Memory that the process has.",
        Read::Node(|node, samples| {
            node.resident_bytes.iter().try_for_each(|bytes| samples.put(&[], *bytes))
        }),
    )
    .in_bytes(),
    gauge(
        "memory_budget",
        "Memory that the node was given, by the setting memory.",
        Read::Node(|node, samples| samples.put(&[], node.memory_bytes)),
    )
    .in_bytes(),
    gauge(
        "volume_failed",
        "1 where a data directory has failed; volume is its place in the order of the settings, from 1.",
        Read::Node(|node, samples| {
            for (volume, has_failed) in node.failed_volumes.iter().enumerate() {
                let volume = (volume + 1).to_string();
                samples.put(&[("volume", &volume)], u64::from(*has_failed))?;
            }
            Ok(())
        }),
    ),
    gauge(
        "shard_unanswered",
        "1 where a shard did not tell its figures in time and is left out of all others.",
        Read::Node(|node, samples| {
            for (shard, figures) in node.shards.iter().enumerate() {
                let is_missing = u64::from(figures.is_none());
                samples.put(&[("shard", &shard.to_string())], is_missing)?;
            }
            Ok(())
        }),
    ),
    gauge(
        "shard_phase",
        "1 for the phase that a shard is in, 0 for all others.",
        Read::Shards(|shard, samples| {
            for (phase, name) in &PHASES {
                samples.put(&[("phase", name)], u64::from(shard.phase == *phase))?;
            }
            Ok(())
        }),
    ),
];
