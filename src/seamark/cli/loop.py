"""From a synchronous command into the event loop and out again, in order, whatever ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from structlog import is_configured

from seamark.runtime.logs import configure_logs
from seamark.runtime.service import stop_on_signals

__all__ = ["run_until_stopped"]


def run_until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Run; SIGINT and SIGTERM cancel `work` once, and its own clean-up runs to the end."""
    if not is_configured():
        configure_logs(level="error")  # standard output is the command's own

    async def supervise() -> None:
        await stop_on_signals(asyncio.create_task(work))

    asyncio.run(supervise())
