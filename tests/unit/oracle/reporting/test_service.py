"""A feed follows its contract: takes its seat, changes it, loses it, and says what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from prometheus_client import CollectorRegistry

from seamark.core.errors import StopError, TemporaryError
from seamark.oracle.model import FeedRef, Rejected, RejectedWhy
from seamark.oracle.reporting import service as service_module
from seamark.oracle.reporting.contract import ReportingContract
from seamark.oracle.reporting.membership import Member
from seamark.oracle.reporting.metrics import ReportingMeter, ReportingMetrics
from seamark.oracle.reporting.patience import PatientEchoes
from seamark.oracle.reporting.service import ReportingFeed
from seamark.runtime.clock import Clock
from seamark.storage.database import Database, open_database
from tests.support.clock import FakeClock
from tests.support.reporting_config import CHAIN, CONTRACT, FakeContract, announced, operator

REF = FeedRef("ETH/USD", "besu", CHAIN, CONTRACT)


class HandClock(FakeClock):
    """Sleeping waits until the test moves the time."""

    def __init__(self) -> None:
        super().__init__()
        self._moved = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        until = self.monotonic() + seconds
        while self.monotonic() < until:
            self._moved.clear()
            await self._moved.wait()

    async def move(self, seconds: float) -> None:
        self.advance(seconds)
        self._moved.set()
        await settle()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)  # the database's thread
    for _ in range(20):
        await asyncio.sleep(0)


@dataclass
class Follow:
    round: int = 0
    completed: bool = False


@dataclass
class Rounds:
    epoch: int = 1
    follow: Follow = field(default_factory=Follow)


@dataclass
class State:
    rounds: Rounds = field(default_factory=Rounds)


class StandIn:
    """A driver that runs until the test ends it."""

    made: ClassVar[list[StandIn]] = []

    def __init__(self, context: Any, place: Any, **named: Any) -> None:
        self.context, self.place, self.named = context, place, named
        self.state = State()
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.running = False
        StandIn.made.append(self)

    async def run(self) -> None:
        self.running = True
        try:
            await self.failure
        finally:
            self.running = False


@dataclass
class Link:
    digest: bytes
    nodes: list[str]
    missing: tuple[str, ...] = ()
    left: bool = False

    def leave(self) -> None:
        self.left = True


@dataclass
class Network:
    links: list[Link] = field(default_factory=list)

    def join(self, digest: bytes, nodes: list[str]) -> Link:
        self.links.append(Link(digest, nodes))
        return self.links[-1]


@dataclass
class Peers:
    up: set[str] = field(default_factory=set)

    def is_up(self, peer: str) -> bool:
        return peer in self.up


@dataclass
class Observer:
    result: Any = None


class Transmitter:
    closed = False

    async def close(self) -> None:
        self.closed = True


@dataclass
class Bench:
    """A feed under test, and everything around it."""

    chain: FakeContract
    clock: HandClock
    registry: CollectorRegistry
    network: Network
    peers: Peers
    observer: Observer
    transmitter: Transmitter
    feed: ReportingFeed
    task: asyncio.Task[None] | None = None

    @property
    def driver(self) -> StandIn:
        return StandIn.made[-1]

    def gauge(self, name: str) -> float | None:
        return self.registry.get_sample_value(name, {"feed": "ETH/USD", "chain": "besu"})

    def connect(self, count: int) -> None:
        self.peers.up = {operator(number).identity.peer for number in range(count)}


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await open_database("sqlite://")
    yield opened
    await opened.close()


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    digests: list[bytes] = []
    monkeypatch.setattr(service_module, "Driver", StandIn)
    monkeypatch.setattr(service_module, "forget_superseded", lambda _connection, _place, digest: digests.append(digest))
    StandIn.made.clear()
    return digests


@asynccontextmanager
async def running(database: Database, chain: FakeContract, member: Member | None = None) -> AsyncIterator[Bench]:
    clock, registry = HandClock(), CollectorRegistry()
    network, peers, observer, transmitter = Network(), Peers(), Observer(), Transmitter()
    feed = ReportingFeed(
        ref=REF,
        contract=ReportingContract(chain=chain, address=CONTRACT, clock=clock),  # type: ignore[arg-type]
        chain=chain,  # type: ignore[arg-type]
        member=member or operator(1).member,
        network=network,  # type: ignore[arg-type]
        connections=peers,
        observer=observer,  # type: ignore[arg-type]
        signer=operator(1).signer,
        transmitter=transmitter,  # type: ignore[arg-type]
        database=database,
        clock=_as_clock(clock),
        meter=ReportingMeter(ReportingMetrics(registry), REF, clock=clock),
        config_interval=10.0,
        progress_alarm=30.0,
    )
    bench = Bench(chain, clock, registry, network, peers, observer, transmitter, feed)
    bench.task = asyncio.create_task(feed.run())
    await settle()
    try:
        yield bench
    finally:
        bench.task.cancel()
        with suppress(asyncio.CancelledError, TemporaryError, StopError):
            await bench.task


def _as_clock(clock: HandClock) -> Clock:
    return clock


pytestmark = pytest.mark.usefixtures("forgotten")


async def test_a_feed_takes_its_seat_and_runs_the_protocol(database: Database) -> None:
    item = announced()
    async with running(database, FakeContract(announced=[item])) as bench:
        driver = bench.driver
        assert driver.running
        assert driver.context.me == 1
        assert (driver.place.contract, driver.place.digest, driver.place.node) == (
            f"{CHAIN}:{CONTRACT}",
            item.digest,
            1,
        )
        assert isinstance(driver.named["transport"], PatientEchoes)
        assert bench.network.links[0].nodes == [operator(number).identity.peer for number in range(4)]
        assert bench.gauge("reporting_oid") == 1
        assert bench.gauge("reporting_faulty_allowed") == 1
    assert not driver.running
    assert bench.network.links[0].left
    assert bench.transmitter.closed


async def test_a_new_configuration_is_run_without_a_restart(database: Database) -> None:
    chain = FakeContract(announced=[announced()])
    async with running(database, chain) as bench:
        first = bench.driver
        chain.announced.append(announced(count=2, block=12, deviation="1%"))
        chain.head = 12
        await bench.clock.move(10.0)
        await bench.clock.move(1.0)
        assert not first.running
        assert bench.network.links[0].left
        assert bench.driver is not first
        assert bench.driver.running
        assert bench.driver.context.digest == chain.announced[-1].digest


async def test_a_digest_seen_by_the_protocol_is_looked_at_at_once(database: Database) -> None:
    chain = FakeContract(announced=[announced()])
    async with running(database, chain) as bench:
        chain.announced.append(announced(count=2, block=10, deviation="1%"))
        chain.transmission = (chain.announced[-1].digest, 0, 0, 0, 0)
        assert (await bench.feed.view()).digest == chain.announced[-1].digest
        await bench.clock.move(1.0)
        await bench.clock.move(1.0)
        assert bench.driver.context.digest == chain.announced[-1].digest


@pytest.mark.parametrize(("head", "changes"), [(11, False), (12, True), (13, True)])
async def test_an_older_configuration_is_a_reorg_or_a_node_that_lags(
    database: Database, head: int, changes: bool
) -> None:
    older, newer = announced(block=7), announced(count=2, block=12, deviation="1%")
    chain = FakeContract(head=12, announced=[older, newer])
    async with running(database, chain) as bench:
        assert bench.driver.context.digest == newer.digest
        chain.announced, chain.head = [older], head
        await bench.clock.move(10.0)
        await bench.clock.move(1.0)
        assert bench.driver.context.digest == (older.digest if changes else newer.digest)


async def test_nothing_is_run_before_there_is_a_configuration(database: Database) -> None:
    chain = FakeContract()
    async with running(database, chain) as bench:
        assert StandIn.made == []
        assert bench.feed.problem() == "its contract has no configuration, or one too new to count on"
        chain.announced.append(announced(block=9))
        await bench.clock.move(10.0)
        await bench.clock.move(1.0)
        assert bench.driver.running


async def test_a_node_that_is_not_in_the_configuration_waits_for_one_that_has_it(database: Database) -> None:
    chain = FakeContract(announced=[announced()])
    async with running(database, chain, operator(5).member) as bench:
        assert StandIn.made == []
        assert "is not in configuration" in str(bench.feed.problem())
        assert bench.gauge("reporting_oid") == -1
        chain.announced.append(announced(7, count=2, block=10))
        await bench.clock.move(10.0)
        await bench.clock.move(1.0)
        assert bench.driver.context.me == 5
        assert bench.gauge("reporting_oid") == 5


async def test_a_node_that_is_removed_stops(database: Database) -> None:
    chain = FakeContract(announced=[announced(7)])
    async with running(database, chain, operator(6).member) as bench:
        first = bench.driver
        assert first.running
        chain.announced.append(announced(4, count=2, block=10))
        await bench.clock.move(10.0)
        await bench.clock.move(1.0)
        assert not first.running
        assert StandIn.made == [first]
        assert bench.feed.connected() == 0
        assert "is not in configuration" in str(bench.feed.problem())


async def test_an_outage_of_the_chain_leaves_the_protocol_alone(database: Database) -> None:
    chain = FakeContract(announced=[announced()])
    async with running(database, chain) as bench:
        chain.down = True
        await bench.clock.move(10.0)
        await bench.clock.move(10.0)
        assert bench.driver.running
        assert len(StandIn.made) == 1


async def test_a_chain_that_is_away_at_the_start_is_told_and_waited_for(database: Database) -> None:
    chain = FakeContract(announced=[announced()], down=True)
    async with running(database, chain) as bench:
        assert bench.feed.problem() == "its contract cannot be read: no node answers"
        chain.down = False
        await bench.clock.move(10.0)
        await bench.clock.move(1.0)
        assert bench.driver.running


@pytest.mark.parametrize("error", [StopError("the memory is damaged"), TemporaryError("the database is away")])
async def test_what_ends_the_protocol_ends_the_feed(database: Database, error: Exception) -> None:
    async with running(database, FakeContract(announced=[announced()])) as bench:
        bench.driver.failure.set_exception(error)
        await settle()
        await bench.clock.move(1.0)
        assert bench.task is not None
        assert bench.task.done()
        with pytest.raises(type(error), match=str(error)):
            bench.task.result()


async def test_older_memories_are_forgotten_once_the_newer_configuration_is_final(
    database: Database, forgotten: list[bytes]
) -> None:
    item = announced(block=8)
    chain = FakeContract(announced=[item], final=7)
    async with running(database, chain) as bench:
        assert forgotten == []
        chain.final = 8
        await bench.clock.move(10.0)
        assert forgotten == [item.digest]
        await bench.clock.move(10.0)
        assert forgotten == [item.digest], "once"


async def test_a_database_that_is_busy_does_not_stop_the_protocol(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise TemporaryError("the database is busy")

    monkeypatch.setattr(service_module, "forget_superseded", busy)
    async with running(database, FakeContract(announced=[announced(block=8)], final=9)) as bench:
        await bench.clock.move(10.0)
        await bench.clock.move(1.0)
        assert bench.driver.running
        assert len(StandIn.made) == 1


@pytest.mark.parametrize(("head", "done"), [(71, False), (72, True)])
async def test_without_a_finality_tag_depth_decides(
    database: Database, forgotten: list[bytes], head: int, done: bool
) -> None:
    async with running(database, FakeContract(head=head, announced=[announced(block=8)])):
        assert bool(forgotten) is done


# ---- health ---------------------------------------------------------------------------------------------------------


async def test_too_few_connections_are_a_problem(database: Database) -> None:
    async with running(database, FakeContract(announced=[announced()])) as bench:
        bench.connect(1)  # node 0; this is node 1
        assert bench.feed.connected() == 2
        assert bench.feed.problem() == "2 of 4 nodes are connected, and 3 are needed"
        bench.connect(3)
        assert bench.feed.connected() == 3
        assert bench.feed.problem() is None


async def test_no_completed_round_is_a_problem_and_one_without_a_report_is_none(database: Database) -> None:
    async with running(database, FakeContract(announced=[announced()])) as bench:
        bench.connect(4)
        await bench.clock.move(31.0)
        assert "no round was completed for" in str(bench.feed.problem())
        bench.driver.state.rounds.follow = Follow(3, completed=True)
        await bench.clock.move(1.0)
        assert bench.feed.problem() is None
        await bench.clock.move(31.0)
        assert "no round was completed for" in str(bench.feed.problem()), "the same round again is no progress"
        bench.driver.state.rounds = Rounds(2, Follow(1))
        await bench.clock.move(1.0)
        assert "no round was completed for" in str(bench.feed.problem()), "a new leader alone is no progress"
        bench.driver.state.rounds = Rounds(2, Follow(2))
        await bench.clock.move(1.0)
        assert bench.feed.problem() is None


async def test_sources_without_an_answer_are_a_problem(database: Database) -> None:
    async with running(database, FakeContract(announced=[announced()])) as bench:
        bench.connect(4)
        bench.observer.result = Rejected(RejectedWhy.TOO_FEW_VENUES, "1 of 3 venues needed", ())
        assert bench.feed.problem() == "no observation: 1 of 3 venues needed"
