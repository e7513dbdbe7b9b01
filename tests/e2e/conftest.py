"""A devnet as its users start it: one process for all tests of this folder that only read from it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from seamark.demo import PUBLISHER_KEY
from seamark.devnet.accounts import Role, account

SOURCE = Path(__file__).resolve().parents[2] / "src"
STOP_LIMIT_S = 20
KEY = account(Role.PUBLISHER).private_key
STRANGER_KEY = "0x" + "5e" * 32


@dataclass(frozen=True)
class RunningDevnet:
    """What `seamark devnet up` printed, and the settings file that it wrote."""

    summary: dict[str, Any]
    settings: Path

    @property
    def home(self) -> dict[str, Any]:
        return dict(self.summary["chains"]["home"])

    @property
    def remote(self) -> dict[str, Any]:
        return dict(self.summary["chains"]["remote"])

    @property
    def aggregator(self) -> str:
        return str(self.summary["feeds"][0]["aggregator"])

    def values(self, **changes: Any) -> dict[str, Any]:
        """The settings file's content, on free ports; `changes` replace whole parts."""
        free = {"metrics": {"port": 0}, "health": {"port": 0}, "api": {"port": 0}, "logs": {"form": "json"}}
        values: dict[str, Any] = yaml.safe_load(self.settings.read_text())
        return {**values, **free, **changes}


@pytest.fixture(scope="session")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDevnet]:
    folder = tmp_path_factory.mktemp("devnet")
    settings = folder / "devnet.yaml"
    command = [sys.executable, "-m", "seamark", "devnet", "up", "--json", "--data", "chains", "--write", str(settings)]
    ports = ["--home-port", "0", "--remote-port", "0", "--venues-port", "0"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(SOURCE)}
    with (folder / "err").open("wb") as errors:
        process = subprocess.Popen(
            [*command, *ports], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        yield RunningDevnet(_read_json(process, folder / "err"), settings)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=STOP_LIMIT_S)
    assert process.returncode == 0, (folder / "err").read_text()


def _read_json(process: subprocess.Popen[str], errors: Path) -> dict[str, Any]:
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line.rstrip() == "}":
            found: dict[str, Any] = json.loads(text)
            return found
    raise AssertionError(f"the devnet did not start: {text}{errors.read_text()}")


@pytest.fixture
def publisher() -> dict[str, str]:
    """The environment that the settings file asks for."""
    return {PUBLISHER_KEY: KEY}
