"""The same ledger on PostgreSQL: every statement runs there too, and the outcome is the one of SQLite."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, select

from seamark.core.ids import ChainId
from seamark.evm.ports import Block, Finalized, LogEvent
from seamark.messages.model import Stage
from seamark.messages.store import (
    ChainView,
    MessageFilter,
    find_message,
    list_lanes,
    list_messages,
    read_chains,
    save_progress,
    tables,
)
from seamark.messages.tracker import apply, decode
from seamark.storage.database import Database, open_database
from seamark.storage.totals import read_totals
from tests.support.postgres import new_database
from tests.unit.messages.history import (
    OUT,
    A,
    B,
    FakeBatch,
    World,
    committed,
    executed,
    final,
    message_id,
    reorg,
    sent,
)

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(60)]


def script(world: World) -> list[tuple[ChainId, list[LogEvent]]]:
    """A life with everything: many messages, a wide commit, failure and success, a reorg with re-inclusion."""
    base, lost = world.block(A, 5), world.block(A, 6, [sent(40), sent(41, variant="x")], fork="lost")
    first = world.block(A, 1, [sent(number) for number in range(1, 31)])
    return [
        (B, [world.block(B, 3, [executed(7)])]),
        (A, [first, base, lost]),
        (A, [reorg(base, lost), world.block(A, 6, [sent(40)]), final(first)]),
        (B, [world.block(B, 4, [committed(1, 20), committed(21, 25)])]),
        (B, [world.block(B, 5, [executed(1), executed(2, good=False)]), world.block(B, 6, [executed(2)])]),
        (A, [final(world.block(A, 6, [sent(40)]))]),
    ]


async def tell(database: Database, world: World, chain: ChainId, events: list[LogEvent]) -> None:
    head = max((event.ref.number for event in events if isinstance(event, (Block, Finalized))), default=0)
    batch = FakeBatch(chain, events, head)

    def work(connection: Connection) -> None:
        view = next(item for item in read_chains(connection, "ccip") if item.chain_id == chain)
        apply(connection, decode(batch, world.protocol.watch(), view), world.protocol, now_ms=world.now_ms)

    await database.write(work)


def outcome(connection: Connection) -> dict[str, Any]:
    page = list_messages(connection, limit=500)
    filters = [
        MessageFilter(source="alpha", stage=[Stage.COMMITTED]),
        MessageFilter(id=message_id(OUT, 2)[:-2]),
        MessageFilter(sender="0x" + "5e" * 20, since=5),
        MessageFilter(tx=page.messages[0].sent_tx),
    ]
    paged, cursor = [], None
    while True:
        part = list_messages(connection, MessageFilter(destination="22"), limit=7, cursor=cursor)
        paged += part.messages
        if (cursor := part.next) is None:
            break
    return {
        "messages": {view.id: view for view in page.messages},
        "paged": sorted(view.id for view in paged),
        "filtered": [sorted(view.id for view in list_messages(connection, wanted).messages) for wanted in filters],
        "detail": find_message(connection, message_id(OUT, 2)),
        "lanes": list_lanes(connection),
        "totals": sorted((item.metric, str(item.labels), item.value) for item in read_totals(connection, "ccip_")),
        "tallies": sorted(tuple(row) for row in connection.execute(select(tables.tally))),
        "chains": read_chains(connection),
    }


async def run(url: str) -> dict[str, Any]:
    world = World()
    database = await open_database(url)
    try:
        for role in world.protocol.chains:
            first = ChainView("ccip", role.chain_id, 0, -1, -1, 0, 0)
            await database.write(lambda connection, first=first: save_progress(connection, first))  # type: ignore[misc]
        for chain, events in script(world):
            for _ in range(2):  # each batch comes twice
                await tell(database, world, chain, events)
        return await database.read(outcome)
    finally:
        world.close()
        await database.close()


async def test_both_engines_agree() -> None:
    async with new_database() as url:
        on_postgres = await run(url)
    on_sqlite = await run("sqlite://")
    for part, value in on_sqlite.items():
        assert on_postgres[part] == value, part
    assert on_sqlite["messages"][message_id(OUT, 2)].stage == "recovered"


async def test_trackers_of_two_chains_take_turns() -> None:
    """Sends, finality, commits and executions of the same messages at the same time: nothing is lost or undone."""
    world, count = World(), 25
    async with new_database() as url:
        database = await open_database(url)
        for role in world.protocol.chains:
            first = ChainView("ccip", role.chain_id, 0, -1, -1, 0, 0)
            await database.write(lambda connection, first=first: save_progress(connection, first))  # type: ignore[misc]

        async def source() -> None:
            for number in range(1, count + 1):
                block = world.block(A, number, [sent(number)])
                await tell(database, world, A, [block])
                await tell(database, world, A, [final(block)])

        async def destination() -> None:
            for number in range(1, count + 1):
                await tell(database, world, B, [world.block(B, number, [committed(number, number), executed(number)])])

        try:
            await asyncio.gather(source(), destination())
            page = await database.read(lambda connection: list_messages(connection, limit=500))
            lanes = await database.read(list_lanes)
        finally:
            await database.close()
            world.close()
    assert len(page.messages) == count
    assert {(view.stage, view.finalized, view.committed_time is not None) for view in page.messages} == {
        ("executed", True, True)
    }
    assert [(lane.total, lane.stages) for lane in lanes] == [(count, {"executed": count})]
