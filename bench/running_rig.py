"""Chains that mine when told to, and a monitor in a process of its own: what `bench.running` measures with.

The clock of a block starts just before its node is asked to mine it. Of the monitor process, processor time and memory
are read from /proc, and the moment each block was committed from what it writes at its end (`bench.running_monitor`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from bench import running_mailbox as mailbox
from bench.running_mailbox import Message
from seamark.core.ids import ChainId
from seamark.devnet import die_with_parent
from seamark.devnet.accounts import Role, account
from seamark.devnet.anvil import Anvil, AnvilOptions
from seamark.messages.model import Stage
from seamark.messages.store import tables
from seamark.storage.database import open_database

__all__ = ["Monitor", "Side", "Usage", "nodes"]

MESSAGES_PER_TRANSACTION = 100
MINE_GAS = 16_000_000  # a transaction may not ask for more (EIP-7825)
PATIENCE_S = 60.0
_SHIM = Path(die_with_parent.__file__)


@dataclass
class Side:
    """One chain and what was done on it."""

    node: Anvil
    domain: int
    height: int = 0
    nonce: int = 0
    inbox: list[Message] = field(default_factory=list)
    mined: dict[int, float] = field(default_factory=dict)
    """Block number -> when it was asked for."""

    async def block(self, records: Sequence[bytes] = ()) -> int:
        """Mine a block with these logs."""
        for start in range(0, len(records), MESSAGES_PER_TRANSACTION):
            data = mailbox.with_nonce(self.nonce, records[start : start + MESSAGES_PER_TRANSACTION])
            transaction = {"from": account(Role.USER).address, "to": mailbox.MAILBOX, "data": data}
            await self.node.request("eth_sendTransaction", transaction | {"gas": hex(MINE_GAS), "gasPrice": "0x0"})
        self.height += 1
        self.mined[self.height] = time.monotonic()
        await self.node.request("evm_mine")
        return self.height

    def send(self, to: Side, count: int) -> list[bytes]:
        """Logs of new messages; the other side is to deliver them."""
        messages = [mailbox.make_message(self.domain, self.nonce + at, to.domain) for at in range(count)]
        self.nonce += count
        to.inbox += messages
        return [mailbox.dispatch(message) for message in messages]

    def deliver(self) -> list[bytes]:
        """Logs of the delivery of everything that came in."""
        inbox, self.inbox = self.inbox, []
        return [mailbox.process(message) for message in inbox]


@contextlib.asynccontextmanager
async def nodes(count: int) -> AsyncIterator[list[Side]]:
    async with contextlib.AsyncExitStack() as stack:
        sides = []
        for number in range(count):
            options = AnvilOptions(chain_id=ChainId(7_000 + number), zero_fee=True)
            node = await stack.enter_async_context(Anvil(options))
            side = Side(node, domain=1_000 + number)
            await mailbox.install(node, side.domain)
            await node.request("evm_setAutomine", False)
            for _ in range(3):
                await side.block()
            sides.append(side)
        yield sides


# ---- the monitor ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process, so far."""

    at: float
    cpu_s: float
    waited_s: float
    """How long its main thread was ready to run and had no core."""

    resident_mb: float

    @staticmethod
    def of(pid: int) -> Usage:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])  # utime, stime: fields 14 and 15 of proc(5)
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        waited_ns = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
        cpu_s, memory = ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")
        return Usage(time.monotonic(), cpu_s, waited_ns / 1e9, memory / 1e6)


class Monitor:
    """The child process."""

    def __init__(self, folder: Path, sides: Sequence[Side], *, poll: str) -> None:
        self._poll = poll
        self._folder = folder
        self._sides = sides
        self.database = f"sqlite:///{folder / 'seamark.db'}"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        file = self._folder / "settings.yaml"
        file.write_bytes(msgspec.json.encode(self._settings()))  # JSON is YAML
        command = [sys.executable, "-m", "bench.running_monitor", str(file), str(self._folder / "commits.json")]
        command = [sys.executable, "-I", "-S", str(_SHIM), str(os.getpid()), *command]
        # A session of its own: Linux shares processor time among sessions first (autogroup), as among services.
        self._process = await asyncio.create_subprocess_exec(*command, start_new_session=True)

    def _settings(self) -> dict[str, Any]:
        names = {side.domain: f"c{side.domain}" for side in self._sides}
        return {
            "database": self.database,
            "start_timeout": "60s",
            "chains": {
                names[side.domain]: {
                    "chain_id": side.node.options.chain_id,
                    "rpc": [side.node.url],
                    "poll_interval": self._poll,
                }
                for side in self._sides
            },
            "hyperlane": {
                "chains": [
                    {"chain": names[side.domain], "mailbox": mailbox.MAILBOX, "start_block": 0} for side in self._sides
                ]
            },
            "metrics": {"port": 0},
            "health": {"port": 0},
            "logs": {"level": "error"},
        }

    async def stop(self) -> dict[tuple[int, int], float]:
        """End it; when it stored each block: (chain id, number) -> seconds."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        await self._process.wait()
        rows = msgspec.json.decode((self._folder / "commits.json").read_bytes(), type=list[tuple[int, int, float]])
        first: dict[tuple[int, int], float] = {}
        for chain_id, number, at in rows:
            first.setdefault((chain_id, number), at)
        return first

    async def until_level(self) -> None:
        """Wait until it has stored all that was mined."""
        heights = {side.node.options.chain_id: side.height for side in self._sides}
        database = await open_database(self.database)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while await database.read(_scanned) != heights:  # noqa: ASYNC110 - another process cannot set an event
                    await asyncio.sleep(0.2)
        finally:
            await database.close()

    async def stored(self) -> tuple[int, int]:
        """Messages, and those of them that were delivered."""
        database = await open_database(self.database)
        try:
            return await database.read(_stored)
        finally:
            await database.close()


def _scanned(connection: Connection) -> dict[int, int]:
    rows = connection.execute(select(tables.chain.c.chain_id, tables.chain.c.scanned))
    return {row.chain_id: row.scanned for row in rows}


def _stored(connection: Connection) -> tuple[int, int]:
    delivered = func.count().filter(tables.message.c.stage == Stage.EXECUTED)
    messages, done = connection.execute(select(func.count(), delivered).select_from(tables.message)).one()
    return messages, done
