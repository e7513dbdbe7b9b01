"""Being killed at a chosen instruction: collaborators that raise `Crash` around a step, so what follows never runs.

`Crash` is no `Exception`: nothing may catch it, as nothing catches SIGKILL.
"""

from __future__ import annotations

from typing import TypeVar

from seamark.storage.database import Database, Work

T = TypeVar("T")


class Crash(BaseException):
    """The process ends here."""


class Fuse:
    """Burns through after so many passes of one of its named points."""

    def __init__(self) -> None:
        self.point: str | None = None
        self.left = 0

    def arm(self, point: str, passes: int = 0) -> None:
        """Crash at the next pass of `point`, after letting `passes` through."""
        self.point, self.left = point, passes

    def disarm(self) -> None:
        self.point = None

    def pass_by(self, point: str) -> None:
        if point != self.point:
            return
        if self.left == 0:
            self.point = None
            raise Crash(point)
        self.left -= 1


class CrashingDatabase:
    """A database around which the process may die: "before write" nothing was stored, "after write" everything was."""

    def __init__(self, inner: Database, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    @property
    def url(self) -> str:
        return self._inner.url

    async def read(self, work: Work[T]) -> T:
        return await self._inner.read(work)

    async def write(self, work: Work[T], *, urgent: bool = False) -> T:
        self._fuse.pass_by("before write")
        result = await self._inner.write(work)
        self._fuse.pass_by("after write")
        return result

    async def close(self) -> None:
        await self._inner.close()
