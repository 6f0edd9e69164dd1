"""The JavaScript SDK: its own tests in `javascript/`, run by node's test runner against the shared node."""

from __future__ import annotations

from pathlib import Path

import clients
from node import ACCESS_KEY, SECRET_KEY, Node


def test_the_javascript_sdk(node: Node, home: Path, bucket: str) -> None:
    variables = clients.environment(home) | {
        "ENDPOINT": node.endpoint,
        "BUCKET": bucket,
        "ACCESS_KEY": ACCESS_KEY,
        "SECRET_KEY": SECRET_KEY,
    }
    tests = sorted(clients.JAVASCRIPT.glob("*.test.js"))
    assert tests
    done = clients.run(["node", "--test", *tests], variables)
    assert b"# pass 0" not in done.stdout
