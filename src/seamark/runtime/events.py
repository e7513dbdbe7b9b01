"""A wake-up call inside one process: "something was stored, look again".

Facts travel through the database (`seamark.storage.events`), where they survive a crash and reach other processes; this
only spares a listener in the same process the wait for its next poll.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

__all__ = ["Signal"]


class Signal:
    """Wakes all who wait, then forgets."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def fire(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, at_most: float) -> None:
        """Return at the next `fire()`, or after `at_most` seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), at_most)
