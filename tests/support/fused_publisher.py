"""`seamark` with a fuse: it kills or stops itself at a chosen step of a publication.

    python -m tests.support.fused_publisher run oracle --config seamark.yaml
    arm(folder, "after commit", Action.KILL)     # from outside, at any time

The fuse is a file in the process's folder; the process looks for it at each step and takes it away when it burns. The
steps are those between which a publisher may die and must not lose or repeat anything.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from seamark.cli.main import main
from seamark.core.ids import Hash32
from seamark.evm.rpc import Chain
from seamark.evm.transactions.commit import Committer
from seamark.evm.transactions.store import Journal
from seamark.oracle import publisher
from seamark.storage import fencing

FUSE = "fuse"
STEPS = (
    "before the fence",  # decided, nonce and signature made; the lead was looked at, the database was not asked
    "in the unit",  # the fence was checked, nothing is written yet
    "before the commit",  # written, not committed
    "after the commit",  # journalled, not sent
    "before sending",
    "after sending",  # a node has it, nobody here knows
    "before the row",  # what the page shows is not written yet
    "after the row",
    "before settling",  # mined, not stored as such
    "after settling",
)


class Action(StrEnum):
    KILL = "kill"
    STOP = "stop"


def arm(folder: Path, step: str, action: Action) -> None:
    """Let it burn at the next pass of this step."""
    assert step in STEPS, step
    new = folder / f"{FUSE}.new"
    new.write_text(f"{action} {step}")
    new.rename(folder / FUSE)


def is_armed(folder: Path) -> bool:
    return (folder / FUSE).exists()


def disarm(folder: Path) -> bool:
    """True if it had not burned."""
    try:
        (folder / FUSE).unlink()
    except FileNotFoundError:
        return False
    return True


def pass_by(step: str) -> None:
    file = Path(FUSE)
    try:
        action, _, wanted = file.read_text().partition(" ")
    except FileNotFoundError:
        return
    if wanted == step:
        file.unlink()
        os.kill(os.getpid(), signal.SIGKILL if action == Action.KILL else signal.SIGSTOP)


def lay_fuse() -> None:
    """Put the steps around what production code does."""
    add, send_raw, commit, check = Journal.add, Chain.send_raw, Committer.add, fencing.check_fence

    @wraps(add)
    def fused_add(self: Journal, connection: Connection, drafts: Any) -> Any:
        pass_by("in the unit")
        added = add(self, connection, drafts)
        pass_by("before the commit")
        return added

    @wraps(send_raw)
    async def fused_send(self: Chain, raw: bytes) -> Hash32:
        pass_by("before sending")
        taken = await send_raw(self, raw)
        pass_by("after sending")
        return taken

    @wraps(commit)
    async def fused_commit(self: Committer, drafts: Any) -> Any:
        added = await commit(self, drafts)
        pass_by("after the commit")
        return added

    @wraps(check)
    def fused_check(*arguments: Any) -> None:
        pass_by("before the fence")
        check(*arguments)

    Journal.add = fused_add  # type: ignore[method-assign]
    Chain.send_raw = fused_send  # type: ignore[method-assign]
    Committer.add = fused_commit  # type: ignore[method-assign]
    fencing.check_fence = fused_check  # type: ignore[assignment]
    for name, what in (("add_publication", "the row"), ("settle_publication", "settling")):
        setattr(publisher, name, _around(getattr(publisher, name), what))


def _around(work: Callable[..., Any], what: str) -> Callable[..., Any]:
    @wraps(work)
    def fused(*arguments: Any, **named: Any) -> Any:
        pass_by(f"before {what}")
        result = work(*arguments, **named)
        pass_by(f"after {what}")
        return result

    return fused


if __name__ == "__main__":
    lay_fuse()
    main()
