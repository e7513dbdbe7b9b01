"""The monitor on two chains with the published CCIP 1.6 contracts: discovery from the router, every stage, failures,
reorgs, restarts."""

# ruff: noqa: F811 - tests take the imported fixture as an argument

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from seamark.core.errors import SettingsError
from seamark.core.ids import Address, ChainId
from seamark.devnet.accounts import Role
from seamark.devnet.artifacts import ccip_artifact
from seamark.devnet.node_client import Tx
from seamark.evm.logs import LogStream, StreamSettings
from seamark.evm.rpc import Chain
from seamark.messages.metrics import MessageMetrics
from seamark.messages.protocols.ccip import CcipChain, CcipProtocol
from seamark.messages.service import chain_trackers, load_metrics
from seamark.messages.store import (
    MessageDetail,
    MessageFilter,
    MessageView,
    find_message,
    list_lanes,
    list_messages,
    read_contracts,
)
from seamark.runtime.clock import SystemClock
from seamark.runtime.events import Signal
from seamark.runtime.health import Status
from seamark.runtime.http import make_session
from seamark.storage.database import Database, open_database
from seamark.storage.events import read_events
from tests.support.world import World, world  # noqa: F401 - a fixture

pytestmark = pytest.mark.integration

POLL_S = 0.02
PATIENCE_S = 60.0
HOME, REMOTE = "home", "remote"


class Monitor:
    """A running monitor of a devnet, and questions to its database."""

    def __init__(self, database: Database, metrics: MessageMetrics, registry: CollectorRegistry, services: Any) -> None:
        self.database = database
        self.metrics = metrics
        self.registry = registry
        self.services = services
        self.tasks = [asyncio.create_task(service.run()) for service in services]

    async def messages(self, **wanted: Any) -> list[MessageView]:
        page = await self.database.read(lambda c: list_messages(c, MessageFilter(**wanted)))
        return page.messages

    async def message(self, message_id: str) -> MessageDetail | None:
        return await self.database.read(lambda c: find_message(c, message_id))

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

    async def topics(self, message_id: str) -> list[str]:
        events = await self.database.read(lambda c: read_events(c, 0, limit=1000))
        return [event.topic for event in events if event.key == message_id]

    def value(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples with these labels."""
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@asynccontextmanager
async def monitor(world: World, folder: Path, *names: str) -> AsyncIterator[Monitor]:
    """The monitor of the named chains (default both); the database stays in `folder`."""
    sides = {HOME: (world.home, world.devnet.home_url), REMOTE: (world.remote, world.devnet.remote_url)}
    names = names or (HOME, REMOTE)
    database = await open_database(f"sqlite:///{folder / 'seamark.db'}")
    session = make_session()
    readers = {
        sides[name][0].chain_id: Chain(sides[name][0].chain_id, [sides[name][1]], session=session) for name in names
    }
    protocol = CcipProtocol(
        [
            CcipChain(side.chain_id, side.selector, name, side.router, 0, "ccip.chains[0]")
            for name, (side, _) in sides.items()
            if name in names
        ]
    )

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
    running = Monitor(database, metrics, registry, services)
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


def ids(messages: Any) -> list[str]:
    return [message.message_id for message in messages]


async def test_a_message_passes_all_stages(world: World, tmp_path: Path) -> None:
    async with monitor(world, tmp_path) as running:
        sent = ids(await world.send(world.outbound, count=2, data=b"four"))
        await running.stages(dict.fromkeys(sent, "sent"))
        await world.finalize(world.outbound)
        await running.stages(dict.fromkeys(sent, "finalized"))
        await world.commit(world.outbound)
        await running.stages(dict.fromkeys(sent, "committed"))
        await world.execute(world.outbound)
        await running.stages(dict.fromkeys(sent, "executed"))

        detail = await running.message(sent[0])
        assert detail is not None
        view = detail.message
        assert (view.sequence, view.size, view.callback, view.manual) == (1, 4, True, False)
        assert (view.source, view.destination) == (str(world.home.selector), str(world.remote.selector))
        assert view.channel == world.home.onramp
        assert view.receiver == world.remote.test_receiver
        assert view.sent_time is not None
        assert view.committed_time is not None
        assert [item.kind for item in detail.sightings] == ["sent", "committed", "executed"]
        assert [item.step for item in detail.transitions] == ["sent", "finalized", "committed", "executed"]
        steps = ["message.sent", "message.finalized", "message.committed", "message.executed"]
        assert await running.topics(sent[0]) == steps
        (lane,) = await running.database.read(list_lanes)
        assert (lane.total, lane.last_sent, lane.last_committed, lane.last_executed) == (2, 2, 2, 2)
        assert running.value("ccip_messages_sent_total", source=HOME, dest=REMOTE) == 2
        assert running.value("ccip_messages_received_total", state="success") == 2
        assert running.value("ccip_messages_tracked", stage="executed") == 2
        assert running.value("ccip_message_latency_seconds_count", stage="total") == 2
        assert running.value("ccip_fees_total", fee_token="WNAT") > 0
        for service in running.services:
            assert (await service.health()).status is Status.OK


async def test_a_failure_is_explained_and_repaired_by_hand(world: World, tmp_path: Path) -> None:
    async with monitor(world, tmp_path) as running:
        await world.set_receiver_reverts(world.outbound, True)
        (message,) = await world.send(world.outbound)
        await world.deliver(world.outbound)
        await running.stages({message.message_id: "failed"})
        (view,) = await running.messages()
        assert (view.reason, view.attempts, view.manual) == ("receiver_reverted", 1, False)
        assert view.error.startswith("the receiver reverted")
        assert running.value("ccip_message_failures", reason="receiver_reverted") == 1

        await world.set_receiver_reverts(world.outbound, False)
        await world.outbound.execute_by_hand(message, world.wallet(Role.SECOND_PUBLISHER, remote=True))
        await running.stages({message.message_id: "recovered"})
        (view,) = await running.messages()
        assert (view.reason, view.attempts, view.manual, view.callback) == ("", 2, True, True)
        assert await running.topics(message.message_id) == [
            *("message.sent", "message.finalized", "message.committed", "message.failed", "message.recovered")
        ]
        assert running.value("ccip_message_failures", reason="receiver_reverted") == 0
        assert running.value("ccip_errors_total", **{"class": "receiver_reverted"}) == 1
        assert running.value("ccip_messages_received_total", state="failure") == 1
        assert running.value("ccip_messages_received_total", state="success") == 1


async def test_a_reorg_retracts_a_send_and_counts_the_same_message_once(world: World, tmp_path: Path) -> None:
    home = world.devnet.anvils[0]
    async with monitor(world, tmp_path) as running:
        (lost,) = await world.send(world.outbound)
        await running.stages({lost.message_id: "sent"})
        await home.request("anvil_reorg", 1, [])
        await running.stages({lost.message_id: "retracted"})
        (view,) = await running.messages()
        assert view.retracted
        assert view.sent_tx is None
        assert view.sender
        detail = await running.message(lost.message_id)
        assert detail is not None
        assert detail.transitions[-1].step == "retracted"
        assert detail.transitions[-1].block_hash == detail.sightings[0].block_hash
        assert not detail.sightings[0].live

        (again,) = await world.send(world.outbound)
        assert again.message_id == lost.message_id, "the same content under the same number is the same message"
        await running.stages({lost.message_id: "sent"})
        await world.deliver(world.outbound)
        await running.stages({lost.message_id: "executed"})
        assert len(await running.messages()) == 1
        assert running.value("ccip_messages_sent_total") == 1
        assert running.value("ccip_reorgs_total", chain=HOME) == 1
        topics = await running.topics(lost.message_id)
        assert topics[:3] == ["message.sent", "message.retracted", "message.sent"]
        assert topics.count("message.executed") == 1


async def test_another_message_may_take_a_retracted_ones_number(world: World, tmp_path: Path) -> None:
    async with monitor(world, tmp_path) as running:
        (lost,) = await world.send(world.outbound, data=b"one")
        await running.stages({lost.message_id: "sent"})
        await world.devnet.anvils[0].request("anvil_reorg", 1, [])
        (other,) = await world.send(world.outbound, data=b"two")
        assert other.sequence == lost.sequence
        await world.deliver(world.outbound)
        await running.stages({lost.message_id: "retracted", other.message_id: "executed"})


async def test_a_restart_in_the_middle_goes_on_where_it_was(world: World, tmp_path: Path) -> None:
    async with monitor(world, tmp_path) as running:
        first = ids(await world.send(world.outbound))
        await running.stages(dict.fromkeys(first, "sent"))
    second = ids(await world.send(world.outbound, data=b"while away"))
    await world.finalize(world.outbound)
    await world.commit(world.outbound)
    async with monitor(world, tmp_path) as running:
        await running.stages(dict.fromkeys([*first, *second], "committed"))
        await world.execute(world.outbound)
        await running.stages(dict.fromkeys([*first, *second], "executed"))
        before = running.value("ccip_messages_sent_total"), running.value("ccip_fees_total")
        assert before[0] == 2
    async with monitor(world, tmp_path) as running:
        assert (running.value("ccip_messages_sent_total"), running.value("ccip_fees_total")) == before
        assert running.value("ccip_messages_tracked", stage="executed") == 2


async def test_one_chain_alone_says_what_it_cannot_know(world: World, tmp_path: Path) -> None:
    async with monitor(world, tmp_path, REMOTE) as running:
        (message,) = await world.send(world.outbound)
        await world.deliver(world.outbound)
        await running.stages({message.message_id: "executed"})
        (view,) = await running.messages()
        assert (view.source_watched, view.destination_watched) == (False, True)
        assert (view.sent_time, view.finalized) == (None, False)
        assert view.channel == world.home.onramp, "the off-ramp names its on-ramp"
        assert view.committed_time is not None


async def test_a_new_ramp_is_watched_from_its_configuration_event_on(world: World, tmp_path: Path) -> None:
    """Take the OnRamp off the router and put it back: a monitor that starts in between finds it by the event."""
    router = ccip_artifact("latest", "router").abi
    deployer = world.wallet(Role.HOME_DEPLOYER)

    async def set_on_ramp(address: str) -> None:
        updates = [(world.remote.selector, address)]
        await deployer.run([Tx(world.home.router, router.encode_call("applyRampUpdates", updates, [], []))], abi=router)

    await set_on_ramp("0x" + "00" * 20)
    async with monitor(world, tmp_path) as running:
        chain_id = ChainId(world.home.chain_id)

        async def ramps() -> set[str]:
            found = await running.database.read(lambda c: read_contracts(c, "ccip", chain_id))
            return {item.address for item in found if item.role == "onramp"}

        await running.until(lambda: _has_scanned(running, HOME))
        await set_on_ramp(world.home.onramp)
        (message,) = await world.send(world.outbound)
        await running.stages({message.message_id: "sent"})
        assert world.home.onramp in await ramps()


async def _has_scanned(running: Monitor, chain: str) -> bool:
    return running.value("ccip_chain_scanned_block", chain=chain) > 0


async def test_an_address_that_is_no_router_is_refused(world: World, tmp_path: Path) -> None:
    session = make_session()
    reader = Chain(world.home.chain_id, [world.devnet.home_url], session=session)
    try:
        for address, problem in ((world.home.link, "is not a CCIP router"), (Address("0x" + "12" * 20), "no contract")):
            chain = CcipChain(world.home.chain_id, world.home.selector, HOME, address, 0, "ccip.chains[0]")
            with pytest.raises(SettingsError, match=problem) as caught:
                await CcipProtocol([chain]).check(reader)
            assert caught.value.setting == "ccip.chains[0].router"
            assert caught.value.remedy
        wrong = CcipChain(world.home.chain_id, ChainId(5), HOME, world.home.router, 0, "ccip.chains[0]")  # type: ignore[arg-type]
        with pytest.raises(SettingsError, match=str(world.home.selector)):
            await CcipProtocol([wrong]).discover(reader, [])
    finally:
        await reader.close()
        await session.close()
