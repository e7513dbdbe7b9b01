"""The careless operator in a shell: a process ends with one line and an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import SOURCE

pytestmark = pytest.mark.timeout(60)

SETTINGS = 2


def process(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    base = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(SOURCE)}
    return subprocess.run(
        [sys.executable, "-m", "seamark", *arguments],
        cwd=folder, env=base | environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_process_ends_with_the_line_and_the_code(tmp_path: Path) -> None:
    ended = process(tmp_path, "run", "oracle", RPC_URL="http://127.0.0.1:1")
    assert (ended.returncode, ended.stdout) == (SETTINGS, "")
    assert ended.stderr == "seamark: AGGREGATOR_ADDRESS: is not set; export AGGREGATOR_ADDRESS=0x…\n"


def test_a_terminal_without_unicode_gets_the_line_too(tmp_path: Path) -> None:
    ended = process(tmp_path, "run", "oracle", RPC_URL="http://127.0.0.1:1", PYTHONIOENCODING="ascii")
    assert ended.returncode == SETTINGS
    assert ended.stderr == "seamark: AGGREGATOR_ADDRESS: is not set; export AGGREGATOR_ADDRESS=0x?\n"


def test_wrong_arguments_are_told_by_the_command_line(tmp_path: Path) -> None:
    ended = process(tmp_path, "run")
    assert ended.returncode == SETTINGS
    assert "Missing argument" in ended.stderr
    assert "Traceback" not in ended.stderr
