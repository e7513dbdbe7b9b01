"""A wake-up call for one listener, not lost while it is busy (`runtime.events.Signal` is for many, and forgets)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

__all__ = ["Bell"]


class Bell:
    """For one listener."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, at_most: float) -> None:
        """Return once it has rung since the last wait, or after `at_most` seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._rung.wait(), at_most)
        self._rung.clear()
