"""The devnet's stand-in for CCIP's oracle networks: a service that keeps both lanes moving."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from seamark.core.errors import SeamarkError
from seamark.devnet.ccip.contracts import devnet_prices
from seamark.devnet.ccip.lane import Lane
from seamark.devnet.ccip.model import Execution, ExecutionState
from seamark.devnet.ccip.reports import NO_PRICES, Prices
from seamark.runtime.clock import Clock

__all__ = ["OracleNetwork"]

POLL_S = 0.25
IDLE_AFTER_ERROR_S = 1.0
PRICES_EVERY_S = 600.0

log = structlog.get_logger("seamark.devnet.ccip")


class OracleNetwork:
    """Commits and executes on every lane until cancelled.

    Args:
        on_event: Told of each commit ("committed", count) and each execution ("executed" or "failed", 1), with its
        lane. prices_every: Seconds between price updates; None for none.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        *,
        clock: Clock,
        poll: float = POLL_S,
        prices_every: float | None = PRICES_EVERY_S,
        on_event: Callable[[Lane, str, int], None] | None = None,
    ) -> None:
        self.lanes = tuple(lanes)
        self._clock = clock
        self._poll = poll
        self._prices_every = prices_every
        self._priced_at: dict[str, float] = {}
        self._on_event = on_event or _ignore

    @property
    def name(self) -> str:
        return "ccip oracle network"

    async def run(self) -> None:
        """All lanes side by side; an error of one lane is logged and the lane goes on."""
        async with asyncio.TaskGroup() as group:
            for lane in self.lanes:
                group.create_task(self._keep_moving(lane), name=f"lane {lane.id}")

    async def step(self, lane: Lane) -> list[Execution]:
        """One round: read, commit everything that is due, execute everything that is due."""
        await lane.scan()
        prices = self._due_prices(lane)
        while batch := await lane.commit(prices=prices):
            self._on_event(lane, "committed", len(batch))
            prices = NO_PRICES
        done = await lane.execute()
        for execution in done:
            failed = execution.state is ExecutionState.FAILURE
            self._on_event(lane, "failed" if failed else "executed", 1)
        return done

    async def _keep_moving(self, lane: Lane) -> None:
        while True:
            pause = self._poll
            try:
                await self.step(lane)
            except SeamarkError as error:
                log.warning("lane interrupted", lane=str(lane.id), error=str(error))
                pause = IDLE_AFTER_ERROR_S
            await self._clock.sleep(pause)

    def _due_prices(self, lane: Lane) -> Prices:
        """Prices for the destination's FeeQuoter, where its last ones are old."""
        if self._prices_every is None:
            return NO_PRICES
        now = self._clock.monotonic()
        if now - self._priced_at.setdefault(str(lane.id), now) < self._prices_every:
            return NO_PRICES
        self._priced_at[str(lane.id)] = now
        return devnet_prices(lane.dest, lane.id.source)


def _ignore(lane: Lane, what: str, count: int) -> None:
    """Nobody wants to know."""
