"""Services and their supervision.

A service is an object with a name and an async `run()` that goes on until cancelled. The supervisor runs all of them in
one task group. A `StopError` ends the process; any other error is logged and the service is started again after a
growing, jittered pause, so that one bad hour of one node never takes the neighbours down.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import structlog

from seamark.core.errors import StopError, TemporaryError
from seamark.runtime.clock import Clock

__all__ = ["Service", "Supervisor", "stop_on_signals"]

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
CALM_AFTER_S = 60.0  # a run this long counts as recovered: the next pause starts small again
PATIENCE_S = 5.0  # a clean-up takes well under a second; after this a second signal ends the process at once

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = structlog.get_logger("seamark.runtime")


class Service(Protocol):
    """Something that runs for as long as the process does."""

    @property
    def name(self) -> str: ...

    async def run(self) -> None:
        """Work until cancelled. Raises `StopError` when only a person can help."""
        ...


class Supervisor:
    """Runs services side by side and restarts the ones that fail. Services may come and go while it runs."""

    def __init__(self, services: Sequence[Service], *, clock: Clock) -> None:
        self._services = list(services)
        self._tasks: list[tuple[Service, asyncio.Task[None]]] = []
        self._running = False
        self._changed = asyncio.Event()
        self._clock = clock
        self.restarts: dict[str, int] = {service.name: 0 for service in services}
        self.last_error: dict[str, str] = {}

    async def run(self) -> None:
        """Until cancelled, or until one service raises a `StopError`, which ends the others and is raised here."""
        self._running = True
        for service in self._services:
            self._begin(service)
        try:
            while self._tasks:
                self._changed.clear()
                await self._something_happens()
                done = [task for _, task in self._tasks if task.done()]
                self._tasks = [item for item in self._tasks if not item[1].done()]
                for task in done:
                    task.result()
        finally:
            self._running = False
            tasks = [task for _, task in self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _something_happens(self) -> None:
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait([changed, *(task for _, task in self._tasks)], return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()

    def add(self, service: Service) -> None:
        """Run one more, from now on if the others run."""
        self.restarts.setdefault(service.name, 0)
        self._services.append(service)
        if self._running:
            self._begin(service)
            self._changed.set()

    async def remove(self, service: Service) -> None:
        """End one, and return when its own clean-up is done. The others go on."""
        if service in self._services:
            self._services.remove(service)
        tasks = [task for other, task in self._tasks if other is service]
        self._tasks = [item for item in self._tasks if item[0] is not service]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, service: Service) -> None:
        self._tasks.append((service, asyncio.create_task(self._keep_running(service), name=service.name)))

    async def _keep_running(self, service: Service) -> None:
        pause = FIRST_PAUSE_S
        while True:
            started = self._clock.monotonic()
            try:
                await service.run()
            except StopError:
                raise
            except TemporaryError as error:
                self._note(service, error)
                log.warning("service interrupted", service=service.name, error=str(error), retry_in_s=round(pause, 1))
            except Exception as error:
                self._note(service, error)
                log.exception("service failed", service=service.name, retry_in_s=round(pause, 1))
            else:
                return
            if self._clock.monotonic() - started > CALM_AFTER_S:
                pause = FIRST_PAUSE_S
            await self._clock.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _note(self, service: Service, error: Exception) -> None:
        self.restarts[service.name] += 1
        self.last_error[service.name] = str(error)


async def stop_on_signals(work: asyncio.Task[None]) -> None:
    """Await `work`; SIGINT or SIGTERM cancels it once, so that every service can leave in order.

    Terminals, make and container runtimes like to send the same signal twice: another one is ignored, and ends the
    process at once only when the clean-up takes suspiciously long.
    """
    loop = asyncio.get_running_loop()

    def let_go() -> None:
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    def stop(number: signal.Signals) -> None:
        if not asked:
            log.info("stopping", signal=number.name)
            asked.append(loop.call_later(PATIENCE_S, let_go))
            work.cancel()

    asked: list[asyncio.TimerHandle] = []
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        with suppress(asyncio.CancelledError):
            await work
    finally:
        for timer in asked:
            timer.cancel()
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)
