//! What clients asked for, and how long they waited.
//!
//! An operation appears on a shard with its first request, with all its classes of status.

use prometheus_client::metrics::MetricType;

use super::{Family, Read, counter, family, gauge};
use crate::metrics::{
    counts::{CLASSES, Counted, OperationFigures},
    figures::ShardFigures,
};

pub(super) static FAMILIES: [Family; 9] = [
    counter(
        "requests",
        "Requests that were answered, by S3's name of the operation and class of status.",
        Read::Shards(|shard, samples| {
            for (operation, figures) in seen(shard) {
                for (status, count) in CLASSES.into_iter().zip(figures.classes) {
                    samples.put(&[("operation", operation), ("status", status)], count)?;
                }
            }
            Ok(())
        }),
    ),
    family(
        MetricType::Histogram,
        "request",
        "From the last byte of a request's head to the first of its response, the time in which a body is sent included.",
        Read::Shards(|shard, samples| {
            for (operation, figures) in seen(shard) {
                samples.put_histogram(&[("operation", operation)], figures)?;
            }
            Ok(())
        }),
    )
    .in_seconds(),
    counter(
        "responses_cut",
        "Responses that ended before their last byte: the client went away, or reading failed.",
        Read::Shards(|shard, samples| samples.put(&[], shard.requests.cut_count)),
    ),
    counter(
        "received",
        "Bytes read from connections, heads and bodies, after decryption.",
        Read::Shards(|shard, samples| samples.put(&[], shard.requests.received_bytes)),
    )
    .in_bytes(),
    counter(
        "sent",
        "Bytes written to connections, heads and bodies, before encryption.",
        Read::Shards(|shard, samples| samples.put(&[], shard.requests.sent_bytes)),
    )
    .in_bytes(),
    gauge(
        "connections_open",
        "Connections that are open.",
        Read::Shards(|shard, samples| samples.put(&[], shard.connection_count as u64)),
    ),
    counter(
        "connections_refused",
        "Connections that were closed at once because there were too many.",
        Read::Shards(|shard, samples| samples.put(&[], shard.requests.refused_count)),
    ),
    counter(
        "connections_admitted",
        "Connections that were taken.",
        Read::Shards(|shard, samples| samples.put(&[], shard.requests.admitted_count)),
    ),
    gauge(
        "proposals_waiting",
        "Commands that groups of the shard are agreeing on; too many are answered by 503 SlowDown.",
        Read::Storages(|storage, samples| samples.put(&[], storage.proposal_count as u64)),
    ),
];

/// The operations that a shard was asked for, by name.
fn seen(shard: &ShardFigures) -> impl Iterator<Item = (&'static str, &OperationFigures)> {
    let all = Counted::names().into_iter().zip(shard.requests.operations.iter());
    all.filter(|(_, figures)| figures.count() > 0)
}
