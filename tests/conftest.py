"""Rules for all tests: unit tests are short, whatever needs a real counterpart says so by its folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import structlog

# As `evm.crypto.assert_fast_backends` sets it at the start of a process; here libraries that hash at import come first.
os.environ["ETH_HASH_BACKEND"] = "pysha3"

HERE = Path(__file__).parent
UNIT_LIMIT_S = 30  # most take milliseconds; generous because shared machines stall
LIMITS_S = {"unit": UNIT_LIMIT_S, "architecture": 60, "property": 120, "integration": 300, "contracts": 900, "e2e": 900}
MARKS = {"integration": pytest.mark.integration, "contracts": pytest.mark.integration, "e2e": pytest.mark.e2e}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        if item.get_closest_marker("timeout") is None and folder in LIMITS_S:
            item.add_marker(pytest.mark.timeout(LIMITS_S[folder]))
        if folder in MARKS:
            item.add_marker(MARKS[folder])


RECURSION_LIMIT = 1000  # Python's own


def pytest_runtest_setup() -> None:
    """What a test before may have left in the process.

    eth_account brings py_ecc, whose import raises the limit to 100,000: deep nesting would then overflow the C stack in
    tests where in production it raises `RecursionError`. Commands set the level of logs, which others listen to.
    """
    sys.setrecursionlimit(RECURSION_LIMIT)
    structlog.reset_defaults()
