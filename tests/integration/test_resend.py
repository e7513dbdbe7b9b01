"""`seamark messages resend` on a devnet's feed: refused where useless, sent by an operator, landed."""

# ruff: noqa: F811 - tests take the imported fixture as an argument

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from seamark.devnet.accounts import Role, account
from tests.support.recovery import Bench, bench, world  # noqa: F401 - fixtures

pytestmark = pytest.mark.integration

SOURCE = Path(__file__).resolve().parents[2] / "src"
LIMIT_S = 60
PRICE = 6_543_210_000_000
WHY = ("--why", "round lost")


FEED = {"name": "BTC", "chain": "home", "heartbeat": "1h", "deviation": "1%"}


def _chain(chain: Any, url: str) -> dict[str, Any]:
    return {"chain_id": chain.chain_id, "selector": str(chain.selector), "rpc": [url], "poll_interval": "50ms"}


class Desk:
    """The command line of somebody whose key has a role of the devnet."""

    def __init__(self, bench: Bench, folder: Path, role: Role = Role.OPERATOR) -> None:
        self.bench, self.folder, self.role = bench, folder, role
        feed = bench.world.feed()
        chains = {
            "home": (bench.world.home, bench.world.home_node),
            "remote": (bench.world.remote, bench.world.remote_node),
        }
        self.values: dict[str, Any] = {
            "database": f"sqlite:///{folder / 'seamark.db'}",
            "chains": {
                name: {
                    "chain_id": chain.chain_id,
                    "selector": str(chain.selector),
                    "rpc": [node.url],
                    "poll_interval": "50ms",
                }
                for name, (chain, node) in chains.items()
            },
            "ccip": {"chains": [{"chain": "home", "router": bench.world.home.router}]},
            "recovery": {"signer": {"private_key_env": "KEY"}},
            "oracle": {
                "signer": {"private_key_env": "PUBLISHER_KEY"},
                "feeds": [
                    {
                        "name": "BTC",
                        "chain": "home",
                        "aggregator": feed.aggregator,
                        "heartbeat": "1h",
                        "deviation": "1%",
                    }
                ],
            },
        }

    async def run(self, *arguments: str, typed: str | None = None) -> tuple[int, str, str]:
        file = self.folder / "seamark.yaml"
        file.write_text(yaml.safe_dump(self.values))
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(SOURCE),
            "KEY": account(self.role).private_key,
            "COLUMNS": "200",
        }
        ours, theirs = pty.openpty()
        try:
            if typed is not None:
                os.write(ours, typed.encode() + b"\n")
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "seamark", "messages", "resend", *arguments, "--config", str(file),
                cwd=self.folder,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL if typed is None else theirs,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            async with asyncio.timeout(LIMIT_S):
                out, err = await process.communicate()
        finally:
            os.close(ours)
            os.close(theirs)
        return process.returncode or 0, out.decode(), err.decode()


async def test_a_round_is_sent_again_only_where_that_helps(bench: Bench, tmp_path: Path) -> None:
    desk = Desk(bench, tmp_path)
    await bench.world.submit(PRICE)
    (sent,) = await _messages(bench, 1)
    code, out, err = await desk.run("BTC", "--to", "remote")
    assert code == 3, err
    assert f"Message {sent.id} is on its way" in out

    code, out, _ = await desk.run("BTC", "--to", "remote", "--anyway", "--send", *WHY, typed="1")
    assert code == 0, out
    both = await _messages(bench, 2)
    assert len({message.id for message in both}) == 2

    await bench.world.deliver(bench.lane)
    assert (await bench.world.remote_answer())[1] == PRICE
    code, out, _ = await desk.run("BTC", "--to", "remote", "--json")
    assert code == 3
    document = json.loads(out)
    assert document["far_round"] == "1"
    assert document["useful"] is False


async def test_who_is_no_operator_is_told_so(bench: Bench, tmp_path: Path) -> None:
    desk = Desk(bench, tmp_path, Role.USER)
    await bench.world.submit(PRICE)
    code, out, _ = await desk.run("BTC", "--to", "remote", "--anyway", "--send", *WHY, typed="1")
    assert code == 3
    assert "AccessControl" in out
    assert "operator's role" in out


async def test_an_unsigned_transaction_is_made_for_an_operator_elsewhere(bench: Bench, tmp_path: Path) -> None:
    desk = Desk(bench, tmp_path)
    await bench.world.submit(PRICE)
    file = tmp_path / "resend.json"
    operator = account(Role.OPERATOR).address
    code, _, err = await desk.run("BTC", "--to", "remote", "--anyway", "--out", str(file), "--from", operator)
    assert code == 0, err
    unsigned = json.loads(file.read_text())
    assert unsigned["from"] == operator
    assert int(unsigned["gas"], 16) > 200_000
    code, out, _ = await desk.run("BTC", "--to", "remote", "--anyway", "--calldata")
    assert (code, out.strip()) == (0, unsigned["data"])
    code, _, err = await desk.run("BTC", "--to", "remote", "--anyway", "--out", str(file))
    assert code == 1
    assert "--from" in err


async def test_wrong_arguments_are_told(bench: Bench, tmp_path: Path) -> None:
    desk = Desk(bench, tmp_path)
    for arguments, words in (
        (("ETH", "--to", "remote"), "known: BTC"),
        (("BTC", "--to", "mars"), "known: home, remote"),
        (("BTC", "--to", "remote", "--send"), "--why"),
        (("BTC", "--to", "remote", "--send", "--calldata"), "--send"),
    ):
        code, _, err = await desk.run(*arguments)
        assert code == 2
        assert words in err


async def test_a_round_or_a_destination_that_is_not_there(bench: Bench, tmp_path: Path) -> None:
    desk = Desk(bench, tmp_path)
    await bench.world.submit(PRICE)
    code, out, _ = await desk.run("BTC", "--to", "remote", "--round", "9")
    assert code == 3
    assert "There is no round 9" in out
    code, out, _ = await desk.run("BTC", "--to", "12345")
    assert code == 3
    assert "UnknownDestination" in out


async def _messages(bench: Bench, count: int) -> Any:
    found: list[Any] = []

    async def there() -> bool:
        found[:] = [view for view in await bench.monitor.messages() if view.sent_tx]
        return len(found) == count

    await bench.monitor.until(there)
    return found
