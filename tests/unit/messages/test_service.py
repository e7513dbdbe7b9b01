"""The service around the ledger: start, new contracts, failures, health. Streams and nodes are fakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from seamark.core.errors import SettingsError, TemporaryError
from seamark.core.ids import Address
from seamark.evm.ports import Block, LogBatch
from seamark.evm.types import BlockHeader, LogFilter
from seamark.messages.metrics import MessageMetrics
from seamark.messages.model import ConfigChange, Contract, Decoded
from seamark.messages.protocol import ChainRole, Watch
from seamark.messages.service import LAG_BLOCKS, SILENT_AFTER_S, ChainTracker, chain_trackers, load_metrics
from seamark.messages.store import count_by_stage, read_chains, read_contracts, save_contracts
from seamark.runtime.events import Signal
from seamark.runtime.health import Status
from seamark.storage.database import Database, open_database
from tests.support.clock import FakeClock
from tests.unit.messages.history import A, B, FakeBatch, FakeProtocol, World, hash32, sent

RAMP, NEW_RAMP = Address("0x" + "a1" * 20), Address("0x" + "c3" * 20)


def contract(address: Address, **details: str) -> Contract:
    return Contract(chain_id=A, address=address, role="onramp", version="1.6.0", details=details)


@dataclass
class Protocol(FakeProtocol):
    """Blocks may hold configuration changes; what they lead to is set by the test."""

    starts: int | None = 0
    refuses: Exception | None = None
    changes: dict[str, ConfigChange] = field(default_factory=dict)
    identified: list[Contract] = field(default_factory=list)
    asked: list[Sequence[ConfigChange]] = field(default_factory=list)
    known: list[Contract] = field(default_factory=list)
    watched: list[list[Address]] = field(default_factory=list)

    @property
    def chains(self) -> Sequence[ChainRole]:
        return [ChainRole(A, "alpha", self.starts)]

    async def check(self, *_: Any) -> None:
        if self.refuses:
            raise self.refuses

    async def discover(self, _reader: Any, known: Any) -> list[Contract]:
        self.known = list(known)
        return [*self.known, *([] if any(item.address == RAMP for item in self.known) else [contract(RAMP)])]

    async def identify(self, _reader: Any, changes: Any, _known: Any) -> list[Contract]:
        self.asked.append(changes)
        return self.identified

    def watch(self, *args: Any) -> Watch:
        contracts = args[1] if args else [contract(RAMP)]
        self.watched.append([item.address for item in contracts])
        wanted = LogFilter(tuple(item.address for item in contracts), (hash32("topic"),))

        def decode(block: Block, _whole: bool) -> Decoded:
            change = self.changes.get(block.ref.hash)
            return Decoded(self.facts.get(block.ref.hash, ()), (change,) if change else ())

        return Watch(wanted, decode)


class Reader:
    chain_id = A

    async def header(self, _block: Any) -> BlockHeader:
        return BlockHeader(77, hash32("77"), hash32("76"), 1_700_000_000)


@dataclass
class Stream:
    """Tells some batches and then waits for ever."""

    told: list[LogBatch]
    start_block: int
    wanted: LogFilter
    extended: list[tuple[LogFilter, int]] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def batches(self) -> AsyncGenerator[LogBatch, None]:
        for batch in self.told:
            yield batch
        self.done.set()
        await asyncio.Event().wait()

    def extend(self, addition: LogFilter, from_block: int) -> None:
        self.extended.append((addition, from_block))


@dataclass
class Scene:
    """A tracker with everything it needs."""

    database: Database
    protocol: Protocol = field(default_factory=Protocol)
    world: World = field(default_factory=World)  # only to make blocks
    told: list[LogBatch] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)
    signal: Signal = field(default_factory=Signal)

    def __post_init__(self) -> None:
        self.world.protocol = self.protocol
        self.metrics = MessageMetrics(self.protocol, CollectorRegistry())

    def open_stream(self, _role: ChainRole, *, wanted: LogFilter, start_block: int, **_: Any) -> Stream:
        self.streams.append(Stream(self.told, start_block, wanted))
        return self.streams[-1]

    def tracker(self) -> ChainTracker:
        (tracker,) = chain_trackers(
            self.protocol,
            readers={A: Reader()},  # type: ignore[dict-item]
            open_stream=self.open_stream,  # type: ignore[arg-type]
            database=self.database,
            metrics=self.metrics,
            signal=self.signal,
            clock=self.clock,
        )
        return tracker

    async def run(self, tracker: ChainTracker | None = None) -> ChainTracker:
        """Until all batches are taken."""
        tracker, before = tracker or self.tracker(), len(self.streams)
        task = asyncio.create_task(tracker.run())
        while len(self.streams) == before or not self.streams[-1].done.is_set():
            if task.done():
                task.result()
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return tracker

    def tell(self, *blocks: Block, head: int = 100) -> None:
        self.told.append(FakeBatch(A, blocks, head))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    database = await open_database("sqlite://")
    scene = Scene(database)
    yield scene
    scene.world.close()
    await database.close()


async def test_batches_are_stored_saved_and_told(scene: Scene) -> None:
    scene.tell(scene.world.block(A, 1, [sent(1)]))
    scene.tell(scene.world.block(A, 2, [sent(2)]))
    waiting = asyncio.create_task(scene.signal.wait(60))
    await asyncio.sleep(0)
    await scene.run()
    assert await scene.database.read(count_by_stage) == {"sent": 2}
    assert [batch.saves for batch in scene.told if isinstance(batch, FakeBatch)] == [1, 1]
    await asyncio.wait_for(waiting, 1)
    names = {sample.name: sample.value for family in scene.metrics.collect() for sample in family.samples}
    assert names["ccip_messages_sent_total"] == 2


async def test_metrics_start_from_the_database(scene: Scene) -> None:
    scene.tell(scene.world.block(A, 1, [sent(1)]))
    await scene.run()
    fresh = MessageMetrics(scene.protocol, CollectorRegistry())
    await load_metrics(scene.database, scene.protocol, fresh)
    names = {sample.name: sample.value for family in fresh.collect() for sample in family.samples}
    assert names["ccip_messages_sent_total"] == 1
    assert names["ccip_messages_tracked"] == 1


async def test_many_logs_are_decoded_beside_the_loop(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamark.messages.service.DECODE_IN_THREAD", 0)
    scene.tell(scene.world.block(A, 1, [sent(1)]))
    await scene.run()
    assert await scene.database.read(count_by_stage) == {"sent": 1}


class TestStart:
    async def test_from_the_given_block(self, scene: Scene) -> None:
        await scene.run()
        assert scene.streams[0].start_block == 0
        assert scene.streams[0].wanted.addresses == (RAMP,)

    async def test_from_the_newest_block_and_from_there_again_after_a_restart(self, scene: Scene) -> None:
        scene.protocol.starts = None
        await scene.run()
        await scene.run()
        assert [stream.start_block for stream in scene.streams] == [77, 77]
        (view,) = await scene.database.read(read_chains)
        assert (view.started, view.scanned) == (77, 76)

    async def test_contracts_of_earlier_runs_stay_watched(self, scene: Scene) -> None:
        old = contract(Address("0x" + "0d" * 20), source="x")
        await scene.database.write(lambda c: save_contracts(c, "ccip", [old]))
        await scene.run()
        assert scene.protocol.known == [old]
        assert set(scene.streams[0].wanted.addresses) == {old.address, RAMP}

    async def test_wrong_settings_stop_it(self, scene: Scene) -> None:
        scene.protocol.refuses = SettingsError("ccip.chains[0].router", "no contract there", remedy="look")
        with pytest.raises(SettingsError):
            await scene.tracker().run()
        assert scene.streams == []


class TestNewContracts:
    def change(self, scene: Scene, number: int) -> Block:
        block = scene.world.block(A, number)
        scene.protocol.changes[block.ref.hash] = ConfigChange(
            chain_id=A, block_number=number, event="OnRampSet", addresses=(NEW_RAMP,)
        )
        return block

    async def test_a_new_one_extends_the_stream_from_its_block(self, scene: Scene) -> None:
        scene.protocol.identified = [contract(NEW_RAMP)]
        scene.tell(self.change(scene, 5), self.change(scene, 6))
        await scene.run()
        ((addition, first),) = scene.streams[0].extended
        assert first == 5
        assert set(addition.addresses) == {RAMP, NEW_RAMP}
        stored = await scene.database.read(lambda c: read_contracts(c, "ccip", A))
        assert {item.address for item in stored} == {RAMP, NEW_RAMP}

    async def test_a_known_one_is_only_read_differently(self, scene: Scene) -> None:
        scene.protocol.identified = [contract(RAMP, source="other")]
        scene.tell(self.change(scene, 5))
        await scene.run()
        assert scene.streams[0].extended == []
        assert len(scene.protocol.watched) == 2
        (stored,) = await scene.database.read(lambda c: read_contracts(c, "ccip", A))
        assert stored.details == {"source": "other"}

    async def test_nothing_new_changes_nothing(self, scene: Scene) -> None:
        scene.tell(self.change(scene, 5))
        await scene.run()
        assert len(scene.protocol.asked) == 1
        assert len(scene.protocol.watched) == 1

    async def test_a_node_that_fails_here_restarts_the_service_and_loses_nothing(self, scene: Scene) -> None:
        async def fail(*_: Any) -> list[Contract]:
            raise TemporaryError("no answer")

        scene.protocol.identify = fail  # type: ignore[assignment,method-assign]
        scene.tell(self.change(scene, 5))
        with pytest.raises(TemporaryError):
            await scene.tracker().run()
        (view,) = await scene.database.read(read_chains)
        assert view.scanned == 5, "the batch is stored; the next start discovers again"


class TestHealth:
    async def test_before_it_runs(self, scene: Scene) -> None:
        assert (await scene.tracker().health()).status is Status.DEGRADED

    async def test_level_with_the_head(self, scene: Scene) -> None:
        scene.tell(scene.world.block(A, 9))
        tracker = await scene.run()
        tracker.observer.position(9, 9, 3)
        health = await tracker.health()
        assert health.status is Status.OK
        assert "block 9" in health.detail

    async def test_far_behind(self, scene: Scene) -> None:
        scene.tell(scene.world.block(A, 9))
        tracker = await scene.run()
        tracker.observer.position(9 + LAG_BLOCKS + 1, 9, 3)
        assert (await tracker.health()).status is Status.DEGRADED

    async def test_blind(self, scene: Scene) -> None:
        scene.tell(scene.world.block(A, 9))
        tracker = await scene.run()
        tracker.observer.poll_failed(TemporaryError("node.example: no answer"))
        assert (await tracker.health()).status is not Status.DOWN, "not after one failure"
        scene.clock.advance(SILENT_AFTER_S + 1)
        health = await tracker.health()
        assert health.status is Status.DOWN
        assert "node.example" in health.detail
        tracker.observer.position(9, 9, 3)
        assert (await tracker.health()).status is Status.OK


async def test_names_tell_chain_and_protocol(scene: Scene) -> None:
    assert scene.tracker().name == "ccip-monitor:alpha"
    assert scene.tracker().observer is scene.metrics.observers[A]
    assert B not in scene.metrics.observers
