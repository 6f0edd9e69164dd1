use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anode_disk::{
    index::{CacheFigures, IndexFigures, Space},
    reserve::ReserveFigures,
    scrub::Progress,
    segment::{Class, ClassFigures, SegmentFigures},
    wal::WalFigures,
};
use anode_net::s3::operation::Kind;
use anode_shards::{
    group::GroupFigures,
    state::{PendingDelete, Usage},
};

use super::*;
use crate::{
    lifecycle,
    metrics::{Counted, Counts, Form, ScrubFigures},
    notification::TargetFigures,
    quota,
    scrub::Work,
    shard::Phase,
};

fn group() -> GroupFigures {
    GroupFigures {
        term: 3,
        leader: Some(7),
        is_leader: true,
        log_index: Some(90),
        applied_index: Some(89),
        snapshot_index: None,
        purged_index: None,
        failure: None,
    }
}

fn storage() -> StorageFigures {
    StorageFigures {
        at_ms: 1_700_000_005_500,
        wal: WalFigures { bytes_held: 4096, ..WalFigures::default() },
        index: IndexFigures {
            level_tables: vec![2, 1],
            level_bytes: vec![20, 1000],
            scan_cache: CacheFigures { hit_count: 5, miss_count: 6 },
            ..IndexFigures::default()
        },
        segments: SegmentFigures::default(),
        classes: vec![ClassFigures {
            class: Class::new(1).unwrap(),
            bytes: 77,
            live_bytes: 55,
            is_full: true,
            has_failed: false,
        }],
        space: Space::default(),
        reserve: ReserveFigures { is_short: true, held_bytes: 512, ..ReserveFigures::default() },
        chunk_cache: CacheFigures { hit_count: 8, miss_count: 9 },
        chunk_cache_bytes: 1 << 20,
        proposal_count: 1,
        pending: Some(PendingDelete { bodies: 2, bytes: 300, oldest_ms: Some(1_700_000_000_000) }),
        usage: Some(Usage { objects: 2, versions: 3, markers: 4, bytes: 5, part_bytes: 6 }),
        over_quota_count: Some(7),
        quotas: quota::Work { rounds: 3, refusals: 8 },
        scrub: Some(ScrubFigures {
            progress: Progress { pass: 4, began_ms: 1_500, ..Progress::default() },
            pass_bytes: 77,
            work: Work { bytes: 66, finding_count: 1 },
        }),
        lifecycle: lifecycle::Work::default(),
        targets: Some(BTreeMap::from([("hook".to_owned(), TargetFigures::default())])),
        groups: vec![(11, group())],
    }
}

fn shard(storage: Option<StorageFigures>) -> Box<ShardFigures> {
    let counts = Counts::default();
    counts.answered(Counted::Served(Kind::PutObject), 200, 700_000);
    counts.answered(Counted::Served(Kind::PutObject), 503, 40_000_000_000);
    counts.received(1000);
    let requests = counts.figures();
    Box::new(ShardFigures { phase: Phase::Serving, connection_count: 3, requests, storage })
}

/// Three shards: a whole one, one that doesn't answer, and one whose volume has failed.
fn node() -> NodeFigures {
    NodeFigures {
        shards: vec![Some(shard(Some(storage()))), None, Some(shard(None))],
        failed_volumes: vec![false, true],
        started_ms: 1_700_000_000_250,
        resident_bytes: Some(5 << 20),
        memory_bytes: 1 << 30,
    }
}

fn lines(form: Form) -> BTreeSet<String> {
    form.encode(node()).lines().map(str::to_owned).collect()
}

#[test]
fn each_figure_is_shown_with_its_labels() {
    let shown = lines(Form::OpenMetrics);
    for line in [
        "anode_start_time_seconds 1700000000.25",
        "anode_memory_resident_bytes 5242880",
        "anode_volume_failed{volume=\"1\"} 0",
        "anode_volume_failed{volume=\"2\"} 1",
        "anode_shard_unanswered{shard=\"2\"} 0",
        "anode_shard_unanswered{shard=\"1\"} 1",
        "anode_shard_phase{shard=\"0\",phase=\"serving\"} 1",
        "anode_shard_phase{shard=\"0\",phase=\"draining\"} 0",
        "anode_connections_open{shard=\"2\"} 3",
        "anode_requests_total{shard=\"0\",operation=\"PutObject\",status=\"2xx\"} 1",
        "anode_requests_total{shard=\"0\",operation=\"PutObject\",status=\"4xx\"} 0",
        "anode_requests_total{shard=\"2\",operation=\"PutObject\",status=\"5xx\"} 1",
        "anode_request_seconds_sum{shard=\"0\",operation=\"PutObject\"} 40.0007",
        "anode_request_seconds_count{shard=\"0\",operation=\"PutObject\"} 2",
        "anode_request_seconds_bucket{le=\"0.0005\",shard=\"0\",operation=\"PutObject\"} 0",
        "anode_request_seconds_bucket{le=\"0.001\",shard=\"0\",operation=\"PutObject\"} 1",
        "anode_request_seconds_bucket{le=\"30.0\",shard=\"0\",operation=\"PutObject\"} 1",
        "anode_request_seconds_bucket{le=\"+Inf\",shard=\"0\",operation=\"PutObject\"} 2",
        "anode_received_bytes_total{shard=\"0\"} 1000",
        "anode_wal_held_bytes{shard=\"0\"} 4096",
        "anode_space_short{shard=\"0\"} 1",
        "anode_space_reserve_bytes{shard=\"0\"} 512",
        "anode_index_tables{shard=\"0\",level=\"1\"} 1",
        "anode_index_table_bytes{shard=\"0\",level=\"1\"} 1000",
        "anode_block_cache_hits_total{shard=\"0\",use=\"scan\"} 5",
        "anode_chunk_cache_misses_total{shard=\"0\"} 9",
        "anode_pending_delete_bytes{shard=\"0\"} 300",
        "anode_versions{shard=\"0\"} 3",
        "anode_uploads_held_bytes{shard=\"0\"} 6",
        "anode_buckets_over_quota{shard=\"0\"} 7",
        "anode_quota_refusals_total{shard=\"0\"} 8",
        "anode_quota_rounds_total{shard=\"0\"} 3",
        "anode_pending_delete_age_seconds{shard=\"0\"} 5.5",
        "anode_scrub_passes_total{shard=\"0\"} 4",
        "anode_scrub_findings_total{shard=\"0\"} 1",
        "anode_scrub_began_timestamp_seconds{shard=\"0\"} 1.5",
        "anode_group_leads{shard=\"0\",group=\"11\"} 1",
        "anode_group_applied_index{shard=\"0\",group=\"11\"} 89",
        "# TYPE anode_requests counter",
        "# UNIT anode_received_bytes bytes",
        "# EOF",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown:#?}");
    }
    assert!(!shown.iter().any(|line| line.contains("operation=\"GetObject\"")), "never asked for");
}

#[test]
fn a_shard_without_storage_tells_the_rest_and_one_without_an_answer_nothing() {
    for line in lines(Form::OpenMetrics) {
        let tells_of_storage = ["_wal_", "_index_", "_segment", "_group_", "_scrub_", "_cache_"]
            .iter()
            .any(|part| line.contains(part));
        assert!(!(tells_of_storage && line.contains("shard=\"2\"")), "{line}");
        assert!(line.contains("_unanswered") || !line.contains("shard=\"1\""), "{line}");
    }
}

#[test]
fn the_older_form_has_the_same_names() {
    let shown = lines(Form::Prometheus);
    assert!(shown.contains("# TYPE anode_requests_total counter"), "{shown:#?}");
    assert!(shown.contains("anode_received_bytes_total{shard=\"0\"} 1000"), "{shown:#?}");
    assert!(!shown.contains("# EOF"));
    let accept = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5";
    assert_eq!(Form::accepted(Some(accept)), Form::OpenMetrics);
    assert_eq!(Form::accepted(Some("text/plain")), Form::Prometheus);
    assert_eq!(Form::accepted(None), Form::Prometheus);
}

#[test]
fn names_keep_to_the_conventions() {
    let mut families = BTreeSet::new();
    for family in all() {
        let name = family.name;
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        let reserved = ["total", "info", "count", "sum", "bucket", "created", "bytes", "seconds"];
        assert!(!reserved.iter().any(|end| name.ends_with(end)), "{name} says it twice");
        // OpenMetrics: no two families of a name, whatever their suffixes.
        assert!(families.insert((name, format!("{:?}", family.unit))), "{name}");
        assert!(family.help.ends_with('.') && !family.help.contains(['\n', '\\', '"']), "{name}");
    }
}

#[test]
fn the_documentation_lists_exactly_what_is_shown() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `anode_"));
    let documented: Vec<(String, String, String)> = rows
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            let cell = |index: usize| cells[index].to_owned();
            (cell(0).trim_matches('`').to_owned(), cell(1), cell(3))
        })
        .collect();
    let shown: Vec<(String, String, String)> = all()
        .map(|family| (family.full_name(), family.kind.as_str().to_owned(), family.help.to_owned()))
        .collect();
    for row in &shown {
        assert!(documented.contains(row), "docs/metrics.md lacks {row:?}");
    }
    assert_eq!(documented, shown, "in this order, each once");
}
