"""Many feeds with many sources, in three processes: venues, a chain (anvil), and the publisher, alone on its core.

The publisher is `seamark run oracle` with a settings file; its looks at itself come over its standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.feeds_deployed import deploy
from bench.oracle_feeds import Look
from bench.oracle_venues import HOST, STREAMS
from bench.priority import go_first
from seamark.core.ids import Address, ChainId
from seamark.devnet import die_with_parent
from seamark.devnet.accounts import Role, account
from seamark.devnet.anvil import Anvil, AnvilOptions
from seamark.devnet.node_client import NodeClient

__all__ = ["Rig", "rig"]

CHAIN = ChainId(31337)
PUBLISHER_CORE, OTHER_CORE = 0, 1
ASKED_EVERY = "1s"
START_S = 240.0  # a thousand feeds are checked one after the other, and each publishes its first round
_SHIM = Path(die_with_parent.__file__)
_KEY = "BENCH_PUBLISHER_KEY"


@dataclass
class Rig:
    """The running publisher."""

    process: asyncio.subprocess.Process
    venues: asyncio.subprocess.Process
    feeds: int

    def pace(self, ticks_per_s: float) -> None:
        """Of all websockets together; the list over HTTP gives one more each second for each feed."""
        assert self.venues.stdin is not None
        self.venues.stdin.write(f"{ticks_per_s}\n".encode())

    async def next(self) -> Look:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the publisher ended with status {await self.process.wait()}")
        return msgspec.json.decode(line, type=Look)

    async def until_level(self) -> Look:
        """Wait until every feed has an answer and a round."""
        until = time.monotonic() + START_S
        while (look := await self.next()).rounds < self.feeds:
            if time.monotonic() > until:
                raise RuntimeError(f"only {look.answers} feeds have an answer, {look.rounds} are on chain")
        return look

    async def looks(self, seconds: float) -> list[Look]:
        until = time.monotonic() + seconds
        found = []
        while time.monotonic() < until:
            found.append(await self.next())
        return found


@contextlib.asynccontextmanager
async def rig(folder: Path, *, feeds: int) -> AsyncIterator[Rig]:
    """Started and not yet level, at a slow pace."""
    several = (os.cpu_count() or 1) > 1
    mine = os.sched_getaffinity(0)
    if several:
        os.sched_setaffinity(0, {OTHER_CORE})  # the venues and anvil inherit it
    try:
        async with contextlib.AsyncExitStack() as stack:
            anvil, addresses = await stack.enter_async_context(_chain(folder, feeds))
            venues = await _start("bench.oracle_venues", str(feeds), str(feeds), str(OTHER_CORE if several else -1))
            stack.push_async_callback(_stop, venues)
            assert venues.stdout is not None
            port = int(await venues.stdout.readline())
            file = folder / "settings.yaml"
            file.write_bytes(msgspec.json.encode(settings(folder, anvil.url, port, addresses)))  # JSON is YAML
            publisher = await _start("bench.oracle_feeds", str(file), str(PUBLISHER_CORE if several else -1))
            stack.push_async_callback(_stop, publisher)
            yield Rig(publisher, venues, feeds)
    finally:
        os.sched_setaffinity(0, mine)


@contextlib.asynccontextmanager
async def _chain(folder: Path, feeds: int) -> AsyncIterator[tuple[Anvil, list[Address]]]:
    """With the contracts: deployed once in a folder, which takes a minute, and found there again."""
    known = folder / f"addresses-{feeds}.json"
    options = AnvilOptions(chain_id=CHAIN, state_file=folder / f"chain-{feeds}.json", state_interval_s=100_000)
    async with Anvil(options) as anvil, NodeClient(anvil.url, CHAIN) as node:
        go_first(anvil.pid or 0)
        if not known.exists():
            known.write_bytes(msgspec.json.encode(await deploy(node, feeds)))
        await anvil.set_block_time(1)
        yield anvil, msgspec.json.decode(known.read_bytes(), type=list[Address])


async def _start(module: str, *arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-I", "-S", str(_SHIM), str(os.getpid()), sys.executable, "-m", module, *arguments]
    environment = {**os.environ, _KEY: account(Role.PUBLISHER).private_key}
    # A session of its own: Linux shares processor time among sessions first (autogroup), as among services.
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, env=environment, start_new_session=True
    )
    go_first(process.pid)
    return process


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.communicate()


def settings(folder: Path, rpc: str, port: int, addresses: Sequence[Address]) -> dict[str, Any]:
    """Each feed with nine websockets and one HTTP source, whose one reply all feeds share."""
    venues: dict[str, Any] = {
        venue: {"like": venue.partition("-")[0], "stream_url": f"ws://{HOST}:{port}/{venue}", "quotes": ["USD"]}
        for venue in STREAMS
    }
    streams = [{"venue": venue, "stream": True} for venue in STREAMS]
    feeds = [
        {"pair": f"F{number}/USD", "chain": "bench", "aggregator": address, "heartbeat": "1d", "deviation": "0.5%",
         "sources": [*streams, _listed(number, port)], "poll_interval": ASKED_EVERY, "gas_limit": 300_000}
        for number, address in enumerate(addresses)
    ]  # fmt: skip
    return {
        "database": f"sqlite:///{folder / f'seamark-{time.time_ns()}.db'}",
        "start_timeout": "120s",
        "chains": {"bench": {"chain_id": CHAIN, "rpc": [rpc], "poll_interval": "500ms"}},
        "oracle": {"signer": {"private_key_env": _KEY}, "feeds": feeds, "venues": venues},
        "metrics": {"port": 0},
        "health": {"port": 0},
        "logs": {"level": "error"},
    }


def _listed(number: int, port: int) -> dict[str, Any]:
    paths = {name: f"F{number}.{name}" for name in ("bid", "ask", "volume", "time")}
    return {"name": "listed", "url": f"http://{HOST}:{port}/tickers", "price": f"F{number}.last", **paths}
