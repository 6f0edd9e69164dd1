//! What a shard keeps on its volume, and the work that this takes.

use std::fmt;

use anode_disk::{index::CacheFigures, scrub::Stage};

use super::{Family, Read, Samples, counter, gauge};
use crate::{
    metrics::figures::{ScrubFigures, StorageFigures},
    notification::TargetFigures,
};
use anode_shards::{
    group::GroupFigures,
    state::{PendingDelete, Usage},
};

pub(super) static FAMILIES: [Family; 81] = [
    // The write-ahead log.
    gauge(
        "wal_held",
        "Bytes of the log's segments in use.",
        Read::Storages(|storage, samples| samples.put(&[], storage.wal.bytes_held)),
    )
    .in_bytes(),
    gauge(
        "wal_segments",
        "Segments of the log in use.",
        Read::Storages(|storage, samples| samples.put(&[], storage.wal.segment_count as u64)),
    ),
    gauge(
        "wal_spare_segments",
        "Segments of the log that wait to be used again.",
        Read::Storages(|storage, samples| samples.put(&[], storage.wal.spare_count as u64)),
    ),
    counter(
        "wal_batches",
        "Batches that were written to the log, each by one write.",
        Read::Storages(|storage, samples| samples.put(&[], storage.wal.batches_written)),
    ),
    counter(
        "wal_records",
        "Records in the batches that were written to the log.",
        Read::Storages(|storage, samples| samples.put(&[], storage.wal.records_written)),
    ),
    counter(
        "wal_written",
        "Bytes of the batches that were written to the log.",
        Read::Storages(|storage, samples| samples.put(&[], storage.wal.bytes_written)),
    )
    .in_bytes(),
    counter(
        "wal_reads",
        "Reads of the log from the device, recovery left out.",
        Read::Storages(|storage, samples| samples.put(&[], storage.wal.reads)),
    ),
    gauge(
        "wal_queue",
        "Bytes of records that wait for the next batch.",
        Read::Storages(|storage, samples| samples.put(&[], storage.wal.queue_bytes as u64)),
    )
    .in_bytes(),
    gauge(
        "wal_cache",
        "Bytes of recent records of the log in memory.",
        Read::Storages(|storage, samples| samples.put(&[], storage.wal.cache_bytes as u64)),
    )
    .in_bytes(),
    gauge(
        "space_short",
        "1 while so little is free on the volume that writes wait, or are refused by 507.",
        Read::Storages(|storage, samples| samples.put(&[], u64::from(storage.reserve.is_short))),
    ),
    gauge(
        "space_free",
        "Bytes that are free on the volume of the shard, which other shards may share.",
        Read::Storages(|storage, samples| samples.put(&[], storage.reserve.capacity.free_bytes)),
    )
    .in_bytes(),
    gauge(
        "space_capacity",
        "Bytes of the volume of the shard, which other shards may share.",
        Read::Storages(|storage, samples| samples.put(&[], storage.reserve.capacity.total_bytes)),
    )
    .in_bytes(),
    gauge(
        "space_reserve",
        "Bytes that the shard keeps back to empty a full volume; 0 while they are given up.",
        Read::Storages(|storage, samples| samples.put(&[], storage.reserve.held_bytes)),
    )
    .in_bytes(),
    // The index.
    gauge(
        "index_memtable",
        "Bytes of memtables, of the one that takes writes and of those being flushed.",
        Read::Storages(|storage, samples| samples.put(&[], storage.index.memtable_bytes as u64)),
    )
    .in_bytes(),
    gauge(
        "index_tables",
        "Tables of the index, by level.",
        Read::Storages(|storage, samples| {
            levels(samples, storage.index.level_tables.iter().map(|count| *count as u64))
        }),
    ),
    gauge(
        "index_table",
        "Bytes of tables of the index, by level.",
        Read::Storages(|storage, samples| {
            levels(samples, storage.index.level_bytes.iter().copied())
        }),
    )
    .in_bytes(),
    gauge(
        "index_entries",
        "Entries of all tables, those included that newer ones hide.",
        Read::Storages(|storage, samples| samples.put(&[], storage.index.entry_count)),
    ),
    gauge(
        "index_tombstones",
        "Tombstones among the entries of tables.",
        Read::Storages(|storage, samples| samples.put(&[], storage.index.tombstone_count)),
    ),
    counter(
        "index_flushes",
        "Flushes of the memtables into tables.",
        Read::Storages(|storage, samples| samples.put(&[], storage.index.flushes)),
    ),
    counter(
        "index_flushed",
        "Bytes of tables that flushes wrote.",
        Read::Storages(|storage, samples| samples.put(&[], storage.index.flushed_bytes)),
    )
    .in_bytes(),
    counter(
        "index_compactions",
        "Compactions that wrote tables.",
        Read::Storages(|storage, samples| samples.put(&[], storage.index.compactions)),
    ),
    counter(
        "index_compacted",
        "Bytes of tables that compactions wrote.",
        Read::Storages(|storage, samples| samples.put(&[], storage.index.compacted_bytes)),
    )
    .in_bytes(),
    counter(
        "index_relocated",
        "Bytes that were moved between data segments to empty some.",
        Read::Storages(|storage, samples| samples.put(&[], storage.index.relocated_bytes)),
    )
    .in_bytes(),
    counter(
        "index_reads",
        "Reads of tables from the device.",
        Read::Storages(|storage, samples| samples.put(&[], storage.index.table_reads)),
    ),
    counter(
        "index_filter_checks",
        "Questions to filters of tables whether a key may be there.",
        Read::Storages(|storage, samples| samples.put(&[], storage.index.filter_checks)),
    ),
    counter(
        "index_filter_skips",
        "Tables that a filter saved from being read.",
        Read::Storages(|storage, samples| samples.put(&[], storage.index.filter_skips)),
    ),
    gauge(
        "index_damaged_tables",
        "Tables that compaction could not read and leaves as they are.",
        Read::Storages(|storage, samples| {
            samples.put(&[], storage.index.damaged_tables.len() as u64)
        }),
    ),
    gauge(
        "index_damaged_segments",
        "Data segments with bytes that could not be read when they were to be moved.",
        Read::Storages(|storage, samples| {
            samples.put(&[], storage.index.damaged_segments.len() as u64)
        }),
    ),
    // Caches.
    gauge(
        "block_cache",
        "Bytes in the cache of blocks of tables.",
        Read::Storages(|storage, samples| samples.put(&[], storage.index.cache_bytes as u64)),
    )
    .in_bytes(),
    counter(
        "block_cache_hits",
        "Blocks that were found in the cache, by what they were for.",
        Read::Storages(|storage, samples| {
            block_cache(storage, samples, |figures| figures.hit_count)
        }),
    ),
    counter(
        "block_cache_misses",
        "Blocks that were not found in the cache, by what they were for.",
        Read::Storages(|storage, samples| {
            block_cache(storage, samples, |figures| figures.miss_count)
        }),
    ),
    gauge(
        "chunk_cache",
        "Bytes in the cache of whole chunks of objects.",
        Read::Storages(|storage, samples| samples.put(&[], storage.chunk_cache_bytes as u64)),
    )
    .in_bytes(),
    counter(
        "chunk_cache_hits",
        "Chunks that were found in the cache.",
        Read::Storages(|storage, samples| samples.put(&[], storage.chunk_cache.hit_count)),
    ),
    counter(
        "chunk_cache_misses",
        "Chunks that were not found in the cache.",
        Read::Storages(|storage, samples| samples.put(&[], storage.chunk_cache.miss_count)),
    ),
    // Data segments.
    gauge(
        "segments",
        "Data segments.",
        Read::Storages(|storage, samples| samples.put(&[], storage.segments.segment_count)),
    ),
    gauge(
        "segment_held",
        "Bytes that data segments take on the device.",
        Read::Storages(|storage, samples| samples.put(&[], storage.segments.bytes)),
    )
    .in_bytes(),
    gauge(
        "segment_live",
        "Bytes of data segments that tables refer to.",
        Read::Storages(|storage, samples| samples.put(&[], storage.segments.live_bytes)),
    )
    .in_bytes(),
    gauge(
        "segment_pinned",
        "Bytes of data segments that memory refers to.",
        Read::Storages(|storage, samples| samples.put(&[], storage.segments.pinned_bytes)),
    )
    .in_bytes(),
    gauge(
        "segment_needed",
        "Bytes of data segments that are needed: live and pinned, less what tombstones let go of.",
        Read::Storages(|storage, samples| samples.put(&[], storage.space.needed_bytes)),
    )
    .in_bytes(),
    counter(
        "segment_reads",
        "Reads of data segments from the device.",
        Read::Storages(|storage, samples| samples.put(&[], storage.segments.read_count)),
    ),
    counter(
        "segment_read",
        "Bytes of data segments that were read from the device.",
        Read::Storages(|storage, samples| samples.put(&[], storage.segments.read_bytes)),
    )
    .in_bytes(),
    counter(
        "segment_writes",
        "Writes of data segments to the device.",
        Read::Storages(|storage, samples| samples.put(&[], storage.segments.write_count)),
    ),
    counter(
        "segment_written",
        "Bytes of data segments that were written to the device.",
        Read::Storages(|storage, samples| samples.put(&[], storage.segments.write_bytes)),
    )
    .in_bytes(),
    counter(
        "segment_flushes",
        "Flushes of data segments.",
        Read::Storages(|storage, samples| samples.put(&[], storage.segments.flush_count)),
    ),
    // What waits to be reclaimed.
    gauge(
        "pending_delete_bodies",
        "Bodies of removed and replaced objects whose chunks wait to be reclaimed.",
        Read::Storages(|storage, samples| pending(storage, samples, |pending| pending.bodies)),
    ),
    gauge(
        "pending_delete",
        "Bytes of chunks that wait to be reclaimed.",
        Read::Storages(|storage, samples| pending(storage, samples, |pending| pending.bytes)),
    )
    .in_bytes(),
    gauge(
        "pending_delete_age",
        "How long the oldest of what waits to be reclaimed has waited; 0 where nothing does.",
        Read::Storages(|storage, samples| {
            let Some(pending) = &storage.pending else { return Ok(()) };
            let oldest_ms = pending.oldest_ms.unwrap_or(storage.at_ms);
            samples.put_milliseconds(storage.at_ms.saturating_sub(oldest_ms))
        }),
    )
    .in_seconds(),
    // What is in the buckets.
    gauge(
        "objects",
        "Objects in all buckets.",
        Read::Storages(|storage, samples| usage(storage, samples, |usage| usage.objects)),
    ),
    gauge(
        "versions",
        "Versions in all buckets, those of the objects included.",
        Read::Storages(|storage, samples| usage(storage, samples, |usage| usage.versions)),
    ),
    gauge(
        "delete_markers",
        "Delete markers in all buckets.",
        Read::Storages(|storage, samples| usage(storage, samples, |usage| usage.markers)),
    ),
    gauge(
        "versions_held",
        "Bytes of all versions, as clients see them: chunks that are stored once count as often as they are in one.",
        Read::Storages(|storage, samples| usage(storage, samples, |usage| usage.bytes)),
    )
    .in_bytes(),
    gauge(
        "uploads_held",
        "Bytes of the parts of unfinished uploads.",
        Read::Storages(|storage, samples| usage(storage, samples, |usage| usage.part_bytes)),
    )
    .in_bytes(),
    gauge(
        "buckets_over_quota",
        "Buckets that hold more than their soft quota; of the shard that looks after that.",
        Read::Storages(|storage, samples| {
            let count = storage.over_quota_count.and_then(|count| u64::try_from(count).ok());
            count.iter().try_for_each(|count| samples.put(&[], *count))
        }),
    ),
    counter(
        "quota_refusals",
        "Writes that were refused because their bucket has reached its hard quota.",
        Read::Storages(|storage, samples| samples.put(&[], storage.quotas.refusals)),
    ),
    counter(
        "quota_rounds",
        "Rounds in which the room of a hard quota was dealt out to the groups.",
        Read::Storages(|storage, samples| samples.put(&[], storage.quotas.rounds)),
    ),
    // Lifecycle.
    counter(
        "lifecycle_passes",
        "Passes of lifecycle over the buckets that have rules.",
        Read::Storages(|storage, samples| samples.put(&[], storage.lifecycle.passes)),
    ),
    counter(
        "lifecycle_expired_objects",
        "Objects that lifecycle deleted, or hid where the bucket keeps versions.",
        Read::Storages(|storage, samples| samples.put(&[], storage.lifecycle.expired)),
    ),
    counter(
        "lifecycle_removed_versions",
        "Versions and delete markers that lifecycle removed.",
        Read::Storages(|storage, samples| samples.put(&[], storage.lifecycle.removed)),
    ),
    counter(
        "lifecycle_aborted_uploads",
        "Unfinished uploads that lifecycle ended.",
        Read::Storages(|storage, samples| samples.put(&[], storage.lifecycle.aborted)),
    ),
    // Notifications.
    gauge(
        "notification_queued_events",
        "Events that wait for a target.",
        Read::Storages(|storage, samples| targets(storage, samples, |target| target.queued)),
    ),
    gauge(
        "notification_oldest_event_age",
        "How long ago the event happened that waits longest for a target; absent while none waits.",
        Read::Storages(|storage, samples| {
            for (name, target) in storage.targets.iter().flatten() {
                let Some(oldest_ms) = target.oldest_ms else { continue };
                let age_ms = storage.at_ms.saturating_sub(oldest_ms);
                samples.put_milliseconds_with(&[("target", name)], age_ms)?;
            }
            Ok(())
        }),
    )
    .in_seconds(),
    counter(
        "notification_delivered_events",
        "Events that a target took.",
        Read::Storages(|storage, samples| {
            targets(storage, samples, |target| target.work.delivered)
        }),
    ),
    counter(
        "notification_failed_attempts",
        "Attempts to deliver an event that failed and are made again.",
        Read::Storages(|storage, samples| targets(storage, samples, |target| target.work.failed)),
    ),
    counter(
        "notification_dropped_events",
        "Events that found no room among those that wait for a target, since ever.",
        Read::Storages(|storage, samples| targets(storage, samples, |target| target.dropped)),
    ),
    counter(
        "notification_forgotten_events",
        "Events that were recorded and are not told any more, as their rule or the target is gone.",
        Read::Storages(|storage, samples| {
            targets(storage, samples, |target| target.work.forgotten)
        }),
    ),
    counter(
        "notification_rejected_events",
        "Events that were dropped, as their target had answered them with 4xx for an hour.",
        Read::Storages(|storage, samples| targets(storage, samples, |target| target.work.rejected)),
    ),
    // Scrub. Nothing of it is shown where it is turned off.
    counter(
        "scrub_read",
        "Bytes that scrub read and verified.",
        Read::Storages(|storage, samples| {
            scrub(storage, |scrub| samples.put(&[], scrub.work.bytes))
        }),
    )
    .in_bytes(),
    counter(
        "scrub_findings",
        "Damage that scrub found; what a later pass finds again counts again.",
        Read::Storages(|storage, samples| {
            scrub(storage, |scrub| samples.put(&[], scrub.work.finding_count))
        }),
    ),
    counter(
        "scrub_passes",
        "Passes of scrub that began; goes on after a restart.",
        Read::Storages(|storage, samples| {
            scrub(storage, |scrub| samples.put(&[], scrub.progress.pass))
        }),
    ),
    gauge(
        "scrub_under_way",
        "1 while a pass of scrub is under way.",
        Read::Storages(|storage, samples| {
            scrub(storage, |scrub| {
                samples.put(&[], u64::from(scrub.progress.stage != Stage::Between))
            })
        }),
    ),
    gauge(
        "scrub_pass_read",
        "Bytes that the last pass of scrub has read so far.",
        Read::Storages(|storage, samples| {
            scrub(storage, |scrub| samples.put(&[], scrub.progress.bytes))
        }),
    )
    .in_bytes(),
    gauge(
        "scrub_pass_expected",
        "About what a pass of scrub reads.",
        Read::Storages(|storage, samples| {
            scrub(storage, |scrub| samples.put(&[], scrub.pass_bytes))
        }),
    )
    .in_bytes(),
    gauge(
        "scrub_pass_findings",
        "Damage that the last pass of scrub has found so far.",
        Read::Storages(|storage, samples| {
            scrub(storage, |scrub| samples.put(&[], scrub.progress.finding_count))
        }),
    ),
    gauge(
        "scrub_began_timestamp",
        "When the last pass of scrub began, since 1970; 0 before the first.",
        Read::Storages(|storage, samples| {
            scrub(storage, |scrub| samples.put_milliseconds(scrub.progress.began_ms))
        }),
    )
    .in_seconds(),
    gauge(
        "scrub_ended_timestamp",
        "When the last whole pass of scrub ended, since 1970; 0 before the first.",
        Read::Storages(|storage, samples| {
            scrub(storage, |scrub| samples.put_milliseconds(scrub.progress.ended_ms))
        }),
    )
    .in_seconds(),
    // Groups.
    gauge(
        "group_leads",
        "1 where the shard leads the group.",
        Read::Storages(|storage, samples| {
            groups(storage, samples, |group| u64::from(group.is_leader))
        }),
    ),
    gauge(
        "group_failed",
        "1 where the group has stopped by a failure.",
        Read::Storages(|storage, samples| {
            groups(storage, samples, |group| u64::from(group.failure.is_some()))
        }),
    ),
    gauge(
        "group_term",
        "The term of the group.",
        Read::Storages(|storage, samples| groups(storage, samples, |group| group.term)),
    ),
    gauge(
        "group_log_index",
        "Index of the last entry of the group's log.",
        Read::Storages(|storage, samples| {
            groups(storage, samples, |group| group.log_index.unwrap_or_default())
        }),
    ),
    gauge(
        "group_applied_index",
        "Index of the last entry of the group's log that was applied.",
        Read::Storages(|storage, samples| {
            groups(storage, samples, |group| group.applied_index.unwrap_or_default())
        }),
    ),
    gauge(
        "group_purged_index",
        "Index of the last entry of the group's log that was purged.",
        Read::Storages(|storage, samples| {
            groups(storage, samples, |group| group.purged_index.unwrap_or_default())
        }),
    ),
];

/// A sample a target of notifications.
fn targets(
    storage: &StorageFigures,
    samples: &mut Samples<'_>,
    value: fn(&TargetFigures) -> u64,
) -> fmt::Result {
    let targets = storage.targets.iter().flatten();
    targets
        .map(|(name, target)| (name, value(target)))
        .try_for_each(|(name, value)| samples.put(&[("target", name)], value))
}

fn levels(samples: &mut Samples<'_>, values: impl Iterator<Item = u64>) -> fmt::Result {
    for (level, value) in values.enumerate() {
        samples.put(&[("level", &level.to_string())], value)?;
    }
    Ok(())
}

fn block_cache(
    storage: &StorageFigures,
    samples: &mut Samples<'_>,
    count: impl Fn(&CacheFigures) -> u64,
) -> fmt::Result {
    let index = &storage.index;
    let uses = [
        ("metadata", &index.metadata_cache),
        ("point", &index.point_cache),
        ("scan", &index.scan_cache),
        ("payload", &index.payload_cache),
    ];
    uses.into_iter().try_for_each(|(name, figures)| samples.put(&[("use", name)], count(figures)))
}

fn usage(
    storage: &StorageFigures,
    samples: &mut Samples<'_>,
    value: impl Fn(&Usage) -> u64,
) -> fmt::Result {
    storage.usage.iter().try_for_each(|usage| samples.put(&[], value(usage)))
}

fn pending(
    storage: &StorageFigures,
    samples: &mut Samples<'_>,
    value: impl Fn(&PendingDelete) -> u64,
) -> fmt::Result {
    storage.pending.iter().try_for_each(|pending| samples.put(&[], value(pending)))
}

fn scrub(storage: &StorageFigures, put: impl FnOnce(&ScrubFigures) -> fmt::Result) -> fmt::Result {
    storage.scrub.as_ref().map_or(Ok(()), put)
}

fn groups(
    storage: &StorageFigures,
    samples: &mut Samples<'_>,
    value: impl Fn(&GroupFigures) -> u64,
) -> fmt::Result {
    for (group, figures) in &storage.groups {
        samples.put(&[("group", &group.to_string())], value(figures))?;
    }
    Ok(())
}
