"""The notifier: looks every two seconds, and sends what is owed.

It runs in every process; one of them holds the lease and sends. Sending is outside of any unit of work: a notice is
marked as taken after the receiver took it, so a crash in between sends it again (under the same number and key). Each
receiver has its own queue and task: one that hangs delays neither the others nor the next look.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection

from seamark.monitoring.alerts.store import trim_alerts
from seamark.monitoring.metrics import AlertMetrics
from seamark.monitoring.notifications import store
from seamark.monitoring.notifications.looking import LEASE, Desk, Look, look
from seamark.monitoring.notifications.model import Delivery, Outcome, State
from seamark.monitoring.notifications.rules import backoff_ms
from seamark.monitoring.notifications.senders import Receiver
from seamark.monitoring.notifications.text import Links
from seamark.monitoring.settings import AlertSettings
from seamark.runtime.clock import Clock
from seamark.runtime.events import Signal
from seamark.storage.database import Database

__all__ = ["Notifier", "holder_name"]

LOOK_EVERY_S: Final = 2.0
TRIM_EVERY_S: Final = 3600.0
RATE_WINDOW_MS: Final = 60_000
SEND_TIMEOUT_S: Final = 60.0  # senders have shorter ones of their own; this one is for those that forget
_MS: Final = 1000

log = structlog.get_logger("seamark.alerts")


def holder_name() -> str:
    """Of this process, among all that share the database."""
    return f"{socket.gethostname()}-{os.getpid()}-{random.randrange(2**32):08x}"  # noqa: S311 - a name, not a secret


class Notifier:
    """A `Service`."""

    name = "alerts"

    def __init__(
        self,
        settings: AlertSettings,
        receivers: Mapping[str, Receiver],
        *,
        links: Links,
        database: Database,
        metrics: AlertMetrics,
        signal: Signal,
        clock: Clock,
        holder: str | None = None,
    ) -> None:
        self._receivers = receivers
        self._database = database
        self._metrics = metrics
        self._signal = signal
        self._clock = clock
        self._give_up_ms = round(settings.give_up * _MS)
        self._keep_ms = round(settings.keep * _MS)
        self._trimmed_at = -TRIM_EVERY_S
        self._desk = Desk(
            holder=holder or holder_name(),
            policy=settings.policy(),
            routes=settings.routing(),
            receivers=frozenset(receivers),
            timing=settings.timing(),
            links=links,
        )
        self._sending: dict[str, asyncio.Task[None]] = {}
        self.leads = False

    async def run(self) -> None:
        try:
            while True:
                await self.turn()
                await self._clock.sleep(LOOK_EVERY_S)
        finally:
            await asyncio.shield(self._let_go())

    async def turn(self) -> Look:
        """Look once, and begin to send what is due."""
        now_ms = self._now_ms()
        found = await self._database.write(partial(look, desk=self._desk, now_ms=now_ms))
        if found.leads != self.leads:
            log.info("sends alerts" if found.leads else "another process sends alerts", holder=self._desk.holder)
        self.leads = found.leads
        self._metrics.show(
            found.alerts,
            found.sources,
            found.silent,
            found.totals,
            found.waiting,
            now=self._clock.now(),
            leads=found.leads,
        )
        if found.queued:
            self._signal.fire()  # a page that listens to alert events in this process
        if found.leads:
            await self._deliver()
            await self._trim()
        return found

    # ---- sending ----------------------------------------------------------------------------------------------------

    async def _deliver(self) -> None:
        due = await self._database.read(partial(store.due_deliveries, now_ms=self._now_ms()))
        queues: dict[str, list[Delivery]] = {}
        for delivery in due:
            queues.setdefault(delivery.receiver, []).append(delivery)
        for name, queue in queues.items():
            if name not in self._sending:
                task = asyncio.create_task(self._send_all(self._receivers[name], queue), name=f"alerts to {name}")
                self._sending[name] = task
                task.add_done_callback(partial(self._sent_all, name))

    def _sent_all(self, receiver: str, task: asyncio.Task[None]) -> None:
        del self._sending[receiver]
        if not task.cancelled() and (error := task.exception()) is not None:
            # The database failed, then: what was due still is, and the next look begins again.
            log.warning("sending interrupted", receiver=receiver, error=str(error))

    async def drain(self) -> None:
        """Wait until nothing is being sent."""
        await asyncio.gather(*self._sending.values(), return_exceptions=True)

    async def _send_all(self, receiver: Receiver, queue: Sequence[Delivery]) -> None:
        since_ms = self._now_ms() - RATE_WINDOW_MS
        taken = await self._database.read(partial(store.count_sent, receiver=receiver.name, since_ms=since_ms))
        for delivery in queue[: max(receiver.per_minute - taken, 0)]:
            outcome = await self._try(receiver, delivery)
            await self._settle(delivery, outcome)
            if not outcome.delivered:
                return  # the next ones would fail too, and each try would count against its patience

    async def _try(self, receiver: Receiver, delivery: Delivery) -> Outcome:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                return await receiver.sender.send(delivery.notice)
        except TimeoutError:
            return Outcome(delivered=False, error=f"no answer within {SEND_TIMEOUT_S:.0f} s")
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; its text may quote the address
            return Outcome(delivered=False, error=f"failed inside ({type(error).__name__})")

    async def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        now_ms = self._now_ms()
        about = {"receiver": delivery.receiver, "notice": delivery.id, "group": delivery.group}
        if outcome.delivered:
            log.info("alert sent", why=delivery.notice.event.value, **about)
            await self._end(delivery, State.SENT, now_ms)
        elif now_ms - delivery.created_ms >= self._give_up_ms:
            log.error("alert given up", error=outcome.error, attempts=delivery.attempts + 1, **about)
            await self._end(delivery, State.GIVEN_UP, now_ms, outcome.error)
        else:
            pause_ms = backoff_ms(delivery.attempts + 1, random.random())  # noqa: S311 - jitter
            pause_ms = max(pause_ms, round((outcome.retry_after_s or 0) * _MS))
            log.warning("alert not sent", error=outcome.error, retry_in_s=round(pause_ms / _MS), **about)

            def postpone(connection: Connection) -> None:
                store.postpone(connection, delivery, now_ms + pause_ms, error=outcome.error)

            await self._database.write(postpone)

    async def _end(self, delivery: Delivery, state: State, now_ms: int, error: str = "") -> None:
        def end(connection: Connection) -> None:
            store.settle_delivery(connection, delivery, state, now_ms, error=error)

        await self._database.write(end)

    # ---- housekeeping -----------------------------------------------------------------------------------------------

    async def _trim(self) -> None:
        if self._clock.monotonic() - self._trimmed_at < TRIM_EVERY_S:
            return
        self._trimmed_at = self._clock.monotonic()
        before_ms = self._now_ms() - self._keep_ms
        for trim in (trim_alerts, store.trim_deliveries):
            while removed := await self._database.write(partial(trim, before_ms=before_ms)):
                log.debug("alerts trimmed", removed=removed)

    async def _let_go(self) -> None:
        """Another process may send at once."""
        for task in self._sending.values():
            task.cancel()
        await self.drain()
        if self.leads:
            give_back = partial(store.take_lease, name=LEASE, holder=self._desk.holder, now_ms=self._now_ms(), for_ms=0)
            await self._database.write(give_back)
            self.leads = False

    def _now_ms(self) -> int:
        return round(self._clock.now() * _MS)
