"""A clock that lets the world change while a service sleeps, and ends the test once nothing is left to do."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.clock import FakeClock


class Idle(Exception):
    """The script is over and the service has slept a few times more."""


class ScriptClock(FakeClock):
    """Each sleep runs the next step; `rest` sleeps after the last one, `Idle` is raised out of `sleep`."""

    def __init__(self, *steps: Callable[[], object], rest: int = 4) -> None:
        super().__init__()
        self.steps = list(steps)
        self.rest = rest

    async def sleep(self, seconds: float) -> None:
        if self.steps:
            self.steps.pop(0)()
        elif self.rest == 0:
            raise Idle
        else:
            self.rest -= 1
        await super().sleep(seconds)
