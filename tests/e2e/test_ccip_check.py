"""`seamark ccip check` as people and cron call it, on a devnet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from seamark.demo import PUBLISHER_KEY
from tests.e2e.conftest import KEY, SOURCE, RunningDevnet

CommandResult = subprocess.CompletedProcess[str]


def ccip_check(folder: Path, values: dict[str, Any], *arguments: str) -> CommandResult:
    file = folder / "seamark.yaml"
    file.write_text(yaml.safe_dump(values))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(SOURCE),
        "COLUMNS": "140",
        PUBLISHER_KEY: KEY,
    }
    command = [sys.executable, "-m", "seamark", "ccip", "check", "--config", str(file), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)


def with_checks(devnet: RunningDevnet, **checks: Any) -> dict[str, Any]:
    values = devnet.values(database="sqlite:///none.db")
    return {**values, "ccip": {**values["ccip"], "checks": checks}}


def test_all_is_well(devnet: RunningDevnet, tmp_path: Path) -> None:
    ended = ccip_check(tmp_path, with_checks(devnet))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "All is well." in ended.stdout
    assert ended.stdout.count("OnRamp 1.6.0") == 2
    assert not (tmp_path / "none.db").exists()  # looking makes no database


def test_an_empty_purse_for_cron(devnet: RunningDevnet, tmp_path: Path) -> None:
    key = next(iter(devnet.values()["chains"]))
    values = with_checks(devnet, senders=[{"chain": key, "address": "0x" + "12" * 20, "name": "nobody"}])
    ended = ccip_check(tmp_path, values)
    assert ended.returncode == 1
    assert "critical: nobody on" in ended.stdout
    assert "seamark ccip refill" in ended.stdout
    assert ccip_check(tmp_path, values, "--fail-on", "never").returncode == 0


def test_for_programs(devnet: RunningDevnet, tmp_path: Path) -> None:
    ended = ccip_check(tmp_path, with_checks(devnet), "--json")
    chains = json.loads(ended.stdout)
    assert [chain["problem"] for chain in chains] == ["", ""]
    assert isinstance(chains[0]["lanes"][0]["quotes"][0]["amount"], str)


def test_a_node_that_is_away(devnet: RunningDevnet, tmp_path: Path) -> None:
    values = with_checks(devnet)
    key = next(iter(values["chains"]))
    values["chains"][key]["rpc"] = ["http://127.0.0.1:1"]
    ended = ccip_check(tmp_path, values)
    assert ended.returncode == 1
    assert "no node answers" in ended.stdout
    assert "At least one chain could not be asked." in ended.stdout


def test_a_sender_on_a_chain_that_is_not_watched(devnet: RunningDevnet, tmp_path: Path) -> None:
    ended = ccip_check(tmp_path, with_checks(devnet, senders=[{"chain": "hmoe", "address": "0x" + "12" * 20}]))
    assert ended.returncode == 2
    assert "ccip.checks.senders[0].chain: 'hmoe' is not among ccip.chains" in ended.stderr
