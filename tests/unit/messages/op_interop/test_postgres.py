"""The same jobs on PostgreSQL: every statement runs there too, also from several chains at once."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from seamark.core.ids import ChainId
from seamark.messages.protocols.op_interop import Network
from seamark.messages.protocols.op_interop.model import Level, Status, Verdict
from seamark.messages.protocols.op_interop.recording import Recorded
from seamark.messages.protocols.op_interop.settings import InteropSettings
from seamark.messages.protocols.op_interop.store import (
    Decision,
    JobBook,
    JobFilter,
    close_incident,
    history,
    list_incidents,
    list_jobs,
    page_jobs,
    ranges,
    read_due,
    read_tallies,
    save_call,
)
from seamark.messages.protocols.op_interop.watch import present_findings
from seamark.storage.database import Database, open_database
from tests.support.interop import Batch, FakeL2, executing, initiating, malformed
from tests.support.postgres import new_database

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(60)]

NETWORK = Network(frozenset({901, 902, 903}))


async def save(database: Database, chain: FakeL2) -> None:
    batch = Batch(chain.chain_id, list(chain.blocks), len(chain.blocks) - 1)
    await database.write(Recorded(batch, NETWORK, 1_000).save)


async def decide(database: Database, status: Status) -> int:
    due = await database.read(lambda c: read_due(c, [901], others=False, limit=100))
    decisions = [
        Decision(key=item.key, touches=item.touches, verdict=Verdict(status, block_hash="0x01"), declared=True)
        for item in due
    ]

    def work(connection: Connection) -> None:
        book = JobBook(connection, NETWORK, now_ms=2_000)
        book.decide(decisions)
        book.close()

    await database.write(work)
    return len(due)


async def raise_level(database: Database, chain_id: int, level: Level, number: int) -> None:
    def work(connection: Connection) -> None:
        book = JobBook(connection, NETWORK, now_ms=3_000)
        book.raise_level(ChainId(chain_id), level, number)
        book.close()

    await database.write(work)


async def test_a_life_from_first_sight_to_the_end() -> None:
    async with new_database() as url:
        database = await open_database(url)
        source, target = FakeL2(901), FakeL2(902)
        log = source.mine(initiating())
        target.mine(executing(log), executing(log, chain_id=10**40), malformed())
        await save(database, source)
        await save(database, target)
        await save(database, target)
        assert await decide(database, Status.INVALID) == 1
        for chain_id in (901, 902):
            await raise_level(database, chain_id, Level.SAFE, 1)
            await raise_level(database, chain_id, Level.FINALIZED, 1)
        assert await decide(database, Status.VALID) == 1

        def read(connection: Connection) -> dict[str, Any]:
            jobs = list_jobs(connection)
            return {
                "verdicts": sorted(item.status.value for item in jobs),
                "steps": [[step.step for step in history(connection, item.key)] for item in jobs],
                "tallies": {(row.init_chain, row.kind): row.jobs for row in read_tallies(connection) if row.jobs},
                "ranges": ranges(connection, [901, 902]).executing,
                "findings": {
                    item.kind for item in present_findings(connection, NETWORK, InteropSettings(), now=10_000)
                },
                "incidents": [item.jobs for item in list_incidents(connection)],
            }

        found = await database.read(read)
        assert found["verdicts"] == ["invalid", "valid"]
        assert sorted(found["steps"]) == [["invalid"], ["invalid", "valid"]]
        assert found["tallies"] == {("unknown", "invalid"): 1}
        assert found["ranges"] == {902: (1, 1)}, "the one that was decided without a look is still to be settled"
        assert {"interop_unknown_chain", "interop_malformed"} <= found["findings"]
        assert found["incidents"] == [2]

        await database.write(lambda c: save_call(c, 1, "a:1", now_ms=5))
        closed = await database.write(lambda c: close_incident(c, "ada", "over", now_ms=6))
        assert closed is not None
        assert closed.calls == {"a:1": 5}
        await database.close()


async def test_chains_that_touch_the_same_jobs_at_once() -> None:
    async with new_database() as url:
        database = await open_database(url)
        chains = [FakeL2(chain_id) for chain_id in (901, 902, 903)]
        logs = [chains[0].mine(initiating(bytes([number]))) for number in range(10)]
        for chain in chains[1:]:
            chain.mine(count=12)
            chain.mine(*[executing(log) for log in logs])
        await asyncio.gather(*(save(database, chain) for chain in chains))
        await asyncio.gather(
            decide(database, Status.VALID),
            *(raise_level(database, chain_id, Level.SAFE, 5) for chain_id in (901, 902, 903)),
            *(raise_level(database, chain_id, Level.FINALIZED, 13) for chain_id in (902, 903)),
        )
        await decide(database, Status.VALID)
        jobs = await database.read(lambda c: list_jobs(c, limit=100))
        tallies = await database.read(read_tallies)
        assert {item.status for item in jobs} == {Status.VALID}
        assert {item.exec_level for item in jobs} == {Level.FINALIZED}
        assert sum(row.jobs for row in tallies) == len(jobs) == 20
        await database.close()


async def test_pages_hold_each_message_once() -> None:
    """Also where the database sorts text otherwise than Python does."""
    async with new_database() as url:
        database = await open_database(url)
        source, targets = FakeL2(901), [FakeL2(902), FakeL2(903)]
        log = source.mine(initiating())
        for target in targets:
            target.mine(*[executing(log) for _ in range(12)])
            target.mine(executing(log, chain_id=10**40))
            await save(database, target)
        found, cursor = [], None
        while True:
            page = await database.read(partial(page_jobs, wanted=JobFilter(), limit=5, cursor=cursor))
            found += [item.key for item in page.jobs]
            cursor = page.next
            if cursor is None:
                break
        jobs = await database.read(lambda c: list_jobs(c, limit=100))
        assert len(found) == len(set(found)) == 26
        assert set(found) == {item.key for item in jobs}
        wanted = JobFilter(statuses=(Status.INVALID,), exec_chain=903, init_chain=10**40)
        page = await database.read(partial(page_jobs, wanted=wanted, limit=5))
        assert [item.message.chain_id for item in page.jobs] == [903]
        await database.close()
