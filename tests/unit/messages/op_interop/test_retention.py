"""Executing messages that are over go; what is not valid, and what an incident is about, stays for ever."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from seamark.app.retention import RetentionService
from seamark.core.units import Seconds
from seamark.messages.protocols.op_interop.model import Level, Status
from seamark.messages.protocols.op_interop.store import close_incident, history, list_jobs, odd_groups, read_tallies
from seamark.messages.protocols.op_interop.store.retention import trim_jobs
from seamark.messages.protocols.op_interop.store.tables import job
from seamark.storage.settings import SHORTEST_S, RetentionSettings
from tests.support.interop import BLOCK_TIME_S, GENESIS_TIME, WINDOW_S, Bed, executing, initiating

LATER = 10**15


async def trim(bed: Bed, before_ms: int = LATER) -> int:
    return await bed.database.write(lambda c: trim_jobs(c, before_ms))


async def test_what_is_valid_for_good_goes_with_its_history() -> None:
    bed = Bed(901, 902)
    bed[902].mine(executing(bed[901].mine(initiating())))
    await bed.follow()
    assert await trim(bed) == 0, "it may still turn out otherwise"
    await bed.finalize()
    (item,) = list_jobs(bed.database.connection)
    before = read_tallies(bed.database.connection)
    assert await trim(bed, item.seen_ms) == 0, "not so old"
    assert await trim(bed) == 1
    assert list_jobs(bed.database.connection, live=None) == []
    assert history(bed.database.connection, item.key) == []
    assert read_tallies(bed.database.connection) == before


async def test_what_is_not_valid_stays_for_ever() -> None:
    bed = Bed(901, 902)
    bed[902].mine(executing(bed[901].mine(initiating()), log_index=9))
    await bed.follow()
    await bed.finalize()
    assert await trim(bed) == 0
    assert len(odd_groups(bed.database.connection)) == 1


async def test_what_left_the_chain_for_good_goes() -> None:
    bed = Bed(901, 902)
    bed[902].mine(executing(bed[901].mine(initiating())))
    await bed.follow()
    bed[902].rollback(1)
    bed[902].mine(count=2)
    await bed.follow()
    assert await trim(bed) == 0, "its block may come back"
    await bed.finalize()
    assert await trim(bed) == 1


WRONG: dict[Status, dict[str, Any]] = {
    Status.INVALID: {"log_index": 9},
    Status.TIMESTAMP_MISMATCH: {"timestamp": GENESIS_TIME + BLOCK_TIME_S - 1},
    Status.EXPIRED: {},
}


@pytest.mark.parametrize("status", WRONG)
async def test_a_finalized_message_that_is_not_valid_is_never_trimmed(status: Status) -> None:
    """Whatever the settings, its age and its incident: verdict, history, gauge and finding stay."""
    bed = Bed(901, 902)
    log = bed[901].mine(initiating())
    late = log.time + WINDOW_S + 1 if status is Status.EXPIRED else log.time
    bed[902].mine(executing(log, **WRONG[status]), time=late)
    bed[902].mine(executing(log), time=log.time + WINDOW_S)  # a valid one, which goes
    await bed.follow()
    await bed.finalize()
    connection = bed.database.connection
    close_incident(connection, "ada", "over", now_ms=bed.now_ms)
    connection.execute(update(job).values(incident=None))  # it stays for its own sake, not for its incident's
    connection.commit()
    await bed.clock.sleep(20 * 365 * 86_400.0)
    keeper = RetentionService(RetentionSettings(interop=Seconds(SHORTEST_S)), database=bed.database, clock=bed.clock)
    assert await keeper.round() == {"interop": 1}
    assert await keeper.round() == {"interop": 0}
    bed.start()
    item = bed.job()
    assert (item.status, item.settled, item.exec_level) == (status, True, Level.FINALIZED)
    assert bed.steps(item) == [status.value]
    assert bed.counted(status.value) == 1
    (group,) = odd_groups(bed.database.connection)
    assert (group.status, group.jobs) == (status, 1)
