"""Health: is the process alive, may it be given work, and how is each thing it depends on.

A *check* is a named function that answers with a `Health`. Liveness asks nothing of the outside: a process that answers
is alive. Readiness is the worst of the checks that are marked as required.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Health", "HealthRegistry", "Status"]

CHECK_TIMEOUT_S = 3.0  # a probe of an orchestrator usually gives up after 5 s


class Status(StrEnum):
    """Ordered from good to bad."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Health:
    """What one dependency says of itself.

    `detail` is one line for a person, without secrets.
    """

    status: Status
    detail: str = ""

    @classmethod
    def ok(cls, detail: str = "") -> Health:
        return cls(Status.OK, detail)

    @classmethod
    def degraded(cls, detail: str) -> Health:
        return cls(Status.DEGRADED, detail)

    @classmethod
    def down(cls, detail: str) -> Health:
        return cls(Status.DOWN, detail)


Check = Callable[[], Awaitable[Health]]


class HealthRegistry:
    """The named checks of one process."""

    def __init__(self) -> None:
        self._checks: dict[str, tuple[Check, bool]] = {}

    def register(self, name: str, check: Check, *, required: bool = True) -> None:
        """Add or replace a check; one that is not required degrades readiness but never denies it."""
        self._checks[name] = (check, required)

    async def report(self) -> dict[str, Any]:
        """`{"status", "ready", "checks": {name: {"status", "detail", "required"}}}`, every check under a deadline."""
        names = list(self._checks)
        answers = await asyncio.gather(*(self._ask(name) for name in names))
        checks = {
            name: {**asdict(answer), "required": self._checks[name][1]}
            for name, answer in zip(names, answers, strict=True)
        }
        ready = all(
            answer.status is not Status.DOWN
            for name, answer in zip(names, answers, strict=True)
            if self._checks[name][1]
        )
        calm = all(answer.status is Status.OK for answer in answers)
        status = (Status.OK if calm else Status.DEGRADED) if ready else Status.DOWN
        return {"status": status, "ready": ready, "checks": checks}

    async def _ask(self, name: str) -> Health:
        check, _ = self._checks[name]
        try:
            return await asyncio.wait_for(check(), CHECK_TIMEOUT_S)
        except TimeoutError:
            return Health.down(f"no answer within {CHECK_TIMEOUT_S:.0f} s")
        except Exception as error:  # noqa: BLE001 - a failing check is an answer, whatever it raised
            return Health.down(f"{type(error).__name__}: {error}")
