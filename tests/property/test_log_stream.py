"""Whatever chain, nodes and consumer do, the consumer ends with exactly the canonical chain's logs, each once.

A history is a list of steps: blocks, reorgs of any depth above finality, rollbacks, finality, nodes that answer from
the past or from dead forks, logs left out, failures, a consumer that dies before or after its commit, a filter that
grows. The steps happen while the stream sleeps and, some of them, between two requests of one poll.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from seamark.core.errors import TemporaryError
from seamark.evm.logs import LogStream, SilentObserver, StreamSettings
from seamark.evm.ports import Finalized, Reorg
from seamark.evm.types import LogFilter
from seamark.storage.database import Database, open_database
from tests.support.fake_chain import Event, FakeChain, FakeReader, View, address, topic
from tests.support.log_consumer import Crash, LogTable, seen
from tests.support.script_clock import Idle, ScriptClock

DEPTH = 5  # blocks to finality where the node has no tag
OLD_VIEWS = 6
WANTED = LogFilter((address(1),), (topic(1),))

events = st.builds(Event, address=st.integers(1, 3), topic=st.integers(1, 3))
blocks = st.lists(st.lists(events, max_size=3), min_size=1, max_size=6)

steps = st.one_of(
    st.tuples(st.just("mine"), blocks),
    st.tuples(st.just("mine_many"), st.integers(10, 60)),
    st.tuples(st.just("reorg"), st.integers(1, 12), blocks),
    st.tuples(st.just("rollback"), st.integers(1, 6)),
    st.tuples(st.just("finalize"), st.integers(0, 10)),
    st.tuples(st.just("nodes"), st.sampled_from(["honest", "late", "mixed"])),
    st.tuples(st.just("omit"), st.integers(0, 8), st.integers(1, 5)),
    st.tuples(st.just("fail"), st.integers(1, 4)),
    st.tuples(st.just("crash"), st.sampled_from(["before", "after"])),
    st.tuples(st.just("surprise"), st.integers(1, 6), blocks),
    st.tuples(st.just("grow"), st.sampled_from(["extend", "restart"])),
    st.tuples(st.just("restart")),
)


_histories = count()


class Restart(Exception):
    """The process is stopped while the stream waits."""


@dataclass
class History:
    """Plays the steps against one stream."""

    database: Database
    has_tag: bool
    chance: random.Random
    options: dict[str, int]
    crashes: list[str] = field(default_factory=list)
    wanted: LogFilter = WANTED
    surprise: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chain = FakeChain(log_timestamps=self.chance.random() < 0.5, blooms=self.chance.random() < 0.7)
        self.reader = FakeReader(self.chain, has_tag=self.has_tag)
        self.reader.on_logs = self.between_requests
        self.table = LogTable(self.database)
        self.table.crash = lambda: self.crashes.pop() if self.crashes else None
        self.name = f"stream {next(_histories)}"
        self.stream = self.new_stream(ScriptClock())

    def new_stream(self, clock: ScriptClock) -> LogStream:
        return LogStream(
            self.name,
            reader=self.reader,
            database=self.database,
            wanted=self.wanted,
            settings=replace(StreamSettings(finality_depth=DEPTH, kept_finalized=3), **self.options),  # type: ignore[arg-type]
            clock=clock,
            observer=SilentObserver(),
        )

    # ---- steps ------------------------------------------------------------------------------------------------------

    def play(self, step: tuple[object, ...]) -> None:
        name, *arguments = step
        getattr(self, f"do_{name}")(*arguments)
        self.keep_depth()

    def keep_depth(self) -> None:
        """Without a tag, no reorg goes deeper than the depth that counts as final."""
        if not self.has_tag:
            self.chain.finalize(DEPTH)

    def do_mine(self, new: list[list[Event]]) -> None:
        self.chain.mine(*new)

    def do_mine_many(self, count: int) -> None:
        self.chain.mine(*[[Event()] if self.chance.random() < 0.3 else [] for _ in range(count)])

    def do_reorg(self, depth: int, new: list[list[Event]]) -> None:
        self.chain.reorg(min(depth, self.room), *new)

    def do_rollback(self, depth: int) -> None:
        self.chain.rollback(min(depth, self.room))

    def do_finalize(self, behind: int) -> None:
        if self.has_tag:
            self.chain.finalize(behind)

    def do_nodes(self, kind: str) -> None:
        def late() -> View:
            return self.chance.choice(self.chain.past[-OLD_VIEWS:] or [self.chain.view])

        def mixed() -> View:
            return self.chain.view if self.chance.random() < 0.6 else late()

        self.reader.look = {"honest": lambda: self.chain.view, "late": late, "mixed": mixed}[kind]

    def do_omit(self, below_head: int, times: int) -> None:
        block = self.chain.path[max(0, self.chain.head - below_head)]
        self.reader.omit[block.header.hash] = times

    def do_fail(self, times: int) -> None:
        self.reader.failures.extend(TemporaryError("no answer") for _ in range(times))

    def do_crash(self, when: str) -> None:
        self.crashes.append(when)

    def do_surprise(self, depth: int, new: list[list[Event]]) -> None:
        self.surprise.append(lambda: self.do_reorg(depth, new))

    def do_grow(self, how: str) -> None:
        more = LogFilter((address(2),), (topic(1), topic(2))) if address(2) not in self.wanted.addresses else None
        more = more or LogFilter((address(3),), (topic(3),))
        addresses = tuple(dict.fromkeys(self.wanted.addresses + more.addresses))
        self.wanted = LogFilter(addresses, tuple(dict.fromkeys(self.wanted.topics + more.topics)))
        if how == "restart":
            raise Restart
        self.stream.extend(more, 0)

    def do_restart(self) -> None:
        raise Restart

    @property
    def room(self) -> int:
        return max(0, self.chain.head - (self.chain.finalized or 0))

    def between_requests(self, _first: int, _last: int) -> None:
        if self.surprise:
            self.surprise.pop()()
            self.keep_depth()
        # A node may lose what is fresh; history without headers can only be believed.
        for block in self.chain.path[: (self.chain.finalized or 0) + 1]:
            self.reader.omit.pop(block.header.hash, None)

    # ---- the run ----------------------------------------------------------------------------------------------------

    async def run(self, script: list[tuple[object, ...]]) -> None:
        clock = ScriptClock(*[lambda step=step: self.play(step) for step in script])
        while not await self.live(clock):
            pass
        self.do_nodes("honest")
        self.reader.failures.clear()
        self.reader.omit.clear()
        self.surprise.clear()
        told = max((block.ref.number for block in self.table.blocks), default=0)
        self.chain.mine(*[[Event()]] * max(1, told - self.chain.head + 1))
        final = ScriptClock(lambda: None, self.settle)
        while not await self.live(final):
            pass

    def settle(self) -> None:
        if self.has_tag:
            self.chain.finalize(0)
        else:
            self.chain.empty(DEPTH)
            self.chain.finalize(DEPTH)

    async def live(self, clock: ScriptClock) -> bool:
        """One process; True once there is nothing left to do."""
        self.stream = self.new_stream(clock)
        with suppress(Crash, Restart):
            try:
                await self.table.run(self.stream, until=lambda: False)
            except Idle:
                return True
        return False

    async def check(self) -> None:
        truth = [(log.block_hash, log.log_index) for log in self.chain.logs(self.wanted)]
        assert await self.table.rows() == truth
        final = -1
        for event in self.table.events:
            if isinstance(event, Finalized):
                assert event.ref.number >= final, "finality went back"
                assert self.chain.path[event.ref.number].header.hash == event.ref.hash, "an orphaned block was final"
                final = event.ref.number
            elif isinstance(event, Reorg):
                assert event.ancestor.number >= final, "a final block was retracted"
                numbers = [ref.number for ref in event.orphaned]
                assert numbers == list(range(event.ancestor.number + len(numbers), event.ancestor.number, -1))
        assert final == self.chain.finalized

    async def play_all(self, script: list[tuple[object, ...]]) -> None:
        await self.database.write(lambda connection: connection.execute(seen.delete()))
        await self.run(script)
        await self.check()


_database: list[Database] = []


async def database() -> Database:
    """One for all examples: every history has its own stream, and empties the consumer's table."""
    if not _database:
        _database.append(await open_database("sqlite://"))
        await LogTable(_database[0]).create()
    return _database[0]


def teardown_module() -> None:
    for opened in _database:
        asyncio.run(opened.close())
    _database.clear()


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    script=st.lists(steps, max_size=30),
    has_tag=st.booleans(),
    seed=st.integers(0, 2**32),
    options=st.fixed_dictionaries(
        {
            "head_range": st.sampled_from([1, 4, 100]),
            "max_range": st.sampled_from([1, 7, 1000]),
            "max_batch_logs": st.sampled_from([1, 3, 1000]),
            "suspect_tries": st.integers(0, 2),
            "start_block": st.sampled_from([0, 0, 1]),
        }
    ),
)
def test_the_consumer_converges_to_the_canonical_chain(
    script: list[tuple[object, ...]], has_tag: bool, seed: int, options: dict[str, int]
) -> None:
    async def play() -> None:
        history = History(await database(), has_tag, random.Random(seed), options)
        await history.play_all(script)
        note(f"{len(history.table.batches)} batches")

    asyncio.run(play())
