"""Retention: what is over, old and final goes, whole and a little at a time; everything else stays, and counts hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from seamark.app.retention import RetentionService
from seamark.evm.transactions.retention import trim_transactions
from seamark.messages.model import Stage
from seamark.messages.protocols.op_interop.store.retention import trim_jobs
from seamark.messages.store import MessageFilter, list_lanes, list_messages, tables
from seamark.messages.store.retention import NEAR, trim_lane, trimmed_lanes
from seamark.runtime.settings import validate_settings
from seamark.settings import Settings
from seamark.storage.database import Database, open_database
from seamark.storage.totals import read_totals
from tests.unit.messages.history import GENESIS_TIME, A, B, committed, executed, final, sent
from tests.unit.messages.judgement.scene import Scene
from tests.unit.storage.conftest import make_url

DAY = 86_400
OLD = 400 * DAY


@pytest.fixture(params=["memory", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.timeout(60)])])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    async for url in make_url(request.param, tmp_path):
        database = await open_database(url)
        made = Scene(database)
        await made.begin()
        yield made
        made.world.close()
        await database.close()


async def deliver(
    scene: Scene, first: int, last: int, at: int = 0, *, failing: int = 0, last_final: bool = True
) -> None:
    """Messages first..last in one block, delivered a minute later; `failing` is one that is not."""
    numbers = range(first, last + 1)
    out = scene.block(A, at, *(sent(number) for number in numbers))
    await scene.tell(A, out, final(out))
    back = scene.block(
        B, at + 60, committed(first, last), *(executed(number) for number in numbers if number != failing)
    )
    await scene.tell(B, back, *([final(back)] if last_final else []))


async def left(scene: Scene) -> list[int]:
    page = await scene.database.read(lambda c: list_messages(c, MessageFilter(), limit=1000))
    return sorted(view.sequence for view in page.messages)


async def rows(database: Database) -> dict[str, int]:
    def work(connection: Connection) -> dict[str, int]:
        named = {"message": tables.message, "sighting": tables.sighting, "transition": tables.transition}
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in named.items()
        }

    return await database.read(work)


async def trim(scene: Scene, *, age: int = OLD) -> int:
    """A round of the service, so long after the genesis."""
    scene.at(age + DAY)
    settings = validate_settings(Settings, {"retention": {"messages": "400d"}}).retention
    service = RetentionService(settings, database=scene.database, clock=scene.clock)
    return (await service.round())["messages"]


async def test_messages_that_are_over_and_old_go_with_all_that_told_of_them(scene: Scene) -> None:
    await deliver(scene, 1, 5)
    before = await scene.database.read(list_lanes)
    totals = await scene.database.read(lambda c: sorted(map(str, read_totals(c, "ccip_messages"))))
    assert await trim(scene) == 4
    assert await left(scene) == [5], "the newest of a lane stays: its number is the lane's place in the count"
    counts = await rows(scene.database)
    assert counts["message"] == 1
    assert counts["sighting"] == 2
    after = await scene.database.read(list_lanes)
    assert [(lane.stages, lane.total, lane.last_sent) for lane in after] == [
        (lane.stages, lane.total, lane.last_sent) for lane in before
    ], "a lane goes on counting what has left"
    assert await scene.database.read(lambda c: sorted(map(str, read_totals(c, "ccip_messages")))) == totals
    assert await trim(scene) == 0


async def test_what_is_young_stays(scene: Scene) -> None:
    await deliver(scene, 1, 3)
    await deliver(scene, 4, 6, at=300 * DAY)
    assert await trim(scene) == 3
    assert await left(scene) == [4, 5, 6]


async def test_what_is_not_over_stays_and_so_do_its_neighbours(scene: Scene) -> None:
    await deliver(scene, 1, 3)
    await deliver(scene, NEAR + 10, NEAR + 12, at=600, failing=NEAR + 11)
    assert await trim(scene) == 3
    assert await left(scene) == [NEAR + 10, NEAR + 11, NEAR + 12], "a delivery by hand needs all of its commit"


async def test_what_a_young_block_tells_of_stays_until_it_is_final(scene: Scene) -> None:
    await deliver(scene, 1, 3, last_final=False)
    assert await trim(scene) == 0
    later = scene.block(B, 700)
    await scene.tell(B, later, final(later))
    assert await trim(scene) == 2


async def test_a_round_goes_on_in_small_units_and_passes_what_stays(scene: Scene) -> None:
    await deliver(scene, 1, 9)
    ((lane_id, protocol),) = await scene.database.read(trimmed_lanes)
    after: tuple[int, int] | None = None
    deleted = units = 0
    while True:
        unit = partial(
            trim_lane,
            lane_id=lane_id,
            protocol=protocol,
            stage=Stage.EXECUTED,
            before=GENESIS_TIME + DAY,
            after=after,
            limit=2,
        )
        found = await scene.database.write(unit)
        deleted, units, after = deleted + found.deleted, units + 1, found.next
        if after is None:
            break
    assert (deleted, units) == (8, 5)


async def test_only_stages_in_which_a_message_is_over() -> None:
    with pytest.raises(ValueError, match="not over"):
        trim_lane(None, 1, "ccip", Stage.FAILED, 0)  # type: ignore[arg-type]


async def test_later_messages_are_judged_without_a_gap(scene: Scene) -> None:
    await deliver(scene, 1, 5)
    await scene.look(120)
    assert await trim(scene) == 4
    await deliver(scene, 6, 8, at=OLD + 2 * DAY)
    assert "sequence_gap" not in await scene.look(OLD + 2 * DAY + 300)
    lanes = await scene.database.read(list_lanes)
    assert sum(lane.total for lane in lanes) == 8


async def test_both_engines_take_the_other_statements(scene: Scene) -> None:
    assert await scene.database.write(lambda c: trim_jobs(c, 10**15)) == 0
    assert await scene.database.write(lambda c: trim_transactions(c, 10**15)) == 0


def test_nothing_is_deleted_unless_asked_and_never_what_is_younger_than_a_week() -> None:
    assert not Settings().retention.anything
    with pytest.raises(Exception, match=r"retention\.messages"):
        validate_settings(Settings, {"retention": {"messages": "6d"}})
