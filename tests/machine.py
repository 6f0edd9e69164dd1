"""What a machine must be able to do for some of the tests: in CI it must, elsewhere the others are worth running without."""

from __future__ import annotations

import os

import pytest


def require(need: str, hindrance: str | None) -> None:
    """Ends a test whose need isn't met, saying why: it fails where CI is set, and is skipped elsewhere."""
    if hindrance is None:
        return
    said = f"{need}: {hindrance}"
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(said)
