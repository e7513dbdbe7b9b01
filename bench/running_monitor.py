"""The monitor of `seamark run hyperlane-monitor`, in a process of its own, with a stopwatch in its log streams.

    python -m bench.running_monitor settings.yaml commits.json

When a log stream is asked for the next batch, the last one is committed and in the metrics. That moment is noted for
each block (CLOCK_MONOTONIC, which all processes of a machine share) and written down when the process ends.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec

from seamark.app import monitors, open_application
from seamark.cli.files import read_settings
from seamark.cli.loop import run_until_stopped
from seamark.evm.logs import LogStream
from seamark.evm.ports import Block, LogBatch
from seamark.runtime.logs import configure_logs

SERVICE = "hyperlane-monitor"
commits: list[tuple[int, int, float]] = []
"""(chain id, block number, seconds)"""


class TimedStream(LogStream):
    """Notes when blocks are stored."""

    async def batches(self) -> AsyncGenerator[Any, None]:
        async with aclosing(super().batches()) as batches:
            async for batch in batches:
                yield batch
                self._note(batch)

    @staticmethod
    def _note(batch: LogBatch) -> None:
        now = time.monotonic()
        commits.extend((batch.chain_id, event.ref.number, now) for event in batch.events if isinstance(event, Block))


async def run(settings_file: Path) -> None:
    found = await read_settings([SERVICE], settings_file)
    configure_logs(found.settings.logs.form, found.settings.logs.level)
    monitors.LogStream = TimedStream  # type: ignore[attr-defined]  # everything else is as in production
    async with open_application(found.settings, [SERVICE], names=found.names) as application:
        await application.run()


def main(settings_file: str, result: str) -> None:
    try:
        run_until_stopped(run(Path(settings_file)))
    finally:
        Path(result).write_bytes(msgspec.json.encode(commits))


if __name__ == "__main__":
    main(*sys.argv[1:])
