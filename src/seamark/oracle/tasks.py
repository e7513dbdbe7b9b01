"""Several loops of one service, which end together: a fixed set of them, or one to which loops come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeAlias

__all__ = ["Loops", "run_together"]

_Loop: TypeAlias = Coroutine[Any, Any, None]


async def run_together(*loops: _Loop) -> None:
    """Run until one fails or the caller is cancelled; then all are ended and the first failure is raised, ungrouped.

    A supervisor tells errors apart by their class, which a task group hides inside an `ExceptionGroup`.
    """
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    if not tasks:
        return
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Loops:
    """Loops by key, started and stopped before or while they run. The first that fails ends all, as above.

    One that was started while nothing runs begins with the next `run`, which begins all of them anew.
    """

    def __init__(self) -> None:
        self._makers: dict[Hashable, Callable[[], _Loop]] = {}
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] | None = None

    def start(self, key: Hashable, make: Callable[[], _Loop]) -> None:
        """Have this loop run; one that is there under the same key goes on as it is."""
        if key not in self._makers:
            self._makers[key] = make
            if self._failure is not None:
                self._begin(key)

    def stop(self, key: Hashable) -> None:
        """End this loop, if there is one; at once, without waiting for it."""
        self._makers.pop(key, None)
        task = self._tasks.pop(key, None)
        if task is not None:
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
            task.cancel()

    async def run(self) -> None:
        """Until cancelled, or until one of them fails; also while there are none."""
        self._failure = asyncio.get_running_loop().create_future()
        try:
            for key in self._makers:
                self._begin(key)
            await self._failure
        finally:
            self._failure.cancel()
            self._failure = None
            tasks = [*self._tasks.values(), *self._leaving]
            self._tasks.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: Hashable) -> None:
        task = asyncio.ensure_future(self._makers[key]())
        task.add_done_callback(self._ended)
        self._tasks[key] = task

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)
