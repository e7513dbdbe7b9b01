"""Limits of one endpoint, learned from what it refuses.

Nobody publishes the limits of the node behind a URL, and they change: so each starts at a value that most nodes take,
falls at once when the endpoint refuses, and rises slowly while it does not.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from seamark.runtime.clock import Clock

__all__ = ["BlockRange", "InFlight", "StepLimit"]

FIRST_BLOCK_RANGE: Final = 100  # free plans allow 5 to 10,000; small first replies are read while the next are made
MAX_BLOCK_RANGE: Final = 10_000
FIRST_BATCH: Final = 100  # measured: larger batches bring nothing
MAX_BATCH: Final = 100
FIRST_IN_FLIGHT: Final = 16  # requests; measured: the best at a round trip of 50 ms
MAX_IN_FLIGHT: Final = 32
GROW_AFTER: Final = 8  # full-sized successes in a row
GROWTH: Final = 1.25
EASY_GROWTH: Final = 2.0  # where the answers are small: a quiet contract with a long history
CEILING_LASTS_S: Final = 600.0  # then a larger value may be tried again: plans and nodes change
FIRST_PAUSE_S: Final = 0.5  # after a rate limit without a hint
LONGEST_PAUSE_S: Final = 30.0


class StepLimit:
    """A size that halves on refusal and grows after a run of successes; never below 1."""

    def __init__(self, first: int, most: int, clock: Clock) -> None:
        self.value = first
        self._most = most
        self._ceiling = most
        self._ceiling_until = 0.0
        self._successes = 0
        self._clock = clock

    def refused(self, asked: int, *, suggested: int | None = None, lasting: bool = True) -> None:
        """`asked` was too much; `lasting` when it always is, not only for what happened to be in it."""
        smaller = asked // 2 if suggested is None or suggested >= asked else suggested
        self.value = max(1, min(self.value, smaller))
        self._successes = 0
        if lasting:
            self._ceiling = max(1, suggested if suggested is not None and suggested < asked else asked - 1)
            self._ceiling_until = self._clock.monotonic() + CEILING_LASTS_S

    def accepted(self, asked: int, *, easily: bool = False) -> None:
        """`asked` was answered, perhaps with room for much more; only full-sized requests tell something."""
        if asked < self.value:
            return
        self._successes += 1
        if self._successes < GROW_AFTER:
            return
        self._successes = 0
        if self._clock.monotonic() >= self._ceiling_until:
            self._ceiling = self._most
        self.value = max(self.value, min(self._ceiling, int(self.value * (EASY_GROWTH if easily else GROWTH)) + 1))


class BlockRange(StepLimit):
    """Blocks in one eth_getLogs."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(FIRST_BLOCK_RANGE, MAX_BLOCK_RANGE, clock)


class InFlight:
    """How many requests may be under way, and whether the endpoint wants a pause.

    Additive increase, multiplicative decrease, as TCP does; a rate limit stops new requests until the pause is over.
    """

    def __init__(self, clock: Clock) -> None:
        self.limit = float(FIRST_IN_FLIGHT)
        self.running = 0
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._paused_until = 0.0
        self._pause = FIRST_PAUSE_S

    @property
    def pause_left(self) -> float:
        """Seconds until the endpoint may be asked again."""
        return max(0.0, self._paused_until - self._clock.monotonic())

    async def __aenter__(self) -> None:
        while self.running >= int(self.limit):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._wake()
                raise
        self.running += 1

    async def __aexit__(self, *_: object) -> None:
        self.running -= 1
        self._wake()

    def _wake(self) -> None:
        free = int(self.limit) - self.running
        while self._waiting and free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1

    def succeeded(self) -> None:
        self.limit = min(float(MAX_IN_FLIGHT), self.limit + 1 / self.limit)
        self._pause = FIRST_PAUSE_S

    def rate_limited(self, retry_after: float | None) -> float:
        """Halve, and pause for `retry_after` or a doubling time; returns the pause in seconds."""
        self.limit = max(1.0, self.limit / 2)
        pause = min(LONGEST_PAUSE_S, retry_after if retry_after is not None else self._pause)
        self._pause = min(LONGEST_PAUSE_S, self._pause * 2)
        self._paused_until = max(self._paused_until, self._clock.monotonic() + pause)
        return pause
