//! What one request of each kind costs a node, counted: the same in every process, on every machine.
//!
//! A node of two shards serves one client in a steady world (`World::steady`), each kind of request in a world of its
//! own, so that kinds don't depend on each other. Warmed up, everything that the tasks of the node do meanwhile is
//! counted, upkeep included, and averaged. Every second object is on the shard of the connection, the others a message
//! away.
//!
//! What it does not count: time, instructions, bytes copied, system calls, and what the device, the network and the
//! executor allocate for themselves, which are simulated.

mod baseline;
mod stage;

use std::{collections::BTreeSet, time::Duration};

use anode_disk::testing::DiskFigures;

pub use baseline::{Baseline, Change, Finding};
use stage::Stage;

use super::{client::Request, executor::TaskFigures};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// The parts of the multipart upload, in bytes.
const PART_BYTES: [usize; 2] = [5 * MIB, MIB];
/// Requests before those that are counted.
const WARM_UP_COUNT: usize = 8;
/// Objects that are read again and again where all is to be cached: few enough for any cache, on either shard.
const CACHED_COUNT: usize = 8;
/// Keys of a page.
const PAGE_KEY_COUNT: usize = 1000;
/// By so many keys the pages that are asked for are apart.
const PAGE_STRIDE: usize = 301;

/// How many figures there are of an operation.
pub const FIGURE_COUNT: usize = 9;
/// The figures of an operation.
pub const FIGURE_NAMES: [&str; FIGURE_COUNT] = [
    "allocations",
    "allocated_bytes",
    "polls",
    "messages",
    "device_reads",
    "device_read_bytes",
    "device_writes",
    "device_written_bytes",
    "flushes",
];

/// What one operation costs on average, in the order of [`FIGURE_NAMES`].
pub type Cost = [f64; FIGURE_COUNT];

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// PUT of 1 KiB under a new key.
    PutSmall,
    /// The same, with `If-None-Match: *`.
    PutConditional,
    /// PUT of 1 MiB under a new key.
    PutLarge,
    /// An upload of two parts, from its beginning to its completion: four requests.
    Multipart,
    /// GET of 1 KiB that was written lately: it is in a memtable.
    GetNew,
    /// GET of 1 KiB from tables, read before: their blocks are cached.
    GetCached,
    /// GET of 1 KiB from tables, for the first time.
    GetCold,
    /// GET of 1 MiB, read before.
    GetLargeCached,
    /// GET of 1 MiB, for the first time.
    GetLargeCold,
    /// HEAD of 1 KiB that was written lately.
    Head,
    /// DELETE of 1 KiB that was written lately.
    Delete,
    /// A page of a listing, from tables.
    List,
    /// A second in which nobody asks for anything.
    Idle,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::PutSmall,
        Self::PutConditional,
        Self::PutLarge,
        Self::Multipart,
        Self::GetNew,
        Self::GetCached,
        Self::GetCold,
        Self::GetLargeCached,
        Self::GetLargeCold,
        Self::Head,
        Self::Delete,
        Self::List,
        Self::Idle,
    ];

    /// What it is called in the baseline.
    pub fn name(self) -> &'static str {
        match self {
            Self::PutSmall => "put_1_kib",
            Self::PutConditional => "put_1_kib_if_none_match",
            Self::PutLarge => "put_1_mib",
            Self::Multipart => "multipart_5_and_1_mib",
            Self::GetNew => "get_1_kib_new",
            Self::GetCached => "get_1_kib_cached",
            Self::GetCold => "get_1_kib_cold",
            Self::GetLargeCached => "get_1_mib_cached",
            Self::GetLargeCold => "get_1_mib_cold",
            Self::Head => "head_1_kib",
            Self::Delete => "delete_1_kib",
            Self::List => "list_1000_keys",
            Self::Idle => "idle_second",
        }
    }

    /// How often it is done while it is counted.
    fn repeat_count(self) -> usize {
        match self {
            Self::Multipart | Self::List | Self::Idle => 20,
            Self::PutLarge | Self::GetLargeCached | Self::GetLargeCold => 40,
            Self::PutSmall
            | Self::PutConditional
            | Self::GetNew
            | Self::GetCached
            | Self::GetCold
            | Self::Head
            | Self::Delete => 200,
        }
    }
}

/// Counts what an operation costs. Allocations are zero unless `anode_disk::testing::apart` has a reader.
///
/// # Panics
/// When the node doesn't answer as it should.
pub fn measure(operation: Operation) -> Cost {
    Stage::run(async |stage| {
        let paths = prepare(stage, operation).await;
        let (warm_up, counted) = paths.split_at(WARM_UP_COUNT);
        for (nth, path) in warm_up.iter().enumerate() {
            perform(stage, operation, (nth, path)).await;
        }
        let before = figures(stage);
        for (nth, path) in counted.iter().enumerate() {
            perform(stage, operation, (WARM_UP_COUNT + nth, path)).await;
        }
        let after = figures(stage);
        let small = |count: u64| f64::from(u32::try_from(count).expect("a run is short"));
        std::array::from_fn(|nth| small(after[nth] - before[nth]) / small(counted.len() as u64))
    })
}

/// Makes what the operation needs; returns the paths that it is to work on.
async fn prepare(stage: &mut Stage, operation: Operation) -> Vec<String> {
    let count = WARM_UP_COUNT + operation.repeat_count();
    let paths = match operation {
        Operation::GetCold => stage.stored_paths(count).await,
        Operation::GetCached => again(&stage.stored_paths(CACHED_COUNT).await, count),
        Operation::GetLargeCached => again(&stage.new_paths(CACHED_COUNT).await, count),
        Operation::List | Operation::Idle => vec!["/bucket".to_owned(); count],
        Operation::PutSmall
        | Operation::PutConditional
        | Operation::PutLarge
        | Operation::Multipart
        | Operation::GetNew
        | Operation::GetLargeCold
        | Operation::Head
        | Operation::Delete => stage.new_paths(count).await,
    };
    match operation {
        Operation::GetNew | Operation::Head | Operation::Delete => {
            stage.put_all(&paths, KIB).await;
        }
        Operation::GetLargeCached | Operation::GetLargeCold => {
            stage.put_all(&distinct(&paths), MIB).await;
            stage.restart().await;
        }
        Operation::GetCached | Operation::GetCold => stage.restart().await,
        Operation::List => {
            stage.fill().await;
            stage.restart().await;
        }
        Operation::PutSmall
        | Operation::PutConditional
        | Operation::PutLarge
        | Operation::Multipart
        | Operation::Idle => {}
    }
    stage.settle().await;
    if matches!(operation, Operation::GetCached | Operation::GetLargeCached) {
        for path in &paths {
            stage.get(path).await;
        }
    }
    paths
}

fn distinct(paths: &[String]) -> Vec<String> {
    paths.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

fn again(paths: &[String], count: usize) -> Vec<String> {
    paths.iter().cycle().take(count).cloned().collect()
}

async fn perform(stage: &mut Stage, operation: Operation, (nth, path): (usize, &str)) {
    match operation {
        Operation::PutSmall => stage.put(path, KIB).await,
        Operation::PutConditional => {
            let request = Request::new("PUT", path).header("if-none-match", "*".to_owned());
            let body = stage.content(KIB);
            stage.send(&request.body(body), 200).await;
        }
        Operation::PutLarge => stage.put(path, MIB).await,
        Operation::Multipart => stage.upload(path, &PART_BYTES).await,
        Operation::GetNew
        | Operation::GetCached
        | Operation::GetCold
        | Operation::GetLargeCached
        | Operation::GetLargeCold => stage.get(path).await,
        Operation::Head => drop(stage.send(&Request::new("HEAD", path), 200).await),
        Operation::Delete => drop(stage.send(&Request::new("DELETE", path), 204).await),
        Operation::List => {
            let after =
                stage::stored_key(nth * PAGE_STRIDE % (stage::STORED_COUNT - 2 * PAGE_KEY_COUNT));
            let query = format!("list-type=2&max-keys={PAGE_KEY_COUNT}&start-after={after}");
            let answer = stage.send(&Request::new("GET", path).query(query), 200).await;
            assert_eq!(answer.text().matches("<Key>").count(), PAGE_KEY_COUNT);
        }
        Operation::Idle => stage.sleep(Duration::from_secs(1)).await,
    }
}

/// Everything counted so far, in the order of [`FIGURE_NAMES`].
fn figures(stage: &Stage) -> [u64; FIGURE_COUNT] {
    let TaskFigures { poll_count, message_count, allocated } = stage.world().figures();
    let DiskFigures { read_count, read_bytes, write_count, written_bytes, flush_count } =
        stage.disk().figures();
    [
        allocated.count,
        allocated.bytes,
        poll_count,
        message_count,
        read_count,
        read_bytes,
        write_count,
        written_bytes,
        flush_count,
    ]
}

#[cfg(test)]
mod tests;
