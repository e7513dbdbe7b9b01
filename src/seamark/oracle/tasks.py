"""Several loops of one service, which end together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["run_together"]


async def run_together(*loops: Coroutine[Any, Any, None]) -> None:
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
