//! Whole loads against a small server of the standard library, which can be told to misbehave.

mod server;

use clap::Parser as _;

use self::server::{Fault, Server};
use crate::arguments::Arguments;
use crate::load::{self, Outcome};
use crate::operation::Operation;
use crate::report::Summary;

fn arguments(server: &Server, line: &str) -> Arguments {
    let address = server.address.to_string();
    let words = ["anode-bench"].into_iter().chain(line.split_whitespace());
    let arguments = Arguments::try_parse_from(words.chain(["--address", &address])).unwrap();
    arguments.check().unwrap();
    arguments
}

fn run(server: &Server, line: &str) -> Outcome {
    load::run(&arguments(server, line)).unwrap()
}

fn assert_clean(outcome: &Outcome) {
    assert_eq!(
        (outcome.tally.failure_count(), outcome.broken_off.as_deref()),
        (0, None),
        "{outcome:?}"
    );
}

#[test]
fn each_workload_does_what_it_says() {
    let server = Server::start(Fault::None);
    let each = "--sequential --keys 40 --concurrency 4 --size 100=1,70000=1 --verify";
    for (workload, operation) in [
        ("put", Operation::Put),
        ("get", Operation::Get),
        ("head", Operation::Head),
        ("list", Operation::List),
        ("delete", Operation::Delete),
    ] {
        let outcome = run(&server, &format!("{workload} {each}"));
        assert_clean(&outcome);
        let series = &outcome.tally.series[&operation];
        assert_eq!((series.completed, series.latencies.len()), (40, 40), "{workload}");
        let expected_bytes: u64 = server.object_sizes().iter().map(|size| *size as u64).sum();
        match operation {
            Operation::Put | Operation::Get => assert_eq!(series.bytes, expected_bytes),
            Operation::List => assert!(series.bytes > 40 * 80),
            Operation::Head
            | Operation::Delete
            | Operation::Insert
            | Operation::Multipart
            | Operation::ListAll => {
                assert_eq!(series.bytes, 0);
            }
        }
        assert_eq!(server.object_count(), if workload == "delete" { 0 } else { 40 });
        if workload == "put" {
            let sizes = server.object_sizes();
            assert!(sizes.contains(&100) && sizes.contains(&70_000), "{sizes:?}");
        }
    }
}

#[test]
fn an_upload_in_parts_is_one_operation_and_reads_back() {
    let server = Server::start(Fault::None);
    let line = "--sequential --keys 5 --concurrency 2 --size 1000000 --part-size 300000 --verify";
    let outcome = run(&server, &format!("multipart {line}"));
    assert_clean(&outcome);
    let series = &outcome.tally.series[&Operation::Multipart];
    assert_eq!((series.completed, series.bytes), (5, 5_000_000));
    assert_eq!(server.object_sizes(), [1_000_000; 5]);
    assert_clean(&run(&server, &format!("get {line}")));
}

#[test]
fn a_full_listing_is_all_pages_in_order() {
    let server = Server::start(Fault::None);
    let keys = "--keys 2500 --first 30 --folder-keys 100 --sequential --size 1 --verify";
    assert_clean(&run(&server, &format!("put --concurrency 4 {keys}")));
    for (flags, pages, entries) in [
        ("--concurrency 2", 2 * 3, 2 * 2500),
        ("--concurrency 1 --page-size 100", 25, 2500),
        // The first folder has 70 keys, the last one 30.
        ("--concurrency 1 --delimiter / --page-size 10", 3, 26),
    ] {
        let outcome = run(&server, &format!("list-all {keys} {flags}"));
        assert_clean(&outcome);
        let series = &outcome.tally.series[&Operation::ListAll];
        let counts = (series.completed, series.latencies.len(), series.entries);
        assert_eq!(counts, (pages, pages, entries), "{flags}");
    }
    let line = "list-all --seconds 0.3 --warm-up 0.05 --keys 2500 --verify --first 30";
    let outcome = run(&server, line);
    assert_clean(&outcome);
    let summary = Summary::new(&arguments(&server, line), &outcome);
    assert!(summary.table().contains("keys and common prefixes a second"), "{}", summary.table());
}

#[test]
fn a_full_listing_with_keys_left_out_is_a_failure() {
    let server = Server::start(Fault::Forgetful);
    let keys = "--keys 1500 --sequential --size 1";
    assert_clean(&run(&server, &format!("put {keys}")));
    let outcome = run(&server, &format!("list-all {keys} --concurrency 1 --verify"));
    assert_eq!(
        outcome.tally.failures.keys().collect::<Vec<_>>(),
        ["list-all ended with another count than there are keys"]
    );
    assert_clean(&run(&server, &format!("list-all {keys} --concurrency 1")));
}

#[test]
fn inserted_keys_are_there_when_they_are_read() {
    let server = Server::start(Fault::None);
    let line = "mixed --mix get=1,insert=1 --distribution latest --keys 20 --prepare --verify \
                --seconds 0.3 --warm-up 0.1 --concurrency 8";
    let outcome = run(&server, line);
    assert_clean(&outcome);
    let series = &outcome.tally.series;
    assert!(server.object_count() > 20 && series[&Operation::Insert].completed > 0);
    assert_eq!(series[&Operation::Get].absent, 0, "what is read has been acknowledged");
}

#[test]
fn a_mixed_load_counts_each_operation() {
    let server = Server::start(Fault::None);
    let outcome = run(&server, "mixed --prepare --keys 50 --seconds 0.3 --warm-up 0.1 --verify");
    assert_clean(&outcome);
    assert_eq!(outcome.tally.series.len(), 5);
    let absent: u64 = outcome.tally.series.values().map(|series| series.absent).sum();
    assert!(absent > 0, "deleted keys are asked for");
    let table = Summary::new(&arguments(&server, "mixed"), &outcome).table();
    for word in ["put", "get", "head", "delete", "list", "all", "found no object"] {
        assert!(table.contains(word), "{table}");
    }
}

#[test]
fn what_the_server_does_wrong_is_a_failure() {
    let line = "--keys 10 --prepare --sequential --concurrency 2 --timeout 0.3";
    for (fault, flags, expected) in [
        (Fault::SlowDown, "", "get 503 SlowDown"),
        (Fault::WrongByte, "--verify", "get has the wrong content"),
        (Fault::Short, "--verify", "get has the wrong content"),
    ] {
        let outcome = run(&Server::start(fault), &format!("get {line} {flags}"));
        let failures = &outcome.tally.failures;
        assert!(failures.keys().eq([expected]), "{fault:?}: {failures:?}");
        let good: u64 = outcome.tally.series.values().map(|series| series.completed).sum();
        assert_eq!(good + failures[expected], 10);
    }
    assert_clean(&run(&Server::start(Fault::WrongByte), &format!("get {line}")));
    for (fault, expected) in [(Fault::Drop, "closed"), (Fault::Silent, "no answer for 0.3 s")] {
        let outcome = run(&Server::start(fault), "put --keys 10 --sequential --timeout 0.3");
        let failures = &outcome.tally.failures;
        assert!(failures.len() == 1 && failures.keys().all(|kind| kind.contains(expected)));
        assert_eq!(outcome.tally.series[&Operation::Put].completed, 9, "the others go on");
    }
    let outcome = run(&Server::start(Fault::SlowDown), "multipart --keys 1 --sequential");
    let kinds: Vec<&String> = outcome.tally.failures.keys().collect();
    assert_eq!(kinds, ["CompleteMultipartUpload 200 InternalError"]);
}

#[test]
fn preparing_must_succeed() {
    let server = Server::start(Fault::None);
    let absent = run(&server, "get --keys 3 --sequential");
    assert_eq!(absent.tally.failures["get 404 NoSuchKey"], 3);
    let dropped = Server::start(Fault::Drop);
    let error = load::run(&arguments(&dropped, "get --keys 9 --sequential --prepare")).unwrap_err();
    assert!(error.to_string().starts_with("preparing failed: put"), "{error}");
}

#[test]
fn connections_are_kept_and_closed_ones_replaced() {
    let kept = Server::start(Fault::None);
    assert_clean(&run(&kept, "put --keys 60 --sequential --concurrency 3"));
    assert_eq!(kept.connection_count(), 3);
    let closed = Server::start(Fault::Close);
    assert_clean(&run(&closed, "put --keys 60 --sequential --concurrency 3"));
    assert!(closed.connection_count() >= 60);
}

#[test]
fn an_open_loop_sends_at_its_rate() {
    let server = Server::start(Fault::None);
    let outcome = run(&server, "put --rate 500 --seconds 1 --warm-up 0.2");
    assert_clean(&outcome);
    let series = &outcome.tally.series[&Operation::Put];
    assert!((495..=501).contains(&series.latencies.len()), "{}", series.latencies.len());
    // What is due in the window's last moment isn't started where another process has the core just then.
    assert!(outcome.tally.missed < 25, "{} of 500 were not started", outcome.tally.missed);
}

/// A stall of 300 ms in a load of 1,000 a second concerns about 300 requests, not the one that met it.
#[test]
fn a_stall_is_not_hidden_by_waiting_for_it() {
    let server = Server::start(Fault::Stall(300));
    let outcome = run(&server, "put --rate 1000 --seconds 1 --warm-up 0 --concurrency 1");
    assert_clean(&outcome);
    let latencies = &outcome.tally.series[&Operation::Put].latencies;
    assert!((990..=1001).contains(&latencies.len()), "{}", latencies.len());
    let late = latencies.count_between(50_000_000, u64::MAX);
    assert!(late > 200, "only {late} requests saw the stall");
}

#[test]
fn what_could_not_be_started_is_counted_with_its_waiting_time() {
    let server = Server::start(Fault::Slow(50));
    let outcome = run(&server, "put --rate 1000 --seconds 0.5 --warm-up 0 --concurrency 2");
    assert_clean(&outcome);
    let series = &outcome.tally.series[&Operation::Put];
    assert!(outcome.tally.missed > 400, "{}", outcome.tally.missed);
    assert!((495..=501).contains(&series.latencies.len()), "all that were due are there");
    assert!(series.latencies.value_at_quantile(0.5) > 150_000_000, "they waited");
    let summary = Summary::new(&arguments(&server, "put --rate 1000"), &outcome);
    assert!(summary.table().contains("were due and never started"));
    let line: serde_json::Value = serde_json::from_str(&summary.line()).unwrap();
    assert_eq!(line["missed_count"], outcome.tally.missed);
    assert_eq!(line["total"]["latency_count"], series.latencies.len());
}

#[test]
fn a_server_that_goes_away_ends_the_load() {
    let server = Server::start(Fault::None);
    let mut gone = arguments(&server, "put --seconds 5");
    // Nothing listens on the discard port of another loopback address.
    gone.address = "127.0.0.9:9".parse().unwrap();
    let error = load::run(&gone).unwrap_err();
    assert!(error.to_string().contains("connecting"), "{error}");
}
