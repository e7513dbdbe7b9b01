"""A running message monitor over any chains, and questions to its database.

    async with start_monitor(tmp_path, [Watched(chain_id, selector, "home", router, url), …]) as running:
        await running.stages({message_id: "executed"})

`start_trackers` is the same for any protocol.

Real trackers, log streams and SQLite; only the chains are somebody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from seamark.core.errors import SettingsError
from seamark.core.ids import Address, ChainId, Selector
from seamark.evm.logs import LogStream, StreamSettings
from seamark.evm.rpc import Chain
from seamark.messages.metrics import MessageMetrics
from seamark.messages.protocol import MessageProtocol
from seamark.messages.protocols.ccip import CcipChain, CcipProtocol
from seamark.messages.service import chain_trackers, load_metrics
from seamark.messages.store import MessageDetail, MessageFilter, MessageView, find_message, list_messages
from seamark.runtime.clock import SystemClock
from seamark.runtime.events import Signal
from seamark.runtime.http import make_session
from seamark.storage.database import Database, open_database
from seamark.storage.events import read_events

__all__ = ["RunningMonitor", "Watched", "start_monitor", "start_trackers"]

POLL_S = 0.02
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Watched:
    """One chain of a monitor."""

    chain_id: ChainId
    selector: Selector
    name: str
    router: Address
    url: str


class RunningMonitor:
    """What tests ask."""

    def __init__(
        self,
        protocol: Any,
        readers: dict[ChainId, Chain],
        database: Database,
        registry: CollectorRegistry,
        services: Any,
    ) -> None:
        self.protocol = protocol
        self.readers = readers
        self.database = database
        self.registry = registry
        self.services = services
        self.tasks = [asyncio.create_task(service.run()) for service in services]

    async def messages(self, **wanted: Any) -> list[MessageView]:
        page = await self.database.read(lambda c: list_messages(c, MessageFilter(**wanted)))
        return page.messages

    async def message(self, message_id: str) -> MessageDetail:
        found = await self.database.read(lambda c: find_message(c, message_id))
        assert found is not None
        return found

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for the state of the database; a tracker that died says why."""
        async with asyncio.timeout(PATIENCE_S):
            while not await condition():
                for task in self.tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(POLL_S)

    async def stages(self, expected: dict[str, str]) -> None:
        """Wait until these messages (id -> stage) are there."""

        async def reached() -> bool:
            found = {view.id: view.stage for view in await self.messages()}
            return all(found.get(key) == stage for key, stage in expected.items())

        await self.until(reached)

    async def topics(self, key: str) -> list[str]:
        """What was told of a message, in order."""
        events = await self.database.read(lambda c: read_events(c, 0, limit=1000))
        return [event.topic for event in events if event.key == key]

    def value(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples with these labels."""
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@asynccontextmanager
async def start_monitor(folder: Path, chains: Sequence[Watched]) -> AsyncIterator[RunningMonitor]:
    """The CCIP monitor of these chains; the database stays in `folder`."""
    protocol = CcipProtocol(
        [CcipChain(item.chain_id, item.selector, item.name, item.router, 0, "ccip.chains[0]") for item in chains]
    )
    async with start_trackers(folder, protocol, {item.chain_id: item.url for item in chains}) as running:
        yield running


@asynccontextmanager
async def start_trackers(
    folder: Path, protocol: MessageProtocol, urls: Mapping[ChainId, str]
) -> AsyncIterator[RunningMonitor]:
    """The trackers of a protocol on the nodes of its chains; the database stays in `folder`."""
    database = await open_database(f"sqlite:///{folder / 'seamark.db'}")
    session = make_session()
    readers = {chain_id: Chain(chain_id, [url], session=session) for chain_id, url in urls.items()}

    def open_stream(role: Any, *, name: str, wanted: Any, start_block: int, observer: Any) -> LogStream:
        return LogStream(
            name,
            reader=readers[role.chain_id],
            database=database,
            wanted=wanted,
            observer=observer,
            settings=StreamSettings(start_block=start_block, poll_interval_s=POLL_S),
        )

    registry = CollectorRegistry()
    metrics = MessageMetrics(protocol, registry)
    await load_metrics(database, protocol, metrics)
    services = chain_trackers(
        protocol,
        readers=readers,
        open_stream=open_stream,
        database=database,
        metrics=metrics,
        signal=Signal(),
        clock=SystemClock(),
    )
    running = RunningMonitor(protocol, readers, database, registry, services)
    try:
        yield running
    finally:
        for task in running.tasks:
            task.cancel()
        for task in running.tasks:
            with suppress(asyncio.CancelledError, SettingsError):
                await task
        for reader in readers.values():
            await reader.close()
        await session.close()
        await database.close()
