"""What is safe on each chain: the node's "safe" tag, which on OP Stack chains means cross-safe.

Finality comes with the log stream. A chain whose nodes know no such tag simply has no safe blocks before final ones.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from seamark.core.errors import TemporaryError
from seamark.evm.ports import ChainReader
from seamark.messages.protocols.op_interop.metrics import InteropMetrics
from seamark.messages.protocols.op_interop.model import Level
from seamark.messages.protocols.op_interop.network import Network
from seamark.messages.protocols.op_interop.store import JobBook, JobChanges
from seamark.runtime.clock import Clock
from seamark.storage.database import Database

__all__ = ["SafetyWatch"]

log = structlog.get_logger("seamark.messages.interop")


class SafetyWatch:
    """Follows one chain's safe head. A `Service`."""

    def __init__(
        self,
        reader: ChainReader,
        *,
        network: Network,
        database: Database,
        metrics: InteropMetrics,
        wake: Callable[[], None],
        clock: Clock,
        interval_s: float,
    ) -> None:
        self.name = f"interop-safety:{network.name(reader.chain_id)}"
        self._reader = reader
        self._network = network
        self._database = database
        self._metrics = metrics
        self._wake = wake
        self._clock = clock
        self._interval_s = interval_s
        self._known = ""

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except TemporaryError as error:
                log.debug("safe head unknown", chain=self._network.name(self._reader.chain_id), error=str(error))
            await self._clock.sleep(self._interval_s)

    async def look(self) -> None:
        """Once.

        Raises:
            TemporaryError: No endpoint answers.
        """
        header = await self._reader.header("safe")
        if header is None or header.hash == self._known:
            return
        number, self._known = header.number, header.hash
        now_ms = int(self._clock.now() * 1000)

        def work(connection: object) -> JobChanges:
            book = JobBook(connection, self._network, now_ms=now_ms)  # type: ignore[arg-type]
            book.raise_level(self._reader.chain_id, Level.SAFE, number)
            return book.close()

        changes = await self._database.write(work)
        self._metrics.follow(changes)
        if changes.due:
            self._wake()
