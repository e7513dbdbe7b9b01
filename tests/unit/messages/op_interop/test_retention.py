"""Executing messages that are over go; what is not valid, and what an incident is about, stays for ever."""

from __future__ import annotations

from seamark.messages.protocols.op_interop.store import history, list_jobs, odd_groups, read_tallies
from seamark.messages.protocols.op_interop.store.retention import trim_jobs
from tests.support.interop import Bed, executing, initiating

LATER = 10**15


async def trim(bed: Bed, before_ms: int = LATER) -> int:
    return await bed.database.write(lambda c: trim_jobs(c, before_ms))


async def test_what_is_valid_for_good_goes_with_its_history() -> None:
    bed = Bed(901, 902)
    bed[902].mine(executing(bed[901].mine(initiating())))
    await bed.follow()
    assert await trim(bed) == 0, "it may still turn out otherwise"
    await bed.finalize()
    (job,) = list_jobs(bed.database.connection)
    before = read_tallies(bed.database.connection)
    assert await trim(bed, job.seen_ms) == 0, "not so old"
    assert await trim(bed) == 1
    assert list_jobs(bed.database.connection, live=None) == []
    assert history(bed.database.connection, job.key) == []
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
