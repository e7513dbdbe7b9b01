"""Health, asked at most once a second however many probes and pages want to know."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from seamark.runtime.health import HealthRegistry

__all__ = ["HealthCache"]

FRESH_S = 1.0  # a probe comes every few seconds; a hundred open pages must not multiply that


class HealthCache:
    """Shares one report among all who ask within a second."""

    def __init__(self, registry: HealthRegistry, *, fresh: float = FRESH_S) -> None:
        self._registry = registry
        self._fresh = fresh
        self._lock = asyncio.Lock()
        self._report: dict[str, Any] | None = None
        self._at = 0.0

    async def report(self) -> dict[str, Any]:
        """As `HealthRegistry.report`."""
        async with self._lock:
            if self._report is None or time.monotonic() - self._at >= self._fresh:
                self._report = await self._registry.report()
                self._at = time.monotonic()
            return self._report
