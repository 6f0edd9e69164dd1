//! Every bound of the node, with its unit last, checked against its neighbours when it is compiled.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

/// Where a node listens when nobody says otherwise.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9000);
/// What is logged when nobody says otherwise: openraft's own steps are of interest to its developers.
pub const LOG_FILTER_DEFAULT: &str = "info,openraft=warn";
/// The least memory a node runs in, in bytes.
pub const MEMORY_BYTES_MIN: u64 = 256 << 20;
/// How long requests under way may take after SIGTERM, in seconds.
pub const DRAIN_SECONDS_DEFAULT: u64 = 30;
/// Connections of a node.
pub const CONNECTION_COUNT_MAX: usize = 10_000;
/// Connections from one address; the loopback address is exempt, as a proxy beside the node would be.
pub const CONNECTION_PER_ADDRESS_COUNT_MAX: usize = 256;
/// How long a request's head may take to arrive, in seconds.
pub const HEAD_SECONDS_MAX: u64 = 10;
/// How long a connection may be idle between requests, in seconds.
pub const IDLE_SECONDS_MAX: u64 = 60;
/// How often an idle connection looks whether the node is to stop.
pub const IDLE_POLL: Duration = Duration::from_secs(1);
/// The slowest rate at which a body may arrive, in bytes a second, measured over [`BODY_WINDOW_SECONDS`].
pub const BODY_RATE_BYTES_MIN: u64 = 1024;
/// See [`BODY_RATE_BYTES_MIN`].
pub const BODY_WINDOW_SECONDS: u64 = 30;
/// How much is read from a connection at once, in bytes.
pub const READ_BYTES: usize = 64 << 10;
/// What is read and thrown away of a refused body to keep its connection, in bytes.
pub const DISCARD_BYTES_MAX: usize = 256 << 10;
/// An XML body, in bytes.
pub const XML_BODY_BYTES_MAX: usize = 4 << 20;
/// A single PUT or part, in bytes.
pub const PUT_BYTES_MAX: u64 = 5 << 30;
/// Parts that are asked for at once when an upload is completed.
pub const PART_PAGE_COUNT: usize = 1000;
/// How often a page of a listing that came short is asked for again.
pub const LIST_ROUND_COUNT_MAX: usize = 64;
/// Objects up to this size travel inside their command, in bytes.
pub const INLINE_BYTES_MAX: usize = 32 << 10;
/// The unit of larger objects, in bytes.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Chunks that a GET reads ahead of its client at first.
pub const READ_AHEAD_COUNT_MIN: usize = 1;
/// Chunks that a GET reads ahead of a client that takes them.
pub const READ_AHEAD_COUNT_MAX: usize = 8;
/// All GETs of a shard together read ahead one part in so many of its memory.
pub const READ_AHEAD_SHARE: u64 = 16;
/// Chunks of one PUT that are being written while the next is received.
pub const WRITE_BEHIND_COUNT: usize = 2;

/// How often a key service is asked for one key before the request is refused.
pub const KEY_SERVICE_ATTEMPTS_MAX: u32 = 3;
/// How long that may take in all.
pub const KEY_SERVICE_WAIT: Duration = Duration::from_secs(20);
/// Connections to it that a shard keeps while they are idle.
pub const KEY_SERVICE_CLIENTS_KEPT_MAX: usize = 8;
/// A key as a service has encrypted it, in bytes. KMS: `CiphertextBlob`.
pub const WRAPPED_KEY_BYTES_MAX: usize = 6144;
/// Keys of a file of master keys.
pub const MASTER_KEY_COUNT_MAX: usize = 1000;
/// The name of one, in bytes.
pub const MASTER_KEY_NAME_BYTES_MAX: usize = 256;

/// Commands of one shard that are being agreed on.
pub const PROPOSAL_COUNT_MAX: usize = 8192;
/// Signing keys that a shard keeps at hand.
pub const SIGNING_KEY_COUNT_MAX: usize = 1024;
/// Damage that was told and is remembered, in findings a shard.
pub const DAMAGE_TOLD_COUNT_MAX: usize = 4096;
/// How often a shard looks whether the others have recovered.
pub const START_POLL: Duration = Duration::from_millis(1);
/// How often a shard looks whether the node is to stop.
pub const STOP_POLL: Duration = Duration::from_millis(100);
/// What other shards get to finish before a drained shard stops, and storage to write its last batch.
pub const STOP_GRACE: Duration = Duration::from_millis(200);
/// What the groups of a failed volume get to end before they are left behind.
pub const OUTAGE_END_WAIT: Duration = Duration::from_secs(2);
/// How long a shard has to tell its figures before it is left out of the metrics.
pub const FIGURES_WAIT: Duration = Duration::from_secs(2);
/// What reading how much waits to be reclaimed may take of that.
pub const PENDING_WAIT: Duration = Duration::from_secs(1);
/// How long the reclaimer rests when there is nothing to free.
pub const RECLAIM_PAUSE: Duration = Duration::from_millis(100);
/// How long it rests between two steps: foreground requests go first.
pub const RECLAIM_STEP_PAUSE: Duration = Duration::from_millis(2);
/// How often a shard looks at the space of its volume: much sooner than its margin can be written.
pub const SPACE_POLL: Duration = Duration::from_millis(100);
/// How long writes wait from when a volume is short of space: upkeep may have some of what is dead back by then, and clients
/// take a refusal as final. After it they are refused, at once, until there is space again.
pub const SHORT_GRACE: Duration = Duration::from_secs(5);
/// How often the index is flushed while its volume is short of space, for the sake of what was deleted.
pub const SHORT_FLUSH_PERIOD: Duration = Duration::from_secs(2);
/// How often everything is read and verified when nobody says otherwise.
pub const SCRUB_PERIOD_DEFAULT: Duration = Duration::from_hours(7 * 24);
/// What scrub reads at most when nobody says otherwise, in bytes a second of a shard.
pub const SCRUB_RATE_DEFAULT: u64 = 32 << 20;
/// The least rate of scrub that may be set, in bytes a second.
pub const SCRUB_RATE_MIN: u64 = 64 << 10;
/// How often scrub looks whether its next pass is due, and whether the node is to stop.
pub const SCRUB_POLL: Duration = Duration::from_secs(1);
/// How often scrub makes durable how far it is.
pub const SCRUB_SAVE_PERIOD: Duration = Duration::from_secs(30);
/// How long scrub waits before it looks again whether requests are under way.
pub const SCRUB_YIELD: Duration = Duration::from_millis(1);
/// How often it does, before a step of a shard that is never idle.
pub const SCRUB_YIELD_COUNT_MAX: u32 = 50;
/// How often one pass looks through a group for the object that has a damaged chunk.
pub const SCRUB_SEARCH_COUNT_MAX: u32 = 64;
/// How often one pass looks through the chunks of a group for those that hold what is damaged.
pub const SCRUB_LOOK_COUNT_MAX: u32 = 256;
/// Chunks with the same damaged content that scrub names.
pub const SCRUB_USES_MAX: usize = 8;
/// How often lifecycle looks through the buckets that have rules, when nobody says otherwise.
pub const LIFECYCLE_PERIOD_DEFAULT: Duration = Duration::from_hours(1);
/// Policies of sessions that a shard keeps read; each has up to 2 KiB.
pub const SESSION_POLICIES_CACHED_MAX: usize = 256;
/// How often buckets with a quota are looked at.
pub const QUOTA_PERIOD: Duration = Duration::from_secs(10);
/// How often the log tells of a bucket that writes are refused for.
pub const QUOTA_SAID_PERIOD: Duration = Duration::from_mins(10);
/// How often a write asks for room within the quota of its bucket, where others take it each time.
pub const QUOTA_ATTEMPTS_MAX: usize = 32;
/// How often it is asked whether that is due, and whether the node is to stop.
pub const QUOTA_POLL: Duration = Duration::from_secs(1);
/// How often it looks whether its next pass is due, and whether the node is to stop.
pub const LIFECYCLE_POLL: Duration = Duration::from_secs(1);
/// How long it waits between two pages: a pass takes its time, and requests don't feel it.
pub const LIFECYCLE_PAUSE: Duration = Duration::from_millis(5);
/// Versions or uploads that it looks at in one step, and deletes with one command at most.
pub const LIFECYCLE_PAGE: usize = 100;

/// How long a request to another server may take until its answer is there whole.
pub const OUTBOUND_WAIT: Duration = Duration::from_secs(10);
/// How long one of its addresses may take to accept a connection.
pub const OUTBOUND_CONNECT_WAIT: Duration = Duration::from_secs(3);
/// Addresses of a server that are tried.
pub const OUTBOUND_ADDRESS_COUNT_MAX: usize = 3;
/// Look-ups of names that a shard has under way.
pub const OUTBOUND_LOOKUP_COUNT_MAX: usize = 64;
/// Interim answers (100 to 199) before the one that counts.
pub const OUTBOUND_INTERIM_COUNT_MAX: usize = 8;
/// The body of an answer, in bytes.
pub const OUTBOUND_BODY_BYTES_MAX: usize = 1 << 20;
/// How long to wait before a failed request is sent again, at first.
pub const OUTBOUND_RETRY_MIN: Duration = Duration::from_millis(500);
/// How long at most.
pub const OUTBOUND_RETRY_MAX: Duration = Duration::from_secs(30);

/// Providers of `OpenID` Connect whose keys a shard keeps.
pub const PROVIDER_COUNT_MAX: usize = 256;
/// How long the keys of a provider are taken for its keys.
pub const PROVIDER_KEYS_WAIT: Duration = Duration::from_hours(1);
/// How long they are where the provider can't be asked any more.
pub const PROVIDER_KEYS_WAIT_MAX: Duration = Duration::from_hours(24);
/// How long a provider is left alone between two questions for its keys, whatever tokens name.
pub const PROVIDER_PAUSE: Duration = Duration::from_secs(10);

/// Targets of notifications.
pub const TARGET_COUNT_MAX: usize = 64;
/// Events that a group keeps for a target, when nobody says otherwise.
pub const EVENT_QUEUE_COUNT_DEFAULT: u64 = 100_000;
/// How often it is looked whether the node is to stop while there are no events.
pub const EVENT_POLL: Duration = Duration::from_secs(1);
/// Events that are delivered before it is agreed on that they were.
pub const EVENT_RUN_COUNT_MAX: usize = 100;
/// How long that may take: what was delivered and not agreed on is delivered again after a crash.
pub const EVENT_RUN_WAIT: Duration = Duration::from_secs(1);
/// How long a target may answer an event with nothing but 4xx before the event is dropped: long enough to mend a target that was
/// set up wrong, and no event keeps those behind it waiting for good.
pub const EVENT_REJECTED_WAIT: Duration = Duration::from_hours(1);
/// How often it is said that a target can't be reached, or that events were dropped.
pub const EVENT_LOG_PERIOD: Duration = Duration::from_mins(5);

const _: () = assert!(0 < READ_AHEAD_COUNT_MIN && READ_AHEAD_COUNT_MIN <= READ_AHEAD_COUNT_MAX);
const _: () = assert!(
    PROVIDER_PAUSE.as_secs() < PROVIDER_KEYS_WAIT.as_secs()
        && PROVIDER_KEYS_WAIT.as_secs() < PROVIDER_KEYS_WAIT_MAX.as_secs()
);
const _: () = assert!(SCRUB_RATE_MIN <= SCRUB_RATE_DEFAULT);
const _: () =
    assert!(INLINE_BYTES_MAX < CHUNK_BYTES, "what is not inline fills a chunk or its part");
const _: () = assert!(
    PENDING_WAIT.as_millis() < FIGURES_WAIT.as_millis(),
    "a sick device hides nothing else"
);
const _: () = assert!(READ_BYTES <= CHUNK_BYTES, "a read fits in a chunk");

/// The machine's memory, or this process's cgroup limit where that is lower, in bytes.
pub fn machine_memory_bytes() -> u64 {
    let total = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| meminfo_total(&text));
    let total = total.unwrap_or(MEMORY_BYTES_MIN * 4);
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = limit.and_then(|text| text.trim().parse::<u64>().ok());
    limit.map_or(total, |limit| limit.min(total))
}

fn meminfo_total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read_from_meminfo() {
        assert_eq!(
            meminfo_total("MemTotal:       24589012 kB\nMemFree: 1 kB"),
            Some(24_589_012 << 10)
        );
        assert_eq!(meminfo_total("MemFree: 1 kB"), None);
        assert!(machine_memory_bytes() > MEMORY_BYTES_MIN);
    }
}
