"""View calls that several tasks ask for at the same time go out together.

Tasks that run side by side all get as far as their first question before the loop comes round to the batch, which waits
behind them in its queue; the answers wake all of them, so their second questions meet again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from seamark.evm.ports import ChainReader
from seamark.evm.types import Call

__all__ = ["Together", "side_by_side"]

Answers = list[Any]


async def side_by_side(*work: Coroutine[Any, Any, Any]) -> Any:
    """All results, in order; the first error once everything has ended."""
    found = await asyncio.gather(*work, return_exceptions=True)
    for item in found:
        if isinstance(item, BaseException):
            raise item
    return found


class Together:
    """One reader's calls, gathered."""

    def __init__(self, reader: ChainReader) -> None:
        self._reader = reader
        self._waiting: list[tuple[Sequence[Call], asyncio.Future[Answers]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, calls: Sequence[Call]) -> Answers:
        """As `ChainReader.calls`."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._send)
        answer: asyncio.Future[Answers] = loop.create_future()
        self._waiting.append((calls, answer))
        return await answer

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        task = asyncio.create_task(self._settle(waiting), name="ccip checks")
        self._tasks.add(task)  # the loop keeps weak references only
        task.add_done_callback(self._tasks.discard)

    async def _settle(self, waiting: Sequence[tuple[Sequence[Call], asyncio.Future[Answers]]]) -> None:
        try:
            answers = await self._reader.calls([call for calls, _ in waiting for call in calls])
        except Exception as error:  # noqa: BLE001 - each of those who wait gets it, and decides
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
            return
        at = 0
        for calls, future in waiting:
            if not future.done():
                future.set_result(list(answers[at : at + len(calls)]))
            at += len(calls)
