"""`GET /metrics`: what a scraper reads is what docs/metrics.md says, it moves with the work, and not everybody may."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from botocore.client import BaseClient
from prometheus_client import parser
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics

import machine
import other_address
import wire
from clients import s3_client
from content import content
from node import ROOT, Node, free_port
from signing import Request

OPENMETRICS = {"accept": "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"}
ROW = re.compile(r"^\| `(?P<name>anode_\w+)` \| (?P<kind>\w+) \| (?P<labels>[^|]+) \| (?P<help>[^|]+) \|$")

# A sample by its name and labels.
Sample = tuple[str, tuple[tuple[str, str], ...]]


def request(node: Node, asked: Request) -> wire.Response:
    """Sends a request as it is, without a signature."""
    with wire.Connection(node.port) as connection:
        return connection.exchange(replace(asked, headers={"host": node.address} | asked.headers))


def scrape(node: Node) -> list[Metric]:
    """All families, as the strict parser of OpenMetrics reads them."""
    answer = request(node, Request("GET", "/metrics", headers=OPENMETRICS))
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    return list(openmetrics.text_string_to_metric_families(answer.body.decode()))


def samples(families: list[Metric], kinds: tuple[str, ...] = ()) -> dict[Sample, float]:
    """Every sample of families of these kinds, or of all; each is there once."""
    found: dict[Sample, float] = {}
    for family in families:
        if kinds and family.type not in kinds:
            continue
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found


def total(families: list[Metric], name: str, **labels: str) -> float:
    """The sum over all shards of the samples with these labels."""
    matching = [
        value
        for (found, its), value in samples(families).items()
        if found == name and labels.items() <= dict(its).items()
    ]
    return sum(matching)


def documented() -> dict[str, tuple[str, set[str], str]]:
    """Type, labels and help of every metric in docs/metrics.md."""
    rows = [ROW.match(line) for line in (ROOT / "docs" / "metrics.md").read_text().splitlines() if "| `anode_" in line]
    assert rows and all(rows), "a row of docs/metrics.md has another form"
    return {row["name"]: (row["kind"], set(re.findall(r"`(\w+)`", row["labels"])), row["help"].strip()) for row in rows}


def full_name(family: Metric) -> str:
    """The name as in a query."""
    return family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")


@pytest.fixture
def busy(make_node: Callable[..., Node]) -> tuple[Node, BaseClient]:
    """A node that nobody else asks, with the bucket `metrics`, a target of notifications that is never there, and a storage class."""
    node = make_node("--notification-webhook", f"absent=http://127.0.0.1:{free_port()}/")
    node.arguments += ["--data-class", f"STANDARD_IA={node.directory / 'standard-ia'}"]
    node.start()
    s3 = s3_client(node)
    s3.create_bucket(Bucket="metrics")
    return node, s3


def work(s3: BaseClient) -> None:
    """Some of each of the common operations."""
    large = content("large", 3 << 20)
    for number in range(5):
        s3.put_object(Bucket="metrics", Key=f"small-{number}", Body=b"x" * 500)
    s3.put_object(Bucket="metrics", Key="large", Body=large)
    for _ in range(2):
        assert s3.get_object(Bucket="metrics", Key="large")["Body"].read() == large
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="metrics", Key="absent")
    assert len(s3.list_objects_v2(Bucket="metrics")["Contents"]) == 6
    s3.delete_object(Bucket="metrics", Key="small-0")


def test_what_is_shown_is_what_is_documented(busy: tuple[Node, BaseClient]) -> None:
    node, s3 = busy
    rule = {"QueueArn": "arn:anode:sqs::absent:webhook", "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="metrics",
        NotificationConfiguration={"QueueConfigurations": [rule]},
        SkipDestinationValidation=True,
    )
    work(s3)
    expected, families = documented(), scrape(node)
    assert {full_name(family) for family in families} == set(expected)
    empty = {full_name(family) for family in families if not family.samples}
    assert not empty, "a busy node has a value for everything"
    for family in families:
        kind, labels, help_text = expected[full_name(family)]
        assert (family.type, family.documentation) == (kind, help_text)
        found = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert found == labels, family.name


def test_the_older_form_says_the_same(busy: tuple[Node, BaseClient]) -> None:
    node, s3 = busy
    work(s3)
    answer = request(node, Request("GET", "/metrics"))
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    older = list(parser.text_string_to_metric_families(answer.body.decode()))
    # The older form knows no info: it is a gauge.
    names = {family.name + ("_total" if family.type == "counter" else "") for family in older}
    assert names == set(documented())
    puts = {"operation": "PutObject", "status": "2xx"}
    assert total(older, "anode_requests_total", **puts) == total(scrape(node), "anode_requests_total", **puts) == 6
    head = request(node, Request("HEAD", "/metrics"))
    assert head.status == 200 and head.body == b"" and int(head.headers["content-length"]) > 1000


def test_figures_move_with_the_work_and_counters_never_back(busy: tuple[Node, BaseClient]) -> None:
    node, s3 = busy
    scrapes = [scrape(node)]
    for _ in range(3):
        work(s3)
        scrapes.append(scrape(node))
    for before, after in pairwise(scrapes):
        for name, status, count in [
            ("PutObject", "2xx", 6),
            ("GetObject", "2xx", 2),
            ("GetObject", "4xx", 1),
            ("GetObject", "5xx", 0),
            ("ListObjectsV2", "2xx", 1),
            ("DeleteObject", "2xx", 1),
            ("Metrics", "2xx", 1),
        ]:
            labels = {"operation": name, "status": status}
            moved = total(after, "anode_requests_total", **labels) - total(before, "anode_requests_total", **labels)
            assert moved == count, (name, status)
        for name, least in [
            ("anode_received_bytes_total", 3 << 20),
            ("anode_sent_bytes_total", 2 * (3 << 20)),
            ("anode_wal_records_total", 7),
            ("anode_wal_batches_total", 1),
            ("anode_wal_written_bytes_total", 5 * 500),
            ("anode_connections_admitted_total", 1),
        ]:
            assert total(after, name) - total(before, name) >= least, name
        timed = [total(each, "anode_request_seconds_count", operation="GetObject") for each in (before, after)]
        assert timed[1] - timed[0] == 3
        earlier, later = samples(before, ("counter", "histogram")), samples(after, ("counter", "histogram"))
        assert earlier.keys() <= later.keys(), "a sample is gone"
        assert all(later[key] >= value for key, value in earlier.items()), "a counter went back"
    last = scrapes[-1]
    applied = "anode_group_applied_index"
    assert total(last, applied) > total(scrapes[0], applied)
    assert total(last, "anode_segment_written_bytes_total") >= 3 << 20, "the first copy of the large object"
    assert total(last, "anode_chunk_cache_hits_total") > 0
    assert total(last, "anode_memory_resident_bytes") > 1 << 20
    shards = {dict(labels)["shard"] for name, labels in samples(last) if name == "anode_shard_unanswered"}
    assert total(last, "anode_shard_phase", phase="serving") == len(shards) == total(last, "anode_shard_phase")
    assert total(last, "anode_shard_unanswered") == total(last, "anode_volume_failed") == 0
    assert total(last, "anode_group_leads") == len([key for key in samples(last) if key[0] == "anode_group_leads"]) > 0


def test_a_bucket_named_metrics_is_a_bucket(busy: tuple[Node, BaseClient]) -> None:
    _node, s3 = busy
    s3.put_object(Bucket="metrics", Key="key", Body=b"value")
    assert s3.get_object(Bucket="metrics", Key="key")["Body"].read() == b"value"
    assert [each["Key"] for each in s3.list_objects(Bucket="metrics")["Contents"]] == ["key"]
    s3.head_bucket(Bucket="metrics")
    s3.delete_object(Bucket="metrics", Key="key")
    s3.delete_bucket(Bucket="metrics")


def test_what_a_proxy_forwards_is_refused(node: Node) -> None:
    for name in ("Forwarded", "X-Forwarded-For", "Via"):
        answer = request(node, Request("GET", "/metrics", headers={name: "for=198.51.100.1"}))
        assert answer.status == 403 and b"setting metrics" in answer.body, answer


def test_metrics_can_be_turned_off(make_node: Callable[..., Node]) -> None:
    node = make_node("--metrics", "off")
    node.start()
    answer = request(node, Request("GET", "/metrics"))
    assert answer.status == 403 and b"setting metrics is off" in answer.body, answer


@pytest.mark.parametrize(("who", "status"), [("loopback", 403), ("all", 200)])
def test_another_address_is_refused_unless_all_may(workspace: Path, who: str, status: int) -> None:
    probe = subprocess.run([*other_address.UNSHARE, "true"], capture_output=True, text=True, check=False)
    machine.require("needs user and network namespaces", probe.stderr.strip() if probe.returncode else None)
    script = Path(other_address.__file__)
    command = [*other_address.UNSHARE, sys.executable, script, workspace / f"other-{who}", who]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=script.parent)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert answers[other_address.LOOPBACK][0] == 200, answers
    found, body = answers[other_address.OTHER]
    assert found == status, answers
    assert ("setting metrics" in body) == (status == 403), body
