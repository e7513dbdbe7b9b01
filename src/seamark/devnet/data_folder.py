"""The folder of one devnet and its lock.

The lock is held by the process that runs the devnet and by its nodes, which inherit the open file. So after a SIGKILL
the folder stays locked until the last node has written its state: whoever starts next waits for that instead of
reading half a file or finding the port taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from pathlib import Path

from seamark.core.errors import StopError

__all__ = ["DataFolder"]

WAIT_S = 30.0
POLL_S = 0.05


class DataFolder:
    """Paths, and the lock: `await lock()`, `unlock()`."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._file: int | None = None

    @property
    def manifest(self) -> Path:
        return self.path / "deployment.json"

    @property
    def descriptor(self) -> int:
        """The open lock file, for the nodes to inherit."""
        assert self._file is not None
        return self._file

    def state(self, chain: str) -> Path:
        return self.path / f"{chain}.state.json"

    def log(self, chain: str) -> Path:
        return self.path / f"{chain}.log"

    def clear(self) -> None:
        """Forget the chains."""
        for path in (self.manifest, *self.path.glob("*.state.json")):
            path.unlink(missing_ok=True)

    async def lock(self) -> None:
        """Take the folder.

        Raises:
            StopError: Another devnet runs on it, or nodes of an earlier one do not end.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            async with asyncio.timeout(WAIT_S):
                while not self._try_lock():
                    if (owner := self._owner()) is not None:
                        raise StopError(
                            f"another devnet (process {owner}) runs on {self.path}",
                            remedy="stop it, or choose another data folder",
                        )
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            self.unlock()
            raise StopError(
                f"nodes of an earlier devnet still hold {self.path}", remedy="end the anvil processes of that folder"
            ) from error
        except BaseException:
            self.unlock()
            raise
        os.truncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def unlock(self) -> None:
        """Give it back. Safe to call twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _owner(self) -> int | None:
        """The process that took the lock, if it lives; None while only its nodes do."""
        with contextlib.suppress(ValueError, ProcessLookupError):
            pid = int(os.pread(self.descriptor, 32, 0))
            if pid == os.getpid():
                return None
            os.kill(pid, 0)
            return pid
        return None
