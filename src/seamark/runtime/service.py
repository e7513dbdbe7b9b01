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
    """Runs services side by side and restarts the ones that fail."""

    def __init__(self, services: Sequence[Service], *, clock: Clock) -> None:
        self._services = services
        self._clock = clock
        self.restarts: dict[str, int] = {service.name: 0 for service in services}
        self.last_error: dict[str, str] = {}

    async def run(self) -> None:
        """Until cancelled, or until one service raises a `StopError`, which ends the others and is raised here."""
        tasks = [asyncio.create_task(self._keep_running(service), name=service.name) for service in self._services]
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
