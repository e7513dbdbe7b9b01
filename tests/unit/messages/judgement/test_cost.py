"""What looking costs: statements by lanes and stages, never by messages, and each of them a range of an index."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import Connection, event

from seamark.messages.judgement import store
from seamark.messages.judgement.limits import default_limits
from seamark.messages.judgement.looking import AsOf, Memory, look, remember, study
from seamark.messages.judgement.model import JudgedLane, Waiting
from seamark.messages.protocol import Profile
from seamark.storage.database import open_database
from tests.unit.messages.history import BACK, GENESIS_TIME, OUT, A, B, committed, executed, final, sent
from tests.unit.messages.judgement.scene import Scene, settings

NOW = GENESIS_TIME + 36_000
Statements = list[tuple[str, Any]]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    database = await open_database("sqlite://")
    scene = Scene(database)
    await scene.begin()
    yield scene
    scene.world.close()
    await database.close()


async def fill(scene: Scene, count: int) -> None:
    """Messages in every stage, on two lanes, at many times; numbers from 1 on."""
    there, back, runs = [], [], []
    for part in range(1, count + 1, 5):
        numbers = range(part, part + 5)
        there.append(scene.block(A, part * 60, *(sent(number) for number in numbers)))
        back.append(scene.block(B, part * 60, *(sent(number, BACK) for number in numbers)))
        done = executed(part), executed(part + 1, callback=False), executed(part + 2, good=False)
        runs.append(scene.block(B, part * 60 + 36, committed(part, part + 3), *done))
    await scene.tell(A, *there, final(there[-1]))
    await scene.tell(B, *back, *runs)


async def recorded(scene: Scene, work: Callable[[Connection], Any]) -> tuple[Statements, Any]:
    """What a piece of work asks, and the result."""

    def record(connection: Connection) -> tuple[Statements, Any]:
        asked: Statements = []

        def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: Any) -> None:
            asked.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", note)
        try:
            return asked, work(connection)
        finally:
            event.remove(connection, "before_cursor_execute", note)

    return await scene.database.read(record)


async def plans(scene: Scene, statements: Statements) -> list[str]:
    def explain(connection: Connection) -> list[str]:
        return [
            f"{row[3]} -- {statement}"
            for statement, parameters in statements
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]

    return await scene.database.read(explain)


def memories(connection: Connection) -> dict[int, Memory]:
    return {lane.id: remember(lane, None, Profile(60.0), settings()) for lane in store.judged_lanes(connection, "ccip")}


def one_look(connection: Connection) -> Any:
    return look(connection, "ccip", memories(connection), AsOf(NOW), {})


def one_study(connection: Connection) -> Any:
    lane: JudgedLane = next(lane for lane in store.judged_lanes(connection, "ccip") if lane.key == OUT)
    memory = remember(lane, None, Profile(60.0), settings(silence="30m"))
    changed = settings(min_messages=1)
    return study(connection, memory, Profile(60.0), changed, AsOf(NOW), relearn=True, numbered=(lane.id,))


@pytest.mark.parametrize("work", [one_look, one_study])
async def test_every_statement_is_a_range_of_an_index(scene: Scene, work: Callable[[Connection], Any]) -> None:
    await fill(scene, 50)
    statements, _ = await recorded(scene, work)
    assert len(statements) >= 5
    for plan in await plans(scene, statements):
        step = plan.partition(" -- ")[0]
        assert not (step.startswith("SCAN message") and "message_tally" not in step and "lane" not in step), plan
        assert "TEMP B-TREE" not in step or "message_lane" in plan, plan


async def test_a_look_asks_the_same_of_few_and_of_many(scene: Scene) -> None:
    await fill(scene, 20)
    few, _ = await recorded(scene, one_look)
    await fill(scene, 120)
    many, found = await recorded(scene, one_look)
    assert len(many) == len(few)
    assert sum(waiting.count for lane in found for waiting in lane.waiting.values()) > 100


class TestCounting:
    """Which end of the index is counted from, and where counting stops."""

    async def lane(self, scene: Scene, count: int) -> Waiting:
        await scene.tell(A, *(scene.block(A, number * 12, sent(number)) for number in range(1, count + 1)))
        edges = await scene.database.read(lambda c: store.stage_edges(c, "ccip"))
        ((known,),) = (list(stages.values()) for stages in edges.values())
        return known

    @pytest.mark.parametrize(
        ("before", "most", "late", "exact"),
        [
            (0, 5, 0, True),  # none is late: the edges say so
            (999, 5, 20, True),  # all are
            (3, 5, 2, True),  # counted from the old end
            (18, 5, 17, True),  # counted from the new end
            (10, 5, 5, False),  # too many on both sides
            (10, 100, 9, True),
        ],
    )
    async def test_from_the_nearer_end(self, scene: Scene, before: int, most: int, late: int, exact: bool) -> None:
        known = await self.lane(scene, 20)
        bound = GENESIS_TIME + before * 12
        (lane,) = await scene.database.read(lambda c: store.judged_lanes(c, "ccip"))
        found = await scene.database.read(lambda c: store.count_late(c, lane.id, "sent", known, bound, most=most))
        assert (found.count, found.late, found.exact) == (20, late, exact)


def test_the_defaults_used_here_are_short() -> None:
    assert default_limits(60.0)[2].critical < 36_000
