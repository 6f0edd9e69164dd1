"""Fixtures: one node a test process, clients for it, buckets with names of their own.

Whatever starts a node through `make_node` or the session's `node` has it ended, by its id, when the test or the session
ends; a failing test shows the end of the log of every node that runs.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.client import BaseClient

import clients
from clients import bucket_name, s3_client
from node import RUNNING, Node, binary, target_directory
from signing import Signer

MEASURED = "measured"


def pytest_sessionstart() -> None:
    """Without the binary and every client there is nothing to test: that is a failure, not a skip."""
    absent = clients.missing()
    if absent:
        pytest.exit(f"not installed: {', '.join(absent)}; run: make setup-test", returncode=3)
    if not binary().is_file():
        pytest.exit(f"{binary()} is not there; run: make black-box, or set ANODE_BINARY", returncode=3)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Adds the nodes' logs to the report of a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for node in RUNNING:
            report.sections.append((f"log of the node on {node.address}", node.log_tail()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows what tests measured, by `record_property("measured", ...)`."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == MEASURED:
                terminalreporter.write_line(f"{report.nodeid}: {value}")


def pytest_sessionfinish() -> None:
    """Ends what is still running."""
    for node in list(RUNNING):
        node.kill()


@pytest.fixture(scope="session")
def workspace() -> Iterator[Path]:
    """A directory of this test process for data directories, on a file system with direct I/O."""
    directory = target_directory() / "black-box" / uuid.uuid4().hex[:12]
    directory.mkdir(parents=True)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def node(workspace: Path) -> Iterator[Node]:
    """The node that most tests share. It has a domain, so both addressing styles work."""
    shared = Node(workspace / "shared", ["--domain", "s3.example.test"])
    shared.start()
    yield shared
    assert shared.is_running(), f"the node died:\n{shared.log_tail()}"
    assert shared.stop() == 0, shared.log_tail()
    assert "panicked" not in shared.log(), shared.log_tail()


@pytest.fixture(scope="session")
def acl_node(workspace: Path) -> Iterator[Node]:
    """A node on which ACLs count in every bucket."""
    node = Node(workspace / "acl", ["--object-ownership", "ObjectWriter"])
    node.start()
    yield node
    assert node.stop() == 0, node.log_tail()


@pytest.fixture
def make_node(workspace: Path) -> Iterator[Callable[..., Node]]:
    """Makes nodes with a directory of their own, not started; they are killed when the test ends."""
    made: list[Node] = []

    def make(*arguments: str, **fields: object) -> Node:
        made.append(Node(workspace / uuid.uuid4().hex[:12], list(arguments), **fields))
        return made[-1]

    yield make
    for each in made:
        if each.is_running():
            each.kill()
        shutil.rmtree(each.directory, ignore_errors=True)


@pytest.fixture(scope="session")
def s3(node: Node) -> BaseClient:
    """boto3 for the shared node."""
    return s3_client(node, max_pool_connections=32)


@pytest.fixture(scope="session")
def signer(node: Node) -> Signer:
    """The root user's signatures for the shared node."""
    return Signer(node.address)


@pytest.fixture
def bucket(s3: BaseClient) -> str:
    """An empty bucket of the shared node."""
    name = bucket_name()
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home directory for a client."""
    directory = tmp_path / "home"
    directory.mkdir()
    return directory
