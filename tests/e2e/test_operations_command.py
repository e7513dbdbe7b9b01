"""`seamark ccip refill | pause | resume | configure | history` as a person at a terminal calls them, on a devnet."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from seamark.demo import PUBLISHER_KEY
from seamark.devnet.accounts import Role, account
from seamark.devnet.artifacts import ccip_artifact
from tests.e2e.conftest import KEY, SOURCE, RunningDevnet

pytestmark = pytest.mark.timeout(180)

LIMIT_S = 60
CEILINGS = {"per_refill": 20, "per_day": 24}
ERC20 = ccip_artifact("v1_5_1", "factory_burn_mint_erc20").abi


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Desk:
    """An operator's folder, settings and contract."""

    folder: Path
    values: dict[str, Any]
    sender: str

    @property
    def word(self) -> str:
        """What the confirmation asks for."""
        return self.sender[2:8]

    def ccip(self, *arguments: str, typed: str | None = None) -> Ran:
        """Run `seamark ccip …`; with `typed`, in a terminal at which a person types that."""
        file = self.folder / "seamark.yaml"
        file.write_text(yaml.safe_dump(self.values))
        keys = {
            PUBLISHER_KEY: KEY,
            "OPERATOR_KEY": account(Role.OPERATOR).private_key,
            "ADMIN_KEY": account(Role.HOME_DEPLOYER).private_key,
        }
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(SOURCE), **keys}
        ours, theirs = pty.openpty()
        try:
            if typed is not None:
                os.write(ours, typed.encode() + b"\n")
            ended = subprocess.run(
                [sys.executable, "-m", "seamark", "ccip", *arguments, "--config", str(file)],
                cwd=self.folder,
                env=environment | {"COLUMNS": "200"},
                stdin=subprocess.DEVNULL if typed is None else theirs,
                capture_output=True,
                text=True,
                check=False,
                timeout=LIMIT_S,
            )
        finally:
            os.close(ours)
            os.close(theirs)
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    def on_sender(self, command: str, *arguments: str, typed: str | None = None) -> Ran:
        return self.ccip(command, self.sender, "--chain", "home", *arguments, typed=typed)

    def history(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.ccip("history", "--json").out)
        return found


def request(endpoint: str, method: str, *params: Any) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    with urllib.request.urlopen(
        urllib.request.Request(endpoint, body, {"Content-Type": "application/json"}), timeout=LIMIT_S
    ) as response:
        answer = json.loads(response.read())
    assert "error" not in answer, answer
    return answer["result"]


def link_of(chain: dict[str, Any], owner: str) -> int:
    data = "0x" + ERC20.encode_call("balanceOf", owner).hex()
    return int(request(chain["rpc"], "eth_call", {"to": chain["link"], "data": data}, "latest"), 16)


@pytest.fixture
def desk(devnet: RunningDevnet, tmp_path: Path) -> Desk:
    operations = {
        "signer": {"private_key_env": "OPERATOR_KEY"},
        "admin": {"private_key_env": "ADMIN_KEY"},
        "refill": CEILINGS,
        "policy": {"chains": ["home"], "kinds": ["refill"]},
    }
    values = devnet.values(database="sqlite:///seamark.db", operations=operations)
    # A feed of its own: other tests of this folder look at the first.
    return Desk(tmp_path, values, str(devnet.summary["feeds"][2]["aggregator"]))


def test_a_shift(devnet: RunningDevnet, desk: Desk) -> None:
    """What an operator does, in one sitting: each command with a confirmation, and all of it in the record."""
    before = link_of(devnet.home, desk.sender)

    refused = desk.on_sender("refill", "--amount", "5")  # no person, no --yes
    assert refused.code == 2
    assert "nobody is there to confirm it" in refused.err
    assert "operations.policy" in refused.err
    wrong = desk.on_sender("refill", "--amount", "5", typed="yes")
    assert (wrong.code, "refill: not confirmed, nothing was sent" in wrong.err) == (2, True)

    sent = desk.on_sender("refill", "--amount", "5", "--why", "ticket 7", "--by", "ada", typed=desk.word)
    assert (sent.code, sent.out.strip()) == (0, "operation 1: refill done"), sent.err
    assert "To send 5 of 1000 LINK" in sent.err
    assert link_of(devnet.home, desk.sender) - before == 5 * 10**18
    above = desk.on_sender("refill", "--amount", "20", "--yes")
    assert (above.code, "per_day (24)" in above.err) == (2, True)

    paused = desk.on_sender("pause", "--why", "receiver being replaced", typed=desk.word)
    assert paused.code == 0, paused.err
    assert "To pause sending of " in paused.err
    unwanted = desk.on_sender("resume", "--yes")
    assert (unwanted.code, "operations.policy does not allow resume" in unwanted.err) == (2, True)
    assert desk.on_sender("resume", typed=desk.word).code == 0

    file = desk.folder / "sender.yaml"
    file.write_text(yaml.safe_dump({"chain": "home", "sender": desk.sender, "send_gas_limit": 700_000}))
    tried = desk.ccip("configure", str(file), "--dry-run")
    assert tried.code == 0, tried.err
    assert "700,000" in tried.out
    assert "nothing was sent" in tried.err

    record = desk.history()
    assert [sent["tx"][:2] for item in record for sent in item["transactions"]] == ["0x"] * 3
    assert [(item["kind"], item["outcome"]) for item in record] == [
        ("resume", "done"),
        ("pause", "done"),
        ("refill", "done"),
    ]
    shown = desk.ccip("history").out
    assert "refill 5 LINK" in shown
    assert "ada" in shown
    assert "ticket 7" in shown
