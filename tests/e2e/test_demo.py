"""The demo as a visitor runs it: ready, alive, stopped by Ctrl-C without a trace, resumed, started anew."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from seamark.app.sending import open_operator
from seamark.devnet.accounts import Role, account
from seamark.runtime.clock import SystemClock
from seamark.settings import load
from seamark.storage.database import open_database
from tests.support.process import Seamark

pytestmark = pytest.mark.timeout(300)

HAPPENS_LIMIT_S = 60.0
STOP_LIMIT_S = 15.0
FREE_PORTS = ["--port", "--metrics-port", "--health-port", "--home-port", "--remote-port", "--venues-port"]


class Demo:
    """One run of the command, on free ports."""

    def __init__(self, folder: Path, *options: str) -> None:
        ports = [word for option in FREE_PORTS for word in (option, "0")]
        self.process = Seamark("demo", "--data", "data", "--no-faults", *ports, *options, folder=folder)
        self.url = ""
        self.seen: set[int] = set()

    async def ready(self) -> Demo:
        await self.process.start()
        found = await self.tells(r"Ready in .*Open (http://\S+)")
        self.url = found[1]
        self.seen |= descendants(self.process.process.pid)
        return self

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
            assert response.status == 200, await response.text()
            return await response.json() if response.content_type == "application/json" else await response.text()

    async def tells(self, pattern: str) -> re.Match[str]:
        """Wait for a line of the story."""
        async with asyncio.timeout(HAPPENS_LIMIT_S):
            while True:
                if found := re.search(pattern, self.process.text()):
                    return found
                assert self.process.process.returncode is None, self.process.text()
                await asyncio.sleep(0.1)

    async def executed(self, at_least: int) -> list[dict[str, Any]]:
        """The messages that reached their end, as soon as there are so many."""
        async with asyncio.timeout(HAPPENS_LIMIT_S):
            while True:
                done = [item for item in await self.messages() if item["stage"] == "executed"]
                if len(done) >= at_least:
                    return done
                await asyncio.sleep(0.3)

    async def messages(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.get("api/messages?limit=200"))["items"]
        return items

    async def rounds(self) -> dict[str, int]:
        return {feed["name"]: int(feed["source"]["round"]) for feed in (await self.get("api/feeds"))["items"]}

    async def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """The signal, exit code 0, and nothing left of any process that was ours."""
        process = self.process.process
        process.send_signal(number)
        async with asyncio.timeout(STOP_LIMIT_S):
            assert await process.wait() == 0, self.process.text()
        assert "Traceback" not in self.process.text()
        left = {pid for pid in self.seen if alive(pid)}
        assert left == set()


def descendants(pid: int) -> set[int]:
    """Children of a process and theirs; the chains are in sessions of their own, but still children."""
    children = {int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()}
    return children.union(*(descendants(child) for child in children))


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    running: list[Demo] = []

    async def begin(*options: str) -> Demo:
        demo = Demo(tmp_path, *options)
        running.append(demo)
        return await demo.ready()

    yield begin
    for demo in running:
        await demo.process.kill()


async def check_file(file: Path) -> None:
    """What commands beside the demo use: its chains, its database, its senders, an operator's key."""
    settings = load(file, {})
    database = await open_database(settings.database, migrate=False)
    async with open_operator(settings, database=database, clock=SystemClock()) as operator:
        assert operator.address == account(Role.OPERATOR).address
    await database.close()
    assert [chain.chain_id for chain in settings.chains.values()] == [138, 31337]
    assert [sender.name for sender in settings.ccip.checks.senders] == ["BTC/USD", "ETH/USD", "LINK/USD"]


async def test_a_visit(start: Callable[..., Any], tmp_path: Path) -> None:
    demo = await start()
    await check_file(tmp_path / "data" / "demo.yaml")
    assert len(demo.seen) == 2, "two chains"
    assert "<title>" in await demo.get("")
    first = await demo.executed(3)
    assert {message["lane"]["source"]["label"] for message in first} == {"Chain 138"}
    for feed in ("BTC/USD", "ETH/USD", "LINK/USD"):
        await demo.tells(rf"{feed} [\d,.]+ published: first, round 1")
        await demo.tells(rf"{feed} [\d,.]+ arrived on Chain 31337, round 1")
    await demo.tells(r"0x[0-9a-f]{8}… Chain 138 → Chain 31337 #1 executed \d+s after the send")
    for shown in (await demo.get("api/feeds"))["items"]:
        assert int(shown["source"]["round"]) >= 1
        assert [int(side["round"]) >= 1 for side in shown["destinations"]] == [True], "on the other chain too"
    rounds, known = await demo.rounds(), {message["id"] for message in await demo.messages()}
    await demo.stop()
    assert demo.process.text().endswith("Stopped. The same command goes on from here; --fresh starts anew.\n")

    again = await start()
    assert re.search(r"chains 138 and 31337 resumed at blocks \d+ and \d+", again.process.text())
    later = await again.rounds()
    assert set(later) == set(rounds)
    assert all(later[name] >= rounds[name] for name in rounds)
    listed = await again.executed(len(known) + 1)
    ids = [message["id"] for message in await again.messages()]
    assert len(ids) == len(set(ids)), "none twice"
    assert known <= set(ids), "none lost"
    assert {message["id"] for message in listed} > known
    assert not re.search(r"published: first", again.process.text())
    await again.stop(signal.SIGTERM)

    fresh = await start("--fresh")
    assert "resumed" not in fresh.process.text()
    done = {message["id"] for message in await fresh.executed(1)}
    assert not done & known
    assert all(number < 5 for number in (await fresh.rounds()).values())
    await fresh.stop()


async def test_a_second_demo_on_the_same_folder_is_told(start: Callable[..., Any], tmp_path: Path) -> None:
    demo = await start()
    second = Demo(tmp_path, "--fresh")
    second.process.log = tmp_path / "second.log"
    await second.process.start()
    assert await second.process.wait() == 1
    assert re.search(r"seamark: another devnet \(process \d+\) runs on .*; stop it, or choose", second.process.text())
    assert await demo.rounds(), "the first goes on"
    await demo.stop()


async def test_sigkill_leaves_no_chain_behind(start: Callable[..., Any], tmp_path: Path) -> None:
    demo = await start()
    await demo.process.kill()
    async with asyncio.timeout(STOP_LIMIT_S):
        while any(alive(pid) for pid in demo.seen):  # noqa: ASYNC110 - another process cannot set an event here
            await asyncio.sleep(0.1)
    assert json.loads((tmp_path / "data" / "devnet" / "deployment.json").read_text())["format"]
