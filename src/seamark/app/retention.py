"""What is over and old leaves the database, as the settings say; by default nothing does.

retention:
  messages: 400d
  interop: 400d
  transactions: 400d

A round once an hour, in units of work of a few hundred rows with a pause between them, so that a writer never waits
long. Killed at any instruction, it has deleted whole messages only, and the next round goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection

from seamark.evm.transactions.retention import trim_transactions
from seamark.messages.protocols.op_interop.store.retention import trim_jobs
from seamark.messages.store.retention import OVER, trim_lane, trimmed_lanes
from seamark.runtime.clock import Clock
from seamark.storage.database import Database
from seamark.storage.settings import RetentionSettings

__all__ = ["RetentionService"]

ROUND_EVERY_S: Final = 3600.0
PAUSE_S: Final = 0.2  # between units of work: at most a fifth of the writer's time
_MS: Final = 1000

log = structlog.get_logger("seamark.app")


class RetentionService:
    """A `Service`."""

    name = "retention"

    def __init__(self, settings: RetentionSettings, *, database: Database, clock: Clock) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock

    async def run(self) -> None:
        while True:
            await self.round()
            await self._clock.sleep(ROUND_EVERY_S)

    async def round(self) -> dict[str, int]:
        """Delete all that may go; how many of what."""
        wanted, now = self._settings, self._clock.now()
        deleted = {}
        if wanted.messages is not None:
            deleted["messages"] = await self._messages(int(now - wanted.messages))
        for name, span, trim in (
            ("interop", wanted.interop, trim_jobs),
            ("transactions", wanted.transactions, trim_transactions),
        ):
            if span is not None:
                deleted[name] = await self._rows(partial(trim, before_ms=int((now - span) * _MS)))
        if any(deleted.values()):
            log.info("deleted what is over and old", **deleted)
        return deleted

    async def _messages(self, before: int) -> int:
        deleted = 0
        for lane_id, protocol in await self._database.read(trimmed_lanes):
            for stage in OVER:
                after: tuple[int, int] | None = None
                while True:
                    work = partial(
                        trim_lane, lane_id=lane_id, protocol=protocol, stage=stage, before=before, after=after
                    )
                    trimmed = await self._database.write(work)
                    deleted += trimmed.deleted
                    after = trimmed.next
                    if after is None:
                        break
                    await self._clock.sleep(PAUSE_S)
        return deleted

    async def _rows(self, trim: Callable[[Connection], int]) -> int:
        deleted = 0
        while gone := await self._database.write(trim):
            deleted += gone
            await self._clock.sleep(PAUSE_S)
        return deleted
