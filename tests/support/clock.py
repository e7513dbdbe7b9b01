"""A clock that tests own: sleeping moves it, nobody waits."""

from __future__ import annotations

import asyncio


class FakeClock:
    """Starts at a fixed moment; `sleep` advances it and yields to the loop once."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._start = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now - self._start

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self._now += seconds
