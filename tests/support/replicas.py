"""Replicas in memory: a record that is compared and set, and clocks of hosts that do not agree."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from seamark.core.errors import TemporaryError
from seamark.runtime.leadership import Record


@dataclass
class World:
    """Time as it is."""

    time: float = 0.0


@dataclass
class HostClock:
    """One host's clocks: `ahead` seconds off for the time of day, and running at `rate`."""

    world: World
    ahead: float = 0.0
    rate: float = 1.0
    sleeping: list[asyncio.Future[None]] = field(default_factory=list)

    def now(self) -> float:
        return 1_700_000_000.0 + self.ahead + self.monotonic()

    def monotonic(self) -> float:
        return self.world.time * self.rate

    async def sleep(self, seconds: float) -> None:
        until = self.monotonic() + seconds
        while self.monotonic() < until:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.sleeping.append(future)
            await future

    def wake(self) -> None:
        """Have the sleepers look at the time."""
        sleeping, self.sleeping = self.sleeping, []
        for future in sleeping:
            if not future.done():
                future.set_result(None)


class MemoryStore:
    """A record that all share."""

    def __init__(self) -> None:
        self.record: Record | None = None
        self.history: list[Record] = []
        self._versions = itertools.count(1)

    def set(self, record: Record, before: Record | None) -> Record | None:
        if self.record != before:
            return None
        self.record = replace(record, version=next(self._versions))
        self.history.append(self.record)
        return self.record


async def _pass() -> None:
    return


@dataclass
class MemoryRegister:
    """One replica's way to the store. `cut`: no request arrives. `deaf`: requests arrive, answers do not."""

    store: MemoryStore
    cut: bool = False
    deaf: bool = False
    gate: Callable[[], Awaitable[None]] = _pass
    """Passed before and after each request."""

    async def read(self) -> Record | None:
        await self.gate()
        self._arrive()
        found = self.store.record
        await self.gate()
        self._answer()
        return found

    async def write(self, record: Record, before: Record | None) -> Record | None:
        await self.gate()
        self._arrive()
        written = self.store.set(record, before)
        await self.gate()
        self._answer()
        return written

    def _arrive(self) -> None:
        if self.cut:
            raise TemporaryError("cut off")

    def _answer(self) -> None:
        if self.cut or self.deaf:
            raise TemporaryError("no answer")
