"""Stopping interop, and watching whether others have stopped it.

With `trigger` on, every endpoint is told `admin_setFailsafeEnabled(true)` once per incident: an endpoint that does not
answer is tried again, one that took the order is not told again. A person who switches an endpoint back on is not
overruled; the incident stays on record until somebody closes it, and only new messages open another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import structlog
from sqlalchemy import Connection

from seamark.core.errors import RejectedError, TemporaryError
from seamark.messages.protocols.op_interop.metrics import InteropMetrics
from seamark.messages.protocols.op_interop.store import Incident, open_incident, save_call
from seamark.runtime.clock import Clock
from seamark.runtime.health import Health
from seamark.storage.database import Database

__all__ = ["Failsafe", "FailsafeEndpoint"]

log = structlog.get_logger("seamark.messages.interop")


class FailsafeEndpoint(Protocol):
    """The admin interface of a supervisor or an interop filter."""

    @property
    def label(self) -> str:
        """Host and port; no secrets."""
        ...

    async def set_failsafe(self, *, enabled: bool) -> None:
        """`admin_setFailsafeEnabled`.

        Raises:
            TemporaryError: No answer.
            RejectedError: Refused.
        """
        ...

    async def get_failsafe(self) -> bool:
        """`admin_getFailsafeEnabled`; raises as above."""
        ...


class Failsafe:
    """Calls and watches the endpoints. A `Service`."""

    name = "interop-failsafe"

    def __init__(
        self,
        endpoints: Sequence[FailsafeEndpoint],
        *,
        trigger: bool,
        database: Database,
        metrics: InteropMetrics,
        clock: Clock,
        interval_s: float,
    ) -> None:
        self._endpoints = endpoints
        self._trigger = trigger
        self._database = database
        self._metrics = metrics
        self._clock = clock
        self._interval_s = interval_s
        self.states: dict[str, bool | None] = {}
        self.errors: dict[str, str] = {}

    async def run(self) -> None:
        while True:
            await self.look()
            await self._clock.sleep(self._interval_s)

    async def health(self) -> Health:
        if self.errors:
            return Health.degraded("; ".join(f"{label}: {text}" for label, text in sorted(self.errors.items())))
        return Health.ok(f"{len(self._endpoints)} endpoints, the failsafe is {'armed' if self._trigger else 'off'}")

    async def look(self) -> None:
        """Call where there is cause to, then ask everybody."""
        if self._trigger:
            incident = await self._database.read(open_incident)
            if incident is not None:
                await self._stop(incident)
        for endpoint in self._endpoints:
            try:
                state: bool | None = await endpoint.get_failsafe()
                self.errors.pop(endpoint.label, None)
            except (TemporaryError, RejectedError) as error:
                state, self.errors[endpoint.label] = None, error.message
            self.states[endpoint.label] = state
            self._metrics.saw_failsafe(endpoint.label, state)

    async def _stop(self, incident: Incident) -> None:
        for endpoint in self._endpoints:
            if endpoint.label in incident.calls:
                continue
            try:
                await endpoint.set_failsafe(enabled=True)
            except (TemporaryError, RejectedError) as error:
                log.warning("failsafe not set", endpoint=endpoint.label, incident=incident.id, error=str(error))
                self.errors[endpoint.label] = error.message
                continue
            log.warning("failsafe set", endpoint=endpoint.label, incident=incident.id, reason=incident.reason)
            await self._remember(incident, endpoint.label)

    async def _remember(self, incident: Incident, label: str) -> None:
        now_ms = int(self._clock.now() * 1000)

        def work(connection: Connection) -> None:
            save_call(connection, incident.id, label, now_ms=now_ms)

        await self._database.write(work)
