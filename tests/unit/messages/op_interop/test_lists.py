"""Pages of executing messages: newest first, whole, each message once."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from seamark.core.errors import RejectedError
from seamark.messages.protocols.op_interop.model import BAD, Status
from seamark.messages.protocols.op_interop.store import Job, JobFilter, list_jobs, page_jobs
from tests.support.interop import Bed, executing, initiating


async def filled() -> Bed:
    """Valid and invalid ones of two moments, on two chains, with one of an orphaned block."""
    bed = Bed(901, 902, 903)
    logs = [bed[901].mine(initiating(bytes([number]))) for number in range(3)]
    bed[902].mine(executing(logs[0]))
    await bed.follow()
    bed[902].rollback(1)
    for chain_id in (902, 903):
        for log in logs:
            bed[chain_id].mine(executing(log), executing(log, log_index=9), executing(log, chain_id=2**200))
    await bed.follow()
    await bed.clock.sleep(10)
    bed[903].mine(executing(logs[0]), executing(logs[1], timestamp=logs[1].time - 1))
    await bed.follow()
    return bed


def turn(bed: Bed, wanted: JobFilter, limit: int) -> list[Job]:
    """All pages."""
    found, cursor = [], None
    while True:
        page = page_jobs(bed.database.connection, wanted, limit=limit, cursor=cursor)
        assert len(page.jobs) == limit or page.next is None
        found += page.jobs
        cursor = page.next
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_pages_hold_each_message_once_and_newest_first(limit: int) -> None:
    bed = await filled()
    found = turn(bed, JobFilter(), limit)
    assert sorted(item.key for item in found) == sorted(item.key for item in list_jobs(bed.database.connection))
    assert len(found) == 20
    assert [item.seen_ms for item in found] == sorted((item.seen_ms for item in found), reverse=True)


async def test_filters_say_the_same_as_a_look_at_all() -> None:
    bed = await filled()
    jobs = bed.jobs()
    wanted = JobFilter(statuses=tuple(BAD), exec_chain=903, init_chain=901)
    expected = {
        item.key
        for item in jobs
        if item.status in BAD and item.message.chain_id == 903 and item.message.identifier.chain_id == 901
    }
    assert {item.key for item in turn(bed, wanted, 2)} == expected
    assert len(expected) == 4
    assert len(turn(bed, JobFilter(init_chain=2**200), 2)) == 6
    assert len(turn(bed, JobFilter(statuses=(Status.VALID, Status.VALID)), 2)) == 7, "named twice, shown once"
    assert turn(bed, JobFilter(exec_chain=2**255), 2) == []


async def test_those_that_left_the_chain_are_shown_alone() -> None:
    bed = await filled()
    (item,) = turn(bed, JobFilter(retracted=True), 5)
    assert item.retracted


async def test_what_arrives_meanwhile_moves_nothing() -> None:
    bed = await filled()
    whole = turn(bed, JobFilter(), 100)
    first = page_jobs(bed.database.connection, JobFilter(), limit=5)
    await bed.clock.sleep(1)
    bed[902].mine(executing(bed[901].mine(initiating(b"late"))))
    await bed.follow()
    second = page_jobs(bed.database.connection, JobFilter(), limit=5, cursor=first.next)
    assert [item.key for item in [*first.jobs, *second.jobs]] == [item.key for item in whole[:10]]


@pytest.mark.parametrize("cursor", ["", "x", "%%", "MSAyOjB4", "é", "A" * 300])
async def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(RejectedError, match="cursor"):
        page_jobs(Bed(901).database.connection, JobFilter(), limit=5, cursor=cursor)


async def test_every_statement_is_a_range_of_an_index_in_its_order() -> None:
    bed = await filled()
    connection = bed.database.connection
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        seen.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    page = page_jobs(connection, JobFilter(), limit=2)
    page_jobs(connection, JobFilter(statuses=(Status.INVALID,)), limit=2, cursor=page.next)
    page_jobs(connection, JobFilter(exec_chain=902, init_chain=901), limit=2, cursor=page.next)
    event.remove(connection, "before_cursor_execute", note)
    plans = [
        step[3]
        for statement, parameters in seen
        for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    ]
    assert len(seen) == 11
    used = {plan.partition(" (")[0] for plan in plans if "interop_job" in plan}
    assert "SEARCH interop_job USING INDEX ix_interop_job_status" in used
    # Both chains are asked for: either index is as good, and the engine takes the one that was made last.
    assert used - {"SEARCH interop_job USING INDEX ix_interop_job_status"} in (
        {"SEARCH interop_job USING INDEX ix_interop_job_exec_status"},
        {"SEARCH interop_job USING INDEX ix_interop_job_init_status"},
    )
    assert not any(plan == "USE TEMP B-TREE FOR ORDER BY" for plan in plans), plans
