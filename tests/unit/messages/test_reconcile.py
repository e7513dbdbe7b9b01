"""Logs that a node left out: found by counters, numbers and holes, read again, counted, told when nothing helps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import ChainId, Hash32
from seamark.evm.ports import Block
from seamark.evm.types import BlockHeader, Log, LogFilter
from seamark.messages.judgement.metrics import JudgeMetrics
from seamark.messages.model import Decoded, LaneKey
from seamark.messages.protocol import ChainRole, Counter, Watch
from seamark.messages.reconcile import LONGEST_PAUSE_S, Reconciler
from seamark.messages.store import MessageFilter, count_by_stage, list_messages
from seamark.storage.database import open_database
from seamark.storage.events import read_events
from tests.unit.messages.history import OUT, A, B, Told, committed, executed, final, hash32, reorg, sent
from tests.unit.messages.judgement.scene import JudgedProtocol, Scene

ROLE_A, ROLE_B = ChainRole(A, "alpha", 0), ChainRole(B, "beta", 0)
HOUR = 3600


@dataclass
class Counting(JudgedProtocol):
    """A protocol whose contracts can be asked; facts of a block are told where one of its logs is."""

    values: dict[ChainId, list[Counter]] = field(default_factory=dict)
    asked: int = 0

    async def counters(self, reader: Any, _contracts: Any) -> list[Counter]:
        self.asked += 1
        return self.values.get(reader.chain_id, [])

    def watch(self, *_: Any) -> Watch:
        def read(block: Block, _whole: bool) -> Decoded:
            return self._decode(block)

        return Watch(LogFilter((OUT.channel,), (hash32("topic"),)), read)  # type: ignore[arg-type]


@dataclass
class Node:
    """A chain's truth, and what it hides. Blocks are those that a scene has made."""

    chain_id: ChainId
    blocks: dict[int, Block] = field(default_factory=dict)
    hides: set[int] = field(default_factory=set)
    head: int = 0
    reads: list[tuple[int, int]] = field(default_factory=list)
    broken: bool = False

    def add(self, block: Block) -> Block:
        self.blocks[block.ref.number] = block
        self.head = max(self.head, block.ref.number)
        return block

    async def header(self, _block: Any) -> BlockHeader | None:
        if self.broken:
            raise TemporaryError("no answer")
        return BlockHeader(self.head, hash32(str(self.head)), hash32("parent"), 0)

    async def headers(self, numbers: Sequence[int]) -> list[BlockHeader | None]:
        refs = [self.blocks[number].ref for number in numbers]
        return [BlockHeader(ref.number, ref.hash, ref.parent_hash, ref.timestamp) for ref in refs]

    async def logs(self, _wanted: Any, first: int, last: int, *, end: Hash32 | None = None) -> list[Log]:
        self.reads.append((first, last))
        return [
            Log(OUT.channel, (hash32("topic"),), "0x", number, block.ref.hash, hash32("tx"), 0)  # type: ignore[arg-type]
            for number, block in sorted(self.blocks.items())
            if first <= number <= last and number not in self.hides
        ]


class Desk:
    """A scene with nodes behind its chains."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.protocol: Counting = scene.protocol  # type: ignore[assignment]
        self.nodes = {A: Node(A), B: Node(B)}
        self.witness: Node | None = None
        self.registry = CollectorRegistry()
        self.metrics = JudgeMetrics("ccip", self.registry)
        self.reconciler = self.new()

    def new(self) -> Reconciler:
        return Reconciler(
            self.protocol,
            readers=self.nodes,  # type: ignore[arg-type]
            database=self.scene.database,
            settings=self.scene.settings,
            metrics=self.metrics,
            messages=self.scene.messages,
            clock=self.scene.clock,
            witnesses={A: self.witness, B: None},
        )

    async def happens(self, chain: ChainId, second: int, *facts: Told, seen: bool = True) -> Block:
        """A block on chain, final at once; not `seen` is what a node has left out of its answers."""
        block = self.nodes[chain].add(self.scene.block(chain, second, *facts))
        if seen:
            await self.scene.tell(chain, block, final(block))
        return block

    async def goes_on(self, chain: ChainId, second: int) -> None:
        """An empty block is read and final."""
        await self.happens(chain, second)

    def counted(self, chain: ChainId, kind: str, value: int, lane: LaneKey = OUT) -> None:
        self.protocol.values[chain] = [Counter(lane, kind, value)]  # type: ignore[arg-type]

    async def check(self, role: ChainRole, *, times: int = 1) -> None:
        for _ in range(times):
            await self.reconciler.check(role)

    async def stages(self) -> dict[str, int]:
        return await self.scene.database.read(count_by_stage)

    def value(self, name: str) -> float:
        return self.registry.get_sample_value(name, {"chain": "alpha"}) or 0


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    database = await open_database("sqlite://")
    scene = Scene(database, protocol=Counting())
    await scene.begin()
    yield Desk(scene)
    scene.world.close()
    await database.close()


class TestSent:
    async def lost(self, desk: Desk) -> None:
        """Number 1 was seen, 2 and 3 were not, the chain went on."""
        await desk.happens(A, 12, sent(1))
        await desk.happens(A, 24, sent(2), sent(3), seen=False)
        desk.counted(A, "sent", 3)
        await desk.goes_on(A, 36)

    async def test_found_by_the_counter_and_read_again(self, desk: Desk) -> None:
        await self.lost(desk)
        await desk.check(ROLE_A)
        assert await desk.stages() == {"finalized": 1}, "once may be a filter that is still being extended"
        assert desk.value("ccip_log_gap_detected_total") == 0
        await desk.check(ROLE_A)
        assert await desk.stages() == {"finalized": 3}
        assert desk.nodes[A].reads == [(1, 3)], "from the last known send to the counter's block"
        assert desk.value("ccip_log_gap_detected_total") == 2
        assert desk.value("ccip_log_gap_healed_total") == 2
        assert desk.reconciler.gaps() == ()
        totals = {sample.name: sample.value for family in desk.scene.messages.collect() for sample in family.samples}
        assert totals["ccip_messages_sent_total"] == 2, "the metrics follow what is healed"
        events = await desk.scene.database.read(lambda c: read_events(c, 0, topics=["message.sent"]))
        assert len(events) == 3

    async def test_healing_twice_changes_nothing(self, desk: Desk) -> None:
        await self.lost(desk)
        await desk.check(ROLE_A, times=2)
        before = await desk.scene.database.read(lambda c: list_messages(c, MessageFilter()).messages)
        desk.reconciler = desk.new()
        await desk.check(ROLE_A, times=5)
        assert await desk.scene.database.read(lambda c: list_messages(c, MessageFilter()).messages) == before
        assert len(desk.nodes[A].reads) == 1

    async def test_what_the_stream_finds_by_itself_is_no_gap(self, desk: Desk) -> None:
        await desk.happens(A, 12, sent(1))
        late = await desk.happens(A, 24, sent(2), seen=False)
        desk.counted(A, "sent", 2)
        await desk.goes_on(A, 36)
        await desk.check(ROLE_A)
        await desk.scene.tell(A, late, final(late))
        await desk.check(ROLE_A, times=3)
        assert desk.nodes[A].reads == []
        assert desk.value("ccip_log_gap_detected_total") == 0

    async def test_the_ledger_may_be_behind_the_counter(self, desk: Desk) -> None:
        await desk.happens(A, 12, sent(1))
        desk.nodes[A].add(desk.scene.block(A, 24, sent(2)))
        desk.counted(A, "sent", 2)
        await desk.check(ROLE_A, times=5)
        assert desk.nodes[A].reads == [], "block 2 was not read yet"
        assert desk.protocol.asked == 1, "the same reading waits for the ledger"

    async def test_what_nobody_shows_is_a_finding_tried_again_after_growing_pauses(self, desk: Desk) -> None:
        await self.lost(desk)
        desk.nodes[A].hides = {2}
        await desk.check(ROLE_A, times=2)
        (gap,) = desk.reconciler.gaps()
        assert (gap.kind, gap.first, gap.last, gap.chain, gap.tries) == ("sent", 2, 3, "alpha", 1)
        desk.scene.judge = desk.scene.new_judge(gaps=desk.reconciler.gaps)
        assert "log_gap" in await desk.scene.look(60)
        await desk.check(ROLE_A, times=3)
        assert len(desk.nodes[A].reads) == 1, "not at once"
        for tries in range(2, 8):
            desk.scene.clock.advance(LONGEST_PAUSE_S)
            await desk.check(ROLE_A)
            assert len(desk.nodes[A].reads) == tries
        assert desk.value("ccip_log_gap_detected_total") == 2, "counted once"
        desk.nodes[A].hides = set()
        desk.scene.clock.advance(LONGEST_PAUSE_S)
        await desk.check(ROLE_A)
        assert desk.reconciler.gaps() == ()
        assert "log_gap" not in await desk.scene.look()
        assert desk.value("ccip_log_gap_healed_total") == 2

    async def test_another_endpoint_is_asked(self, desk: Desk) -> None:
        await self.lost(desk)
        desk.witness = Node(A, blocks=dict(desk.nodes[A].blocks))
        desk.nodes[A].hides = {2}
        desk.reconciler = desk.new()
        await desk.check(ROLE_A, times=2)
        assert await desk.stages() == {"finalized": 3}

    async def test_another_chains_block_is_refused(self, desk: Desk) -> None:
        await self.lost(desk)
        desk.witness = Node(A)
        desk.witness.add(desk.scene.block(A, 24, sent(2, variant="forged"), fork="other"))
        desk.nodes[A].hides = {2}
        desk.reconciler = desk.new()
        await desk.check(ROLE_A)
        with pytest.raises(TemporaryError, match="differs"):
            await desk.check(ROLE_A)
        assert await desk.stages() == {"finalized": 1}

    async def test_a_part_that_is_found_is_counted(self, desk: Desk) -> None:
        await desk.happens(A, 12, sent(1))
        await desk.happens(A, 24, sent(2), seen=False)
        await desk.happens(A, 36, sent(3), seen=False)
        desk.counted(A, "sent", 3)
        await desk.goes_on(A, 48)
        desk.nodes[A].hides = {3}
        await desk.check(ROLE_A, times=2)
        assert desk.value("ccip_log_gap_detected_total") == 2
        assert desk.value("ccip_log_gap_healed_total") == 1
        assert len(desk.reconciler.gaps()) == 1
        await desk.check(ROLE_A, times=2)
        assert desk.value("ccip_log_gap_detected_total") == 2

    async def test_what_was_before_the_monitor_is_not_missing(self, desk: Desk) -> None:
        desk.counted(A, "sent", 41)
        await desk.goes_on(A, 12)
        await desk.check(ROLE_A, times=3)
        assert desk.nodes[A].reads == []
        await desk.happens(A, 24, sent(42), seen=False)
        desk.counted(A, "sent", 42)
        await desk.goes_on(A, 36)
        await desk.check(ROLE_A, times=3)
        assert await desk.stages() == {"finalized": 1}
        assert desk.value("ccip_log_gap_detected_total") == 1

    async def test_a_hole_between_sends_is_read_where_it_is(self, desk: Desk) -> None:
        await desk.happens(A, 12, sent(1))
        await desk.happens(A, 24, sent(2), seen=False)
        await desk.happens(A, 36, sent(3))
        await desk.happens(A, 48, sent(4))
        found = await desk.scene.look(60)
        assert "sequence_gap" in found
        await desk.check(ROLE_A, times=2)
        assert desk.nodes[A].reads == [(1, 3)]
        assert await desk.stages() == {"finalized": 4}
        assert "sequence_gap" not in await desk.scene.look(60 + 60)
        assert desk.value("ccip_log_gap_healed_total") == 1

    async def test_a_counter_over_all_destinations(self, desk: Desk) -> None:
        away = OUT._replace(destination="99")
        desk.protocol.numbering = "source"  # type: ignore[attr-defined]
        desk.reconciler = desk.new()
        await desk.happens(A, 12, sent(1), sent(2, away))
        await desk.happens(A, 24, sent(3, away), seen=False)
        desk.counted(A, "sent", 3, OUT._replace(destination=""))
        await desk.goes_on(A, 36)
        await desk.check(ROLE_A, times=2)
        assert await desk.stages() == {"finalized": 3}


class TestCommitted:
    async def test_a_commit_that_lacks_at_the_end(self, desk: Desk) -> None:
        await desk.happens(A, 0, sent(1), sent(2), sent(3))
        await desk.happens(B, 12, committed(1, 1))
        await desk.happens(B, 24, committed(2, 3), seen=False)
        desk.counted(B, "committed", 3)
        await desk.goes_on(B, 36)
        await desk.check(ROLE_B, times=2)
        assert await desk.stages() == {"committed": 3}
        assert desk.registry.get_sample_value("ccip_log_gap_healed_total", {"chain": "beta"}) == 2

    async def test_a_commit_that_lacks_in_between(self, desk: Desk) -> None:
        await desk.happens(A, 0, sent(1), sent(2), sent(3))
        await desk.happens(B, 12, committed(1, 1))
        await desk.happens(B, 24, committed(2, 2), seen=False)
        await desk.happens(B, 36, committed(3, 3))
        await desk.check(ROLE_B, times=2)
        assert await desk.stages() == {"committed": 3}
        assert desk.nodes[B].reads == [(1, 3)]

    async def test_numbers_that_wait_at_the_end_are_no_hole(self, desk: Desk) -> None:
        await desk.happens(A, 0, sent(1), sent(2))
        await desk.happens(B, 12, committed(1, 1))
        await desk.check(ROLE_B, times=3)
        assert desk.nodes[B].reads == []

    async def test_an_execution_does_not_hide_a_commit(self, desk: Desk) -> None:
        await desk.happens(A, 0, sent(1))
        await desk.happens(B, 12, committed(1, 1), seen=False)
        desk.counted(B, "committed", 1)
        await desk.happens(B, 24, executed(1))
        await desk.check(ROLE_B, times=2)
        assert await desk.stages() == {"executed": 1}


class TestAround:
    async def test_nothing_before_the_tracker_began(self, desk: Desk) -> None:
        database = await open_database("sqlite://")
        desk.scene.database = database
        desk.reconciler = desk.new()
        await desk.check(ROLE_A)
        assert desk.protocol.asked == 0
        await database.close()

    async def test_blocks_that_are_not_final_are_left_to_the_stream(self, desk: Desk) -> None:
        base = await desk.happens(A, 0, sent(1))
        lost = desk.scene.block(A, 12, sent(2), fork="x")
        await desk.scene.tell(A, lost)
        await desk.scene.tell(A, reorg(base, lost))
        await desk.check(ROLE_A, times=3)
        assert desk.nodes[A].reads == []

    async def test_a_chain_that_does_not_answer_is_asked_again(self, desk: Desk) -> None:
        await desk.happens(A, 12, sent(1))
        desk.nodes[A].broken = True
        with pytest.raises(TemporaryError):
            await desk.check(ROLE_A)
        desk.nodes[A].broken = False
        await desk.check(ROLE_A)
        assert (await desk.reconciler.health()).status == "ok"

    async def test_a_contract_that_refuses_stops_no_other_chain(self, desk: Desk) -> None:
        asked, both = [], asyncio.Event()

        async def check(role: ChainRole) -> None:
            asked.append(role.name)
            if role.name == "alpha":
                raise RejectedError("execution reverted")
            both.set()

        desk.reconciler.check = check  # type: ignore[method-assign]
        running = asyncio.create_task(desk.reconciler.run())
        async with asyncio.timeout(5):
            await both.wait()
        running.cancel()
        assert asked == ["alpha", "beta"]
        assert "alpha: execution reverted" in (await desk.reconciler.health()).detail

    async def test_counts_survive_a_restart(self, desk: Desk) -> None:
        await TestSent().lost(desk)
        await desk.check(ROLE_A, times=2)
        fresh = Desk(desk.scene)
        await fresh.reconciler.load()
        assert fresh.value("ccip_log_gap_detected_total") == 2
        assert fresh.value("ccip_log_gap_healed_total") == 2
