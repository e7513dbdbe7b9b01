"""Backfill: whatever happens on the way, the ledger ends as if the monitor had begun earlier."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from seamark.core.errors import SettingsError, TemporaryError
from seamark.core.ids import ChainId
from seamark.evm.logs import LogStream, StreamSettings
from seamark.evm.ports import Block, ChainReader
from seamark.evm.types import LogFilter
from seamark.messages.history import Backfill, Progress, Span
from seamark.messages.model import ConfigChange, Contract, Decoded, Evidence, LaneKey, Sent, Sighting
from seamark.messages.protocol import ChainRole, LaneNames, Watch
from seamark.messages.store import ChainView, list_messages, read_chains, save_progress
from seamark.storage.database import Database, open_database
from tests.support.clock import FakeClock
from tests.support.fake_chain import Event, FakeChain, FakeReader, address, topic

CHAIN = ChainId(1)
LANE = LaneKey("ccip", "11", "0x" + "a1" * 20, "22")
NAMES_NEW = "names address 2"


class LogProtocol:
    """Every log is a send; a log whose transaction is NAMES_NEW tells of a further contract."""

    name = "ccip"
    chains = (ChainRole(CHAIN, "alpha", 0),)

    def __init__(self) -> None:
        self.known = [self.contract(1)]

    @staticmethod
    def contract(number: int) -> Contract:
        return Contract(chain_id=CHAIN, address=address(number), role="onramp")

    def names(self, _lane: LaneKey) -> LaneNames:
        return LaneNames("alpha", "beta", CHAIN, None, source_watched=True, destination_watched=False)

    def token(self, *_: Any) -> None:
        return None

    async def check(self, _reader: ChainReader) -> None: ...

    async def discover(self, _reader: ChainReader, known: Iterable[Contract]) -> list[Contract]:
        return list({item.address: item for item in (*self.known, *known)}.values())

    async def identify(self, _reader: ChainReader, changes: Sequence[ConfigChange], _known: Any) -> list[Contract]:
        return [self.contract(2) for change in changes if address(2) in change.addresses]

    def watch(self, _chain: ChainId, contracts: Sequence[Contract]) -> Watch:
        return Watch(LogFilter(tuple(item.address for item in contracts), (topic(1),)), self._decode)

    def _decode(self, block: Block, whole: bool) -> Decoded:
        assert whole, "a backfilled block holds all of its logs"
        sightings, changes = [], []
        for log in block.logs:
            ref = block.ref
            at = Evidence(CHAIN, ref.number, ref.hash, log.transaction_hash, log.log_index, ref.timestamp)
            number = ref.number * 10 + log.log_index
            sightings.append(
                Sighting(LANE, "1.6", at, number, Sent(sender="0x5e"), f"0x{log.address[-2:]}{number:062x}")
            )
            if log.transaction_hash == FakeBlocks.naming:
                changes.append(
                    ConfigChange(chain_id=CHAIN, block_number=ref.number, event="OnRampSet", addresses=(address(2),))
                )
        return Decoded(tuple(sightings), tuple(changes))


class FakeBlocks:
    """60 blocks, every third with a send of contract 1, every fifth with one of contract 2; block 30 names it."""

    naming = ""

    @classmethod
    def chain(cls) -> FakeChain:
        chain = FakeChain()
        for number in range(1, 61):
            events = [Event(1)] * (number % 3 == 0) + [Event(2)] * (number % 5 == 0)
            if number == 30:
                events = [Event(1, transaction=NAMES_NEW), Event(2)]
            chain.mine(events)
        chain.finalized = 58
        cls.naming = chain.path[30].logs[0].transaction_hash
        return chain


class Job:
    """A chain whose monitor began with block 50, and a backfill over it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.protocol = LogProtocol()
        self.chain = FakeBlocks.chain()
        self.reader = FakeReader(self.chain)
        self.heard: list[Progress] = []

    @property
    def backfill(self) -> Backfill:
        return Backfill(
            self.protocol,
            self.protocol.chains[0],
            reader=self.reader,
            open_stream=self._open,
            database=self.database,
            clock=FakeClock(),
        )

    def _open(self, reader: ChainReader, name: str, wanted: LogFilter, start: int) -> LogStream:
        settings = StreamSettings(
            start_block=start, finality_tag=None, finality_depth=0, head_range=1, first_range=7, max_range=7, prefetch=1
        )
        return LogStream(
            name, reader=reader, database=self.database, wanted=wanted, settings=settings, clock=FakeClock()
        )

    async def begun(self, started: int = 50) -> None:
        view = ChainView("ccip", CHAIN, started, 58, 60, 1_700_000_000, 0)
        await self.database.write(lambda connection: save_progress(connection, view))

    async def run(self, first: int = 0, told: Callable[[Progress], None] | None = None) -> Progress:
        job = self.backfill
        return await job.run(await job.plan(first), told or self.heard.append)

    async def blocks(self) -> list[int]:
        """Blocks and contracts of the messages stored, as block * 10 + contract."""

        def work(connection: Connection) -> list[int]:
            found = list_messages(connection, limit=500).messages
            return sorted((view.sent_block or 0) * 10 + int(view.id[2:4], 16) for view in found)

        return await self.database.read(work)

    async def view(self) -> ChainView:
        (view,) = await self.database.read(read_chains)
        return view


ONE = [number * 10 + 1 for number in range(1, 50) if number % 3 == 0]
TWO = [number * 10 + 2 for number in range(1, 50) if number % 5 == 0]


@pytest.fixture
async def job(tmp_path: Path) -> AsyncIterator[Job]:
    database = await open_database(f"sqlite:///{tmp_path / 'history.db'}")
    yield Job(database)
    await database.close()


async def test_everything_before_the_monitors_start_and_nothing_after(job: Job) -> None:
    await job.begun()
    end = await job.run()
    assert (await job.blocks()) == sorted([*ONE, *TWO])  # also what only history names
    assert end.block == 49
    assert end.passes == 2
    assert end.messages == len(ONE) + len(TWO)
    view = await job.view()
    assert (view.started, view.scanned, view.finalized) == (0, 60, 58)  # the monitor's own place is untouched
    left = await job.database.read(
        lambda connection: connection.exec_driver_sql("SELECT stream FROM evm_cursor").scalars().all()
    )
    assert left == []


async def test_progress_is_told_block_by_block(job: Job) -> None:
    await job.begun()
    await job.run()
    for first, second in zip(job.heard, job.heard[1:], strict=False):
        assert (second.passes, second.block) > (first.passes, first.block)
    assert job.heard[-1].done == job.heard[-1].span.blocks == 50


@pytest.mark.parametrize("kills", [1, 2, 3, 5])
async def test_killed_at_any_batch_it_goes_on_and_ends_the_same(job: Job, kills: int) -> None:
    await job.begun()
    heard: list[Progress] = []

    def dying(progress: Progress) -> None:
        heard.append(progress)
        if len(heard) in range(1, 2 * kills, 2):
            raise KeyboardInterrupt

    for _ in range(kills):
        with pytest.raises(KeyboardInterrupt):
            await job.run(told=dying)
    reached = max(item.block for item in heard)
    job.heard.clear()
    await job.run()
    assert job.heard[0].block >= min(reached, 6)  # not from the start again
    assert (await job.blocks()) == sorted([*ONE, *TWO])
    assert (await job.view()).started == 0


async def test_a_second_time_there_is_nothing_to_do(job: Job) -> None:
    await job.begun()
    await job.run(first=20)
    assert (await job.view()).started == 20
    again = await job.backfill.plan(20)
    assert again.blocks == 0
    asked = job.reader.asked.total()
    assert (await job.backfill.run(again, job.heard.append)).done == 0
    assert job.reader.asked.total() == asked
    await job.run(first=5)  # further back: only what is missing
    assert (await job.view()).started == 5
    assert [block for block in await job.blocks() if block < 50] == []


async def test_what_the_monitor_has_stored_already_changes_nothing(job: Job) -> None:
    await job.begun(started=25)
    await job.run()
    before = await job.blocks()
    await job.begun(started=50)  # as if its row had been written by an older start
    await job.run()
    after = await job.blocks()
    assert set(before) < set(after)
    assert after == sorted([*ONE, *TWO])


async def test_a_node_that_fails_now_and_then(job: Job) -> None:
    await job.begun()
    left = iter([True])

    def once(first: int, _last: int) -> None:
        if first == 14 and next(left, False):
            job.reader.failures.append(TemporaryError("busy"))

    job.reader.on_logs = once
    await job.run()
    assert (await job.blocks()) == sorted([*ONE, *TWO])


async def test_a_chain_that_was_never_watched(job: Job) -> None:
    with pytest.raises(SettingsError, match="has not been watched on alpha"):
        await job.backfill.plan(0)


async def test_blocks_that_are_not_final_yet(job: Job) -> None:
    await job.begun(started=60)
    with pytest.raises(TemporaryError, match="not final yet"):
        await job.backfill.plan(0)
    assert (await job.backfill.plan(60)) == Span(60, 59)


def test_positions_are_named_by_range_and_contracts() -> None:
    """Another set of contracts must not go on where a smaller one ended."""
    job = LogProtocol()
    backfill = Backfill(job, job.chains[0], reader=None, open_stream=None, database=None, clock=None)  # type: ignore[arg-type]
    span = Span(0, 9)
    one, two = [job.contract(1)], [job.contract(1), job.contract(2)]
    assert backfill._name(span, one) != backfill._name(span, two)
    assert backfill._name(span, one) != backfill._name(Span(1, 9), one)
