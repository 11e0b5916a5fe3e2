"""Students as parameters of a test: those that it would take long with wait for the slow tier."""

from typing import Any

import pytest

from wakesmith import registry


def each(*quick: str) -> list[Any]:
    """All of the registry, which new ones are in too; `quick`: those of the quick tests."""
    slow = [] if not quick else [pytest.mark.slow]
    return [pytest.param(name, marks=[] if name in quick else slow) for name in registry.names("students")]
