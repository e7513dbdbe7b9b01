"""Finalized history, read ahead: while the consumer stores one range, the next ones are on their way.

Memory is bounded: at most `prefetch` ranges wait, and their length follows the density of logs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from seamark.evm.logs import rules
from seamark.evm.logs.model import Heads
from seamark.evm.logs.reads import CheckedReads, HistoryRange
from seamark.evm.logs.settings import StreamSettings
from seamark.evm.types import LogFilter

__all__ = ["HistoryAhead"]


class _Ahead(NamedTuple):
    first: int
    last: int
    task: asyncio.Task[HistoryRange]


class HistoryAhead:
    """Consecutive ranges of finalized blocks for one filter at a time."""

    def __init__(self, reads: CheckedReads, settings: StreamSettings) -> None:
        self._reads = reads
        self._settings = settings
        self._span = min(settings.first_range, settings.max_range)
        self._queue: deque[_Ahead] = deque()
        self._wanted: LogFilter | None = None

    async def next(self, wanted: LogFilter, first: int, heads: Heads) -> HistoryRange:
        """The range that begins at `first`; what was read ahead for another beginning or filter is dropped."""
        if wanted != self._wanted or (self._queue and self._queue[0].first != first):
            await self.close()
        self._wanted = wanted
        self._fill(wanted, first, heads)
        head = self._queue[0]
        try:
            found = await head.task
        except BaseException:
            await self.close()
            raise
        self._queue.popleft()
        span = head.last - head.first + 1
        self._span = rules.next_span(span, found.logs, self._settings.max_batch_logs, self._settings.max_range)
        self._fill(wanted, head.last + 1, heads)
        return found

    async def close(self) -> None:
        """Give up what is on its way."""
        tasks = [item.task for item in self._queue]
        self._queue.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _fill(self, wanted: LogFilter, first: int, heads: Heads) -> None:
        start = self._queue[-1].last + 1 if self._queue else first
        while len(self._queue) < self._settings.prefetch and start <= heads.finalized:
            last = min(start + self._span - 1, heads.finalized)
            task = asyncio.create_task(self._reads.history(wanted, start, last, heads.proof))
            self._queue.append(_Ahead(start, last, task))
            start = last + 1
